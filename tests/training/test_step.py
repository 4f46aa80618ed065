"""One step, on networks small enough for a test: the engine's rules rather than the algorithms'."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.world import open_recipe
from hmrcli.algorithms.hmr import HMRHead
from hmrcli.body import BodyModel, load_body
from hmrcli.data.sets import Bodies
from hmrcli.data.training import Batch
from hmrcli.layers import Crops, Prediction
from hmrcli.layers.crops import pixels
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.recipe import Recipe
from hmrcli.training.learner import Learner, learning_rate, make_learner, parameter_groups, set_training
from hmrcli.training.step import NotFinite, read_losses, train_step
from tests.processes import together

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 3


class Small(nn.Module):
    """An HMR whose backbone sees the mean colours of 49 tiles."""

    def __init__(self, body: BodyModel, iterations: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.AvgPool2d(32), nn.Conv2d(3, 2048, 1), nn.BatchNorm2d(2048))
        self.head = HMRHead(rest_parameters(), iterations)
        self.body = body

    def forward(self, crops: torch.Tensor | Crops) -> Prediction:
        rotmat, betas, cam = self.head(self.backbone(pixels(crops)).mean((2, 3)).float())
        posed = self.body(rotmat, betas)
        return Prediction(cam, posed.vertices, rotmat, betas, joints=posed.joints)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def samples(count: int, seed: int = 0) -> Batch:
    """Noise; every third sample has no body, every second joint of it no confidence."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=random)

    keypoints2d, keypoints3d = 112 + 40 * normal(54, 3), normal(54, 4)
    keypoints2d[..., 2] = keypoints3d[..., 3] = 1
    known = torch.arange(count) % 3 > 0
    keypoints3d[~known, ::2, 3] = 0
    flags, numbers = torch.ones(count, dtype=torch.bool), torch.arange(count)
    return Batch(
        images=(128 + 40 * normal(224, 224, 3)).clip(0, 255).byte(),
        affine=torch.zeros(count, 2, 3),
        box=torch.ones(count, 3),
        photo_size=torch.ones(count, 2),
        keypoints2d=keypoints2d,
        keypoints3d=keypoints3d,
        pose=0.2 * normal(72),
        betas=normal(10),
        has_keypoints2d=flags,
        has_keypoints3d=flags,
        has_smpl=known,
        dataset=torch.zeros_like(numbers),
        row=numbers,
        epoch=torch.zeros_like(numbers),
        position=numbers,
        flip=~flags,
        rotation=torch.zeros(count),
    )


def rows_of(batch: Batch, rows: slice) -> Batch:
    return Batch(*(values[rows] for values in batch))


def learner(recipe: Recipe, body: BodyModel, iterations: int = 3, **options: Any) -> Learner:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    real = Bodies(
        (0.2 * random.normal(size=(9, 72))).astype(np.float32), random.normal(size=(9, 10)).astype(np.float32)
    )
    return make_learner(recipe, Small(body, iterations), body, torch.device("cpu"), real, **options)


def without_noise(one: Learner) -> Learner:
    """No dropout and no statistics of the batch: what is left depends on no other sample."""
    one.network.head.eval().train = lambda mode: one.network.head
    frozen = one.recipe.network.model_copy(update={"batch_norm": "frozen"})
    return replace(one, recipe=one.recipe.model_copy(update={"network": frozen}))


def losses_of(one: Learner, micro_batches: list[Batch], step: int, epoch: int) -> dict[str, float]:
    """Takes a step and reads its losses."""
    return next(read_losses([train_step(one, micro_batches, step, epoch)]))


def weights(one: Learner) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in one.network.parameters()])


def test_steps_learn_and_repeat_themselves(body: BodyModel) -> None:
    recipe = open_recipe("hmr_l1")
    batch = samples(4)
    first, second = (learner(recipe, body) for _ in range(2))
    losses = [[losses_of(one, [batch], step, 0) for step in range(STEPS)] for one in (first, second)]
    assert losses[0] == losses[1] and torch.equal(weights(first), weights(second))
    expected = {*recipe.losses, "total", "discriminator_real", "discriminator_fake"}
    assert set(losses[0][0]) == expected
    for each in losses[0]:
        assert each["total"] == pytest.approx(sum(each[name] for name in recipe.losses), rel=1e-5)
    torch.manual_seed(99)  # random numbers of others make no difference
    assert losses_of(first, [batch], STEPS, 0) == losses_of(second, [batch], STEPS, 0)
    course = [losses_of(first, [batch], step, 0)["total"] for step in range(20)]
    assert np.mean(course[-3:]) < 0.8 * losses[0][0]["total"]


def test_gradients_accumulated_over_micro_batches_are_those_of_the_batch(body: BodyModel) -> None:
    batch = samples(6)
    changes = (
        "losses.adversarial.weight=0",
    )  # the discriminator scores before it learns where there are micro-batches
    whole, split = (without_noise(learner(open_recipe("hmr_l1", *changes), body)) for _ in range(2))
    before = weights(whole)
    for step in range(2):
        one = losses_of(whole, [batch], step, 0)
        other = losses_of(split, [rows_of(batch, slice(0, 3)), rows_of(batch, slice(3, 6))], step, 0)
        assert one == pytest.approx(other, rel=1e-4)
    # Adam divides by the gradient's size, so that rounding of the smallest gradients shows; they are few.
    moved, apart = (weights(whole) - before).abs(), (weights(whole) - weights(split)).abs()
    assert apart.sum() < 0.01 * moved.sum()


