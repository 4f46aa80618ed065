"""Whether a training set can be learned from: which labels it has, in which units, and whether they agree.

Looked at before the first step, on rows spread evenly over a set. What no right file looks like is refused; what only
looks wrong is said, with medians, since every threshold has its exceptions.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hmrcli.body import load_body
from hmrcli.body.joints import PARENTS
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.data.annotations import Annotations, joint_set
from hmrcli.data.crop import square_around
from hmrcli.errors import BadInput
from hmrcli.recipe import Recipe

_ROWS, _PICTURES = 256, 32
"""Looked at in a set; a picture is a file to open."""
_FEWEST, _MANY = 4, 16
"""Joints in which a pose shows, and rows of which small differences say something."""

_ORIENTATION = 0x0112
"""Number of the EXIF field."""

_ALIKE = 0.8
"""What two kinds of labels of one pose agree by at least, in the median: as measured, 0.95 and more."""
_OWN = 0.97
"""Above this, poses may be so alike that other rows' labels agree as well."""
_OWN_TURN = 0.95
"""Joints of one pose agree by more once each row is turned as is best for it."""

_IN_2D, _IN_3D, _BODIES = "2D keypoints", "3D keypoints", "bodies"
_KEYS = {_IN_2D: "keypoints2d", _IN_3D: "keypoints3d", _BODIES: "smpl"}
_EXTENT = "a person measures {:.4g} from end to end"
_FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "image_path": {_IN_2D: ("keypoints2d",), _IN_3D: ("keypoints3d",), _BODIES: ("smpl",)},
    "imgname": {_IN_2D: ("openpose", "part"), _IN_3D: ("S",), _BODIES: ("pose", "shape")},
}
"""Where HumanData and SPIN have each kind of label; by the field that tells the two apart."""
_LIKE_LABELS = re.compile(r"kp|key|joint|2d|3d|pose|shape|beta|smpl|theta|body|orient", re.IGNORECASE)
_NO_LABELS = re.compile(r"__|bbox|has_|.*_(mask|convention)$|.*path")

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


class Doubt(NamedTuple):
    """What looks wrong in the labels of a set."""

    field: str
    """HumanData's name of it."""
    row: int
    """One where it shows."""
    text: str
    refused: bool = False
    """Whether no right set looks like that."""


def refuse_without_labels(recipe: Recipe, name: str, path: Path) -> None:
    """Refuses a file that has no field with labels, whatever else is in it.

    Raises:
        BadInput: there is none; names fields that look like labels and are not read.
    """
    fields = _fields(path)
    layout = next((layout for layout in _FIELDS if layout in fields), None)
    if layout is not None and not any(set(wanted) <= fields for wanted in _known(layout, fields).values()):
        raise _without_labels(recipe, name, path)


def check_set(
    recipe: Recipe, name: str, annotations: Annotations, path: Path, folder: Path, say: Callable[[str], None]
) -> None:
    """Says what labels a training set has, and what looks wrong in them.

    Args:
        recipe: what is to be trained.
        name: of the set.
        annotations: of the set.
        path: of their file.
        folder: of the images.
        say: for notes to a person.

    Raises:
        BadInput: no row has a label that the recipe's losses use, or units or boxes cannot be right.
    """
    labelled = {
        _IN_2D: _any_seen(annotations.keypoints2d, len(annotations)),
        _IN_3D: _any_seen(annotations.keypoints3d, len(annotations)),
        _BODIES: np.asarray(annotations.has_smpl),
    }
    counts = ", ".join(f"{np.count_nonzero(rows):,} with {kind}" for kind, rows in labelled.items())
    say(f"training set {name}: {len(annotations):,} rows, {counts}")
    used = _used(recipe)
    if not any(np.logical_and.reduce([labelled[kind] for kind in kinds]).any() for kinds in used):
        raise _without_labels(recipe, name, path)
    absent = [kind for kind, rows in labelled.items() if not rows.any()]
    if absent and (unread := _unread(path, absent)):
        say(f"training set {name}: {unread}")
    looked_at = f"of {len(_spread(annotations, _ROWS))} rows that were looked at in {path}"
    for doubt in doubts(annotations, folder):
        if doubt.refused:
            raise BadInput(f"{path}: {doubt.text}")
        say(f"training set {name}: {doubt.text} ({looked_at})")


