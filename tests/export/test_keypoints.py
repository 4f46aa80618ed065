"""OpenPose's and COCO's files, against their published formats and COCO's own reader."""

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hmrcli.export import write_exports
from hmrcli.motion import Motion

from .motions import in_world, moving, only, open_body, posed

BODY_25 = (
    *(
        "Nose",
        "Neck",
        "RShoulder",
        "RElbow",
        "RWrist",
        "LShoulder",
        "LElbow",
        "LWrist",
        "MidHip",
        "RHip",
        "RKnee",
    ),
    *("RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel"),
    *("RBigToe", "RSmallToe", "RHeel"),
)
"""OpenPose's documentation, doc/02_output.md."""
OF_SMPL = {
    **{"Neck": 12, "RShoulder": 17, "RElbow": 19, "RWrist": 21, "LShoulder": 16, "LElbow": 18, "LWrist": 20},
    **{"MidHip": 0, "RHip": 2, "RKnee": 5, "RAnkle": 8, "LHip": 1, "LKnee": 4, "LAnkle": 7},
}
"""Joints that are also SMPL's 24."""
PARTS = [
    f"{part}_keypoints_{space}"
    for part in ("pose", "face", "hand_left", "hand_right")
    for space in ("2d", "3d")
]


def projected(points: np.ndarray) -> np.ndarray:
    """Pixels of points (..., 3) in the camera's space."""
    return 1400 * points[..., :2] / points[..., 2:] + (960, 540)


