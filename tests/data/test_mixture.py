from itertools import chain, islice

import numpy as np
import pytest

from hmrcli.data.mixture import BatchSampler, Mixture, generator, mixture_of
from hmrcli.errors import UsageError
from tests.data.image_sets import SIZES, recipe

SHARES = (0.35, 0.15, 0.1, 0.1, 0.1, 0.2)
MIXTURE = Mixture(tuple(SIZES.values()), SHARES, 21)
LIST = Mixture(tuple(SIZES.values()), None, sum(SIZES.values()))


def counts(mixture: Mixture, draws: int = 40_000) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draws of each set, and of each of its rows."""
    dataset, row = mixture.draw(3, 0, draws)
    rows = [np.bincount(row[dataset == i], minlength=size) for i, size in enumerate(mixture.sizes)]
    assert [len(found) for found in rows] == list(mixture.sizes)  # no row beyond a set's end
    return np.bincount(dataset, minlength=len(mixture.sizes)), rows


@pytest.mark.parametrize("rule", ["independent", "by_position"])
def test_sets_are_drawn_by_their_shares_and_rows_evenly(rule):
    sets, rows = counts(Mixture((40, 30, 20), (0.5, 0.2, 0.3), 600, rule))
    assert sets / sets.sum() == pytest.approx((0.5, 0.2, 0.3), abs=0.01)
    for found in rows:
        assert found == pytest.approx(np.full(len(found), found.mean()), rel=0.35)


def test_independent_draws_repeat_rows_of_a_set_and_positions_do_not():
    """SPIN's rule: the longest set's rows come once an epoch at most; others go round."""
    largest, smaller = 500, 100
    for rule, repeats in (("by_position", False), ("independent", True)):
        dataset, row = Mixture((largest, smaller), (0.6, 0.4), largest, rule).draw(0, 0, largest)
        found = np.bincount(row[dataset == 0], minlength=largest)
        assert (found.max() > 1) == repeats
    dataset, row = Mixture((largest, smaller), (0.6, 0.4), largest, "by_position").draw(0, 0, largest)
    assert np.bincount(row[dataset == 1], minlength=smaller).max() <= largest // smaller


def test_without_shares_every_row_comes_once_an_epoch():
    dataset, row = LIST.draw(0, 4, LIST.length)
    assert sorted(zip(dataset.tolist(), row.tolist())) == [
        (i, j) for i, size in enumerate(LIST.sizes) for j in range(size)
    ]
    again = LIST.draw(0, 4, LIST.length + 3)  # a filled-up last batch starts from the front
    assert again[0][-3:].tolist() == dataset[:3].tolist() and again[1][-3:].tolist() == row[:3].tolist()


def test_draws_depend_on_seed_and_epoch_alone():
    first, again = MIXTURE.draw(1, 2, 21), MIXTURE.draw(1, 2, 42)
    assert all(np.array_equal(a, b[:21]) for a, b in zip(first, again))
    for seed, epoch in ((2, 2), (1, 3), (2, 1)):
        assert not np.array_equal(first[1], MIXTURE.draw(seed, epoch, 21)[1])


def test_streams_and_positions_never_share_numbers():
    drawn = {
        generator(stream, seed, *position).random()
        for stream in ("mixture", "augmentation", "poses")
        for seed in (0, 1)
        for position in ((), (1,), (0, 1), (1, 1), (2**31,))
    }
    assert len(drawn) == 3 * 2 * 5


@pytest.mark.parametrize(("length", "expected"), [("max", 12), ("sum", 37), (100_000, 100_000)])
def test_epoch_length(length, expected):
    assert mixture_of(recipe(data__epoch_length=length).data, SIZES).length == expected


def test_shares_of_sets_that_are_left_keep_their_proportions():
    mixture = mixture_of(recipe().data, {"h36m": 12, "coco": 7})
    assert mixture.shares == pytest.approx((0.35 / 0.55, 0.2 / 0.55))
    assert mixture_of(recipe().data, SIZES).shares == pytest.approx(SHARES)
    assert mixture_of(recipe("graphormer_l1").data, {"h36m": 2, "mpii": 3}).shares is None


def test_sets_without_any_share_are_refused():
    data = recipe(data__mixture__lsp__share=0, data__mixture__coco__share=0.3).data
    with pytest.raises(UsageError, match="lsp have no share"):
        mixture_of(data, {"lsp": 3})


@pytest.mark.parametrize("mixture", [MIXTURE, LIST])
def test_processes_and_micro_batches_form_the_same_batches(mixture):
    whole = list(BatchSampler(mixture, 5, 8, stop=12))
    for processes in (2, 4):
        ranks = [list(BatchSampler(mixture, 5, 8, 0, 12, rank, processes)) for rank in range(processes)]
        assert [list(chain(*parts)) for parts in zip(*ranks)] == whole
    a, b = (list(BatchSampler(mixture, 5, 8, 0, 12, rank, 2, accumulate=2)) for rank in range(2))
    assert [a[i] + a[i + 1] + b[i] + b[i + 1] for i in range(0, 24, 2)] == whole


@pytest.mark.parametrize("done", [0, 1, 3, 4, 11])
def test_a_run_goes_on_at_any_step(done):
    whole = list(BatchSampler(MIXTURE, 5, 8, stop=12))
    assert list(BatchSampler(MIXTURE, 5, 8, start=done, stop=12)) == whole[done:]
    assert list(islice(BatchSampler(MIXTURE, 5, 8, start=done), 5)) == list(
        islice(BatchSampler(MIXTURE, 5, 8), done, done + 5)
    )


def test_epochs_are_whole_batches():
    sampler = BatchSampler(MIXTURE, 5, 8, stop=6)
    assert sampler.steps_per_epoch == 3 and sampler.place(7) == (2, 1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 6 and {len(batch) for batch in batches} == {8}
    places = [(draw.epoch, draw.position) for batch in batches for draw in batch]
    assert places == [(epoch, position) for epoch in (0, 1) for position in range(24)]


def test_batches_that_do_not_divide_are_refused():
    with pytest.raises(UsageError, match="batch_size 10 does not divide by 4 processes with 1"):
        BatchSampler(MIXTURE, 5, 10, processes=4)
