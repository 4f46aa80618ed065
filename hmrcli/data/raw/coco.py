"""COCO 2014: person_keypoints_train2014.json (https://cocodataset.org)."""

from dataclasses import replace

import numpy as np

from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import box_of_corners, rows_of_people, square_box
from hmrcli.data.raw.tree import Archive, RawSet, Tree, training_and_spin
from hmrcli.files import damage

_FILE = "person_keypoints_train2014.json"
_LIMBS = slice(5, 17)
"""Shoulders to ankles: people are kept who have them all."""


def make_coco(tree: Tree, out: Output) -> None:
    """Writes everyone whose shoulders, elbows, wrists, hips, knees and ankles are all labelled, in the file's order.

    Boxes are as given. Labelled keypoints count fully, whether they are seen or not. Later versions of MMHuman3D
    sort rows by image.
    """
    path = tree.need(f"annotations/{_FILE}", _FILE)[0]
    document = read_json(path)
    people = []
    with damage(f"{path}: not COCO's people ({{}}); take {_FILE}"):
        names = {image["id"]: image["file_name"] for image in document["images"]}
        for person in document["annotations"]:
            points = np.array(person["keypoints"], np.float64).reshape(17, 3)
            labelled = points[:, 2] > 0
            if not labelled[_LIMBS].all():  # crowds have no keypoints at all
                out.drop("without all of shoulders to ankles")
                continue
            points[:, 2] = labelled
            people.append((f"train2014/{names[person['image_id']]}", person["bbox"], points))
    rows = rows_of_people("coco", "coco_17", people)
    out.write("coco_2014_train.npz", rows, tree)
    square = square_box(rows.bbox_xywh)
    grown = box_of_corners(square[:, :2], square[:, :2] + square[:, 2:], 1.2)
    out.write("spin_coco_2014_train.npz", replace(rows, bbox_xywh=grown), tree, openpose="none")


COCO = RawSet(
    name="coco",
    title="COCO",
    page="https://cocodataset.org/#download",
    archives=(
        Archive("annotations_trainval2014.zip", "keypoints of people", 0.24),
        Archive("train2014.zip", "images", 13.0),
    ),
    tree=(f"annotations/{_FILE}", "train2014/COCO_train2014_000000000009.jpg"),
    # Inferred: the number of rows of EFT's part with the same rule.
    products=training_and_spin("coco_2014_train.npz", 28_344),
    make=make_coco,
)
