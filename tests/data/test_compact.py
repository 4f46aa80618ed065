import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from hmrcli.data.annotations import JOINT_SETS
from hmrcli.data.compact import read_compact, write_compact
from hmrcli.data.read import read_annotations
from hmrcli.errors import BadInput
from tests.data.people import assert_same, people

METADATA = {"format": "hmr annotations 1", "dataset": "walks", "joints": "common_24"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walks.safetensors"
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
    path = tmp_path / "walks.safetensors"
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


def test_other_sets_are_selected(file):
    assert_same(read_annotations(file, "evaluation_14"), people(joints="common_24").select("evaluation_14"))
    with pytest.raises(
        BadInput, match="field joints: 30 joints of smpl_54 are missing, the file has common_24"
    ):
        read_annotations(file, "smpl_54")
    assert read_annotations(file, "common_24", dataset="other").dataset == "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pose": np.zeros((7, 69), np.float32)},
            r"field pose: expected f in shape \(7, 72\), .* f in \(7, 69\)",
        ),
        (
            {"pose": np.zeros((5, 72), np.float32)},
            r"field pose: expected f in shape \(7, 72\), .* f in \(5, 72\)",
        ),
        (
            {"betas": np.zeros((7, 10), np.uint32)},
            r"field betas: expected f in shape \(7, 10\), .* u in \(7, 10\)",
        ),
        (
            {"keypoints2d": np.zeros((7, 49, 3), np.float32)},
            r"field keypoints2d: expected f in shape \(7, 24, 3\)",
        ),
        ({"has_smpl": np.ones(7, np.int64)}, r"field has_smpl: expected F32, U32, BOOL, the file has I64"),
        (
            {"gender": np.full((7, 1), 2**31, np.uint32)},
            r"field gender: expected code points, .* larger numbers",
        ),
        ({"gender": np.zeros(7, np.float32)}, r"field gender: expected code points in shape \(N, width\)"),
        ({"extra": np.zeros(7, np.float32)}, r"field extra: expected one of image_path, bbox_xywh"),
    ],
)
def test_bad_files_are_refused_in_one_line(file, changes, message):
    save_file(load_file(file) | changes, file, metadata=METADATA)
    with pytest.raises(BadInput, match=message) as refused:
        read_annotations(file, "common_24")
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_other_and_damaged_files_are_refused(file):
    tensors = load_file(file)
    save_file(tensors, file)
    with pytest.raises(BadInput, match="field format: expected 'hmr annotations 2', the file has None"):
        read_compact(file)
    save_file(tensors, file, metadata=METADATA | {"joints": "coco"})
    with pytest.raises(BadInput, match=r"field joints: expected one of human_data, .*, the file has 'coco'"):
        read_compact(file)
    save_file({name: array for name, array in tensors.items() if name != "betas"}, file, metadata=METADATA)
    with pytest.raises(BadInput, match="field betas is missing"):
        read_compact(file)
    save_file(tensors, file, metadata=METADATA)
    whole = file.read_bytes()
    for damaged in (b"", whole[:5], whole[:-1], json.dumps(METADATA).encode()):
        file.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"walks.safetensors: not a complete .safetensors file"):
            read_compact(file)


def test_every_turned_bit_is_noticed(tmp_path):
    path = tmp_path / "walks.safetensors"
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


def test_files_of_before_the_checksum_are_read(file):
    save_file(load_file(file), file, metadata=METADATA)
    assert_same(read_compact(file), people(joints="common_24"))
