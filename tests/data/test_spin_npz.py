import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmrcli.data.annotation_files import read_annotations
from hmrcli.errors import BadInput
from tests.data.people import assert_same, people, rewrite
from tests.data.spin import write_spin


def squares(count: int) -> np.ndarray:
    """Boxes whose numbers survive the way through middle and scale exactly."""
    shift = np.arange(count, dtype=np.float32)[:, None] * np.float32([1, 1, 0, 0])
    return np.float32([10, 20, 64, 64]) + shift


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walks.npz"
    write_spin(path, people(joints="smpl_49", bbox_xywh=squares(7)))
    return path


@given(st.integers(1, 5), st.integers(0, 9))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path, count, seed):
    written = people(count, "common_24", seed, transl=None, bbox_xywh=squares(count))
    write_spin(tmp_path / "walks.npz", written)
    assert_same(read_annotations(tmp_path / "walks.npz", "common_24"), written)


def test_fields_are_those_of_the_layout(tmp_path):
    count = 5
    rng = np.random.default_rng(0)
    openpose, part, spatial = (rng.uniform(size=(count, *shape)) for shape in ((25, 3), (24, 3), (24, 4)))
    pose, shape = rng.normal(size=(count, 72)), rng.normal(size=(count, 10))
    flags = np.array([1, 0, 1, 1, 0.0])
    fields = {
        "imgname": np.array([f"images/{i}.png" for i in range(count)]),
        "center": np.full((count, 2), 300.0),
        "scale": np.full(count, 1.5),
        "openpose": openpose,
        "part": part,
        "S": spatial,
        "pose": pose,
        "shape": shape,
        "has_smpl": flags,
        "gender": np.array(["m", "f", "m", "f", "m"]),
    }
    path = tmp_path / "mpi.npz"
    np.savez(path, **fields)
    read = read_annotations(path, "smpl_49")
    np.testing.assert_array_equal(read.bbox_xywh, np.tile(np.float32([150, 150, 300, 300]), (count, 1)))
    np.testing.assert_array_equal(read.keypoints2d, np.concatenate([openpose, part], 1).astype(np.float32))
    np.testing.assert_array_equal(read.keypoints3d[:, 25:], spatial.astype(np.float32))
    assert not read.keypoints3d[:, :25].any()
    np.testing.assert_array_equal(read.pose, pose.astype(np.float32))
    np.testing.assert_array_equal(read.has_smpl, flags == 1)
    assert read.gender.tolist() == ["m", "f", "m", "f", "m"] and read.dataset == "mpi"
    assert_same(read_annotations(path, "human_data").select("smpl_49"), read)

    assert read_annotations(rewrite(path, drop=("has_smpl",))).has_smpl.all()
    odd = np.array([b"male", "F", None, "q", 1], object)
    assert read_annotations(rewrite(path, gender=odd)).gender.tolist() == ["m", "f", "n", "n", "n"]
    plain = read_annotations(rewrite(path, drop=("pose", "S", "openpose", "gender")), "smpl_49")
    assert not plain.has_smpl.any() and not plain.betas.any() and plain.keypoints3d is None
    assert not plain.keypoints2d[:, :25].any() and set(plain.gender) == {"n"}
    assert read_annotations(rewrite(path, drop=("part",)), "smpl_49").keypoints2d is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scale": np.array([1, 1, 0, 1, 1, 1, 1.0])},
            r"field scale, row 2: expected a positive number, got 0",
        ),
        ({"scale": np.full(7, np.nan)}, r"field scale, row 0: expected a positive number, got nan"),
        ({"scale": np.ones(6)}, r"field scale: expected 7 rows as in imgname, the file has 6"),
        ({"center": np.full((7, 2), np.inf)}, r"field center, row 0: expected finite numbers, got inf, inf"),
        ({"center": np.ones((7, 3))}, r"field center: expected shape \(N, 2\), the file has \(7, 3\)"),
        (
            {"part": np.ones((7, 17, 3))},
            r"field part: expected shape \(N, 24, 3\), the file has \(7, 17, 3\)",
        ),
        ({"S": np.full((7, 24, 4), np.nan)}, r"field S, row 0, joint \d+: expected a confidence"),
        ({"pose": np.ones((7, 75))}, r"field pose: expected shape \(N, 72\), the file has \(7, 75\)"),
        ({"pose": np.full((7, 72), np.nan)}, r"field pose, row \d: expected finite numbers, got nan"),
        ({"shape": np.ones((5, 10))}, r"field shape: expected 7 rows as in imgname, the file has 5"),
        ({"has_smpl": np.full(7, 0.5)}, r"field has_smpl, row 0: expected 0 or 1, got 0.5"),
        ({"gender": np.array(list("mfm"))}, r"field gender: expected 7 rows as in imgname, the file has 3"),
    ],
)
def test_bad_files_are_refused_in_one_line(file, changes, message):
    with pytest.raises(BadInput, match=message) as refused:
        read_annotations(rewrite(file, **changes), "smpl_49")
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_fields_that_every_file_has(file):
    for name in ("center", "scale"):
        with pytest.raises(BadInput, match=f"field {name} is missing; the file has .*imgname"):
            read_annotations(rewrite(file, file.with_name("less.npz"), drop=(name,)))
