"""The recipes of the open benchmark: 20 cells beside the published rows, and what they start from."""

import functools

import pytest

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.assets.registry import load_registry
from hmrcli.data.mixture import mixture_of
from hmrcli.errors import BadInput, UsageError
from hmrcli.recipe import Recipe, load_recipe, recipe_names, source_of
from tests.recipe.test_bundled import PUBLISHED, ROWS, SWITCHED, flat

FILES = ("open_pose_hrnet_w32", "open_pose_hrnet_w48", "open_pose_resnet50", "open_quick")
CELLS = [f"open_{algorithm}_{variant}" for algorithm, variant in ROWS]


def load(name: str, *overrides: str) -> Recipe:
    source = source_of(name)
    assert source is not None
    return load_recipe(source.name, overrides, open=source.open)


def changes(before: str, after: str) -> dict[str, object]:
    old, new = (flat(load(name).as_dict()) for name in (before, after))
    own = ("name", "variant", "exports.network")
    return {key: new.get(key) for key in old | new if old.get(key) != new.get(key) and key not in own}


def test_the_cells_have_no_files_of_their_own():
    assert [name for name in recipe_names() if name.startswith("open_")] == list(FILES)
    with pytest.raises(
        BadInput, match="open_hmr_l1: no recipe has this name; did you mean --recipe hmr_l1 --open"
    ):
        load_recipe("open_hmr_l1")
    with pytest.raises(UsageError, match="open_quick: is of the open benchmark already"):
        load_recipe("open_quick", open=True)


