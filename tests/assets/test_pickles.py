"""Files are read as data: published layouts come through, and nothing that a file names is ever run."""

import io
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from hmrcli.assets.npz import read_npy, read_npz
from hmrcli.assets.pickles import SparseMatrix, read_pickle
from hmrcli.errors import BadInput, MissingFile


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.fixture
def foreign():
    """Stand-ins for packages that wrote the published files, gone again before the file is read."""
    before = dict(sys.modules)

    def module(name, cls):
        for package in (name.split(".")[0], name.rpartition(".")[0], name):
            sys.modules[package] = types.ModuleType(package)
        made = type(cls, (), {"__module__": name})
        setattr(sys.modules[name], cls, made)
        return made

    yield module
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def make(cls, **state):
    thing = cls()
    thing.__dict__.update(state)
    return thing


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_and_arrays(tmp_path, protocol):
    data = {
        "numbers": np.arange(12, dtype=np.float32).reshape(3, 4),
        "big_endian": np.array([1, 2, 3], dtype=">i4"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.float64(2.5),
        "flags": np.array([True, False]),
        "text": np.array(["left", "right"]),
        "objects": np.array([{"a": 1}, [2, 3]], dtype=object),
        "list": [1, (2.0, None), {"x"}, b"bytes", "words"],
    }
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = read_pickle(path)
    assert read.keys() == data.keys()
    for name in ("numbers", "big_endian", "fortran", "empty", "flags", "text"):
        np.testing.assert_array_equal(read[name], data[name])
        assert read[name].shape == data[name].shape and read[name].flags.writeable
    assert read["numbers"].dtype == np.float32 and read["scalar"] == 2.5
    assert list(read["objects"]) == [{"a": 1}, [2, 3]] and read["list"] == data["list"]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_smpl_pickle_of_chumpy_and_scipy(tmp_path, foreign, protocol):
    """The structure of the official files: chumpy arrays, a selection of one, a scipy matrix, and text."""
    ch = foreign("chumpy.ch", "Ch")
    select = foreign("chumpy.reordering", "Select")
    csc = foreign("scipy.sparse.csc", "csc_matrix")
    whole = np.arange(24.0).reshape(2, 3, 4)
    data = {
        "shapedirs": make(select, a=make(ch, x=whole, _dirty_vars=set()), idxs=np.array([5, 0, 23])),
        "v_template": make(ch, x=whole[0], _itr=None),
        "J_regressor": make(
            csc,
            _shape=(2, 3),
            data=np.array([0.25, 0.75, 1.0]),
            indices=np.array([0, 1, 0], np.int32),
            indptr=np.array([0, 2, 2, 3], np.int32),
            maxprint=50,
        ),
        "bs_style": "lbs",
    }
    path = tmp_path / "smpl.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = read_pickle(path)
    np.testing.assert_array_equal(read["shapedirs"], [5, 0, 23])
    np.testing.assert_array_equal(read["v_template"], whole[0])
    assert isinstance(read["J_regressor"], SparseMatrix)
    np.testing.assert_array_equal(read["J_regressor"].toarray(), [[0.25, 0, 1], [0.75, 0, 0]])
    assert read["bs_style"] == "lbs"


def test_python_2_pickle_holds_raw_bytes_as_text(tmp_path):
    """Python 2 wrote array bytes as a string; written by hand, because Python 3 cannot."""
    raw = np.array([1.5, -2.0]).tobytes()
    stream = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    (tmp_path / "two.pkl").write_bytes(stream)
    np.testing.assert_array_equal(read_pickle(tmp_path / "two.pkl"), [1.5, -2.0])


def hostile(proof: Path):
    command = f"touch {proof}"
    return {
        "system": Call(os.system, command),
        "eval": Call(eval, f"__import__('os').system({command!r})"),
        "nested_dict": {"v_template": [{"deep": Call(os.system, command)}]},
        "getattr": Call(getattr, "text", "upper"),
        "numpy_load": Call(np.load, str(proof), None, True),
        "numpy_memmap": Call(np.memmap, str(proof), "uint8", "w+", 0, (4,)),
        "partial": Call(__import__("functools").partial, os.system, command),
        "type": Call(type, "X", (), {}),
    }


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("system", r"\w+\.system"),
        ("eval", r"\w+\.eval"),
        ("nested_dict", r"\w+\.system"),
        ("getattr", r"\w+\.getattr"),
        ("numpy_load", r"numpy\S*\.load"),
        ("numpy_memmap", r"numpy\S*\.memmap"),
        ("partial", r"functools\.partial"),
        ("type", r"\w+\.type"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_hostile_pickles_are_refused_by_name(tmp_path, name, asked, protocol):
    proof = tmp_path / "ran"
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(hostile(proof)[name], protocol=protocol))
    with pytest.raises(BadInput, match=rf"evil\.pkl asks for {asked}, which is not data and is never run"):
        read_pickle(path)
    assert not proof.exists()


def test_hostile_state_inside_a_chumpy_array(tmp_path, foreign):
    proof = tmp_path / "ran"
    ch = foreign("chumpy.ch", "Ch")
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"v_template": make(ch, x=Call(os.system, f"touch {proof}"))}, protocol=2))
    with pytest.raises(BadInput, match=r"asks for \w+\.system"):
        read_pickle(path)
    assert not proof.exists()


