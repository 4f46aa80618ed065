"""The files that `hmr eval` scores: what they may hold, their checks, and the matching of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import H36M
from hmrcli.errors import BadInput
from hmrcli.evaluation.protocols import SCORED
from hmrcli.evaluation.systems import read_results
from hmrcli.evaluation.targets import extent

_FLOATS, _WHOLE, _FLAGS, _TEXT, _NAMES = "f", "iu", "biuf", "US", "iuUS"
_KINDS = {
    _FLOATS: "floating-point numbers",
    _WHOLE: "whole numbers",
    _FLAGS: "true or false",
    _TEXT: "text",
    _NAMES: "text or whole numbers",
}
_OBJECTS = {_TEXT: (str, bytes), _NAMES: (str, bytes, int, np.integer)}
"""Types that an array of objects may hold."""


class Key(NamedTuple):
    """A name in a file of arrays."""

    name: str
    shape: tuple[int | str, ...]
    """A number or a letter for each axis; N are the rows."""
    kinds: str
    """numpy's `dtype.kind` that it may have."""
    others: tuple[str, ...] = ()
    """Names that it has in other systems' files."""


KEYS = (
    Key("joints3d", ("N", "J", 3), _FLOATS),  # a fourth number is a confidence
    Key("root", ("N", 3), _FLOATS),
    Key("vertices", ("N", "V", 3), _FLOATS),
    Key("pose", ("N", 72), _FLOATS),
    Key("betas", ("N", 10), _FLOATS),
    Key("unit", (), _TEXT),
    Key("image", ("N",), _TEXT, ("image_path", "imgname")),
    Key("id", ("N",), _NAMES, ("index",)),
    Key("gender", ("N",), _TEXT),
    Key("valid", ("N", "J"), _FLAGS),
    Key("sequence", ("N",), _NAMES),
    Key("frame", ("N",), _WHOLE),
)
"""Keys that the two files may hold, as docs/results.md explains; other names are ignored."""
_GENDERS = ("m", "male", "f", "female", "n", "neutral")
PLAUSIBLE = (0.2, 10.0)
"""Metres that people of any system measure in the median; of another size, their unit is wrong."""


@dataclass(frozen=True)
class Side:
    """One of the two files, its body and notes as of `systems.Found`.

    Attributes:
        keys: its known arrays; lengths in metres. Values may be not finite where rows or joints do not count.
        count: its rows.
    """

    path: Path
    keys: Mapping[str, NDArray[Any]]
    count: int
    body: str = ""
    notes: tuple[str, ...] = ()

    @property
    def has_mesh(self) -> bool:
        """True where it gives bodies, as vertices or parameters."""
        return "vertices" in self.keys or "pose" in self.keys

    @property
    def is_whole(self) -> bool:
        """True where its joints are Human3.6M's 17, of which some are scored; those of meshes are."""
        return "joints3d" not in self.keys or self.keys["joints3d"].shape[1] == len(H36M.names)

    @property
    def scored(self) -> int:
        """Returns the number of joints that it gives to be scored."""
        return len(SCORED) if self.is_whole else self.keys["joints3d"].shape[1]

    def refused(self, key: str, text: str) -> BadInput:
        """Returns the error that names the file and a key of it."""
        return BadInput(f"{self.path}: key {key}{text}")


def read_side(path: Path, person: str | None = None) -> Side:
    """Reads a file's known keys and checks each by itself; nothing in the file is run.

    Args:
        path: of arrays, or of what a known system left (`systems`).
        person: keep the rows of this `id` alone.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, or a key is missing or has a wrong type, shape or value, or nobody has that id.
    """
    stored, body, notes = read_results(path)
    sizes: dict[str, int] = {}
    keys: dict[str, NDArray[Any]] = {}
    side = Side(path, keys, 0, body, notes)
    for key in KEYS:
        found = next((stored[name] for name in (key.name, *key.others) if name in stored), None)
        if found is not None:
            array = _unpacked(np.asarray(found), key, side)
            if key.name == "joints3d" and array.ndim == 3 and array.shape[2] == 4:
                array, keys["confidence"] = array[..., :3], array[..., 3]
            _check(array, key, sizes, side)
            # torch does not know extended precision
            keys[key.name] = array.astype(np.float64) if array.dtype == np.longdouble else array
    for present, absent in (("pose", "betas"), ("betas", "pose")):
        if present in keys and absent not in keys:
            raise side.refused(absent, " is missing; pose and betas go together")
    if not (side.has_mesh or "joints3d" in keys):
        has = ", ".join(sorted(stored)) or "none"
        raise BadInput(f"{path}: expected key joints3d, vertices, or pose and betas; the file has {has}")
    for row, word in enumerate(keys.get("gender", ())):
        if word.lower() not in _GENDERS:
            raise side.refused("gender", f", row {row} is {str(word)!r}, expected {', '.join(_GENDERS)}")
    _to_metres(keys, side)
    side = replace(side, count=sizes["N"])
    return side if person is None else _of_person(side, person)


def _of_person(side: Side, person: str) -> Side:
    """Returns the rows of one `id`, which then need no name."""
    if "id" not in side.keys:
        raise side.refused("id", f" is missing, so that --person {person} cannot be told apart")
    ids = side.keys["id"].astype(str)
    if not (chosen := ids == person).any():
        known = ", ".join(sorted(set(ids.tolist()))[:20])
        raise side.refused("id", f" has no {person}; there are {known}")
    keys = {name: value[chosen] for name, value in side.keys.items() if name != "id"}
    return replace(side, keys=keys, count=int(chosen.sum()))


