"""Reads what `torch.save` wrote, as data: classes that a file names are never imported or made.

Training code stores configurations, callbacks and paths beside its weights. Each becomes an inert record; only the
tensors that are asked for are built, by this module, from the bytes in the file.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from hmrcli.assets.joblib_files import ArrayReader, unpacked
from hmrcli.assets.npy import open_zip, read_bytes, read_header, require_modest
from hmrcli.assets.npz import NpzFile
from hmrcli.assets.pickle_records import Record
from hmrcli.assets.pickles import plain, raw_bytes
from hmrcli.errors import BadInput
from hmrcli.files import damage, open_file

DAMAGED = "is cut off, damaged or no weight file ({}); fetch it again with `hmr download`"
_LEGACY = 0x1950A86A20F9469CFC6C
"""Number that files of torch before 1.6 begin with, pickled."""
_DTYPES = {
    **{"DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16},
    **{"BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32},
    **{"ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8},
    **{"BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64},
    "ComplexDoubleStorage": torch.complex128,
    # Parts of tensors that are not made here: quantised ones, and those of rare types.
    **{"QInt8Storage": torch.int8, "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32},
    "UntypedStorage": torch.uint8,
}
_TENSORS = {
    *(f"torch._utils._rebuild_{of}" for of in ("tensor", "tensor_v2", "parameter", "parameter_with_state")),
    "torch._tensor._rebuild_from_type_v2",
}
_HARMFUL = {
    *("os", "posix", "nt", "sys", "subprocess", "multiprocessing", "pty", "runpy", "importlib", "ctypes"),
    *("shutil", "tempfile", "socket", "urllib", "requests", "webbrowser", "commands", "pdb", "timeit"),
    *("pickle", "builtins.eval", "builtins.exec", "builtins.compile", "builtins.open"),
    *("builtins.__import__", "builtins.breakpoint", "builtins.input"),
}
"""Modules and functions that no checkpoint has a use for: who names them means harm, though here it comes to none."""
_NUMPY = (".multiarray._reconstruct", "._frombuffer")
_EXPANDED = 1 << 26
"""Numbers that a tensor may have though its file has fewer of them."""
_DEEPEST, _LOOKS = 32, 1 << 20
"""Modules inside one another, and records that are looked into at most; modules can be listed many times over."""


class Checkpoint:
    """The content of a file that `torch.save`, joblib or pickle made; nothing in it was run.

    `root` is made of plain containers and records; `entries` looks into both, and `tensor` builds what is one.
    Use in a `with` block, which keeps the file open: a network has thousands of tensors.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, of another kind, or asks for what would do harm.
    """

    def __init__(self, path: Path, damaged: str = DAMAGED) -> None:
        """Reads a file; `damaged` says in errors what it is then, with {} for the reason."""
        self.path, self._damaged = path, damaged
        self._storages: dict[str, Tensor] = {}
        self._looked = 0
        with open_file(path) as stream, damage(f"{path}: {damaged}"):
            start = stream.read(4)
            stream.seek(0)
            self._archive = open_zip(path) if start == b"PK\x03\x04" else None
            self.root = self._read_zip(self._archive) if self._archive else self._read_stream(stream.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive:
            self._archive.close()

    def entries(self, value: Any, depth: int = 0) -> Mapping[Any, Any]:
        """Returns what a mapping, or a record of one or of a module, holds by name; empty for anything else."""
        self._looked += 1 + (len(value) if isinstance(value, Mapping) else 0)
        if self._looked > _LOOKS or depth > _DEEPEST:
            raise BadInput(f"{self.path}: holds the same things too many times over to be a checkpoint")
        if not isinstance(value, Record):
            return value if isinstance(value, Mapping) else {}
        state = value.state if isinstance(value.state, dict) else {}
        if "_parameters" in state and "_modules" in state:
            found = {**self.entries(state["_parameters"]), **self.entries(state.get("_buffers"))}
            for name, module in self.entries(state["_modules"]).items():
                found |= {f"{name}.{key}": item for key, item in self.entries(module, depth + 1).items()}
            return found
        if not value.pairs and value.name == "collections.OrderedDict" and value.args:
            return dict(value.args[0])  # as Python 2 wrote them
        return value.pairs

    def tensor(self, value: Any) -> Tensor | None:
        """Builds the tensor that a value stands for; None if it is none.

        Raises:
            BadInput: it is damaged.
        """
        with damage(f"{self.path}: {self._damaged}"):
            if isinstance(value, Record) and value.name.endswith(_NUMPY):
                value = plain(value, 1 << 32)
            if isinstance(value, np.ndarray | np.generic):
                return torch.from_numpy(np.asarray(value)) if value.dtype.kind in "fiub" else None
            view = _view(value)
            if view is None:
                return None
            content = self._storage(view.storage)
            if math.prod(view.size) > max(content.numel(), _EXPANDED):
                raise ValueError(f"a tensor of shape {view.size} from {content.numel()} numbers")
            return content.as_strided(view.size, view.stride, view.storage.start + view.offset)

    def shape(self, value: Any) -> tuple[int, ...] | None:
        """Returns the shape of the tensor that a value stands for, which is not read; None if it is none."""
        with damage(f"{self.path}: {self._damaged}"):
            if view := _view(value):
                return view.size
        tensor = self.tensor(value)
        return None if tensor is None else tuple(tensor.shape)

    def needs(self, value: Any) -> str:
        """Names the foreign class or function without which numbers inside a record mean nothing; empty if none."""
        seen: set[int] = set()

        def has_numbers(item: Any) -> bool:
            if isinstance(item, _Storage) or self.shape(item) is not None:
                return True
            if id(item) in seen or len(seen) > 1000:
                return False
            seen.add(id(item))
            if isinstance(item, Record):
                return any(map(has_numbers, (item.args, item.state, item.pairs, item.items)))
            parts = item.values() if isinstance(item, dict) else item
            return isinstance(item, dict | list | tuple) and any(map(has_numbers, parts))

        return value.name if isinstance(value, Record) and has_numbers(value) else ""

    def _read_zip(self, archive: zipfile.ZipFile) -> Any:
        names = archive.namelist()
        if all(name.endswith(".npy") for name in names):
            return NpzFile(self.path)
        if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
            raise BadInput(f"{self.path}: is a TorchScript program; save the network's `state_dict` alone")
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise BadInput(f"{self.path}: is a zip archive without a checkpoint's data.pkl; unpack it first")
        self._folder = pickles[0].removesuffix("data.pkl")
        if f"{self._folder}byteorder" in names and _member(archive, f"{self._folder}byteorder") != b"little":
            raise ValueError("its bytes are in another order")
        return _Unpickler(_member(archive, pickles[0]), self.path).load()

    def _read_stream(self, content: bytes) -> Any:
        stream = io.BytesIO(content := unpacked(content))
        if packed := content.startswith(b"\x93NUMPY"):  # an object alone, as numpy.save writes it
            read_header(stream)
        reader = _Unpickler(content[stream.tell() :], self.path)
        root = reader.load()
        if packed and root.state[1] == ():
            root = root.state[4][0]
        elif isinstance(root, int) and root == _LEGACY:
            root, self._storages = _legacy(reader)
        self._storages |= reader.embedded
        return root

    def _storage(self, storage: "_Storage") -> Tensor:
        if storage.key not in self._storages:
            if not self._archive:
                raise ValueError("numbers are missing")
            info = self._archive.getinfo(f"{self._folder}data/{storage.key}")
            require_modest(info)
            with self._archive.open(info) as stream:
                self._storages[storage.key] = torch.from_numpy(read_bytes(stream, info.file_size))
                stream.read(1)  # the end of a member is where its checksum is compared
        return _typed(self._storages[storage.key], storage.dtype)


def _legacy(reader: "_Unpickler") -> tuple[Any, dict[str, Tensor]]:
    """Reads what follows the number that files of torch before 1.6 begin with: the content, and its numbers."""
    _, system, root, keys = (reader.load() for _ in range(4))
    if not system["little_endian"]:
        raise ValueError("its bytes are in another order")
    storages: dict[str, Tensor] = {}
    for key in keys:
        dtype, count = reader.dtypes[str(key)], int.from_bytes(reader.stream.read(8), "little")
        numbers = reader.stream.read(size := count * dtype.itemsize)
        if len(numbers) != size:
            raise ValueError("it ends early")
        storages[str(key)] = _typed(torch.from_numpy(np.frombuffer(numbers, np.uint8).copy()), dtype)
    return root, storages


def _typed(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Takes the same bytes as numbers of another type."""
    if numbers.dtype == dtype or not len(numbers):
        return numbers.to(dtype)
    return numbers.view(torch.uint8).view(dtype)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    require_modest(archive.getinfo(name))
    return archive.read(name)


