"""Compares the kinds of labels that rows have: each must show the same pose, in the axes and the order it should."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import load_body
from hmrcli.body.joints import PARENTS, joint_set
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations, Numbers

Flags = NDArray[np.bool_]

IN_2D, IN_3D, BODIES = "2D keypoints", "3D keypoints", "bodies"
"""Kinds of labels."""
KEYS = {IN_2D: "keypoints2d", IN_3D: "keypoints3d", BODIES: "smpl"}
"""HumanData's names of them."""
FEWEST = 4
"""Joints in which a pose shows."""
_MANY = 16
"""Rows of which small differences say something."""
_ALIKE = 0.8
"""Least agreement of two kinds of labels of one pose, in the median: as measured, 0.95 and more."""
_OWN = 0.97
"""Above this, poses may be so alike that other rows' labels agree as well."""
_OWN_TURN = 0.95
"""Joints of one pose agree by more once each row is turned as is best for it."""
_AXES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "upside down": ((0, 1, 2), (1, -1, -1)),
    "upside down and mirrored": ((0, 1, 2), (1, -1, 1)),
    "mirrored": ((0, 1, 2), (-1, 1, 1)),
    "turned by 180 degrees": ((0, 1, 2), (-1, -1, 1)),
    "mirrored in depth": ((0, 1, 2), (1, 1, -1)),
    "in axes with z upwards": ((0, 2, 1), (1, -1, 1)),
    "with x and y exchanged": ((1, 0, 2), (1, 1, 1)),
}
"""Mistakes that files come with: the axes that would be right, and their signs."""


class Problem(NamedTuple):
    """Something that is, or looks, wrong in a file."""

    field: str
    """HumanData's name of it; empty for the whole file."""
    row: int | None
    """One where it shows."""
    text: str
    refused: bool = False
    """True where no right set looks like that."""

    def __str__(self) -> str:
        row = "" if self.row is None else f"row {self.row}"
        return ": ".join(filter(None, [", ".join(filter(None, [self.field, row])), self.text]))


def labelled(rows: Annotations) -> dict[str, Flags]:
    """Tells by kind of labels which rows (N,) have them."""
    seen = {
        kind: np.zeros(len(rows), bool) if points is None else np.asarray((points[..., -1] > 0).any(1))
        for kind, points in ((IN_2D, rows.keypoints2d), (IN_3D, rows.keypoints3d))
    }
    return {**seen, BODIES: np.asarray(rows.has_smpl)}


def disagreements(rows: Annotations) -> Iterator[Problem]:
    """Finds pairs of labels of which one shows another pose than the other, and the mistake that it looks like."""
    stored = {IN_2D: rows.keypoints2d, IN_3D: rows.keypoints3d}
    kinds = {kind: points for kind, points in stored.items() if points is not None}
    if rows.has_smpl.any():
        kinds[BODIES] = _body_joints(rows)
    flip = list(joint_set(rows.joints).flip)
    for first, second in combinations(kinds, 2):
        if mistake := _mistake(kinds[first], kinds[second], flip):
            row = int((kinds[second][..., -1] > 0).any(1).argmax())
            yield Problem(KEYS[second], row, f"{second} {mistake.format(first)}")


