import pytest
import torch
from torch import nn

from hmrcli.algorithms import build_network
from hmrcli.algorithms.pare import PARE, build_pare
from hmrcli.body.rotations import rotmat_from_6d
from hmrcli.layers.unused import unused_names
from hmrcli.recipe import load_recipe
from hmrcli.training.learner import set_training
from hmrcli.training.start import open_mean_parameters
from tests.algorithms.checks import (
    assert_rotations,
    assert_same,
    assert_trains,
    parameter_count,
    published_state,
)
from tests.algorithms.golden import assert_close, golden, images, regenerate


@pytest.fixture(scope="module")
def network(body) -> PARE:
    network = build_pare(body)
    regenerate(network)
    return network.eval()


def test_equals_published_network(network):
    expected = golden("pare")
    assert published_state(network) == set(expected["state"])
    assert parameter_count(network) == 32_861_502
    assert parameter_count(network.head) == 1_451_750
    with torch.inference_mode():
        features = network.backbone(images())
        rotmat, betas, cam, part_maps = network.head(features)
    assert features.shape == (2, 480, 56, 56)
    assert_close(features.mean((2, 3)), expected["features"])
    assert_close(part_maps[:, :, ::4, ::4], expected["part_maps"])
    assert_close(rotmat, expected["rotmat"])
    assert_close(betas, expected["betas"])
    assert_close(cam, expected["cam"])


def test_samples_do_not_mix(network):
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        whole = network(batch)
        assert_same(whole, [network(one[None]) for one in batch])
    assert whole.part_maps.shape == (2, 25, 16, 16)
    assert_rotations(whole.rotmat)


def test_trains_with_frozen_statistics(body):
    network = build_pare(body)
    set_training(network, load_recipe("pare_normal"))
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert network.head.keypoint_deconv_layers[1].training
    before = norms[0].running_mean.clone()
    prediction = network(torch.randn(2, 3, 64, 64))
    assert torch.equal(norms[0].running_mean, before)
    assert_trains(network, [prediction.rotmat, prediction.betas, prediction.cam, prediction.part_maps])


def test_on_a_pyramid_it_starts_at_the_mean_and_trains(body):
    torch.manual_seed(0)
    mean = open_mean_parameters(bodies=50)
    network = build_pare(body, "resnet18", mean=mean).train()
    assert network.backbone(torch.randn(2, 3, 128, 128)).shape == (2, 128, 16, 16)
    prediction = network(torch.randn(2, 3, 128, 128))
    assert prediction.part_maps.shape == (2, 25, 16, 16)
    torch.testing.assert_close(prediction.betas, mean.shape.expand(2, -1), atol=0.05, rtol=0)
    torch.testing.assert_close(prediction.cam, mean.cam.expand(2, -1), atol=0.05, rtol=0)
    expected = rotmat_from_6d(mean.pose.unflatten(1, (24, 6))).expand(2, -1, -1, -1)
    torch.testing.assert_close(prediction.rotmat, expected, atol=0.2, rtol=0)
    assert_rotations(prediction.rotmat.detach())
    assert_trains(network, [prediction.rotmat, prediction.betas, prediction.cam, prediction.part_maps])


def test_the_mean_travels_with_the_weights(body):
    recipe = load_recipe("open_quick")
    trained = build_network(recipe, body, open_mean_parameters(bodies=50)).eval()
    loaded = build_network(recipe, body).eval()
    assert not any("init_" in name for name in unused_names(loaded))
    loaded.load_state_dict(trained.state_dict())
    batch = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        assert_same(loaded(batch), [trained(batch)])
