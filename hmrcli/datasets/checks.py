"""Refuses annotation values that training could not use, by file, field and row."""

import numpy as np
from numpy.typing import NDArray

from hmrcli.datasets.npz import Member, as_text
from hmrcli.errors import BadInput

_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f", "n": "n", "neutral": "n", "": "n"}


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


def gender_letters(values: object, count: int, where: str, of: str) -> NDArray[np.str_]:
    """Genders of the rows as m, f and n, (N,).

    Raises:
        BadInput: there is another number of rows, or a word for none of them.
    """
    words, index = np.unique(as_text(values, where), return_inverse=True)
    check_length(len(index), count, where, of)
    if unknown := [word for word in words if word.lower() not in _GENDERS]:
        row = int((words[index] == unknown[0]).argmax())
        raise BadInput(f"{where}, row {row}: expected m, f or n, got {unknown[0]}")
    return np.array([_GENDERS[word.lower()] for word in words], "<U1")[index]


def check_image_paths(paths: NDArray[np.str_], where: str) -> None:
    """Raises BadInput for a row without a path, or for no rows at all."""
    if not len(paths):
        raise BadInput(f"{where}: expected at least one row")
    if (bad := paths == "").any():
        raise BadInput(f"{where}, row {int(bad.argmax())}: expected a path, got nothing")
