"""Official trees in miniature, made from rendered people in exactly the published formats."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.world import people
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations
from tests.data.raw.python2 import pickled


def world(folder: Path, rows: int, seed: int = 0) -> Annotations:
    """People of the open body with every kind of label, one png a row in `folder`."""
    return people(folder, "world", rows, seed)


def picture(seen: Path, annotations: Annotations, row: int, target: Path) -> None:
    """The picture of a row, by the name of the tree."""
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), cv2.imread(str(seen / str(annotations.image_path[row]))))


def write_coco(raw: Path, seen: Path, truth: Annotations) -> None:
    """One person an image, all keypoints seen but the third person's right ankle (number 16), and one crowd."""
    points = truth.select("coco_17").keypoints2d
    images, persons = [], []
    for row in range(len(truth)):
        name = f"COCO_train2014_{9 + row:012d}.jpg"
        picture(seen, truth, row, raw / "train2014" / name)
        images.append({"id": 9 + row, "file_name": name, "height": 200, "width": 160})
        keypoints = np.column_stack([points[row, :, :2].round(), np.full(17, 2)])
        keypoints[0, 2] = 1  # labelled, not visible
        keypoints[1] = 0  # not labelled
        if row == 2:
            keypoints[16] = 0
        persons.append(
            {
                "id": 1000 - row,
                "image_id": 9 + row,
                "category_id": 1,
                "iscrowd": 0,
                "keypoints": keypoints.ravel().tolist(),
                "num_keypoints": 16,
                "bbox": truth.bbox_xywh[row].tolist(),
            }
        )
    crowd = {"id": 1, "image_id": 9, "category_id": 1, "iscrowd": 1, "num_keypoints": 0}
    persons.insert(1, crowd | {"keypoints": [0] * 51, "bbox": [0, 0, 50, 50]})
    path = raw / "annotations" / "person_keypoints_train2014.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images[::-1], "annotations": persons}))


def write_lsp(raw: Path, seen: Path, truth: Annotations, images: int = 2000) -> np.ndarray:
    """2000 columns of which the truth fills the first; the others repeat it. The second has a joint outside."""
    from scipy.io import savemat

    points = truth.select("lsp_14").keypoints2d[np.arange(images) % len(truth)].astype(np.float64)
    points[:, :, 2] = 0  # 1 where occluded
    points[1, 13, 1] = -0.5
    (raw / "images").mkdir(parents=True)
    for number in range(1, images + 1):
        target = raw / "images" / f"im{number:04d}.jpg"
        if number <= len(truth):
            picture(seen, truth, number - 1, target)
        else:
            target.hardlink_to(raw / "images" / f"im{(number - 1) % len(truth) + 1:04d}.jpg")
    savemat(raw / "joints.mat", {"joints": points.transpose(2, 1, 0)}, do_compression=True)
    return points


def write_lspet(raw: Path, seen: Path, truth: Annotations) -> np.ndarray:
    """Numbers with gaps; the last person touches the right edge, and the first has a joint below the picture."""
    from scipy.io import savemat

    points = truth.select("lsp_14").keypoints2d.astype(np.float64)
    points[-1, 6, 0] = 160
    points[0, 0, 1] = 201
    for row in range(len(truth)):
        picture(seen, truth, row, raw / f"im{3 * row + 1:05d}.png")
    savemat(raw / "joints.mat", {"joints": points.transpose(1, 2, 0)})
    return points


def _struct(*records: dict[str, Any]) -> np.ndarray:
    """A Matlab struct array (1, N), as `savemat` writes them."""
    array = np.empty((1, len(records)), [(name, object) for name in records[0]])
    for i, record in enumerate(records):
        for name, value in record.items():
            array[name][0, i] = value
    return array


