"""Annotations in a safetensors file, which is mapped into memory: it opens at once and is read row by row.

One tensor for each array of `Annotations`, text as code points; name of the data set and of the joints in the
metadata, and a CRC-32 over all of it. The values were checked when the file was written; opening it checks names,
types and shapes, and that no bit has changed since.
"""

import json
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from hmrcli.assets.reading import damage, open_file
from hmrcli.data.annotations import JOINT_SETS, Annotations
from hmrcli.data.npz import missing
from hmrcli.data.smpl_fields import BETAS_SIZE, POSE_SIZE
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import whole_file

_FORMAT, _BEFORE = "hmr annotations 2", "hmr annotations 1"
"""What is written, and what was written before there was a checksum."""
_VERIFIED = 1 << 31
"""Bytes; of a larger file the checksum is not compared, which would read all of it."""
_TEXT = ("image_path", "gender")
_KINDS = {"image_path": "U", "gender": "U", "has_smpl": "b"}  # numpy's letters; the others are floats, f
_NEEDED = {"image_path", "bbox_xywh", "pose", "betas", "has_smpl", "gender"}
_ROWS: dict[str, tuple[int, ...]] = {
    "image_path": (),
    "bbox_xywh": (4,),
    "pose": (POSE_SIZE,),
    "betas": (BETAS_SIZE,),
    "has_smpl": (),
    "gender": (),
    "transl": (3,),
    "intrinsics": (3, 3),
}
_DTYPES = {"F32": np.dtype("<f4"), "U32": np.dtype("<u4"), "BOOL": np.dtype(np.bool_)}


def write_compact(path: str | Path, annotations: Annotations) -> None:
    """Writes a file that `read_compact` maps.

    Args:
        path: ending in .safetensors.
        annotations: what to write; other joint sets than its own will be selected from it at reading.
    """
    arrays = {
        name: _code_points(array) if name in _TEXT else np.ascontiguousarray(array)
        for name, array in annotations.arrays().items()
    }
    metadata = {"format": _FORMAT, "dataset": annotations.dataset, "joints": annotations.joints}
    metadata["crc32"] = _checksum(metadata, arrays)
    with whole_file(path) as temporary:
        save_file(arrays, temporary, metadata=metadata)


def read_compact(path: str | Path, joints: str | None = None, dataset: str | None = None) -> Annotations:
    """See `hmrcli.data.read.read_annotations`; with the file's own joints nothing is read yet, only mapped.

    Args:
        path: of the file.
        joints: a set within the file's own; None for the file's own.
        dataset: name of the data set; None for the one in the file.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, another kind of file, or lacks joints of the set.
    """
    path = Path(path)
    metadata, arrays = _map(path)
    if metadata.get("format") not in (_FORMAT, _BEFORE):
        raise BadInput(f"{path}: field format: expected {_FORMAT!r}, the file has {metadata.get('format')!r}")
    if (own := metadata.get("joints", "")) not in JOINT_SETS:
        raise BadInput(f"{path}: field joints: expected one of {', '.join(JOINT_SETS)}, the file has {own!r}")
    small = sum(array.nbytes for array in arrays.values()) <= _VERIFIED
    if metadata["format"] == _FORMAT and small and metadata.get("crc32") != _checksum(metadata, arrays):
        raise BadInput(
            f"{path}: its checksum does not match, it was changed or damaged; convert the original again"
        )
    arrays |= {name: _text(arrays[name], f"{path}: field {name}") for name in _TEXT if name in arrays}
    _check(path, arrays, len(JOINT_SETS[own]))
    annotations = Annotations(
        dataset=metadata.get("dataset", path.stem) if dataset is None else dataset,
        joints=own,
        **{"keypoints2d": None, "keypoints3d": None, **arrays},
    )
    if joints is not None and (lacking := set(JOINT_SETS[joints]) - set(JOINT_SETS[own])):
        raise BadInput(
            f"{path}: field joints: {len(lacking)} joints of {joints} are missing, the file has {own}; "
            f"convert the original file for {joints}"
        )
    return annotations.select(joints or own)


def _checksum(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    """CRC-32 of what a file says, in hexadecimal digits."""
    value = zlib.crc32(repr([metadata.get(name) for name in ("format", "dataset", "joints")]).encode())
    for name, array in sorted(arrays.items()):
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


def _map(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata and mapped tensors. The library judges the header: sizes, overlaps, completeness."""
    try:
        open_file(path).close()
    except MissingFile:
        raise missing(path) from None
    damaged = damage(f"{path}: not a complete .safetensors file ({{}}); convert the original again")
    with damaged, safe_open(path, framework="numpy") as checked:
        metadata = checked.metadata() or {}
    whole = np.asarray(np.memmap(path, np.uint8, "r"))
    data_start = 8 + int.from_bytes(whole[:8].tobytes(), "little")
    header = json.loads(whole[8:data_start].tobytes())
    arrays: dict[str, Any] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise BadInput(
                f"{path}: field {name}: expected {', '.join(_DTYPES)}, the file has {entry['dtype']}"
            )
        start, stop = (data_start + offset for offset in entry["data_offsets"])
        arrays[name] = whole[start:stop].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return metadata, arrays


def _check(path: Path, arrays: dict[str, Any], joints: int) -> None:
    if missing_fields := sorted(_NEEDED - set(arrays)):
        raise BadInput(f"{path}: field {missing_fields[0]} is missing; convert the original again")
    rows = _ROWS | {"keypoints2d": (joints, 3), "keypoints3d": (joints, 4)}
    count = len(arrays["image_path"])
    for name, array in arrays.items():
        if name not in rows:
            raise BadInput(f"{path}: field {name}: expected one of {', '.join(rows)}")
        kind = _KINDS.get(name, "f")
        if (array.dtype.kind, array.shape) != (kind, (count, *rows[name])):
            raise BadInput(
                f"{path}: field {name}: expected {kind} in shape {(count, *rows[name])}, "
                f"the file has {array.dtype.kind} in {array.shape}"
            )


def _code_points(text: NDArray[np.str_]) -> NDArray[np.uint32]:
    width = max(1, text.dtype.itemsize // 4)
    plain = np.ascontiguousarray(text.astype(f"<U{width}"))
    return plain.view("<u4").reshape(len(plain), width)


def _text(code_points: NDArray[Any], where: str) -> NDArray[np.str_]:
    if code_points.dtype.kind != "u" or code_points.ndim != 2 or code_points.shape[1] == 0:
        raise BadInput(f"{where}: expected code points in shape (N, width), the file has {code_points.shape}")
    if code_points.max(initial=0) > sys.maxunicode:
        raise BadInput(f"{where}: expected code points, the file has larger numbers")
    return code_points.view(f"<U{code_points.shape[1]}")[:, 0]