def doubts(annotations: Annotations, folder: Path, most: int = _ROWS) -> Iterator[Doubt]:
    """Looks at rows spread evenly over a set and tells what looks wrong in their labels.

    Args:
        annotations: of the set, whose keypoints a recipe can learn.
        folder: of the images.
        most: rows to look at.
    """
    rows = _spread(annotations, most)
    looked_at = annotations[rows]
    for doubt in (
        *_doubts_about_units(looked_at, rows),
        *_doubts_about_numbers(looked_at),
        *_doubts_about_boxes(looked_at, rows, folder),
        *_disagreements(looked_at),
    ):
        yield doubt._replace(row=int(rows[doubt.row]))


def _spread(annotations: Annotations, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(annotations) - 1, most).astype(int))


def _used(recipe: Recipe) -> list[tuple[str, ...]]:
    """Kinds of labels of which a term of the losses needs all; for each term that learns from labels."""
    used: list[tuple[str, ...]] = []
    for term, loss in recipe.losses.items():
        if loss.weight == 0 or term in ("camera_prior", "adversarial"):
            continue
        if "keypoints2d" in term or term in ("part_maps", "heatmaps"):
            used.append((_IN_2D,))
        elif term == "local_keypoints3d":
            used.append((_IN_3D, _BODIES))
        elif "keypoints3d" in term:
            used.append((_IN_3D,))
        else:
            used.append((_BODIES,))
    # Bodies that are fitted in the loop are fitted to 2D keypoints.
    return [*used, (_IN_2D,)] if recipe.in_the_loop is not None else used


def _any_seen(keypoints: NDArray[np.float32] | None, count: int) -> NDArray[np.bool_]:
    return np.zeros(count, bool) if keypoints is None else np.asarray((keypoints[..., -1] > 0).any(1))


def _fields(path: Path) -> set[str]:
    if path.suffix != ".npz":
        return set()
    with AnnotationNpz(path) as stored:
        return set(stored)


def _known(layout: str, fields: set[str]) -> dict[str, tuple[str, ...]]:
    """Fields of each kind, of which a file needs all; of SPIN's 2D keypoints, either."""
    known = dict(_FIELDS[layout])
    known[_IN_2D] = tuple(field for field in known[_IN_2D] if field in fields) or known[_IN_2D]
    return known


def _unread(path: Path, kinds: Iterable[str]) -> str:
    """Which fields look like labels and are not read, and which would be; nothing if there are none."""
    fields = _fields(path)
    layout = next((layout for layout in _FIELDS if layout in fields), None)
    if layout is None:
        return ""
    known = _known(layout, fields)
    read = {field for wanted in known.values() if set(wanted) <= fields for field in wanted}
    like = [field for field in sorted(fields - read) if _LIKE_LABELS.search(field)]
    like = [field for field in like if not _NO_LABELS.match(field)]
    if not like:
        return ""
    wanted = {kind: (" or " if kind == _IN_2D else " and ").join(_FIELDS[layout][kind]) for kind in kinds}
    expected = ", ".join(f"{names} for {kind}" for kind, names in wanted.items())
    return f"{path.name} has {', '.join(like)}, which are not read; expected {expected}"


def _without_labels(recipe: Recipe, name: str, path: Path) -> BadInput:
    kinds = list(dict.fromkeys(kind for kinds in _used(recipe) for kind in kinds))
    unread = _unread(path, kinds) or "They are not there, or their confidence or has_smpl is 0"
    return BadInput(
        f"{path}: no row has labels that {recipe.name} learns from ({', '.join(kinds)}). "
        f"{unread}; convert the file, or train with --without {name}"
    )


