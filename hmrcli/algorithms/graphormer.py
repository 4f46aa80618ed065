"""Mesh Graphormer (Lin et al. 2021): a transformer over joints, coarse vertices and the image's grid."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmrcli.algorithms.targets import TrainingTargets
from hmrcli.algorithms.terms import mean_errors, orthographic_pairs
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.body.model import BodyModel
from hmrcli.layers.constants import places
from hmrcli.layers.crops import Crops, pixels
from hmrcli.layers.graph import GraphConvolution, GraphLinear, MeshMatrix
from hmrcli.layers.hrnet import ClassificationHRNet
from hmrcli.layers.mean_parameters import MeanParameters
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.layers.unused import mark_unused
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES = {
    "hrnet_w48": lambda: ClassificationHRNet(width=48),
    "hrnet_w64": lambda: ClassificationHRNet(width=64),
}

_JOINTS = 14
_PELVIS = H36M.names.index("pelvis")
_GRID = 7 * 7
_LAYERS = 4
HEADS = 4
_DROPOUT = 0.1
_MASK_VALUE = 0.01


class TokenLinear(GraphLinear):
    """The same linear map on channels-last features."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, in_channels) -> (B, V, out_channels)."""
        return F.linear(x, self.W, self.b)


class TokenGraphBlock(nn.Module):
    """GraphCMR's residual block with layer norms, at constant width."""

    def __init__(self, channels: int, neighbours: MeshMatrix) -> None:
        super().__init__()
        inner = channels // 2
        self.lin1 = TokenLinear(channels, inner)
        self.conv = GraphConvolution(inner, inner, neighbours)
        self.lin2 = TokenLinear(inner, channels)
        self.skip_conv = mark_unused(TokenLinear(channels, channels))
        self.pre_norm = nn.LayerNorm(channels, eps=1e-12)
        self.norm1 = nn.LayerNorm(inner, eps=1e-12)
        self.norm2 = nn.LayerNorm(inner, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, channels) -> same shape."""
        y = self.lin1(torch.relu(self.pre_norm(x)))
        y = self.conv(torch.relu(self.norm1(y)))
        return x + self.lin2(torch.relu(self.norm2(y)))


class SelfAttention(nn.Module):
    """Scaled dot-product attention of every token to every token (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels) -> same shape."""
        query, key, value = (
            layer(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        dropout = _DROPOUT if self.training else 0.0
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout).transpose(1, 2).flatten(2)


class AddNorm(nn.Module):
    """Linear map and dropout, added to the block's input, then normalised (post-norm, as in BERT)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_channels, channels)
        self.LayerNorm = nn.LayerNorm(channels, eps=1e-12)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(B, T, in_channels), (B, T, channels) -> (B, T, channels)."""
        return self.LayerNorm(F.dropout(self.dense(x), _DROPOUT, self.training) + shortcut)


class EncoderLayer(nn.Module):
    """Attention, a graph block on the vertex tokens where they have `neighbours`, a feed-forward net twice as wide."""

    def __init__(self, channels: int, neighbours: MeshMatrix | None) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(channels), "output": AddNorm(channels, channels)}
        )
        self.graph_conv = None if neighbours is None else TokenGraphBlock(channels, neighbours)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(channels, 2 * channels)})
        self.output = AddNorm(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels) -> same shape; tokens are joints, vertices, grid cells."""
        x = self.attention["output"](self.attention["self"](x), x)
        if self.graph_conv is not None:
            joints, vertices, grid = _split(x)
            x = torch.cat([joints, self.graph_conv(vertices), grid], dim=1)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """Embeds tokens and lets them attend to each other; the published table of places has room for 512."""

    def __init__(self, in_channels: int, channels: int, tokens: int, neighbours: MeshMatrix | None) -> None:
        super().__init__()
        self.img_embedding = nn.Linear(in_channels, channels)
        self.position_embeddings = nn.Embedding(max(512, tokens), channels)
        stack = nn.Sequential(*(EncoderLayer(channels, neighbours) for _ in range(_LAYERS)))
        self.encoder = nn.ModuleDict({"layer": stack})
        language = {
            "word_embeddings": nn.Embedding(30522, channels),
            "position_embeddings": nn.Embedding(512, channels),
            "token_type_embeddings": nn.Embedding(2, channels),
            "LayerNorm": nn.LayerNorm(channels, eps=1e-12),
        }
        self.embeddings = mark_unused(nn.ModuleDict(language))
        self.pooler = mark_unused(nn.ModuleDict({"dense": nn.Linear(channels, channels)}))

    def forward(self, x: Tensor) -> Tensor:
        """Embedded tokens (B, T, channels) -> same shape."""
        hidden = x + self.position_embeddings.weight[: x.shape[1]]
        return self.encoder["layer"](F.dropout(hidden, _DROPOUT, self.training))


