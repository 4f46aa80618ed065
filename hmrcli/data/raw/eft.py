"""EFT: fits of SMPL to COCO, MPII and LSPET (https://github.com/facebookresearch/eft)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmrcli.assets.data_root import IMAGES
from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.coco import COCO
from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.lsp import LSPET
from hmrcli.data.raw.mpii import MPII
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import box_of_scale, rows_of_people
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree, download_folders
from hmrcli.files import damage


class _Part(NamedTuple):
    files: tuple[str, ...]
    """The first that is there is read."""
    images: RawSet
    """Whose images they are."""
    prefix: str
    """Of their names in that set's folder."""
    rows: int | None


_PARTS = {
    "eft_coco_all.npz": _Part(("COCO2014-All-ver01.json",), COCO, "train2014/", 79_051),
    "eft_coco_part.npz": _Part(("COCO2014-Part-ver01.json",), COCO, "train2014/", 28_344),
    "eft_mpii.npz": _Part(("MPII_ver01.json",), MPII, "images/", 14_361),
    # Unknown which the benchmark's file was made of: MMHuman3D names the first, of about 7,000 rows, which EFT took
    # out of its download as outdated; its README gives that name to the second, of 2,946.
    "eft_lspet.npz": _Part(("LSPet_ver01.json", "LSPet_train_ver10.json"), LSPET, "", None),
}


def make_eft(tree: Tree, out: Output) -> None:
    """Writes all rows of each file, in its order, with the fitted bodies; rotations are in the camera's axes.

    Its images are those of other sets, of which more are used than by those sets' own rows. They are taken from the
    same folder, or from where those sets' downloads lie.
    """
    if not any(tree.find(*part.files) for part in _PARTS.values()):
        tree.need(next(iter(_PARTS.values())).files[0])
    for file, part in _PARTS.items():
        found = tree.find(*part.files)
        if not found:
            out.note(f"EFT: {' or '.join(part.files)} is not there, so {file} was not made")
            continue
        out.progress(f"reading {found[0].name}", 0, 1)
        rows = _read(found[0], part)
        out.write(file, rows, _images(part.images, tree, out), source=found[0].name)


def _images(owner: RawSet, tree: Tree, out: Output) -> Tree | None:
    """Finds the downloads of another set, unpacked if need be; None where no images are wanted."""
    if not out.with_images:
        return None
    folder = out.root / IMAGES / owner.name
    found = Tree(owner, *download_folders(folder), *tree.folders)
    found.unpack(folder, out.progress)
    return found


def _read(path: Path, part: _Part) -> Annotations:
    import torch  # here, for the state of all sets is listed without it

    from hmrcli.body.rotations import pose_from_rotmat

    document = read_json(path)
    with damage(f"{path}: not a file of EFT's fits ({{}})"):
        fits = document["data"]
        rotmat = np.array([fit["parm_pose"] for fit in fits], np.float64).reshape(-1, 24, 3, 3)
        poses = pose_from_rotmat(torch.from_numpy(rotmat)).numpy()
        center = np.array([fit["bbox_center"] for fit in fits], np.float64).reshape(-1, 2)
        boxes = box_of_scale(center, np.array([fit["bbox_scale"] for fit in fits], np.float64))
        # Inferred from the boxes, for EFT does not say it: pixels of the image.
        points = [np.array(fit["gt_keypoint_2d"], np.float32).reshape(49, 3) for fit in fits]
        betas = [np.array(fit["parm_shape"], np.float64).reshape(10) for fit in fits]
        names = [part.prefix + fit["imageName"] for fit in fits]
    return rows_of_people(part.images.name, "smpl_49", list(zip(names, boxes, points, poses, betas)))


EFT = RawSet(
    name="eft",
    title="EFT",
    page="https://github.com/facebookresearch/eft (scripts/download_eft.sh)",
    archives=tuple(
        Archive(name, f"fits for {part.images.name}") for part in _PARTS.values() for name in part.files
    ),
    tree=("eft_fit/COCO2014-All-ver01.json", "eft_fit/MPII_ver01.json", "eft_fit/LSPet_train_ver10.json"),
    products=tuple(Product(file, "fits", part.rows, part.images.name) for file, part in _PARTS.items()),
    make=make_eft,
)
