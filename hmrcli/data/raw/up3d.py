"""Reads UP-3D (`up-3d.zip`): people whose fits to 2D joints annotators took for good."""

from pathlib import Path

import cv2
import numpy as np

from hmrcli.assets.pickles import read_npy, read_pickle
from hmrcli.data.images import read_bgr
from hmrcli.data.raw.documents import reading
from hmrcli.data.raw.rows import Made, Rows, padded_box
from hmrcli.errors import BadInput

ENDING = "_image.png"


def read_up3d(raw: Path, part: str = "trainval") -> Made:
    """Reads a row for each line of `trainval.txt`, with the fitted body and the 14 annotated joints.

    Poses are in the camera's axes as they are: `rt` is zero in all files. Boxes go around the rendered fit. The
    fits' translation and focal length hold for another crop and are left out.

    Args:
        raw: folder of the numbered files.
        part: `train`, `val`, `trainval` or `test`.

    Raises:
        MissingFile, BadInput: a file is not there or not the set's.
    """
    listed = raw / f"{part}.txt"
    with reading(listed):
        lines = listed.read_text(encoding="utf-8").split()
    rows = Rows("up-3d", "lsp_14")
    for line in lines:
        name = line.lstrip("/")
        if not name.endswith(ENDING):
            raise BadInput(f"{listed}: expected lines such as /00000{ENDING}, got {line!r}")
        stem = name.removesuffix(ENDING)
        places, body = raw / f"{stem}_joints.npy", raw / f"{stem}_body.pkl"
        render = read_bgr(raw / f"{stem}_render_light.png")
        inside = cv2.findNonZero((render.min(2) < 255).astype(np.uint8))  # white where nobody is
        if inside is None:
            rows.dropped["whose rendered fit is empty"] += 1
            continue
        low, high = inside.reshape(-1, 2).min(0), inside.reshape(-1, 2).max(0) + 1
        with reading(places):
            points = np.asarray(read_npy(places), np.float64).reshape(3, 14).T
        with reading(body):
            fit = read_pickle(body)
            pose, betas = (
                np.asarray(fit["pose"], float).reshape(72),
                np.asarray(fit["betas"], float).reshape(-1),
            )
        rows.add(name, padded_box(low, high, 0.9), points, pose, betas)
    return rows.made(listed)
