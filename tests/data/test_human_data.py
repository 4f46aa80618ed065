import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmrcli.body.joints import JOINT_SETS
from hmrcli.data import annotation_npz
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import BadInput
from tests.data.people import assert_same, people, rewrite


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walks.npz"
    write_human_data(path, people())
    return path


@given(st.integers(1, 5), st.sampled_from([*JOINT_SETS]), st.booleans(), st.booleans(), st.integers(0, 9))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path, count, joints, compressed, with_3d, seed):
    without = {} if with_3d else {"keypoints3d": None, "transl": None}
    written = people(count, joints, seed, **without)
    path = tmp_path / "walks.npz"
    write_human_data(path, written, compressed)
    assert_same(read_annotations(path, joints), written)


def test_joints_that_the_file_lacks_are_zeros(tmp_path):
    path, written = tmp_path / "walks.npz", people(4, "h36m")
    for compressed in (True, False):
        write_human_data(path, written, compressed)
        everything = read_annotations(path)
        assert_same(everything.select("h36m"), written)
        others = np.setdiff1d(np.arange(190), JOINT_SETS["h36m"].human_data)
        assert not everything.keypoints2d[:, others].any() and not everything.keypoints3d[:, others].any()
        assert_same(read_annotations(path, "smpl_54"), everything.select("smpl_54"))


def test_columns_outside_the_mask_are_not_taken(file):
    mask = np.zeros(190, np.uint8)
    mask[[4, 145]] = 1
    write_human_data(file, people(), compressed=False)
    read = read_annotations(rewrite(file, keypoints2d_mask=mask))
    assert read.keypoints2d[:, [4, 145]].any() and not read.keypoints2d[:, mask == 0].any()


def test_files_as_mmhuman3d_writes_them(tmp_path):
    """Older names, float64, five columns, lists, a body in arrays of further axes, no flags: all as published."""
    count = 6
    rng = np.random.default_rng(1)
    kept = np.sort(rng.choice(190, 40, replace=False))
    mask = np.isin(np.arange(190), kept).astype(np.int64)
    keypoints = rng.uniform(size=(count, 40, 3))
    smpl = {
        "body_pose": rng.normal(size=(count, 23, 3)),
        "global_orient": rng.normal(size=(count, 3)),
        "betas": rng.normal(size=(count, 10)),
    }
    boxes = rng.uniform(1, 9, (count, 5))
    path = tmp_path / "pw3d_test.npz"
    fields = {
        "__key_strict__": False,
        "__temporal_len__": count,
        "__keypoints_compressed__": True,
        "image_path": [f"imageFiles/{i}.jpg" for i in range(count)],
        "bbox_xywh": boxes,
        "keypoints2d": keypoints,
        "keypoints2d_mask": mask,
        "smpl": smpl,
        "meta": {"gender": np.array(["m", "f"] * 3)},
        "cam_param": [{"in_mat": np.diag([900.0, 901, 1])} for _ in range(count)],
        "config": "3dpw",
    }
    np.savez_compressed(path, **fields)
    read = read_annotations(path, dataset="pw3d", cameras=True)
    np.testing.assert_array_equal(read.keypoints2d[:, kept], keypoints.astype(np.float32))
    assert not read.keypoints2d[:, mask == 0].any() and read.keypoints3d is None and read.transl is None
    np.testing.assert_array_equal(read.pose[:, :3], smpl["global_orient"].astype(np.float32))
    np.testing.assert_array_equal(read.pose[:, 3:], smpl["body_pose"].reshape(count, 69).astype(np.float32))
    np.testing.assert_array_equal(read.bbox_xywh, boxes[:, :4].astype(np.float32))
    assert read.has_smpl.all() and read.gender.tolist() == ["m", "f"] * 3 and read.dataset == "pw3d"
    np.testing.assert_array_equal(read.intrinsics, np.tile(np.diag([900.0, 901, 1]), (count, 1, 1)))
    assert read_annotations(path).intrinsics is None

    four = read_annotations(rewrite(path, bbox_xywh=boxes[:, :4]), dataset="pw3d")
    assert_same(four, read, "intrinsics")
    bare = read_annotations(rewrite(path, drop=("smpl", "meta", "keypoints2d", "cam_param")), cameras=True)
    assert not bare.has_smpl.any() and not bare.pose.any() and bare.keypoints2d is None
    assert set(bare.gender) == {"n"} and bare.intrinsics is None


