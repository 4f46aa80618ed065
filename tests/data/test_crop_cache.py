"""Crops that were cut once show what training would have cut out of the originals."""

import itertools
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from hmrcli.cli.app import app
from hmrcli.data.augmentation import SampleAugmentation, augmented_affine
from hmrcli.data.crop import crop_image, square_around
from hmrcli.data.crop_cache import (
    StoredCrop,
    cache_folder,
    cache_settings,
    cut,
    encode,
    open_cache,
    part_files,
    whole_photo,
)
from hmrcli.data.crop_making import make_cache
from hmrcli.data.mixture import Draw
from hmrcli.data.needed import locate
from hmrcli.data.sets import ImageSet, load_sets
from hmrcli.data.training import TrainingSet
from hmrcli.errors import BadInput, UsageError
from tests.data.image_sets import recipe, write_sets

EXTREMES = [
    SampleAugmentation(flip=flip, scale=scale, rotation=np.radians(degrees))
    for flip in (False, True)
    for scale in (0.75, 1.25)
    for degrees in (-60, -45, 0, 30, 45, 60)
]


def photo(width: int, height: int) -> np.ndarray:
    """Smooth, so that sampling it twice loses little, with grain of its own everywhere."""
    random = np.random.default_rng(0)
    noise = random.uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(1, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["hmr_l1_coco_aug", "cliff", "open_quick"])
@pytest.mark.parametrize("corner", [(200, 150), (-30, -20), (420, 330)])  # within, and over the edges
def test_small_people_are_cut_without_any_loss(name: str, corner: tuple[int, int]) -> None:
    chosen, image = recipe(name), photo(560, 440)
    box = (*corner, 90, 120)
    center, side = square_around(box)
    stored = cut(image, box, cache_settings(chosen))
    assert stored.zoom == 1 and stored.image.size < image.size and stored.photo_size == (560, 440)
    wide = chosen.augmentation.scale
    turns = bool(chosen.augmentation.rotation.probability)
    for one in EXTREMES:
        one = replace(one, scale=1 + np.sign(one.scale - 1) * wide, rotation=one.rotation * turns)
        affine = augmented_affine(one, center, float(side), chosen.crop_shape)
        expected = crop_image(image, affine, chosen.crop_shape)
        assert expected.any()
        ours = crop_image(stored.image, stored.affine(affine), chosen.crop_shape)
        apart = np.abs(ours.astype(int) - expected)
        # The warp rounds places to a 32nd of a pixel; a few fall the other way.
        assert apart.max() <= 1 and (apart > 0).mean() < 0.002


def test_large_people_become_as_small_as_training_needs_them() -> None:
    chosen, image, box = recipe(), photo(1920, 1080), (500, 100, 700, 900)
    center, side = square_around(box)
    stored = cut(image, box, cache_settings(chosen))
    assert stored.zoom == pytest.approx(224 / 900) and stored.image.size < image.size / 15
    for one in EXTREMES:
        affine = augmented_affine(one, center, float(side), chosen.crop_shape)
        ours = crop_image(stored.image, stored.affine(affine), chosen.crop_shape).astype(int)
        expected = crop_image(image, affine, chosen.crop_shape).astype(int)
        other = crop_image(image, affine + [[0, 0, 1], [0, 0, 0]], chosen.crop_shape)  # a pixel to the side
        assert np.abs(ours - expected).mean() < 0.3 * np.abs(other - expected).mean()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_sets(tmp_path, recipe())
    return tmp_path


def first_set(root: Path) -> tuple[ImageSet, Path, Path]:
    """A set read from images, its annotation file, and where its crops belong."""
    images = load_sets(recipe(), root, cached=False)[0]
    annotations = locate("preprocessed_datasets", recipe().data.mixture[images.name].annotations, root)
    return images, annotations, cache_folder(root, images.name, annotations, cache_settings(recipe()))


