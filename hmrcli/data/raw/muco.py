"""MuCo-3DHP as its users pass it on: mks0601's composites with SMPLify-X fits.

The owners publish scripts that composite at random, so nobody makes the same images from them.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from hmrcli.data.body_parameters import BodyParameters
from hmrcli.data.raw.documents import json_items
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import make_rows
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree
from hmrcli.files import damage

_PELVIS = 14


def make_muco(tree: Tree, out: Output) -> None:
    """Writes every person with a finite fit and a visible pelvis, by image as the file lists them."""
    document, fits_file = tree.need("MuCo-3DHP.json")[0], tree.need("smpl_param.json")[0]
    bodies = {}
    for key, fit in json_items(fits_file):
        try:
            body = np.concatenate([np.ravel(fit[n]) for n in ("pose", "shape", "trans")]).astype(np.float32)
        except (KeyError, TypeError, ValueError):
            body = np.full(1, np.nan, np.float32)
        if body.shape == (85,) and np.isfinite(body).all():
            bodies[int(key)] = body
    out.progress("reading persons", 0, 1)
    persons: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    with damage(f"{document}: {{}}; expected mks0601's MuCo-3DHP.json"):
        for person in json_items(document, "annotations"):
            if person["id"] not in bodies:
                out.drop("without a finite fit")
                continue
            visible = np.asarray(person["keypoints_vis"], np.float32).reshape(21, 1)
            if visible[_PELVIS, 0] != 1:
                out.drop("whose pelvis is not visible")
                continue
            points = np.hstack([np.asarray(person["keypoints_img"], np.float32).reshape(21, 2), visible])
            box = np.asarray(person["bbox"], np.float32).reshape(4)
            persons[person["image_id"]].append((box, points, bodies[person["id"]]))
        names, cameras, rows = [], [], []
        for image in json_items(document, "images"):
            own = persons.pop(image["id"], [])
            (fx, fy), (cx, cy) = image["f"], image["c"]
            names += [f"images/{image['file_name']}"] * len(own)
            cameras += [((fx, 0, cx), (0, fy, cy), (0, 0, 1))] * len(own)
            rows += own
    out.drop("without an image", sum(len(left) for left in persons.values()))
    count = len(rows)
    body = np.array([row[2] for row in rows], np.float32).reshape(count, 85)
    annotations = make_rows(
        "muco",
        "muco_21",
        names,
        [row[0] for row in rows],
        [row[1] for row in rows],
        bodies=BodyParameters(body[:, :72], body[:, 72:82], np.ones(count, bool), body[:, 82:]),
        intrinsics=cameras,
    )
    out.write("muco3dhp_train.npz", annotations, tree, smpl_labels="SMPLify-X fits of mks0601's release")


MUCO = RawSet(
    name="muco",
    title="MuCo-3DHP",
    page="https://vcai.mpi-inf.mpg.de/projects/SingleShotMultiPerson",
    archives=(
        Archive("augmented_set*.zip", "images, from the drive folder of mks0601's 3DMPPE_POSENET_RELEASE"),
        Archive("unaugmented_set*.zip", "images with their own backgrounds, likewise"),
    ),
    tree=("MuCo-3DHP.json", "smpl_param.json", "augmented_set/…/….jpg", "unaugmented_set/…/….jpg"),
    products=(Product("muco3dhp_train.npz", "training"),),
    make=make_muco,
)
