"""What is said of a training set, and what is refused, before the first step."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.joints import JOINT_SETS
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.data.sets import load_sets
from hmrcli.errors import BadInput
from tests.data.image_sets import recipe
from tests.data.people import rewrite
from tests.data.spin import write_spin

ROWS, SIDE, FOCAL = 24, 200, 1000.0


@pytest.fixture(scope="module")
def people() -> Annotations:
    """People in all poses and directions before a camera, with every kind of label."""
    random = np.random.default_rng(0)
    body = load_body("open")
    pose = 0.25 * random.normal(size=(ROWS, 72)).astype(np.float32)
    pose[:, :3] = [np.pi, 0, 0]
    pose[::2, :3] = [0, 0, np.pi]  # seen from behind
    betas = random.normal(size=(ROWS, 10)).astype(np.float32)
    with torch.no_grad():
        output = body(rotmat_from_pose(torch.from_numpy(pose)), torch.from_numpy(betas))
        joints = body.smpl_54_joints(output).numpy()
    joints = joints - joints[:, :1]
    pixels = FOCAL * joints[..., :2] / (joints[..., 2:] + 13) + random.uniform(90, 110, (ROWS, 1, 2))
    low, high = pixels.min(1), pixels.max(1)
    ones = np.ones((ROWS, 54, 1))
    return Annotations(
        dataset="h36m",
        joints="smpl_54",
        image_path=np.array([f"{row % 3}.png" for row in range(ROWS)]),
        bbox_xywh=np.concatenate([low - 10, high - low + 20], 1).astype(np.float32),
        keypoints2d=np.concatenate([pixels, ones], 2).astype(np.float32),
        keypoints3d=np.concatenate([joints, ones], 2).astype(np.float32),
        pose=pose,
        betas=betas,
        has_smpl=np.ones(ROWS, bool),
        gender=np.full(ROWS, "n"),
        transl=np.full((ROWS, 3), 5, np.float32),
    )


cached_recipe = cache(recipe)
Write = Callable[[Path, Annotations], None]


def said(root: Path, people: Annotations, name: str = "hmr_l1_coco_aug", write: Write = write_human_data):
    """What is said when a recipe opens these people as its set h36m."""
    resolved = cached_recipe(name)
    path = root / "preprocessed_datasets" / resolved.data.mixture["h36m"].annotations
    path.parent.mkdir(exist_ok=True)
    write(path, people)
    folder = root / "datasets" / "h36m"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
    left = [name for name in resolved.data.mixture if name != "h36m"]
    notes: list[str] = []
    load_sets(resolved, root, left, notes.append)
    return notes


def changed(people: Annotations, field: str, change: Callable[[np.ndarray], object]) -> Annotations:
    values = getattr(people, field).copy()
    change(values)
    return replace(people, **{field: values})


RECIPES = ["hmr_l1_coco_aug", "graphcmr_l1", "pare_l1_coco", "graphormer_l1_coco"]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [*((name, "all") for name in RECIPES), *((RECIPES[0], kinds) for kinds in ("2D", "2D and bodies", "3D"))],
)
def test_labels_that_agree_are_counted_and_nothing_else_is_said(tmp_path, people, name, kinds):
    has_2d, has_3d, known = kinds != "3D", kinds in ("all", "3D"), kinds in ("all", "2D and bodies")
    given = replace(
        people,
        keypoints2d=people.keypoints2d if has_2d else None,
        keypoints3d=people.keypoints3d if has_3d else None,
        has_smpl=people.has_smpl & known,
    )
    counts = [
        f"{ROWS * has} with {kind}" for has, kind in ((has_2d, "2D keypoints"), (has_3d, "3D keypoints"))
    ]
    assert said(tmp_path, given, name) == [
        f"training set h36m: {ROWS} rows, {', '.join(counts)}, {ROWS * known} with bodies"
    ]


def test_spins_layout_and_people_who_are_cut_are_nothing_to_speak_of(tmp_path, people):
    hidden = changed(people, "keypoints2d", lambda values: values[:, [7, 8, 10, 11, 20, 21], 2].fill(0))
    hidden.keypoints2d[:, [4, 5, 7, 8], 2] = 0
    assert len(said(tmp_path, hidden, write=write_spin)) == 1


def test_keypoints_without_confidence_count_as_none(tmp_path, people):
    given = changed(people, "keypoints2d", lambda values: values[..., 2].fill(0))
    assert "0 with 2D keypoints, 24 with 3D" in said(tmp_path, given)[0]
    given = replace(given, keypoints3d=None, has_smpl=~people.has_smpl)
    with pytest.raises(BadInput, match=r"no row has labels that hmr_l1_coco_aug learns from.*--without h36m"):
        said(tmp_path, given)


SPIN_BOXES = {"center": np.full((4, 2), 100.0), "scale": np.full((4, 2), 0.5)}
UNKNOWN = {
    "bedlam": (
        {
            **SPIN_BOXES,
            "pose_cam": np.zeros((4, 165)),
            "shape": np.zeros((4, 11)),
            "gtkps": np.zeros((4, 137, 3)),
        },
        r"has gtkps, pose_cam, shape, which are not read; expected .*S for 3D.*pose and shape for bodies",
    ),
    "4d-humans": (
        {**SPIN_BOXES, "body_keypoints_2d": np.zeros((4, 25, 3)), "extra_keypoints_2d": np.zeros((4, 19, 3))},
        r"has body_keypoints_2d, extra_keypoints_2d, which are not read; expected",
    ),
    "suffixed": (
        {"bbox_xywh": np.ones((4, 5)), "keypoints2d_original": np.zeros((4, 190, 3)), "smplx": np.zeros(4)},
        r"has keypoints2d_original, smplx, which are not read; expected .*smpl for bodies",
    ),
}


@pytest.mark.parametrize("layout", UNKNOWN)
def test_a_layout_without_known_labels_is_refused_and_its_own_are_named(tmp_path, people, layout):
    fields, message = UNKNOWN[layout]
    names = {"suffixed": "image_path"}.get(layout, "imgname")
    with pytest.raises(BadInput, match=message):
        said(
            tmp_path,
            people,
            write=lambda path, _: np.savez(path, **{names: np.array(["0.png"] * 4)}, **fields),
        )


def test_a_kind_that_is_there_under_another_name_is_said(tmp_path, people):
    def write(path: Path, given: Annotations) -> None:
        write_human_data(path, given)
        rewrite(path, drop=["smpl"], smplx=np.zeros(ROWS))

    count, unread = said(tmp_path, people, write=write)
    assert count.endswith("0 with bodies")
    assert unread.endswith("h36m_mosh_train.npz has smplx, which are not read; expected smpl for bodies")


def times(factor: float | np.ndarray) -> Callable[[np.ndarray], object]:
    def change(values: np.ndarray) -> None:
        size = min(values.shape[-1], len(factor)) if isinstance(factor, np.ndarray) else values.shape[-1] - 1
        values[..., :size] *= factor

    return change


IMPOSSIBLE = {
    "millimetres": (
        "keypoints3d",
        times(1000.0),
        r"3D keypoints: expected metres, but a person measures 2\d{3}",
    ),
    "centimetres": ("keypoints3d", times(100.0), "3D keypoints: expected metres"),
    "metres twice": ("keypoints3d", times(0.001), "3D keypoints: expected metres"),
    "shapes": ("betas", lambda values: values.__imul__(1000), "bodies: expected SMPL's shape numbers"),
    "degrees": ("pose", lambda values: values.__imul__(180 / np.pi), "bodies: expected radians"),
    "shares of the picture": ("keypoints2d", times(1 / SIDE), "2D keypoints: expected pixels"),
    "small boxes": ("bbox_xywh", lambda values: values.__imul__(1 / SIDE), "boxes: expected pixels"),
    "boxes elsewhere": (
        "bbox_xywh",
        lambda values: values[:, 0].__iadd__(500),
        r"boxes: 24 of 24 that were looked at lie outside of their pictures, first row 0: .* picture of 200×200",
    ),
}


@pytest.mark.parametrize("mistake", IMPOSSIBLE)
def test_units_and_places_that_cannot_be_are_refused(tmp_path, people, mistake):
    field, change, message = IMPOSSIBLE[mistake]
    with pytest.raises(BadInput, match=message):
        said(tmp_path, changed(people, field, change))


def corners(values: np.ndarray) -> None:
    values[:, 2:] += values[:, :2]


def middles(values: np.ndarray) -> None:
    values[:, :2] += values[:, 2:] / 2


def z_up(values: np.ndarray) -> None:
    values[..., 1:3] = values[..., [2, 1]] * [1, -1]


def turned(values: np.ndarray) -> None:
    """As in the axes of a room, 50 degrees about the vertical from the camera's."""
    cos, sin = np.cos(0.9), np.sin(0.9)
    values[..., :3] = values[..., :3] @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def exchanged(values: np.ndarray) -> None:
    values[:] = values[:, list(JOINT_SETS["smpl_54"].flip)]


