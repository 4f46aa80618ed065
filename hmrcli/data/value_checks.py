"""Refuses annotation values that training could not use, by file, field and row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput


def refuse_rows(bad: NDArray[np.bool_], where: str, expected: str, values: NDArray[Any]) -> None:
    """Raises BadInput for the first row that is marked as bad.

    Args:
        bad: (N,).
        values: (N, ...) what the rows have.
    """
    if not bad.any():
        return
    row = int(bad.argmax())
    got = ", ".join(f"{value:g}" for value in np.atleast_1d(values[row]).ravel()[:6])
    raise BadInput(f"{where}, row {row}: expected {expected}, got {got}")


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
    finite = np.isfinite(coordinates).all(-1)
    for bad, expected, values in (
        (~(np.isfinite(confidence) & (confidence >= 0)), "a confidence of 0 or more", confidence[..., None]),
        (~finite & (confidence > 0), "finite coordinates", keypoints),
    ):
        if bad.any():
            row, joint = np.argwhere(bad)[0]
            got = ", ".join(f"{number:g}" for number in values[row, joint])
            raise BadInput(f"{where}, row {row}, joint {joint}: expected {expected}, got {got}")
    coordinates[~finite] = 0


def check_finite(values: NDArray[np.float32], where: str, used: NDArray[np.bool_] | None = None) -> None:
    """Raises BadInput for rows (N, ...) that are used (all by default) and not finite; the others become zero."""
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    used = np.ones(len(values), bool) if used is None else used
    refuse_rows(used & ~finite, where, "finite numbers", values)
    values[~finite] = 0


def as_text(values: Any, where: str) -> NDArray[np.str_]:
    """Turns a list or array of text or UTF-8 into an array (N,); BadInput where something in it is not text."""
    array = np.asarray(values)
    if array.dtype.kind not in "SUO" or array.ndim != 1:
        found = f"{array.dtype.name} in shape {array.shape}"
        raise BadInput(f"{where}: expected text in shape (N), got {found}")
    if array.dtype.kind == "U":
        return array
    words = []
    for row, value in enumerate(array.tolist()):
        try:
            words.append(value.decode() if isinstance(value, bytes) else value)
        except UnicodeDecodeError:
            raise BadInput(f"{where}, row {row}: expected UTF-8 text") from None
        if not isinstance(words[-1], str):
            raise BadInput(f"{where}, row {row}: expected text, got {type(value).__name__}")
    return np.array(words, np.str_)