class _Storage(NamedTuple):
    """Place of the numbers of tensors."""

    dtype: torch.dtype
    key: str
    start: int
    """In numbers, within what the file holds under that key."""


class _View(NamedTuple):
    """A tensor: numbers of a storage in a shape."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Unpickler(ArrayReader):
    dispatch: ClassVar = dict(ArrayReader.dispatch)

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(content)
        self.path = path
        self.dtypes: dict[str, torch.dtype] = {}
        self.embedded: dict[str, Tensor] = {}
        """Numbers of tensors that were pickled as others' objects are: in files within the file."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".replace("__builtin__.", "builtins.")
        if {full, module.partition(".")[0]} & _HARMFUL:
            raise BadInput(
                f"{self.path}: needs {full} to be read, which could run code, so it is refused; "
                "take a file from its publisher"
            )
        return self.record_class(full)

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # before torch 1.6: a class, with its source beside it
            return pid[1]
        kind, storage, key, _, _, *view = pid
        dtype = _DTYPES.get(storage.name.rpartition(".")[2])
        if kind != "storage" or dtype is None:
            raise ValueError(f"numbers of the kind {storage.name}")
        start = view[0][1] if view and view[0] else 0
        self.dtypes[str(key)] = dtype
        return _Storage(dtype, str(key), start)


