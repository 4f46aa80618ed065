import io
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from hmrcli.algorithms.graphcmr import build_graphcmr
from hmrcli.algorithms.hmr import build_hmr
from hmrcli.algorithms.pare import build_pare
from hmrcli.errors import BadInput, MissingFile
from hmrcli.layers import load_backbone, load_weights, save_weights
from hmrcli.layers.hrnet import PoseHRNet
from hmrcli.layers.resnet import Bottleneck, ResNet, resnet50


def constant(value: Tensor, number: float = 0.25) -> Tensor:
    """A tensor of one number that takes no room in a file."""
    number = number if value.is_floating_point() else 0
    return torch.full((), number, dtype=value.dtype).expand(value.shape)


def constants(network: nn.Module) -> dict[str, Tensor]:
    return {name: constant(value) for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def hmr(body):
    return build_hmr(body)


@pytest.fixture(scope="module")
def pare(body):
    return build_pare(body)


@pytest.fixture(scope="module")
def graphcmr(body):
    return build_graphcmr(body)


def assert_filled(network: nn.Module, path, unexpected: set[str] = frozenset()) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = load_weights(network, path)
    assert set(report.matched) == set(before)
    assert report.missing == ()
    assert set(report.unexpected) == unexpected
    for name, value in network.state_dict().items():
        assert torch.equal(value, constant(value)), name
    network.load_state_dict(before)


BODY = {"body_model_train.betas": torch.zeros(1, 10), "body_model_test.J_regressor": torch.zeros(24, 9)}


def test_mmhuman3d_layout(hmr, tmp_path):
    extra = {"disc.shape_discriminator.fc_blocks.regressor_fc_0.weight": torch.zeros(5, 10), **BODY}
    file = {
        "meta": {"epoch": 100},
        "state_dict": constants(hmr) | extra,
        "optimizer": {"backbone": {"state": {}}},
    }
    torch.save(file, tmp_path / "hmr.pth")
    assert_filled(hmr, tmp_path / "hmr.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_spin_layout(hmr, tmp_path, zipped):
    flat = {name.partition(".")[2]: value for name, value in constants(hmr).items()}
    file = {"model": flat, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "epoch": 3}
    torch.save(file, tmp_path / "model_checkpoint.pt", _use_new_zipfile_serialization=zipped)
    assert_filled(hmr, tmp_path / "model_checkpoint.pt")


def test_graphcmr_layout(graphcmr, tmp_path):
    parts: dict[str, dict[str, Tensor]] = {"graph_cnn": OrderedDict(), "smpl_param_regressor": OrderedDict()}
    for name, value in constants(graphcmr).items():
        part, _, rest = name.partition(".")
        parts[part][f"module.{rest}"] = value
    torch.save({**parts, "optimizer": {}}, tmp_path / "cmr.pt")
    assert_filled(graphcmr, tmp_path / "cmr.pt")


def test_lightning_layout(pare, tmp_path):
    state = {f"model.{name}": value for name, value in constants(pare).items()}
    state["model.smpl.smpl.v_template"] = torch.zeros(5, 3)
    file = {"state_dict": state, "epoch": 1, "optimizer_states": [], "lr_schedulers": []}
    torch.save(file, tmp_path / "pare.ckpt")
    assert_filled(pare, tmp_path / "pare.ckpt")


def test_own_layout(hmr, tmp_path):
    path = tmp_path / "model.safetensors"
    for value in hmr.state_dict().values():
        value.copy_(constant(value))
    save_weights(hmr.to(memory_format=torch.channels_last), path, {"recipe": "hmr_l1"})
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    assert_filled(hmr, path)
    assert_filled(hmr, path.rename(tmp_path / "renamed.bin"))


def test_writing_that_fails_leaves_the_old_file(hmr, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_weights(hmr, path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_has_no_place_is_reported(hmr, tmp_path):
    torch.save(constants(hmr) | {"head.extra": torch.zeros(1)}, tmp_path / "x.pth")
    assert_filled(hmr, tmp_path / "x.pth", unexpected={"head.extra"})


def test_batch_counters_may_be_missing(hmr, tmp_path):
    state = {name: value for name, value in constants(hmr).items() if "num_batches" not in name}
    torch.save(state, tmp_path / "old.pth")
    report = load_weights(hmr, tmp_path / "old.pth")
    assert report.missing and all(name.endswith("num_batches_tracked") for name in report.missing)


def test_refuses_another_network_and_says_which(hmr, pare, graphcmr, tmp_path):
    torch.save({"state_dict": constants(pare)}, tmp_path / "a.pth")
    with pytest.raises(
        BadInput, match=r"a.pth: holds PARE with HRNet-W32 .*this network is HMR or SPIN or CLIFF"
    ):
        load_weights(hmr, tmp_path / "a.pth")
    flat = {name.partition(".")[2]: value for name, value in constants(hmr).items()}
    torch.save({"model": flat}, tmp_path / "b.pth")
    with pytest.raises(
        BadInput, match=r"b.pth: holds HMR or SPIN or CLIFF with ResNet-50, this network is PARE"
    ):
        load_weights(pare, tmp_path / "b.pth")
    state = constants(graphcmr) | {"graph_cnn.camera_fc.4.weight": torch.zeros(3, 99)}
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(BadInput, match=r"GraphCMR with .* on a mesh of 99 vertices, .* of 1723 vertices"):
        load_weights(graphcmr, tmp_path / "c.pth")
    torch.save(resnet50().state_dict(), tmp_path / "d.pth")
    with pytest.raises(
        BadInput, match=r"holds a bare ResNet-50, this network is HMR or SPIN or CLIFF with ResNet-50"
    ):
        load_weights(hmr, tmp_path / "d.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "e.pth")
    with pytest.raises(BadInput, match="no network known here"):
        load_weights(hmr, tmp_path / "e.pth")


def test_refuses_a_deeper_backbone_that_would_fit(hmr, tmp_path):
    with torch.device("meta"):
        deep = ResNet(Bottleneck, blocks=(3, 4, 23, 3))
    state = constants(hmr) | {
        f"backbone.{name}": constant(value) for name, value in deep.state_dict().items()
    }
    torch.save(state, tmp_path / "r101.pth")
    with pytest.raises(BadInput, match="ResNet-101, this network is HMR or SPIN or CLIFF with ResNet-50"):
        load_weights(hmr, tmp_path / "r101.pth")


def test_refuses_incomplete_misshapen_and_failed_weights_untouched(hmr, tmp_path):
    before = {name: value.clone() for name, value in hmr.state_dict().items()}
    state = constants(hmr)
    for wrong, message in (
        ({k: v for k, v in state.items() if k != "head.init_pose"}, "lacks 1 entries .*`head.init_pose`"),
        (
            state | {"head.fc1.weight": torch.zeros(1024, 99)},
            r"`head.fc1.weight` has shape \(1024, 99\)",
        ),
        (state | {"head.deccam.bias": torch.full((3,), torch.nan)}, "`head.deccam.bias` holds .* not finite"),
    ):
        torch.save(wrong, tmp_path / "wrong.pth")
        with pytest.raises(BadInput, match=message):
            load_weights(hmr, tmp_path / "wrong.pth")
    for name, value in hmr.state_dict().items():
        assert torch.equal(value, before[name]), name


class Malicious:
    def __reduce__(self):
        return os.mkdir, (self.target,)

    def __init__(self, target: str) -> None:
        self.target = target


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle 2", "pickle 4"])
def test_a_file_that_would_run_code_is_refused_by_name(hmr, tmp_path, form):
    path, target = tmp_path / "evil.pth", tmp_path / "made"
    payload = {"state_dict": constants(hmr), "hyper_parameters": Malicious(str(target))}
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(Malicious(str(target)), protocol=int(form[-1])))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(BadInput, match=rf"evil.pth: needs .*{os.mkdir.__module__}.mkdir.* refused"):
        load_weights(hmr, path)
    assert not target.exists()


def test_damaged_and_foreign_files_get_one_line(hmr, tmp_path):
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, buffer)
    save_weights(nn.Linear(10, 10), tmp_path / "whole.safetensors")
    legacy = io.BytesIO()
    torch.save({"a": torch.zeros(1000)}, legacy, _use_new_zipfile_serialization=False)
    for name, content in (
        ("cut.pth", buffer.getvalue()[:2000]),
        ("cut_legacy.pth", legacy.getvalue()[:500]),
        ("cut.safetensors", (tmp_path / "whole.safetensors").read_bytes()[:200]),
        ("page.pth", b"\n<!DOCTYPE html><html>Quota exceeded</html>"),
        ("empty.pth", b""),
        ("photo.pth", b"\xff\xd8\xff\xe0" + bytes(300)),
        ("text.safetensors", b"hello"),
        ("list.pth", _saved([torch.zeros(3)])),
        ("numbers.pth", _saved({"state_dict": {"epoch": 3}})),
        ("nested.pth", _saved({"state_dict": 7})),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput) as caught:
            load_weights(hmr, tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ") and "\n" not in message
        assert "hmr download" in message or "again" in message
    with pytest.raises(MissingFile, match="hmr download"):
        load_weights(hmr, tmp_path / "nowhere.pth")


def _saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_backbone_from_a_pose_file(hmr, tmp_path, prefix):
    state = {prefix + name: constant(value) for name, value in hmr.backbone.state_dict().items()}
    state |= {"keypoint_head.deconv_layers.0.weight": torch.zeros(3), "fc.weight": torch.zeros(1000, 2048)}
    torch.save({"state_dict": state}, tmp_path / "resnet50_coco_pose.pth")
    report = load_backbone(hmr, tmp_path / "resnet50_coco_pose.pth")
    assert set(report.matched) == set(hmr.backbone.state_dict()) and not report.missing
    assert set(report.unexpected) == {"keypoint_head.deconv_layers.0.weight", "fc.weight"}
    assert (hmr.backbone.layer4[2].conv3.weight == 0.25).all()


def test_backbone_from_whole_networks(hmr, graphcmr, tmp_path):
    torch.save({"graph_cnn": constants(graphcmr.graph_cnn), "smpl_param_regressor": {}}, tmp_path / "cmr.pt")
    assert not load_backbone(hmr, tmp_path / "cmr.pt").missing
    torch.save({"state_dict": constants(hmr)}, tmp_path / "hmr.pth")
    report = load_backbone(graphcmr, tmp_path / "hmr.pth")
    assert set(report.missing) == {"fc.weight", "fc.bias"}


def test_backbone_of_a_pose_hrnet_lacks_only_the_upsampling(pare, tmp_path):
    state = {k: v for k, v in constants(pare.backbone).items() if not k.startswith("upsample_stage")}
    torch.save(state | {"final_layer.weight": torch.zeros(17, 32, 1, 1)}, tmp_path / "hrnet_coco_pose.pth")
    report = load_backbone(pare, tmp_path / "hrnet_coco_pose.pth")
    assert {name.partition(".")[0] for name in report.missing} == {
        "upsample_stage_2",
        "upsample_stage_3",
        "upsample_stage_4",
        "final_layer",
    }


def test_wrong_backbone_is_refused_with_what_it_is(hmr, pare, tmp_path):
    with torch.device("meta"):
        wide = PoseHRNet(width=48)
    torch.save({name: constant(value) for name, value in wide.state_dict().items()}, tmp_path / "w48.pth")
    for network in (hmr, pare):
        with pytest.raises(BadInput, match=r"holds [0-3]\.\d% .*HRNet-W48 \(pose\).*hmr download backb"):
            load_backbone(network, tmp_path / "w48.pth")
