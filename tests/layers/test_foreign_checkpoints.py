"""Checkpoints of other people's training code: their tensors are read, their classes are never made."""

import argparse
import datetime
import enum
import functools
import io
import os
import pickle
import sys
import types
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hmrcli.assets.content_checks import tensor_shapes
from hmrcli.errors import BadInput, Refused
from hmrcli.layers.weight_files import read_weights

STATE = {
    "backbone.conv1.weight": torch.arange(24.0).reshape(2, 3, 2, 2),
    "backbone.bn1.num_batches_tracked": torch.tensor(7),
    "head.fc.weight": torch.eye(3).half(),
}


class Colour(enum.Enum):
    RED = 1


@pytest.fixture
def foreign(monkeypatch):
    """Makes classes of packages that are gone again before the file is read."""
    made = []

    def make(module: str, name: str, base: type = object, **state: Any) -> Any:
        for end in range(len(parts := module.split("."))):
            package = ".".join(parts[: end + 1])
            if package not in sys.modules:
                sys.modules[package] = types.ModuleType(package)
                made.append(package)
        kind = type(name, (base,), {"__module__": module})
        setattr(sys.modules[module], name, kind)
        thing = kind()
        thing.__dict__.update(state)
        return thing

    def gone() -> None:
        for package in made:
            sys.modules.pop(package, None)

    make.gone = gone  # type: ignore[attr-defined]
    yield make
    gone()