GENDERS = ["m", "f", "n", "m", "f", "n", "m"]
WORDS = ["m", "Female", None, "male ", "F", "neutral", b"m"]


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    "fields",
    [
        {"meta": objects([{"gender": word} for word in WORDS])},
        {"meta": objects([{"genders": [word]} for word in WORDS])},
        {"meta": objects([{"gender": word} if word else {"age": 3} for word in WORDS])},
        {"meta": objects([{"gender": np.array(WORDS, object)}])},
        {"meta": np.array({"genders": WORDS}, object)},
        {"meta": np.array({"gender": np.array([*"mfxmf?m"], "S")}, object)},
        {
            "meta": np.array({"gender": None}, object),
            "gender": np.array(["M", "f", "", "m", "f", "child", "m"]),
        },
        {"meta": np.array([[1.0, 2.0]]), "genders": np.array(WORDS, object)},
    ],
)
def test_genders_are_read_however_they_are_stored(file, fields):
    assert read_annotations(rewrite(file, **fields)).gender.tolist() == GENDERS


def test_one_gender_is_that_of_all_rows_and_numbers_are_none(file):
    for meta, letter in ({"gender": "male"}, "m"), ({"gender": np.arange(7) % 2}, "n"), ([1, 2, 3], "n"):
        value = np.array(meta, object)
        assert read_annotations(rewrite(file, meta=value)).gender.tolist() == [letter] * 7
    with pytest.raises(BadInput, match=r"walks\.npz: field meta: expected 7 rows as in image_path, .* has 3"):
        read_annotations(rewrite(file, meta=np.array({"gender": ["m", "f", "m"]}, object)))


def test_mmhuman3d_reads_what_is_written(tmp_path):
    """Its loader takes every field, single values by `item()`, and expands keypoints by their mask."""
    path, written = (
        tmp_path / "walks.npz",
        people(5, "smpl_54", intrinsics=np.tile(np.eye(3, dtype="f4"), (5, 1, 1))),
    )
    write_human_data(path, written)
    with np.load(path, allow_pickle=True) as stored:
        fields = {
            name: stored[name].item() if stored[name].shape == () else stored[name] for name in stored.files
        }
    assert fields["__keypoints_compressed__"] is True and fields["__data_len__"] == 5
    assert fields["bbox_xywh"].shape == (5, 5) and fields["config"] == "walks"
    whole = np.zeros((5, 190, 4))
    whole[:, fields["keypoints3d_mask"] == 1] = fields["keypoints3d"]
    np.testing.assert_array_equal(whole[:, JOINT_SETS["smpl_54"].human_data], written.keypoints3d)
    assert fields["smpl"]["body_pose"].shape == (5, 23, 3) and fields["smpl"]["transl"].shape == (5, 3)
    assert fields["meta"]["gender"].tolist() == written.gender.tolist()
    assert fields["cam_param"][0] == {"intrinsic": np.eye(3).tolist()}
    assert_same(read_annotations(path, "smpl_54", cameras=True), written)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("block", [1, 3000, 1 << 22])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_make_no_difference(tmp_path, monkeypatch, compressed, block, order):
    path, written = tmp_path / "walks.npz", people(9, "common_24")
    write_human_data(path, written, compressed)
    with np.load(path) as stored:
        keypoints = np.array(stored["keypoints2d"], np.float64, order=order)
    rewrite(path, keypoints2d=keypoints)
    monkeypatch.setattr(annotation_npz, "BLOCK_BYTES", block)
    assert_same(read_annotations(path, "common_24"), written)


def test_numbers_without_confidence_may_be_anything(file):
    written = people()
    with np.load(file) as stored:
        keypoints = stored["keypoints2d"]
    row, joint = np.argwhere(keypoints[..., 2] == 0)[0]
    keypoints[row, joint, 0] = np.nan
    read = read_annotations(rewrite(file, keypoints2d=keypoints))
    assert read.keypoints2d[row, joint].tolist() == [0, 0, 0]
    read.keypoints2d[row, joint] = written.keypoints2d[row, joint]
    assert_same(read, written)


