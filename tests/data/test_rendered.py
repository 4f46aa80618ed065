"""The open data set on the fly and in files."""

import cv2
import numpy as np
import pytest
import torch

from hmrcli.data import rendered
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.needed import needed_files, part_to_render
from hmrcli.data.open_files import annotation_file, image_name, is_written
from hmrcli.data.read import read_annotations
from hmrcli.data.rendered import annotations_of, write_open_set
from hmrcli.data.sets import ImageSet, RenderedSet, load_real_bodies, load_sets
from hmrcli.data.training import training_batches
from hmrcli.errors import BadInput
from hmrcli.recipe import load_recipe
from hmrcli.scenes.labels import render_sample
from hmrcli.scenes.splits import SPLITS
from tests.data.people import assert_same

ROWS = 3
TRAINING = ("open-studio", "open-fitted", "open-keypoints")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    for name in TRAINING:
        write_open_set(folder, name, ROWS, masks=name == "open-fitted")
    return folder


def recipe(name="open_spin_l1_coco", rows=ROWS):
    changes = [f"data.mixture.{part}.rendered={rows}" for part in TRAINING]
    return load_recipe(name, [*changes, "schedule.batch_size=4"])


def assert_equal_rows(one, other):
    assert len(one) == len(other) == ROWS and one.name == other.name
    for row in range(ROWS):
        left, right = one.read(row), other.read(row)
        np.testing.assert_array_equal(left.image, right.image)
        np.testing.assert_array_equal(left.bbox_xywh, right.bbox_xywh)
        assert left.labels.keys() == right.labels.keys()
        for name, values in left.labels.items():
            np.testing.assert_array_equal(values, right.labels[name], err_msg=name)
        assert one.image(row).parts[-4:] == other.image(row).parts[-4:]


def test_rendered_while_training_and_read_from_files_are_the_same(root, tmp_path):
    on_the_fly, from_files = load_sets(recipe(), tmp_path), load_sets(recipe(), root)
    for one, other in zip(on_the_fly, from_files):
        assert isinstance(one, RenderedSet) and isinstance(other, ImageSet)
        assert_equal_rows(one, other)
        assert (one.fits is None) == (other.fits is None)
        if one.fits is not None:
            assert one.fits.pose == pytest.approx(other.fits.pose, abs=1e-5)
            assert one.fits.betas == pytest.approx(other.fits.betas, abs=1e-5)


