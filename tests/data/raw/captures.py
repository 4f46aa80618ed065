"""Official trees of motion capture in miniature, made from the open body in exactly the published formats."""

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import load_body
from hmrcli.body.rotations import axis_angle_from_rotmat, rotmat_from_axis_angle, rotmat_from_pose
from hmrcli.data.raw.human36m_cameras import CAMERAS, SUBJECTS, rotation_of
from tests.data.raw.python2 import pickled

SIDE, FOCAL = 256, 300.0
ANGLES, CENTER = (0.7, -1.1, 2.0), np.array([1.2, -0.8, 1.6])
"""Of the camera, as metadata.xml gives it, and where it stands in the world, metres."""
H36M_32 = (11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27)


class Walk(NamedTuple):
    """A person for some frames; everything in the camera but what is called world."""

    pose: NDArray[np.float32]
    betas: NDArray[np.float32]
    transl: NDArray[np.float32]
    joints: NDArray[np.float32]
    """(F, 24, 3) SMPL's, metres."""
    joints17: NDArray[np.float32]
    """(F, 17, 3) Human3.6M's, metres."""
    points17: NDArray[np.float32]
    """(F, 17, 2) pixels."""
    world_pose: NDArray[np.float32]
    world_trans: NDArray[np.float32]

    @property
    def points(self) -> NDArray[np.float32]:
        return project(self.joints)


INTRINSICS = np.array([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]])
ROTATION = rotation_of(*ANGLES)
SHIFT = -ROTATION @ CENTER


