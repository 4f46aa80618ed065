"""The .npz files that `hmr eval` scores: what they may hold, their checks, and the matching of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.pickles import read_npz
from hmrcli.errors import BadInput

_FLOATS, _WHOLE, _FLAGS, _TEXT, _NAMES = "f", "iu", "biuf", "UO", "iuUO"
_KINDS = {
    _FLOATS: "floating-point numbers",
    _WHOLE: "whole numbers",
    _FLAGS: "true or false",
    _TEXT: "text",
    _NAMES: "text or whole numbers",
}


@dataclass(frozen=True)
class Key:
    """A name in a file of arrays.

    Attributes:
        shape: of the array, a number or a letter for each axis; N are the rows.
        kinds: numpy's `dtype.kind` that it may have.
        about: what it means.
    """

    name: str
    shape: tuple[int | str, ...]
    kinds: str
    about: str


KEYS = (
    Key(
        "joints3d",
        ("N", "J", 3),
        _FLOATS,
        "joints; 17 as Human3.6M's are centred on the pelvis and reduced to the 14 of the benchmarks, "
        "any other number is scored as it stands",
    ),
    Key("root", ("N", 3), _FLOATS, "point to centre joints3d on, where they are not 17"),
    Key(
        "vertices",
        ("N", "V", 3),
        _FLOATS,
        "mesh of the protocol's body; gives joints where joints3d is absent",
    ),
    Key("pose", ("N", 72), _FLOATS, "axis-angle in radians, together with betas, instead of vertices"),
    Key("betas", ("N", 10), _FLOATS, "shape"),
    Key("unit", (), _TEXT, "m (default) or mm, of joints3d, root and vertices"),
    Key("image", ("N",), _TEXT, "image of each row; rows of both files are matched by image, id, or the two"),
    Key("id", ("N",), _NAMES, "person or sample of each row"),
    Key("gender", ("N",), _TEXT, "targets: m, f or n, with pose and betas"),
    Key("valid", ("N", "J"), _FLAGS, "targets: joints that count"),
    Key("sequence", ("N",), _NAMES, "targets: one person's video; adds the acceleration error"),
    Key("frame", ("N",), _WHOLE, "targets: number of the frame; without it rows are in order"),
)
"""What the two files may hold; other names are ignored. Each needs joints3d, vertices, or pose and betas."""


@dataclass(frozen=True)
class Side:
    """One of the two files.

    Attributes:
        keys: its known arrays; lengths in metres.
        count: its rows.
    """

    path: Path
    keys: Mapping[str, NDArray[Any]]
    count: int

    @property
    def has_mesh(self) -> bool:
        """Whether it gives bodies, as vertices or parameters."""
        return "vertices" in self.keys or "pose" in self.keys


def read_side(path: Path) -> Side:
    """Reads a file's known keys and checks each by itself; nothing in the file is run.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, or a key is missing or has a wrong type, shape or value.
    """
    stored = read_npz(path)
    sizes: dict[str, int] = {}
    keys = {k.name: _checked(np.asarray(stored[k.name]), k, sizes, path) for k in KEYS if k.name in stored}
    if ("pose" in keys) != ("betas" in keys):
        absent = "betas" if "pose" in keys else "pose"
        raise BadInput(f"{path}: key {absent} is missing; pose and betas go together")
    if not {"joints3d", "vertices", "pose"} & keys.keys():
        has = ", ".join(sorted(stored)) or "none"
        raise BadInput(f"{path}: expected key joints3d, vertices, or pose and betas; the file has {has}")
    if "gender" in keys:
        _check_genders(keys["gender"], path)
    unit = str(keys.pop("unit", np.array("m")))
    if unit not in ("m", "mm"):
        raise BadInput(f"{path}: key unit is {unit!r}, expected 'm' or 'mm'")
    for name in [name for name in ("joints3d", "root", "vertices") if name in keys]:
        if unit == "mm":
            keys[name] = keys[name] / 1000
        if name != "root":
            _check_unit(keys[name], name, unit, path)
    return Side(path, keys, sizes["N"])


def _checked(array: NDArray[Any], key: Key, sizes: dict[str, int], path: Path) -> NDArray[Any]:
    """An array of the kind and shape of its key; `sizes` holds what letters stand for so far."""
    if array.dtype.kind not in key.kinds:
        raise BadInput(f"{path}: key {key.name} has type {array.dtype}, expected {_KINDS[key.kinds]}")
    known = {str(n): sizes.get(n) if isinstance(n, str) else n for n in key.shape}
    if array.ndim != len(key.shape) or any(
        have == 0 or known[str(n)] not in (have, None) for n, have in zip(key.shape, array.shape)
    ):
        wanted = ", ".join(f"{n}={sizes[n]}" if n in sizes else str(n) for n in map(str, key.shape))
        raise BadInput(f"{path}: key {key.name} has shape {array.shape}, expected ({wanted})")
    sizes |= {n: have for n, have in zip(key.shape, array.shape) if isinstance(n, str)}
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        row = np.flatnonzero(~finite.reshape(len(array), -1).all(1))[0]
        raise BadInput(f"{path}: key {key.name}, row {row} holds values that are not finite")
    if array.dtype.kind == "O":
        return _words(array, key, path)
    return array.astype(np.float64) if array.dtype == np.longdouble else array  # which torch does not know


def _words(array: NDArray[Any], key: Key, path: Path) -> NDArray[Any]:
    """Text that was stored as objects."""
    for row, value in enumerate(array.flat):
        if not isinstance(value, str):
            raise BadInput(f"{path}: key {key.name}, row {row} is {type(value).__name__}, expected text")
    return array.astype(str)


def _check_genders(genders: NDArray[Any], path: Path) -> None:
    allowed = ("m", "male", "f", "female", "n", "neutral")
    for row, word in enumerate(genders):
        if word.lower() not in allowed:
            raise BadInput(f"{path}: key gender, row {row} is {str(word)!r}, expected {', '.join(allowed)}")


def _check_unit(points: NDArray[Any], name: str, unit: str, path: Path) -> None:
    """Refuses people as large as a house or as small as a thumb: a wrong unit makes every figure wrong."""
    span = float(np.median((points.max(1) - points.min(1)).max(1)))
    if span > 20 or 0 < span < 0.02:
        other = {"m": "mm", "mm": "m"}[unit]
        raise BadInput(
            f"{path}: key {name} read in {unit} makes people of {span:.3g} m; "
            f"if it is in {other}, store unit='{other}' in the file"
        )


def matched(ours: Side, theirs: Side) -> tuple[Side, list[str]]:
    """The predictions in the order of the targets, by image and id where both files have them.

    Returns:
        the predictions' rows that have a target, and notes for the result.

    Raises:
        BadInput: a name is there twice, a target has no prediction, or nothing names the rows and counts differ.
    """
    names = [name for name in ("image", "id") if name in ours.keys and name in theirs.keys]
    if not names:
        if ours.count != theirs.count:
            raise BadInput(
                f"{ours.path} has {ours.count} rows and {theirs.path} has {theirs.count}; "
                "store image or id in both files to match them"
            )
        return ours, []
    places, wanted = _places(ours, names), _places(theirs, names)
    for label, row in wanted.items():
        if label not in places:
            raise BadInput(
                f"{ours.path}: no row has {_named(names, label)}, as row {row} of {theirs.path} has"
            )
    order = np.array([places[label] for label in wanted])
    spare = ours.count - theirs.count
    notes = [f"{spare} predictions have no target and were left out"] if spare else []
    return replace(ours, keys={k: v[order] for k, v in ours.keys.items()}, count=theirs.count), notes


def _places(side: Side, names: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Row of each label; dictionaries keep the order of the rows."""
    places: dict[tuple[str, ...], int] = {}
    for row, label in enumerate(zip(*(side.keys[name].astype(str).tolist() for name in names))):
        if label in places:
            raise BadInput(f"{side.path}: rows {places[label]} and {row} both have {_named(names, label)}")
        places[label] = row
    return places


def _named(names: Sequence[str], label: tuple[str, ...]) -> str:
    return " and ".join(f"{name} {value}" for name, value in zip(names, label))
