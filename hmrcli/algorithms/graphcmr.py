"""GraphCMR (Kolotouros et al. 2019): a graph network places vertices, pose and shape are read off them."""

import torch
from torch import Tensor, nn

from hmrcli.algorithms.targets import TrainingTargets
from hmrcli.algorithms.terms import Pairs, mean_errors, orthographic_pairs
from hmrcli.body.model import BodyModel, BodyOutput
from hmrcli.layers.crops import Crops, pixels
from hmrcli.layers.graph import GraphConvolution, GraphLinear, MeshMatrix
from hmrcli.layers.mean_parameters import MeanParameters
from hmrcli.layers.polar import polar_rotation
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.layers.resnet import ResNet, resnet50
from hmrcli.layers.unused import mark_unused
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES = {"resnet50": resnet50}


class GraphBlock(nn.Module):
    """Residual bottleneck around a graph convolution, with group norms of eight channels a group."""

    def __init__(self, in_channels: int, out_channels: int, neighbours: MeshMatrix) -> None:
        super().__init__()
        inner = out_channels // 2
        self.lin1 = GraphLinear(in_channels, inner)
        self.conv = GraphConvolution(inner, inner, neighbours)
        self.lin2 = GraphLinear(inner, out_channels)
        self.skip_conv = GraphLinear(in_channels, out_channels)
        self.project = in_channels != out_channels
        if not self.project:
            mark_unused(self.skip_conv)
        self.pre_norm = nn.GroupNorm(in_channels // 8, in_channels)
        self.norm1 = nn.GroupNorm(inner // 8, inner)
        self.norm2 = nn.GroupNorm(inner // 8, inner)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, V) -> (B, out_channels, V)."""
        y = self.lin1(torch.relu_(self.pre_norm(x)))
        y = torch.relu_(self.norm1(y))
        y = self.conv(y.transpose(1, 2)).transpose(1, 2)
        y = self.lin2(torch.relu_(self.norm2(y)))
        return y + (self.skip_conv(x) if self.project else x)


class GraphCNN(nn.Module):
    """Image feature at every vertex of the template -> mesh and camera.

    Args:
        resnet: the backbone; published files also hold its unused classifier.
        template: (V1, 3) rest vertices, centered and scaled into the unit cube.
        neighbours: row-normalised adjacency of these vertices.
    """

    template: Tensor

    def __init__(self, resnet: ResNet, template: Tensor, neighbours: MeshMatrix) -> None:
        super().__init__()
        channels = 256
        self.resnet = resnet
        self.resnet.fc = mark_unused(nn.Linear(2048, 1000))
        self.register_buffer("template", template.float(), persistent=False)
        self.gc = nn.Sequential(
            GraphLinear(3 + 2048, 2 * channels),
            GraphBlock(2 * channels, channels, neighbours),
            *(GraphBlock(channels, channels, neighbours) for _ in range(5)),
        )
        self.shape = nn.Sequential(
            GraphBlock(channels, 64, neighbours),
            GraphBlock(64, 32, neighbours),
            nn.GroupNorm(4, 32),
            nn.ReLU(inplace=True),
            GraphLinear(32, 3),
        )
        self.camera_fc = nn.Sequential(
            nn.GroupNorm(channels // 8, channels),
            nn.ReLU(inplace=True),
            GraphLinear(channels, 1),
            nn.ReLU(inplace=True),
            nn.Linear(len(template), 3),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 224, 224) normalised RGB -> vertices (B, V1, 3), cam (B, 3)."""
        return self.regress(self.resnet(images).mean(dim=(2, 3)))

    def regress(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2048) -> vertices (B, V1, 3), cam (B, 3)."""
        # The first layer sees (template, image feature) at each vertex. The feature is the same everywhere:
        # its share is computed once a sample, not once a vertex.
        first: GraphLinear = self.gc[0]  # type: ignore[assignment]
        place, image = first.W.split([3, 2048], dim=1)
        x = (place @ self.template.T)[None] + (features @ image.T + first.b)[:, :, None]
        x = self.gc[1:](x)
        with full_precision(x):
            return self.shape(x.float()).transpose(1, 2), self.camera_fc(x.float())[:, 0]


class FullyConnectedBlock(nn.Module):
    """Linear layers with batch norm; residual when there are two of them."""

    def __init__(self, in_channels: int, channels: int, residual: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(in_channels, channels), nn.BatchNorm1d(channels)]
        if residual:
            layers += [nn.ReLU(inplace=True), nn.Linear(channels, channels), nn.BatchNorm1d(channels)]
        self.fc_block = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels) -> (B, channels)."""
        return torch.relu(self.fc_block(x) + x if self.residual else self.fc_block(x))


class SMPLParamRegressor(nn.Module):
    """Reads rotations and shape off a mesh of so many vertices."""

    def __init__(self, vertices: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            FullyConnectedBlock(6 * vertices, 1024, residual=False),
            FullyConnectedBlock(1024, 1024, residual=True),
            FullyConnectedBlock(1024, 1024, residual=True),
            nn.Linear(1024, 24 * 9 + 10),
        )

    def forward(self, mesh: Tensor) -> tuple[Tensor, Tensor]:
        """(B, V1, 6) predicted and template coordinates -> rotmat (B, 24, 3, 3), betas (B, 10)."""
        matrices, betas = self.layers(mesh.flatten(1)).split([24 * 9, 10], dim=1)
        # A left-handed matrix gives another rotation than the nearest one: so published weights were trained.
        return polar_rotation(matrices.view(-1, 24, 3, 3)), betas


class GraphCMR(nn.Module):
    """The graph network and the parametric regressor behind it.

    Args:
        graph_cnn: places the vertices of mesh level 1.
        smpl_param_regressor: its gradient stops at the mesh.
        upsample: (V, V1) matrix from level 1 to the full mesh.
        body: the one that has these levels.
    """

    def __init__(
        self,
        graph_cnn: GraphCNN,
        smpl_param_regressor: SMPLParamRegressor,
        upsample: MeshMatrix,
        body: BodyModel,
    ) -> None:
        super().__init__()
        self.graph_cnn = graph_cnn
        self.smpl_param_regressor = smpl_param_regressor
        self.upsample = upsample
        self.body = body

    def forward(self, crops: Tensor | Crops) -> Prediction:
        """(B, 3, 224, 224) normalised RGB -> cam, rotmat, betas, parametric vertices and joints, free mesh_levels."""
        mesh, cam = self.graph_cnn(pixels(crops))
        template = self.graph_cnn.template.expand_as(mesh)
        with full_precision(mesh):
            rotmat, betas = self.smpl_param_regressor(torch.cat([mesh.detach(), template], dim=2))
            vertices, joints = self.body(rotmat, betas)
        levels = (mesh, self.upsample(mesh))
        return Prediction(cam, vertices, rotmat, betas, mesh_levels=levels, joints=joints)


def build_graphcmr(body: BodyModel, backbone: str = "resnet50") -> GraphCMR:
    """Builds GraphCMR on mesh level 1 of the body.

    The template at each vertex is centered on its bounding box and scaled by its largest coordinate.
    """
    levels = body.levels
    template = body.v_template.detach().float().cpu()
    template = template - (template.amax(0) + template.amin(0)) / 2
    template = (template / template.abs().max())[torch.as_tensor(levels.down[0])]
    graph_cnn = GraphCNN(BACKBONES[backbone](), template, MeshMatrix(levels.adjacency(1)))
    return GraphCMR(graph_cnn, SMPLParamRegressor(len(template)), MeshMatrix(levels.up_matrix(1)), body)


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> GraphCMR:
    """Builds what a recipe asks for."""
    return build_graphcmr(body, network.backbone)


def losses(
    prediction: Prediction, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares both meshes: `free_*` is the graph network's, the others are SMPL's.

    Joints of both are regressed from the mesh. The camera learns from the free mesh alone.
    """
    assert prediction.rotmat is not None and prediction.betas is not None
    assert prediction.mesh_levels is not None

    def mesh_pairs(prefix: str, vertices: Tensor, cam: Tensor) -> Pairs:
        regressed = BodyOutput(vertices, body.joint_regressor @ vertices)
        joints3d = targets.choose(body.smpl_54_joints(regressed))
        pairs = orthographic_pairs(prefix, joints3d, cam, targets)
        if targets.vertices is not None:
            pairs[f"{prefix}vertices"] = (vertices, targets.vertices)
        return pairs

    pairs: Pairs = {
        **mesh_pairs("", prediction.vertices, prediction.cam.detach()),
        **mesh_pairs("free_", prediction.mesh_levels[-1], prediction.cam),
        "rotmat": (prediction.rotmat, targets.rotmat),
        "betas": (prediction.betas, targets.betas),
    }
    return mean_errors(pairs, recipe.losses)
