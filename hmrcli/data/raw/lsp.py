"""Leeds Sports Pose (lsp_dataset_original.zip) and its extension in high resolution (hr-lspet.zip)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hmrcli.data.raw.documents import read_mat
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import Floats, box_of_points, certain, make_rows, square_box
from hmrcli.data.raw.tree import Archive, RawSet, Tree, training_and_spin
from hmrcli.errors import BadInput

TRAINING = 1000
"""Images of LSP that are for training, the first ones."""
_BOX = 1.2


def make_lsp(tree: Tree, out: Output) -> None:
    """Writes the training half: images/im0001.jpg and on, joints.mat (3, 14, 2000)."""
    points = _joints(tree, (3, 14, 2 * TRAINING))[:2].transpose(2, 1, 0)
    names = [f"images/im{number:04d}.jpg" for number in range(1, TRAINING + 1)]
    found = [tree.at(name) for name in names]
    _write(tree, out, names, found, points[:TRAINING])


def make_lspet(tree: Tree, out: Output) -> None:
    """Writes the extension: im00001.png and on, with gaps, joints.mat (14, 3, N), a column for each picture."""
    points = _joints(tree, (14, 3, None))[:, :2].transpose(2, 0, 1)
    found = sorted(tree.need("im*.png"), key=lambda path: path.name)
    if len(found) != len(points):  # columns go by the order of the pictures
        raise BadInput(
            f"{found[0].parent}: expected {len(points)} pictures im*.png as in joints.mat, found {len(found)}; "
            "unpack hr-lspet.zip again"
        )
    _write(tree, out, [path.name for path in found], found, points)


def _joints(tree: Tree, shape: tuple[int | None, ...]) -> Floats:
    path = tree.need("joints.mat")[0]
    joints = np.asarray(read_mat(path, "joints")["joints"], np.float64)
    if joints.ndim != 3 or any(want not in (None, have) for want, have in zip(shape, joints.shape)):
        wanted = "×".join("N" if size is None else str(size) for size in shape)
        raise BadInput(
            f"{path}: field joints: expected {wanted}, the file has {'×'.join(map(str, joints.shape))}; "
            "it is of another release of the set"
        )
    return joints


def _write(tree: Tree, out: Output, names: list[str], found: Sequence[Path | None], points: Floats) -> None:
    """Writes rows whose joints all lie in the picture, for SPIN all rows; joints count fully, hidden or not."""
    name = out.raw_set.name
    inside = np.zeros(len(names), bool)
    for row, (image, path) in enumerate(zip(names, found)):
        if path is None:
            raise tree.missing(f"no picture {image}, whose size tells whether the row is used")
        inside[row] = ((points[row] >= 0) & (points[row] <= _size(path))).all()  # the edge is inside
        out.progress("looking at pictures", row + 1, len(names))
    out.drop("with joints outside of the picture", int((~inside).sum()))
    rows = make_rows(name, "lsp_14", names, box_of_points(points, _BOX), certain(points))
    out.write(f"{name}_train.npz", rows[inside], tree)
    spin = replace(rows, bbox_xywh=square_box(rows.bbox_xywh))
    out.write(f"spin_{name}_train.npz", spin, tree, openpose="none")


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        raise BadInput(f"{path}: is no picture; unpack its archive again") from None


# How many rows the published files have is not known.
LSP = RawSet(
    name="lsp",
    title="LSP",
    page="https://sam.johnson.io/research/lsp.html",
    archives=(Archive("lsp_dataset_original.zip", "images in their original size and joints", 0.25),),
    tree=("joints.mat", "images/im0001.jpg"),
    products=training_and_spin("lsp_train.npz"),
    make=make_lsp,
    packages=("scipy",),
)
LSPET = RawSet(
    name="lspet",
    title="LSP-Extended",
    page="https://datasets.d2.mpi-inf.mpg.de/hr-lspet/hr-lspet.zip",
    archives=(Archive("hr-lspet.zip", "images in high resolution and joints"),),
    tree=("joints.mat", "im00001.png"),
    products=training_and_spin("lspet_train.npz"),
    make=make_lspet,
    packages=("scipy",),
)