def kinds(make) -> dict[str, Any]:
    """What training codes store, by who stores it."""
    config = make("yacs.config", "CfgNode", dict, frozen=True)
    config["LR"] = 1e-4
    callback = make("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    lightning = {f"model.{name}": value for name, value in STATE.items()}
    return {
        "Lightning": {"state_dict": lightning, "callbacks": {type(callback): {"best": torch.tensor(50.0)}}},
        "yacs": {"state_dict": STATE, "hyper_parameters": config},
        "omegaconf": {"model": STATE, "cfg": make("omegaconf.dictconfig", "DictConfig", _content={"a": 1})},
        "mmengine": {
            "state_dict": STATE,
            "message_hub": make("mmengine.logging", "MessageHub", h=[1]),
        },
        "argparse": {"model": STATE, "args": argparse.Namespace(lr=1, path=PurePosixPath("x"))},
        "numpy": {
            "state_dict": STATE,
            "meta": {"best": np.float64(51.8), "epoch": np.int64(3), "t": np.dtype("f4")},
        },
        "standard library": {
            "network": STATE,
            "when": datetime.datetime(2024, 1, 1),
            "colour": Colour.RED,
            "part": functools.partial(max, 1),
            "counts": defaultdict(list, a=[1]),
            "set": {1, 2},
        },
        "compiled": {f"_orig_mod.{name}": value for name, value in STATE.items()},
        "compiled within": {name.replace("backbone.", "backbone._orig_mod."): v for name, v in STATE.items()},
        "nested": {"model_state_dict": {"ema": {"module": {f"module.{n}": v for n, v in STATE.items()}}}},
        "ema alone": {"ema": STATE, "model": None, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        "an unknown key": {
            "hmr": OrderedDict(STATE),
            "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}},
        },
        "parameters": {name: nn.Parameter(value, requires_grad=False) for name, value in STATE.items()},
    }


def same(read: dict[str, Tensor]) -> None:
    assert read.keys() == STATE.keys()
    for name, value in STATE.items():
        assert read[name].dtype == value.dtype and torch.equal(read[name], value), name


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_beside_foreign_objects_are_read(foreign, tmp_path, zipped):
    documents = kinds(foreign)
    for name, document in documents.items():
        torch.save(document, tmp_path / f"{name}.pth", _use_new_zipfile_serialization=zipped)
    foreign.gone()
    for name in documents:
        same(read_weights(tmp_path / f"{name}.pth"))
        assert (3, 3) in tensor_shapes(tmp_path / f"{name}.pth").values(), name
    assert not {"yacs", "omegaconf", "mmengine", "pytorch_lightning"} & set(sys.modules)


def test_arrays_without_torch_are_read(tmp_path):
    arrays = {name: value.numpy() for name, value in STATE.items()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays))
    np.savez(tmp_path / "a.npz", **arrays)
    same(read_weights(tmp_path / "a.pkl"))
    same(read_weights(tmp_path / "a.npz"))


def test_views_of_one_storage_are_read(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    views = {"a.w": whole.T, "b.w": whole[1:, ::2], "c.w": whole[:, :0], "d.w": torch.empty(3, 0)}
    torch.save(views, tmp_path / "v.pth")
    read = read_weights(tmp_path / "v.pth")
    assert torch.equal(read["a.w"], whole.T) and torch.equal(read["b.w"], whole[1:, ::2])
    assert read["c.w"].shape == read["d.w"].shape == (3, 0)


@pytest.mark.parametrize("ending", ["pth", "npz"])
def test_the_list_of_a_files_members_is_read_once_however_many_tensors_there_are(
    tmp_path, monkeypatch, ending
):
    path, state = tmp_path / f"deep.{ending}", {f"layer{n}.weight": torch.full((2,), n) for n in range(50)}
    if ending == "npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(state, path)
    opened: list[Path] = []
    start = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile, "__init__", lambda self, *a, **k: (opened.append(path), start(self, *a, **k))[1]
    )
    read = read_weights(path)
    assert len(opened) <= 2
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_pickled_module_gives_its_tensors(tmp_path, zipped):
    module = nn.Sequential(OrderedDict(backbone=nn.Conv2d(1, 2, 3), head=nn.Sequential(nn.BatchNorm1d(3))))
    beside = {"epoch": 1, "optimizer": {"state": [torch.ones(2, dtype=torch.complex64)]}}
    torch.save(beside | {"model": module}, tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
    read, state = read_weights(tmp_path / "m.pth"), module.state_dict()
    assert read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)


def test_tensors_that_need_foreign_code_are_refused_by_name(foreign, tmp_path):
    packed = foreign("quantised.tensors", "FourBits", numbers=torch.zeros(3))
    torch.save({"state_dict": {**STATE, "head.extra": packed}}, tmp_path / "q.pth")
    foreign.gone()
    with pytest.raises(
        BadInput, match=r"`head.extra` needs quantised.tensors.FourBits to be read, which could"
    ):
        read_weights(tmp_path / "q.pth")


class Call:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_that_a_checkpoint_names_is_run(tmp_path, zipped):
    proof = tmp_path / "ran"
    calls = (Call(os.mkdir, str(proof)), Call(eval, f"open({str(proof)!r}, 'w')"), Call(Path.touch, proof))
    for number, call in enumerate(calls):
        path = tmp_path / f"{number}.pth"
        torch.save({"state_dict": STATE, "meta": call}, path, _use_new_zipfile_serialization=zipped)
        if number < 2:
            with pytest.raises(
                BadInput, match=r"needs (posix|nt|builtins)\.\w+ to be read, which could run code"
            ):
                read_weights(path)
            with pytest.raises(Refused):
                tensor_shapes(path)
        else:
            same(read_weights(path))
    assert not proof.exists()


def test_what_is_no_checkpoint_says_what_it_is(tmp_path):
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(3))]).state_dict()
    files = {
        "o.pth": (optimizer, "is an optimizer's state without the network"),
        "s.pt": (
            {"learner": {"optimizer": optimizer}, "sampler": {}},
            "rest of a training's state; .*model.saf",
        ),
        "k.pth": (
            {"epoch": 3, "optimizer": optimizer},
            "holds no tensors of a network, its keys are epoch, opt",
        ),
        "m.onnx": (b"\x08\x07\x12\x07pytorch", "is an ONNX model"),
        "t.pth": (b"a" + bytes(256) + b"ustar" + bytes(300), "is a tar archive; unpack it first"),
        "h.pth": (b"\x89HDF\r\n", "is an HDF5 file"),
    }
    for name, (content, message) in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            torch.save(content, tmp_path / name)
        with pytest.raises(BadInput, match=message):
            read_weights(tmp_path / name)
    with warnings.catch_warnings(action="ignore"):
        program = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
        torch.jit.save(program, tmp_path / "j.pt")
    with pytest.raises(BadInput, match="is a TorchScript program"):
        read_weights(tmp_path / "j.pt")


def test_turned_bits_in_a_checkpoint_are_noticed(tmp_path):
    torch.save(STATE, buffer := io.BytesIO())
    whole = bytearray(buffer.getvalue())
    place = whole.index(torch.arange(24.0).numpy().tobytes()) + 5
    whole[place] ^= 4
    (tmp_path / "x.pth").write_bytes(whole)
    with pytest.raises(BadInput, match=r"cut off, damaged or no weight file .*CRC"):
        read_weights(tmp_path / "x.pth")