def test_files_hold_the_samples(root):
    for name in TRAINING:
        samples = [render_sample(name, row) for row in range(ROWS)]
        stored = read_annotations(annotation_file(root, name), "smpl_54", name, cameras=True)
        assert_same(stored, annotations_of(name, range(ROWS), samples))
        for row, sample in enumerate(samples):
            assert (root / "datasets" / name / image_name(row)).read_bytes() == sample.jpeg
    mask = cv2.imread(str(root / "datasets/open-fitted-masks/000/000002.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, render_sample("open-fitted", 2).parts)
    assert not (root / "datasets/open-studio-masks").exists()
    left = {path.name for path in (root / "datasets/open-studio").iterdir()}
    assert left == {"000"}


def test_what_is_written_is_known(root, tmp_path):
    assert is_written(root, "open-studio", ROWS) and not is_written(root, "open-studio", ROWS + 1)
    assert not is_written(root, "open-studio") and not is_written(root, "open-test", 1)
    assert is_written(root, "open-fitted", ROWS, masks=True)
    assert not is_written(root, "open-studio", ROWS, masks=True)


def test_several_processes_write_the_same(root, tmp_path, monkeypatch):
    monkeypatch.setattr(rendered, "ROWS_A_PIECE", 2)
    seen = []
    write_open_set(tmp_path, "open-fitted", ROWS, workers=2, progress=lambda *now: seen.append(now))
    assert seen[0] == (0, ROWS) and seen[-1] == (ROWS, ROWS) and len(seen) == 3
    for name in ("preprocessed_datasets/open-fitted.npz", "static_fits/open-fitted_fits.npy"):
        assert (tmp_path / name).is_file()
    assert_same(
        read_annotations(annotation_file(tmp_path, "open-fitted"), "smpl_54"),
        read_annotations(annotation_file(root, "open-fitted"), "smpl_54"),
    )


def test_an_interrupted_writing_goes_on(root, tmp_path, monkeypatch):
    monkeypatch.setattr(rendered, "ROWS_A_PIECE", 1)
    made = []

    def render(name, row):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(row)
        return render_sample(name, row)

    monkeypatch.setattr(rendered, "render_sample", render)
    with pytest.raises(KeyboardInterrupt):
        write_open_set(tmp_path, "open-studio", ROWS)
    assert not annotation_file(tmp_path, "open-studio").exists()
    made.clear()
    write_open_set(tmp_path, "open-studio", ROWS)
    assert made == [2]
    assert_same(
        read_annotations(annotation_file(tmp_path, "open-studio"), "smpl_54"),
        read_annotations(annotation_file(root, "open-studio"), "smpl_54"),
    )
    images = sorted(path.name for path in (tmp_path / "datasets/open-studio").rglob("*") if path.is_file())
    assert images == ["000000.jpg", "000001.jpg", "000002.jpg"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/open-studio").write_text("in the way")
    with pytest.raises(BadInput, match=r"open-studio: .*cannot be written"):
        write_open_set(tmp_path, "open-studio", 1)


def test_rendered_sets_need_no_files(tmp_path):
    files = {file.use: file for file in needed_files(recipe(), tmp_path)}
    for name in TRAINING:
        file = files[f"training set {name}, rendered"]
        assert file.found and file.source == f"or run: hmr download {name}"
    assert files["evaluation, rendered"].found and part_to_render(recipe(), tmp_path) == "open-test"
    annotation_file(tmp_path, "open-fitted").parent.mkdir()
    annotation_file(tmp_path, "open-fitted").touch()
    files = {file.use: file for file in needed_files(recipe(), tmp_path)}
    missing = files["training set open-fitted, images"]
    assert files["training set open-fitted, annotations"].found and not missing.found


def test_batches_of_rendered_sets(tmp_path):
    resolved = recipe()
    sets = load_sets(resolved, tmp_path)
    sampler = BatchSampler(mixture_of(resolved.data, {each.name: len(each) for each in sets}), 0, 4, stop=2)
    alone = list(training_batches(resolved, sets, sampler))
    shared = list(training_batches(resolved, sets, sampler, workers=2))
    for one, other in zip(alone, shared):
        assert one.images.shape == (4, 224, 224, 3) and one.images.float().std() > 5
        assert all(torch.equal(a, b) for a, b in zip(one, other))
    names = [each.name for each in sets]
    known = {names[n]: bool(flag) for b in alone for n, flag in zip(b.dataset.tolist(), b.has_smpl)}
    assert len(known) > 1 and all(flag == (name != "open-keypoints") for name, flag in known.items())


def test_real_bodies_are_those_of_the_file(root, tmp_path):
    resolved = load_recipe("open_hmr_l1", [f"adversary.rendered={ROWS}"])
    drawn, stored = load_real_bodies(resolved, tmp_path), load_real_bodies(resolved, root)
    assert len(drawn) == ROWS
    assert drawn.pose == pytest.approx(stored.pose, abs=1e-5)
    assert drawn.betas == pytest.approx(stored.betas, abs=1e-5)


def test_parts_are_as_large_as_the_benchmark_says():
    assert {name: split.rows for name, split in SPLITS.items() if split.training} == dict.fromkeys(
        TRAINING, 20_000
    )
    assert {name: split.rows for name, split in SPLITS.items() if not split.training} == {
        "open-test": 2_000,
        "open-wild": 2_000,
    }
