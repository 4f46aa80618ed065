"""The error of every sample, which `hmr eval` stores beside its results."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput, MissingFile
from hmrcli.results.runs import Run

ERRORS_FILE = "errors.npz"
LEAST_GROUPS = 10
"""With fewer image folders, intervals are over single samples."""


class Errors(NamedTuple):
    """Errors of one metric."""

    images: NDArray[np.str_]
    """(N,) paths below the folder of the data set."""
    values: NDArray[np.float64]
    """(N,) in the metric's unit."""


def read_errors(run: Run, metric: str) -> Errors | None:
    """The errors of the score that counts; None where there are none, or none that fit the result.

    Args:
        metric: by its key, such as `pa_mpjpe_mm`.
    """
    surface = run.results.scores[0].surface
    name = f"{surface}_{metric}" if surface else metric
    try:
        arrays = read_npz(run.folder / ERRORS_FILE, ("image_path", name))
    except (BadInput, MissingFile):
        return None
    images, values = (np.asarray(arrays[key]) for key in ("image_path", name))
    if images.dtype.kind != "U" or values.dtype.kind != "f":
        return None
    found = Errors(images, values.astype(np.float64))
    shape = (run.results.samples,)
    return found if images.shape == values.shape == shape and np.isfinite(found.values).all() else None


def image_folders(paths: NDArray[np.str_]) -> NDArray[Any] | None:
    """The folder of each image: a sequence, whose frames are alike; None where there are too few."""
    folders = np.array([str(path).rpartition("/")[0] for path in paths])
    return folders if len(np.unique(folders)) >= LEAST_GROUPS else None
