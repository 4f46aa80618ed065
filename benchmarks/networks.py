"""Speed of the networks on the CPU, each against the formulation it replaces, in one run.

    python benchmarks/networks.py [--threads N] [--repeat N]

Both sides use the same weights and inputs; runs alternate, the fastest of each side counts, and the largest
difference, as a share of the largest output, stands beside the ratio. Baselines, written after the original
layers:

- GraphCMR: image feature copied to every vertex, a sparse product a sample, an SVD and determinant a matrix.
- Graphormer: attention as matrix product, softmax, matrix product; GELU from erf; a sparse product a sample.
- Body: `smplx.SMPL` on the arrays of the open body.
- Backbones: the same module in eager mode and contiguous memory format.
"""

import argparse
import contextlib
import copy
import io
import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import smplx
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hmrcli.algorithms.graphcmr import GraphBlock, GraphCMR, build_graphcmr
from hmrcli.algorithms.graphormer import HEADS, Graphormer, build_graphormer
from hmrcli.body import BodyModel, load_body
from hmrcli.layers.graph import GraphLinear
from hmrcli.layers.hrnet import ClassificationHRNet
from hmrcli.layers.resnet import resnet50

Outputs = tuple[Tensor, ...]


# GraphCMR as published


def graphcmr_baseline(network: Any, adjacency: Tensor, upsample: Tensor, features: Tensor) -> Outputs:
    template = network.graph_cnn.template.T.expand(len(features), -1, -1)
    x = torch.cat([template, features[:, :, None].expand(-1, -1, template.shape[2])], dim=1)
    x = linear_baseline(network.graph_cnn.gc[0], x)
    for block in network.graph_cnn.gc[1:]:
        x = graph_block_baseline(block, adjacency, x)
    mesh = x
    for block in network.graph_cnn.shape[:2]:
        mesh = graph_block_baseline(block, adjacency, mesh)
    mesh = network.graph_cnn.shape[2:](mesh).transpose(1, 2)
    cam = network.graph_cnn.camera_fc(x)[:, 0]
    full = per_sample(upsample, mesh)
    values = network.smpl_param_regressor.layers(
        torch.cat([mesh, template.transpose(1, 2)], dim=2).flatten(1)
    )
    rotmat = []
    for matrix in values[:, :216].reshape(-1, 3, 3):
        u, _, v = torch.svd(matrix)
        rotation = u @ v.T
        rotmat.append(rotation * torch.det(rotation))
    return mesh, full, cam, torch.stack(rotmat).view(-1, 24, 3, 3), values[:, 216:]


def graph_block_baseline(block: GraphBlock, adjacency: Tensor, x: Tensor) -> Tensor:
    y = linear_baseline(block.lin1, F.relu(block.pre_norm(x)))
    y = F.relu(block.norm1(y)).transpose(1, 2) @ block.conv.weight
    y = (per_sample(adjacency, y) + block.conv.bias).transpose(1, 2)
    y = linear_baseline(block.lin2, F.relu(block.norm2(y)))
    return y + (linear_baseline(block.skip_conv, x) if block.project else x)


def linear_baseline(layer: GraphLinear, x: Tensor) -> Tensor:
    return torch.matmul(layer.W[None], x) + layer.b[None, :, None]


def per_sample(matrix: Tensor, x: Tensor) -> Tensor:
    return torch.stack([torch.sparse.mm(matrix, sample) for sample in x])


def graphcmr(network: GraphCMR, features: Tensor) -> Outputs:
    mesh, cam = network.graph_cnn.regress(features)
    template = network.graph_cnn.template.expand_as(mesh)
    rotmat, betas = network.smpl_param_regressor(torch.cat([mesh, template], dim=2))
    return mesh, network.upsample(mesh), cam, rotmat, betas


# Graphormer as published


