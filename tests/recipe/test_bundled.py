"""The 20 rows: what they share, what sets them apart, and what in them is inferred."""

from itertools import product
from pathlib import Path

import pytest

from hmrcli.assets.registry import load_registry
from hmrcli.recipe import load_recipe, recipe_names
from hmrcli.recipe.document import Document

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

PUBLISHED = {
    "hmr": (64.55, 58.20, 51.80, 51.66),
    "spin": (59.00, 57.08, 51.54, 50.69),
    "graphcmr": (70.51, 67.20, 61.74, 60.26),
    "pare": (61.99, 61.13, 59.98, 58.32),
    "graphormer": (63.18, 63.47, 59.66, 58.82),
}
VARIANTS = ("normal", "l1", "l1_coco", "l1_coco_aug")
ROWS = list(product(PUBLISHED, VARIANTS))

KEYPOINTS_AND_SMPL = ("keypoints3d", "keypoints2d", "rotmat", "betas")
SWITCHED = {
    "hmr": KEYPOINTS_AND_SMPL,
    "spin": KEYPOINTS_AND_SMPL,
    "graphcmr": (*KEYPOINTS_AND_SMPL, "free_keypoints3d", "free_keypoints2d"),
    "pare": KEYPOINTS_AND_SMPL,
    "graphormer": ("keypoints3d", "keypoints2d", "token_keypoints3d", "token_keypoints2d"),
}
"""The losses that are not L1 in the Normal row and are in the others."""

INFERRED = {
    "hmr": {"schedule.batch_size", "seed"},
    "spin": {
        *("schedule.batch_size", "seed", "in_the_loop.corrected", "evaluation.annotations"),
    },
    "graphcmr": {
        *(f"data.mixture.{name}" for name in ("h36m", "lsp", "lspet", "mpii", "coco", "up-3d")),
        *("seed", "evaluation.every_epochs", "evaluation.meshes"),
    },
    "pare": {"schedule.batch_size", "seed"},
    "graphormer": {
        *(f"data.mixture.{name}" for name in ("h36m", "muco", "coco", "up-3d", "mpii")),
        *("schedule.batch_size", "schedule.epochs"),
    },
}
"""What no public config states, in all variants; HMR's own configs state the rest of its rows."""

MADE_HERE = {
    "muco3dhp_train.npz",
    "up3d_trainval.npz",
    *(f"hmr_{variant}.safetensors" for variant in VARIANTS),
}
"""Files that no public list links to: made from their sets, or trained."""


def inferred(algorithm: str, variant: str) -> set[str]:
    keys = set(INFERRED[algorithm])
    if algorithm == "hmr":
        return keys
    if algorithm == "spin":
        keys.add("network.initialisation")
    if variant != "normal":
        keys |= {f"losses.{term}" for term in SWITCHED[algorithm]}
    if variant == "l1_coco_aug":
        keys |= {"augmentation.channel_noise", "augmentation.self_mix"}
    if algorithm == "graphormer" and "coco" not in variant:
        keys.add("network.initialisation")
    return keys


def flat(values: dict, prefix: str = "") -> dict[str, object]:
    leaves: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def changes(algorithm: str, before: str, after: str) -> dict[str, object]:
    old, new = (flat(load_recipe(f"{algorithm}_{variant}").as_dict()) for variant in (before, after))
    absent = "absent"  # which null is not
    return {key: new.get(key) for key in old | new if old.get(key, absent) != new.get(key, absent)}


def own(key: str) -> bool:
    """Whether each row has another value: SPIN's start with the HMR of the same variant."""
    start = key == "network.initialisation.network"
    return start or key in ("name", "variant") or key.startswith(("published.", "exports."))


def test_there_are_exactly_the_20_rows():
    rows = {name for name in recipe_names() if not name.startswith("open_")} - {"cliff"}
    assert rows == {f"{algorithm}_{variant}" for algorithm, variant in ROWS}


