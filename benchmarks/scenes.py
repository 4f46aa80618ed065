"""How fast pictures of the open data set are made on one core, stage by stage, against the plain rasteriser.

    python benchmarks/scenes.py [--split open-test] [--rows 64]

The baseline is `hmrcli.render` drawing one grey body on one colour at the same size: no clothes, backdrop,
shadow, lens, labels or file. Times are the process's own, so that other work on the machine counts little; the
fastest of some rounds counts. Loops are compiled before, on the same rows.
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
ROUNDS = 5


def milliseconds(stages: dict[str, Callable[[int], object]], rows: int) -> dict[str, float]:
    """Of the processor for one row, in each stage's fastest round over all of them; stages take turns."""
    best = dict.fromkeys(stages, np.inf)
    for _ in range(ROUNDS):
        for name, function in stages.items():
            start = time.process_time()
            for row in range(rows):
                function(row)
            best[name] = min(best[name], time.process_time() - start)
    return {name: 1000 * seconds / rows for name, seconds in best.items()}


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

    def pose(row: int) -> object:
        people = scenes[row].people
        pose, betas = (
            np.stack([person.pose for person in people]),
            np.stack([person.betas for person in people]),
        )
        return pose_people(pose, betas, np.stack([person.transl for person in people]), body)

    def backdrop(row: int) -> object:
        return paint_backdrop(scenes[row].backdrop, SIZE, scenes[row].camera, scenes[row].ground)

    taken = milliseconds(
        {
            "whole": lambda row: render_sample(split, row),
            "draw": lambda row: draw_scene(split, row),
            "paint": lambda row: paint_scene(scenes[row], body),
            "backdrop": backdrop,
            "pose": pose,
            "compress": jpeg,
            "plain 1": lambda row: plain(scenes[row], paintings[row].vertices[0], faces, 1),
            "plain 2": lambda row: plain(scenes[row], paintings[row].vertices[0], faces, 2),
        },
        rows,
    )
    whole, people = taken["whole"], np.mean([len(scene.people) for scene in scenes])
    labels = whole - taken["draw"] - taken["paint"] - taken["compress"]
    print(
        f"{split}, {rows} rows of {SIZE} px with {people:.2f} people each: processor's ms a row, one thread"
    )
    print(f"  draw the scene          {taken['draw']:6.2f}")
    print(f"  paint the backdrop      {taken['backdrop']:6.2f}")
    print(
        f"  paint all the rest      {taken['paint'] - taken['backdrop']:6.2f}  of which posing {taken['pose']:.2f}"
    )
    print(f"  compress                {taken['compress']:6.2f}")
    print(f"  labels and their faults {labels:6.2f}")
    print(f"  render_sample, whole    {whole:6.2f}  {1000 / whole:.0f} samples/s")
    for samples in (1, 2):
        bare = taken[f"plain {samples}"]
        print(
            f"baseline: one posed grey body on one colour, {samples}x{samples} samples a pixel: {bare:.2f} ms, "
            f"{1000 / bare:.0f} pictures/s; a whole sample takes {whole / bare:.2f} times as long"
        )


if __name__ == "__main__":
    main()
