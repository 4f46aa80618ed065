"""Annotations in an npy file, which is mapped into memory: it opens at once and is read row by row.

An array of records, one a person with a field for each array of `Annotations`. Behind it stand, in JSON, the names of
the data set and of the joints, then a CRC-32 over all of it. The values were checked when the file was written;
opening it checks names, types and shapes, and that no bit has changed since.
"""

import io
import json
import math
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npy import read_header
from hmrcli.body.joints import JOINT_SETS, joint_set
from hmrcli.data.annotations import BETAS_SIZE, POSE_SIZE, Annotations
from hmrcli.data.file_kinds import missing
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import damage, open_file, whole_file

COMPACT_SUFFIX = ".npy"
_FORMAT = "hmr annotations 3"
_DIGITS = 8
"""Of the checksum."""
VERIFIED = 1 << 31
"""Bytes; of a larger file the checksum is not compared, which would read all of it."""
_BLOCK_ROWS = 1024
_AGAIN = "make it again from the original"
_NEEDED = ("image_path", "bbox_xywh", "pose", "betas", "has_smpl", "gender")


def write_compact(path: str | Path, annotations: Annotations) -> None:
    """Writes a file that `read_compact` maps; other joint sets than its own will be selected from it at reading."""
    checksum = 0
    with whole_file(path) as temporary, temporary.open("wb") as file:
        for part in _parts(annotations):
            checksum = zlib.crc32(part, checksum)
            file.write(part)
        file.write(_digits(checksum))


def _parts(annotations: Annotations) -> Iterator[bytes]:
    """Gives the content of a file bit by bit, so that it does not take memory a second time."""
    arrays = annotations.arrays()
    kinds = [(name, array.dtype.newbyteorder("<"), array.shape[1:]) for name, array in arrays.items()]
    dtype, header = np.dtype(kinds, align=True), io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    shape = (len(annotations),)
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    yield header.getvalue()
    for start in range(0, len(annotations), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        rows = np.zeros(len(annotations.image_path[part]), dtype)
        for name, array in arrays.items():
            rows[name] = array[part]
        yield rows.tobytes()
    about = {"format": _FORMAT, "dataset": annotations.dataset, "joints": annotations.joints}
    yield json.dumps(about).encode()


def read_compact(path: str | Path, joints: str | None = None, dataset: str | None = None) -> Annotations:
    """Opens a compact file; with the file's own joints nothing is read yet, only mapped.

    Args:
        joints: a set within the file's own; None for the file's own.
        dataset: name of the data set; None for the one in the file.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, another kind of file, or lacks joints of the set.
    """
    path = Path(path)
    about, rows = _map(path)
    if about.get("format") != _FORMAT:
        raise BadInput(f"{path}: expected {_FORMAT!r}, the file has {about.get('format')!r}; {_AGAIN}")
    if (own := about.get("joints", "")) not in JOINT_SETS:
        raise BadInput(f"{path}: joints: expected one of {', '.join(JOINT_SETS)}, the file has {own!r}")
    _check(path, rows.dtype, len(joint_set(own)))
    arrays: dict[str, Any] = {name: rows[name] for name in rows.dtype.names or ()}
    joints = joints or own
    if lacking := set(joint_set(joints).human_data) - set(joint_set(own).human_data):
        missed = f"{len(lacking)} joints of {joints} are missing"
        raise BadInput(f"{path}: {missed}, the file has {own}; {_AGAIN} for {joints}")
    dataset = about.get("dataset", path.stem) if dataset is None else dataset
    absent = {"keypoints2d": None, "keypoints3d": None}
    return Annotations(dataset, own, **absent | arrays).select(joints)


def _digits(checksum: int) -> bytes:
    return f"{checksum:0{_DIGITS}x}".encode()


def _map(path: Path) -> tuple[dict[str, str], NDArray[Any]]:
    """Maps the records of a file that is whole, and reads what stands behind them."""
    try:
        file = open_file(path)
    except MissingFile:
        raise missing(path) from None
    with file, damage(f"{path}: not a complete compact file ({{}}); {_AGAIN}"):
        shape, _, dtype = read_header(file)
        whole = np.memmap(path, np.uint8, "r")
        verified, stated = len(whole) <= VERIFIED, whole[-_DIGITS:].tobytes()
        if verified and _digits(zlib.crc32(whole[:-_DIGITS].data)) != stated:
            raise ValueError("its checksum does not match, it was changed or damaged")
        start = file.tell()
        rows = np.memmap(path, dtype, "r", start, shape)
        about = json.loads(whole[start + math.prod(shape) * dtype.itemsize : -_DIGITS].tobytes())
        if not isinstance(about, dict) or dtype.names is None or len(shape) != 1:
            raise ValueError("it has no records")
        if not verified:
            for name in ("image_path", "gender"):
                if np.ascontiguousarray(rows[name]).view("<u4").max(initial=0) > sys.maxunicode:
                    raise ValueError(f"{name} is no text")
    return about, rows


def _check(path: Path, dtype: np.dtype[Any], joints: int) -> None:
    """Refuses records that lack a field of `Annotations`, or have another or a wrong one."""
    expected = {
        "image_path": ("U", ()),
        "bbox_xywh": ("f", (4,)),
        "keypoints2d": ("f", (joints, 3)),
        "keypoints3d": ("f", (joints, 4)),
        "pose": ("f", (POSE_SIZE,)),
        "betas": ("f", (BETAS_SIZE,)),
        "has_smpl": ("b", ()),
        "gender": ("U", ()),
        "transl": ("f", (3,)),
        "intrinsics": ("f", (3, 3)),
    }
    names = dtype.names or ()
    if lacking := [name for name in _NEEDED if name not in names]:
        raise BadInput(f"{path}: field {lacking[0]} is missing; {_AGAIN}")
    for name in names:
        found = dtype[name].base.kind, dtype[name].shape
        if found != expected.get(name):
            wanted = expected.get(name)
            raise BadInput(f"{path}: field {name}: expected {wanted}, the file has {found}; {_AGAIN}")
