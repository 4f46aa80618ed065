"""UP-3D: people whose fits to 2D joints annotators took for good, up-3d.zip."""

import cv2
import numpy as np

from hmrcli.assets.npz import read_npy
from hmrcli.assets.pickles import read_pickle
from hmrcli.data.images import read_bgr
from hmrcli.data.raw.documents import reading
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import box_of_corners, rows_of_people
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree
from hmrcli.errors import BadInput

ENDING = "_image.png"


def make_up3d(tree: Tree, out: Output) -> None:
    """Writes a row for each line of trainval.txt, with the fitted body and the 14 annotated joints.

    Poses are in the camera's axes as they are: `rt` is zero in all files. Boxes go around the rendered fit. The
    fits' translation and focal length hold for another crop and are left out.
    """
    listed = tree.need("trainval.txt")[0]
    raw = listed.parent
    with reading(listed):
        lines = listed.read_text(encoding="utf-8").split()
    rows = []
    for done, line in enumerate(lines):
        out.progress("reading fits", done, len(lines))
        name = line.lstrip("/")
        if not name.endswith(ENDING):
            raise BadInput(f"{listed}: expected lines such as /00000{ENDING}, got {line!r}")
        stem = name.removesuffix(ENDING)
        places, body = raw / f"{stem}_joints.npy", raw / f"{stem}_body.pkl"
        render = read_bgr(raw / f"{stem}_render_light.png")
        inside = cv2.findNonZero((render.min(2) < 255).astype(np.uint8))  # white where nobody is
        if inside is None:
            out.drop("whose rendered fit is empty")
            continue
        low, high = inside.reshape(-1, 2).min(0), inside.reshape(-1, 2).max(0) + 1
        with reading(places):
            points = np.asarray(read_npy(places), np.float64).reshape(3, 14).T
        with reading(body):
            fit = read_pickle(body)
            pose = np.asarray(fit["pose"], float).reshape(72)
            betas = np.asarray(fit["betas"], float).reshape(-1)[:10]
        rows.append((name, box_of_corners(low[None], high[None], 0.9)[0], points, pose, betas))
    out.write("up3d_trainval.npz", rows_of_people("up-3d", "lsp_14", rows), tree)


UP3D = RawSet(
    name="up-3d",
    title="UP-3D",
    page="http://files.is.tuebingen.mpg.de/classner/up",
    archives=(Archive("up-3d.zip", "images, joints and fitted bodies", 4.6),),
    tree=(
        "trainval.txt",
        *(f"00000{end}" for end in (ENDING, "_joints.npy", "_render_light.png", "_body.pkl")),
    ),
    products=(Product("up3d_trainval.npz", "training and validation", 7_126),),  # inferred: 5,703 and 1,423
    make=make_up3d,
)
