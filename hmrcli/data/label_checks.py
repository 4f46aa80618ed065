"""Checks whether a training set can be learned from: which labels it has, in which units, and whether they agree.

Looked at before the first step, on rows spread evenly over a set. What no right file looks like is refused; what only
looks wrong is said, with medians, since every threshold has its exceptions.
"""

import re
from collections.abc import Callable, Iterator
from math import pi
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.data.annotations import Annotations, Numbers, spread
from hmrcli.data.crop import square_around
from hmrcli.data.label_agreement import BODIES, FEWEST, IN_2D, IN_3D, KEYS, Problem, disagreements, labelled
from hmrcli.errors import BadInput
from hmrcli.recipe import Recipe

_ROWS, _PICTURES = 256, 32
"""Looked at in a set; a picture is a file to open."""
_EXTENT = "a person measures {:.4g} from end to end"
_UNITS = (
    ("keypoints3d", IN_3D, 0.02, 20.0, "metres", _EXTENT),
    ("keypoints2d", IN_2D, 3.0, np.inf, "pixels", _EXTENT),
    ("bbox_xywh", "boxes", 3.0, np.inf, "pixels", "the longer side is {:.4g}"),
    ("smpl.body_pose", BODIES, 0.0, 4 * pi, "radians", "the largest angle of a pose is {:.4g}"),
    ("smpl.betas", BODIES, 0.0, 100.0, "SMPL's shape numbers", "the largest is {:.4g}"),
)
"""Fields, what is in them, the least and the most that right rows measure, in which units, and how others are told."""
Layout = dict[str, tuple[tuple[str, ...], ...]]

_LAYOUTS: dict[str, Layout] = {
    "image_path": {IN_2D: (("keypoints2d",),), IN_3D: (("keypoints3d",),), BODIES: (("smpl",),)},
    "imgname": {IN_2D: (("openpose",), ("part",)), IN_3D: (("S",),), BODIES: (("pose", "shape"),)},
}
"""Places of each kind of label in HumanData and SPIN, by the field that tells the two apart: any group will do."""
_LIKE_LABELS = re.compile(r"kp|key|joint|2d|3d|pose|shape|beta|smpl|theta|body|orient", re.IGNORECASE)
_NO_LABELS = re.compile(r"__|bbox|has_|.*_(mask|convention)$|.*path")


def refuse_without_labels(recipe: Recipe, name: str, path: Path) -> None:
    """Refuses a file that has no field with labels, whatever else is in it.

    Raises:
        BadInput: there is none; names fields that look like labels and are not read.
    """
    layout, read, _ = _fields(path)
    if layout and not read:
        raise _without_labels(recipe, name, path)


def check_set(
    recipe: Recipe, name: str, annotations: Annotations, path: Path, folder: Path, say: Callable[[str], None]
) -> None:
    """Says what labels a training set has, and what looks wrong in them.

    Raises:
        BadInput: no row has a label that the recipe's losses use, or units or boxes cannot be right.
    """
    kinds = labelled(annotations)
    counts = ", ".join(f"{np.count_nonzero(rows):,} with {kind}" for kind, rows in kinds.items())
    say(f"training set {name}: {len(annotations):,} rows, {counts}")
    if not any(np.logical_and.reduce([kinds[kind] for kind in used]).any() for used in _used(recipe)):
        raise _without_labels(recipe, name, path)
    if unread := _unread(path, [kind for kind, rows in kinds.items() if not rows.any()]):
        say(f"training set {name}: {unread}")
    looked_at = f"of {len(spread(len(annotations), _ROWS))} rows that were looked at in {path}"
    for problem in doubts(annotations, folder):
        if problem.refused:
            raise BadInput(f"{path}: {problem.text}")
        say(f"training set {name}: {problem.text} ({looked_at})")


def doubts(annotations: Annotations, folder: Path, most: int = _ROWS) -> Iterator[Problem]:
    """Looks at rows spread evenly over a set, whose keypoints a recipe can learn, for what looks wrong in them."""
    rows = spread(len(annotations), most)
    looked_at = annotations[rows]
    for problem in (
        *_doubts_about_units(looked_at, rows),
        *_doubts_about_numbers(looked_at),
        *_doubts_about_boxes(looked_at, rows, folder),
        *disagreements(looked_at),
    ):
        yield problem._replace(row=int(rows[problem.row]))


