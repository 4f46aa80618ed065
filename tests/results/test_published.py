"""The carried figures against the recipes, which carry their own, and against what the lists say of themselves."""

import pytest

from hmrcli.errors import UsageError
from hmrcli.recipe import load_recipe, recipe_names
from hmrcli.recipe.protocols import PROTOCOLS
from hmrcli.results.published import Cell, published

BENCHMARK = published().benchmark
CELLS = {cell.recipe: cell for cell in BENCHMARK.cells}

FIRST_LIST = {
    "hmr": "64.55 58.20 51.8 51.66",
    "spin": "59.2 57.08 51.54 50.69",
    "graphcmr": "70.51 67.2 61.74 60.26",
    "pare": "61.99 61.13 59.98 51.66",
    "graphormer": "63.18 63.47 59.66 58.82",
}
BACKBONES = {"resnet50": "ResNet-50", "hrnet_w32": "HRNet-W32", "hrnet_w48": "HRNet-W48"}


def test_there_is_a_cell_for_each_of_the_20_recipes() -> None:
    assert len(CELLS) == len(BENCHMARK.cells) == 20
    assert {name for name in recipe_names() if load_recipe(name).published} == set(CELLS)


@pytest.mark.parametrize("cell", BENCHMARK.cells, ids=lambda cell: cell.recipe)
def test_a_cell_agrees_with_its_recipe(cell: Cell) -> None:
    recipe = load_recipe(cell.recipe)
    assert recipe.published is not None
    assert recipe.published.metric == BENCHMARK.metric
    assert recipe.published.value == cell.published
    assert recipe.evaluation.protocol == BENCHMARK.protocol and recipe.body_model == BENCHMARK.body_model
    others = {value for value, _ in cell.sources} - {cell.published}
    assert others == {figure.value for figure in recipe.published.also_listed}
    assert BACKBONES[recipe.network.backbone] == cell.backbone
    # EFT's sets of PARE are one entry of the list and three of the recipe.
    sets = ", ".join(cell.datasets).replace("EFT-[", "").replace("]", "").split(", ")
    assert len(sets) == len(recipe.data.mixture)


@pytest.mark.parametrize("cell", BENCHMARK.cells, ids=lambda cell: cell.recipe)
def test_the_initialisation_is_that_of_the_recipe(cell: Cell) -> None:
    start = load_recipe(cell.recipe).network.initialisation
    assert start is not None
    assert cell.initialisation.startswith("HMR") == (start.network is not None)
    assert ("COCO pose" in cell.initialisation) == ("coco" in f"{start.backbone}{start.network}")


@pytest.mark.parametrize("algorithm", FIRST_LIST)
def test_the_first_list_is_carried_as_it_was(algorithm: str) -> None:
    listed = [cell.first_listed for name, cell in CELLS.items() if name.startswith(f"{algorithm}_")]
    assert listed == [float(figure) for figure in FIRST_LIST[algorithm].split()]


def test_two_figures_were_corrected_and_both_have_a_footnote() -> None:
    corrected = {name: cell.published for name, cell in CELLS.items() if cell.published != cell.first_listed}
    assert corrected == {"spin_normal": 59.00, "pare_l1_coco_aug": 58.32}
    for name in corrected:
        assert any(
            name in note.rows and f"{CELLS[name].first_listed:g} in the first list" in note.text
            for note in BENCHMARK.notes
        )


def test_every_figure_names_its_sources() -> None:
    for cell in CELLS.values():
        assert [value for value, _ in cell.sources[:2]] == [cell.published, cell.first_listed]
        assert all("configs/" in source for _, source in cell.sources)


def test_rows_beyond_the_20_say_what_they_saw_and_where_they_are_from() -> None:
    assert not {each.recipe for each in published().beyond} & set(CELLS)
    assert all(each.saw_3dpw and "configs/" in each.source for each in published().beyond)


def test_notes_speak_of_rows_that_exist() -> None:
    assert {name for note in BENCHMARK.notes for name in note.rows} <= set(CELLS)
    for table in published().tables.values():
        assert {name for note in table.notes for name in note.rows} <= {row[0] for row in table.rows}


def test_the_set_has_as_many_samples_as_the_protocol_expects() -> None:
    assert PROTOCOLS[BENCHMARK.protocol].expected_samples == BENCHMARK.samples


def test_wider_tables_have_a_value_for_each_column() -> None:
    for table in published().tables.values():
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_wider_tables_agree_where_they_speak_of_the_same_training() -> None:
    tables = published().tables

    def figure(table: str, row: str, column: str) -> str | float:
        index = list(tables[table].columns).index(column)
        return next(each[index] for each in tables[table].rows if each[0] == row)

    for value in (
        figure("backbones", "ResNet-50", "pa_mpjpe_mm"),
        figure("pretrained-backbones", "ResNet-50", "imagenet"),
        figure("mixed", "Mix 5", "pa_mpjpe_mm"),
        figure("mixed-l1", "Mix 5", "normal"),
    ):
        assert value == CELLS["hmr_normal"].published
    assert figure("mixed-l1", "Mix 5", "l1") == CELLS["hmr_l1"].published
    assert figure("pretrained-backbones", "Twins-SVT", "imagenet") == figure(
        "backbones", "Twins-SVT", "pa_mpjpe_mm"
    )
    without_l1 = {row[0]: row[3] for row in tables["mixed-l1"].rows}
    assert without_l1 == {row[0]: row[2] for row in tables["mixed"].rows if row[0] in without_l1}
    assert {name: len(table.rows) for name, table in tables.items()} == {
        "pretrained-backbones": 3, "combine": 9, "mixed": 11, "mixed-l1": 7, "backbones": 10, "datasets": 31,
    }  # fmt: skip


def test_a_table_of_placeholders_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"augmentation.*placeholders"):
        published().table("augmentation")
