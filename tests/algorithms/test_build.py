import numpy as np
import pytest
import torch

from hmrcli.algorithms import ALGORITHMS, build_network
from hmrcli.algorithms.hmr import build_hmr
from hmrcli.algorithms.predict import load_network, predict
from hmrcli.body import load_body
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.layers import Crops, Prediction, load_mean_parameters
from hmrcli.layers.crops import whole_photos
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.recipe import load_recipe
from tests.algorithms.checks import row_of
from tests.algorithms.golden import images, mean_parameters


@pytest.fixture(scope="module")
def open_body():
    return load_body("open")


@pytest.mark.parametrize("algorithm", [name for name, one in ALGORITHMS.items() if one.makes_bodies])
def test_five_algorithms_on_the_open_body(algorithm, open_body):
    network = build_network(row_of(algorithm), open_body).eval()
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
        assert prediction.joints is None
        return
    expected = open_body(prediction.rotmat, prediction.betas)
    torch.testing.assert_close(prediction.vertices, expected.vertices)
    torch.testing.assert_close(prediction.joints, expected.joints)
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


def test_crops_and_their_pictures_alone_are_answered_alike(open_body):
    network = build_network(load_recipe("hmr_normal"), open_body).eval()
    crops = whole_photos(images()[:1])
    with torch.inference_mode():
        for ours, theirs in zip(network(crops), network(crops.images)):
            assert ours is theirs is None or torch.equal(ours, theirs)
        cut = Crops(torch.randint(0, 255, (2, 224, 224, 3), dtype=torch.uint8), *crops[1:])
        assert predict(network, cut).vertices.shape == (2, open_body.num_vertices, 3)


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
