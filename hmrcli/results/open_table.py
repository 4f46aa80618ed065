"""The report of the open benchmark: what was measured, on what, and whether recipes stand in the published order."""

from collections.abc import Callable, Mapping, Sequence

from hmrcli.recipe.protocols import OPEN
from hmrcli.results import rows
from hmrcli.results.agreement import LEAST_CELLS, Place, agreement
from hmrcli.results.compare import LATEST, OPEN_TEST, OPEN_WILD, Arranged, arrange, cell_recipe
from hmrcli.results.published import ALGORITHMS, Cell, published
from hmrcli.results.report import NOT_RUN, Column, Record, Report, Sheet
from hmrcli.results.runs import Run
from hmrcli.results.trained import Trained, read_trained

_ALL = "All"
"""The group of every measured cell."""
_MEAN_POSE = {OPEN_TEST: 153.7, OPEN_WILD: 222.1}
"""PA-MPJPE in mm of the mean pose of open-studio, measured by benchmarks/quick.py."""

_CAPTION = (
    f"PA-MPJPE in mm with the open body, on {OPEN_TEST} (unseen people, poses and places) and {OPEN_WILD} (harder: "
    f"rare poses and views, crowds, low light); ± half the 95 % interval of the mean over the test samples. "
    f"The mean pose, the best answer that does not look at the picture, has {_MEAN_POSE[OPEN_TEST]:.1f} and "
    f"{_MEAN_POSE[OPEN_WILD]:.1f}; of cells that are not better, the order says nothing."
)
_BESIDE = (
    " The published figures are of another test set, 3DPW, and of other training data: the numbers are not comparable, "
    "only the order of recipes is."
)
_ORDER = (
    "Order: ρ (Spearman) and τ (Kendall) are 1 where the measured recipes stand in the published order and -1 where in "
    "the opposite one. Apart: neighbours of the measured order, or any two recipes, that the test samples tell apart, "
    "because the 95 % interval of their mean difference leaves out zero (or, where errors of single samples are not "
    "stored, because their intervals do not meet). In order: of these pairs, those of the published order. The samples "
    "do not say what training again with another seed would give."
)


def open_report(runs: Sequence[Run], compare: bool = True) -> Report:
    """Builds the report of the open benchmark's 20 cells.

    Args:
        runs: measured results, newest first.
        compare: set the published figures of the same cells beside, and say whether the orders agree.
    """
    cells = published().benchmark.cells
    arranged = arrange(runs, published().benchmark, OPEN)
    trained = {recipe: read_trained(run) for recipe, run in arranged.cells.items()}
    unknown = "What these weights were trained with is not known."
    training = rows.notes_of((name, its.described if its else unknown) for name, its in trained.items())
    records, notes = rows.with_notes(
        (_row(cell, arranged, trained, compare) for cell in cells), [note for note in training if note.text]
    )
    measured = [record for record in records if record["run"] is not None]
    wild = [{"recipe": r.results.recipe, **rows.origin_of(r), "notes": []} for r in arranged.wild.values()]
    orders = _orders(cells, arranged, trained) if compare else []
    few = [f"The order of recipes is compared from {LEAST_CELLS} measured cells on."] if compare else []
    others = [
        Sheet("Order of recipes: measured beside published", _ORDER_COLUMNS, orders, "dataset"),
        Sheet("What was trained", _TRAINED_COLUMNS, measured),
        *rows.other_sheets([*measured, *wild], arranged),
    ]
    return Report(
        name=ALGORITHMS,
        benchmark=OPEN,
        caption=_CAPTION + (_BESIDE if compare else ""),
        main=rows.of_the_20(
            "The open benchmark: five algorithms, four ways of training",
            [*_SCORE_COLUMNS, _PUBLISHED] if compare else _SCORE_COLUMNS,
            records,
        ),
        others=[sheet for sheet in others if sheet.records],
        notes=notes,
        remarks=[*([_ORDER, *_unlike(orders)] if orders else few), LATEST],
    )


