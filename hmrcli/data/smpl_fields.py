"""Body parameters as annotation files hold them: a dictionary of arrays, or rows of 82 numbers."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.pickles import read_npy
from hmrcli.assets.reading import open_file
from hmrcli.data.checks import check_finite, check_length
from hmrcli.data.npz import NpzFile, missing
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import whole_file

POSE_SIZE, BETAS_SIZE = 72, 10


def smpl_arrays(
    smpl: Any, where: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """Arrays of HumanData's `smpl` dictionary.

    Args:
        smpl: global_orient (N, 3), body_pose (N, 69) and betas (N, 10), optionally transl (N, 3); further axes
            in any split.
        where: file and field, for errors.

    Returns:
        pose (N, 72), betas (N, 10), transl (N, 3) or None. Their numbers are not checked.

    Raises:
        BadInput: it is no dictionary, or an array is missing, or has the wrong type, shape or length.
    """
    if not isinstance(smpl, dict):
        raise BadInput(f"{where}: expected a dictionary, the file has {type(smpl).__name__}")
    root = _rows(smpl, "global_orient", 3, where)
    body = _rows(smpl, "body_pose", POSE_SIZE - 3, where)
    betas = _rows(smpl, "betas", BETAS_SIZE, where)
    transl = _rows(smpl, "transl", 3, where) if smpl.get("transl") is not None else None
    for name, values in (("body_pose", body), ("betas", betas), ("transl", transl)):
        if values is not None:
            check_length(len(values), len(root), f"{where}.{name}", "global_orient")
    pose = np.empty((len(root), POSE_SIZE), np.float32)
    pose[:, :3], pose[:, 3:] = root, body
    return pose, betas, transl


def read_poses(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real poses and shapes for an adversary: the `smpl` dictionary of an npz file such as cmu_mosh.npz.

    Returns:
        pose (N, 72) radians and betas (N, 10).

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else, or numbers that are not finite.
    """
    with NpzFile(Path(path)) as stored:
        where = stored.where("smpl")
        pose, betas, _ = smpl_arrays(stored.data("smpl"), where)
    everyone = np.ones(len(pose), bool)
    check_finite(pose, f"{where}.body_pose", everyone)
    check_finite(betas, f"{where}.betas", everyone)
    return pose, betas


def write_fits(path: Path, fits: NDArray[np.float32]) -> None:
    """Writes fits (N, 82) as an npy file, with its SHA-256 beside it as `sha256sum -c` reads it."""
    _recorded(path).unlink(missing_ok=True)
    with whole_file(path) as temporary:
        np.save(temporary, fits)
    with whole_file(_recorded(path)) as temporary:
        temporary.write_text(f"{_sha256(path)}  {path.name}\n", encoding="utf-8")


def _recorded(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sha256(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_fits(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """SPIN's static fits, an npy file (N, 82).

    Returns:
        pose (N, 72) radians and betas (N, 10), writable.

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
        raise BadInput(
            f"{path}: expected numbers in shape (N, 82), the file has {fits.dtype} in {fits.shape}"
        )
    record = _recorded(path)
    if record.is_file() and not record.read_bytes().startswith(_sha256(path).encode()):
        raise BadInput(
            f"{path}: its SHA-256 is not the one in {record.name}, it was changed or damaged; obtain it again"
        )
    numbers = _float32(fits)
    check_finite(numbers, str(path), np.ones(len(numbers), bool))
    return np.ascontiguousarray(numbers[:, :POSE_SIZE]), np.ascontiguousarray(numbers[:, POSE_SIZE:])


def _rows(smpl: dict[Any, Any], name: str, size: int, where: str) -> NDArray[np.float32]:
    if smpl.get(name) is None:
        have = ", ".join(str(key) for key, values in smpl.items() if values is not None) or "nothing"
        raise BadInput(f"{where}.{name} is missing; the field has {have}")
    try:
        values = np.asarray(smpl[name])
    except ValueError:
        raise BadInput(
            f"{where}.{name}: expected numbers, {size} a row, the file has rows of several sizes"
        ) from None
    if values.dtype.kind not in "fiu" or values.ndim < 2 or np.prod(values.shape[1:]) != size:
        raise BadInput(
            f"{where}.{name}: expected numbers, {size} a row, the file has {values.dtype.name} in {values.shape}"
        )
    return _float32(values.reshape(len(values), size))


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
        return values.astype(np.float32)