DOUBTFUL = {
    "upside down": ("keypoints3d", times(np.array([1, -1, -1])), "3D keypoints look upside down"),
    "mirrored": ("keypoints3d", times(np.array([-1, 1, 1])), "3D keypoints look mirrored"),
    "z up": ("keypoints3d", z_up, "3D keypoints look in axes with z upwards"),
    "sides": ("keypoints2d", exchanged, "3D keypoints look with left and right exchanged"),
    "root": ("pose", lambda values: values[:, :3].fill(0), "bodies look upside down"),
    "no pose": ("pose", lambda values: values.fill(0), "24 of 24 bodies have a pose of zeros"),
    "corners": ("bbox_xywh", corners, "taken as two corners"),
    "middles": ("bbox_xywh", middles, "taken as the middle and a size"),
    "far": ("transl", lambda values: values.__imul__(1000), r"bodies are 8660 m away"),
    "other size": ("keypoints2d", times(3.0), "2D keypoints lie outside of the picture"),
    "order": (
        "keypoints3d",
        lambda values: values.__setitem__(..., values[:, ::-1].copy()),
        "3D keypoints agree with",
    ),
    "some rows in millimetres": (
        "keypoints3d",
        lambda values: values[:8].__imul__(1000),
        "metres, .* in 8 of 24 rows",
    ),
    "visibility": ("keypoints2d", lambda values: values[..., 2].fill(2), "confidence of 2D keypoints is 2"),
    "room": ("keypoints3d", turned, "bodies look turned by 5[012] degrees"),
    "sideways": (
        "keypoints2d",
        lambda values: values.__setitem__((..., slice(2)), values[..., 1::-1] * [1, -1]),
        "3D keypoints look turned by 90 degrees",
    ),
    "other people's": (
        "pose",
        lambda values: values.__setitem__(..., np.roll(values, 2, 0)),
        "with those of other rows as well",
    ),
    "one row in millimetres": (
        "keypoints3d",
        lambda values: values[0].__imul__(1000),
        "metres, .* in 1 of 24 rows",
    ),
    "feet": ("keypoints3d", times(3.3), "people measure"),
}


@pytest.mark.parametrize("mistake", DOUBTFUL)
def test_labels_that_contradict_each_other_are_said(tmp_path, people, mistake):
    field, change, message = DOUBTFUL[mistake]
    notes = said(tmp_path, changed(people, field, change))
    pattern = re.compile(f"training set h36m: .*{message}")
    assert any(pattern.search(note) for note in notes[1:]), notes
    assert all("24 rows that were looked at" in note for note in notes[1:])