def documents(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def two() -> list[Motion]:
    """Two people: one in frames 0 to 6, the other in 2, 3 and 5."""
    return [moving(7, track_id=1), only(moving(7, seed=1, track_id=2), [2, 3, 5])]


def test_openpose_has_a_file_for_each_frame_of_the_clip(tmp_path: Path, two: list[Motion]) -> None:
    paths = write_exports(two, tmp_path / "clip", {"openpose"}, frame_count=9)["openpose"]
    assert [path.name for path in paths] == [f"clip_{frame:012d}_keypoints.json" for frame in range(9)]
    found = documents(tmp_path / "clip_openpose")
    assert [[p["person_id"] for p in one["people"]] for one in found] == [
        [[1]], [[1]], [[1], [2]], [[1], [2]], [[1]], [[1], [2]], [[1]], [], [],
    ]  # fmt: skip
    for one in found:
        assert set(one) == {"version", "people"} and one["version"] == 1.3
        for person in one["people"]:
            assert set(person) == {"person_id", *PARTS}
            assert len(person["pose_keypoints_2d"]) == 75 and not person["pose_keypoints_3d"]
            assert all(isinstance(value, float) for value in person["pose_keypoints_2d"])


def test_body_25_is_in_openpose_s_order(tmp_path: Path, two: list[Motion]) -> None:
    write_exports(two, tmp_path / "clip", {"openpose"}, frame_count=7)
    vertices, joints = posed(two[1])
    keypoints = np.reshape(
        documents(tmp_path / "clip_openpose")[3]["people"][1]["pose_keypoints_2d"], (25, 3)
    )
    for name, joint in OF_SMPL.items():
        np.testing.assert_allclose(keypoints[BODY_25.index(name), :2], projected(joints[1, joint]), atol=1e-2)
        assert keypoints[BODY_25.index(name), 2] == pytest.approx(
            two[1].joints_visibility[1, joint], abs=1e-4
        )
    # SMPL's vertices that smplx takes for nose, left ear and right heel
    for name, vertex, joint in (("Nose", 332, 15), ("LEar", 583, 15), ("RHeel", 6787, 8)):
        at = BODY_25.index(name)
        np.testing.assert_allclose(keypoints[at, :2], projected(vertices[1, vertex]), atol=1e-2)
        assert keypoints[at, 2] == pytest.approx(two[1].joints_visibility[1, joint], abs=1e-4)


def test_points_outside_the_picture_or_behind_the_camera_are_zero(tmp_path: Path) -> None:
    motion = only(moving(7), [0])
    aside = replace(motion, transl=np.array([[-2.9, 0, 5]], np.float32))
    behind = replace(motion, transl=np.array([[0, 0, -5]], np.float32), track_id=4)
    write_exports([aside, behind], tmp_path / "photo", {"openpose"})
    first, second = json.loads((tmp_path / "photo_keypoints.json").read_text())["people"]
    keypoints = np.reshape(first["pose_keypoints_2d"], (25, 3))
    seen = keypoints[:, 2] > 0
    assert 0 < seen.sum() < 25 and not keypoints[~seen].any() and (keypoints[seen, 0] >= 0).all()
    assert not any(second["pose_keypoints_2d"])


def test_a_lens_that_distorts_shows_points_elsewhere(tmp_path: Path, two: list[Motion]) -> None:
    """By OpenCV's own projection."""
    lens = (-0.2, 0.05, 0.001, -0.002)
    motion = replace(two[1], camera=replace(two[1].camera, distortion=lens))
    write_exports([motion], tmp_path / "clip", {"openpose"}, frame_count=6)
    matrix = np.array([[1400.0, 0, 960], [0, 1400, 540], [0, 0, 1]])
    joints = posed(motion)[1][1].astype(float)
    expected, _ = cv2.projectPoints(joints, np.zeros(3), np.zeros(3), matrix, np.array(lens))
    (person,) = documents(tmp_path / "clip_openpose")[3]["people"]
    keypoints = np.reshape(person["pose_keypoints_2d"], (25, 3))
    for name, joint in OF_SMPL.items():
        np.testing.assert_allclose(keypoints[BODY_25.index(name), :2], expected[joint, 0], atol=1e-2)


def test_frames_of_an_earlier_longer_clip_are_removed(tmp_path: Path, two: list[Motion]) -> None:
    write_exports(two, tmp_path / "clip", {"openpose"}, frame_count=9)
    write_exports(two, tmp_path / "clip", {"openpose"}, frame_count=7)
    assert len(list((tmp_path / "clip_openpose").iterdir())) == 7


def test_coco_s_own_reader_takes_them_and_finds_the_same_people(tmp_path: Path, two: list[Motion]) -> None:
    path = write_exports(two, tmp_path / "clip", {"coco"}, frame_count=7)["coco"][0]
    truth = []
    for motion in two:
        vertices, joints = posed(motion)
        regressed = open_body().extra_regressor.numpy() @ vertices
        order = [332, 2800, 6260, 583, 4071], [16, 17, 18, 19, 20, 21], [1, 0], [4, 5, 7, 8]
        points = projected(
            np.concatenate(
                [vertices[:, order[0]], joints[:, order[1]], regressed[:, order[2]], joints[:, order[3]]], 1
            )
        )
        for frame, row in zip(motion.frames, points):
            low, high = row.min(0), row.max(0)
            truth.append(
                {
                    "id": len(truth) + 1, "image_id": int(frame), "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
                    "keypoints": np.append(row, np.full((17, 1), 2.0), 1).ravel().tolist(),
                    "bbox": [*low, *(high - low)], "area": float((high - low).prod()),
                }
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        targets = COCO()
        targets.dataset = {
            "info": {}, "images": [{"id": frame} for frame in range(7)], "annotations": truth,
            "categories": [{"id": 1, "name": "person"}],
        }  # fmt: skip
        targets.createIndex()
        scored = COCOeval(targets, targets.loadRes(str(path)), "keypoints")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    assert scored.stats[0] > 0.999  # AP


def test_a_photo_s_image_id_is_the_number_that_it_is_called(tmp_path: Path) -> None:
    motion = only(moving(), [0])
    for name, expected in (("000000397133", 397133), ("me", "me")):
        path = write_exports([motion], tmp_path / name, {"coco"})["coco"][0]
        (one,) = json.loads(path.read_text())
        assert one["image_id"] == expected and len(one["keypoints"]) == 51
        assert set(one) == {"image_id", "category_id", "keypoints", "score", "track_id"}


def test_nobody_makes_empty_files(tmp_path: Path) -> None:
    write_exports([], tmp_path / "empty", {"coco", "openpose", "bvh"})
    assert json.loads((tmp_path / "empty_coco.json").read_text()) == []
    assert json.loads((tmp_path / "empty_keypoints.json").read_text())["people"] == []
    assert len(list(tmp_path.iterdir())) == 2


def test_a_world_has_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="camera's space"):
        write_exports([in_world(moving(2))], tmp_path / "a", {"openpose"}, frame_count=2)


def test_each_person_has_a_file_of_their_own(tmp_path: Path, two: list[Motion]) -> None:
    written = write_exports(
        two, tmp_path / "c", {"mesh", "amass", "bvh", "json"}, frame_count=7, bvh_names="mixamo"
    )
    assert {kind: [path.name for path in paths] for kind, paths in written.items()} == {
        "mesh": ["c_1.glb", "c_2.glb"],
        "amass": ["c_1_amass.npz", "c_2_amass.npz"],
        "bvh": ["c_1_mixamo.bvh", "c_2_mixamo.bvh"],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for paths in written.values() for path in paths
    )