@pytest.mark.parametrize(("algorithm", "variant"), ROWS)
def test_a_row_is_what_its_name_says(algorithm, variant):
    recipe = load_recipe(f"{algorithm}_{variant}")
    assert (recipe.name, recipe.algorithm, recipe.variant) == (f"{algorithm}_{variant}", algorithm, variant)
    assert recipe.body_model == "smpl"
    assert recipe.evaluation.protocol == "3dpw"
    assert recipe.published is not None
    assert recipe.published.value == PUBLISHED[algorithm][VARIANTS.index(variant)]


def test_rows_that_public_lists_disagree_on():
    rows = {f"{algorithm}_{variant}" for algorithm, variant in ROWS}
    listed = {name: load_recipe(name).published.also_listed for name in rows}
    values = {name: [figure.value for figure in figures] for name, figures in listed.items() if figures}
    assert values == {"spin_normal": [59.2], "pare_l1_coco_aug": [51.66], "hmr_l1_coco": [51.66]}


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_l1_switches_losses_alone(algorithm):
    changed = changes(algorithm, "normal", "l1")
    assert {key for key in changed if not own(key)} == {f"losses.{term}.kind" for term in SWITCHED[algorithm]}
    assert {value for key, value in changed.items() if key.startswith("losses.")} == {"l1"}


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_coco_changes_the_start_alone(algorithm):
    changed = {key for key in changes(algorithm, "l1", "l1_coco") if not own(key)}
    assert changed == ({"network.initialisation.backbone"} if algorithm != "spin" else set())
    start = load_recipe(f"{algorithm}_l1_coco").network.initialisation
    assert "coco" in str(start.backbone or start.network)


@pytest.mark.parametrize("variant", VARIANTS)
def test_spin_starts_with_what_hmr_of_the_same_variant_exports(variant):
    left = load_recipe(f"hmr_{variant}").exports
    assert left is not None and left.network == load_recipe(f"spin_{variant}").network.initialisation.network


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_aug_changes_the_augmentation_alone(algorithm):
    changed = {key for key in changes(algorithm, "l1_coco", "l1_coco_aug") if not own(key)}
    fields = ("datasets", "probability", "area", "aspect", "blend", "attempts")
    mix = {"augmentation.self_mix", *(f"augmentation.self_mix.{field}" for field in fields)}
    assert changed == {"augmentation.channel_noise", *mix}
    augmentation = load_recipe(f"{algorithm}_l1_coco_aug").augmentation
    assert augmentation.channel_noise == 0.2
    assert augmentation.self_mix is not None
    assert augmentation.self_mix.datasets == ("h36m",)


@pytest.mark.parametrize(("algorithm", "variant"), ROWS)
def test_what_is_inferred_says_so_with_a_reason(algorithm, variant):
    """The lines with such a comment are exactly those of the table, so neither can be forgotten."""
    document = Document(RECIPES / f"{algorithm}_{variant}.yaml")
    lines = document.path.read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if "# inferred" in line}
    expected = {key: document.line(tuple(key.split("."))) for key in inferred(algorithm, variant)}
    assert marked == set(expected.values()), expected
    for number in marked:
        reason = lines[number - 1].partition("# inferred: ")[2]
        assert len(reason.split()) >= 3, lines[number - 1]


@pytest.mark.parametrize(("algorithm", "variant"), ROWS)
def test_files_are_in_the_registry(algorithm, variant):
    recipe = load_recipe(f"{algorithm}_{variant}")
    start = recipe.network.initialisation
    assert start is not None
    files = {start.backbone, start.network, recipe.network.mean_parameters, recipe.evaluation.annotations}
    for dataset in recipe.data.mixture.values():
        files |= {dataset.annotations, dataset.fits}
    if recipe.adversary:
        files.add(recipe.adversary.annotations)
    if recipe.in_the_loop:
        files.add(recipe.in_the_loop.pose_prior)
    assert files - {None} - MADE_HERE <= load_registry().by_name.keys()


def test_spin_starts_its_fits_from_stored_ones():
    mixture = load_recipe("spin_normal").data.mixture
    assert {name: dataset.fits for name, dataset in mixture.items()} == {
        name: f"{name}_fits.npy" for name in mixture
    }
