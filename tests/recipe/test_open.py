"""The recipes of the open benchmark: 20 cells beside the published rows, and what they start from."""

import functools

import pytest

from hmrcli.assets.registry import load_registry
from hmrcli.data.mixture import mixture_of
from hmrcli.errors import BadInput
from hmrcli.recipe import load_recipe, recipe_names
from hmrcli.recipe.recipe import RENDERED_SETS
from hmrcli.scenes.splits import SPLITS
from tests.recipe.test_bundled import PUBLISHED, ROWS, SWITCHED, flat

POSE = ("open_pose_resnet50", "open_pose_hrnet_w32", "open_pose_hrnet_w48")
CELLS = [(algorithm, f"open_{algorithm}_{variant}", f"{algorithm}_{variant}") for algorithm, variant in ROWS]


def changes(before: str, after: str) -> dict[str, object]:
    old, new = (flat(load_recipe(name).as_dict()) for name in (before, after))
    own = ("name", "variant", "exports.network")
    return {key: new.get(key) for key in old | new if old.get(key) != new.get(key) and key not in own}


def test_there_are_the_cells_their_backbones_and_the_quick_one():
    named = {name for name in recipe_names() if name.startswith("open_")}
    assert named == {cell for _, cell, _ in CELLS} | {*POSE, "open_quick"}


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("open_")])
def test_open_recipes_need_nothing_that_is_not_free(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.published is None
    assert recipe.body_model == "open"
    assert recipe.network.mean_parameters in (None, "open")
    assert (recipe.evaluation.dataset, recipe.evaluation.annotations) == ("open-test", "open-test.npz")
    for dataset, settings in recipe.data.mixture.items():
        assert settings.annotations == f"{dataset}.npz"
        assert settings.rendered is not None and settings.rendered <= SPLITS[dataset].rows
    if recipe.adversary is not None:
        assert recipe.adversary.rendered is not None
    if recipe.in_the_loop is not None:
        assert recipe.in_the_loop.pose_prior is None
    start = recipe.network.initialisation
    if start is not None and (start.backbone or start.network or "") in load_registry().by_name:
        assert start.optional


@pytest.mark.parametrize(("algorithm", "cell", "row"), CELLS)
def test_a_cell_learns_as_its_row_does(algorithm, cell, row):
    ours, theirs = load_recipe(cell), load_recipe(row)
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
    augmentation = load_recipe(f"open_{algorithm}_l1_coco_aug").augmentation
    assert augmentation.self_mix is not None
    assert augmentation.self_mix.datasets == ("open-studio",)


@functools.cache
def left() -> dict[str, str]:
    """Each file that a finished run exports, and the recipe of the run."""
    exports = {name: load_recipe(name).exports for name in recipe_names()}
    return {str(part.backbone or part.network): name for name, part in exports.items() if part is not None}


def test_files_are_called_as_the_recipes_that_leave_them():
    assert left() == {f"{name}.safetensors": name for name in left().values()}


def test_what_a_backbone_is_left_for_stands_on_it():
    for name in recipe_names():
        recipe = load_recipe(name)
        start = recipe.network.initialisation
        file = start and (start.backbone or start.network)
        if file in left():
            assert load_recipe(left()[file]).network.backbone == recipe.network.backbone


def test_rendered_sets_are_the_training_parts():
    assert {split.name for split in SPLITS.values() if split.training} == set(RENDERED_SETS)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("hmr_l1", "network.backbone=resnet18", "`network.backbone`: resnet18 is for the open body"),
        ("hmr_l1", "data.mixture.h36m.rendered=9", "`data.mixture.h36m.rendered`: h36m cannot be rendered"),
        ("hmr_l1", "adversary.rendered=9", "`adversary.rendered`: cmu_mosh cannot be rendered"),
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
        load_recipe(name, [override])
    assert message in str(caught.value)


def test_the_open_benchmark_need_not_freeze_statistics():
    for kept in ("synchronised", "local", "frozen"):
        assert load_recipe("open_pare_l1", [f"network.batch_norm={kept}"]).network.batch_norm == kept
    with pytest.raises(BadInput, match="pare on hrnet_w32 has frozen"):
        load_recipe("pare_l1", ["network.batch_norm=local"])