def _doubts_about_units(rows: Annotations, numbers: NDArray[np.int64]) -> Iterator[Doubt]:
    """Numbers that are off by factors that no right row has; refused where most rows are."""
    known = np.where(rows.has_smpl, 1.0, np.nan)
    for field, kind, values, low, high, unit, got in (
        ("keypoints3d", _IN_3D, _extents(rows.keypoints3d, len(rows)), 0.02, 20.0, "metres", _EXTENT),
        ("keypoints2d", _IN_2D, _extents(rows.keypoints2d, len(rows)), 3.0, np.inf, "pixels", _EXTENT),
        (
            "bbox_xywh",
            "boxes",
            rows.bbox_xywh[:, 2:].max(1),
            3.0,
            np.inf,
            "pixels",
            "the longer side is {:.4g}",
        ),
        (
            *("smpl.body_pose", _BODIES),
            known * np.linalg.norm(rows.pose.reshape(-1, 24, 3), axis=2).max(1),
            *(0.0, 4 * pi, "radians", "the largest angle of a pose is {:.4g}"),
        ),
        (
            *("smpl.betas", _BODIES, known * np.abs(rows.betas).max(1)),
            *(0.0, 100.0, "SMPL's shape numbers", "the largest is {:.4g}"),
        ),
    ):
        wrong, count = (values < low) | (values > high), np.isfinite(values).sum()
        if wrong.sum() > count / 20 or (values > high).any():
            got = got.format(np.median(values[wrong]))
            found = f"{kind}: expected {unit}, but {got} in {wrong.sum()} of {count} rows"
            row = int(wrong.argmax())
            if wrong.sum() > count / 2:
                text = f"{found} that were looked at, first row {numbers[row]}; bring the file to {unit}"
                yield Doubt(field, row, text, refused=True)
            else:
                yield Doubt(field, row, found)


def _extents(points: NDArray[np.float32] | None, count: int) -> NDArray[np.float64]:
    """(N,) diagonals of the boxes around the joints with confidence; NaN for rows with too few."""
    extents = np.full(count, np.nan)
    if points is not None and (enough := (points[..., -1] > 0).sum(1) >= _FEWEST).any():
        seen = np.where(points[enough, :, -1:] > 0, points[enough, :, :-1], np.nan)
        extents[enough] = np.linalg.norm(np.nanmax(seen, 1) - np.nanmin(seen, 1), axis=1)
    return extents


def _doubts_about_numbers(rows: Annotations) -> Iterator[Doubt]:
    """Numbers that are unusual for bodies in most of the rows."""
    extents = _extents(rows.keypoints3d, len(rows))
    if np.isfinite(extents).any() and not 0.2 < (median := np.nanmedian(extents)) < 3.5:
        text = f"people measure {median:.2g} m from end to end in the median of their 3D keypoints"
        yield Doubt("keypoints3d", int(np.isfinite(extents).argmax()), text)
    for kind, points in ((_IN_2D, rows.keypoints2d), (_IN_3D, rows.keypoints3d)):
        weights = np.empty(0) if points is None else points[..., -1][points[..., -1] > 0]
        if points is not None and len(weights) and np.median(weights) > 1.1:
            text = f"the confidence of {kind} is {np.median(weights):.4g} in the median: expected 0 to 1, a weight"
            yield Doubt(_KEYS[kind], int(points[..., -1].max(1).argmax()), text)
    known = rows.has_smpl
    still = known & ~rows.pose.any(1)
    if still.sum() > known.sum() / 2:
        text = f"{still.sum()} of {known.sum()} bodies have a pose of zeros, though has_smpl says that it is known"
        yield Doubt("smpl.body_pose", int(still.argmax()), text)
    if rows.transl is not None and known.any():
        away = np.where(known, np.linalg.norm(rows.transl, axis=1), 0)
        if (median := np.median(away[known])) > 200:
            text = f"bodies are {median:.4g} m away in the median of transl: expected metres"
            yield Doubt("smpl.transl", int(away.argmax()), text)


