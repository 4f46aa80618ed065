"""Files that are damaged, or made to do harm, end in one line: quickly, and without taking memory for their claims."""

import io
import os
import pickle
import random
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hmrcli.assets.archive import extract, open_archive
from hmrcli.assets.content_checks import check_structure
from hmrcli.assets.fetch import place
from hmrcli.assets.npz import read_npy, read_npz
from hmrcli.assets.pickles import read_pickle
from hmrcli.assets.registry import Check, Source, load_registry
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.errors import BadInput, HmrError, Refused
from hmrcli.files import read_record


def npy_with(header: bytes, version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    width = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(header) if length is None else length) + header


HEADERS = {
    "no literal": npy_with(b"{'descr': open('x'), 'shape': (1,), 'fortran_order': False}\n"),
    "no Python": npy_with(b"{'descr': '<f8', 'shape': (1,\n"),
    "bad indent": npy_with(b"  {\n x\n"),
    "null": npy_with(b"\0" * 60 + b"\n"),
    "other type": npy_with(b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }\n"),
    "negative": npy_with(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
    "endless": npy_with(b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }\n"),
    "deep": npy_with(b"(" * 9000 + b"\n", b"\x02\x00"),
    "huge": npy_with(b"{}", b"\x02\x00", 1 << 31),
    "version": npy_with(b"{}", b"\x09\x00"),
    "cut": b"\x93NUM",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_every_reader_refuses_odd_npy_headers_alike(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.npy").write_bytes(HEADERS[kind])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", HEADERS[kind])
    with pytest.raises(BadInput, match=r"a\.npy is not a complete array"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(BadInput, match=r"a\.npz: field a is not a complete array"):
        read_npz(tmp_path / "a.npz", ("a",))
    with (
        AnnotationNpz(tmp_path / "a.npz") as stored,
        pytest.raises(BadInput, match="field a is not a complete arr"),
    ):
        stored.numbers("a", (None,))


def zeros_in_zip(path: Path, name: str, count: int) -> None:
    """An npz member of zeros, which packs a thousand times smaller."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f8", "fortran_order": False, "shape": (count,)}
        )
        for _ in range(count * 8 >> 22):
            stream.write(bytes(1 << 22))


def test_a_member_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez(path, small=np.arange(3))
    zeros_in_zip(path, "large.npy", 40 << 20)
    tracemalloc.start()
    stored = read_npz(path)
    assert list(stored["small"]) == [0, 1, 2]  # what nobody asks for costs nothing
    with pytest.raises(BadInput, match=r"bomb\.npz: field large is damaged \(0\.3 GB packed in 0\.3 MB"):
        stored["large"]
    with pytest.raises(Refused, match=r"0\.3 GB packed in 0\.3 MB"):
        check_structure(path, ".npz", Check())
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


PICKLES = {
    "an entry of the memo far away": b"\x80\x02Nr\xff\xff\xff\x0f" + b"0" * 2 + b".",
    "a number of two gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "text of a petabyte": b"\x80\x04\x8e" + (1 << 50).to_bytes(8, "little") + b".",
    "a tuple of itself 60 times over as a key": b"\x80\x02}N" + b"2\x86" * 60 + b"Ns.",
    "lists of themselves 60 times over": b"\x80\x02N" + b"2\x86" * 60 + b".",
    "a thousand lists in one another": b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_that_claim_or_repeat_too_much_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.pkl").write_bytes(PICKLES[kind])
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"x\.pkl is not a complete pickle"):
        read_pickle(tmp_path / "x.pkl")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_arrays_that_a_pickle_multiplies_are_limited(tmp_path: Path) -> None:
    # One array of a megabyte is in the memo; 200 selections of all of it would take 200 MB.
    index = pickle.dumps(np.zeros(1 << 17, np.int64), 2)[2:-1]
    select = b"cchumpy.reordering\nSelect\n)\x81}(U\x01ah\xfaU\x04idxsh\xfaub"
    stream = b"\x80\x02]" + index + b"q\xfaa" + (select + b"a") * 200 + b"."
    with pytest.raises(BadInput, match="its arrays take far more room than the file"):
        read_pickle(_written(tmp_path / "many.pkl", stream))
    stream = b"\x80\x02]" + index + b"q\xfaa" + (select + b"a") * 2 + b"."
    assert len(read_pickle(_written(tmp_path / "few.pkl", stream))) == 3


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    registry = load_registry()
    smpl = [registry.by_name["SMPL_NEUTRAL.pkl"]]
    for path, kind in (("pipe.npz", "a pipe"), ("folder.npz", "a folder"), ("/dev/zero", "a device")):
        with pytest.raises(BadInput, match=f"is {kind}, expected a file"):
            read_npz(tmp_path / path)
        if kind != "a folder":
            with pytest.raises(BadInput, match=f"is {kind}, expected a file"):
                place(smpl, tmp_path / path, tmp_path / "root")
    os.mkfifo(tmp_path / "folder.npz" / "SMPL_NEUTRAL.pkl")
    with pytest.raises(BadInput, match="no file in this folder bears the name of SMPL_NEUTRAL"):
        place(smpl, tmp_path / "folder.npz", tmp_path / "root")


@pytest.mark.parametrize("text", [b"", b"[]", b"[" * 100_000, b'{"a": ', b"\xff\xfe", b"null"])
def test_json_of_another_kind_is_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadInput, match=r"x\.json: (is no JSON|expected an object).*; try another$") as caught:
        read_record(_written(tmp_path / "x.json", text), Source, "try another")
    assert "\n" not in str(caught.value)


def test_a_record_is_read_or_its_wrong_field_named(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", b'{"url": "https://x", "member": "a"}')
    assert read_record(path, Source, "") == Source(url="https://x", member="a")
    with pytest.raises(BadInput, match=r"x\.json: `member`: expected a valid string; try another"):
        read_record(_written(path, b'{"url": "https://x", "member": 1}'), Source, "try another")


def packed(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in ("a", "b"):
            with archive.open(f"{name}.npy", "w") as stream:
                np.save(stream, np.arange(50.0))
    return buffer.getvalue()


def tarred(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        info = tarfile.TarInfo("folder/a.npy")
        info.size = 500
        archive.addfile(info, io.BytesIO(bytes(500)))
    return buffer.getvalue()


def changed(content: bytes, chance: random.Random) -> bytes:
    """With some bits turned, bytes lost or added, lengths made huge, or the end cut off."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(damaged) or 1)
        how = chance.random()
        if how < 0.5:
            damaged[place : place + 1] = bytes([chance.randrange(256)])
        elif how < 0.7:
            del damaged[place : place + chance.randrange(1, 40)]
        elif how < 0.9:
            damaged[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"))
        else:
            del damaged[place:]
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["stored", "deflated", "bz2", "lzma", "pickle", "npy"])
def test_no_change_of_a_file_of_arrays_ends_in_another_error(tmp_path: Path, kind: str) -> None:
    data = {"a": np.arange(40.0), "b": [1, ("x", None)], "c": np.array([{"d": 1}], dtype=object)}
    whole = {
        "stored": lambda: packed(zipfile.ZIP_STORED),
        "deflated": lambda: packed(zipfile.ZIP_DEFLATED),
        "bz2": lambda: packed(zipfile.ZIP_BZIP2),
        "lzma": lambda: packed(zipfile.ZIP_LZMA),
        "pickle": lambda: pickle.dumps(data, 2),
        "npy": lambda: (np.save(buffer := io.BytesIO(), np.arange(40.0)), buffer.getvalue())[1],
    }[kind]()
    chance, path = random.Random(0), tmp_path / "x"
    for _ in range(250):
        path.write_bytes(changed(whole, chance))
        try:
            if kind == "pickle":
                read_pickle(path)
            elif kind == "npy":
                read_npy(path)
            else:
                dict(read_npz(path))
                with AnnotationNpz(path) as stored:
                    for name in stored:
                        stored.numbers(name, (None,))
        except HmrError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_no_change_of_an_archive_ends_in_another_error(tmp_path: Path, kind: str) -> None:
    whole = packed(zipfile.ZIP_DEFLATED) if kind == "zip" else tarred(kind)
    chance, path = random.Random(0), tmp_path / "x"
    for _ in range(120):
        path.write_bytes(changed(whole, chance))
        try:
            with open_archive(path) as members:
                for member in members:
                    extract(member, tmp_path / "out")
        except (Refused, HmrError):
            pass


@pytest.mark.parametrize("length", [-1, 1 << 62])
def test_tar_headers_with_impossible_lengths_are_refused(tmp_path: Path, length: int) -> None:
    info = tarfile.TarInfo("a.npy")
    info.size = length
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(Refused), open_archive(tmp_path / "x.tar") as members:
        extract(members[0], tmp_path / "out")
