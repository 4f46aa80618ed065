"""Refuses annotation values that training could not use, by file, field and row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.pickles import read_npz
from hmrcli.data.npz import Member, NpzFile
from hmrcli.errors import BadInput

_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}
_GENDER_FIELDS = ("gender", "genders")


def refuse_rows(bad: NDArray[np.bool_], where: str, expected: str, values: NDArray) -> None:
    """Raises for the first row that is marked as bad.

    Args:
        bad: (N,).
        where: file and field.
        expected: what a good row has.
        values: (N, ...) what the rows have.

    Raises:
        BadInput: a row is bad.
    """
    if not bad.any():
        return
    row = int(bad.argmax())
    got = ", ".join(f"{value:g}" for value in np.atleast_1d(values[row]).ravel()[:6])
    raise BadInput(f"{where}, row {row}: expected {expected}, got {got}")


def check_length(count: int, expected: int, where: str, of: str) -> None:
    """Raises BadInput unless a field has a row for each person."""
    if count != expected:
        raise BadInput(f"{where}: expected {expected} rows as in {of}, the file has {count}")


def check_boxes(bbox_xywh: NDArray[np.float32], where: str) -> None:
    """Raises BadInput for a box (N, 4) that no crop can be made of."""
    size = bbox_xywh[:, 2:]
    bad = ~(np.isfinite(bbox_xywh).all(1) & (size >= 0).all(1) & (size.max(1, initial=0) > 0))
    refuse_rows(bad, where, "finite x, y, width, height with a positive size", bbox_xywh)


def check_keypoints(keypoints: NDArray[np.float32], where: str) -> None:
    """Raises BadInput for keypoints (N, J, D) that are not finite or have a negative confidence, the last number.

    Coordinates without confidence may be anything; if not finite they become zero, because zero times NaN is NaN.
    """
    confidence, coordinates = keypoints[..., -1], keypoints[..., :-1]
    usable = np.isfinite(confidence) & (confidence >= 0)
    if not usable.all():
        row, joint = np.argwhere(~usable)[0]
        raise BadInput(
            f"{where}, row {row}, joint {joint}: expected a confidence of 0 or more, got {confidence[row, joint]:g}"
        )
    finite = np.isfinite(coordinates).all(-1)
    if finite.all():
        return
    if (bad := ~finite & (confidence > 0)).any():
        row, joint = np.argwhere(bad)[0]
        got = ", ".join(f"{number:g}" for number in keypoints[row, joint])
        raise BadInput(f"{where}, row {row}, joint {joint}: expected finite coordinates, got {got}")
    coordinates[~finite] = 0


def check_finite(values: NDArray[np.float32], where: str, used: NDArray[np.bool_]) -> None:
    """Raises BadInput for rows (N, ...) that are used and not finite; those that are not used become zero."""
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    refuse_rows(used & ~finite, where, "finite numbers", values)
    values[~finite] = 0


def read_flags(member: Member, count: int, of: str) -> NDArray[np.bool_]:
    """Truth of each row, (N,).

    Raises:
        BadInput: there is another number of rows, or a value besides 0 and 1.
    """
    member.expect((None,), (None, 1))
    check_length(member.shape[0], count, member.where, of)
    values = member.numbers().reshape(-1)
    refuse_rows((values != 0) & (values != 1), member.where, "0 or 1", values)
    return values == 1


def read_genders(stored: NpzFile, count: int, of: str) -> NDArray[np.str_]:
    """Genders of the rows as m, f and n, (N,); n where a file says neither, in whichever way.

    They stand in `meta`, a dictionary of arrays or one for each row, or in a field of their own. Numbers are no
    genders: files do not agree on what they mean.

    Raises:
        BadInput: there is another number of rows, or a field cannot be read.
    """
    for field in ("meta", *_GENDER_FIELDS):
        if field not in stored:
            continue
        values = read_npz(stored.path, (field,))[field]
        if field == "meta":
            values = _genders_of(values, count)
        if values is not None:
            letters = [_letter(value) for value in np.ravel(np.array(values, object))]
            if np.ndim(values) == 0:  # one for all
                letters *= count
            check_length(len(letters), count, stored.where(field), of)
            return np.array(letters, "<U1")
    return np.full(count, "n")


def _genders_of(meta: Any, count: int) -> Any:
    """What a dictionary, or the dictionaries of the rows, say of gender; None where they say nothing."""
    if isinstance(meta, list | tuple | np.ndarray):
        rows = list(meta) if np.ndim(meta) else []
        if len(rows) == 1 != count:  # one dictionary of arrays
            return _genders_of(rows[0], count)
        found = [_genders_of(row, count) if isinstance(row, dict) else None for row in rows]
        return None if all(value is None for value in found) else found
    if not isinstance(meta, dict):
        return None
    return next((meta[name] for name in _GENDER_FIELDS if meta.get(name) is not None), None)


def _letter(value: Any) -> str:
    while isinstance(value, list | tuple | np.ndarray) and np.size(value) == 1:
        value = np.ravel(np.array(value, object))[0]
    word = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return _GENDERS.get(word.strip().lower(), "n") if isinstance(word, str) else "n"


def check_image_paths(paths: NDArray[np.str_], where: str) -> None:
    """Raises BadInput for a row without a path, or for no rows at all."""
    if not len(paths):
        raise BadInput(f"{where}: expected at least one row")
    if (bad := paths == "").any():
        raise BadInput(f"{where}, row {int(bad.argmax())}: expected a path, got nothing")