def _doubts_about_boxes(rows: Annotations, numbers: NDArray[np.int64], folder: Path) -> Iterator[Doubt]:
    """Boxes and 2D keypoints that do not lie where a person is seen; refused where most boxes show nothing."""
    centre, side = square_around(rows.bbox_xywh)
    few = np.unique(np.linspace(0, len(rows) - 1, _PICTURES).astype(int))
    sizes = [_size(folder / str(rows.image_path[row])) for row in few]
    few = np.array([row for row, size in zip(few, sizes) if size is not None], int)
    size = np.array([size for size in sizes if size is not None], float).reshape(-1, 2)
    low, high = (centre[few] + sign * side[few, None] / 2 for sign in (-1, 1))
    outside = ((high <= 0) | (low >= size)).any(1)
    if outside.sum() > len(few) / 2:
        row = few[outside.argmax()]
        box = ", ".join(f"{number:g}" for number in rows.bbox_xywh[row])
        width, height = size[outside.argmax()]
        text = (
            f"boxes: {outside.sum()} of {len(few)} that were looked at lie outside of their pictures, first "
            f"row {numbers[row]}: {box} in a picture of {width:.0f}×{height:.0f}; expected x and y of the top left "
            f"corner, width and height, in pixels of the files in {folder}"
        )
        yield Doubt("bbox_xywh", int(row), text, refused=True)
    elif outside.any():
        text = f"{outside.sum()} of {len(few)} boxes lie outside of their pictures"
        yield Doubt("bbox_xywh", int(few[outside.argmax()]), text)
    points = rows.keypoints2d
    if points is None:
        return
    seen = (points[..., 2] > 0) & ((points[..., 2] > 0).sum(1) >= _FEWEST)[:, None]
    places = np.where(seen[..., None], points[..., :2], np.nan)[seen.any(1)]
    if len(places) < _FEWEST:
        return
    middle = (np.nanmax(places, 1) + np.nanmin(places, 1)) / 2
    x, y, width, height = rows.bbox_xywh[seen.any(1)].astype(float).T
    meant = {
        "x, y, width, height": (x + width / 2, y + height / 2, np.maximum(width, height)),
        "two corners": ((x + width) / 2, (y + height) / 2, np.maximum(np.maximum(width - x, height - y), 1)),
        "the middle and a size": (x, y, np.maximum(width, height)),
    }
    away = {
        word: float(np.median(np.hypot(middle[:, 0] - u, middle[:, 1] - v) / length))
        for word, (u, v, length) in meant.items()
    }
    stated, best = away["x, y, width, height"], min(away, key=lambda word: away[word])
    better = away[best] < stated - 0.1
    if better or stated > 0.25:
        hint = f"; taken as {best} it would be {away[best]:.2f}" if better else ""
        place = f"the middle of the 2D keypoints is {stated:.2f} of a box's side away from its middle"
        text = f"{place} in the median{hint}"
        yield Doubt("bbox_xywh", int(seen.any(1).argmax()), text)
    inside = [
        float(((known >= 0) & (known <= end)).all(1).mean())
        for known, end in ((points[row, seen[row], :2], end) for row, end in zip(few, size))
        if len(known)
    ]
    if inside and (median := np.median(inside)) < 0.5:
        text = f"{1 - median:.0%} of a row's 2D keypoints lie outside of the picture in the median"
        yield Doubt("keypoints2d", int(few[0]), text)


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height of an image as it is decoded; nothing if it cannot be read, which is said elsewhere."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            return (image.height, image.width) if turned else image.size
    except Exception:  # a damaged file can fail in any way
        return None


def _disagreements(rows: Annotations) -> Iterator[Doubt]:
    """Pairs of labels of which one shows another pose than the other, and the mistake that it looks like."""
    kinds = {}
    if rows.keypoints2d is not None:
        kinds[_IN_2D] = rows.keypoints2d
    if rows.keypoints3d is not None:
        kinds[_IN_3D] = rows.keypoints3d
    if rows.has_smpl.any():
        kinds[_BODIES] = _body_joints(rows)
    flip = list(joint_set(rows.joints).flip)
    names = list(kinds)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if mistake := _mistake(kinds[first], kinds[second], flip):
                row = int((kinds[second][..., -1] > 0).any(1).argmax())
                yield Doubt(_KEYS[second], row, f"{second} {mistake.format(first)}")