def changed(name, row, value, column=0):
    def change(stored):
        array = stored[name].copy()
        array[(row, *[column] * (array.ndim - 1))] = value
        return {name: array}

    return change


def in_smpl(name, change):
    return lambda stored: {
        "smpl": np.array(stored["smpl"].item() | {name: change(stored["smpl"].item()[name])})
    }


def with_nan(row):
    def change(array):
        array = array.astype(np.float64)
        array.reshape(len(array), -1)[row, 0] = np.nan
        return array

    return change


def visible_nan(stored):
    keypoints = stored["keypoints3d"].copy()
    keypoints[4, 17] = [np.inf, 0, 0, 1]
    return {"keypoints3d": keypoints}


BAD = {
    "box with NaN": (changed("bbox_xywh", 3, np.nan), r"field bbox_xywh, row 3: expected finite .*, got nan"),
    "negative box": (
        changed("bbox_xywh", 2, -5, 3),
        r"field bbox_xywh, row 2: expected .* positive size, got .*-5",
    ),
    "box of no size": (
        lambda stored: {"bbox_xywh": np.where(np.arange(7)[:, None] == 6, 0, stored["bbox_xywh"])},
        r"field bbox_xywh, row 6: .* positive size, got 0, 0, 0, 0",
    ),
    "three columns": (
        lambda stored: {"bbox_xywh": stored["bbox_xywh"][:, :3]},
        r"field bbox_xywh: expected shape \(N, 4\) or \(N, 5\), the file has \(7, 3\)",
    ),
    "missing rows": (
        lambda stored: {"keypoints2d": stored["keypoints2d"][:5]},
        r"field keypoints2d: expected 7 rows as in image_path, the file has 5",
    ),
    "missing bodies": (
        lambda stored: {"smpl": np.array({k: v[:5] for k, v in stored["smpl"].item().items()})},
        r"field smpl: expected 7 rows as in image_path, the file has 5",
    ),
    "bodies of two lengths": (
        in_smpl("betas", lambda betas: betas[:3]),
        r"field smpl.betas: expected 7 rows as in global_orient, the file has 3",
    ),
    "another length": (
        lambda stored: {"__data_len__": np.array(9)},
        r"field __data_len__: expected 7 as rows in image_path, the file has 9",
    ),
    "NaN keypoint": (
        visible_nan,
        r"field keypoints3d, row 4, joint 17: expected finite coordinates, got inf, 0, 0, 1",
    ),
    "too large for float32": (
        lambda stored: {"keypoints3d": stored["keypoints3d"].astype(np.float64) * [1e60, 1, 1, 1]},
        r"field keypoints3d, row \d, joint \d+: expected finite coordinates, got -?inf",
    ),
    "negative confidence": (
        changed("keypoints2d", 1, -1, -1),
        r"field keypoints2d, row 1, joint 189: expected a confidence of 0 or more, got -1",
    ),
    "text as numbers": (
        lambda stored: {"keypoints2d": stored["keypoints2d"].astype(str)},
        r"field keypoints2d: expected numbers, the file has str",
    ),
    "objects as numbers": (
        lambda stored: {"bbox_xywh": stored["bbox_xywh"].astype(object)},
        r"field bbox_xywh: expected numbers, the file has object",
    ),
    "complex numbers": (
        lambda stored: {"bbox_xywh": stored["bbox_xywh"].astype(np.complex64)},
        r"field bbox_xywh: expected numbers, the file has complex64",
    ),
    "another joint order": (
        lambda stored: {"keypoints2d_convention": np.array("coco")},
        r"field keypoints2d_convention: expected human_data, the file has coco",
    ),
    "another number of joints": (
        lambda stored: {"keypoints2d": stored["keypoints2d"][:, :49]},
        r"field keypoints2d: expected shape \(N, 190, 3\), the file has \(7, 49, 3\)",
    ),
    "mask of another length": (
        lambda stored: {"keypoints2d_mask": np.ones(144)},
        r"field keypoints2d_mask: expected shape \(190\), the file has \(144\)",
    ),
    "mask that is none": (
        lambda stored: {"keypoints2d_mask": np.arange(190)},
        r"field keypoints2d_mask, row 2: expected 0 or 1, got 2",
    ),
    "NaN pose": (
        in_smpl("global_orient", with_nan(slice(None))),
        r"field smpl.body_pose, row \d: expected finite",
    ),
    "NaN betas": (
        in_smpl("betas", with_nan(slice(None))),
        r"field smpl.betas, row \d: expected finite numbers, got nan",
    ),
    "pose of another body": (
        in_smpl("body_pose", lambda pose: pose[:, :21]),
        r"field smpl.body_pose: expected numbers, 69 a row, the file has float32 in \(7, 21, 3\)",
    ),
    "body without shape": (
        in_smpl("betas", lambda _: None),
        r"field smpl.betas is missing; the field has body_pose",
    ),
    "uneven body": (
        in_smpl("betas", lambda _: [[1.0], [1.0, 2.0]]),
        r"field smpl.betas: expected numbers, 10 a row, the file has rows of several sizes",
    ),
    "body as a list": (
        lambda stored: {"smpl": np.array([{}], object)},
        r"field smpl: expected a dictionary, .* ndarray",
    ),
    "body as numbers": (lambda stored: {"smpl": np.zeros((7, 82))}, r"field smpl: expected containers"),
    "flag of 2": (changed("has_smpl", 5, 2), r"field has_smpl, row 5: expected 0 or 1, got 2"),
    "paths as numbers": (
        lambda stored: {"image_path": np.arange(7)},
        r"field image_path: expected text in shape \(N\)",
    ),
    "a path that is none": (
        lambda stored: {"image_path": np.array(["a", "b", None, "d", "e", "f", "g"], object)},
        r"field image_path, row 2: expected text, got NoneType",
    ),
    "an empty path": (
        lambda stored: {"image_path": np.array(["a", "", "c", "d", "e", "f", "g"])},
        r"field image_path, row 1: expected a path, got nothing",
    ),
    "no rows": (
        lambda stored: {"image_path": np.array([], "U1")},
        r"field image_path: expected at least one row",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(file, name):
    change, message = BAD[name]
    write_human_data(file, people(), compressed=False)
    with np.load(file, allow_pickle=True) as stored:
        changes = change(stored)
    with pytest.raises(BadInput, match=message) as refused:
        read_annotations(rewrite(file, **changes))
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_compressed_files_need_their_mask(file):
    with pytest.raises(BadInput, match=r"field keypoints3d_mask is missing; the file has .*bbox_xywh"):
        read_annotations(rewrite(file, drop=("keypoints3d_mask",)))
    with np.load(file) as stored:
        fewer = stored["keypoints3d"][:, :-1]
    with pytest.raises(
        BadInput, match=r"field keypoints3d: expected shape \(N, 190, 4\), the file has \(7, 189, 4\)"
    ):
        write_human_data(file, people())
        read_annotations(rewrite(file, keypoints3d=fewer))


@pytest.mark.parametrize(
    "camera", [None, {"K": np.eye(3)}, {"in_mat": [[1, 2], [3]]}, {"in_mat": np.full((3, 3), np.nan)}]
)
def test_cameras_without_a_matrix_are_refused(file, camera):
    cameras = np.empty(7, object)
    cameras[:] = [{"in_mat": np.eye(4)}] * 6 + [camera]
    rewrite(file, cam_param=cameras)
    with pytest.raises(
        BadInput, match="field cam_param, row 6: expected a camera with a finite 3×3 or 4×4 matrix"
    ):
        read_annotations(file, cameras=True)
    assert read_annotations(file).intrinsics is None


def test_cameras_listed_otherwise_than_by_row_are_left_out(file):
    rewrite(file, cam_param=np.array({("S1", "54138969"): {"K": np.eye(3)}}, object))
    assert read_annotations(file, cameras=True).intrinsics is None


def test_damaged_members_are_refused(file):
    """A flipped byte anywhere in a member is found, by its checksum at the latest."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
    whole = file.read_bytes()
    for name in ("keypoints2d.npy", "bbox_xywh.npy", "smpl.npy", "image_path.npy"):
        info = members[name]
        at = info.header_offset + 30 + len(name) + 20 + info.compress_size // 2
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(BadInput, match=rf"field {name[:-4]}\b") as refused:
            read_annotations(file)
        assert "\n" not in str(refused.value)
