"""EFT: fits of SMPL to COCO, MPII and LSPET (https://github.com/facebookresearch/eft)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hmrcli.body.rotations import pose_from_rotmat
from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.geometry import box_of_scale
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.raw_set import Archive, Product, RawSet
from hmrcli.data.raw.rows import Rows
from hmrcli.data.raw.tree import Tree
from hmrcli.errors import BadInput


class _Part(NamedTuple):
    files: tuple[str, ...]
    """The first that is there is read."""
    images: str
    """Their folder below `datasets/`."""
    prefix: str
    """Of their names in that folder."""
    rows: int | None


_PARTS = {
    "eft_coco_all.npz": _Part(("COCO2014-All-ver01.json",), "coco", "train2014/", 79_051),
    "eft_coco_part.npz": _Part(("COCO2014-Part-ver01.json",), "coco", "train2014/", 28_344),
    "eft_mpii.npz": _Part(("MPII_ver01.json",), "mpii", "images/", 14_361),
    # Unknown which the benchmark's file was made of: MMHuman3D names the first, of about 7,000 rows, which EFT took
    # out of its download as outdated; its README gives that name to the second, of 2,946.
    "eft_lspet.npz": _Part(("LSPet_ver01.json", "LSPet_train_ver10.json"), "lspet", "", None),
}


def make_eft(tree: Tree, out: Output) -> None:
    """Writes all rows of each file, in its order, with the fitted bodies; rotations are in the camera's axes."""
    if not any(tree.find(name) for part in _PARTS.values() for name in part.files):
        tree.need(next(iter(_PARTS.values())).files[0])
    for file, part in _PARTS.items():
        found = [path for name in part.files for path in tree.find(name)]
        if not found:
            out.note(f"EFT: {' or '.join(part.files)} is not there, so {file} was not made")
            continue
        out.progress(f"reading {found[0].name}", 0, 1)
        out.write(file, _read(found[0], part), source=found[0].name)


def _read(path: Path, part: _Part) -> Annotations:
    document = read_json(path)
    rows = Rows(part.images, "smpl_49")
    try:
        fits = document["data"]
        rotmat = np.array([fit["parm_pose"] for fit in fits], np.float64).reshape(-1, 24, 3, 3)
        poses = pose_from_rotmat(torch.from_numpy(rotmat)).numpy()
        center = np.array([fit["bbox_center"] for fit in fits], np.float64).reshape(-1, 2)
        boxes = box_of_scale(center, np.array([fit["bbox_scale"] for fit in fits], np.float64))
        for fit, pose, box in zip(fits, poses, boxes):
            # Inferred from the boxes, for EFT does not say it: pixels of the image.
            points = np.array(fit["gt_keypoint_2d"], np.float32).reshape(49, 3)
            betas = np.array(fit["parm_shape"], np.float64).reshape(10)
            rows.add(part.prefix + fit["imageName"], box, points, pose, betas)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a file of EFT's fits ({type(error).__name__}: {error})") from None
    return rows.annotations()


EFT = RawSet(
    name="eft",
    title="EFT",
    page="https://github.com/facebookresearch/eft (scripts/download_eft.sh)",
    licence="eft",
    archives=tuple(
        Archive(name, f"fits for {part.images}") for part in _PARTS.values() for name in part.files
    ),
    tree=("eft_fit/COCO2014-All-ver01.json", "eft_fit/MPII_ver01.json", "eft_fit/LSPet_train_ver10.json"),
    products=tuple(Product(file, "fits", part.rows, part.images) for file, part in _PARTS.items()),
    make=make_eft,
)
