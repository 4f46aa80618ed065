import pytest
import torch
from torch import nn

from hmrcli.algorithms.hmr import HMR, build_hmr
from hmrcli.layers import Discriminator
from hmrcli.layers.mean_parameters import rest_parameters
from tests.algorithms.checks import (
    assert_rotations,
    assert_same,
    assert_trains,
    parameter_count,
    published_state,
)
from tests.algorithms.golden import assert_close, golden, images, mean_parameters, regenerate


@pytest.fixture(scope="module")
def network(body) -> HMR:
    network = build_hmr(body, mean=mean_parameters())
    regenerate(network)
    return network.eval()


def test_equals_published_network(network):
    expected = golden("hmr")
    assert published_state(network) == set(expected["state"])
    assert parameter_count(network) == 26_977_501
    assert parameter_count(network.head) == 3_469_469
    assert parameter_count(network.backbone) == 23_508_032
    with torch.inference_mode():
        assert_close(network.features(images()), expected["features"])
        prediction = network(images())
    assert_close(prediction.rotmat, expected["rotmat"])
    assert_close(prediction.betas, expected["betas"])
    assert_close(prediction.cam, expected["cam"])


def test_vertices_are_the_body_of_pose_and_shape(network, body):
    with torch.inference_mode():
        prediction = network(torch.randn(1, 3, 64, 64))
        expected = body(prediction.rotmat, prediction.betas).vertices
    assert torch.equal(prediction.vertices, expected)
    assert prediction.part_maps is prediction.joints3d is prediction.mesh_levels is None


def test_samples_do_not_mix(network):
    batch = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        assert_same(network(batch), [network(one[None]) for one in batch])


def test_more_iterations_correct_further(body):
    torch.manual_seed(0)
    once, thrice = build_hmr(body, iterations=1).eval(), build_hmr(body, iterations=3).eval()
    thrice.load_state_dict(once.state_dict())
    features = torch.randn(1, 2048)
    _, shape_once, _ = once.head(features)
    _, shape_thrice, _ = thrice.head(features)
    assert shape_thrice.norm() > 1.5 * shape_once.norm()


def test_training_drops_units_and_reaches_every_parameter(body):
    network = build_hmr(body).train()
    batch = torch.randn(2, 3, 64, 64)
    first, second = network(batch), network(batch)
    assert not torch.equal(first.betas, second.betas)
    assert_trains(network, [first.rotmat, first.betas, first.cam, first.vertices])


def test_mixed_precision_keeps_rotations(network):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        prediction = network(torch.randn(2, 3, 64, 64))
    assert_rotations(prediction.rotmat)
    assert prediction.vertices.dtype == prediction.cam.dtype == torch.float32


def test_starts_upright_before_the_camera(body):
    network = build_hmr(body).eval()
    for layer in (network.head.decpose, network.head.decshape, network.head.deccam):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    rotmat, betas, cam = network.head(torch.randn(1, 2048))
    expected = torch.eye(3).repeat(24, 1, 1)
    expected[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    torch.testing.assert_close(rotmat[0], expected)
    assert betas.abs().max() == 0
    torch.testing.assert_close(cam, rest_parameters().cam)


def test_hrnet_features_are_runs_of_the_flat_maps(body):
    class Maps(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.arange(480 * 56 * 56, dtype=torch.float32).view(1, 480, 56, 56)

    network = build_hmr(body)
    network.backbone = Maps()
    features = network.features(torch.zeros(1, 3, 224, 224))
    run = 480 * 56 * 56 // 2048
    torch.testing.assert_close(
        features[0], torch.arange(2048) * float(run) + (run - 1) / 2, rtol=1e-5, atol=1
    )


def test_discriminator_equals_published_one():
    expected = golden("hmr_discriminator")
    network = Discriminator()
    regenerate(network)
    assert published_state(network) == set(expected["state"])
    assert parameter_count(network) == 1_807_509
    rotmat, betas = torch.from_numpy(expected["rotmat"]), torch.from_numpy(expected["betas"])
    with torch.inference_mode():
        assert_close(network(rotmat, betas), expected["score"])
        turned = torch.cat([rotmat[:, :1].mT, rotmat[:, 1:]], dim=1)
        assert torch.equal(network(turned, betas), network(rotmat, betas))
    assert_trains(network, [network(rotmat, betas)])
