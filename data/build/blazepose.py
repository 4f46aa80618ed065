"""BlazePose GHUM landmark network (Google, Apache-2.0) from its TensorFlow Lite file to ONNX."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from onnx import TensorProto
from onnx_graph import Graph
from packages import PACKAGES, member

PACKAGE = "@mediapipe/pose"
# tensor of the original graph → name, shape after the batch, whether it is an image (NCHW here)
OUTPUTS: dict[str, tuple[str, tuple[int, ...], bool]] = {
    "Identity": ("landmarks", (39, 5), False),
    "Identity_1": ("presence", (), False),
    "Identity_2": ("mask", (256, 256), True),
    "Identity_3": ("heatmaps", (39, 64, 64), True),
    "Identity_4": ("world", (39, 3), False),
}
OPERATORS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: "none",
    tflite.ActivationFunctionType.RELU: "relu",
    tflite.ActivationFunctionType.RELU6: "relu6",
}
PADDINGS = {tflite.Padding.SAME: "SAME", tflite.Padding.VALID: "VALID"}


def build(variant: str) -> onnx.ModelProto:
    """Input `crops` uint8 (N, 256, 256, 3), RGB; `variant` is lite, full or heavy."""
    path = f"pose_landmark_{variant}.tflite"
    model = tflite.Model.GetRootAsModel(member(PACKAGE, path), 0)
    source = model.Subgraphs(0)
    arrays = _constants(model)
    graph = Graph()
    pixels = graph.node("Cast", "crops", to=TensorProto.FLOAT)
    scaled = graph.node("Div", pixels, graph.constant(np.array(255, np.float32)))
    values = {int(source.Inputs(0)): graph.node("Transpose", scaled, perm=[0, 3, 1, 2])}
    for i in range(source.OperatorsLength()):
        operator = source.Operators(i)
        inputs, result = [int(t) for t in operator.InputsAsNumpy()], int(operator.Outputs(0))
        code = model.OperatorCodes(operator.OpcodeIndex())
        op = OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if op == "DEQUANTIZE":
            arrays[result] = arrays[inputs[0]].astype(np.float32)
        else:
            operands: list[Any] = [arrays[t] if t in arrays else values[t] for t in inputs]
            values[result] = _translate(graph, op, operator, operands, source.Tensors(inputs[0]))
    outputs: dict[str, tuple[str, Sequence[int | str]]] = {}
    for tensor in (int(t) for t in source.OutputsAsNumpy()):
        name, shape, _ = OUTPUTS[source.Tensors(tensor).Name().decode()]
        full = graph.constant(np.array([-1, *shape], np.int64))
        outputs[name] = (graph.node("Reshape", values[tensor], full), ("batch", *shape))
    return graph.model(
        {"crops": (TensorProto.UINT8, ("batch", 256, 256, 3))},
        outputs,
        {
            "model": f"BlazePose GHUM landmarks, {variant}",
            "source": f"npm {PACKAGE} {PACKAGES[PACKAGE].version}, {path}",
            "licence": "Apache-2.0, Google",
        },
    )


def _constants(model: tflite.Model) -> dict[int, np.ndarray]:
    types = tflite.TensorType
    kinds: dict[int, type] = {types.FLOAT32: np.float32, types.FLOAT16: np.float16, types.INT32: np.int32}
    source, arrays = model.Subgraphs(0), {}
    for i in range(source.TensorsLength()):
        tensor = source.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength():
            raw = buffer.DataAsNumpy().tobytes()
            shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
            arrays[i] = np.frombuffer(raw, kinds[tensor.Type()]).reshape(shape)
    return arrays


def _translate(
    graph: Graph, op: str, operator: tflite.Operator, operands: list, source: tflite.Tensor
) -> str:
    """One operator; constants arrive as arrays in TensorFlow's layout, the rest as names in NCHW."""
    x = operands[0]
    if op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        kind = tflite.Conv2DOptions if op == "CONV_2D" else tflite.DepthwiseConv2DOptions
        options = _options(operator, kind)
        if options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise ValueError("dilated convolutions are not translated")
        weight = operands[1]
        depthwise = op == "DEPTHWISE_CONV_2D"  # (1, kh, kw, out), else (out, kh, kw, in)
        return graph.conv(
            x,
            np.ascontiguousarray(weight.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))),
            operands[2] if len(operands) > 2 else None,
            strides=(options.StrideH(), options.StrideW()),
            padding=PADDINGS[options.Padding()],
            groups=weight.shape[3] if depthwise else 1,
            activation=ACTIVATIONS[options.FusedActivationFunction()],
        )
    if op == "ADD":
        options = _options(operator, tflite.AddOptions)
        return graph.activate(graph.node("Add", *operands), ACTIVATIONS[options.FusedActivationFunction()])
    if op == "PAD":
        before, after = operands[1][[0, 3, 1, 2]].T
        return graph.node("Pad", x, graph.constant(np.concatenate([before, after]).astype(np.int64)))
    if op == "MAX_POOL_2D":
        options = _options(operator, tflite.Pool2DOptions)
        return graph.node(
            "MaxPool",
            x,
            kernel_shape=[options.FilterHeight(), options.FilterWidth()],
            strides=[options.StrideH(), options.StrideW()],
            auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[PADDINGS[options.Padding()]],
        )
    if op == "RESIZE_BILINEAR":
        options = _options(operator, tflite.ResizeBilinearOptions)
        if not options.HalfPixelCenters() or options.AlignCorners():
            raise ValueError("only bilinear resizing with half-pixel centres is translated")
        return graph.upsample(x, float(operands[1][0] / source.ShapeAsNumpy()[1]))
    if op == "LOGISTIC":
        return graph.node("Sigmoid", x)
    if op == "RESHAPE":  # flattens a 1 × 1 map; every output gets its shape at the end
        return x
    raise ValueError(f"operator {op} is not translated")


def _options(operator: tflite.Operator, kind: type) -> Any:
    table, options = operator.BuiltinOptions(), kind()
    options.Init(table.Bytes, table.Pos)
    return options