def _view(value: Any) -> _View | None:
    """Reads what a record says of a tensor; None if it is no record of one."""
    if not isinstance(value, Record) or value.name not in _TENSORS:
        return None
    if value.name.endswith("_from_type_v2"):  # (function, type, arguments, state)
        function, kind, arguments, _ = value.args
        if not kind.name.startswith("torch.") or function.name not in _TENSORS:
            return None
        return _view(function(*arguments))
    if "parameter" in value.name:
        return _view(value.args[0])
    if any(value.args[6:]):  # conjugate or negative of what is stored
        return None
    storage, offset, size, stride, *_ = value.args
    size = tuple(size.args[0]) if isinstance(size, Record) else size
    numbers = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError("a tensor without numbers")
    if len(size) != len(stride):
        raise ValueError(f"a tensor of shape {size}")
    return _View(storage, offset, tuple(size), tuple(stride))


def _load_reduce(reader: Any) -> None:
    """Calls what the file asks to be called, which gives a record; numbers of a tensor are taken out."""
    ArrayReader.dispatch[pickle.REDUCE[0]](reader)
    made = reader.stack[-1]
    if isinstance(made, Record) and made.name == "torch.storage._load_from_bytes":
        inner = _Unpickler(raw_bytes(made.args[0]), reader.path)
        if inner.load() != _LEGACY:
            raise ValueError("numbers of an unknown layout")
        storage, storages = _legacy(inner)
        key = f"embedded {len(reader.embedded)}"
        reader.embedded[key] = storages[storage.key]
        reader.stack[-1] = storage._replace(key=key)


_Unpickler.dispatch[pickle.REDUCE[0]] = _load_reduce
