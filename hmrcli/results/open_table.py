"""The report of the open benchmark: what was measured, on what, and whether recipes stand in the published order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hmrcli.results.agreement import LEAST_CELLS, Agreement, Place, agreement
from hmrcli.results.compare import LATEST, OPEN_TEST, OPEN_WILD, Arranged, arrange, cell_recipe
from hmrcli.results.published import ALGORITHMS, Benchmark, Cell, Note, published
from hmrcli.results.runs import Run
from hmrcli.results.sheet import Column, Record, Report, Sheet
from hmrcli.results.table import (
    ALGORITHM,
    METRICS,
    RECIPE,
    VARIANT,
    count_of,
    letters,
    number,
    origin_of,
    run_sheets,
    score_of,
    text_of,
)
from hmrcli.results.trained import Trained, read_trained

SHIPPED, HERE = "shipped", "this machine"
"""Where a result comes from: with the package, or from a folder of the user's."""
ALL = "All"
"""The group of every measured cell."""

MEAN_POSE = {OPEN_TEST: 153.7, OPEN_WILD: 222.1}
"""PA-MPJPE in mm of the mean pose of open-studio, measured by benchmarks/quick.py."""

_CAPTION = (
    f"PA-MPJPE in mm with the open body, on {OPEN_TEST} (unseen people, poses and places) and {OPEN_WILD} (harder: "
    f"rare poses and views, crowds, low light); ± half the 95 % interval of the mean over the test samples. "
    f"The mean pose, the best answer that does not look at the picture, has {MEAN_POSE[OPEN_TEST]:.1f} and "
    f"{MEAN_POSE[OPEN_WILD]:.1f}; of cells that are not better, the order says nothing."
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
    """The 20 cells of the open benchmark.

    Args:
        runs: measured results, newest first.
        compare: set the published figures of the same cells beside, and say whether the orders agree.
    """
    benchmark = published().benchmark
    arranged = arrange(runs, benchmark, "open")
    trained = {recipe: read_trained(run) for recipe, run in arranged.cells.items()}
    notes = letters(_notes(trained))
    records = [_record(cell, arranged, trained, notes, compare) for cell in benchmark.cells]
    measured = [record for record in records if record["run"] is not None]
    others = [Sheet("What was trained", _TRAINED_COLUMNS, measured)] if measured else []
    remarks = [LATEST]
    if compare:
        orders = _orders(benchmark, arranged, trained)
        if orders:
            others.insert(
                0, Sheet("Order of recipes: measured beside published", _ORDER_COLUMNS, orders, "dataset")
            )
            remarks[:0] = [_ORDER, *_unlike(orders)]
        else:
            remarks.insert(0, f"The order of recipes is compared from {LEAST_CELLS} measured cells on.")
    used = [*measured, *(_wild_record(run) for run in arranged.wild.values())]
    return Report(
        name=ALGORITHMS,
        benchmark="open",
        caption=_CAPTION + (_BESIDE if compare else ""),
        main=Sheet(
            "The open benchmark: five algorithms, four ways of training",
            [ALGORITHM, VARIANT, *_SCORE_COLUMNS, *([_PUBLISHED] if compare else []), RECIPE],
            records,
            group_by="algorithm",
        ),
        others=others + run_sheets(used, arranged.apart),
        notes={letter: note.text for letter, note in notes.items()},
        remarks=remarks,
    )


def _notes(trained: Mapping[str, Trained | None]) -> list[Note]:
    """A footnote for each way in which training was not that of the bundled recipe."""
    unknown = "What these weights were trained with is not known."
    texts = {recipe: unknown if each is None else each.described for recipe, each in trained.items()}
    return [
        Note(rows=tuple(recipe for recipe, its in texts.items() if its == text), text=text)
        for text in dict.fromkeys(texts.values())
        if text
    ]


def _record(
    cell: Cell,
    arranged: Arranged,
    trained: Mapping[str, Trained | None],
    notes: Mapping[str, Note],
    compare: bool,
) -> Record:
    recipe = cell_recipe(cell, "open")
    run, wild = arranged.cells.get(recipe), arranged.wild.get(recipe)
    return {
        "recipe": recipe,
        "algorithm": cell.algorithm,
        "variant": cell.variant,
        **({"published_3dpw": cell.published} if compare else {}),
        **score_of(run),
        **{f"wild_{key}": value for key, value in score_of(wild).items()},
        **_training(trained.get(recipe)),
        "from": run and (SHIPPED if run.shipped else HERE),
        **origin_of(run),
        "notes": [letter for letter, note in notes.items() if recipe in note.rows],
    }


def _training(trained: Trained | None) -> dict[str, Any]:
    return {
        "backbone": trained and trained.recipe.network.backbone,
        "image_size": trained and trained.recipe.data.image_size,
        "images_seen": trained and trained.images_seen,
        "initialisation": trained and trained.initialisation,
        "changes": trained and [str(change) for change in trained.changes],
        "without": trained and list(trained.training.without),
        "finished": trained and trained.training.finished,
        "curve": trained and [[images, error] for images, error in trained.curve],
    }


def _wild_record(run: Run) -> Record:
    return {"recipe": run.results.recipe, **origin_of(run), "notes": []}


def _orders(benchmark: Benchmark, arranged: Arranged, trained: Mapping[str, Trained | None]) -> list[Record]:
    """For both test sets: the order within each algorithm, and of all measured cells."""
    rows = []
    for dataset, runs in ((OPEN_TEST, arranged.cells), (OPEN_WILD, arranged.wild)):
        cells = [cell for cell in benchmark.cells if cell_recipe(cell, "open") in runs]
        for group in (*dict.fromkeys(cell.algorithm for cell in cells), ALL):
            members = {cell_recipe(cell, "open"): cell for cell in cells if group in (cell.algorithm, ALL)}
            found = agreement([Place(cell.published, runs[recipe]) for recipe, cell in members.items()])
            if found is not None:
                departures = [each and each.departure for each in map(trained.get, members)]
                alike = all(each == departures[0] for each in departures)
                rows.append(_order(dataset, group, found, alike))
    return rows


def _unlike(orders: Sequence[Record]) -> list[str]:
    groups = dict.fromkeys(record["group"] for record in orders if not record["changed_alike"])
    if not groups:
        return []
    return [
        f"Not all changed alike from their recipes, so that their order tells of that too: {', '.join(groups)}."
    ]


def _order(dataset: str, group: str, found: Agreement, alike: bool) -> Record:
    return {
        "dataset": dataset,
        "group": group,
        **found._asdict(),
        "neighbours": found.cells - 1,
        "pairs": found.pairs,
        "changed_alike": alike,
        "notes": [],
    }


def _score_text(start: str) -> Callable[[Record], str]:
    def text(record: Record) -> str:
        value, low, high = (record[f"{start}{METRICS[0]}{end}"] for end in ("", "_low", "_high"))
        return "not run" if value is None else f"{number(value)} ± {number((high - low) / 2)}"

    return text


def _share(part: str, whole: str) -> Callable[[Record], str]:
    return lambda record: f"{record[part]} of {record[whole]}"


_SCORE_COLUMNS = (
    Column(OPEN_TEST, _score_text(""), number=True, noted=True),
    Column(OPEN_WILD, _score_text("wild_"), number=True),
)
_PUBLISHED = Column("Published, 3DPW", text_of("published_3dpw"), number=True)
_TRAINED_COLUMNS = (
    Column("Recipe", text_of("recipe")),
    Column("Backbone", text_of("backbone")),
    Column("Pixels", text_of("image_size"), number=True),
    Column("Images seen", count_of("images_seen"), number=True),
    Column("Start", text_of("initialisation")),
    Column("From", text_of("from")),
)
_ORDER_COLUMNS = (
    Column("Test set", text_of("dataset"), shared=True),
    Column("Recipes", text_of("group")),
    Column("Cells", text_of("cells"), number=True, wide=True),
    Column("ρ", text_of("spearman"), number=True),
    Column("τ", text_of("kendall"), number=True),
    Column("Neighbours apart", _share("neighbours_apart", "neighbours"), number=True),
    Column("Pairs apart", _share("pairs_apart", "pairs"), number=True),
    Column("In order", _share("pairs_agreeing", "pairs_apart"), number=True),
)
