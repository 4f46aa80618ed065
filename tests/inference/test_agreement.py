"""What a score says, what is said of joints that nobody sees, and boxes without anybody, on the bundled photo."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch

from hmrcli.assets.bundled import bundled
from hmrcli.body.joints import SMPL_24
from hmrcli.errors import UsageError
from hmrcli.fitting.agreement import joints_visibility
from hmrcli.fitting.fit import Fit
from hmrcli.inference import Predictor, fit
from hmrcli.inference import photo as photos
from hmrcli.inference.images import Picture, read_image
from hmrcli.inference.person import People, camera_pitch
from hmrcli.inference.photo import find_landmarks
from hmrcli.inference.save import document, save_image
from hmrcli.inference.task import Task
from hmrcli.people import Landmarks

WALKER, GRASS = [900.0, 540.0, 240.0, 380.0], [100.0, 100.0, 300.0, 400.0]
JOINT = {name: index for index, name in enumerate(SMPL_24.names)}
LEGS = [JOINT[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle", "foot")]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_image(bundled("photos/walk.jpg"))


@pytest.fixture(scope="module")
def default() -> Predictor:
    return Predictor.from_default()


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([5000, 5000, 100, 100], "outside"),
        ([-300, -300, 200, 200], "outside"),
        ([-1e6, -1e6, 2e6, 2e6], "more than 90%"),
        ([0, 0, 1, 1], "1 x 1 pixels"),
        ([900, 540, 240, 2], "240 x 2 pixels"),
        ([1760, 100, 300, 600], "more than 90%"),
        ([float("nan"), 0, 100, 100], "four numbers"),
        ([100, 100, -50, 100], "above 0"),
        ([100, 100, 50], "four numbers"),
    ],
)
def test_a_box_that_cannot_show_a_person_is_refused(
    default: Predictor, photo: np.ndarray, box: list[float], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        default(photo, [box])
    assert "1768 x 994 pixels" in str(refused.value)


def test_a_box_that_reaches_beyond_the_picture_is_right(default: Predictor, photo: np.ndarray) -> None:
    cut = np.ascontiguousarray(photo[:700])  # at the walker's hips
    assert len(default(cut, [WALKER])) == 1


def test_a_box_without_anybody_gives_a_note_and_no_body(default: Predictor, photo: np.ndarray) -> None:
    people = default(photo, [GRASS, WALKER])
    assert [person.bbox_xywh.tolist() for person in people] == [WALKER]
    assert people.notes == ["nobody was recognised in box 100,100,300,400"]
    alone = default(photo, [GRASS])
    assert alone == [] and len(alone.notes) == 1


def test_a_body_that_agrees_scores_high_and_one_beside_the_person_is_left_out(
    default: Predictor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_landmarks(photo, None, None)
    monkeypatch.setattr(photos, "find_landmarks", lambda *_: found)
    fitted = fit.fit_landmarks

    def shifted(metres: float) -> People:
        def moved(*args: Any, **options: Any) -> Fit:
            fits = fitted(*args, **options)
            return fits._replace(transl=fits.transl + torch.tensor([metres, 0, 0]))

        monkeypatch.setattr(fit, "fit_landmarks", moved)
        return default(photo)

    right, beside = shifted(0.0), shifted(0.05)
    assert all(person.score > 0.8 for person in right)
    assert all(a.score > b.score > fit.CONTRADICTED for a, b in zip(right, beside, strict=True))
    gone = shifted(0.8)
    assert gone == [] and len(gone.notes) == 2 and "no body agrees" in gone.notes[0]


def test_joints_outside_the_picture_are_said_not_to_be_seen(
    default: Predictor, photo: np.ndarray, tmp_path: Path
) -> None:
    half = np.ascontiguousarray(photo[:730])
    whole = default(photo, [WALKER])[0]
    people = default(half, [[900.0, 540.0, 240.0, 190.0]])
    seen = people[0].joints_visibility
    assert seen.shape == (24,) and ((seen >= 0) & (seen <= 1)).all()
    assert (seen[LEGS] < 0.1).all() and seen[JOINT["head"]] > 0.8
    assert (whole.joints_visibility[LEGS] > 0.5).all()
    picture = Picture(half, None, ())
    task = Task(Path("half.jpg"), tmp_path / "half", picture, picture.camera, {})
    entry = save_image(task, people, default, {"npz", "json"})
    assert np.allclose(np.load(entry["people"][0]["vertices"])["joints_visibility"], seen)
    written = json.loads((tmp_path / "half.json").read_text())
    assert written["joint_names"] == list(SMPL_24.names) == document([], default)["joint_names"]
    assert np.allclose(written["images"][0]["people"][0]["joints_visibility"], seen, atol=1e-5)


def test_people_who_stand_tell_how_far_the_camera_looks_down(default: Predictor, photo: np.ndarray) -> None:
    (person,) = default(photo, [WALKER])
    turn = roma.rotvec_to_rotmat(torch.tensor([0.3, 0.0, 0.0])).numpy()  # towards the camera
    tilted = replace(person, joints3d=person.joints3d @ turn.T)
    assert abs(camera_pitch([tilted]) - camera_pitch([person]) - 0.3) < 1e-4
    unseen = replace(tilted, joints_visibility=np.zeros(24, np.float32))
    assert camera_pitch([unseen]) == camera_pitch([]) == 0.0


def test_hidden_legs_go_on_behind_what_hides_them(default: Predictor, photo: np.ndarray) -> None:
    standing = [585.0, 70.0, 130.0, 395.0]
    (whole,) = default(photo, [standing])
    covered = photo.copy()
    covered[270:500, 500:800] = (90, 80, 70)
    (half,) = default(covered, [[585.0, 70.0, 130.0, 200.0]])
    assert (half.joints_visibility[LEGS] < 0.5).all()
    height = [np.ptp(person.joints2d[:, 1]) for person in (whole, half)]
    assert height[1] > 0.75 * height[0]  # squeezed into what is seen, it would be half
    lean = half.joints3d[JOINT["neck"]] - half.joints3d[JOINT["pelvis"]]
    assert abs(lean[2]) < 0.35 * abs(lean[1])


def test_one_person_found_in_two_sizes_is_one(
    default: Predictor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    landmarks, boxes = find_landmarks(photo, np.array([WALKER]), None)
    (nose,) = landmarks.points2d[:, :1]
    smaller = replace(landmarks, points2d=nose + 0.9 * (landmarks.points2d - nose))
    both = {name: np.concatenate([value, getattr(smaller, name)]) for name, value in vars(landmarks).items()}
    found = replace(landmarks, **both), np.concatenate([boxes, boxes])
    monkeypatch.setattr(photos, "find_landmarks", lambda *_: found)
    (kept,) = default(photo)
    assert kept.score > 0.8
    assert len(default(photo, [WALKER, WALKER])) == 2  # the caller tells these apart


@pytest.mark.parametrize("side", [64, 256])
def test_a_leg_that_the_other_half_hides_is_seen_where_the_mask_is(side: int) -> None:
    mask = np.zeros((1, side, side), np.float32)
    mask[:, :, : side // 2] = 1
    landmarks = Landmarks(
        np.zeros((1, 33, 2)), np.full((1, 33), 0.3), np.ones((1, 33)), np.zeros((1, 33, 3)), np.ones(1),
        mask, np.eye(2, 3)[None], np.zeros(1, int),
    )  # fmt: skip
    knees = [JOINT["left_knee"], JOINT["right_knee"]]
    joints = np.full((1, 24, 2), 60.0)
    joints[0, knees] = [[60, 120], [180, 120]]  # on the person, and beside: behind somebody else
    assert joints_visibility(landmarks, joints)[0, knees] == pytest.approx([0.75, 0.3])
    doubtful = replace(landmarks, visibility=np.full((1, 33), 0.1))
    assert joints_visibility(doubtful, joints)[0, knees].max() < 0.5
