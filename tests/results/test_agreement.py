"""Orders of recipes: correlations against known values, and what the samples tell apart."""

from pathlib import Path

import numpy as np
import pytest

from hmrcli.results.agreement import Place, agreement, apart, kendall, spearman
from hmrcli.results.runs import Run, read_runs
from tests.results.made import open_document, open_run, put, score


def made(folder: Path, *errors: float, spread: float = 0.5) -> list[Run]:
    """Runs of these errors, in this order."""
    for number, error in enumerate(errors):
        open_run(folder / str(number), "open_hmr_l1", error, spread=spread)
    runs, bad = read_runs(folder)
    assert not bad
    return sorted(runs, key=lambda run: run.name)


FIRST = [7, 4, 3, 10, 6, 2, 9, 8, 1, 5]
SECOND = [5, 7, 3, 10, 1, 9, 6, 2, 8, 4]


def test_correlations_of_ranks_without_ties_follow_their_short_formulas() -> None:
    squares = sum((a - b) ** 2 for a, b in zip(FIRST, SECOND))
    assert spearman(FIRST, SECOND) == pytest.approx(1 - 6 * squares / (10 * 99))
    pairs = [(a, b) for a in range(10) for b in range(a)]
    same = sum((FIRST[a] - FIRST[b]) * (SECOND[a] - SECOND[b]) > 0 for a, b in pairs)
    assert kendall(FIRST, SECOND) == pytest.approx((2 * same - len(pairs)) / len(pairs))


@pytest.mark.parametrize("measure", [spearman, kendall])
def test_correlations_depend_on_the_order_alone(measure) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(0).normal(size=7)
    assert measure(values, np.exp(values)) == pytest.approx(1)
    assert measure(values, -(values**3)) == pytest.approx(-1)
    assert measure(values, np.ones(7)) is None


def test_equal_values_share_their_rank() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    # Of six pairs five agree and one is tied in the first.
    assert kendall([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(5 * 6))


def test_errors_of_the_same_samples_tell_apart_what_intervals_cannot(tmp_path: Path) -> None:
    one, other = made(tmp_path, 80.0, 81.0)
    intervals = [run.results.scores[0].metrics["pa_mpjpe_mm"] for run in (one, other)]
    assert intervals[0].high > intervals[1].low, "by their intervals alone they are not apart"
    assert apart(one, other) and apart(other, one)
    (other.folder / "errors.npz").unlink()
    assert not apart(one, other)


def test_a_difference_within_the_noise_is_not_told_apart(tmp_path: Path) -> None:
    one, other = made(tmp_path, 80.0, 80.2, spread=10.0)
    assert not apart(one, other)


def test_without_errors_of_samples_the_intervals_decide(tmp_path: Path) -> None:
    for name, value in (("a", 80.0), ("b", 80.5), ("c", 80.7)):
        put(tmp_path, name, open_document("open_hmr_l1", value, scores=[score(value, half=0.3)]))
    a, b, c = sorted(read_runs(tmp_path)[0], key=lambda run: run.name)
    assert (apart(a, b), apart(a, c), apart(b, c)) == (False, True, False)


def test_errors_that_do_not_fit_the_result_are_not_used(tmp_path: Path) -> None:
    one, other = made(tmp_path, 80.0, 81.0)
    images = np.array([f"other{index}.jpg" for index in range(200)])
    np.savez(other.folder / "errors.npz", image_path=images, pa_mpjpe_mm=np.full(200, 81.0))
    assert not apart(one, other), "other images"
    np.savez(other.folder / "errors.npz", image_path=images[:9], pa_mpjpe_mm=np.full(9, 81.0))
    assert not apart(one, other), "other samples than the result has"
    (other.folder / "errors.npz").write_bytes(b"no archive")
    assert not apart(one, other), "unreadable"


def test_agreement_counts_what_the_samples_support(tmp_path: Path) -> None:
    runs = made(tmp_path, 80.0, 80.01, 85.0, 90.0)
    found = agreement([Place(published, run) for published, run in zip((51.0, 52.0, 61.0, 60.0), runs)])
    assert found is not None
    assert (found.cells, found.pairs, found.pairs_apart, found.neighbours_apart) == (4, 6, 5, 2)
    assert found.pairs_agreeing == 4, "85 and 90 are told apart, and published the other way round"
    assert (found.spearman, found.kendall) == (pytest.approx(0.8), pytest.approx(4 / 6))


def test_two_recipes_have_no_order_to_agree_on(tmp_path: Path) -> None:
    assert agreement([Place(50.0, run) for run in made(tmp_path, 80.0, 85.0)]) is None
