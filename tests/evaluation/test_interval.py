"""The bootstrap interval."""

import numpy as np
import pytest
import torch

from hmrcli.errors import BadInput
from hmrcli.evaluation import aggregate


def test_the_interval_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(50, 12, 20000)
    found = aggregate(values, resamples=2000)
    half = 1.96 * values.std() / len(values) ** 0.5
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )
    assert (found.count, found.drawn) == (20000, 20000)


def test_19_of_20_intervals_hold_the_true_mean():
    rng = np.random.default_rng(1)
    found = [aggregate(rng.gamma(2, 25, 200), resamples=400) for _ in range(300)]
    held = np.mean([a.low <= 50 <= a.high for a in found])
    assert 0.90 < held < 0.98


def test_frames_of_a_sequence_are_drawn_together():
    """Each sequence has its own error: 20 of them tell as little as 20 numbers."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 500)
    values = 50 + 10 * rng.normal(size=20)[groups] + rng.normal(size=len(groups))
    together, alone = aggregate(values, groups), aggregate(values)
    assert together.mean == alone.mean
    assert together.drawn == 20
    assert together.high - together.low > 10 * (alone.high - alone.low)
    of_means = aggregate(values.reshape(20, 500).mean(1))
    assert (together.low, together.high) == pytest.approx((of_means.low, of_means.high))


def test_sequences_count_by_their_frames():
    values = np.array([10.0, 20, 20, 20])
    found = aggregate(values, np.array(["a", "b", "b", "b"]))
    assert found.mean == 17.5
    assert (found.low, found.high) == (10, 20)


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(3).normal(size=5000)
    assert aggregate(values) == aggregate(torch.from_numpy(values))
    assert aggregate(values).low != aggregate(values, seed=1).low


def test_samples_without_a_value_are_left_out():
    found = aggregate(np.array([np.nan, 1, 3, np.nan]), np.array([0, 1, 1, 2]))
    assert (found.mean, found.count, found.drawn) == (2, 2, 1)


def test_the_interval_holds_the_mean():
    assert aggregate(np.arange(4.0), np.zeros(4)) == aggregate(np.arange(4.0), np.ones(4))
    found = aggregate(np.arange(4.0), np.zeros(4))
    assert (found.low, found.mean, found.high, found.drawn) == (1.5, 1.5, 1.5, 1)
    values, groups = np.array([0.0] * 999 + [1000.0]), np.array([0] * 999 + [1])
    for seed in range(200):  # three draws of two uneven groups: some have only the second one
        found = aggregate(values, groups, resamples=3, seed=seed)
        assert found.low <= found.mean <= found.high


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([]), "no sample has a value"),
        (np.full(3, np.nan), "no sample has a value"),
        (np.array([1, np.inf]), "row 1 is infinite"),
        (np.ones((2, 2)), r"expected shape \(N,\)"),
    ],
)
def test_what_has_no_mean_is_refused(values, message):
    with pytest.raises(BadInput, match=message):
        aggregate(values)
