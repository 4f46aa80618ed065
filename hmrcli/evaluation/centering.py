"""The places of the joints of two files: on what they are centered, and whether they can be compared."""

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import H36M
from hmrcli.evaluation.array_files import Side
from hmrcli.evaluation.protocols import PELVIS, SCORED
from hmrcli.recipe.protocols import Protocol

_CENTERED, _APART = 0.25, 1.0
"""Metres between the hips of people who have one root, and of people who surely have not."""
_HIPS, _KNEES = (
    [H36M.names.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("hip", "knee")
)
_THIGH = 0.15
"""Metres; that of a small child is longer."""


def check_centering(ours: Side, theirs: Side, rows: NDArray[np.bool_], protocol: Protocol) -> list[str]:
    """Returns notes on where the joints of both sides are centered.

    Raises:
        BadInput: the protocol's joints are not there, or one side is not centered where the other, or the protocol, is.
    """
    notes = []
    if {"valid", "confidence"} & ours.keys.keys():
        notes.append(f"valid and confidence of {ours.path} are not used: every predicted joint counts")
    for side in (ours, theirs):
        if protocol.bodies and side.scored != len(SCORED):
            raise side.refused(
                "joints3d",
                f" has {side.scored} joints, and the {protocol.name} protocol scores {len(SCORED)}; store those or "
                "Human3.6M's 17, or leave --protocol away",
            )
        if "joints3d" in side.keys and side.is_whole and not _is_h36m(side.keys["joints3d"][rows]):
            notes.append(
                f"joints 0 to 6 of {side.path} do not lie as the pelvis and legs of Human3.6M's 17: joint 0 was "
                "taken as the pelvis, look at the order of joints (COCO's 17 have no pelvis)"
            )
    stored = [side for side in (ours, theirs) if not (side.is_whole or "root" in side.keys)]
    if protocol.bodies or len(stored) < 2:
        notes += _unrooted(ours, theirs, stored, rows)
    if len(stored) == 2:
        away = _median_norm(*(side.keys["joints3d"][rows].mean(1) for side in stored))
        if away > _APART:
            notes.append(
                f"nothing centers the two files, and their people stand {away:.2f} m apart in the median, which "
                "MPJPE counts; store root (N,3) in both to compare them from there"
            )
    return notes


def _is_h36m(joints: NDArray[np.float64]) -> bool:
    """Tells whether joints (N, 17, 3) lie as Human3.6M's, by pelvis and legs."""
    legs = joints[(joints[:, [*_HIPS, *_KNEES]] != 0).any(-1).all(1)]
    thighs = np.linalg.norm(legs[:, _HIPS] - legs[:, _KNEES], axis=-1)
    middle = np.linalg.norm(legs[:, _HIPS].mean(1) - legs[:, PELVIS], axis=-1)
    return not len(legs) or bool(np.median(middle) <= _CENTERED and np.median(thighs, 0).min() >= _THIGH)


def _unrooted(ours: Side, theirs: Side, stored: list[Side], rows: NDArray[np.bool_]) -> list[str]:
    """Returns notes on the sides that are scored as stored, though the other side or the protocol is centered."""
    apart = _median_norm(*(_hips(side)[rows] for side in (ours, theirs)))
    notes, known = [], ours.scored == len(SCORED)
    distances = [(_median_norm(_hips(side)[rows]), side.path, side) for side in stored]
    for away, path, side in sorted(distances, key=lambda each: each[:2], reverse=True):
        if known and (away > _APART or apart > _CENTERED):
            raise side.refused(
                "joints3d",
                f" has 14 joints, without their pelvis, and the hips lie {away:.2f} m from the origin and "
                f"{apart:.2f} m from the other file's in the median: they are not centered on the pelvis. Store "
                "root (N,3), the pelvis of each row, or Human3.6M's 17 joints",
            )
        notes.append(
            f"the joints of {path} are without root and were scored as stored"
            + (f": their hips lie {100 * away:.0f} cm from the origin in the median" if known else "")
        )
    return notes


def _median_norm(points: NDArray[np.float64], others: NDArray[np.float64] | float = 0.0) -> float:
    return float(np.median(np.linalg.norm(points - others, axis=-1)))


def _hips(side: Side) -> NDArray[np.float64]:
    """Returns (N, 3) the middle between the hips from the root, metres; zeros where the joints are not known."""
    joints = side.keys.get("joints3d")
    if joints is None or side.scored != len(SCORED):
        return np.zeros((side.count, 3))
    if side.is_whole:
        return joints[:, _HIPS].mean(1) - joints[:, PELVIS]
    return joints[:, [SCORED.index(joint) for joint in _HIPS]].mean(1) - side.keys.get("root", 0)
