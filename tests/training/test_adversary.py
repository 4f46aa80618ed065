import numpy as np
import pytest
import torch

from hmrcli.body.rotations import pose_from_rotmat, rotmat_from_pose
from hmrcli.networks import Discriminator
from hmrcli.training.adversary import discriminator_losses, draw_poses, generator_loss, least_squares
from tests.networks.golden import golden


@pytest.fixture
def bodies():
    torch.manual_seed(0)
    real, fake = ((rotmat_from_pose(torch.randn(n, 72)), torch.randn(n, 10)) for n in (3, 4))
    return real, tuple(part.requires_grad_() for part in fake)


def test_least_squares_of_the_original():
    data = {name: torch.from_numpy(array) for name, array in golden("losses").items()}
    for name, target in (("real", 1.0), ("fake", 0.0), ("generator", 1.0)):
        torch.testing.assert_close(
            least_squares(data["disc_score"], target), data[f"loss:gan/{name}"], rtol=1e-5, atol=1e-6
        )


def test_discriminator_learns_and_the_prediction_does_not(bodies):
    real, fake = bodies
    discriminator = Discriminator()
    losses = discriminator_losses(discriminator, real, fake)
    torch.testing.assert_close(losses["real"], (discriminator(*real) - 1).square().mean())
    torch.testing.assert_close(losses["fake"], discriminator(*fake).square().mean())
    sum(losses.values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in discriminator.parameters())
    assert all(part.grad is None for part in fake)


def test_prediction_learns_and_the_discriminator_does_not(bodies):
    fake = bodies[1]
    discriminator = Discriminator()
    loss = generator_loss(discriminator, *fake)
    torch.testing.assert_close(loss, (discriminator(*fake) - 1).square().mean())
    loss.backward()
    assert all(part.grad.abs().sum() > 0 for part in fake)
    assert not fake[0].grad[:, 0].any()  # the root is not judged
    assert all(parameter.grad is None and parameter.requires_grad for parameter in discriminator.parameters())


def test_the_game_can_be_won_by_both(bodies):
    real, fake = bodies
    discriminator = Discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(discriminator_losses(discriminator, real, fake).values()).backward()
        optimizer.step()
    assert discriminator(*real).mean() > discriminator(*fake).mean() + 0.2
    before = generator_loss(discriminator, *fake)
    rotmat, betas = torch.autograd.grad(before, fake)
    assert generator_loss(discriminator, fake[0] - rotmat, fake[1] - betas) < before


def test_scores_are_float32_under_autocast(bodies):
    real, fake = bodies
    discriminator = Discriminator()
    plain = [*discriminator_losses(discriminator, real, fake).values(), generator_loss(discriminator, *fake)]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = [
            *discriminator_losses(discriminator, real, fake).values(),
            generator_loss(discriminator, *fake),
        ]
    for a, b in zip(plain, mixed):
        assert b.dtype == torch.float32
        assert torch.equal(a, b)


def test_real_bodies_are_drawn_evenly_and_repeatably():
    pose = np.linspace(-1, 1, 5 * 72, dtype=np.float32).reshape(5, 72)
    betas = np.repeat(np.arange(5, dtype=np.float32)[:, None], 10, axis=1)
    rotmat, drawn = draw_poses(pose, betas, 500, np.random.default_rng(3))
    assert rotmat.shape == (500, 24, 3, 3)
    assert rotmat.dtype == drawn.dtype == torch.float32
    rows = drawn[:, 0].long()
    torch.testing.assert_close(pose_from_rotmat(rotmat), torch.from_numpy(pose)[rows], atol=1e-5, rtol=0)
    assert rows.bincount(minlength=5).min() > 60
    again = draw_poses(pose, betas, 500, np.random.default_rng(3))
    assert torch.equal(again[0], rotmat)
    assert torch.equal(again[1], drawn)


@pytest.mark.parametrize(("pose", "betas"), [((0, 72), (0, 10)), ((2, 69), (2, 10)), ((2, 72), (3, 10))])
def test_wrong_arrays_are_refused(pose, betas):
    with pytest.raises(ValueError, match=r"expected pose \(N, 72\) and betas \(N, 10\) with N > 0, found"):
        draw_poses(np.zeros(pose, np.float32), np.zeros(betas, np.float32), 2, np.random.default_rng())
