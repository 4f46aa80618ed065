"""A folder of photos, with keypoints in COCO's layout or with those that the bundled networks see."""

from functools import partial
from pathlib import Path

import numpy as np

from hmrcli.data.images import read_bgr
from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.output import Arrays, Output
from hmrcli.data.raw.rows import box_of_points, make_rows, rows_of_people
from hmrcli.data.raw.tree import Product, RawSet, Tree
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.files import damage

FEWEST, SEEN, AROUND = 6, 0.3, 1.2
"""Keypoints that make a row, visibility from which a landmark counts, and the box around them."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_TOGETHER = 8
"""Photos that are read by one process at a time, and again after an interruption."""


def own_set(name: str, keypoints: Path | None) -> RawSet:
    """Returns photos of a user as a set.

    Args:
        name: of the annotation file, and of the folder below `datasets/` where links to the photos go.
        keypoints: JSON in COCO's layout; None to have them seen.

    Raises:
        UsageError: it cannot be the name of a folder, or is that of an official set.
    """
    from hmrcli.data.raw.sets import RAW_SETS

    if name in (each.name for each in RAW_SETS):
        raise UsageError(
            f"--name: {name} is an official set, whose folder is datasets/{name}; take another name"
        )
    if not name or Path(name).name != name:
        raise UsageError(f"--name: {name!r} is no name of a folder; leave out its path")
    return RawSet(
        name=name,
        title=name,
        products=(Product(f"{name}.npz", "photos of your own"),),
        make=partial(_read, keypoints) if keypoints else _look,
    )


def _read(keypoints: Path, tree: Tree, out: Output) -> None:
    """Writes everyone with some labelled keypoints, in the file's order; boxes as given, else around these."""
    document = read_json(keypoints)
    people = []
    with damage(
        f"{keypoints}: no keypoints in COCO's layout ({{}}); expected images (id, file_name) and annotations "
        "(image_id, keypoints of 17×3 numbers, bbox)"
    ):
        names = {image["id"]: image["file_name"] for image in document["images"]}
        for person in document["annotations"]:
            points = np.array(person.get("keypoints") or [0] * 51, np.float64).reshape(17, 3)
            points[:, 2] = points[:, 2] > 0
            if points[:, 2].sum() < FEWEST:
                out.drop(f"with fewer than {FEWEST} keypoints")
                continue
            box = person.get("bbox") or box_of_points(points[None, :, :2], AROUND, points[None, :, 2] > 0)[0]
            people.append((str(names[person["image_id"]]), box, points))
    name = out.raw_set.name
    out.write(f"{name}.npz", rows_of_people(name, "coco_17", people), tree, keypoints=keypoints.name)


def _look(tree: Tree, out: Output) -> None:
    """Writes everyone whom the bundled networks find, with the joints in sight; confidence is their visibility."""
    folder = tree.folders[0]
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not photos:
        raise MissingFile(f"{folder} has no photos ({', '.join(_SUFFIXES)}); name their folder with --images")
    parts = [photos[start : start + _TOGETHER] for start in range(0, len(photos), _TOGETHER)]
    found = list(out.run("looking for people", _people, [(folder, *part) for part in parts]))
    names = ("paths", "boxes", "points")
    paths, boxes, points = (np.concatenate([part[name] for part in found]) for name in names)
    name = out.raw_set.name
    rows = make_rows(name, "coco_17", paths, boxes, points)
    out.write(f"{name}.npz", rows, tree, keypoints="seen by the bundled networks")


def _people(folder: Path, *photos: Path) -> Arrays:
    """Finds paths (N), boxes (N, 4) and points (N, 17, 3) of the people in photos, by COCO's joints."""
    from hmrcli.people import body_landmarks, detect_people
    from hmrcli.people.skeleton import LANDMARK_KEYPOINTS

    names: list[str] = []
    boxes, points = [np.zeros((0, 4), np.float32)], [np.zeros((0, 17, 3))]
    empty = unseen = damaged = 0
    for photo in photos:
        try:
            image = np.ascontiguousarray(read_bgr(photo)[..., ::-1])
        except BadInput:
            damaged += 1
            continue
        found = body_landmarks(image, detect_people(image))
        visibility = np.where(found.visibility >= SEEN, found.visibility, 0.0)
        places = np.concatenate([found.points2d, visibility[..., None]], 2)
        enough = (places[:, LANDMARK_KEYPOINTS, 2] > 0).sum(1) >= FEWEST
        empty += not len(found)
        unseen += int((~enough).sum())
        boxes.append(box_of_points(places[enough, :, :2], AROUND, places[enough, :, 2] > 0))
        points.append(places[enough][:, LANDMARK_KEYPOINTS])
        names += [photo.relative_to(folder).as_posix()] * int(enough.sum())
    return {
        "paths": np.array(names, np.str_),
        "boxes": np.concatenate(boxes),
        "points": np.concatenate(points),
        "drop photos in which nobody is seen": np.array(empty),
        f"drop with fewer than {FEWEST} keypoints": np.array(unseen),
        "drop photos that cannot be read": np.array(damaged),
    }