def graphormer_baseline(network: Any, adjacency: Tensor, feature: Tensor, grid: Tensor) -> Outputs:
    references = network.references.expand(len(feature), -1, -1)
    queries = torch.cat([references, feature[:, None].expand(-1, references.shape[1], -1)], dim=2)
    tokens = torch.cat([queries, network.grid_feat_dim(grid.flatten(2).transpose(1, 2))], dim=1)
    for encoder in network.trans_encoder:
        tokens = encoder_baseline(encoder, adjacency, tokens)
    joints, coarse = tokens[:, :14], tokens[:, 14:-49]
    middle = network.upsampling(coarse.transpose(1, 2))
    full = network.upsampling2(middle).transpose(1, 2)
    cam = network.cam_param_fc3(network.cam_param_fc2(network.cam_param_fc(coarse).transpose(1, 2)))[:, 0]
    return joints, full, cam


def graphormer(network: Graphormer, feature: Tensor, grid: Tensor) -> Outputs:
    prediction = network.regress(feature, grid)
    assert prediction.joints3d is not None
    return prediction.joints3d, prediction.vertices, prediction.cam


def encoder_baseline(encoder: Any, adjacency: Tensor, x: Tensor) -> Tensor:
    hidden = encoder.bert.img_embedding(x) + encoder.bert.position_embeddings.weight[: x.shape[1]]
    for layer in encoder.bert.encoder["layer"]:
        hidden = layer_baseline(layer, adjacency, hidden)
    return encoder.cls_head(hidden) + encoder.residual(x)


