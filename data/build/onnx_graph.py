"""Writes an ONNX graph node by node, in NCHW, with weights stored as float16 and computed in float32."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        """A constant. Floats must survive float16 unchanged, as weights published in float16 do."""
        name = f"c{len(self.constants)}"
        if array.dtype == np.float32 and array.ndim:
            half = array.astype(np.float16)
            if not np.array_equal(half.astype(np.float32), array):
                raise ValueError(f"constant of shape {array.shape} is not exact in float16")
            self.constants.append(numpy_helper.from_array(half, name))
            return self.node("Cast", name, to=TensorProto.FLOAT)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        """One ONNX operator with one output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def activate(self, x: str, activation: str) -> str:
        """none, relu or relu6."""
        if activation == "none":
            return x
        if activation == "relu":
            return self.node("Relu", x)
        if activation == "relu6":
            return self.node(
                "Clip", x, self.constant(np.array(0, np.float32)), self.constant(np.array(6, np.float32))
            )
        raise ValueError(f"activation {activation} is not translated")

    def conv(
        self,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        *,
        strides: Sequence[int],
        padding: str,
        groups: int = 1,
        activation: str = "none",
    ) -> str:
        """Convolution with TensorFlow's padding (`SAME` or `VALID`).

        Args:
            weight: (out, in / groups, kh, kw).
            bias: (out,) or None.
        """
        inputs = [x, self.constant(weight)]
        if bias is not None:
            inputs.append(self.constant(bias))
        y = self.node(
            "Conv",
            *inputs,
            strides=list(strides),
            group=groups,
            kernel_shape=list(weight.shape[2:]),
            auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[padding],
        )
        return self.activate(y, activation)

    def upsample(self, x: str, factor: float) -> str:
        """Bilinear resize by a factor, with half-pixel centres."""
        scales = np.array([1, 1, factor, factor], np.float32)
        return self.node(
            "Resize",
            x,
            "",
            self.constant(scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def model(
        self,
        inputs: Mapping[str, tuple[int, Sequence[int | str]]],
        outputs: Mapping[str, tuple[str, Sequence[int | str]]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The checked model.

        Args:
            inputs: name → (element type, shape); a string is a dynamic dimension.
            outputs: name → (the node it comes from, shape), float32.
            metadata: source, version and licence, kept in the file.
        """
        for name, (source, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [source], [name], name=name))
        graph = helper.make_graph(
            self.nodes,
            "people",
            [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, (_, shape) in outputs.items()],
            self.constants,
        )
        # IR 8 and opset 17 are read by every onnxruntime since 1.12.
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="hmrcli"
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
