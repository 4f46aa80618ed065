"""From a recipe and a body to a network: plain functions behind a dict."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from hmrcli.algorithms.graphcmr import GraphCMR, GraphCNN, SMPLParamRegressor
from hmrcli.algorithms.graphormer import Graphormer
from hmrcli.algorithms.hmr import HMR, HMRHead
from hmrcli.algorithms.pare import PARE, PAREHead
from hmrcli.algorithms.pose import PoseNetwork
from hmrcli.body.model import BodyModel
from hmrcli.errors import BadInput
from hmrcli.layers.graph import SparseMatrix
from hmrcli.layers.hrnet import ClassificationHRNet, PoseHRNet
from hmrcli.layers.mean import MeanParameters, rest_parameters
from hmrcli.layers.resnet import FeaturePyramid, ResNet, resnet18, resnet50
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

Backbone = TypeVar("Backbone")

_EVALUATION_JOINTS = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""Rows of the Human3.6M regressor: right ankle, knee, hip, left hip, knee, ankle, right wrist … head top."""


def build_hmr(
    body: BodyModel,
    backbone: str = "resnet50",
    iterations: int = 3,
    mean: MeanParameters | None = None,
    freeze_statistics: bool = True,
) -> HMR:
    """HMR, also SPIN's network. Without `mean` the iteration starts from the rest pose."""
    choices: dict[str, Callable[[], ResNet | PoseHRNet]] = {
        "resnet18": resnet18,
        "resnet50": resnet50,
        "hrnet_w32": lambda: PoseHRNet(32, freeze_statistics),
    }
    network = _choose(choices, backbone)
    features = network.out_channels if isinstance(network, ResNet) else 2048
    head = HMRHead(rest_parameters() if mean is None else mean, iterations, features)
    return HMR(network, head, body)


def build_graphcmr(body: BodyModel, backbone: str = "resnet50") -> GraphCMR:
    """GraphCMR on mesh level 1 of the body.

    The template at each vertex is centred on its bounding box and scaled by its largest coordinate.
    """
    levels = body.levels
    template = body.v_template.detach().float().cpu()
    template = template - (template.amax(0) + template.amin(0)) / 2
    template = (template / template.abs().max())[torch.as_tensor(levels.down[0])]
    graph_cnn = GraphCNN(
        _choose({"resnet50": resnet50}, backbone), template, SparseMatrix(levels.adjacency(1))
    )
    return GraphCMR(graph_cnn, SMPLParamRegressor(len(template)), SparseMatrix(levels.up_matrix(1)), body)


def build_pare(
    body: BodyModel,
    backbone: str = "hrnet_w32",
    freeze_statistics: bool = True,
    mean: MeanParameters | None = None,
) -> PARE:
    """PARE with its own HRNet, or on a pyramid of half a ResNet-18; what it finds is added to a mean that is given."""
    choices: dict[str, Callable[[], PoseHRNet | FeaturePyramid]] = {
        "resnet18": FeaturePyramid,
        "hrnet_w32": lambda: PoseHRNet(32, freeze_statistics),
        "hrnet_w48": lambda: PoseHRNet(48, freeze_statistics),
    }
    network = _choose(choices, backbone)
    return PARE(network, PAREHead(network.out_channels, mean), body)


def build_graphormer(
    body: BodyModel, backbone: str = "hrnet_w48", masked_fraction: float = 0.3
) -> Graphormer:
    """Graphormer on mesh level 2 of the body; published models use `hrnet_w64`."""
    choices = {
        "hrnet_w48": lambda: ClassificationHRNet(width=48),
        "hrnet_w64": lambda: ClassificationHRNet(width=64),
    }
    levels = body.levels
    full, middle, coarse = levels.sizes[:3]
    neighbours = SparseMatrix(levels.adjacency(2))
    return Graphormer(
        _choose(choices, backbone),
        graphormer_references(body),
        neighbours,
        (full, middle, coarse),
        masked_fraction=masked_fraction,
    )


def build_pose(backbone: str = "resnet50") -> PoseNetwork:
    """What trains a backbone on heatmaps; `hrnet_w32` is PARE's, `hrnet_w48` Graphormer's."""
    choices: dict[str, Callable[[], ResNet | PoseHRNet | ClassificationHRNet]] = {
        "resnet18": resnet18,
        "resnet50": resnet50,
        "hrnet_w32": lambda: PoseHRNet(32, freeze_statistics=False),
        "hrnet_w48": lambda: ClassificationHRNet(width=48),
    }
    return PoseNetwork(_choose(choices, backbone))


def graphormer_references(body: BodyModel) -> Tensor:
    """The rest body upright in the camera, whose y points down, with its pelvis at the origin.

    Returns:
        (14 + V2, 3): the evaluation joints, then the vertices of mesh level 2, in metres.
    """
    posed = body.v_template.detach().float().cpu() * torch.tensor([1.0, -1.0, -1.0])
    joints = body.h36m_regressor.detach().float().cpu() @ posed
    down = body.levels.down
    coarse = posed[torch.as_tensor(down[0])][torch.as_tensor(down[1])]
    return torch.cat([joints[list(_EVALUATION_JOINTS)], coarse]) - joints[0]


def _iterative(body: BodyModel, network: Network, mean: MeanParameters | None) -> HMR:
    frozen = network.batch_norm == "frozen"
    return build_hmr(body, network.backbone, network.iterations or 3, mean, frozen)


def _part_attention(body: BodyModel, network: Network, mean: MeanParameters | None) -> PARE:
    if mean is None and network.mean_parameters is not None:
        mean = rest_parameters()  # weight files bring the recipe's
    return build_pare(body, network.backbone, network.batch_norm == "frozen", mean)


BUILDERS: dict[str, Callable[[BodyModel, Network, MeanParameters | None], nn.Module]] = {
    "hmr": _iterative,
    "spin": _iterative,
    "graphcmr": lambda body, network, mean: build_graphcmr(body, network.backbone),
    "pare": _part_attention,
    "graphormer": lambda body, network, mean: build_graphormer(
        body, network.backbone, network.masked_fraction or 0.0
    ),
    "pose": lambda body, network, mean: build_pose(network.backbone),
}


def build_network(recipe: Recipe, body: BodyModel, mean: MeanParameters | None = None) -> nn.Module:
    """The network of a recipe with fresh weights, in training mode.

    Args:
        recipe: names the algorithm and its network.
        body: mesh, joints and levels are taken from it, whatever their sizes.
        mean: where HMR's and SPIN's iteration starts, and what PARE's output is added to where the recipe says so,
            read from its `mean_parameters`; by default the rest pose. Weight files bring their own.

    Returns:
        Module that maps (B, 3, 224, 224) normalised RGB to a `Prediction`, or to heatmaps for `pose`.

    Raises:
        MissingFile: the body's mesh levels or joint regressor are not there.
    """
    return BUILDERS[recipe.algorithm](body, recipe.network, mean)


def _choose(choices: dict[str, Callable[[], Backbone]], name: str) -> Backbone:
    if name not in choices:
        raise BadInput(f"recipe: `network.backbone` is {name!r}, expected one of {', '.join(choices)}")
    return choices[name]()