def _row(cell: Cell, arranged: Arranged, trained: Mapping[str, Trained | None], compare: bool) -> Record:
    recipe = cell_recipe(cell, OPEN)
    run, wild, its = arranged.cells.get(recipe), arranged.wild.get(recipe), trained.get(recipe)
    return {
        "recipe": recipe,
        "algorithm": cell.algorithm,
        "variant": cell.variant,
        **({"published_3dpw": cell.published} if compare else {}),
        **rows.score_of(run and run.score),
        **{f"wild_{key}": value for key, value in rows.score_of(wild and wild.score).items()},
        "backbone": its and its.recipe.network.backbone,
        "image_size": its and its.recipe.data.image_size,
        "images_seen": its and its.images_seen,
        "initialisation": its and its.initialisation,
        "changes": its and [str(change) for change in its.changes],
        "without": its and list(its.environment.without),
        "finished": its and its.finished,
        "curve": its and [list(point) for point in its.curve],
        "from": run and ("shipped" if run.shipped else "this machine"),
        **rows.origin_of(run),
    }


def _orders(cells: Sequence[Cell], arranged: Arranged, trained: Mapping[str, Trained | None]) -> list[Record]:
    """Compares, for both test sets, the order within each algorithm, and of all measured cells."""
    orders: list[Record] = []
    for dataset, runs in ((OPEN_TEST, arranged.cells), (OPEN_WILD, arranged.wild)):
        measured = [(cell, name) for cell in cells if (name := cell_recipe(cell, OPEN)) in runs]
        for group in (*dict.fromkeys(cell.algorithm for cell, _ in measured), _ALL):
            members = [(cell, name) for cell, name in measured if group in (cell.algorithm, _ALL)]
            found = agreement([Place(cell.published, runs[name]) for cell, name in members])
            if found is not None:
                departures = [(its := trained[name]) and its.departure for _, name in members]
                alike = all(each == departures[0] for each in departures)
                told = {"dataset": dataset, "group": group, **found._asdict()}
                orders.append({**told, "changed_alike": alike, "notes": []})
    return orders


def _unlike(orders: Sequence[Record]) -> list[str]:
    groups = dict.fromkeys(record["group"] for record in orders if not record["changed_alike"])
    told = "Not all changed alike from their recipes, so that their order tells of that too"
    return [f"{told}: {', '.join(groups)}."] if groups else []


def _score_text(start: str) -> Callable[[Record], str]:
    def text(record: Record) -> str:
        value, low, high = (record[f"{start}pa_mpjpe_mm{end}"] for end in ("", "_low", "_high"))
        return NOT_RUN if value is None else f"{value:.2f} ± {(high - low) / 2:.2f}"

    return text


def _share(part: str, whole: str) -> Callable[[Record], str]:
    return lambda record: f"{record[part]} of {record[whole]}"


_SCORE_COLUMNS = (
    Column(OPEN_TEST, _score_text(""), number=True, noted=True),
    Column(OPEN_WILD, _score_text("wild_"), number=True),
)
_PUBLISHED = Column("Published, 3DPW", "published_3dpw", number=True)
_TRAINED_COLUMNS = (
    rows.NAME,
    Column("Backbone", "backbone"),
    Column("Pixels", "image_size", number=True),
    Column("Images seen", "images_seen", number=True),
    Column("Start", "initialisation"),
    Column("From", "from"),
)
_ORDER_COLUMNS = (
    Column("Test set", "dataset", shared=True),
    Column("Recipes", "group"),
    Column("Cells", "cells", number=True, wide=True),
    Column("ρ", "spearman", number=True),
    Column("τ", "kendall", number=True),
    Column("Neighbours apart", _share("neighbours_apart", "neighbours"), number=True),
    Column("Pairs apart", _share("pairs_apart", "pairs"), number=True),
    Column("In order", _share("pairs_agreeing", "pairs_apart"), number=True),
)