def test_the_command_makes_crops_that_training_reads_in_place_of_images(root: Path) -> None:
    arguments = ["data", "crops", "--recipe", "hmr_l1_coco_aug", "--data-root", str(root), "--workers", "1"]
    result = CliRunner().invoke(app, [*arguments, "h36m", "coco", "--json"])
    assert result.exit_code == 0, result.output
    assert [(each["set"], each["cut"]) for each in json.loads(result.stdout)["crops"]] == [
        ("h36m", 12),
        ("coco", 7),
    ]
    said: list[str] = []
    plain, cached = load_sets(recipe(), root, cached=False), load_sets(recipe(), root, say=said.append)
    assert [each.cache is not None for each in cached] == [
        name in ("h36m", "coco") for name in recipe().data.mixture
    ]
    assert sum("crops are read in place of the images" in text for text in said) == 2
    from_images, from_crops = (
        TrainingSet(sets, recipe().augmentation, "smpl_54", 0, recipe().crop_shape)
        for sets in (plain, cached)
    )
    for row in range(12):
        one, other = (each.sample(Draw(0, row, 0, row)) for each in (from_images, from_crops))
        assert one.keys() == other.keys()
        for name in one.keys() - {"images"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
        apart = np.abs(one["images"].astype(int) - other["images"])
        assert 0 < apart.mean() < 4  # of JPEG alone, in pure noise
    again = CliRunner().invoke(app, [*arguments, "h36m", "--json"])
    assert json.loads(again.stdout)["crops"][0]["cut"] == 0
    unknown = CliRunner().invoke(app, [*arguments, "somewhere"])
    assert isinstance(unknown.exception, UsageError)


def test_what_was_stopped_goes_on_and_what_changed_is_cut_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("crop_making", "crop_cache"):
        monkeypatch.setattr(f"hmrcli.data.{module}.PART_ROWS", 4)
    images, annotations, folder = first_set(root)

    def stop(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cache(images, annotations, cache_settings(recipe()), folder, progress=stop)
    assert load_sets(recipe(), root)[0].cache is None  # not whole
    made = make_cache(images, annotations, cache_settings(recipe()), folder)
    assert (made.rows, made.cut) == (12, 4)
    assert load_sets(recipe(), root)[0].cache is not None
    changed = images.image(9)
    cv2.imwrite(str(changed), np.zeros((80, 100, 3), np.uint8))
    os.utime(changed, ns=(1, 1))
    with pytest.raises(BadInput, match=r"crops of another .*9.png .*hmr data crops"):
        load_sets(recipe(), root)
    assert make_cache(images, annotations, cache_settings(recipe()), folder).cut == 4
    cache = load_sets(recipe(), root)[0].cache
    assert cache is not None and not cache.read(9).image.any() and cache.read(8).image.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that is killed is a fork")
def test_what_was_killed_while_it_wrote_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("crop_making", "crop_cache"):
        monkeypatch.setattr(f"hmrcli.data.{module}.PART_ROWS", 4)
    images, annotations, folder = first_set(root)
    written = itertools.count()

    def killed(crop: StoredCrop) -> bytes:
        if next(written) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(crop)

    def work() -> None:
        monkeypatch.setattr("hmrcli.data.crop_making.encode", killed)
        make_cache(images, annotations, cache_settings(recipe()), folder)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert load_sets(recipe(), root)[0].cache is None
    made = make_cache(images, annotations, cache_settings(recipe()), folder)
    assert (made.rows, made.cut) == (12, 8)  # the first part was whole
    cache = load_sets(recipe(), root)[0].cache
    assert cache is not None
    parts = [path.name for part in range(3) for path in part_files(folder, part)]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*parts, "cache.json"])
    for row in range(12):
        content = encode(
            cut(
                cv2.imread(str(images.image(row))),
                images.annotations.bbox_xywh[row],
                cache_settings(recipe()),
            )
        )
        np.testing.assert_array_equal(
            cache.read(row).image, cv2.imdecode(np.frombuffer(content, np.uint8), 1)
        )


def test_crops_of_other_annotations_or_damaged_ones_are_refused(root: Path) -> None:
    images, annotations, folder = first_set(root)
    make_cache(images, annotations, cache_settings(recipe()), folder)
    content, _ = part_files(folder, 0)
    whole = content.read_bytes()
    content.write_bytes(whole[:-500])
    cache = load_sets(recipe(), root)[0].cache
    assert cache is not None and cache.read(0).image.any()
    with pytest.raises(BadInput, match="row 11 is damaged"):
        cache.read(11)
    assert make_cache(images, annotations, cache_settings(recipe()), folder).cut == 12
    assert content.read_bytes() == whole
    other = images.annotations[:6]
    with pytest.raises(BadInput, match="crops of other rows"):
        annotations.write_bytes(annotations.read_bytes() + b" ")
        open_cache(folder, annotations, 6, images.image)
    few = replace(images, annotations=other)
    assert make_cache(few, annotations, cache_settings(recipe()), folder).cut == 6


def test_a_photo_itself_is_a_crop_that_leaves_nothing_out() -> None:
    image = photo(160, 80)
    affine = np.array([[0.3, 0.1, 5.0], [-0.1, 0.3, 7.0]])
    assert np.array_equal(whole_photo(image).affine(affine), affine)
