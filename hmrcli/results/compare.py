"""Comparison of measured results with published figures, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from hmrcli.recipe.protocols import OPEN, PUBLISHED
from hmrcli.results.published import Benchmark, Cell

if TYPE_CHECKING:
    from hmrcli.results.runs import Estimate, Results, Run, Score

TOLERANCE_MM = 1.0
"""A difference of the means up to this counts as reproduced: a convention, stated with every comparison."""
RULE = (
    f"Reproduced where the published figure lies in the 95 % interval of the measured mean or differs from that mean "
    f"by at most {TOLERANCE_MM:g} mm; else better (measured is lower) or worse. The interval tells of the test samples "
    f"alone, not of training again."
)
OPEN_TEST, OPEN_WILD = "open-test", "open-wild"
"""The sets of the open benchmark: painted as the training set is, and of other looks."""
LATEST = "Of several runs of one recipe the latest counts."


def verdict(published: float, measured: Estimate) -> Literal["reproduced", "better", "worse"]:
    """Says what a measured mean means for a published figure, both in mm and both better when lower."""
    difference = measured.value - published
    # Figures have two decimals; what binary fractions add to 1.00 must not decide.
    if measured.low <= published <= measured.high or round(abs(difference), 6) <= TOLERANCE_MM:
        return "reproduced"
    return "better" if difference < 0 else "worse"


class Apart(NamedTuple):
    """A score that stands beside no figure, and why."""

    run: Run
    score: Score
    reason: str


class Arranged(NamedTuple):
    """Runs by the recipe whose cell they fill, and the others."""

    cells: dict[str, Run]
    wild: dict[str, Run]
    """Open benchmark: the same weights on the second test set."""
    beyond: list[Run]
    """Measured as the cells are, of recipes that are none of them."""
    apart: list[Apart]


def cell_recipe(cell: Cell, which: str) -> str:
    """Names the recipe that fills a cell; the open benchmark has an `open_` one for each of the 20."""
    return cell.recipe if which == PUBLISHED else f"open_{cell.recipe}"


def arrange(runs: Iterable[Run], benchmark: Benchmark, which: str) -> Arranged:
    """Gives each run its place; the first score of a run is the one that counts.

    Of the open benchmark a cell has a place for each test set, and the weights measured on the first decide.

    Args:
        runs: newest first.
        benchmark: the cells and what a result must be to stand among them.
    """
    recipes = {cell_recipe(cell, which) for cell in benchmark.cells}
    cells: dict[str, Run] = {}
    wild: dict[str, Run] = {}
    apart: list[Apart] = []
    for run in sorted(runs, key=lambda run: run.results.test_set == OPEN_WILD):
        recipe = str(run.results.recipe)
        places = wild if which == OPEN and run.results.test_set == OPEN_WILD else cells
        reason = _mismatch(run.results, benchmark, which)
        if not reason and places is wild and not _same_weights(cells.get(recipe), run):
            reason = f"not the weights that were measured on {OPEN_TEST}"
        if not reason and recipe in places:
            if run.shipped != places[recipe].shipped and _same_weights(places[recipe], run):
                continue  # the same result, once in its run's folder and once with the package
            reason = "an earlier run of this recipe"
        if reason:
            apart.append(Apart(run, run.score, reason))
        else:
            places[recipe] = run
        others = run.results.scores[1:]
        apart += [Apart(run, score, reason or "another mesh of the same network") for score in others]
    beyond = [run for places in (cells, wild) for recipe, run in places.items() if recipe not in recipes]
    cells, wild = ({k: run for k, run in places.items() if k in recipes} for places in (cells, wild))
    return Arranged(cells, wild, beyond, apart)


def _same_weights(one: Run | None, other: Run) -> bool:
    checkpoints = (one and one.results.checkpoint, other.results.checkpoint)
    return all(checkpoints) and len({c.sha256 for c in checkpoints if c}) == 1


def _mismatch(results: Results, benchmark: Benchmark, which: str) -> str:
    """Says why results were not measured as the cells are; nothing where they were."""
    protocol, body = (benchmark.protocol, benchmark.body_model) if which == PUBLISHED else (OPEN, "open")
    found_body = results.body_model.name if results.body_model else "unknown"
    if results.protocol != protocol:
        return f"protocol {results.protocol}, not {protocol}"
    if found_body != body:
        return f"body {found_body}, not {body}"
    if results.recipe is None:
        return f"no recipe is none of the {len(benchmark.cells)}"
    if which == OPEN and results.test_set not in (OPEN_TEST, OPEN_WILD):
        return f"set {results.dataset}, not {OPEN_TEST} or {OPEN_WILD}"
    if which == PUBLISHED and results.samples != benchmark.samples:
        return f"{results.samples:,} samples, not the {benchmark.samples:,} of the set"
    if benchmark.metric not in results.scores[0].metrics:
        return f"has no {benchmark.metric}"
    return ""
