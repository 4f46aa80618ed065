"""UP-3D: people whose fits to 2D joints annotators took for good, up-3d.zip."""

import cv2
import numpy as np

from hmrcli.assets.npz import read_npy
from hmrcli.assets.pickles import read_pickle
from hmrcli.data.images import read_bgr
from hmrcli.data.raw.documents import reading
from hmrcli.data.raw.geometry import box_of_corners
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.raw_set import Archive, Product, RawSet
from hmrcli.data.raw.rows import Rows
from hmrcli.data.raw.tree import Tree
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
    rows = Rows("up-3d", "lsp_14")
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
            pose, betas = (
                np.asarray(fit["pose"], float).reshape(72),
                np.asarray(fit["betas"], float).reshape(-1),
            )
        rows.add(name, box_of_corners(low[None], high[None], 0.9)[0], points, pose, betas)
    out.write("up3d_trainval.npz", rows.annotations(), tree)


UP3D = RawSet(
    name="up-3d",
    title="UP-3D",
    page="http://files.is.tuebingen.mpg.de/classner/up",
    licence="up-3d",
    archives=(Archive("up-3d.zip", "images, joints and fitted bodies", 4.6),),
    tree=(
        "trainval.txt",
        *(f"00000{end}" for end in (ENDING, "_joints.npy", "_render_light.png", "_body.pkl")),
    ),
    products=(Product("up3d_trainval.npz", "training and validation", 7_126),),  # inferred: 5,703 and 1,423
    make=make_up3d,
)
