"""The .npz files that `hmr eval` scores: what they may hold, their checks, and the matching of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput
from hmrcli.evaluation.truth import extent

_FLOATS, _WHOLE, _FLAGS, _TEXT, _NAMES = "f", "iu", "biuf", "US", "iuUS"
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
        others: names that it has in other systems' files.
    """

    name: str
    shape: tuple[int | str, ...]
    kinds: str
    about: str
    others: tuple[str, ...] = ()


KEYS = (
    Key(
        "joints3d",
        ("N", "J", 3),
        _FLOATS,
        "joints; 17 as Human3.6M's are centred on the pelvis and reduced to the 14 of the benchmarks, "
        "any other number is scored as it stands; a fourth number is a confidence, and 0 means absent in targets",
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
    Key(
        "image",
        ("N",),
        _TEXT,
        "image of each row; rows of both files are matched by image, id, or the two",
        ("image_path", "imgname"),
    ),
    Key("id", ("N",), _NAMES, "person or sample of each row", ("index",)),
    Key("gender", ("N",), _TEXT, "targets: m, f or n, with pose and betas"),
    Key("valid", ("N", "J"), _FLAGS, "targets: joints that count"),
    Key("sequence", ("N",), _NAMES, "targets: one person's video; adds the acceleration error"),
    Key("frame", ("N",), _WHOLE, "targets: number of the frame; without it rows are in order"),
)
"""What the two files may hold; other names are ignored. Each needs joints3d, vertices, or pose and betas."""
_POINTS = ("joints3d", "root", "vertices")
PLAUSIBLE = (0.2, 10.0)
"""Metres that people of any system measure in the median; of another size, their unit is wrong."""


@dataclass(frozen=True)
class Side:
    """One of the two files.

    Attributes:
        keys: its known arrays; lengths in metres. Values may be not finite where rows or joints do not count.
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
    keys: dict[str, NDArray[Any]] = {}
    for key in KEYS:
        if found := [name for name in (key.name, *key.others) if name in stored]:
            array = _unpacked(np.asarray(stored[found[0]]), key, path)
            if key.name == "joints3d" and array.ndim == 3 and array.shape[2] == 4:
                array, keys["confidence"] = array[..., :3], array[..., 3]
            keys[key.name] = _checked(array, key, sizes, path)
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
    for name in [name for name in _POINTS if name in keys]:
        if name != "vertices":  # few, and offsets are taken from them
            keys[name] = keys[name].astype(np.float64)
        if unit == "mm":
            keys[name] = keys[name] / 1000
        if name != "root":
            _check_unit(keys[name], name, unit, path)
    return Side(path, keys, sizes["N"])


def _unpacked(array: NDArray[Any], key: Key, path: Path) -> NDArray[Any]:
    """An array of numbers or text, where it was stored as objects or bytes."""
    where = f"{path}: key {key.name}"
    if array.dtype.kind == "O":
        if key.kinds in (_TEXT, _NAMES):
            allowed = (str, bytes) if key.kinds == _TEXT else (str, bytes, int, np.integer)
            for row, value in enumerate(array.flat):
                if not isinstance(value, allowed):
                    raise BadInput(f"{where}, row {row} is {type(value).__name__}, expected text")
        try:
            array = np.array(array.tolist())
        except ValueError:
            raise BadInput(f"{where} has rows of different shapes, expected one array") from None
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{where}: expected UTF-8 text") from None
    return array


def _checked(array: NDArray[Any], key: Key, sizes: dict[str, int], path: Path) -> NDArray[Any]:
    """An array of the kind and shape of its key; `sizes` holds what letters stand for so far."""
    if array.dtype.kind not in key.kinds:
        raise BadInput(f"{path}: key {key.name} has type {array.dtype}, expected {_KINDS[key.kinds]}")
    known = {str(n): sizes.get(n) if isinstance(n, str) else n for n in key.shape}
    if key.shape and array.ndim and not len(array):
        raise BadInput(f"{path}: key {key.name} has shape {array.shape}: there are no rows to score")
    if array.ndim != len(key.shape) or any(
        have == 0 or known[str(n)] not in (have, None) for n, have in zip(key.shape, array.shape)
    ):
        wanted = ", ".join(f"{n}={sizes[n]}" if n in sizes else str(n) for n in map(str, key.shape))
        raise BadInput(f"{path}: key {key.name} has shape {array.shape}, expected ({wanted})")
    sizes |= {n: have for n, have in zip(key.shape, array.shape) if isinstance(n, str)}
    return array.astype(np.float64) if array.dtype == np.longdouble else array  # which torch does not know


def _check_genders(genders: NDArray[Any], path: Path) -> None:
    allowed = ("m", "male", "f", "female", "n", "neutral")
    for row, word in enumerate(genders):
        if word.lower() not in allowed:
            raise BadInput(f"{path}: key gender, row {row} is {str(word)!r}, expected {', '.join(allowed)}")


def _check_unit(points: NDArray[Any], name: str, unit: str, path: Path) -> None:
    """Refuses people as large as a house or as small as a thumb: a wrong unit makes every figure wrong."""
    finite = np.isfinite(points).all(-1)
    span = extent(points, None if finite.all() else finite)
    if not (span == 0 or PLAUSIBLE[0] <= span <= PLAUSIBLE[1]):
        other = {"m": "mm", "mm": "m"}[unit]
        raise BadInput(
            f"{path}: key {name} read in {unit} makes people of {span:.3g} m; "
            f"if it is in {other}, store unit='{other}' in the file"
        )


@dataclass(frozen=True)
class Matched:
    """Predictions in the order of the targets.

    Attributes:
        side: the predictions; rows that were not found hold another's values.
        found: (N,) whether a target has a prediction.
        spare: predictions without a target.
    """

    side: Side
    found: NDArray[np.bool_]
    spare: int = 0


def matched(ours: Side, theirs: Side, allow_missed: bool = False) -> Matched:
    """The predictions in the order of the targets, by image and id where both files have them.

    Args:
        allow_missed: targets may have no prediction, or one of NaN alone.

    Raises:
        BadInput: a name is there twice, a target has no prediction, or nothing names the rows and counts differ.
    """
    names = [name for name in ("image", "id") if name in ours.keys and name in theirs.keys]
    if all(np.array_equal(ours.keys[name].astype(str), theirs.keys[name].astype(str)) for name in names):
        names = []  # rows are in order, of which several may have one name
    found, order = np.ones(theirs.count, bool), np.arange(theirs.count)
    if names:
        places, wanted = _places(ours, names), _places(theirs, names)
        for label, row in wanted.items():
            if label in places:
                order[row] = places[label]
            elif allow_missed:
                found[row], order[row] = False, 0
            else:
                raise BadInput(
                    f"{ours.path}: no row has {_named(names, label)}, as row {row} of {theirs.path} has; "
                    "--allow-missed scores the others and states the recall"
                )
    elif ours.count != theirs.count:
        raise BadInput(
            f"{ours.path} has {ours.count} rows and {theirs.path} has {theirs.count}; "
            "store image or id in both files to match them"
        )
    spare = ours.count - int(found.sum())
    side = replace(ours, keys={k: v[order] for k, v in ours.keys.items()}, count=theirs.count)
    if allow_missed:
        for name in ("joints3d", "vertices", "pose"):
            if name in side.keys:
                found &= ~np.isnan(side.keys[name].reshape(side.count, -1)).all(1)
    if not found.any():
        raise BadInput(f"{ours.path}: no row is a prediction of a target of {theirs.path}")
    return Matched(side, found, spare)


def _places(side: Side, names: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Row of each label; dictionaries keep the order of the rows."""
    places: dict[tuple[str, ...], int] = {}
    for row, label in enumerate(zip(*(side.keys[name].astype(str).tolist() for name in names))):
        if label in places:
            other = " or ".join(name for name in ("image", "id") if name not in names)
            raise BadInput(
                f"{side.path}: rows {places[label]} and {row} both have {_named(names, label)}"
                + (f"; store {other} in both files, too" if other else "")
            )
        places[label] = row
    return places


def _named(names: Sequence[str], label: tuple[str, ...]) -> str:
    return " and ".join(f"{name} {value}" for name, value in zip(names, label))