def project(joints: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = joints @ INTRINSICS.T
    return (flat[..., :2] / flat[..., 2:]).astype(np.float32)


def walk(frames: int, seed: int = 0) -> Walk:
    random = np.random.default_rng(seed)
    body = load_body("open")
    pose = 0.2 * random.normal(size=(frames, 72)).astype(np.float32)
    pose[:, :3] = axis_angle_from_rotmat(
        rotmat_from_axis_angle(torch.from_numpy(pose[:, :3]))
        @ rotmat_from_axis_angle(torch.tensor([np.pi, 0, 0]).float())
    ).numpy()
    betas = np.tile(random.normal(size=(1, 10)).astype(np.float32), (frames, 1))
    with torch.no_grad():
        output = body(rotmat_from_pose(torch.from_numpy(pose)), torch.from_numpy(betas))
        joints17 = body.h36m_joints(output.vertices).numpy()
    transl = np.array([0.1, 0.2, 3.5]) + 0.05 * random.normal(size=(frames, 3))
    joints = output.joints.numpy()
    rest = joints[:, 0]
    world_root = ROTATION.T @ rotmat_from_axis_angle(torch.from_numpy(pose[:, :3])).numpy()
    world_pose = pose.copy()
    world_pose[:, :3] = axis_angle_from_rotmat(torch.from_numpy(world_root)).numpy()
    world_trans = (rest + transl - SHIFT) @ ROTATION - rest
    placed, placed17 = joints + transl[:, None], joints17 + transl[:, None]
    return Walk(pose, betas, transl, placed, placed17, project(placed17), world_pose, world_trans)


def write_video(path: Path, frames: int, kind: str) -> None:
    """Frame n is grey of the shade 20 + 9 n, so that a picture says which frame it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), 25, (SIDE, SIDE))
    for number in range(frames):
        writer.write(np.full((SIDE, SIDE, 3), 20 + 9 * number, np.uint8))
    writer.release()


def frame_in(picture: Path) -> int:
    """Which frame of a video a picture is, from 0."""
    return round((float(cv2.imread(str(picture)).mean()) - 20) / 9)


def write_human36m(
    raw: Path, subject: int, sequence: str, camera: int, person: Walk, frames: int | None = None
) -> None:
    """A sequence of one camera; its video has `frames`, by default as many as there are poses."""
    from cdflib.cdfwrite import CDF

    name, folder, count = f"{sequence}.{camera}", raw / f"S{subject}", len(person.pose)
    for where, values in (
        ("D2_Positions", person.points17),
        ("D3_Positions_mono", 1000 * person.joints17),
    ):
        size = values.shape[-1]
        all_joints = np.full((count, 32, size), 7.0)
        all_joints[:, H36M_32] = values
        target = folder / "MyPoseFeatures" / where / f"{name}.cdf"
        target.parent.mkdir(parents=True, exist_ok=True)
        file = CDF(str(target), {"Majority": "row_major"}, delete=True)
        spec = {
            "Variable": "Pose",
            "Data_Type": 45,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": [count, 32 * size],
        }
        file.write_var(spec, var_data=all_joints.reshape(1, count, 32 * size))
        file.close()
    write_masks(folder / "MySegmentsMat" / "ground_truth_bs" / f"{name}.mat", mask_boxes(person))
    write_video(folder / "Videos" / f"{name}.mp4", count if frames is None else frames, "mp4v")


def mask_boxes(person: Walk) -> NDArray[np.int64]:
    """x0, y0, x1, y1 (F, 4) of each frame's mask; the last ones do not belong to it."""
    low, high = person.points17.min(1), person.points17.max(1)
    return np.clip(np.concatenate([low, high], 1).astype(int) + [-5, -5, 6, 6], 0, SIDE)


def write_masks(path: Path, boxes: NDArray[np.int64]) -> None:
    """Masks of rectangles in a Matlab file of version 7.3; of boxes without size they are empty."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        references = file.create_dataset("Masks", (len(boxes), 1), h5py.ref_dtype)
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[y0:y1, x0:x1] = 1
            references[number, 0] = file.create_dataset(f"#refs#/{number}", data=mask.T).ref


def write_metadata(raw: Path) -> None:
    numbers = np.arange(300.0)
    for index in range(len(CAMERAS)):
        for subject in SUBJECTS:
            at = 6 * (11 * index + subject - 1)
            numbers[at : at + 6] = [*ANGLES, *(1000 * CENTER)]
        numbers[264 + 9 * index : 273 + 9 * index] = [FOCAL, FOCAL, SIDE / 2, SIDE / 2, 0, 0, 0, 0, 0]
    words = " ".join(f"{number!r}" for number in numbers.tolist())
    (raw / "metadata.xml").write_text(f"<?xml version='1.0'?><metadata><w0>[{words}]</w0></metadata>")


def write_mosh(raw: Path, subject: int, sequence: str, camera: int, person: Walk) -> None:
    """Every fifth frame; the root is upside down before it is turned."""
    root = rotmat_from_axis_angle(torch.from_numpy(person.pose[::5, :3])).numpy() @ np.diag([1.0, -1, -1])
    poses = person.pose[::5].astype(np.float64)
    poses[:, :3] = axis_angle_from_rotmat(torch.from_numpy(root)).numpy()
    path = raw / "h36m_mosh" / f"S{subject}" / f"{sequence}_cam{CAMERAS.index(camera)}_aligned.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickled({"new_poses": poses, "betas": person.betas[0].astype(np.float64)}))


def write_world_labels(
    raw: Path,
    subject: int,
    people: dict[tuple[int, int], Walk],
    kind: str = "SMPL_NeuralAnnot",
    every: int = 1,
) -> None:
    """Labels in the world by action and subaction."""
    document: dict[str, dict] = {}
    for (action, subaction), person in people.items():
        fits = {}
        for frame in range(0, len(person.pose), every):
            fits[str(frame)] = {
                "pose": person.world_pose[frame].tolist(),
                "shape": person.betas[frame].tolist(),
                "trans": person.world_trans[frame].tolist(),
            }
            if kind == "smpl_param":
                world = (person.joints17[frame] - SHIFT) @ ROTATION
                fits[str(frame)]["fitted_3d_pose"] = (1000 * world).tolist()
        document.setdefault(str(action), {})[str(subaction)] = fits
    (raw / f"Human36M_subject{subject}_{kind}.json").write_text(json.dumps(document))


def write_mpi_inf_3dhp(
    raw: Path, subject: int, sequence: int, people: dict[int, Walk], video_frames: dict[int, int]
) -> None:
    """annot.mat, version 5, with the cameras of `people`, and their videos; the other cells are empty."""
    from scipy.io import savemat

    annot2, annot3 = np.empty((14, 1), object), np.empty((14, 1), object)
    for camera in range(14):
        person = people.get(camera)
        count = 0 if person is None else len(person.pose)
        joints = np.zeros((count, 28, 3)) if person is None else joints28(person)
        annot2[camera, 0] = project(joints).reshape(count, 56) if count else np.zeros((0, 56))
        annot3[camera, 0] = (1000 * joints).reshape(count, 84)
    folder = raw / f"S{subject}" / f"Seq{sequence}"
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "annot.mat", {"annot2": annot2, "annot3": annot3, "univ_annot3": annot3})
    for camera, frames in video_frames.items():
        write_video(folder / "imageSequence" / f"video_{camera}.avi", frames, "MJPG")


NAMES_28 = {
    4: 0,
    18: 1,
    19: 2,
    20: 3,
    23: 4,
    24: 5,
    25: 6,
    3: 7,
    5: 8,
    6: 9,
    7: 10,
    9: 11,
    10: 12,
    11: 13,
    14: 14,
    15: 15,
    16: 16,
}
"""Of MPI-INF-3DHP's 28 joints those that are among Human3.6M's 17: number to row."""


def joints28(person: Walk) -> NDArray[np.float64]:
    """(F, 28, 3) metres; joints that are not among the 17 lie at the pelvis."""
    joints = np.repeat(person.joints17[:, :1], 28, 1).astype(np.float64)
    for number, row in NAMES_28.items():
        joints[:, number] = person.joints17[:, row]
    return joints


def write_mpi_test(raw: Path, number: int, person: Walk, valid: list[int]) -> None:
    """A test sequence: version 7.3 labels of 17 joints, and pictures numbered from 1."""
    import h5py

    order = [10, 8, 14, 15, 16, 11, 12, 13, 4, 5, 6, 1, 2, 3, 0, 7, 9]  # head top first, as the set has them
    joints = person.joints17[:, order]
    folder = raw / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set" / f"TS{number}"
    (folder / "imageSequence").mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "annot_data.mat", "w") as file:
        file["annot2"] = project(joints)[:, None].astype(np.float64)
        file["annot3"] = 1000 * joints[:, None].astype(np.float64)
        file["univ_annot3"] = 1000 * joints[:, None].astype(np.float64)
        file["valid_frame"] = np.array(valid, np.float64)[:, None]
    for row in range(len(valid)):
        picture(folder / "imageSequence" / f"img_{row + 1:06d}.jpg", row)


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((SIDE, SIDE, 3), 20 + 9 * number, np.uint8))


def write_pw3d(
    raw: Path, split: str, name: str, people: list[Walk], valid: list[list[int]], genders: list[str]
) -> None:
    """A sequence of 3DPW with its pictures; the second person's 2D joints of frame 2 are missing."""
    count = len(people[0].pose)
    camera = np.eye(4)
    camera[:3, :3], camera[:3, 3] = ROTATION, SHIFT
    points = []
    for number, person in enumerate(people):
        seen = np.concatenate([person.points[:, :18], np.full((count, 18, 1), 0.9)], 2)
        seen[:, 17] = 0  # not found
        if number == 1:
            seen[2] = 0
        points.append(seen.transpose(0, 2, 1))
    sequence = {
        "sequence": name,
        "poses": [person.world_pose.astype(np.float64) for person in people],
        "betas": [np.concatenate([person.betas[0], np.ones(290)]) for person in people],
        "trans": [person.world_trans.astype(np.float64) for person in people],
        "poses2d": points,
        "jointPositions": [((person.joints - SHIFT) @ ROTATION).reshape(count, 72) for person in people],
        "cam_poses": np.tile(camera, (count, 1, 1)),
        "cam_intrinsics": INTRINSICS,
        "campose_valid": [np.array(flags) for flags in valid],
        "genders": genders,
        "img_frame_ids": 2 * np.arange(count),
        "poses_60Hz": [np.zeros((2 * count, 72)) for _ in people],
    }
    path = raw / "sequenceFiles" / split / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickled(sequence))
    for row in range(count):
        picture(raw / "imageFiles" / name / f"image_{row:05d}.jpg", row)


