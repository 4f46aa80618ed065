"""What is wrong in an annotation file is found, and named with its field and row."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.world import FOCAL, HEIGHT, WIDTH
from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.body.joints import COCO_17, SMPL_54
from hmrcli.body.rotations import axis_angle_from_rotmat, rotmat_from_axis_angle
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.check_sets import Report, check_file
from hmrcli.data.human_data import write_human_data
from hmrcli.data.raw.rows import rows_of_people
from hmrcli.people import detect_people
from tests.data.people import rewrite
from tests.data.raw import trees
from tests.data.spin import write_spin

ROWS, LEFT, TOP = 24, 150, 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def right(folder) -> Annotations:
    """Rows with every kind of label and a camera, in pictures that are larger than the people."""
    rows = trees.world(folder, ROWS)
    for name in rows.image_path:
        picture = cv2.imread(str(folder / name))
        picture = cv2.copyMakeBorder(picture, TOP, 50, LEFT, 50, cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / name), picture)
    rows.bbox_xywh[:, :2] += LEFT, TOP
    rows.keypoints2d[..., :2] += LEFT, TOP
    matrix = np.array([[FOCAL, 0, WIDTH / 2 + LEFT], [0, FOCAL, HEIGHT / 2 + TOP], [0, 0, 1]], np.float32)
    pelvis = rows.keypoints3d[:, 0, :3]  # the body's origin is not at its pelvis
    transl = np.array([0, 0, 13], np.float32) - pelvis
    return replace(rows, transl=transl, intrinsics=np.tile(matrix, (ROWS, 1, 1)))


@pytest.fixture(scope="module")
def bodies():
    return {"n": load_body("open")}


@pytest.fixture
def checked(tmp_path, folder, bodies):
    def check(rows: Annotations, write=write_human_data, **options) -> Report:
        path = tmp_path / "rows.npz"
        write(path, rows)
        return check_file(path, folder, bodies, **{"seen_by_network": False} | options)

    return check


def test_right_rows_are_right(checked, right, tmp_path):
    report = checked(right, decode=True, sheet=tmp_path / "sheet.png", published_rows=30)
    assert report.problems == []
    assert (report.rows, report.pictures, report.decoded, report.missing) == (ROWS, ROWS, ROWS, 0)
    assert report.labelled == {"2D keypoints": ROWS, "3D keypoints": ROWS, "bodies": ROWS}
    assert report.notes == ["24 rows; the published file has 30"]
    assert report.projection.camera == "file" and report.projection.target == "keypoints2d"
    assert report.projection.worst_share < 0.001 and report.projection.median_pixels < 0.1
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] > 1000


def test_spins_layout_is_looked_through_as_well(checked, right):
    report = checked(right, write_spin)
    assert report.problems == []
    assert report.projection.camera == "fitted" and report.projection.median_share < 0.02


def test_a_camera_without_keypoints_is_compared_with_boxes(checked, right):
    few = replace(right, keypoints2d=None, keypoints3d=None)
    report = checked(few)
    assert report.problems == [] and report.projection.target == "bbox_xywh"
    assert report.projection.median_share < 0.1
    shifted = replace(few, transl=few.transl + np.float32([0.8, 0, 0]))
    assert [problem.field for problem in checked(shifted).problems] == ["smpl.transl"]


def turned_to_the_world(rows: Annotations) -> Annotations:
    """Roots as the world has them, where each row's camera stands elsewhere."""
    random = np.random.default_rng(0)
    turns = np.stack([np.zeros(ROWS), random.uniform(0.6, 2.6, ROWS), np.zeros(ROWS)], 1)
    turn = rotmat_from_axis_angle(torch.from_numpy(turns))
    pose = rows.pose.copy()
    root = rotmat_from_axis_angle(torch.from_numpy(pose[:, :3]).double())
    pose[:, :3] = axis_angle_from_rotmat(turn @ root).numpy()
    return replace(rows, pose=pose)


def upright_in_the_world(rows: Annotations) -> Annotations:
    """Roots in axes whose y points up, without any other label."""
    pose = rows.pose.copy()
    pose[:, :3] = 0
    return replace(rows, pose=pose, keypoints2d=None, keypoints3d=None, transl=None, intrinsics=None)


def scaled(field: str, factor: float):
    def change(rows: Annotations) -> Annotations:
        values = np.array(getattr(rows, field))
        values[..., : values.shape[-1] - (1 if field.startswith("key") else 0)] *= factor
        return replace(rows, **{field: values.astype(np.float32)})

    return change


def box(change):
    return lambda rows: replace(rows, bbox_xywh=change(rows.bbox_xywh.copy()).astype(np.float32))


