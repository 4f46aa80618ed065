"""Reads Leeds Sports Pose (`lsp_dataset_original.zip`) and its extension in high resolution (`hr-lspet.zip`)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.raw.documents import read_mat
from hmrcli.data.raw.rows import Made, Rows, image_size, padded_box
from hmrcli.errors import BadInput, MissingFile

TRAINING = 1000
"""Images of LSP that are for training, the first ones."""


def read_lsp(raw: Path) -> Made:
    """Reads the training half: `images/im0001.jpg` and on, and `joints.mat` (3, 14, 2000).

    Raises:
        MissingFile, BadInput: a file is not there or not the set's.
    """
    names = [f"images/im{number:04d}.jpg" for number in range(1, TRAINING + 1)]
    path = raw / "joints.mat"
    # Three numbers first here, joints first in the extension.
    return _read(raw, "lsp", names, path, _joints(path, (3, 14, None))[:2].transpose(2, 1, 0))


def read_lspet(raw: Path) -> Made:
    """Reads the extension: `im00001.png` and on, with gaps, and `joints.mat` (14, 3, N), a column for each png.

    Raises:
        MissingFile, BadInput: a file is not there or not the set's.
    """
    names = sorted(path.name for path in raw.glob("*.png"))
    path = raw / "joints.mat"
    points = _joints(path, (14, 3, None))[:, :2].transpose(2, 0, 1)
    if len(names) != len(points):  # columns go by the order of the images
        raise (BadInput if names else MissingFile)(
            f"{raw}: expected {len(points)} images im*.png as in joints.mat, found {len(names)}; "
            "unpack hr-lspet.zip again"
        )
    return _read(raw, "lspet", names, path, points)


def _joints(path: Path, shape: tuple[int | None, ...]) -> NDArray[Any]:
    joints = np.asarray(read_mat(path, "joints")["joints"], np.float64)
    if joints.ndim != 3 or any(want not in (None, have) for want, have in zip(shape, joints.shape)):
        wanted = "×".join("N" if size is None else str(size) for size in shape)
        raise BadInput(
            f"{path}: field joints: expected {wanted}, the file has {'×'.join(map(str, joints.shape))}; "
            "it is of another release of the set"
        )
    return joints


def _read(raw: Path, dataset: str, names: list[str], path: Path, points: NDArray[Any]) -> Made:
    """All joints count fully, hidden or not; rows of which one lies outside of the picture are left out."""
    if len(points) < len(names):
        raise BadInput(
            f"{path}: field joints: expected {len(names)} images or more, the file has {len(points)}"
        )
    rows = Rows(dataset, "lsp_14")
    for name, places in zip(names, points):
        low, high = places.min(0), places.max(0)
        # The edge itself still counts as inside.
        if not ((low >= 0) & (high <= image_size(raw / name))).all():
            rows.dropped["with joints outside of the picture"] += 1
            continue
        rows.add(name, padded_box(low, high, 1.2), np.column_stack([places, np.ones(14)]))
    return rows.made(path)
