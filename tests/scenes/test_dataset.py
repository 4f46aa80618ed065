"""The rendered sets as files, and as recipes read them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.needed import needed_files, open_sets
from hmrcli.data.sets import load_real_bodies, load_sets
from hmrcli.data.training import training_batches
from hmrcli.errors import BadInput, MissingFile
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.scenes import dataset
from hmrcli.scenes.dataset import write_set
from hmrcli.scenes.files import annotation_file, image_folder, image_name, written_rows
from hmrcli.scenes.labels import Sample, render_sample
from hmrcli.scenes.splits import SPLITS
from hmrcli.scenes.subjects import first_fits, true_bodies
from tests.data.people import assert_same

ROWS = 4
TRAINING = ("open-studio", "open-fitted", "open-keypoints")


def recipe(rows: int = ROWS) -> Recipe:
    changes = [f"data.mixture.{part}.rows={rows}" for part in TRAINING]
    return load_recipe("spin_l1_coco", [*changes, "schedule.batch_size=4"], open=True)


def stored(root: Path, name: str) -> Annotations:
    return read_annotations(annotation_file(root, name), "smpl_54", name, cameras=True)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows as they are rendered."""
    rows: list[int] = []

    def render(name: str, row: int) -> Sample:
        rows.append(row)
        return render_sample(name, row)

    monkeypatch.setattr(dataset, "render_sample", render)
    return rows


