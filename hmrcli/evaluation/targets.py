"""The targets of an evaluation: what is refused or left out before, and what is said beside the figures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.data.annotations import Annotations
from hmrcli.errors import BadInput
from hmrcli.evaluation.metrics import measure
from hmrcli.evaluation.protocols import PELVIS, SCORED, SCORED_NAMES
from hmrcli.recipe.protocols import Protocol

LEAST_JOINTS = 3
"""With fewer, a similarity is not determined."""
EXTENT = (0.3, 3.0)
"""Metres that a person measures in the median of a set, from a crouching child to raised arms."""
_UNITS = {"millimetres": 1000, "centimetres": 100, "feet": 3.28, "kilometres": 0.001}
_MOST_RADIANS = 20.0
"""No turn of a joint is as large, one in degrees soon is."""
_MUCH_BETTER, _BETTER_BY = 0.7, 30.0
"""Share and millimetres of an error by which another reading of the joints must be better to be named."""
FLIP_14 = [EVALUATION_14_FROM_H36M.index(H36M.flip[joint]) for joint in EVALUATION_14_FROM_H36M]
"""For each of the 14 joints the one that takes its place in a mirror."""
_READINGS: dict[str, tuple[Sequence[int], tuple[int, int, int]]] = {
    "left and right joints exchanged": (FLIP_14, (1, 1, 1)),
    "y and z of the other sign, as where y points up": (range(14), (1, -1, -1)),
    "y of the other sign": (range(14), (1, -1, 1)),
    "z of the other sign": (range(14), (1, 1, -1)),
    "people mirrored": (FLIP_14, (-1, 1, 1)),
}
"""Mistakes between systems: the order of the joints, and signs of x, y and z."""


class Scorable(NamedTuple):
    """The rows of a test set that can be scored."""

    rows: NDArray[np.int64]
    notes: tuple[str, ...]
    """Notes that must be read with the figures."""


def rows_that(bad: NDArray[np.bool_], what: str) -> str:
    """Says of how many of some rows (N,) something holds, and names the first; nothing where it holds of none."""
    return f"{bad.sum()} of {len(bad)} {what}, first row {bad.argmax()}" if bad.any() else ""


def check_targets(annotations: Annotations, protocol: Protocol, path: Path) -> Scorable:
    """Finds what a protocol can score of annotations with the joints `h36m`, or any where it compares parameters.

    Rows without pelvis or with fewer than `LEAST_JOINTS` joints are left out, which a note says.

    Raises:
        BadInput: the annotations lack what the protocol compares with, or their unit is wrong.
    """
    check = _check_parameters if protocol.targets == "parameters" else _check_joints
    rows, notes = check(annotations, protocol, path)
    if other := sum(not re.search(protocol.image_names, str(name)) for name in annotations.image_path):
        notes += (
            f"{other} of {len(annotations)} images are not named as those of {protocol.title}: the figures are of "
            f"{path.name} under its rules",
        )
    labels = np.rec.fromarrays([annotations.image_path, *annotations.bbox_xywh.T])
    _, first, times = np.unique(labels, return_index=True, return_counts=True)
    if (extra := len(labels) - len(first)) > 0:
        row = int(first[times > 1].min())
        notes += (f"{extra} rows repeat the image and box of another, first row {row}: each was scored",)
    return Scorable(rows, notes)


def _check_parameters(annotations: Annotations, protocol: Protocol, path: Path) -> Scorable:
    if text := rows_that(~annotations.has_smpl, "rows have no body parameters"):
        raise BadInput(f"{path}: {text}; the {protocol.name} protocol compares with them")
    check_genders(annotations.gender, protocol, str(path))
    check_radians(annotations.pose, str(path))
    notes, empty = [], np.logical_not(annotations.pose.any(1) | annotations.betas.any(1))
    if text := rows_that(empty, "rows have a pose and shape of zeros"):
        if empty.all():
            raise BadInput(f"{path}: {text}: nothing is known of these bodies")
        notes.append(f"{text}: they were scored as the mean body, upside down as zeros say it")
    if not protocol.roles and (told := int((annotations.gender != "n").sum())):
        notes.append(
            f"{told} of {len(empty)} rows are labelled m or f; the {protocol.name} protocol has one body for all"
        )
    return Scorable(np.arange(len(empty)), tuple(notes))


def check_genders(genders: Sequence[str] | NDArray[np.str_], protocol: Protocol, where: str) -> None:
    """Raises BadInput for words that a protocol has no body for, if it tells genders apart."""
    unknown = ~np.isin([word[:1].lower() for word in genders], list(protocol.roles))
    if protocol.roles and (text := rows_that(unknown, "rows are neither m nor f")):
        raise BadInput(
            f"{where}: {text}; the {protocol.name} protocol makes the true body from the gender. Give it for each row "
            "(meta.gender in HumanData, else gender), or evaluate only rows that have one"
        )


def check_radians(pose: NDArray[np.float32], where: str) -> None:
    """Raises BadInput for poses (N, 72) in degrees."""
    largest = np.linalg.norm(np.asarray(pose).reshape(len(pose), -1, 3), axis=-1).max(1)
    if len(largest) and (median := float(np.nanmedian(largest))) > _MOST_RADIANS:
        raise BadInput(
            f"{where}: the largest turn of a pose is {median:.3g} in the median, expected at most {np.pi:.3g}, "
            "radians; convert degrees to radians"
        )


def _check_joints(annotations: Annotations, protocol: Protocol, path: Path) -> Scorable:
    keypoints = annotations.select("h36m").keypoints3d
    if keypoints is None:
        raise BadInput(
            f"{path}: keypoints3d is missing; the {protocol.name} protocol compares with 3D joints"
        )
    valid = labelled_joints(keypoints)
    unrooted, few = ~valid[:, PELVIS], valid[:, SCORED].sum(1) < LEAST_JOINTS
    left = unrooted | few
    rows = np.flatnonzero(~left)
    why = (
        f"{unrooted.sum()} lack the pelvis, on which the {protocol.name} protocol centers, and {few.sum()} "
        f"have fewer than {LEAST_JOINTS} joints; joints with confidence 0 do not count"
    )
    if left.all():
        raise BadInput(f"{path}: none of {len(left)} rows has 3D joints that can be scored: {why}")
    notes, sizes = [], extents(keypoints[rows, :, :3], valid[rows])
    if not _is_person(size := float(np.median(sizes))):
        units = [unit for unit, factor in _UNITS.items() if _is_person(size / factor)]
        seem = f"they seem to be in {units[0]}: " if units else ""
        raise BadInput(
            f"{path}: 3D joints: people measure {size:.4g} m in the median, expected {EXTENT[0]:g} to "
            f"{EXTENT[1]:g}; {seem}store metres"
        )
    if (odd := (sizes < EXTENT[0] / 3) | (sizes > 3 * EXTENT[1])).any():
        row = int(np.argmax(odd))
        notes.append(
            f"{odd.sum()} rows cannot be people in metres and were scored as they stand, first row {rows[row]}, which "
            f"measures {sizes[row]:.3g} m"
        )
    if text := rows_that(left, "rows were left out"):
        notes.append(f"{text}: {why}")
    return Scorable(rows, (*notes, *absent_joints(valid[rows][:, SCORED], SCORED_NAMES)))


def labelled_joints(keypoints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tells which target joints (N, 17, 4), as `H36M.names`, have a label: confidence, and a place.

    Only the pelvis can lie at the very origin; other joints there are places that were never filled in.
    """
    return (keypoints[..., :3].any(-1) | (np.arange(len(H36M.names)) == PELVIS)) & (keypoints[..., 3] > 0)


