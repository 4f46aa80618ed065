"""Points of the body against its own forward pass, their derivatives against differences."""

import pytest
import roma
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.fitting.points import STEP, Attachment, BodyState, body_points, pose_points


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def state() -> BodyState:
    generator = torch.Generator().manual_seed(3)
    turn = 0.5 * torch.randn(2, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(2, 10, generator=generator, dtype=torch.float64)
    return BodyState(
        roma.rotvec_to_rotmat(turn), betas, torch.tensor([[0.1, 0.2, 4.0], [0, 0, 3]], dtype=torch.float64)
    )


def test_joints_and_vertices_lie_where_the_body_puts_them(body: BodyModel, state: BodyState) -> None:
    vertices = [332, 2800, 3387, 6191]
    attachments = [Attachment(joint=j) for j in range(24)] + [Attachment(vertex=v) for v in vertices]
    points = pose_points(body_points(body, attachments), state).points
    output = body(state.rotmat.float(), state.betas.float(), state.transl.float())
    torch.testing.assert_close(points[:, :24].float(), output.joints, atol=1e-5, rtol=0)
    # Pose correctives are left out of the points; at the landmark vertices they stay small.
    assert (points[:, 24:].float() - output.vertices[:, vertices]).norm(dim=-1).max() < 0.02


def test_derivatives(body: BodyModel, state: BodyState) -> None:
    model = body_points(
        body, [Attachment(joint=22, offset=(0.0, 0.0, 0.03)), Attachment(vertex=332), Attachment(vertex=3216)]
    )
    jacobian = pose_points(model, state).jacobian
    for column in range(STEP):
        step = torch.zeros(2, STEP, dtype=torch.float64)
        step[:, column] = 1e-6
        ahead, behind = pose_points(model, state.moved(step)), pose_points(model, state.moved(-step))
        torch.testing.assert_close(
            jacobian[..., column], (ahead.points - behind.points) / 2e-6, atol=1e-7, rtol=0
        )


def test_weighted_sums_of_vertices_lie_where_the_body_puts_them(body: BodyModel, state: BodyState) -> None:
    attachments = [Attachment(regressor=row) for row in body.extra_regressor] + [Attachment(vertex=2746)]
    points = pose_points(body_points(body, attachments, correctives=True), state).points
    output = body(state.rotmat.float(), state.betas.float(), state.transl.float())
    expected = torch.cat([body.extra_regressor @ output.vertices, output.vertices[:, [2746]]], 1)
    torch.testing.assert_close(points.float(), expected, atol=1e-5, rtol=0)


def test_derivatives_with_correctives(body: BodyModel, state: BodyState) -> None:
    attachments = [
        Attachment(regressor=1.1 * body.extra_regressor[0]),
        Attachment(vertex=3216),
        Attachment(joint=7),
    ]
    model = body_points(body, attachments, correctives=True)
    jacobian = pose_points(model, state).jacobian
    for column in range(STEP):
        step = torch.zeros(2, STEP, dtype=torch.float64)
        step[:, column] = 1e-6
        ahead, behind = pose_points(model, state.moved(step)), pose_points(model, state.moved(-step))
        torch.testing.assert_close(
            jacobian[..., column], (ahead.points - behind.points) / 2e-6, atol=1e-7, rtol=0
        )