def write_mpii_mat(raw: Path, seen: Path, truth: Annotations) -> None:
    """A training image with one person a row, but: row 1 lacks a joint, row 2 has no place, row 3 is for testing,
    row 4 shares the image of row 0."""
    from scipy.io import savemat

    points = truth.select("mpii_16").keypoints2d
    images = []
    for row in range(len(truth) - 1):
        picture(seen, truth, row, raw / "images" / f"{row:09d}.jpg")
        persons = []
        for person in (row, 4) if row == 0 else (row,):
            every = [
                {
                    "x": float(x),
                    "y": float(y),
                    "id": float(joint),
                    "is_visible": np.zeros((0, 0)) if joint else "1",
                }
                for joint, (x, y, _) in enumerate(points[person])
                if not (person == 1 and joint == 9)
            ]
            x, y, side, _ = truth.bbox_xywh[person]
            middle = {"x": float(x + side / 2), "y": float(y + side / 2)}
            empty = np.zeros((0, 0))
            persons.append(
                {
                    "x1": 1.0,
                    "annopoints": _struct({"point": _struct(*every)}),
                    "scale": empty if person == 2 else float(side / 200),
                    "objpos": empty if person == 2 else _struct(middle),
                }
            )
        rect = np.zeros((0, 0)) if row == 3 else _struct(*persons)
        images.append({"image": _struct({"name": f"{row:09d}.jpg"}), "annorect": rect})
    release = {"annolist": _struct(*images), "img_train": np.array([[1] * (len(images) - 1) + [0]], float)}
    savemat(raw / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": _struct(release)})


def write_mpii_h5(raw: Path, seen: Path, truth: Annotations) -> None:
    """A row for each person; the second lacks a joint."""
    import h5py

    points = truth.select("mpii_16").keypoints2d[..., :2].astype(np.int64).astype(np.float64)
    points[1, 9] = 0
    x, y, side, _ = truth.bbox_xywh.T
    for row in range(len(truth)):
        picture(seen, truth, row, raw / "images" / f"{row:09d}.jpg")
    with h5py.File(raw / "train.h5", "w") as file:
        file["imgname"] = np.array([f"{row:09d}.jpg" for row in range(len(truth))], "S16")
        file["part"] = points
        file["center"] = np.stack([x + side / 2, y + side / 2], 1).astype(np.float64)
        file["scale"] = side.astype(np.float64) / 200


def write_up3d(raw: Path, seen: Path, truth: Annotations) -> None:
    """A row for each person, listed from the last; the fit is rendered where its box is."""
    points = truth.select("lsp_14").keypoints2d
    raw.mkdir(parents=True)
    for row in range(len(truth)):
        stem = raw / f"{row:05d}"
        picture(seen, truth, row, Path(f"{stem}_image.png"))
        np.save(f"{stem}_joints.npy", points[row].T.astype(np.float64))
        light = np.full((200, 160, 3), 255, np.uint8)
        light[40:171, 50:101] = (90, 200, 255)
        cv2.imwrite(f"{stem}_render_light.png", light)
        body = {
            "pose": truth.pose[row].astype(np.float64),
            "betas": truth.betas[row].astype(np.float64),
            "trans": np.zeros(3),
            "t": np.ones(3),
            "rt": np.zeros(3),
            "f": 5000.0,
            "j2d": points[row, :, :2].astype(np.float64),
        }
        Path(f"{stem}_body.pkl").write_bytes(pickled(body))
    lines = [f"/{row:05d}_image.png\n" for row in reversed(range(len(truth)))]
    (raw / "trainval.txt").write_text("".join(lines) + "\n")


def write_eft(path: Path, truth: Annotations, names: list[str]) -> np.ndarray:
    """Fits of all people, and their 49 keypoints; of OpenPose's the first is known."""
    import torch

    points = truth.select("smpl_49", strict=False).keypoints2d.astype(np.float64)
    points[:, 0] = (40, 50, 1)
    rotmat = rotmat_from_pose(torch.from_numpy(truth.pose)).numpy()
    x, y, side, _ = truth.bbox_xywh.T.astype(np.float64)
    data = [
        {
            "parm_pose": rotmat[row].tolist(),
            "parm_shape": truth.betas[row].tolist(),
            "parm_cam": [0.9, 0.0, 0.0],
            "bbox_scale": side[row] / 200,
            "bbox_center": [x[row] + side[row] / 2, y[row] + side[row] / 2],
            "gt_keypoint_2d": points[row].tolist(),
            "joint_validity_openpose18": [True] * 18,
            "annotId": [row],
            "imageName": names[row],
        }
        for row in range(len(truth))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"ver": 0.1, "data": data}))
    return points
