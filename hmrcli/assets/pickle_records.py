"""Unpickles into inert records: what a pickle names is noted, never imported, made or called."""

import io
import pickle
from typing import Any, ClassVar

REBUILDERS = ("copy_reg._reconstructor", "copyreg._reconstructor")
"""What Python's copyreg writes for "an object of this class"."""


class Record:
    """Object that a pickle asked for, and nothing more: `name`, arguments, state, and what was put into it."""

    name = ""
    """Module and name of what was asked for."""
    args: tuple[Any, ...]
    state: Any
    pairs: dict[Any, Any]
    items: list[Any]

    def __new__(cls, *args: Any, **_: Any) -> "Record":
        """Makes what stands for the object that a class or function would make of `args`."""
        record = super().__new__(cls)
        if cls.name in REBUILDERS:
            record = args[0]() if args and is_record_class(args[0]) else record
        record.args, record.state, record.pairs, record.items = args, None, {}, []
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pairs[key] = value

    def append(self, item: Any) -> None:
        """Puts an item into it, as a list or a set takes one."""
        self.items.append(item)

    add = append

    def __call__(self, *args: Any) -> "Record":
        """Makes what stands for the result of calling it, as methods are that a pickle fetches from a class."""
        return Record(self, *args)

    def __hash__(self) -> int:
        return id(self)


def is_record_class(thing: Any) -> bool:
    """Tells whether it stands for a class or function that a pickle named."""
    return isinstance(thing, type) and issubclass(thing, Record)


class _WholeLines(io.BytesIO):
    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise EOFError("it ends early")
        return line


class Reader(pickle._Unpickler):
    """Unpickles into records. Every class it hands out is made for this file alone, so that a file cannot tamper
    with another's.

    This is the unpickler that is written in Python: the other one reserves memory for any number that a file gives
    to an entry of its memo, and cannot be kept from hashing tuples that contain themselves many times over.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def __init__(self, content: bytes) -> None:
        self.stream = _WholeLines(content)
        super().__init__(self.stream, encoding="latin1")
        self._classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for a class or function; an unpickler of one kind of file refuses what is none of it."""
        return self.record_class(f"{module}.{name}")

    def record_class(self, name: str) -> type[Record]:
        """Returns what stands for a name in this file."""
        return self._classes.setdefault(name, type("Record", (Record,), {"name": name}))


def _checked(opcode: bytes, first: int, step: int) -> None:
    """Makes the unpickler look at keys before they are hashed: all from `first` on, `step` apart."""
    load = Reader.dispatch[opcode[0]]

    def check(reader: Any) -> None:
        nested = (key for key in reader.stack[first::step] if isinstance(key, tuple | frozenset))
        if any(isinstance(part, tuple | frozenset) for key in nested for part in key):
            raise ValueError("keys that are nested")
        load(reader)

    Reader.dispatch[opcode[0]] = check


for _opcode, _first, _step in (
    (pickle.SETITEM, -2, 2),
    *((opcode, 0, 2) for opcode in (pickle.SETITEMS, pickle.DICT)),
    *((opcode, 0, 1) for opcode in (pickle.ADDITEMS, pickle.FROZENSET)),
):
    _checked(_opcode, _first, _step)
