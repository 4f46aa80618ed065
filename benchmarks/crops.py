"""Crops that were cut once, against originals of 1920 x 1080: samples a second of a core, size, and what is lost.

    python benchmarks/crops.py [--rounds 5] [--recipe hmr_l1_coco_aug]

The pictures are those of benchmarks/training.py; their people are 300 to 900 pixels high. Samples are whole ones, with
augmentation and all labels, in turns from originals and from crops, by processor time of one thread. What is lost is
the difference of the pictures of the same samples, in grey levels, beside that of pictures moved by a pixel.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.training import IMAGES, make_images, make_set, plain
from hmrcli.data.crop_cache import cache_settings, open_cache
from hmrcli.data.crop_making import make_cache
from hmrcli.data.mixture import Draw
from hmrcli.data.training import TrainingSet
from hmrcli.recipe import load_recipe


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipe", default="hmr_l1_coco_aug")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    recipe = load_recipe(options.recipe)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder)
        originals = make_set(folder, recipe.data.joints)
        rows = folder / "rows.npz"
        rows.write_bytes(b"rows")
        began = time.process_time()
        made = make_cache(originals, rows, cache_settings(recipe), folder / "crops")
        each = (time.process_time() - began) / IMAGES
        print(f"cutting: {1000 * each:.1f} ms of a core and {made.bytes / IMAGES / 1000:.0f} kB a row")
        cached = replace(originals, cache=open_cache(folder / "crops", rows, IMAGES, originals.image))
        sets = [
            TrainingSet([one], recipe.augmentation, recipe.data.joints, 0, recipe.crop_shape)
            for one in (originals, cached)
        ]
        ways = [lambda draw: plain(originals, draw.row), sets[0].sample, sets[1].sample]
        seconds: list[list[float]] = [[] for _ in ways]
        for number in range(options.rounds):
            for way, times in zip(ways, seconds):
                began = time.process_time()
                for row in range(IMAGES):
                    way(Draw(0, number * IMAGES + row, 0, row))
                times.append((time.process_time() - began) / IMAGES)
        medians = [float(np.median(times)) for times in seconds]
        titles = ("plain OpenCV loop", "samples from originals", "samples from crops")
        for title, median in zip(titles, medians):
            print(
                f"{title:28}{1 / median:8.1f} a second of a core, {medians[0] / median:6.2f} times the plain loop"
            )
        print(f"crops against originals: {medians[1] / medians[2]:.1f} times")
        apart, moved = [], []
        for number in range(3 * IMAGES):
            draw = Draw(0, number, 0, number % IMAGES)
            one, other = (each.sample(draw)["images"].astype(int) for each in sets)
            apart.append(np.abs(one - other).mean())
            moved.append(np.abs(one[:, 1:] - one[:, :-1]).mean())
        print(
            f"difference of pictures: {np.mean(apart):.2f} grey levels; moved by a pixel: {np.mean(moved):.2f}"
        )


if __name__ == "__main__":
    main()