def _used(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    """Gives for each term that learns from labels the kinds of which it needs all."""
    for term, loss in recipe.losses.items():
        if loss.weight == 0 or term in ("camera_prior", "adversarial"):
            continue
        if "keypoints2d" in term or term in ("part_maps", "heatmaps"):
            yield (IN_2D,)
        elif term == "local_keypoints3d":
            yield (IN_3D, BODIES)
        elif "keypoints3d" in term:
            yield (IN_3D,)
        else:
            yield (BODIES,)
    if recipe.in_the_loop is not None:  # bodies are fitted to 2D keypoints
        yield (IN_2D,)


def _fields(path: Path) -> tuple[Layout, set[str], list[str]]:
    """Returns where a file's layout has labels, which of them it has, and its other fields that look like labels."""
    if path.suffix != ".npz":
        return {}, set(), []
    with AnnotationNpz(path) as stored:
        fields = set(stored)
    layout = next((labels for name, labels in _LAYOUTS.items() if name in fields), {})
    there = [group for groups in layout.values() for group in groups if set(group) <= fields]
    read = {field for group in there for field in group}
    like = [f for f in sorted(fields - read) if _LIKE_LABELS.search(f) and not _NO_LABELS.match(f)]
    return layout, read, like


def _unread(path: Path, kinds: list[str]) -> str:
    """Says which fields look like labels and are not read, and which would be; nothing if there are none."""
    layout, _, like = _fields(path)
    if not (layout and like and kinds):
        return ""
    wanted = (f"{' or '.join(map(' and '.join, layout[kind]))} for {kind}" for kind in kinds)
    return f"{path.name} has {', '.join(like)}, which are not read; expected {', '.join(wanted)}"


def _without_labels(recipe: Recipe, name: str, path: Path) -> BadInput:
    kinds = list(dict.fromkeys(kind for kinds in _used(recipe) for kind in kinds))
    unread = _unread(path, kinds) or "They are not there, or their confidence or has_smpl is 0"
    return BadInput(
        f"{path}: no row has labels that {recipe.name} learns from ({', '.join(kinds)}). "
        f"{unread}; convert the file, or train with --without {name}"
    )


def _doubts_about_units(rows: Annotations, numbers: NDArray[np.int64]) -> Iterator[Problem]:
    """Finds numbers that are off by factors that no right row has; refused where most rows are."""
    known = np.where(rows.has_smpl, 1.0, np.nan)
    measured = (
        _extents(rows.keypoints3d, len(rows)),
        _extents(rows.keypoints2d, len(rows)),
        rows.bbox_xywh[:, 2:].max(1),
        known * np.linalg.norm(rows.pose.reshape(-1, 24, 3), axis=2).max(1),
        known * np.abs(rows.betas).max(1),
    )
    for (field, kind, low, high, unit, got), values in zip(_UNITS, measured):
        wrong, count = (values < low) | (values > high), np.isfinite(values).sum()
        if wrong.sum() > count / 20 or (values > high).any():
            got = got.format(np.median(values[wrong]))
            text = f"{kind}: expected {unit}, but {got} in {wrong.sum()} of {count} rows"
            row, refused = int(wrong.argmax()), bool(wrong.sum() > count / 2)
            if refused:
                text += f" that were looked at, first row {numbers[row]}; bring the file to {unit}"
            yield Problem(field, row, text, refused)


def _extents(points: Numbers | None, count: int) -> NDArray[np.float64]:
    """Measures (N,) diagonals of the boxes around the joints with confidence; NaN for rows with too few."""
    extents = np.full(count, np.nan)
    if points is not None and (enough := (points[..., -1] > 0).sum(1) >= FEWEST).any():
        seen = np.where(points[enough, :, -1:] > 0, points[enough, :, :-1], np.nan)
        extents[enough] = np.linalg.norm(np.nanmax(seen, 1) - np.nanmin(seen, 1), axis=1)
    return extents


def _doubts_about_numbers(rows: Annotations) -> Iterator[Problem]:
    """Finds numbers that are unusual for bodies in most of the rows."""
    extents = _extents(rows.keypoints3d, len(rows))
    if np.isfinite(extents).any() and not 0.2 < (median := np.nanmedian(extents)) < 3.5:
        text = f"people measure {median:.2g} m from end to end in the median of their 3D keypoints"
        yield Problem("keypoints3d", int(np.isfinite(extents).argmax()), text)
    for kind, points in ((IN_2D, rows.keypoints2d), (IN_3D, rows.keypoints3d)):
        weights = np.empty(0) if points is None else points[..., -1][points[..., -1] > 0]
        if points is not None and len(weights) and np.median(weights) > 1.1:
            text = f"the confidence of {kind} is {np.median(weights):.4g} in the median: expected 0 to 1, a weight"
            yield Problem(KEYS[kind], int(points[..., -1].max(1).argmax()), text)
    known = rows.has_smpl
    still = known & ~rows.pose.any(1)
    if still.sum() > known.sum() / 2:
        text = f"{still.sum()} of {known.sum()} bodies have a pose of zeros, though has_smpl says that it is known"
        yield Problem("smpl.body_pose", int(still.argmax()), text)
    if rows.transl is not None and known.any():
        away = np.where(known, np.linalg.norm(rows.transl, axis=1), 0)
        if (median := np.median(away[known])) > 200:
            text = f"bodies are {median:.4g} m away in the median of transl: expected metres"
            yield Problem("smpl.transl", int(away.argmax()), text)


def _doubts_about_boxes(rows: Annotations, numbers: NDArray[np.int64], folder: Path) -> Iterator[Problem]:
    """Finds boxes and 2D keypoints that do not lie where a person is seen; refused where most boxes show nothing."""
    center, side = square_around(rows.bbox_xywh)
    sizes = {row: _size(folder / str(rows.image_path[row])) for row in spread(len(rows), _PICTURES).tolist()}
    few = np.array([row for row, size in sizes.items() if size], int)
    size = np.array([size for size in sizes.values() if size], float).reshape(-1, 2)
    low, high = (center[few] + sign * side[few, None] / 2 for sign in (-1, 1))
    outside = ((high <= 0) | (low >= size)).any(1)
    if outside.any():
        row, refused = int(few[outside.argmax()]), bool(outside.sum() > len(few) / 2)
        text = f"{outside.sum()} of {len(few)} boxes lie outside of their pictures"
        if refused:
            box = ", ".join(f"{number:g}" for number in rows.bbox_xywh[row])
            width, height = size[outside.argmax()]
            text = (
                f"boxes: {outside.sum()} of {len(few)} that were looked at lie outside of their pictures, first row "
                f"{numbers[row]}: {box} in a picture of {width:.0f}×{height:.0f}; expected x and y of the top "
                f"left corner, width and height, in pixels of the files in {folder}"
            )
        yield Problem("bbox_xywh", row, text, refused)
    points = rows.keypoints2d
    if points is None:
        return
    seen = (points[..., 2] > 0) & ((points[..., 2] > 0).sum(1) >= FEWEST)[:, None]
    places = np.where(seen[..., None], points[..., :2], np.nan)[seen.any(1)]
    if len(places) < FEWEST:
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
        yield Problem("bbox_xywh", int(seen.any(1).argmax()), text)
    told, size = few[seen[few].any(1)], size[seen[few].any(1)]
    within = ((points[told, :, :2] >= 0) & (points[told, :, :2] <= size[:, None])).all(2) & seen[told]
    if len(told) and (median := np.median(within.sum(1) / seen[told].sum(1))) < 0.5:
        text = f"{1 - median:.0%} of a row's 2D keypoints lie outside of the picture in the median"
        yield Problem("keypoints2d", int(few[0]), text)


def _size(path: Path) -> tuple[int, int] | None:
    """Reads width and height of an image as it is decoded; None if it cannot be read, which is said elsewhere."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.height, image.width) if turned else image.size
    except Exception:  # a damaged file can fail in any way
        return None