def _mistake(a: Numbers, b: Numbers, flip: list[int]) -> str | None:
    """Says how joints a (N, J, 2 or 3, and confidence) and b (N, J, 3, and confidence) of two kinds disagree."""
    size = a.shape[2] - 1
    seen = (a[..., -1] > 0) & (b[..., -1] > 0)
    seen &= seen[:, flip]
    a, b, seen = (values[seen.sum(1) >= FEWEST] for values in (a[..., :-1], b[..., :-1], seen))
    if not len(a):
        return None
    stated = _cosines(a, b, seen)
    others = {"with left and right exchanged": _cosines(a, b[:, flip], seen)}
    for word, (axes, signs) in _AXES.items():
        others[word] = _cosines(a, b[..., list(axes)] * np.array(signs, np.float32), seen)
    turn = _common_turn(a, b[..., :size], seen)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - size + 2) / 2, -1, 1)))
    turned = {f"turned by {angle:.0f} degrees": _cosines(a, b[..., :size] @ turn, seen)}
    now, least = float(np.median(stated)), 0.02 if len(a) >= _MANY else 0.3
    for mistakes in (others, turned):  # the first are exact, and have names
        best = max(mistakes, key=lambda word: float(np.median(mistakes[word])))
        then = float(np.median(mistakes[best]))
        if then > max(_ALIKE, now + least) and (mistakes[best] > stated).mean() > 0.85:
            return f"look {best}: they agree with {{}} by {now:.2f} in the median, and by {then:.2f} if put right"
    if now < _ALIKE:
        own = float(np.median(_cosines_turned(a, b, seen)))
        if own > max(_OWN_TURN, now + least):
            return (
                f"look turned, each row by another angle: they agree with {{}} by {now:.2f} in the median, and by "
                f"{own:.2f} if put right, as bodies do whose root is in the world's axes, not the camera's"
            )
    another = np.roll(np.arange(len(a)), len(a) // 2)  # far away: neighbours can be frames of one video
    exchanged = _cosines(a, b[another], seen & seen[another])
    if len(a) >= _MANY and now < _OWN and (stated >= exchanged).mean() < 0.75:
        return (
            f"agree with {{}} by {now:.2f} in the median, and with those of other rows as well "
            f"({np.median(exchanged):.2f}); see that rows are of the same people in the same order"
        )
    if now < _ALIKE:
        return f"agree with {{}} by {now:.2f} in the median, 1 is the same pose; look at axes and order of joints"
    return None


def _common_turn(a: Numbers, b: Numbers, seen: Flags) -> Numbers:
    """Finds the one turn R (D, D) by which the joints b @ R (N, J, D) of all rows lie most like those of a."""
    a, b = _centered(a, seen), _centered(b, seen)
    u, _, v = np.linalg.svd(np.einsum("njd,nje->de", b, a))
    u[:, -1] *= np.sign(np.linalg.det(u @ v))
    return u @ v


def _cosines(a: Numbers, b: Numbers, seen: Flags) -> Numbers:
    """Measures how alike the joints that are seen lie around their mean (N,): 1 the same, -1 the opposite.

    Of a (N, J, D) and as many coordinates of b.
    """
    a, b = _centered(a, seen), _centered(b[..., : a.shape[2]], seen)
    lengths = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.maximum(lengths, 1e-12)


def _cosines_turned(a: Numbers, b: Numbers, seen: Flags) -> Numbers:
    """Measures how alike joints a (N, J, D) and b (N, J, 3) are (N,) once each row of b is turned as is best for it."""
    a, b = _centered(a, seen), _centered(b, seen)
    # The linear map that fits best, made a rotation: exact for joints that are turned and seen from far away.
    slack = 1e-4 * np.einsum("njd,njd->n", b, b)[:, None, None] * np.eye(3) + 1e-12 * np.eye(3)
    system = np.einsum("njd,nje->nde", b, b) + slack
    u, _, v = np.linalg.svd(np.linalg.solve(system, b.mT @ a), full_matrices=False)
    return _cosines(a, np.asarray(b @ (u @ v), np.float32), seen)


def _centered(points: Numbers, seen: Flags) -> Numbers:
    """Moves the joints (N, J, D) that are seen so that their mean is 0; the others become 0."""
    weights = seen[..., None].astype(np.float32)
    mean = (points * weights).sum(1, keepdims=True) / np.maximum(weights.sum(1, keepdims=True), 1)
    return np.asarray((points - mean) * weights, np.float32)


def _body_joints(rows: Annotations) -> Numbers:
    """Places SMPL's joints (N, J, 4) in the rows' poses and a mean shape; 0 where a joint is none of them."""
    rest = _rest_joints()
    turns = rotmat_from_pose(torch.from_numpy(rows.pose[rows.has_smpl])).numpy()
    places = np.zeros((len(turns), 24, 3), np.float32)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            places[:, joint] = places[:, parent] + turns[:, parent] @ (rest[joint] - rest[parent])
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
    joints = joint_set(rows.joints).human_data
    own = [place for place, joint in enumerate(joints) if joint < 22]
    points = np.zeros((len(rows), len(joints), 4), np.float32)
    known = np.flatnonzero(rows.has_smpl)[:, None]
    points[known, own, :3] = places[:, [joints[place] for place in own]]
    points[known, own, 3] = 1
    return points


@lru_cache(maxsize=1)
def _rest_joints() -> Numbers:
    body = load_body("open")
    return (body.joint_regressor @ body.v_template).numpy()