def test_the_state_brings_back_the_next_step(body: BodyModel) -> None:
    recipe, batch = open_recipe("hmr_normal"), samples(4)
    one, other = learner(recipe, body), learner(recipe, body)
    for step in range(2):
        train_step(one, [batch], step, 0)
    other.network.load_state_dict(one.network.state_dict())
    assert losses_of(learner(recipe, body), [batch], 2, 0) != losses_of(other, [batch], 2, 0)
    other.network.load_state_dict(one.network.state_dict())
    other.load_state(deepcopy(one.state()))
    assert losses_of(one, [batch], 2, 0) == losses_of(other, [batch], 2, 0)
    assert losses_of(one, [batch], 3, 0) == losses_of(other, [batch], 3, 0)


def test_bfloat16_is_close(body: BodyModel) -> None:
    recipe, batch = open_recipe("hmr_normal"), samples(4)
    full = losses_of(learner(recipe, body), [batch], 0, 0)
    half = losses_of(learner(recipe, body, precision="bf16"), [batch], 0, 0)
    assert half == pytest.approx(full, rel=0.05) and half != full


@pytest.mark.parametrize("recipe", ["hmr_normal", "hmr_l1"])
def test_a_loss_that_is_not_finite_changes_nothing_nor_does_what_follows(
    recipe: str, body: BodyModel
) -> None:
    """Also running statistics and the adversary; the losses are read later, when more steps were asked for."""
    one, batch = learner(open_recipe(recipe), body), samples(4)
    bad = batch._replace(betas=batch.betas.clone())
    bad.betas[1] = torch.nan
    taken = [train_step(one, [batch], 0, 0)]
    before = deepcopy((one.network.state_dict(), one.state()))
    taken += [train_step(one, [each], step, 0) for step, each in ((1, bad), (2, batch))]
    assert str(before) == str((one.network.state_dict(), one.state()))
    read = read_losses(taken)
    assert next(read)["total"] > 0
    with pytest.raises(NotFinite) as raised:
        next(read)
    assert raised.value.terms == ("vertices", "betas", "total")
    assert raised.value.step == 1 and raised.value.micro_batches == [bad]


def test_a_step_that_fails_leaves_all_as_it_was(body: BodyModel) -> None:
    """Also running statistics and the adversary, which change before the step is certain to succeed."""

    def fail(batch: Batch, prediction: Prediction) -> dict[str, torch.Tensor]:
        raise MemoryError

    one, batch = learner(open_recipe("hmr_l1"), body), samples(4)
    train_step(one, [batch], 0, 0)
    before = deepcopy((one.network.state_dict(), one.state()))
    with pytest.raises(MemoryError):
        train_step(replace(one, relabel=fail), [batch], 1, 0)
    assert str(before) == str((one.network.state_dict(), one.state()))
    assert losses_of(one, [batch], 1, 0)
    assert str(before[0]) != str(one.network.state_dict())


def test_groups_rates_and_frozen_statistics(body: BodyModel) -> None:
    network = Small(body)
    network.head.fc2.weight.requires_grad_(False)
    groups = parameter_groups(network)
    assert {id(p) for p in groups["backbone"]} == {id(p) for p in network.backbone.parameters()}
    assert {id(p) for p in groups["head"]} == {
        id(p) for p in network.head.parameters() if p is not network.head.fc2.weight
    }
    spin = open_recipe("spin_normal", "schedule.epochs=10", "schedule.lr_decay={epochs: [3, 5], factor: 0.1}")
    rates = [learning_rate(spin, "head", epoch) for epoch in range(7)]
    assert rates == pytest.approx([3e-5] * 3 + [3e-6] * 2 + [3e-7] * 2)
    set_training(network.eval(), open_recipe("hmr_normal"))
    assert network.backbone[2].training and network.head.training
    set_training(network.eval(), open_recipe("pare_normal"))
    assert not network.backbone[2].training and network.head.training


def test_the_rate_follows_the_epoch(body: BodyModel) -> None:
    recipe = open_recipe("hmr_normal", "schedule.epochs=4", "schedule.lr_decay={epochs: [2], factor: 0.5}")
    one = learner(recipe, body)
    for epoch, factor in ((1, 1), (2, 0.5)):
        train_step(one, [samples(2)], epoch, epoch)
        rates = {group["name"]: group["lr"] for group in one.optimizer.param_groups}
        assert rates == pytest.approx({"backbone": 2.5e-4 * factor, "head": 2.5e-4 * factor})
        assert one.adversary is not None
        assert one.adversary.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4 * factor)


def steps(rank: int, size: int, body: BodyModel) -> list[dict[str, float]]:
    """Losses of this process's share of six samples."""
    own = rows_of(samples(6), slice(6 // size * rank, 6 // size * (rank + 1)))
    one = without_noise(learner(open_recipe("hmr_l1"), body))
    losses = [losses_of(one, [own], step, 0) for step in range(3)]
    # A loss that reaches neither pose nor camera, which the network gives all the same.
    changes = ["losses={betas: {kind: l1, weight: 1}}", "adversary=null", "optimizer.lr=1e-4"]
    some = without_noise(learner(open_recipe("hmr_l1", *changes), body, iterations=1))
    return losses + [losses_of(some, [own], step, 0) for step in range(2)]


def test_two_processes_learn_as_one(body: BodyModel) -> None:
    """Labels are spread unevenly over the two, and the adversary learns too."""
    curve, _ = together(lambda rank: steps(rank, 2, body))
    for ours, alone in zip(curve, steps(0, 1, body), strict=True):
        assert ours == pytest.approx(alone, rel=1e-3)
