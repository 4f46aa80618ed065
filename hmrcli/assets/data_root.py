"""Folders in which fetched files live: networks' weights, body models, annotations and images."""

import os
from pathlib import Path

CHECKPOINTS, BODY_MODELS = "checkpoints", "body_models"
ANNOTATIONS, FITS, IMAGES = "preprocessed_datasets", "static_fits", "datasets"
"""Folders below the data root."""


def data_root(explicit: Path | None = None) -> Path:
    """Returns the folder of the fetched files; it need not exist yet.

    The first that applies: `explicit` (the command's `--data-root`), the variable `HMR_DATA`, `./data` where
    there is one, the user's data folder.
    """
    if explicit is not None:
        return explicit.expanduser()
    if named := os.environ.get("HMR_DATA"):
        return Path(named).expanduser()
    if (here := Path("data")).is_dir():
        return here
    from platformdirs import user_data_path

    return user_data_path("hmr", appauthor=False)
