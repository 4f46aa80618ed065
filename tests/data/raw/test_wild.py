"""Readers of sets in the wild: what comes out is what was put in, by the rules of each set."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.data.raw.coco import read_coco
from hmrcli.data.raw.eft import read_eft
from hmrcli.data.raw.lsp import read_lsp, read_lspet
from hmrcli.data.raw.mpii import read_mpii
from hmrcli.data.raw.up3d import read_up3d
from hmrcli.data.read import read_annotations
from hmrcli.errors import BadInput, MissingFile
from tests.data.raw import trees


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def truth(seen) -> Annotations:
    return trees.world(seen, 5)


def _expanded(low, high, factor):
    low, high = np.asarray(low, float), np.asarray(high, float)
    middle, size = (low + high) / 2, (high - low) * factor
    return [*(middle - size / 2), *size]


def _rotations(pose):
    return rotmat_from_pose(torch.from_numpy(np.array(pose)))


def test_coco_keeps_whole_bodies_in_the_order_of_the_file(tmp_path, seen, truth):
    trees.write_coco(tmp_path, seen, truth)
    made = read_coco(tmp_path)
    assert made.dropped == {"without all of shoulders to ankles": 2}  # and the crowd
    rows, wanted = made.annotations, [0, 1, 3, 4]
    assert rows.image_path.tolist() == [f"train2014/COCO_train2014_{9 + row:012d}.jpg" for row in wanted]
    np.testing.assert_allclose(rows.bbox_xywh, truth.bbox_xywh[wanted], rtol=1e-6)
    points = truth.select("coco_17").keypoints2d[wanted]
    assert (rows.keypoints2d[:, 0, 2] == 1).all() and not rows.keypoints2d[:, 1].any()
    np.testing.assert_array_equal(rows.keypoints2d[:, 2:, :2], points[:, 2:, :2].round())
    assert not rows.has_smpl.any()


def test_lsp_is_the_first_thousand_without_those_that_leave_the_picture(tmp_path, seen, truth):
    points = trees.write_lsp(tmp_path, seen, truth)
    made = read_lsp(tmp_path)
    assert made.dropped == {"with joints outside of the picture": 1}
    rows = made.annotations
    assert len(rows) == 999 and rows.image_path[[0, 1, -1]].tolist() == [
        "images/im0001.jpg",
        "images/im0003.jpg",
        "images/im1000.jpg",
    ]
    np.testing.assert_allclose(rows.keypoints2d[1, :, :2], points[2, :, :2], atol=1e-4)
    assert (rows.keypoints2d[..., 2] == 1).all()  # hidden ones, too
    box = _expanded(points[2, :, :2].min(0), points[2, :, :2].max(0), 1.2)
    np.testing.assert_allclose(rows.bbox_xywh[1], box, rtol=1e-5)


def test_lspet_takes_columns_in_the_order_of_the_images(tmp_path, seen, truth):
    points = trees.write_lspet(tmp_path, seen, truth)
    made = read_lspet(tmp_path)
    assert made.dropped == {"with joints outside of the picture": 1}
    assert made.annotations.image_path.tolist() == [
        f"im{n:05d}.png" for n in (4, 7, 10, 13)
    ]  # the edge is inside
    np.testing.assert_allclose(made.annotations.keypoints2d[..., :2], points[1:, :, :2], atol=1e-4)
    (tmp_path / "im00007.png").unlink()
    with pytest.raises(BadInput, match="expected 5 images"):
        read_lspet(tmp_path)


def test_the_two_releases_of_lsp_are_told_apart(tmp_path, seen, truth):
    trees.write_lspet(tmp_path, seen, truth)
    with pytest.raises(BadInput, match="field joints: expected 3×14×N, the file has 14×3×5"):
        read_lsp(tmp_path)


def test_mpii_from_the_prepared_file(tmp_path, seen, truth):
    trees.write_mpii_mat(tmp_path, seen, truth)  # is not asked when the other is there
    trees.write_mpii_h5(tmp_path, seen, truth)
    made = read_mpii(tmp_path)
    assert made.dropped == {"without all 16 joints": 1} and made.sources == {"people": "train.h5"}
    wanted = [0, 2, 3, 4]
    assert made.annotations.image_path.tolist() == [f"images/{row:09d}.jpg" for row in wanted]
    points = np.trunc(truth.select("mpii_16").keypoints2d[wanted, :, :2])
    np.testing.assert_array_equal(made.annotations.keypoints2d[..., :2], points)
    np.testing.assert_allclose(made.annotations.bbox_xywh, truth.bbox_xywh[wanted], rtol=1e-4)


def test_mpii_from_the_official_file(tmp_path, seen, truth):
    trees.write_mpii_mat(tmp_path, seen, truth)
    made = read_mpii(tmp_path)
    assert made.dropped == {"without all 16 joints": 1, "without place or joints": 1}
    assert made.annotations.image_path.tolist() == ["images/000000000.jpg"] * 2
    wanted = [0, 4]
    points = np.trunc(truth.select("mpii_16").keypoints2d[wanted, :, :2])
    np.testing.assert_array_equal(made.annotations.keypoints2d[..., :2], points)
    x, y, side, _ = truth.bbox_xywh[wanted].T.astype(float)
    center = np.trunc([x + side / 2, y + side / 2 + 15 * side / 200])
    np.testing.assert_allclose(made.annotations.bbox_xywh[:, 2], 1.25 * side, rtol=1e-5)
    np.testing.assert_allclose(made.annotations.bbox_xywh[:, :2], (center - 1.25 * side / 2).T, rtol=1e-4)


def test_up3d_has_a_row_for_each_line(tmp_path, seen, truth):
    trees.write_up3d(tmp_path / "up-3d", seen, truth)
    rows = read_up3d(tmp_path / "up-3d").annotations
    assert rows.image_path.tolist() == [f"{row:05d}_image.png" for row in (4, 3, 2, 1, 0)]
    np.testing.assert_allclose(rows.bbox_xywh, [_expanded((50, 40), (101, 171), 0.9)] * 5, rtol=1e-6)
    np.testing.assert_allclose(rows.pose, truth.pose[::-1], atol=1e-6)
    np.testing.assert_allclose(rows.betas, truth.betas[::-1], atol=1e-6)
    np.testing.assert_allclose(rows.keypoints2d, truth.select("lsp_14").keypoints2d[::-1], atol=1e-5)
    assert rows.has_smpl.all() and rows.transl is None


@pytest.mark.parametrize(
    "part, file, prefix",
    [
        ("coco_all", "coco_2014_train_fit/COCO2014-All-ver01.json", "train2014/"),
        ("mpii", "MPII_ver01.json", "images/"),
        ("lspet", "LSPet_fit/LSPet_train_ver10.json", ""),
    ],
)
def test_eft_has_all_rows(tmp_path, truth, part, file, prefix):
    names = [f"{row}.jpg" for row in range(5)]
    points = trees.write_eft(tmp_path / file, truth, names)
    made = read_eft(tmp_path, part)
    rows = made.annotations
    assert rows.image_path.tolist() == [prefix + name for name in names]
    assert made.sources == {"file": Path(file).name}
    np.testing.assert_allclose(_rotations(rows.pose), _rotations(truth.pose), atol=1e-5)
    np.testing.assert_allclose(rows.keypoints2d, points, atol=1e-5)
    np.testing.assert_allclose(rows.bbox_xywh, truth.bbox_xywh, rtol=1e-4)


@pytest.mark.parametrize("joints", ["lsp_14", "mpii_16", "coco_17", "smpl_49"])
def test_files_name_the_joints_that_they_have(tmp_path, truth, joints):
    write_human_data(tmp_path / "a.npz", truth.select(joints, strict=False))
    with np.load(tmp_path / "a.npz", allow_pickle=True) as stored:
        assert stored["keypoints2d_mask"].sum() == stored["keypoints2d"].shape[1] == int(joints[-2:])
    again = read_annotations(tmp_path / "a.npz", "smpl_54")
    wanted = truth.select(joints, strict=False).select("smpl_54", strict=False)
    np.testing.assert_allclose(again.keypoints2d, wanted.keypoints2d, atol=1e-4)


@pytest.mark.parametrize(
    "reader, file",
    [
        (read_coco, "annotations/person_keypoints_train2014.json"),
        (read_lsp, "joints.mat"),
        (read_lspet, "joints.mat"),
        (read_mpii, "train.h5"),
        (read_mpii, "mpii_human_pose_v1_u12_1.mat"),
        (read_up3d, "trainval.txt"),
        (lambda raw: read_eft(raw, "coco_all"), "COCO2014-All-ver01.json"),
    ],
)
def test_what_is_missing_or_damaged_is_named(tmp_path, reader, file):
    with pytest.raises(MissingFile, match="is not there"):
        reader(tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x93 no such thing")
    with pytest.raises(BadInput, match=path.name):
        reader(tmp_path)