def _mistake(a: NDArray[np.float32], b: NDArray[np.float32], flip: list[int]) -> str | None:
    """How joints (N, J, D + 1) of two kinds disagree; the last number of each is a confidence."""
    size = min(a.shape[2], b.shape[2]) - 1
    seen = (a[..., -1] > 0) & (b[..., -1] > 0)
    seen &= seen[:, flip]
    a, b, seen = (values[seen.sum(1) >= _FEWEST] for values in (a[..., :-1], b[..., :-1], seen))
    if not len(a):
        return None
    stated = _cosines(a[..., :size], b[..., :size], seen)
    others = {"with left and right exchanged": _cosines(a[..., :size], b[:, flip, :size], seen)}
    for word, (axes, signs) in _AXES.items():
        changed = b[..., list(axes[: b.shape[2]])] * np.array(signs[: b.shape[2]], np.float32)
        others[word] = _cosines(a[..., :size], changed[..., :size], seen)
    turn = _common_turn(a[..., :size], b[..., :size], seen)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - size + 2) / 2, -1, 1)))
    turned = {f"turned by {angle:.0f} degrees": _cosines(a[..., :size], b[..., :size] @ turn, seen)}
    now, least = float(np.median(stated)), 0.02 if len(a) >= _MANY else 0.3
    for mistakes in (others, turned):  # the first are exact, and have names
        best = max(mistakes, key=lambda word: float(np.median(mistakes[word])))
        then = float(np.median(mistakes[best]))
        if then > max(_ALIKE, now + least) and (mistakes[best] > stated).mean() > 0.85:
            return f"look {best}: they agree with {{}} by {now:.2f} in the median, and by {then:.2f} if put right"
    if now < _ALIKE:
        own = _cosines_turned(a[..., :size], b, seen)
        if float(np.median(own)) > max(_OWN_TURN, now + least):
            return (
                f"look turned, each row by another angle: they agree with {{}} by {now:.2f} in the median, and by "
                f"{np.median(own):.2f} if put right, as bodies do whose root is in the world's axes, not the camera's"
            )
    another = np.roll(np.arange(len(a)), len(a) // 2)  # far away: neighbours can be frames of one video
    exchanged = _cosines(a[..., :size], b[another, :, :size], seen & seen[another])
    if len(a) >= _MANY and now < _OWN and (stated >= exchanged).mean() < 0.75:
        return (
            f"agree with {{}} by {now:.2f} in the median, and with those of other rows as well "
            f"({np.median(exchanged):.2f}); see that rows are of the same people in the same order"
        )
    if now < _ALIKE:
        return f"agree with {{}} by {now:.2f} in the median, 1 is the same pose; look at axes and order of joints"
    return None


def _common_turn(
    a: NDArray[np.float32], b: NDArray[np.float32], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(D, D) the one turn R by which the joints b @ R (N, J, D) of all rows lie most like those of a."""
    weights = seen[..., None].astype(np.float32)
    a, b = (
        values - (values * weights).sum(1, keepdims=True) / weights.sum(1, keepdims=True) for values in (a, b)
    )
    u, _, v = np.linalg.svd(np.einsum("njd,nje->de", b * weights, a))
    u[:, -1] *= np.sign(np.linalg.det(u @ v))
    return u @ v


def _cosines_turned(
    a: NDArray[np.float32], b: NDArray[np.float32], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N,) how alike joints a (N, J, D) and b (N, J, 3) look once each row of b is turned as is best for it."""
    weights = seen[..., None].astype(np.float64)
    a, b = (
        (values - (values * weights).sum(1, keepdims=True) / weights.sum(1, keepdims=True)) * weights
        for values in (a.astype(np.float64), b.astype(np.float64))
    )
    # The linear map that fits best, made a rotation: exact for joints that are turned and seen from far away.
    slack = 1e-4 * np.einsum("njd,njd->n", b, b)[:, None, None] * np.eye(3)
    u, _, v = np.linalg.svd(
        np.linalg.solve(np.einsum("njd,nje->nde", b, b) + slack, b.mT @ a), full_matrices=False
    )
    turned = b @ (u @ v)
    lengths = np.sqrt((a * a).sum((1, 2)) * (turned * turned).sum((1, 2)))
    return (a * turned).sum((1, 2)) / np.maximum(lengths, 1e-12)


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N,) how alike the joints (N, J, D) that are seen lie around their mean: 1 the same, -1 the opposite."""
    weights = seen[..., None].astype(np.float32)
    a, b = (
        (values - (values * weights).sum(1, keepdims=True) / np.maximum(weights.sum(1, keepdims=True), 1))
        * weights
        for values in (a, b)
    )
    lengths = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.maximum(lengths, 1e-12)


def _body_joints(rows: Annotations) -> NDArray[np.float32]:
    """(N, J, 4) the joints of SMPL's tree in the rows' poses and a mean shape, 0 where a joint is none of these."""
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
def _rest_joints() -> NDArray[np.float32]:
    body = load_body("open")
    return (body.joint_regressor @ body.v_template).numpy()
