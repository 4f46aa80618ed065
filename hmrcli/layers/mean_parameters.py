"""The mean body from which iterative regression starts."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput, MissingFile

_SIZES = {"pose": 144, "shape": 10, "cam": 3}


class MeanParameters(NamedTuple):
    """Start values of HMR's iteration."""

    pose: Tensor
    """(1, 144) rotations as six numbers a joint (see `rotation_from_6d`)."""
    shape: Tensor
    """(1, 10) betas."""
    cam: Tensor
    """(1, 3) weak-perspective camera (s, tx, ty)."""


def rest_parameters() -> MeanParameters:
    """Rest pose and mean shape, upright before the camera, filling nine tenths of the crop.

    The root turns by half a circle about x because a body model's y points up and the camera's down.
    """
    pose = torch.eye(3)[:, :2].repeat(24, 1, 1)
    pose[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[:, :2]
    return MeanParameters(pose.reshape(1, 144), torch.zeros(1, 10), torch.tensor([[0.9, 0.0, 0.0]]))


def load_mean_parameters(path: Path) -> MeanParameters:
    """Reads the published `smpl_mean_params.npz`, with `pose` (144), `shape` (10) and `cam` (3).

    Raises:
        MissingFile: there is no such file.
        BadInput: the file is not an npz file or lacks one of the three arrays.
    """
    if not path.exists():
        raise MissingFile(
            f"{path} is missing; the start of HMR's iteration comes from it: run `hmr download body`"
        )
    try:
        stored = read_npz(path, _SIZES)
    except BadInput as error:
        raise BadInput(
            f"{error}; expected an npz file with pose (144), shape (10) and cam (3): run `hmr download body`"
        ) from None
    arrays = []
    for name, size in _SIZES.items():
        array = np.asarray(stored[name])
        if array.size != size:
            raise BadInput(f"{path}: `{name}` has {array.size} numbers instead of {size}")
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise BadInput(f"{path}: `{name}` holds other things than finite numbers")
        arrays.append(torch.from_numpy(array.astype(np.float32).reshape(1, size)))
    return MeanParameters(*arrays)