def test_any_recipe_of_ones_own_can_be_put_on_the_open_benchmark(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(load_recipe("hmr_l1", ["name=mine", "schedule.epochs=7"]).dump())
    recipe = load_recipe(path, ["seed=5"], open=True)
    assert (recipe.name, recipe.seed, recipe.schedule.epochs) == ("open_mine", 5, 3)
    path.write_text(recipe.dump())
    assert load_recipe(path) == recipe


def test_a_row_that_is_no_recipe_is_refused_with_the_overlay_as_without(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: 3\ndata: []\nschedule: fast\n")
    with pytest.raises(BadInput, match=r"mine\.yaml"):
        load_recipe(path, open=True)


@pytest.mark.parametrize("name", [*CELLS, *FILES])
def test_open_recipes_need_nothing_that_is_not_free(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.published is None
    assert recipe.body_model == "open"
    assert recipe.network.mean_parameters in (None, "open")
    assert (recipe.evaluation.dataset, recipe.evaluation.annotations) == ("open-test", "open-test.npz")
    for dataset, settings in recipe.data.mixture.items():
        assert settings.annotations == f"{dataset}.npz"
        assert settings.rows is not None and settings.rows <= OPEN_SETS[dataset].rows
    if recipe.adversary is not None:
        assert (recipe.adversary.annotations, recipe.adversary.rows) == ("open-studio.npz", 20_000)
    if recipe.in_the_loop is not None:
        assert recipe.in_the_loop.pose_prior is None
    start = recipe.network.initialisation
    if start is not None and (start.backbone or start.network or "") in load_registry().by_name:
        assert start.optional


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_learns_as_its_row_does(cell):
    ours, theirs = load(cell), load_recipe(cell.removeprefix("open_"))
    assert (ours.algorithm, ours.variant) == (theirs.algorithm, theirs.variant)
    assert ours.losses == theirs.losses
    assert ours.camera == theirs.camera
    for part in ("channel_noise", "flip", "scale", "rotation"):
        assert getattr(ours.augmentation, part) == getattr(theirs.augmentation, part)
    assert (ours.adversary is None) == (theirs.adversary is None)
    assert ours.data.joints == theirs.data.joints
    lengths = dict.fromkeys(ours.data.mixture, 20_000)
    assert ours.schedule.epochs * mixture_of(ours.data, lengths).length == 60_000


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_l1_switches_losses_alone(algorithm):
    changed = changes(f"open_{algorithm}_normal", f"open_{algorithm}_l1")
    losses = {f"losses.{term}.kind" for term in SWITCHED[algorithm]}
    start = {"network.initialisation.network"} if algorithm == "spin" else set()
    assert changed.keys() == losses | start


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_coco_changes_the_start_alone(algorithm):
    changed = changes(f"open_{algorithm}_l1", f"open_{algorithm}_l1_coco")
    part = "network" if algorithm == "spin" else "backbone"
    start = f"network.initialisation.{part}"
    assert changed.keys() == {start, "network.initialisation.optional"}
    assert f"{changed[start]}" in left()


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_aug_changes_the_augmentation_alone(algorithm):
    changed = changes(f"open_{algorithm}_l1_coco", f"open_{algorithm}_l1_coco_aug")
    changed.pop("network.initialisation.network", None)
    assert all(key.startswith("augmentation.") for key in changed)
    augmentation = load(f"open_{algorithm}_l1_coco_aug").augmentation
    assert augmentation.self_mix is not None
    assert augmentation.self_mix.datasets == ("open-studio",)


@functools.cache
def left() -> dict[str, str]:
    """Each file that a finished run leaves, and the recipe of the run."""
    leaves = {name: load(name).exports for name in (*CELLS, *FILES)}
    return {str(part.backbone or part.network): name for name, part in leaves.items() if part is not None}


def test_files_are_called_as_the_recipes_that_leave_them():
    assert left() == {f"{name}.safetensors": name for name in left().values()}


def test_what_a_backbone_is_left_for_stands_on_it():
    for name in (*CELLS, *FILES):
        recipe = load(name)
        start = recipe.network.initialisation
        file = start and (start.backbone or start.network)
        if file in left():
            assert load(left()[file]).network.backbone == recipe.network.backbone


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("hmr_l1", "network.backbone=resnet18", "`network.backbone`: resnet18 is for the open body"),
        (
            "open_hmr_l1",
            "data.mixture.open-studio.rows=20001",
            "`data.mixture.open-studio.rows`: open-studio has 20,000",
        ),
        ("open_graphormer_l1", "data.image_size=128", "`data.image_size`: expected 224, found 128"),
        ("open_hmr_l1", "data.image_size=160", "`data.image_size`: expected 128 or 224, found 160"),
        ("open_hmr_l1", "data.joints=coco_17", "`data.joints`: hmr learns smpl_54 or smpl_49"),
        ("open_hmr_l1", "camera=null", "`camera`: hmr needs it"),
        ("open_pose_resnet50", "camera={kind: orthographic}", "`camera`: pose has no use for it"),
        ("open_hmr_l1", "evaluation.protocol=keypoints", "`evaluation.protocol`: hmr makes bodies, which"),
        (
            "open_pose_resnet50",
            "evaluation.protocol=open",
            "`evaluation.protocol`: pose makes heatmaps: expected",
        ),
        ("open_pose_resnet50", "network.batch_norm=frozen", "`network.batch_norm`: pose on resnet50 has"),
        (
            "open_quick",
            "data.joints=common_24",
            "`data.joints`: the loss `part_maps` needs the body's own joints",
        ),
        (
            "open_quick",
            "losses.part_maps.kind=mse",
            "`losses.part_maps.kind`: expected cross_entropy, found mse",
        ),
        ("open_hmr_l1", "exports={}", "`exports`: expected one of `backbone` and `network`"),
    ],
)
def test_what_the_open_benchmark_refuses(name, override, message):
    with pytest.raises(BadInput) as caught:
        load(name, override)
    assert message in str(caught.value)


def test_the_open_benchmark_need_not_freeze_statistics():
    for kept in ("synchronised", "local", "frozen"):
        assert load("open_pare_l1", f"network.batch_norm={kept}").network.batch_norm == kept
    with pytest.raises(BadInput, match="pare on hrnet_w32 has frozen"):
        load_recipe("pare_l1", ["network.batch_norm=local"])
