"""Reads EFT's fits of SMPL to COCO, MPII and LSPET (github.com/facebookresearch/eft, CC BY-NC 4.0)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hmrcli.body.rotations import pose_from_rotmat
from hmrcli.data.raw.documents import read_json
from hmrcli.data.raw.rows import Made, Rows, square_box
from hmrcli.errors import BadInput, MissingFile


class Part(NamedTuple):
    """A file of fits, and the images that it is about."""

    files: tuple[str, ...]
    """Names below the folder, the first that is there."""
    dataset: str
    """Folder of the images."""
    prefix: str
    """Of the images' names in that folder."""


PARTS = {
    "coco_all": Part(("coco_2014_train_fit/COCO2014-All-ver01.json",), "coco", "train2014/"),
    "coco_part": Part(("coco_2014_train_fit/COCO2014-Part-ver01.json",), "coco", "train2014/"),
    "mpii": Part(("MPII_fit/MPII_ver01.json",), "mpii", "images/"),
    # Which of the two the benchmark's file was made from is unknown; MMHuman3D names the first, which is no
    # longer offered as it is outdated.
    "lspet": Part(("LSPet_fit/LSPet_ver01.json", "LSPet_fit/LSPet_train_ver10.json"), "lspet", ""),
}


def read_eft(raw: Path, part: str) -> Made:
    """Reads all rows of a file, in its order, with the fitted bodies; rotations are in the camera's axes.

    The keypoints are OpenPose's 25 and the data sets' 24, in pixels of the image (which EFT does not state, but
    its boxes show).

    Args:
        raw: folder that EFT's download script fills; files may lie in it or in its folders.
        part: a name in `PARTS`.

    Raises:
        MissingFile, BadInput: the file is not there or not EFT's.
    """
    chosen = PARTS[part]
    every = [raw / place for name in chosen.files for place in (name, Path(name).name)]
    path = next((path for path in every if path.is_file()), None)
    if path is None:
        raise MissingFile(
            f"{every[0]} is not there; EFT's scripts/download_eft.sh brings it, for EFT's licence"
        )
    document = read_json(path)
    rows = Rows(chosen.dataset, "smpl_49")
    try:
        fits = document["data"]
        rotmat = np.array([fit["parm_pose"] for fit in fits], np.float64).reshape(-1, 24, 3, 3)
        for fit, pose in zip(fits, pose_from_rotmat(torch.from_numpy(rotmat)).numpy()):
            rows.add(
                chosen.prefix + fit["imageName"],
                square_box(fit["bbox_center"], float(fit["bbox_scale"])),
                np.array(fit["gt_keypoint_2d"], np.float64).reshape(49, 3),
                pose,
                np.array(fit["parm_shape"], np.float64).reshape(10),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a file of EFT's fits ({type(error).__name__}: {error})") from None
    rows.sources["file"] = path.name
    return rows.made(path)
