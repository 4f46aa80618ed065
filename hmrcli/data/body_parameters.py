"""Body parameters as annotation files hold them: a dictionary of arrays, or rows of 82 numbers."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npz import read_npy
from hmrcli.data.annotation_npz import AnnotationNpz, check_finite
from hmrcli.data.annotations import BETAS_SIZE, POSE_SIZE, Numbers
from hmrcli.data.file_kinds import missing
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import sha256, whole_file, write_whole


class BodyParameters(NamedTuple):
    """Poses and shapes of N people."""

    pose: Numbers
    """(N, 72) axis-angle, radians."""
    betas: Numbers
    """(N, 10)"""
    has_smpl: NDArray[np.bool_]
    """(N,) false where they are not known, and zeros."""
    transl: Numbers | None = None
    """(N, 3) metres."""


def unknown_bodies(count: int) -> BodyParameters:
    """Makes bodies of which nothing is known."""
    pose, betas = (np.zeros((count, size), np.float32) for size in (POSE_SIZE, BETAS_SIZE))
    return BodyParameters(pose, betas, np.zeros(count, bool))


def smpl_arrays(smpl: Any, where: str) -> BodyParameters:
    """Reads HumanData's `smpl` dictionary; its numbers are not checked, and all are taken as known.

    It holds global_orient (N, 3), body_pose (N, 69) and betas (N, 10), optionally transl (N, 3), in any split of axes.

    Raises:
        BadInput: it is no dictionary, or an array is missing, or has the wrong type, shape or length.
    """
    if not isinstance(smpl, dict):
        raise BadInput(f"{where}: expected a dictionary, the file has {type(smpl).__name__}")
    root = _rows(smpl, "global_orient", 3, where)
    body = _rows(smpl, "body_pose", POSE_SIZE - 3, where)
    betas = _rows(smpl, "betas", BETAS_SIZE, where)
    transl = _rows(smpl, "transl", 3, where) if smpl.get("transl") is not None else None
    expected = f"expected {len(root)} rows as in global_orient"
    for name, values in (("body_pose", body), ("betas", betas), ("transl", transl)):
        if values is not None and len(values) != len(root):
            raise BadInput(f"{where}.{name}: {expected}, the file has {len(values)}")
    return BodyParameters(np.concatenate([root, body], 1), betas, np.ones(len(root), bool), transl)


def read_poses(path: str | Path) -> tuple[Numbers, Numbers]:
    """Reads real poses (N, 72), radians, and shapes (N, 10) for an adversary: `smpl` of a file such as cmu_mosh.npz.

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else, or numbers that are not finite.
    """
    with AnnotationNpz(Path(path)) as stored:
        where = stored.where("smpl")
        bodies = smpl_arrays(stored.objects("smpl"), where)
    check_finite(bodies.pose, f"{where}.body_pose")
    check_finite(bodies.betas, f"{where}.betas")
    return bodies.pose, bodies.betas


def write_fits(path: Path, fits: Numbers) -> None:
    """Writes fits (N, 82) as an npy file, with its SHA-256 beside it as `sha256sum -c` reads it."""
    _recorded(path).unlink(missing_ok=True)
    with whole_file(path) as temporary:
        np.save(temporary, fits)
    write_whole(_recorded(path), f"{sha256(path)}  {path.name}\n")


def _recorded(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def read_fits(path: str | Path) -> tuple[Numbers, Numbers]:
    """Reads SPIN's static fits, an npy file (N, 82): pose (N, 72) radians and betas (N, 10), writable.

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else, numbers that are not finite, or others than when its SHA-256 was recorded.
    """
    path = Path(path)
    try:
        fits = np.asarray(read_npy(path))
    except MissingFile:
        raise missing(path) from None
    if fits.dtype.kind not in "fiu" or fits.ndim != 2 or fits.shape[1] != POSE_SIZE + BETAS_SIZE:
        found = f"{fits.dtype} in {fits.shape}"
        raise BadInput(f"{path}: expected numbers in shape (N, 82), the file has {found}")
    record = _recorded(path)
    if record.is_file() and not record.read_bytes().startswith(sha256(path).encode()):
        what = f"its SHA-256 is not the one in {record.name}, it was changed or damaged"
        raise BadInput(f"{path}: {what}; obtain it again")
    numbers = _float32(fits)
    check_finite(numbers, str(path))
    return np.ascontiguousarray(numbers[:, :POSE_SIZE]), np.ascontiguousarray(numbers[:, POSE_SIZE:])


def _rows(smpl: dict[Any, Any], name: str, size: int, where: str) -> Numbers:
    if smpl.get(name) is None:
        have = ", ".join(str(key) for key, values in smpl.items() if values is not None) or "nothing"
        raise BadInput(f"{where}.{name} is missing; the field has {have}")
    expected = f"{where}.{name}: expected numbers, {size} a row, the file has"
    try:
        values = np.asarray(smpl[name])
    except ValueError:
        raise BadInput(f"{expected} rows of several sizes") from None
    if values.dtype.kind not in "fiu" or values.ndim < 2 or np.prod(values.shape[1:]) != size:
        raise BadInput(f"{expected} {values.dtype.name} in {values.shape}")
    return _float32(values.reshape(len(values), size))


def _float32(values: NDArray[Any]) -> Numbers:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
        return values.astype(np.float32)
