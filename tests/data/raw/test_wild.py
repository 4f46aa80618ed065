"""Readers of sets in the wild: what comes out is what was put in, by the rules of each set."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.data.raw.output import Output, facts_of
from hmrcli.data.raw.sets import find_set
from hmrcli.data.raw.tree import Tree
from hmrcli.errors import BadInput, MissingFile
from tests.data.raw import trees


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def truth(seen) -> Annotations:
    return trees.world(seen, 5)


JOINTS = {
    "coco": "coco_17",
    "lsp": "lsp_14",
    "lspet": "lsp_14",
    "mpii": "mpii_16",
    "up-3d": "lsp_14",
    "eft": "smpl_49",
}


class Made:
    """A set that was made of `raw` below a data root."""

    def __init__(self, name: str, raw: Path, root: Path):
        raw_set = find_set(name)
        self.root, self.joints = root, JOINTS[name]
        self.out = Output(raw_set, root)
        raw_set.make(Tree(raw_set, raw, self.out.images), self.out)

    def read(self, file: str) -> Annotations:
        return read_annotations(self.root / "preprocessed_datasets" / file, self.joints)

    def facts(self, file: str) -> dict:
        return facts_of(self.root / "preprocessed_datasets" / file)


@pytest.fixture
def make(tmp_path):
    return lambda name, raw=tmp_path / "raw": Made(name, raw, tmp_path / "root")


@pytest.fixture
def raw(tmp_path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def _expanded(low, high, factor):
    low, high = np.asarray(low, float), np.asarray(high, float)
    middle, size = (low + high) / 2, (high - low) * factor
    return [*(middle - size / 2), *size]


def _rotations(pose):
    return rotmat_from_pose(torch.from_numpy(np.array(pose)))


def test_coco_keeps_whole_bodies_in_the_order_of_the_file(make, raw, seen, truth):
    trees.write_coco(raw, seen, truth)
    made = make("coco")
    assert made.out.dropped == {"without all of shoulders to ankles": 2}  # and the crowd
    rows, wanted = made.read("coco_2014_train.npz"), [0, 1, 3, 4]
    assert rows.image_path.tolist() == [f"train2014/COCO_train2014_{9 + row:012d}.jpg" for row in wanted]
    np.testing.assert_allclose(rows.bbox_xywh, truth.bbox_xywh[wanted], rtol=1e-6)
    points = truth.select("coco_17").keypoints2d[wanted]
    assert (rows.keypoints2d[:, 0, 2] == 1).all() and not rows.keypoints2d[:, 1].any()
    np.testing.assert_array_equal(rows.keypoints2d[:, 2:, :2], points[:, 2:, :2].round())
    assert not rows.has_smpl.any() and made.out.made[0].missing_images == 0
    spin = made.read("spin_coco_2014_train.npz")
    x, _, width, height = truth.bbox_xywh[wanted].T
    side = 1.2 * np.maximum(width, height)
    np.testing.assert_allclose(spin.bbox_xywh[:, 2:], np.stack([side, side], 1), rtol=1e-5)
    np.testing.assert_allclose(spin.bbox_xywh[:, 0] + side / 2, x + width / 2, atol=1e-3)
    np.testing.assert_array_equal(spin.keypoints2d, rows.keypoints2d)


def test_lsp_is_the_first_thousand_without_those_that_leave_the_picture(make, raw, seen, truth):
    points = trees.write_lsp(raw, seen, truth)
    made = make("lsp")
    assert made.out.dropped == {"with joints outside of the picture": 1}
    rows = made.read("lsp_train.npz")
    assert len(rows) == 999 and rows.image_path[[0, 1, -1]].tolist() == [
        "images/im0001.jpg",
        "images/im0003.jpg",
        "images/im1000.jpg",
    ]
    np.testing.assert_allclose(rows.keypoints2d[1, :, :2], points[2, :, :2], atol=1e-4)
    assert (rows.keypoints2d[..., 2] == 1).all()  # hidden ones, too
    box = _expanded(points[2, :, :2].min(0), points[2, :, :2].max(0), 1.2)
    np.testing.assert_allclose(rows.bbox_xywh[1], box, rtol=1e-5)
    spin = made.read("spin_lsp_train.npz")
    assert len(spin) == 1000 and (spin.bbox_xywh[:, 2] == spin.bbox_xywh[:, 3]).all()
    assert (made.root / "datasets/lsp/images/im0001.jpg").is_file()


def test_lspet_takes_columns_in_the_order_of_the_images(make, raw, seen, truth):
    points = trees.write_lspet(raw, seen, truth)
    made = make("lspet")
    assert made.out.dropped == {"with joints outside of the picture": 1}
    rows = made.read("lspet_train.npz")
    assert rows.image_path.tolist() == [f"im{n:05d}.png" for n in (4, 7, 10, 13)]  # the edge is inside
    np.testing.assert_allclose(rows.keypoints2d[..., :2], points[1:, :, :2], atol=1e-4)
    assert len(made.read("spin_lspet_train.npz")) == 5
    (raw / "im00007.png").unlink()
    with pytest.raises(BadInput, match="expected 5 pictures"):
        Made("lspet", raw, raw.parent / "another")


def test_the_two_releases_of_lsp_are_told_apart(make, raw, seen, truth):
    trees.write_lspet(raw, seen, truth)
    with pytest.raises(BadInput, match="field joints: expected 3×14×2000, the file has 14×3×5"):
        make("lsp")


def test_mpii_from_the_prepared_file(make, raw, seen, truth):
    trees.write_mpii_mat(raw, seen, truth)  # is not asked when the other is there
    trees.write_mpii_h5(raw, seen, truth)
    made = make("mpii")
    assert made.out.dropped == {"without all 16 joints": 1}
    assert made.facts("mpii_train.npz")["people"] == "train.h5"
    rows, wanted = made.read("mpii_train.npz"), [0, 2, 3, 4]
    assert rows.image_path.tolist() == [f"images/{row:09d}.jpg" for row in wanted]
    points = np.trunc(truth.select("mpii_16").keypoints2d[wanted, :, :2])
    np.testing.assert_array_equal(rows.keypoints2d[..., :2], points)
    np.testing.assert_allclose(rows.bbox_xywh, truth.bbox_xywh[wanted], rtol=1e-4)


def test_mpii_from_the_official_file(make, raw, seen, truth):
    trees.write_mpii_mat(raw, seen, truth)
    made = make("mpii")
    assert made.out.dropped == {"without all 16 joints": 1, "without place or joints": 1}
    assert "sets apart for tests" in made.out.notes[0]
    rows = made.read("mpii_train.npz")
    assert rows.image_path.tolist() == ["images/000000000.jpg"] * 2
    wanted = [0, 4]
    points = np.trunc(truth.select("mpii_16").keypoints2d[wanted, :, :2])
    np.testing.assert_array_equal(rows.keypoints2d[..., :2], points)
    x, y, side, _ = truth.bbox_xywh[wanted].T.astype(float)
    center = np.trunc([x + side / 2, y + side / 2 + 15 * side / 200])
    np.testing.assert_allclose(rows.bbox_xywh[:, 2], 1.25 * side, rtol=1e-5)
    np.testing.assert_allclose(rows.bbox_xywh[:, :2], (center - 1.25 * side / 2).T, rtol=1e-4)


def test_up3d_has_a_row_for_each_line(make, raw, seen, truth):
    trees.write_up3d(raw / "up-3d", seen, truth)
    rows = make("up-3d").read("up3d_trainval.npz")
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
def test_eft_has_all_rows(make, raw, truth, part, file, prefix):
    names = [f"{row}.jpg" for row in range(5)]
    points = trees.write_eft(raw / file, truth, names)
    made = make("eft")
    rows = made.read(f"eft_{part}.npz")
    assert rows.image_path.tolist() == [prefix + name for name in names]
    assert made.facts(f"eft_{part}.npz")["source"] == Path(file).name and len(made.out.notes) == 3
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
    "name, file",
    [
        ("coco", "annotations/person_keypoints_train2014.json"),
        ("lsp", "joints.mat"),
        ("lspet", "joints.mat"),
        ("mpii", "train.h5"),
        ("mpii", "mpii_human_pose_v1_u12_1.mat"),
        ("up-3d", "trainval.txt"),
        ("eft", "COCO2014-All-ver01.json"),
    ],
)
def test_what_is_missing_or_damaged_is_named(make, raw, name, file):
    with pytest.raises(MissingFile, match=f"run: hmr data make {name} --raw"):
        make(name)
    path = raw / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x93 no such thing")
    with pytest.raises(BadInput, match=path.name):
        make(name)


def test_pictures_that_tell_whether_a_row_is_used_have_to_be_there(make, raw, seen, truth):
    trees.write_lsp(raw, seen, truth)
    (raw / "images/im0500.jpg").unlink()
    with pytest.raises(MissingFile, match=r"no picture images/im0500.jpg"):
        make("lsp")
