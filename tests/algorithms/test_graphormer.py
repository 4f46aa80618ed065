import numpy as np
import pytest
import torch

from hmrcli.algorithms.graphormer import Graphormer, build_graphormer, rest_tokens
from hmrcli.errors import BadInput
from hmrcli.layers import load_backbone, load_weights
from hmrcli.layers.hrnet import ClassificationHRNet, PoseHRNet
from tests.algorithms.checks import assert_same, parameter_count, published_state
from tests.algorithms.golden import MadeUpBody, assert_close, golden, images, regenerate
from tests.layers.test_weights import constant


@pytest.fixture(scope="module")
def upright() -> MadeUpBody:
    """The golden template is posed already; this body becomes it when the network turns it upright."""
    return MadeUpBody(golden("graphormer")["template"] * np.array([1, -1, -1], np.float32))


@pytest.fixture(scope="module")
def network(upright) -> Graphormer:
    return build_graphormer(upright).eval()


def test_equals_published_network(network):
    expected = golden("graphormer")
    assert published_state(network) == set(expected["state"])
    assert parameter_count(network) == 175_622_190
    assert parameter_count(network.backbone) == 77_469_864
    encoders = [parameter_count(encoder) for encoder in network.trans_encoder]
    assert encoders == [70_632_960, 10_480_896, 2_204_742]
    language = sum(
        parameter_count(e.bert.embeddings) + parameter_count(e.bert.pooler) for e in network.trans_encoder
    )
    assert sum(encoders) - language == 40_483_974
    regenerate(network)
    with torch.inference_mode():
        feature, grid = network.backbone(images())
        prediction = network.regress(feature, grid)
    assert_close(feature, expected["features"])
    assert_close(grid.mean((2, 3)), expected["grid"])
    assert_close(prediction.cam, expected["cam"])
    assert_close(prediction.joints3d, expected["joints"])
    coarse, middle, full = prediction.mesh_levels
    assert_close(coarse, expected["vertices_431"])
    assert_close(middle, expected["vertices_1723"])
    assert_close(full[:, ::5], expected["vertices_6890"])
    assert full is prediction.vertices
    assert prediction.rotmat is prediction.betas is None


def test_references_stand_upright_around_the_pelvis(body):
    references = rest_tokens(body)
    joints = (
        body.h36m_regressor @ body.v_template - body.h36m_regressor[0] @ body.v_template
    ) * torch.tensor([1.0, -1.0, -1.0])
    rows = {"right ankle": 6, "right knee": 5, "right hip": 4, "left hip": 1, "left knee": 2, "left ankle": 3}
    torch.testing.assert_close(references[:6], joints[list(rows.values())], atol=1e-6, rtol=0)
    torch.testing.assert_close(references[13], joints[10], atol=1e-6, rtol=0)
    assert len(references) == 14 + body.levels.sizes[2]


def test_samples_do_not_mix(network):
    feature, grid = torch.randn(2, 2048), torch.randn(2, 1024, 7, 7)
    with torch.inference_mode():
        parts = [network.regress(feature[i : i + 1], grid[i : i + 1]) for i in range(2)]
        assert_same(network.regress(feature, grid), parts)


def test_hides_up_to_three_tenths_of_joints_and_of_vertices(network):
    torch.manual_seed(0)
    hidden = network.hidden_tokens(400)
    for part, most in ((hidden[:, :14], 4), (hidden[:, 14:], 129)):
        counts = part.sum(1)
        assert counts.min() == 0 and most - 2 <= counts.max() <= most
        assert part.any(0).all(), "every token is hidden at times"
    network.masked_fraction = 0.0
    assert not network.hidden_tokens(10).any()
    network.masked_fraction = 0.3


def test_hidden_tokens_are_constant_and_cells_are_not_hidden(network):
    torch.manual_seed(0)
    linear = network.trans_encoder[0].residual
    feature, cells, hidden = torch.randn(2, 2048), torch.randn(2, 49, 2051), torch.rand(2, 445) < 0.3
    tokens = torch.cat([network.references.expand(2, -1, -1), feature[:, None].expand(-1, 445, -1)], dim=2)
    tokens[hidden] = 0.01
    with torch.inference_mode():
        mapped = network.map_tokens(linear, feature, cells, hidden)
        torch.testing.assert_close(mapped, linear(torch.cat([tokens, cells], dim=1)), atol=1e-4, rtol=1e-4)


def test_training_hides_tokens_at_random(network):
    """That every parameter that is read learns is tested with the row's losses (tests/training)."""
    network.train()
    feature, grid = torch.randn(1, 2048), torch.randn(1, 1024, 7, 7)
    with torch.inference_mode():
        assert not torch.equal(*(network.regress(feature, grid).vertices for _ in range(2)))
    network.eval()


def test_loads_published_layout_without_language_parts(network, tmp_path):
    state = {f"module.{name}": constant(value, 0.5) for name, value in network.state_dict().items()}
    language = {name for name in state if ".bert.embeddings." in name or ".pooler." in name}
    torch.save(
        {name: value for name, value in state.items() if name not in language}, tmp_path / "state_dict.bin"
    )
    report = load_weights(network, tmp_path / "state_dict.bin")
    assert set(report.missing) == {name.removeprefix("module.") for name in language}
    assert not report.unexpected
    assert (network.cam_param_fc2.weight == 0.5).all()


def test_refuses_another_backbone_and_says_which(network, tmp_path):
    with torch.device("meta"):
        wide = ClassificationHRNet(width=64)
    assert parameter_count(wide) == 128_059_944
    state = {name: constant(value) for name, value in network.state_dict().items() if "backbone" not in name}
    state |= {f"backbone.{name}": constant(value) for name, value in wide.state_dict().items()}
    torch.save(state, tmp_path / "wide.bin")
    with pytest.raises(BadInput, match=r"wide.bin: .*HRNet-W64 .*this network is .*HRNet-W48 "):
        load_weights(network, tmp_path / "wide.bin")


def test_pose_file_fills_most_of_the_classification_backbone(network, tmp_path):
    with torch.device("meta"):
        pose = PoseHRNet(width=48)
    state = {name: constant(v, 2.0) for name, v in pose.state_dict().items() if "upsample_stage" not in name}
    state["final_layer.weight"] = torch.zeros(17, 48, 1, 1)
    torch.save({"state_dict": state}, tmp_path / "hrnetw48_coco_pose.pth")
    report = load_backbone(network, tmp_path / "hrnetw48_coco_pose.pth")
    assert set(report.unexpected) == {"final_layer.weight", "final_layer.bias"}
    parts = {name.partition(".")[0] for name in report.missing}
    assert parts == {"incre_modules", "downsamp_modules", "final_layer", "classifier"}
    assert (network.backbone.stage4[2].fuse_layers[0][3][0].weight == 2).all()
