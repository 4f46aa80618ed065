import pytest
import torch

from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.layers import Discriminator
from hmrcli.training.losses import (
    RotationsAndShape,
    discriminator_losses,
    generator_loss,
    least_squares,
)
from tests.algorithms.golden import golden


def bodies_of(*parts):
    return [RotationsAndShape(*part) for part in parts]


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
    losses = discriminator_losses(discriminator, *bodies_of(real, fake))
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
    assert not fake[0].grad[:, 0].any()  # the root has no score
    assert all(parameter.grad is None and parameter.requires_grad for parameter in discriminator.parameters())


def test_the_game_can_be_won_by_both(bodies):
    real, fake = bodies
    discriminator = Discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(discriminator_losses(discriminator, *bodies_of(real, fake)).values()).backward()
        optimizer.step()
    assert discriminator(*real).mean() > discriminator(*fake).mean() + 0.2
    before = generator_loss(discriminator, *fake)
    rotmat, betas = torch.autograd.grad(before, fake)
    assert generator_loss(discriminator, fake[0] - rotmat, fake[1] - betas) < before


def test_scores_are_float32_under_autocast(bodies):
    real, fake = bodies
    discriminator = Discriminator()
    plain = [
        *discriminator_losses(discriminator, *bodies_of(real, fake)).values(),
        generator_loss(discriminator, *fake),
    ]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = [
            *discriminator_losses(discriminator, *bodies_of(real, fake)).values(),
            generator_loss(discriminator, *fake),
        ]
    for a, b in zip(plain, mixed):
        assert b.dtype == torch.float32
        assert torch.equal(a, b)