def _unpacked(array: NDArray[Any], key: Key, side: Side) -> NDArray[Any]:
    """Returns an array of numbers or text, where it was stored as objects or bytes."""
    if array.dtype.kind == "O":
        for row, value in enumerate(array.flat):
            if not isinstance(value, _OBJECTS.get(key.kinds, object)):
                raise side.refused(key.name, f", row {row} is {type(value).__name__}, expected text")
        try:
            array = np.array(array.tolist())
        except ValueError:
            raise side.refused(key.name, " has rows of different shapes, expected one array") from None
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError:
        raise side.refused(key.name, ": expected UTF-8 text") from None


def _check(array: NDArray[Any], key: Key, sizes: dict[str, int], side: Side) -> None:
    """Refuses an array that has not the kind and shape of its key; `sizes` holds what letters stand for so far."""
    if array.dtype.kind not in key.kinds:
        raise side.refused(key.name, f" has type {array.dtype}, expected {_KINDS[key.kinds]}")
    if key.shape and array.ndim and not len(array):
        raise side.refused(key.name, f" has shape {array.shape}: there are no rows to score")
    wanted = [sizes.get(n) if isinstance(n, str) else n for n in key.shape]
    fits = all(have and want in (have, None) for want, have in zip(wanted, array.shape))
    if array.ndim != len(key.shape) or not fits:
        shape = ", ".join(f"{n}={sizes[n]}" if n in sizes else str(n) for n in map(str, key.shape))
        raise side.refused(key.name, f" has shape {array.shape}, expected ({shape})")
    sizes |= {n: have for n, have in zip(key.shape, array.shape) if isinstance(n, str)}


def _to_metres(keys: dict[str, NDArray[Any]], side: Side) -> None:
    """Converts what is stored in mm; refuses people as large as a house or as small as a thumb: their unit is wrong."""
    unit = str(keys.pop("unit", np.array("m")))
    if unit not in ("m", "mm"):
        raise side.refused("unit", f" is {unit!r}, expected 'm' or 'mm'")
    for name in [name for name in ("joints3d", "root", "vertices") if name in keys]:
        if name != "vertices":  # few, and offsets are taken from them
            keys[name] = keys[name].astype(np.float64)
        if unit == "mm":
            keys[name] = keys[name] / 1000
        finite = np.isfinite(keys[name]).all(-1)
        size = 0 if name == "root" else extent(keys[name], None if finite.all() else finite)
        if not (size == 0 or PLAUSIBLE[0] <= size <= PLAUSIBLE[1]):
            other = "mm" if unit == "m" else "m"
            raise side.refused(
                name,
                f" read in {unit} makes people of {size:.3g} m; if it is in {other}, store unit='{other}' in the file",
            )


class Matched(NamedTuple):
    """Predictions in the order of the targets."""

    side: Side
    """The predictions; rows that were not found hold another's values."""
    found: NDArray[np.bool_]
    """(N,) whether a target has a prediction."""
    spare: int
    """Predictions without a target."""

    @property
    def recall(self) -> str:
        """Says how many people were found, as AGORA states it beside errors (Patel et al., CVPR 2021)."""
        found, count = int(self.found.sum()), len(self.found)
        recall, precision = found / count, found / (found + self.spare)
        score = 2 * recall * precision / (recall + precision)
        return (
            f"{found} of {count} targets have a prediction: recall {100 * recall:.1f} %, precision "
            f"{100 * precision:.1f} % ({self.spare} predictions have no target), F1 {score:.3f}. Errors are of those "
            "found alone; AGORA's NMJE is MPJPE divided by F1"
        )


def matched(ours: Side, theirs: Side, allow_missed: bool = False) -> Matched:
    """Brings the predictions into the order of the targets, by image and id where both files have them.

    Without images, rows are matched by the numbers of frames, where both have those.

    Args:
        allow_missed: targets may have no prediction, or one of NaN alone.

    Raises:
        BadInput: a name is there twice, a target has no prediction, or nothing names the rows and counts differ.
    """
    both = ours.keys.keys() & theirs.keys.keys()
    names = [name for name in ("image" if "image" in both else "frame", "id") if name in both]
    if all(np.array_equal(ours.keys[name].astype(str), theirs.keys[name].astype(str)) for name in names):
        names = []  # rows are in order, of which several may have one name
    found, order = np.ones(theirs.count, bool), np.arange(theirs.count)
    if names:
        places = _places(ours, names)
        for label, row in _places(theirs, names).items():
            found[row], order[row] = label in places, places.get(label, 0)
            if not (found[row] or allow_missed):
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
    for name in {"joints3d", "vertices", "pose"} & side.keys.keys() if allow_missed else ():
        found &= ~np.isnan(side.keys[name].reshape(side.count, -1)).all(1)
    if not found.any():
        raise BadInput(f"{ours.path}: no row is a prediction of a target of {theirs.path}")
    return Matched(side, found, spare)


def _places(side: Side, names: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Returns the row of each label, in the order of the rows."""
    places: dict[tuple[str, ...], int] = {}
    for row, label in enumerate(zip(*(side.keys[name].astype(str).tolist() for name in names))):
        if label in places:
            says = f"{side.path}: rows {places[label]} and {row} both have {_named(names, label)}"
            if other := " or ".join(name for name in ("image", "id") if name not in names):
                says += f"; store {other} in both files, too"
            if "id" in side.keys and "id" not in names:
                says += "; --person ID takes one person of the predictions"
            raise BadInput(says)
        places[label] = row
    return places


def _named(names: Sequence[str], label: tuple[str, ...]) -> str:
    return " and ".join(f"{name} {value}" for name, value in zip(names, label))