def layer_baseline(layer: Any, adjacency: Tensor, x: Tensor) -> Tensor:
    attention = layer.attention["self"]
    query, key, value = (
        linear(x).view(*x.shape[:2], HEADS, -1).permute(0, 2, 1, 3)
        for linear in (attention.query, attention.key, attention.value)
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    scores = scores + torch.zeros(x.shape[0], 1, 1, x.shape[1])
    context = (torch.softmax(scores, dim=-1) @ value).permute(0, 2, 1, 3).contiguous().view(*x.shape)
    x = layer.attention["output"](context, x)
    if layer.graph_conv is not None:
        block = layer.graph_conv
        y = block.lin1(F.relu(block.pre_norm(x[:, 14:-49])))
        y = per_sample(adjacency, F.relu(block.norm1(y)) @ block.conv.weight) + block.conv.bias
        vertices = x[:, 14:-49] + block.lin2(F.relu(block.norm2(y)))
        x = torch.cat([x[:, :14], vertices, x[:, -49:]], dim=1)
    y = layer.intermediate["dense"](x)
    return layer.output(y * 0.5 * (1.0 + torch.erf(y / math.sqrt(2.0))), x)


# Body and backbones


def smplx_of(body: BodyModel) -> nn.Module:
    fields = {
        "v_template": body.v_template.numpy(),
        "shapedirs": body.shapedirs.numpy(),
        "posedirs": body.posedirs.numpy(),
        "J_regressor": body.joint_regressor.numpy(),
        "weights": body.weights.numpy(),
        "f": body.faces.numpy(),
        "kintree_table": np.array([body.parents, range(24)]),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it remarks on the number of betas
        return smplx.SMPL(model_path="", data_struct=smplx.utils.Struct(**fields))


def folded(network: nn.Module) -> nn.Module:
    """A copy with every batch norm folded into the convolution before it."""
    network = copy.deepcopy(network)
    for module in network.modules():
        children = list(module.named_children())
        for (name, convolution), (norm_name, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, nn.Identity())
    return network


def compare(name: str, ours: Callable[[], Outputs], theirs: Callable[[], Outputs], repeat: int) -> None:
    outputs = zip(ours(), theirs(), strict=True)
    difference = max(((a - b).abs().max() / b.abs().max()).item() for a, b in outputs)
    fastest = [math.inf, math.inf]
    for _ in range(repeat):
        for side, run in enumerate((theirs, ours)):
            start = time.perf_counter()
            run()
            fastest[side] = min(fastest[side], time.perf_counter() - start)
    print(
        f"{name:<58} {fastest[0] * 1e3:9.1f} ms {fastest[1] * 1e3:9.1f} ms {fastest[0] / fastest[1]:6.2f}x  "
        f"{difference:.1e}",
        flush=True,
    )


def benchmark_graphcmr(body: BodyModel, repeat: int) -> None:
    network = build_graphcmr(body).eval()
    adjacency, upsample = body.levels.adjacency(1), body.levels.up_matrix(1)
    features, images = torch.randn(16, 2048), torch.randn(16, 3, 224, 224)
    compare(
        "GraphCMR layers, batch 16",
        lambda: graphcmr(network, features),
        lambda: graphcmr_baseline(network, adjacency, upsample, features),
        repeat,
    )

    def backbone() -> Tensor:
        return network.graph_cnn.resnet(images).mean((2, 3))

    compare(
        "GraphCMR with its ResNet-50, batch 16",
        lambda: graphcmr(network, backbone()),
        lambda: graphcmr_baseline(network, adjacency, upsample, backbone()),
        max(1, repeat // 2),
    )


def benchmark_graphormer(body: BodyModel, repeat: int) -> None:
    network = build_graphormer(body).eval()
    adjacency = body.levels.adjacency(2)
    for batch in (1, 16):
        inputs = torch.randn(batch, 2048), torch.randn(batch, 1024, 7, 7)
        compare(
            f"Graphormer layers, batch {batch}",
            partial(graphormer, network, *inputs),
            partial(graphormer_baseline, network, adjacency, *inputs),
            repeat,
        )


def benchmark_body(body: BodyModel, repeat: int) -> None:
    reference = smplx_of(body)
    rotmat, betas = torch.linalg.qr(torch.randn(64, 24, 3, 3))[0], torch.randn(64, 10)
    rotmat = rotmat * torch.linalg.det(rotmat)[..., None, None]

    def theirs() -> Outputs:
        output = reference(betas=betas, global_orient=rotmat[:, :1], body_pose=rotmat[:, 1:], pose2rot=False)
        return (output.vertices,)

    compare(
        "Open body, batch 64, against smplx.SMPL", lambda: (body(rotmat, betas).vertices,), theirs, repeat
    )


def benchmark_backbones(repeat: int) -> None:
    images = torch.randn(8, 3, 224, 224)
    packed = images.to(memory_format=torch.channels_last)
    networks: dict[str, Any] = {"ResNet-50": resnet50(), "HRNet-W48": ClassificationHRNet(width=48)}
    for name, plain in networks.items():
        plain.eval()
        fused = folded(plain)
        last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
        both: Any = copy.deepcopy(fused)
        both = both.to(memory_format=torch.channels_last)
        for setting, network, x in (
            ("channels last", last, packed),
            ("norms folded", fused, images),
            ("norms folded, channels last", both, packed),
        ):
            compare(
                f"{name}, batch 8, {setting}",
                partial(_first, network, x),
                partial(_first, plain, images),
                repeat,
            )


def _first(network: nn.Module, images: Tensor) -> Outputs:
    output = network(images)
    return (output,) if isinstance(output, Tensor) else output[:1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=("graphcmr", "graphormer", "body", "backbones"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    body = load_body("open")
    parts: dict[str, Callable[[], None]] = {
        "graphcmr": lambda: benchmark_graphcmr(body, arguments.repeat),
        "graphormer": lambda: benchmark_graphormer(body, arguments.repeat),
        "body": lambda: benchmark_body(body, 4 * arguments.repeat),
        "backbones": lambda: benchmark_backbones(arguments.repeat),
    }
    print(f"torch {torch.__version__}, {arguments.threads} threads, body of {body.num_vertices} vertices")
    print(f"{'':<58} {'baseline':>12} {'ours':>12} {'ratio':>7}  difference")
    with torch.inference_mode():
        for name, run in parts.items():
            if arguments.only in (None, name):
                run()


if __name__ == "__main__":
    main()