class Encoder(nn.Module):
    """One of the three transformers, which brings tokens to a smaller width; `channels` is that inside.

    Without `neighbours`, the adjacency of the vertex tokens, it has no graph blocks.
    """

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, tokens: int, neighbours: MeshMatrix | None
    ) -> None:
        super().__init__()
        self.bert = Bert(in_channels, channels, tokens, neighbours)
        self.cls_head = nn.Linear(channels, out_channels)
        self.residual = nn.Linear(in_channels, out_channels)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, in_channels) -> (B, T, out_channels)."""
        return self.attend(self.bert.img_embedding(x), self.residual(x))

    def attend(self, embedded: Tensor, shortcut: Tensor) -> Tensor:
        """After the two maps of the input: (B, T, channels), (B, T, out_channels) -> (B, T, out_channels)."""
        return self.cls_head(self.bert(embedded)) + shortcut


class Graphormer(nn.Module):
    """Backbone, three encoders and learnt upsampling; 175,622,190 parameters with HRNet-W48 on SMPL's mesh.

    Args:
        backbone: gives one feature for the image and one for each of 7×7 cells.
        references: (14 + V2, 3) rest joints and coarse vertices, upright in the camera, pelvis at the origin.
        neighbours: adjacency of the V2 coarse vertices.
        sizes: vertices of the full mesh and of its two coarser levels.
        masked_fraction: largest share of joint and vertex tokens that training hides.
    """

    references: Tensor

    def __init__(
        self,
        backbone: ClassificationHRNet,
        references: Tensor,
        neighbours: MeshMatrix,
        sizes: tuple[int, ...],
        masked_fraction: float,
    ) -> None:
        super().__init__()
        full, middle, coarse = sizes
        tokens = _JOINTS + coarse + _GRID
        self.backbone = backbone
        self.masked_fraction = masked_fraction
        self.register_buffer("references", references.float(), persistent=False)
        self.trans_encoder = nn.Sequential(
            Encoder(3 + 2048, 1024, 512, tokens, neighbours=None),
            Encoder(512, 256, 128, tokens, neighbours=None),
            Encoder(128, 64, 3, tokens, neighbours=neighbours),
        )
        self.grid_feat_dim = nn.Linear(1024, 3 + 2048)
        self.upsampling = nn.Linear(coarse, middle)
        self.upsampling2 = nn.Linear(middle, full)
        self.cam_param_fc = nn.Linear(3, 1)
        self.cam_param_fc2 = nn.Linear(coarse, 250)
        self.cam_param_fc3 = nn.Linear(250, 3)

    def forward(self, crops: Tensor | Crops) -> Prediction:
        """(B, 3, 224, 224) normalised RGB -> cam, vertices, mesh_levels, joints3d."""
        return self.regress(*self.backbone(pixels(crops)))

    def regress(self, feature: Tensor, grid: Tensor) -> Prediction:
        """Feature (B, 2048) and grid (B, 1024, 7, 7) -> the prediction, without running the backbone."""
        hidden = self.hidden_tokens(len(feature)) if self.training else None
        cells = self.grid_feat_dim(grid.flatten(2).transpose(1, 2))
        first: Encoder = self.trans_encoder[0]  # type: ignore[assignment]
        embedded = self.map_tokens(first.bert.img_embedding, feature, cells, hidden)
        shortcut = self.map_tokens(first.residual, feature, cells, hidden)
        tokens = self.trans_encoder[1](first.attend(embedded, shortcut))
        with full_precision(tokens):
            joints, coarse, _ = _split(self.trans_encoder[2](tokens.float()))
            middle = self.upsampling(coarse.transpose(1, 2))
            full = self.upsampling2(middle).transpose(1, 2)
            cam = self.cam_param_fc3(self.cam_param_fc2(self.cam_param_fc(coarse).transpose(1, 2)))[:, 0]
        levels = (coarse, middle.transpose(1, 2), full)
        return Prediction(cam=cam, vertices=full, mesh_levels=levels, joints3d=joints)

    def map_tokens(self, linear: nn.Linear, feature: Tensor, cells: Tensor, hidden: Tensor | None) -> Tensor:
        """Applies the first encoder's input map to all tokens: (B, T, out).

        A joint's or vertex's token is (rest position, image feature). The feature is the same in all of them,
        so its share is computed once a sample; hidden tokens are constant, so theirs is computed once.
        """
        place, image = linear.weight.split([3, feature.shape[1]], dim=1)
        queries = self.references @ place.T + F.linear(feature, image, linear.bias)[:, None]
        if hidden is not None:
            constant = _MASK_VALUE * linear.weight.sum(dim=1) + linear.bias
            queries = torch.where(hidden[:, :, None], constant.to(queries.dtype), queries)
        return torch.cat([queries, linear(cells)], dim=1)

    def hidden_tokens(self, batch: int) -> Tensor:
        """Draws tokens (B, 14 + V2) to hide: masked vertex modelling (METRO, Lin et al. 2021, section 3.3).

        How many, up to `masked_fraction`, is drawn for each sample, for joints and vertices apart. Grid cells stay.
        """
        device, parts = self.references.device, []
        for count in (_JOINTS, len(self.references) - _JOINTS):
            wanted = (torch.rand(batch, 1, device=device) * self.masked_fraction * count).floor()
            rank = torch.rand(batch, count, device=device).argsort(dim=1).argsort(dim=1)
            parts.append(rank < wanted)
        return torch.cat(parts, dim=1)


def build_graphormer(
    body: BodyModel, backbone: str = "hrnet_w48", masked_fraction: float = 0.3
) -> Graphormer:
    """Builds Graphormer on mesh level 2 of the body; published models use `hrnet_w64`."""
    network, neighbours = BACKBONES[backbone](), MeshMatrix(body.levels.adjacency(2))
    return Graphormer(network, rest_tokens(body), neighbours, body.levels.sizes[:3], masked_fraction)


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> Graphormer:
    """Builds what a recipe asks for."""
    return build_graphormer(body, network.backbone, network.masked_fraction or 0.0)


def rest_tokens(body: BodyModel) -> Tensor:
    """Poses the rest body upright in the camera, whose y points down, with its pelvis at the origin.

    Returns:
        (14 + V2, 3): the evaluation joints, then the vertices of mesh level 2, in metres.
    """
    posed = body.v_template.detach().float().cpu() * torch.tensor([1.0, -1.0, -1.0])
    joints = body.h36m_regressor.detach().float().cpu() @ posed
    down = body.levels.down
    coarse = posed[torch.as_tensor(down[0])][torch.as_tensor(down[1])]
    return torch.cat([joints[list(EVALUATION_14_FROM_H36M)], coarse]) - joints[_PELVIS]


def losses(
    prediction: Prediction, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares meshes and joints: `token_*` are those that it places, the others are regressed from its mesh.

    True meshes have their pelvis at the origin; predicted ones are compared as they are and so learn to be there.
    """
    assert prediction.joints3d is not None and prediction.mesh_levels is not None
    coarse, middle, full = prediction.mesh_levels
    regressed = body.h36m_joints(full).index_select(1, places(EVALUATION_14_FROM_H36M, full.device))
    pairs = orthographic_pairs("", regressed, prediction.cam, targets)
    pairs |= orthographic_pairs("token_", prediction.joints3d, prediction.cam, targets)
    if (true := targets.vertices) is not None:
        moved = true.values - body.h36m_joints(true.values)[:, _PELVIS, None]
        true_middle = moved.index_select(1, body.kept_vertices(1))
        true_coarse = true_middle.index_select(1, body.kept_vertices(2))
        pairs |= {
            "vertices": (full, true._replace(values=moved)),
            "middle_vertices": (middle, true._replace(values=true_middle)),
            "coarse_vertices": (coarse, true._replace(values=true_coarse)),
        }
    return mean_errors(pairs, recipe.losses)


def _split(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Splits (B, T, C) -> joints (B, 14, C), vertices (B, T - 63, C), grid cells (B, 49, C)."""
    joints, vertices, grid = tokens.split([_JOINTS, tokens.shape[1] - _JOINTS - _GRID, _GRID], dim=1)
    return joints, vertices, grid
