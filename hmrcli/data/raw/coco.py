"""Reads COCO 2014's people: `annotations/person_keypoints_train2014.json` (cocodataset.org)."""

from pathlib import Path

import numpy as np

from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.rows import Made, Rows
from hmrcli.errors import BadInput

FILE = "annotations/person_keypoints_train2014.json"
_LIMBS = slice(5, 17)
"""Shoulders to ankles: people are kept who have them all."""


def read_coco(raw: Path) -> Made:
    """Reads everyone whose shoulders, elbows, wrists, hips, knees and ankles are all labelled, in the file's order.

    Boxes are as given. Labelled keypoints count fully, whether they are seen or not. Crowds have no keypoints.
    MMHuman3D's later versions sort rows by image; the benchmark's file keeps the order.

    Args:
        raw: folder of `annotations/`.

    Raises:
        MissingFile, BadInput: the file is not there or not COCO's.
    """
    path = raw / FILE
    document = read_json(path)
    rows = Rows("coco", "coco_17")
    try:
        names = {image["id"]: image["file_name"] for image in document["images"]}
        for person in document["annotations"]:
            points = np.array(person["keypoints"], np.float64).reshape(17, 3)
            labelled = points[:, 2] > 0
            if not labelled[_LIMBS].all():
                rows.dropped["without all of shoulders to ankles"] += 1
                continue
            points[:, 2] = labelled
            rows.add(f"train2014/{names[person['image_id']]}", person["bbox"], points)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: not COCO's people ({type(error).__name__}: {error}); take person_keypoints_train2014.json"
        ) from None
    return rows.made(path)