def test_files_hold_the_samples(open_root: Path) -> None:
    for name in TRAINING:
        rows = stored(open_root, name)
        assert len(rows) == ROWS
        for row, sample in enumerate(render_sample(name, row) for row in range(ROWS)):
            path = image_folder(open_root, name) / str(rows.image_path[row])
            assert path.read_bytes() == sample.jpeg and path.parts[-2:] == ("000", f"00000{row}.jpg")
            for label in ("bbox_xywh", "keypoints2d", "pose", "betas", "transl", "intrinsics", "has_smpl"):
                np.testing.assert_array_equal(
                    getattr(rows, label)[row], getattr(sample, label), err_msg=label
                )
            if sample.keypoints3d is not None:
                np.testing.assert_array_equal(rows.keypoints3d[row], sample.keypoints3d)
    mask = cv2.imread(str(open_root / "datasets/open-fitted-masks/000/000002.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, render_sample("open-fitted", 2).parts)
    assert not (open_root / "datasets/open-studio-masks").exists()
    assert {path.name for path in image_folder(open_root, "open-studio").iterdir()} == {"000"}


def test_several_processes_write_the_same(
    open_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "ROWS_A_GROUP", 2)
    seen: list[tuple[int, int]] = []
    write_set(tmp_path, "open-fitted", ROWS, workers=2, progress=lambda *now: seen.append(now))
    assert seen == [(0, ROWS), (2, ROWS), (ROWS, ROWS)]
    assert_same(stored(tmp_path, "open-fitted"), stored(open_root, "open-fitted"))
    for root in (tmp_path, open_root):
        fits = np.load(root / "static_fits/open-fitted_fits.npy")
        assert np.array_equal(fits, np.concatenate(first_fits("open-fitted", ROWS), 1))


def test_an_interrupted_writing_goes_on(
    open_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rendered: list[int]
) -> None:
    monkeypatch.setattr(dataset, "ROWS_A_GROUP", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_set(tmp_path, "open-studio", ROWS, progress=stop)
    assert written_rows(tmp_path, "open-studio") == 0
    write_set(tmp_path, "open-studio", ROWS)
    assert rendered == [0, 1, 2, 3]
    assert_same(stored(tmp_path, "open-studio"), stored(open_root, "open-studio"))
    images = sorted(p.name for p in image_folder(tmp_path, "open-studio").rglob("*") if p.is_file())
    assert images == [f"00000{row}.jpg" for row in range(ROWS)]


def test_a_set_is_extended_and_never_shortened(open_root: Path, tmp_path: Path, rendered: list[int]) -> None:
    for rows, expected in ((2, 2), (1, 2), (ROWS, ROWS), (3, ROWS)):
        write_set(tmp_path, "open-keypoints", rows)
        assert written_rows(tmp_path, "open-keypoints") == expected
    assert rendered == [0, 1, 2, 3]
    assert_same(stored(tmp_path, "open-keypoints"), stored(open_root, "open-keypoints"))
    fits = [np.load(root / "static_fits/open-keypoints_fits.npy") for root in (tmp_path, open_root)]
    assert np.array_equal(*fits)
    write_set(tmp_path, "open-keypoints", 1, masks=True)
    assert written_rows(tmp_path, "open-keypoints", masks=True) == ROWS
    assert rendered == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("what", ["edition", "image"])
def test_rows_of_another_edition_or_without_images_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rendered: list[int], what: str
) -> None:
    write_set(tmp_path, "open-test", 1)
    if what == "edition":
        monkeypatch.setattr("hmrcli.scenes.files.EDITION", "next")
    else:
        (image_folder(tmp_path, "open-test") / image_name(0)).unlink()
    assert written_rows(tmp_path, "open-test") == 0
    write_set(tmp_path, "open-test", 1)
    assert rendered == [0, 0] and written_rows(tmp_path, "open-test") == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/open-studio").write_text("in the way")
    with pytest.raises(BadInput, match=r"open-studio: .*cannot be written"):
        write_set(tmp_path, "open-studio", 1)


def test_a_recipe_says_what_is_to_be_rendered(tmp_path: Path) -> None:
    wanted = open_sets(recipe())
    assert wanted == {**dict.fromkeys(TRAINING, ROWS), "open-test": None}
    assert open_sets(load_recipe("hmr_l1", open=True), ["open-studio"], test=False) == dict.fromkeys(
        ["open-fitted", "open-keypoints", "open-studio"],
        20_000,  # the adversary's are open-studio's
    )
    assert open_sets(load_recipe("hmr_l1")) == {}
    files = [file for file in needed_files(recipe(), tmp_path) if file.rendered]
    assert {file.path.name for file in files} >= {f"{name}.npz" for name in wanted} | set(wanted)
    assert not any(file.found for file in files)
    with pytest.raises(MissingFile, match="Run: hmr download open-studio open-fitted open-keypoints"):
        load_sets(recipe(), tmp_path)


def test_a_set_with_more_rows_serves_a_recipe_that_wants_fewer(open_root: Path) -> None:
    few, all_rows = load_sets(recipe(rows=2), open_root), load_sets(recipe(), open_root)
    for one, other in zip(few, all_rows):
        assert (len(one), len(other)) == (2, ROWS)
        assert np.array_equal(one.read(1).image.image, other.read(1).image.image)
        assert (one.fits is None) == (other.fits is None) == (one.name != "open-keypoints")
        assert one.fits is None or np.array_equal(one.fits.pose, other.fits.pose[:2])
    with pytest.raises(
        BadInput, match=r"expected the 9 rows of data.mixture.open-studio.rows, .* has 4; .*--rows 9"
    ):
        load_sets(recipe(rows=9), open_root)


def test_batches_of_rendered_sets(open_root: Path) -> None:
    resolved = recipe()
    sets = load_sets(resolved, open_root)
    sampler = BatchSampler(mixture_of(resolved.data, {each.name: len(each) for each in sets}), 0, 4, stop=2)
    alone = list(training_batches(resolved, sets, sampler))
    shared = list(training_batches(resolved, sets, sampler, workers=2))
    for one, other in zip(alone, shared):
        assert one.images.shape == (4, 224, 224, 3) and one.images.float().std() > 5
        assert all(torch.equal(a, b) for a, b in zip(one, other))
    names = [each.name for each in sets]
    known = {names[n]: bool(flag) for b in alone for n, flag in zip(b.dataset.tolist(), b.has_smpl)}
    assert len(known) > 1 and all(flag == (name != "open-keypoints") for name, flag in known.items())


def test_real_bodies_are_those_that_are_drawn(open_root: Path) -> None:
    bodies = load_real_bodies(load_recipe("hmr_l1", ["adversary.rows=3"], open=True), open_root)
    assert bodies is not None and len(bodies) == 3
    for values, drawn in zip((bodies.pose, bodies.betas), true_bodies("open-studio", 3)):
        assert values == pytest.approx(drawn, abs=1e-6)
    with pytest.raises(BadInput, match=r"20,000 rows of adversary\.rows"):
        load_real_bodies(load_recipe("hmr_l1", open=True), open_root)


def test_sets_are_as_large_as_the_benchmark_says(tmp_path: Path) -> None:
    sizes = {name: part.rows for name, part in OPEN_SETS.items()}
    assert sizes == dict.fromkeys(TRAINING, 20_000) | {"open-test": 2_000, "open-wild": 2_000}
    assert [name for name, part in OPEN_SETS.items() if part.training] == list(TRAINING)
    assert list(SPLITS) == list(OPEN_SETS)