def absent_joints(scored: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """Returns a note on the joints (N, J) that do not count, if there are any."""
    if scored.all():
        return []
    never = [name for name, known in zip(names, np.asarray(scored.any(0))) if not known]
    return [
        f"{(~scored).sum()} of {scored.size} true joints have no label and were left out of errors and alignment"
        + (f"; in all rows {', '.join(never)}: {len(names) - len(never)} joints were scored" if never else "")
    ]


def extents(points: NDArray[np.floating], valid: NDArray[np.bool_] | None = None) -> NDArray[np.floating]:
    """Returns (N,) the longest side of the box around each row's points (N, P, 3), of rows that have points."""
    if valid is None:
        return (points.max(1) - points.min(1)).max(1)
    valid, points = valid[valid.any(1)], points[valid.any(1)]
    low, high = (np.where(valid[..., None], points, worst) for worst in (np.inf, -np.inf))
    return (high.max(1) - low.min(1)).max(1)


def extent(points: NDArray[np.floating], valid: NDArray[np.bool_] | None = None) -> float:
    """Returns the median of `extents`; 0 where there are no points."""
    sizes = extents(points, valid)
    return float(np.median(sizes)) if len(sizes) else 0.0


def _is_person(size: float) -> bool:
    return EXTENT[0] <= size <= EXTENT[1]


def hints(ours: Tensor, theirs: Tensor, valid: Tensor | None = None) -> list[str]:
    """Returns notes on what seems wrong between predicted and target joints, both (N, J, 3) mm from one root.

    Args:
        valid: (N, J) bool, the joints that count.
    """
    mask = valid if valid is not None else torch.ones(ours.shape[:2], dtype=torch.bool)
    rows = mask.sum(1) >= LEAST_JOINTS
    ours, theirs, mask = (points[rows].cpu() for points in (ours, theirs, mask.to(ours.device)))
    if not len(ours):
        return []
    notes, sizes = [], []
    for whose, points in (("predicted", ours), ("true", theirs)):
        size = extent(points.numpy(), mask.numpy()) / 1000
        if size and not _is_person(size):
            notes.append(f"the {whose} people measure {size:.3g} m in the median: look at the units")
        if flat := int((points == points[:, :1]).all(2).all(1).sum()):
            notes.append(
                f"all {whose} joints of {flat} rows lie in one place: they were scored as they stand"
            )
        centered = torch.where(mask[..., None], points, torch.nan)
        centered = centered - centered.nanmean(1, keepdim=True)
        sizes.append(centered.nan_to_num().flatten(1).norm(dim=1) / mask.sum(1).sqrt())
    ratio = float((sizes[0] / sizes[1]).nanmedian())
    if not 0.6 < ratio < 1.7:
        notes.append(
            f"the predicted joints spread {ratio:.2g} times as far as the true ones in the median: look at the units"
        )
    return notes + (_other_readings(ours, theirs, mask) if ours.shape[1] == len(FLIP_14) else [])


def _other_readings(ours: Tensor, theirs: Tensor, mask: Tensor) -> list[str]:
    """Returns a note for each metric that another convention of the predictions would make much better."""
    notes, named = [], ""
    for name, text in (("mpjpe", "MPJPE"), ("pa_mpjpe", "PA-MPJPE")):

        def error(joints: Tensor, name: str = name) -> float:
            return round(float(measure((name,), joints, theirs, mask)[name].mean()), 3)

        now = error(ours)
        other = {
            reading: error(ours[:, order] * ours.new_tensor(sign))
            for reading, (order, sign) in _READINGS.items()
        }
        # After alignment all mirror images have one error: the one that is named already is named again.
        best = min(other, key=lambda reading: (other[reading], reading != named))
        if other[best] < min(_MUCH_BETTER * now, now - _BETTER_BY):
            named = best
            notes.append(
                f"{text} would be {other[best]:.1f} mm instead of {now:.1f} with {best} in the predictions: "
                "look at the conventions of both sides"
            )
    return notes
