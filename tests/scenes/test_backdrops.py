import hashlib
import json
import pickle

import cv2
import numpy as np
import pytest

from hmrcli.assets.bundled import bundled
from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.backdrops import POOLS, Backdrop, draw_backdrop, paint_backdrop, pictures
from hmrcli.scenes.noise import SIDE, fractal
from hmrcli.scenes.scene import Ground

SIZE = 96
CAMERA = Camera(120.0, (48.0, 48.0))
KINDS = ("studio", "panorama", "photograph", "room")


def level(height: float = 1.5, pitch: float = 0.0) -> Ground:
    return Ground((0.0, -float(np.cos(pitch)), -float(np.sin(pitch))), -height)


def sharp(kind: str, layout: int = 5, view: int = 3, split: str = "train") -> Backdrop:
    names = [p["name"] for p in pictures() if p["kind"] == kind and p["split"] == split]
    return Backdrop(
        kind,
        names[0] if names else "",
        layout % 4 if kind == "studio" else layout,
        view,
        (1.0, 1.0, 1.0),
        0.0,
    )


def drawn(pool: str, count: int = 200) -> list[Backdrop]:
    random = np.random.default_rng(0)
    return [draw_backdrop(random, pool, level()) for _ in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_paints_an_rgb_picture_the_same_each_time(kind: str) -> None:
    image = paint_backdrop(sharp(kind), SIZE, CAMERA, level())
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image, paint_backdrop(sharp(kind), SIZE, CAMERA, level()))
    assert image.std() > 1  # something is there


@pytest.mark.parametrize("kind", KINDS)
def test_paints_without_ground_at_odd_sizes(kind: str) -> None:
    assert paint_backdrop(sharp(kind), 65, Camera(90.0, (32.5, 32.5)), None).shape == (65, 65, 3)


@pytest.mark.parametrize("kind", ("panorama", "photograph", "room"))
def test_another_view_is_another_picture(kind: str) -> None:
    first = paint_backdrop(sharp(kind, view=3), SIZE, CAMERA, level())
    assert (first != paint_backdrop(sharp(kind, view=4), SIZE, CAMERA, level())).any()


@pytest.mark.parametrize("pool", POOLS)
def test_draws_the_same_from_the_same_generator_and_travels_to_other_processes(pool: str) -> None:
    first = drawn(pool, 20)
    assert first == drawn(pool, 20)
    assert pickle.loads(pickle.dumps(first)) == first


def test_training_and_testing_share_nothing() -> None:
    training, testing = drawn("train"), drawn("test") + drawn("wild")
    assert not {b.picture for b in training if b.picture} & {b.picture for b in testing}
    assert max(b.layout for b in training) < min(b.layout for b in testing)
    assert {b.kind for b in training} == set(KINDS) - {"studio"}


def test_the_studio_pool_is_four_rooms() -> None:
    backdrops = drawn("studio")
    assert {(b.kind, b.layout) for b in backdrops} == {("studio", k) for k in range(4)}


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of studio, train, test, wild"):
        draw_backdrop(np.random.default_rng(0), "validation", None)


def test_the_index_tells_the_truth_about_every_picture() -> None:
    folder = bundled("scenes/backdrops/index.json").parent
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert sorted(entry["name"] for entry in index) == sorted(path.name for path in folder.glob("*.jpg"))
    for entry in index:
        assert hashlib.sha256((folder / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["licence"] in ("CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "public domain")
        assert entry["author"] and entry["package"] and entry["version"] and entry["member"]
        height, width = cv2.imread(str(folder / entry["name"])).shape[:2]
        if entry["kind"] == "panorama":
            assert width == 2 * height
        else:
            assert max(height, width) <= 640
    for split in ("train", "test"):
        assert {e["kind"] for e in index if e["split"] == split} == {"panorama", "photograph"}


def test_the_wall_of_a_studio_meets_its_floor_where_the_camera_sees_it() -> None:
    """A level camera h above the floor sees its line at depth z in row cy + f h / z."""
    below = []
    for height in (1.2, 1.6, 2.0):
        image = paint_backdrop(sharp("studio", layout=2), SIZE, CAMERA, level(height)).astype(float)
        rows = image[48:, SIZE // 2]  # a green wall, a skirting of 0.09 m, a floor that is less green
        green = rows[:, 1] / rows.sum(-1)
        below.append(int(np.flatnonzero(green < 0.5 * (green[0] + green[-1]))[0]))
    np.testing.assert_allclose(np.array(below) / below[0], [1.0, 4 / 3, 5 / 3], atol=0.06)


def test_a_studio_stays_where_it_is_when_another_part_of_it_is_cut_out() -> None:
    whole = paint_backdrop(sharp("studio", layout=2), SIZE, CAMERA, level())
    shifted = paint_backdrop(sharp("studio", layout=2), SIZE, Camera(120.0, (40.0, 58.0)), level())
    np.testing.assert_array_equal(shifted[10:, :-8], whole[:-10, 8:])


def test_the_horizon_follows_the_camera() -> None:
    """What lies above the line at infinity, cy - f tan(pitch), does not change with the camera's height."""
    for pitch in (-0.15, 0.0, 0.15):
        first, second = (
            paint_backdrop(sharp("panorama"), SIZE, CAMERA, level(height, pitch)).astype(int)
            for height in (1.0, 1.6)
        )
        changed = np.flatnonzero((np.abs(first - second) > 8).any((1, 2)))
        assert abs(changed.min() - (48 - 120 * np.tan(pitch))) <= 6
        assert changed.max() == SIZE - 1


def test_raising_the_camera_moves_the_floor_of_a_panorama_and_not_what_is_above_the_horizon() -> None:
    low, high = (paint_backdrop(sharp("panorama"), SIZE, CAMERA, level(h)) for h in (1.0, 1.9))
    np.testing.assert_array_equal(low[:48], high[:48])
    assert (low[52:] != high[52:]).any(-1).mean() > 0.5


def test_gain_and_blur_change_a_picture_as_they_say() -> None:
    plain = paint_backdrop(sharp("photograph"), SIZE, CAMERA, None).astype(float)
    base = sharp("photograph")
    darker = Backdrop(base.kind, base.picture, base.layout, base.view, (0.5, 0.5, 0.5), 0.0)
    blurred = Backdrop(base.kind, base.picture, base.layout, base.view, (1.0, 1.0, 1.0), 0.03)
    np.testing.assert_allclose(paint_backdrop(darker, SIZE, CAMERA, None), plain / 2, atol=1)
    soft = paint_backdrop(blurred, SIZE, CAMERA, None).astype(float)
    assert abs(soft.mean() - plain.mean()) < 2
    assert np.abs(np.diff(soft, axis=0)).mean() < 0.5 * np.abs(np.diff(plain, axis=0)).mean()


def test_the_noise_is_evenly_spread_and_repeats_without_a_seam() -> None:
    noise = fractal()
    assert noise.shape == (SIDE, SIDE) and noise.min() == 0 and noise.max() == 1
    assert abs(float(noise.mean()) - 0.5) < 1e-3
    inside = np.abs(np.diff(noise, axis=1)).mean()
    assert np.abs(noise[:, 0] - noise[:, -1]).mean() < 1.5 * inside
