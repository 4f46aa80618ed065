"""Kinds of files, and refusals that all kinds share."""

import io
import os
import pickle
import random
import tracemalloc
import zipfile

import numpy as np
import pytest

from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.compact import write_compact
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import BadInput, MissingFile
from tests.data.people import assert_same, people, rewrite
from tests.data.spin import write_spin


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Foreign:
    """A class that a file may name and that is not data."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walks.npz"
    write_human_data(path, people())
    return path


def hostile(payload) -> np.ndarray:
    array = np.empty((), object)
    array[()] = payload
    return array


@pytest.mark.parametrize("field", ["smpl", "meta", "image_path", "cam_param"])
def test_nothing_in_a_file_is_run(file, tmp_path, field):
    proof = tmp_path / "proof"
    rewrite(file, **{field: hostile(Call(os.mkdir, str(proof)))})
    proof.rmdir() if proof.exists() else None
    with pytest.raises(BadInput, match=rf"field {field} asks for \w+\.mkdir, which is not data"):
        read_annotations(file, cameras=True)
    assert not proof.exists()
    np.load(file, allow_pickle=True)[field]
    assert proof.exists(), "the file would have run code elsewhere"


def test_foreign_classes_are_refused_by_name(file):
    rewrite(file, smpl=hostile({"betas": Foreign()}))
    with pytest.raises(
        BadInput, match=r"field smpl asks for .*test_annotation_files\.Foreign, which is not data"
    ):
        read_annotations(file)


def test_absent_files_come_with_the_command_that_brings_them(tmp_path):
    with pytest.raises(
        MissingFile,
        match=r"lsp_train.npz: no such file.*Licence: .*Run: hmr download lsp_train.npz \(or, .*hmr data make lsp ",
    ):
        read_annotations(tmp_path / "lsp_train.npz")
    with pytest.raises(MissingFile, match=r"then run: hmr data make h36m"):
        read_annotations(tmp_path / "h36m_mosh_train.npz")
    for name in ("mine.npz", "mine.safetensors"):
        with pytest.raises(MissingFile, match=rf"{name}: no such file.*hmr download --list"):
            read_annotations(tmp_path / name)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadInput, match=r"walks.npz: not a complete .npz file"):
        read_annotations(file)


def test_a_header_that_claims_too_much_is_refused(file):
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        claim, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 4)}
    )
    rewrite(file, drop=("bbox_xywh",))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("bbox_xywh.npy", claim.getvalue())
    with pytest.raises(BadInput, match=r"field bbox_xywh is not a complete array: 0 bytes for shape"):
        read_annotations(file)


def test_other_files_are_told_apart(tmp_path):
    np.savez(tmp_path / "other.npz", pose=np.zeros(3))
    with pytest.raises(
        BadInput, match=r"expected a field image_path \(HumanData\) or imgname \(SPIN\); .* has pose"
    ):
        read_annotations(tmp_path / "other.npz")
    (tmp_path / "plain.npz").write_bytes(pickle.dumps({"image_path": []}))
    with pytest.raises(BadInput, match=r"plain.npz: expected an .npz file of annotations, this is a pickle"):
        read_annotations(tmp_path / "plain.npz")


def test_conversions_keep_everything(tmp_path, file):
    original = read_annotations(file)
    write_human_data(tmp_path / "again.npz", original)
    write_compact(tmp_path / "walks.npy", read_annotations(tmp_path / "again.npz", "smpl_54", "walks"))
    assert_same(read_annotations(tmp_path / "again.npz", dataset="walks"), original)
    assert_same(read_annotations(tmp_path / "walks.npy", "smpl_54"), original.select("smpl_54"))


def test_spin_files_become_human_data(tmp_path):
    square = np.array([[10, 20, 80, 80]], np.float32).repeat(7, 0)
    written = people(joints="smpl_49", transl=None, bbox_xywh=square)
    write_spin(tmp_path / "walks.npz", written)
    converted = read_annotations(tmp_path / "walks.npz", "smpl_49")
    write_human_data(tmp_path / "out" / "walks.npz", converted)
    read = read_annotations(tmp_path / "out" / "walks.npz", "smpl_49")
    assert_same(read, converted)
    np.testing.assert_array_equal(read.keypoints2d, written.keypoints2d)
    np.testing.assert_array_equal(read.keypoints3d[:, 25:], written.keypoints3d[:, 25:])


def test_unknown_sets_are_refused(file):
    with pytest.raises(ValueError, match="no joint set is called 'coco'"):
        read_annotations(file, "coco")


def test_half_written_files_never_take_the_name(tmp_path, file, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    before = file.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        write_human_data(file, people(3))
    assert file.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["walks.npz"]


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_human_data, "walks.npz"), (write_spin, "walks.npz"), (write_compact, "walks.npy")],
)
def test_any_damage_is_refused_or_harmless(tmp_path, write, name):
    """Whatever bytes change, reading ends in arrays or in one line, never in another exception."""
    path, draw = tmp_path / name, random.Random(0)
    write(path, people(3, "evaluation_14"))
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 3])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read = read_annotations(path, "evaluation_14", cameras=True)
            assert all(len(array.tolist()) == 3 for array in read.arrays().values())
        except BadInput as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
    assert refused > 20


def test_memory_is_that_of_what_is_kept(tmp_path):
    path, rows = tmp_path / "walks.npz", 4000
    small = people(4, "evaluation_14")
    write_human_data(path, small[np.arange(rows) % 4], compressed=False)
    with np.load(path) as stored:
        whole = {name: stored[name].astype(np.float64) for name in ("keypoints2d", "keypoints3d")}
    raw = sum(array.nbytes for array in whole.values())
    rewrite(path, **whole)
    del whole
    tracemalloc.start()
    kept = read_annotations(path, "evaluation_14")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(array.nbytes for array in kept.arrays().values()) < peak < raw / 2


@pytest.mark.parametrize("kind", ["U", "S", "O"])
def test_paths_from_windows_and_in_bytes_are_read(file, kind):
    names = [f"walk\\one\\{row}.jpg" for row in range(7)]
    stored = np.array(names if kind == "U" else [name.encode() for name in names], kind)
    rewrite(file, image_path=stored)
    assert read_annotations(file).image_path.tolist() == [f"walk/one/{row}.jpg" for row in range(7)]


def test_paths_that_are_no_text_are_refused(file):
    rewrite(file, image_path=np.array([b"\xff.jpg"] * 7, object))
    with pytest.raises(BadInput, match=r"field image_path, row 0: expected UTF-8 text"):
        read_annotations(file)
