"""MPII Human Pose: the official mpii_human_pose_v1_u12_1.mat, or train.h5 of pose-hg-train."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.raw.documents import read_hdf5, read_mat, reading
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import box_of_scale, certain, rows_of_people
from hmrcli.data.raw.tree import Archive, RawSet, Tree, training_and_spin
from hmrcli.errors import BadInput

_PREPARED, _OFFICIAL = "train.h5", "mpii_human_pose_v1_u12_1.mat"

_Person = tuple[str, NDArray[np.float64], NDArray[np.float64], float]
"""Image, joints (16, 2) in pixels, zeros where one is absent, center and scale."""


def make_mpii(tree: Tree, out: Output) -> None:
    """Writes everyone whose 16 joints are all annotated; all count fully, seen or not.

    The benchmark's rows are those of train.h5, a list that others made of the official file without the people
    that they test on. Where it is not at hand, the people of all training images are taken, these included.
    """
    prepared = tree.find(_PREPARED)
    path = prepared[0] if prepared else tree.need(_OFFICIAL)[0]
    people = []
    for image, points, center, scale in _prepared(path) if prepared else _official(path, out):
        if not (points > 0).all():
            out.drop("without all 16 joints")
            continue
        box = box_of_scale(center[None], np.array([scale]))[0]
        people.append((f"images/{image}", box, certain(points)))
    if not prepared:
        out.note(
            "MPII: from the official file, so people are among the rows that train.h5 sets apart for tests"
        )
    facts = {"people": _PREPARED if prepared else path.name}
    rows = rows_of_people("mpii", "mpii_16", people)
    out.write("mpii_train.npz", rows, tree, **facts)
    out.write("spin_mpii_train.npz", rows, tree, openpose="none", **facts)


def _prepared(path: Path) -> Iterator[_Person]:
    stored = read_hdf5(path, "imgname", "part", "center", "scale")
    for image, points, center, scale in zip(*stored.values()):
        # Text in most copies, a row of codes in the oldest.
        name = image if isinstance(image, bytes) else bytes(np.asarray(image).astype(np.uint8))
        yield name.rstrip(b"\0").decode(), points.astype(np.float64), center, float(scale)


def _official(path: Path, out: Output) -> Iterator[_Person]:
    """Reads people of the training images in the file's order, with boxes and whole pixels as `train.h5` has them."""
    release = read_mat(path, "RELEASE")["RELEASE"]
    with reading(path):
        release = release.flat[0]
        for image, training in zip(release.annolist.flat, np.ravel(release.img_train)):
            if not training:
                continue
            name = str(np.ravel(image.image.flat[0].name)[0])
            for person in _structs(image, "annorect"):
                objpos, points = _structs(person, "objpos"), _points(person)
                scale = np.ravel(getattr(person, "scale", ()))
                # Inferred: nothing but a head is annotated.
                if not objpos or not scale.size or points is None:
                    out.drop("without place or joints")
                    continue
                x, y = (float(np.ravel(getattr(objpos[0], axis))[0]) for axis in "xy")
                center = np.trunc([x, y + 15 * float(scale[0])])
                yield name, points, center, 1.25 * float(scale[0])


def _points(person: Any) -> NDArray[np.float64] | None:
    every = [point for each in _structs(person, "annopoints") for point in _structs(each, "point")]
    if not every:
        return None
    points = np.zeros((16, 2))
    for point in every:  # is_visible may be empty, and is not asked for
        joint, x, y = (float(np.ravel(getattr(point, name))[0]) for name in ("id", "x", "y"))
        if not 0 <= joint < 16:
            raise BadInput(f"a joint has the number {joint:g}, expected 0 to 15")
        points[int(joint)] = np.trunc([x, y])
    return points


def _structs(parent: Any, field: str) -> list[Any]:
    """Lists the records of a Matlab struct's field; none where it is absent or an empty array."""
    values = np.ravel(np.asarray(getattr(parent, field, ()), object))
    return [value for value in values if hasattr(value, "_fieldnames")]


MPII = RawSet(
    name="mpii",
    title="MPII Human Pose",
    page="http://human-pose.mpi-inf.mpg.de/#download",
    archives=(
        Archive("mpii_human_pose_v1_u12_2.zip", "annotations", 0.01),
        Archive("mpii_human_pose_v1.tar.gz", "images", 12.9),
    ),
    tree=(f"mpii_human_pose_v1_u12_2/{_OFFICIAL}", _PREPARED, "images/015601864.jpg"),
    # About 14,810 rows are inferred for the published file, which is too vague to compare with.
    products=training_and_spin("mpii_train.npz"),
    make=make_mpii,
    packages=("scipy", "h5py"),
)