WRONG = {
    "millimetres in 3D": (scaled("keypoints3d", 1000), "keypoints3d", "expected metres"),
    "millimetres in transl": (scaled("transl", 1000), "smpl.transl", "expected metres"),
    "degrees": (scaled("pose", 180 / np.pi), "smpl.body_pose", "expected radians"),
    "left and right of 2D": (
        lambda rows: replace(rows, keypoints2d=rows.keypoints2d[:, list(SMPL_54.flip)]),
        "keypoints3d",
        "left and right exchanged",
    ),
    "left and right of 3D": (
        lambda rows: replace(rows, keypoints3d=rows.keypoints3d[:, list(SMPL_54.flip)], keypoints2d=None),
        "smpl",
        "left and right exchanged",
    ),
    "root in the world": (turned_to_the_world, "smpl", "root is in the world's axes"),
    "root in the world, nothing else known": (
        upright_in_the_world,
        "smpl.global_orient",
        "stand on their heads",
    ),
    "middle for corner": (
        box(lambda b: np.concatenate([b[:, :2] + b[:, 2:] / 2, b[:, 2:]], 1)),
        "bbox_xywh",
        "taken as the middle and a size",
    ),
    "two corners": (
        box(lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1)),
        "bbox_xywh",
        "taken as two corners",
    ),
    "boxes elsewhere": (box(lambda b: b + [3000, 0, 0, 0]), "bbox_xywh", "lie outside of their pictures"),
    "another camera": (
        lambda rows: replace(rows, intrinsics=rows.intrinsics * np.float32([[0.5], [0.5], [1]])),
        "smpl.transl",
        "camera in pixels of the picture",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_conventions_are_named(checked, right, name):
    change, field, words = WRONG[name]
    problems = checked(change(right)).problems
    found = [problem for problem in problems if problem.field == field and words in problem.text]
    assert found, problems
    assert 0 <= found[0].row < ROWS and f"row {found[0].row}" in str(found[0])


def test_boxes_of_four_columns_are_noted(tmp_path, checked, right, folder, bodies):
    checked(right)
    path = rewrite(tmp_path / "rows.npz", bbox_xywh=right.bbox_xywh)
    report = check_file(path, folder, bodies, seen_by_network=False)
    assert report.problems == [] and "bbox_xywh has 4 columns" in report.notes[0]
    np.testing.assert_array_equal(read_annotations(path).bbox_xywh, right.bbox_xywh)  # nothing is taken wrong


def test_boxes_whose_columns_are_others_are_wrong(tmp_path, checked, right, folder, bodies):
    checked(right)
    score = np.ones((ROWS, 1), np.float32)
    for boxes, words in (
        (np.concatenate([score, right.bbox_xywh], 1), "boxes lie outside|the middle of the 2D keypoints is"),
        (np.concatenate([right.bbox_xywh, score, score], 1), r"expected shape \(N, 4\) or \(N, 5\)"),
    ):
        path = rewrite(tmp_path / "rows.npz", bbox_xywh=boxes)
        problems = check_file(path, folder, bodies, seen_by_network=False).problems
        assert any(each.field == "bbox_xywh" and re.search(words, each.text) for each in problems), problems


def test_single_rows_are_named(tmp_path, checked, right, folder, bodies):
    def one(field: str, value: float, where) -> Annotations:
        values = np.array(getattr(right, field))
        values[where] = value
        return replace(right, **{field: values})

    # Where pictures are decoded, each row's box and keypoints are held against its own.
    report = checked(one("bbox_xywh", 900, (17, 0)), decode=True)
    assert ("bbox_xywh", 17) in [(problem.field, problem.row) for problem in report.problems]
    report = checked(one("keypoints2d", -50.0, (5, slice(None), slice(0, 2))), decode=True)
    assert ("keypoints2d", 5) in [(problem.field, problem.row) for problem in report.problems]
    report = checked(one("keypoints2d", np.nan, (3, 2, 0)))
    assert [(problem.field, problem.row) for problem in report.problems] == [("keypoints2d", 3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_images_that_are_missing_or_damaged_are_named(tmp_path, folder, right, bodies, workers):
    for row, name in enumerate(right.image_path):
        trees.picture(folder, right, row, tmp_path / "images" / str(name))
    write_human_data(tmp_path / "rows.npz", right)
    (tmp_path / "images" / "007.png").unlink()
    content = (tmp_path / "images" / "009.png").read_bytes()
    (tmp_path / "images" / "009.png").write_bytes(content[: len(content) // 2])
    report = check_file(
        tmp_path / "rows.npz",
        tmp_path / "images",
        bodies,
        decode=True,
        workers=workers,
        seen_by_network=False,
    )
    assert (report.missing, report.decoded) == (1, ROWS - 2)
    assert [problem[:2] for problem in report.problems] == [("image_path", 7), ("image_path", 9)]


def test_sides_of_keypoints_alone_are_compared_with_what_a_network_sees(tmp_path, bodies):
    """On a photo, for the open body has no face: its front and back look alike to the network."""
    photo = cv2.imread(str(bundled("photos/walk.jpg")))
    rows = []
    for width in (900, 700, 560):
        small = cv2.resize(
            photo, (width, width * photo.shape[0] // photo.shape[1]), interpolation=cv2.INTER_AREA
        )
        cv2.imwrite(str(tmp_path / f"{width}.png"), small)
        if width == 900:
            people = detect_people(np.ascontiguousarray(small[..., ::-1]))
        for person in people:
            scale = width / 900
            points = np.column_stack([person.keypoints[:, :2] * scale, np.ones(17)])
            rows.append((f"{width}.png", person.bbox_xywh * scale, points))
    right = rows_of_people("photos", "coco_17", rows)
    swapped = replace(right, keypoints2d=right.keypoints2d[:, list(COCO_17.flip)])
    found = []
    for number, given in enumerate((right, swapped)):
        write_human_data(tmp_path / f"{number}.npz", given)
        found.append(check_file(tmp_path / f"{number}.npz", tmp_path, bodies).problems)
    assert found[0] == []
    assert [problem.field for problem in found[1]] == ["keypoints2d"]
    assert "left and right look exchanged: in 6 of 6 pictures" in found[1][0].text
