import pytest
import torch

from hmrcli.algorithms.graphcmr import GraphCMR, build_graphcmr
from hmrcli.layers.graph import MeshMatrix
from hmrcli.layers.polar import polar_rotation
from tests.algorithms.checks import (
    assert_rotations,
    assert_same,
    assert_trains,
    parameter_count,
    published_state,
)
from tests.algorithms.golden import assert_close, golden, images, regenerate


@pytest.fixture(scope="module")
def network(body) -> GraphCMR:
    network = build_graphcmr(body)
    regenerate(network.graph_cnn)  # the two parts are two files in one, with names of their own
    regenerate(network.smpl_param_regressor)
    return network.eval()


def test_equals_published_network(network, body):
    expected = golden("graphcmr")
    assert published_state(network) == set(expected["state"])
    assert parameter_count(network.graph_cnn) == 27_640_672
    assert parameter_count(network.graph_cnn.resnet) == 25_557_032
    assert parameter_count(network.graph_cnn.gc) == 2_044_928
    assert parameter_count(network.graph_cnn.shape) == 32_771
    assert parameter_count(network.graph_cnn.camera_fc) == 5_941
    assert parameter_count(network.smpl_param_regressor) == 15_027_426
    assert_close(network.graph_cnn.template, expected["ref_vertices"])
    with torch.inference_mode():
        prediction = network(images())
    mesh, full = prediction.mesh_levels
    assert_close(mesh, expected["vertices_sub"])
    assert_close(prediction.cam, expected["cam"])
    assert_close(prediction.rotmat, expected["rotmat"])
    assert_close(prediction.betas, expected["betas"])
    assert torch.equal(prediction.vertices, body(prediction.rotmat, prediction.betas).vertices)
    index, weight = body.levels.up[0]
    upsampled = (mesh[:, index] * torch.from_numpy(weight)[..., None]).sum(2)
    torch.testing.assert_close(full, upsampled)


def test_template_ignores_place_and_size_of_the_body(body, network):
    moved = type(body)((3 * body.v_template + 5).numpy())
    torch.testing.assert_close(build_graphcmr(moved).graph_cnn.template, network.graph_cnn.template)


def test_samples_do_not_mix(network):
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert_same(network(batch), [network(one[None]) for one in batch])


def test_trains_with_the_regressor_behind_a_wall(body):
    network = build_graphcmr(body).train()
    prediction = network(torch.randn(2, 3, 64, 64))
    (prediction.rotmat.sum() + prediction.betas.sum()).backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in network.graph_cnn.parameters())
    assert_trains(network, [prediction.rotmat, prediction.betas, prediction.cam, *prediction.mesh_levels])


def test_sparse_matrix_multiplies_a_batch_and_its_gradient():
    torch.manual_seed(0)
    dense = torch.rand(5, 7) * (torch.rand(5, 7) < 0.4)
    dense[2] = 0  # an empty row
    sparse = MeshMatrix(dense.to_sparse())
    x = torch.randn(3, 7, 4, requires_grad=True)
    torch.testing.assert_close(sparse(x), dense @ x)
    weight = torch.randn(3, 5, 4)
    (gradient,) = torch.autograd.grad((sparse(x) * weight).sum(), x)
    torch.testing.assert_close(gradient, dense.T @ weight)
    assert not sparse.state_dict()


def test_rotation_is_polar_factor_times_its_determinant():
    torch.manual_seed(0)
    matrices = torch.randn(64, 3, 3)
    rotations = polar_rotation(matrices)
    assert_rotations(rotations)
    u, _, vt = torch.linalg.svd(matrices)
    assert (torch.linalg.det(u @ vt) < 0).any()
    torch.testing.assert_close(rotations, u @ vt * torch.linalg.det(u @ vt)[:, None, None], atol=1e-5, rtol=0)


def test_rotation_has_a_finite_gradient_where_singular_values_coincide():
    matrices = torch.stack(
        [torch.eye(3), -torch.eye(3), torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 1, 0]))]
    )
    matrices.requires_grad_()
    (polar_rotation(matrices) * torch.randn(4, 3, 3)).sum().backward()
    assert matrices.grad.isfinite().all()


def test_rotation_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    matrices = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(polar_rotation, matrices)
