"""The overlay drawn again from the JSON and npz alone, by a projection and a z-buffer of this file's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hmrcli.assets.bundled import bundled
from hmrcli.cli.app import app
from hmrcli.inference.images import read_image
from hmrcli.render.numbers import place_labels
from hmrcli.render.overlay import PALETTE

BOXES = ([450.0, 260.0, 120.0, 205.0], [279.0, 38.0, 68.0, 196.0])
"""Two people of the bundled photo at half its size, 884 x 497."""
LENS = "1 OPENCV 1768 994 1900 1850 780 560 -0.28 0.09 0.004 -0.006"
"""A lens that moves the people by tens of pixels, and looks past the middle."""


def photo(folder: Path, kind: str) -> Path:
    """The photo as it lies, or stored lying on its side with EXIF that turns it, or cut upright."""
    path = folder / "photo.png"
    picture = Image.open(bundled("photos/walk.jpg")).resize((884, 497))
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
        picture = picture.transpose(Image.Transpose.ROTATE_90)  # 6 turns it back, clockwise
    if kind == "upright":
        picture = picture.crop((250, 0, 600, 497))
    picture.save(path, exif=exif.tobytes())
    return path


def projected(points: np.ndarray, matrix: np.ndarray, lens: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of points (N, 3) under K and k1, k2, p1, p2."""
    x, y = (points[:, :2] / points[:, 2:]).T
    k1, k2, p1, p2 = lens if len(lens) else (0, 0, 0, 0)
    r = x**2 + y**2
    grown = 1 + k1 * r + k2 * r**2
    seen = np.stack(
        [
            x * grown + 2 * p1 * x * y + p2 * (r + 2 * x**2),
            y * grown + p1 * (r + 2 * y**2) + 2 * p2 * x * y,
            x**0,
        ]
    )
    return (matrix @ seen)[:2].T


def drawn(corners: np.ndarray, owner: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether (H, W) has any of four samples of a pixel covered, and the owner of the nearest face at all; -1 mixed.

    Args:
        corners: (F, 3, 3) column, row, depth of the faces' corners.
        owner: (F,) whose each is.
    """
    nearest = np.full((2 * height, 2 * width), np.inf)
    of = np.full(nearest.shape, -1)
    places = corners[:, :, :2] * 2 - 0.5  # samples lie at whole numbers
    low = np.maximum(np.ceil(places.min(1)), 0).astype(int)
    high = np.minimum(np.floor(places.max(1)), (2 * width - 1, 2 * height - 1)).astype(int)
    for face in np.flatnonzero((low <= high).all(1)):
        (a, b, c), (za, zb, zc) = places[face], corners[face, :, 2]
        x, y = np.meshgrid(*(np.arange(low[face, k], high[face, k] + 1) for k in (0, 1)))
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        wb = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        wc = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        depth = 1 / ((1 - wb - wc) / za + wb / zb + wc / zc)
        part = (slice(low[face, 1], high[face, 1] + 1), slice(low[face, 0], high[face, 0] + 1))
        closer = (wb >= 0) & (wc >= 0) & (wb + wc <= 1) & (depth < nearest[part])
        nearest[part][closer] = depth[closer]
        of[part][closer] = owner[face]
    blocks = of.reshape(height, 2, width, 2).transpose(0, 2, 1, 3).reshape(height, width, 4)
    one = (blocks == blocks[..., :1]).all(2)
    return (blocks >= 0).any(2), np.where(one, blocks[..., 0], -1)


CASES: list[tuple[str, Any, list[str]]] = [
    ("plain", BOXES, []),
    ("plain", BOXES[:1], ["--calib", LENS]),
    ("turned", BOXES[:1], ["--calib", "1 OPENCV 994 1768 1850 1900 434 780 -0.28 0.09 0.006 0.004"]),
    ("upright", [[200.0, 260.0, 120.0, 205.0]], ["--calib", "1 PINHOLE 350 497 700 700 90 400"]),
    ("upright", [[200.0, 260.0, 120.0, 205.0]], ["--focal", "35mm=24"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "boxes", "options"), CASES, ids=["diagonal", "lens", "exif-turned", "off-center", "upright"]
)
def test_the_overlay_is_what_the_numbers_say(
    kind: str, boxes: Any, options: list[str], tmp_path: Path
) -> None:
    path = photo(tmp_path, kind)
    if "--calib" in options:
        (tmp_path / "cameras.txt").write_text(options[1] + "\n")
        options = ["--calib", str(tmp_path / "cameras.txt")]
    given = [part for box in boxes for part in ("--bbox", ",".join(map(str, box)))]
    out = ["--out", str(tmp_path / "out"), "--save", "overlay,json,npz", "--json"]
    done = CliRunner().invoke(app, ["infer", str(path), *given, *options, *out], catch_exceptions=False)
    (entry,) = json.loads(done.stdout)["images"]
    people, width, height = entry["people"], entry["width"], entry["height"]
    assert len(people) == len(boxes)
    corners, owner, tops = [], [], []
    for index, person in enumerate(people):
        arrays = np.load(person["files"]["npz"])
        assert np.allclose(person["K"], arrays["K"]) and np.allclose(
            person["distortion"], arrays["distortion"]
        )
        assert person["focal_length"] == pytest.approx(arrays["K"][0, 0])
        assert person["principal_point"] == pytest.approx(arrays["K"][:2, 2])
        assert person["focal_source"] == ("given" if options else "diagonal")
        placed = arrays["vertices"].astype(float) + arrays["transl"]
        pixels = projected(placed, arrays["K"], arrays["distortion"])
        joints = projected(np.array(person["joints3d"]) + person["transl"], arrays["K"], arrays["distortion"])
        np.testing.assert_allclose(joints, person["joints2d"], atol=2e-3)
        corners.append(np.column_stack([pixels, placed[:, 2]])[arrays["faces"]])
        owner += [index] * len(arrays["faces"])
        inside = pixels[((pixels >= 0) & (pixels < (width, height))).all(1)]
        tops.append(inside[inside[:, 1].argmin()])
    covered, nearest = drawn(np.concatenate(corners), np.array(owner), width, height)
    before = read_image(path)
    after = read_image(people[0]["files"]["overlay"])[:, :width]
    assert before.shape == after.shape == (height, width, 3)
    painted = (before != after).any(2)
    free = np.ones((height, width), bool)
    for index, label in enumerate(place_labels(tops, range(len(people)), before.shape)):
        assert label and label.text == str(index)
        plate = (slice(label.top, label.top + label.height), slice(label.left, label.left + label.width))
        free[plate] = False
        assert (after[plate] == np.rint(255 * PALETTE[index])).all(2).mean() > 0.3
    wrong = (painted != covered) & free
    assert covered.sum() > 2000
    assert wrong.sum() <= 0.001 * covered.sum(), f"{wrong.sum()} of {covered.sum()} pixels"
    # A body lies where the person is, whatever the lens: most of it in the box.
    for index, (x, y, wide, high) in enumerate(boxes):
        row, column = np.nonzero(nearest == index)
        assert (
            (row > y - 8) & (row < y + high + 8) & (column > x - 12) & (column < x + wide + 12)
        ).mean() > 0.95
