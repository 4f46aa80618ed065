import pytest
import torch

from hmrcli.algorithms.graphormer import build_graphormer
from hmrcli.algorithms.hmr import build_hmr
from hmrcli.algorithms.pare import build_pare
from hmrcli.algorithms.pose import STRIDE, build_pose, peaks
from hmrcli.errors import BadInput, MissingFile
from hmrcli.layers import load_backbone, save_weights
from hmrcli.layers.resnet import resnet18
from hmrcli.layers.unused import unused_names
from hmrcli.layers.weights import Undrawn
from tests.algorithms.checks import assert_trains, parameter_count


def test_resnet18_has_the_published_names_and_size():
    network = resnet18()
    assert parameter_count(network) == 11_176_512
    state = network.state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.1.bn2.running_var"].shape == (64,)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert "layer1.0.downsample.0.weight" not in state
    assert len(state) == 120  # torchvision's 122 less the classifier's two
    assert network.eval()(torch.zeros(1, 3, 128, 128)).shape == (1, 512, 4, 4)


def test_hmr_stands_on_resnet18(body):
    network = build_hmr(body, "resnet18").train()
    prediction = network(torch.randn(2, 3, 128, 128))
    assert network.head.fc1.in_features == 512 + 144 + 10 + 3
    assert_trains(network, [prediction.cam, prediction.vertices, prediction.rotmat, prediction.betas])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "hrnet_w32", "hrnet_w48"])
def test_heatmaps_teach_every_parameter(backbone):
    torch.manual_seed(0)
    network = build_pose(backbone).train()
    heatmaps = network(torch.randn(2, 3, 64, 64))
    assert heatmaps.shape == (2, 17, 64 // STRIDE, 64 // STRIDE)
    assert_trains(network, [heatmaps])
    unread = {name.split(".")[1] for name in unused_names(network)}
    assert unread <= {"final_layer", "incre_modules", "downsamp_modules", "classifier"}
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(("backbone", "build"), [("hrnet_w32", build_pare), ("hrnet_w48", build_graphormer)])
def test_a_pose_backbone_fits_the_network_that_starts_from_it(backbone, build, body, tmp_path):
    torch.manual_seed(0)
    taught = build_pose(backbone).backbone
    unread = unused_names(taught)
    state = {name: value for name, value in taught.state_dict().items() if name not in unread}
    torch.save(state, tmp_path / "pose.pth")
    with Undrawn():
        network = build(body, backbone)
    report = load_backbone(network, tmp_path / "pose.pth")
    assert set(report.matched) == set(state)
    assert torch.equal(network.backbone.conv1.weight, taught.conv1.weight)
    left_alone = {name.split(".")[0] for name in report.missing}
    assert left_alone <= {"final_layer", "incre_modules", "downsamp_modules", "classifier"}


def test_another_backbone_or_none_is_refused(body, tmp_path):
    save_weights(build_pose("resnet18").backbone, tmp_path / "pose.safetensors")
    with pytest.raises(BadInput, match=r"the file is a bare ResNet-18, the backbone is a bare ResNet-50"):
        load_backbone(build_hmr(body), tmp_path / "pose.safetensors")
    with pytest.raises(MissingFile, match=r"none\.safetensors is missing"):
        load_backbone(build_hmr(body), tmp_path / "none.safetensors")


def test_peaks_are_found_between_cells():
    places = torch.tensor([[[3.0, 5.0], [7.2, 2.8], [0.0, 11.0], [15.0, 4.3]]])
    cells = torch.arange(16.0)
    across, down = (torch.exp(-(cells - places[..., i, None]).square() / 8) for i in (0, 1))
    heatmaps = (down[..., :, None] * across[..., None, :])[..., :12, :]
    found, height = peaks(heatmaps)
    assert found.shape == (1, 4, 2)
    torch.testing.assert_close(found[0, 1], torch.tensor([7.25, 2.75]))
    torch.testing.assert_close(found[0, 2], torch.tensor([0.0, 11.0]))
    torch.testing.assert_close(found[0, 3], torch.tensor([15.0, 4.25]))
    assert ((found - places).abs() <= 0.25).all()
    torch.testing.assert_close(height[0, 0], torch.tensor(1.0))
