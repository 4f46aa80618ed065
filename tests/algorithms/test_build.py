import numpy as np
import pytest
import torch

from hmrcli.algorithms import BUILDERS, build_network, load_network
from hmrcli.algorithms.build import build_hmr, build_pare
from hmrcli.body import load_body
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.layers import Prediction, load_mean_parameters
from hmrcli.layers.mean import rest_parameters
from hmrcli.recipe import load_recipe, rules
from tests.algorithms.golden import images, mean_parameters


@pytest.fixture(scope="module")
def open_body():
    return load_body("open")


@pytest.mark.parametrize("algorithm", [name for name in BUILDERS if name != "pose"])
def test_five_algorithms_on_the_open_body(algorithm, open_body):
    network = build_network(load_recipe(f"{algorithm}_normal"), open_body).eval()
    assert not any(name.startswith("body") for name in network.state_dict())
    with torch.inference_mode():
        prediction = network(images()[:1])
    assert isinstance(prediction, Prediction)
    assert prediction.vertices.shape == (1, open_body.num_vertices, 3)
    assert prediction.cam.shape == (1, 3)
    if algorithm == "graphormer":
        assert prediction.rotmat is prediction.betas is None
        assert prediction.joints3d.shape == (1, 14, 3)
        assert [level.shape[1] for level in prediction.mesh_levels] == list(open_body.levels.sizes[::-1])
        return
    expected = open_body(prediction.rotmat, prediction.betas).vertices
    torch.testing.assert_close(prediction.vertices, expected)
    assert (prediction.part_maps is not None) == (algorithm == "pare")
    assert (prediction.mesh_levels is not None) == (algorithm == "graphcmr")


def test_spin_is_hmrs_network(body):
    built = [build_network(load_recipe(f"{n}_l1"), body, mean_parameters()) for n in ("hmr", "spin")]
    assert type(built[0]) is type(built[1])
    assert torch.equal(built[1].head.init_pose, mean_parameters().pose)


def test_hmr_stands_on_hrnet(body):
    network = build_hmr(body, "hrnet_w32").eval()
    with torch.inference_mode():
        assert network.features(images()[:1]).shape == (1, 2048)


def test_recipes_and_builders_know_the_same_networks(body):
    assert list(BUILDERS) == list(rules.BACKBONES)
    with pytest.raises(BadInput, match="'vit', expected one of resnet18, hrnet_w32, hrnet_w48"):
        build_pare(body, "vit")
    with pytest.raises(
        BadInput, match=r"`network\.backbone` is 'hrnet_w48', expected one of resnet18, resnet50, hrnet_w32"
    ):
        build_hmr(body, "hrnet_w48")


def test_mean_parameters_are_read_and_checked(tmp_path):
    mean = mean_parameters()
    assert [tuple(part.shape) for part in mean] == [tuple(part.shape) for part in rest_parameters()]
    with pytest.raises(MissingFile, match="hmr download body"):
        load_mean_parameters(tmp_path / "none.npz")
    path = tmp_path / "mean.npz"
    np.savez(path, pose=np.zeros(144), shape=np.zeros(9), cam=np.zeros(3))
    with pytest.raises(BadInput, match="`shape` has 9 numbers instead of 10"):
        load_mean_parameters(path)
    np.savez(path, pose=np.zeros(144), shape=np.zeros(10))
    with pytest.raises(BadInput, match=r"expected an npz file with pose \(144\)"):
        load_mean_parameters(path)
    path.write_bytes(b"<html>")
    with pytest.raises(BadInput, match="hmr download body"):
        load_mean_parameters(path)


def test_networks_without_bodies_are_refused_where_bodies_are_wanted(open_body, tmp_path):
    with pytest.raises(UsageError, match="open_pose_resnet50 trains a backbone, which makes no bodies"):
        load_network(
            load_recipe("open_pose_resnet50"), tmp_path / "a.safetensors", open_body, torch.device("cpu")
        )
