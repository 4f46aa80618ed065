"""Small image sets on disk, for tests of training data."""

from pathlib import Path

import cv2
import numpy as np

from hmrcli.data.human_data import write_human_data
from hmrcli.recipe import Recipe, load_recipe
from tests.data.people import people

SIZES = {"h36m": 12, "mpi_inf_3dhp": 5, "lsp": 3, "lspet": 4, "mpii": 6, "coco": 7}


def write_sets(root: Path, recipe: Recipe, sizes: dict[str, int] = SIZES) -> None:
    """Annotations, images and fits of a recipe's mixture in the published layouts, one image a row."""
    rng = np.random.default_rng(1)
    for name, dataset in recipe.data.mixture.items():
        count = sizes[name]
        annotations = people(
            count,
            seed=count,
            dataset=name,
            image_path=np.array([f"{i}.png" for i in range(count)]),
            bbox_xywh=rng.uniform(20, 60, (count, 4)).astype(np.float32),
        )
        annotations.keypoints2d[..., :2] *= 20  # pixels
        path = root / "preprocessed_datasets" / dataset.annotations
        path.parent.mkdir(parents=True, exist_ok=True)
        write_human_data(path, annotations)
        folder = root / "datasets" / name
        folder.mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (80, 100, 3), np.uint8))
        if dataset.fits:
            fits = root / "static_fits" / dataset.fits
            fits.parent.mkdir(parents=True, exist_ok=True)
            np.save(fits, rng.normal(size=(count, 82)))


def recipe(name: str = "hmr_l1_coco_aug", **changes: object) -> Recipe:
    """A bundled recipe with some leaves changed, by their dotted names with __ for the dots."""
    return load_recipe(name, [f"{key.replace('__', '.')}={value}" for key, value in changes.items()])