def test_hostile_object_array_in_an_npz(tmp_path):
    proof = tmp_path / "ran"
    path = tmp_path / "evil.npz"
    np.savez(path, fine=np.arange(3), A=np.array([Call(os.system, f"touch {proof}"), None], dtype=object))
    np.testing.assert_array_equal(read_npz(path, ("fine",))["fine"], [0, 1, 2])
    with pytest.raises(BadInput, match=r"evil.npz: field A asks for \w+\.system"):
        dict(read_npz(path))
    assert not proof.exists()


@pytest.mark.parametrize(
    ("dtype_flags", "data"),
    [
        # An object array said to hold raw bytes: numpy's own reader would take them for pointers.
        (b"K\x00", b"U\x10AAAAAAAABBBBBBBB"),
        # An object array whose items are said to be one number.
        (b"K\x3f", b"K\x07"),
    ],
)
def test_forged_array_states_never_reach_numpy(tmp_path, dtype_flags, data):
    stream = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        + dtype_flags
        + b"tb\x89"
        + data
        + b"tb."
    )
    path = tmp_path / "forged.pkl"
    path.write_bytes(stream)
    with pytest.raises(BadInput, match=r"forged\.pkl is not a complete pickle"):
        read_pickle(path)


def test_array_with_fewer_bytes_than_its_shape(tmp_path):
    stream = pickle.dumps(np.arange(4.0), protocol=2)
    forged = stream.replace(b"K\x04\x85", b"K\x05\x85", 1)
    assert forged != stream
    (tmp_path / "short.pkl").write_bytes(forged)
    with pytest.raises(BadInput, match="32 bytes for shape"):
        read_pickle(tmp_path / "short.pkl")


def test_a_file_cannot_tamper_with_the_next(tmp_path):
    """Setting attributes on what stands for numpy.dtype must not outlive the file."""
    evil = b"\x80\x02cnumpy\ndtype\n(N}U\x0c__setstate__Nstb0N."
    (tmp_path / "evil.pkl").write_bytes(evil)
    with pytest.raises(BadInput):
        read_pickle(tmp_path / "evil.pkl")
    good = tmp_path / "good.pkl"
    good.write_bytes(pickle.dumps(np.arange(3), protocol=2))
    np.testing.assert_array_equal(read_pickle(good), [0, 1, 2])


def test_self_containing_data_is_refused(tmp_path):
    endless: list = []
    endless.append(endless)
    (tmp_path / "endless.pkl").write_bytes(pickle.dumps(endless))
    with pytest.raises(BadInput, match="nested too deeply"):
        read_pickle(tmp_path / "endless.pkl")


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_truncated_pickle(tmp_path, keep):
    whole = pickle.dumps({"v_template": np.zeros((10, 3))}, protocol=2)
    path = tmp_path / "cut.pkl"
    path.write_bytes(whole[:keep])
    with pytest.raises(BadInput, match=r"cut\.pkl is not a complete pickle"):
        read_pickle(path)


def test_truncated_npz_and_npy(tmp_path):
    np.savez(tmp_path / "whole.npz", a=np.arange(1000.0))
    bytes_ = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(bytes_[:500])
    with pytest.raises(BadInput, match=r"cut.npz: not a complete .npz"):
        read_npz(tmp_path / "cut.npz")
    damaged = bytearray(bytes_)
    damaged[400] ^= 255
    (tmp_path / "damaged.npz").write_bytes(bytes(damaged))
    with pytest.raises(BadInput, match=r"damaged.npz: field a is not a complete array: Bad CRC"):
        read_npz(tmp_path / "damaged.npz", ("a",))
    stream = io.BytesIO()
    np.save(stream, np.arange(1000.0))
    (tmp_path / "cut.npy").write_bytes(stream.getvalue()[:300])
    with pytest.raises(BadInput, match=r"cut.npy is not a complete array"):
        read_npy(tmp_path / "cut.npy")


def test_missing_names_and_files(tmp_path):
    np.savez(tmp_path / "some.npz", a=np.arange(3))
    with pytest.raises(BadInput, match=r"some.npz: field b is missing; the file has a"):
        read_npz(tmp_path / "some.npz", ("a", "b"))
    with pytest.raises(MissingFile, match=r"absent\.npz"):
        read_npz(tmp_path / "absent.npz")
    with pytest.raises(MissingFile, match=r"absent\.pkl"):
        read_pickle(tmp_path / "absent.pkl")


def test_human_data_like_npz(tmp_path):
    """Annotation files hold dictionaries of arrays inside object arrays."""
    smpl = {"body_pose": np.zeros((2, 23, 3), np.float32), "betas": np.ones((2, 10))}
    np.savez(tmp_path / "annotations.npz", smpl=smpl, image_path=np.array(["a.jpg", "b.jpg"]), __data_len__=2)
    read = read_npz(tmp_path / "annotations.npz")
    assert read["smpl"]["body_pose"].shape == (2, 23, 3) and read["smpl"]["betas"].sum() == 20
    assert list(read["image_path"]) == ["a.jpg", "b.jpg"] and int(read["__data_len__"]) == 2


def test_sparse_matrix_with_forged_indices(tmp_path, foreign):
    csc = foreign("scipy.sparse._csc", "csc_matrix")
    matrix = make(csc, _shape=(2, 2), data=np.ones(2), indices=np.array([0, 9]), indptr=np.array([0, 1, 2]))
    (tmp_path / "forged.pkl").write_bytes(pickle.dumps(matrix))
    with pytest.raises(BadInput, match="wrong indices"):
        read_pickle(tmp_path / "forged.pkl")
