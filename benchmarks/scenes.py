"""How fast pictures of the open data set are made on one core, stage by stage, against the plain rasteriser.

    python benchmarks/scenes.py [--split open-test] [--rows 64]

The baseline is `hmrcli.render` drawing one grey body on one colour at the same size: no clothes, backdrop,
shadow, lens, labels or file. Each stage runs alone over all rows; the fastest of some rounds counts. Loops are
compiled before, on the same rows.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch

from hmrcli.render.rasteriser import paint
from hmrcli.render.shading import shade
from hmrcli.scenes.backdrops import paint_backdrop
from hmrcli.scenes.labels import render_sample
from hmrcli.scenes.paint import Painting, paint_scene
from hmrcli.scenes.posing import pose_people
from hmrcli.scenes.sample import draw_scene, open_body
from hmrcli.scenes.scene import Scene
from hmrcli.scenes.splits import SIZE, SPLITS

GREY, GROUND = np.array([0.7, 0.7, 0.7]), (90, 120, 150)
ROUNDS = 3


def milliseconds(function: Callable[[int], object], rows: int) -> float:
    """Of one row, in the fastest round over all of them."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for row in range(rows):
            function(row)
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / rows


def plain(scene: Scene, vertices: np.ndarray, faces: np.ndarray, samples: int) -> np.ndarray:
    """One grey body on one colour, by the rasteriser that overlays are drawn with."""
    image = np.full((SIZE, SIZE, 3), GROUND, np.uint8)
    paint(image, vertices, faces, shade(vertices, faces, GREY), scene.camera, samples=samples)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", default="open-test", choices=sorted(SPLITS))
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    split, rows, body = options.split, options.rows, open_body()
    faces = body.faces.numpy().astype(np.int32)
    for row in range(rows):
        render_sample(split, row)
    scenes = [draw_scene(split, row) for row in range(rows)]
    paintings: list[Painting] = [paint_scene(scene, body) for scene in scenes]
    for samples in (1, 2):
        plain(scenes[0], paintings[0].vertices[0], faces, samples)

    def jpeg(row: int) -> object:
        quality = scenes[row].lens.jpeg_quality
        return cv2.imencode(".jpg", paintings[row].image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])

    def backdrop(row: int) -> object:
        return paint_backdrop(scenes[row].backdrop, SIZE, scenes[row].camera, scenes[row].ground)

    whole = milliseconds(lambda row: render_sample(split, row), rows)
    drawing = milliseconds(lambda row: draw_scene(split, row), rows)
    painting = milliseconds(lambda row: paint_scene(scenes[row], body), rows)
    behind = milliseconds(backdrop, rows)
    posing = milliseconds(lambda row: pose_people(scenes[row].people, body), rows)
    file = milliseconds(jpeg, rows)

    people = np.mean([len(scene.people) for scene in scenes])
    print(f"{split}, {rows} rows of {SIZE} px with {people:.2f} people each, one core, ms a row")
    print(f"  draw the scene         {drawing:6.2f}")
    print(f"  paint the backdrop     {behind:6.2f}")
    print(f"  paint all the rest     {painting - behind:6.2f}  of which posing bare bodies {posing:.2f}")
    print(f"  compress               {file:6.2f}")
    print(f"  labels and their faults{whole - drawing - painting - file:6.2f}")
    print(f"  render_sample, whole   {whole:6.2f}  {1000 / whole:.0f} samples/s")
    for samples in (1, 2):
        bare = milliseconds(
            lambda row: plain(scenes[row], paintings[row].vertices[0], faces, samples),  # noqa: B023
            rows,
        )
        print(
            f"baseline: one posed grey body on one colour, {samples}x{samples} samples a pixel: {bare:.2f} ms, "
            f"{1000 / bare:.0f} pictures/s; a whole sample takes {whole / bare:.2f} times as long"
        )


if __name__ == "__main__":
    main()