def write_muco(raw: Path, person: Walk) -> None:
    """A frame a picture, listed backwards; the fit of 0 is not finite, the pelvis of 1 hidden, 2 has no fit."""
    count = len(person.pose)
    order = [10, 8, 14, 15, 16, 11, 12, 13, 4, 5, 6, 1, 2, 3, 0, 7, 9]
    images, annotations, fits = [], [], {}
    for row in range(count):
        name = f"augmented_set/{row // 2}/{row:06d}.jpg"
        picture(raw / name, row)
        images.append(
            {
                "id": 70 + row,
                "file_name": name,
                "width": SIDE,
                "height": SIDE,
                "f": [FOCAL, FOCAL],
                "c": [SIDE / 2, SIDE / 2],
                "R": np.eye(3).tolist(),
                "T": [0, 0, 0],
            }
        )
        points = np.concatenate([person.points17[row, order], person.points17[row, [13, 16, 3, 6]]])
        low, high = points.min(0), points.max(0)
        annotations.append(
            {
                "id": 500 + row,
                "image_id": 70 + row,
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "keypoints_img": points.tolist(),
                "keypoints_cam": np.zeros((21, 3)).tolist(),
                "keypoints_vis": [int(not (row == 1 and joint == 14)) for joint in range(21)],
            }
        )
        pose = person.pose[row].astype(float).tolist()
        fit = {"pose": pose, "shape": person.betas[row].tolist(), "trans": person.transl[row].tolist()}
        if row == 0:
            fit["pose"] = [float("nan"), *pose[1:]]
        if row != 2:
            fits[str(500 + row)] = fit
    (raw / "MuCo-3DHP.json").write_text(json.dumps({"images": images[::-1], "annotations": annotations}))
    (raw / "smpl_param.json").write_text(json.dumps(fits))


def write_cmu(raw: Path, sequences: dict[str, Walk]) -> None:
    for name, person in sequences.items():
        path = raw / "neutrSMPL_CMU" / f"{name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "poses" if name.endswith("1") else "new_poses"
        path.write_bytes(
            pickled({key: person.pose.astype(np.float64), "betas": person.betas[0].astype(np.float64)})
        )
