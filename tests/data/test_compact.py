import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmrcli.body.joints import JOINT_SETS
from hmrcli.data import compact
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.compact import read_compact, write_compact
from hmrcli.errors import BadInput
from tests.data.people import assert_same, people


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walks.npy"
    write_compact(path, people(joints="common_24"))
    return path


@given(st.integers(1, 5), st.sampled_from([*JOINT_SETS]), st.booleans(), st.integers(0, 9))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path, count, joints, complete, seed):
    without = (
        {"intrinsics": np.ones((count, 3, 3), np.float32)}
        if complete
        else {"keypoints2d": None, "transl": None}
    )
    written = people(count, joints, seed, **without)
    path = tmp_path / "walks.npy"
    write_compact(path, written)
    assert_same(read_compact(path), written)
    assert_same(read_annotations(path, joints)[::2], written[::2])


def test_arrays_are_mapped_and_cannot_be_changed(file):
    read = read_annotations(file, "common_24")
    for array in read.arrays().values():
        assert not array.flags.writeable
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)


def test_numpy_reads_the_same_file(file):
    rows = np.load(file, mmap_mode="r")
    np.testing.assert_array_equal(rows["pose"], people(joints="common_24").pose)


def test_other_sets_are_selected(file):
    assert_same(read_annotations(file, "evaluation_14"), people(joints="common_24").select("evaluation_14"))
    with pytest.raises(
        BadInput, match="30 joints of smpl_54 are missing, the file has common_24; make it again"
    ):
        read_annotations(file, "smpl_54")
    assert read_annotations(file, "common_24", dataset="other").dataset == "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pose": np.zeros((7, 69), np.float32)},
            r"field pose: expected \('f', \(72,\)\), .* \('f', \(69,\)\)",
        ),
        ({"betas": np.zeros((7, 10), np.uint32)}, r"field betas: expected \('f', .*the file has \('u', "),
        (
            {"keypoints2d": np.zeros((7, 49, 3), np.float32)},
            r"field keypoints2d: expected \('f', \(24, 3\)\)",
        ),
        ({"has_smpl": np.ones(7, np.int64)}, r"field has_smpl: expected \('b', \(\)\), the file has \('i', "),
        ({"gender": np.zeros(7, np.float32)}, r"field gender: expected \('U', \(\)\)"),
        ({"betas": None}, "field betas is missing"),
        ({"joints": "coco"}, r"joints: expected one of human_data, .*, the file has 'coco'"),
    ],
)
def test_bad_files_are_refused_in_one_line(file, changes, message):
    write_compact(file, replace(people(joints="common_24"), **changes))
    with pytest.raises(BadInput, match=message) as refused:
        read_annotations(file, "common_24")
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_other_and_damaged_files_are_refused(file):
    whole = file.read_bytes()
    start = whole.rindex(b"{")
    about = json.loads(whole[start:-8])
    other = whole[:start] + json.dumps(about | {"format": "hmr annotations 2"}).encode()
    file.write_bytes(other + f"{zlib.crc32(other):08x}".encode())
    with pytest.raises(BadInput, match=r"expected 'hmr annotations 3', .* annotations 2'; make it again"):
        read_compact(file)
    for damaged in (b"", whole[:5], whole[:-1], whole[start:], whole + b"0"):
        file.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"walks.npy: not a complete compact file .*; make it again"):
            read_compact(file)
    for array in (np.zeros(3), np.array([{}], object), np.zeros((2, 2), [("pose", "f4")])):
        np.save(file, array)
        with pytest.raises(BadInput, match="not a complete compact file"):
            read_compact(file)


def test_every_turned_bit_is_noticed(tmp_path):
    path = tmp_path / "walks.npy"
    write_compact(path, people(2, joints="evaluation_14"))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(BadInput):
            read_compact(path)
    path.write_bytes(whole)
    assert_same(read_compact(path), people(2, joints="evaluation_14"))


def test_files_too_large_for_the_checksum_still_hold_text(file, monkeypatch):
    monkeypatch.setattr(compact, "VERIFIED", 0)
    assert_same(read_compact(file), people(joints="common_24"))
    whole, rows = file.read_bytes(), np.load(file)
    place = whole.index(rows["gender"][0].encode("utf-32-le"), len(whole) - rows.nbytes - 200)
    file.write_bytes(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
    with pytest.raises(BadInput, match=r"(gender|image_path) is no text"):
        read_compact(file)


def test_files_of_before_are_to_be_made_again(tmp_path):
    (tmp_path / "walks.smpl_54.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}              ")
    with pytest.raises(
        BadInput, match=r"name the original \.npz file, from which compact ones are made again"
    ):
        read_annotations(tmp_path / "walks.smpl_54.safetensors", "smpl_54")
