"""Checks that a file holds what it should, by its format and without running any code from it."""

from collections.abc import Mapping
from pathlib import Path

from hmrcli.assets.npy import read_header
from hmrcli.assets.npz import NpzFile
from hmrcli.assets.pickles import read_pickle
from hmrcli.assets.registry import Check
from hmrcli.errors import BadInput, Refused
from hmrcli.files import damage

_MOST_TENSORS, _DEEPEST = 1 << 16, 32
_WRAPPERS = ("state_dict.", "model.", "module.", "backbone.")


def check_structure(path: Path, suffix: str, check: Check) -> None:
    """Raises Refused for a file, of whatever name for now, that is damaged or another thing than it should be.

    `suffix`, that of its final name, tells the format.
    """
    with path.open("rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise Refused("it is a web page, not the file")
    try:
        if suffix in (".pth", ".pt", ".bin"):
            _require_tensors(tensor_shapes(path), check)
        elif suffix == ".npz":
            _require_arrays(_npz_shapes(path), check)
        elif suffix == ".npy":
            _check_npy(path, check)
        elif suffix == ".pkl":
            content = read_pickle(path)
            if not isinstance(content, dict):
                raise Refused(f"it holds a {type(content).__name__}, expected a dictionary")
            _require_arrays({name: getattr(value, "shape", ()) for name, value in content.items()}, check)
    except BadInput as error:
        why = str(error).replace(f"{path}: field", "its field").replace(f"{path}: ", "it is ")
        raise Refused(why.replace(str(path), "it")) from error


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Returns names and shapes of the tensors in a checkpoint, without the wrappers that training code adds.

    Nested dictionaries give dotted names, of which the leading `_WRAPPERS` are left out. The tensors themselves are
    not read into memory.

    Raises:
        Refused: not a checkpoint, or one without tensors.
    """
    from hmrcli.assets.checkpoints import Checkpoint

    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with Checkpoint(path) as stored:
            left = [("", stored.root)]
            while left and len(shapes) < _MOST_TENSORS:
                name, value = left.pop()
                if (shape := stored.shape(value)) is not None:
                    shapes[_unwrapped(name)] = shape
                elif name.count(".") < _DEEPEST:
                    inner = stored.entries(value).items()
                    left += [(f"{name}.{key}" if name else str(key), item) for key, item in inner]
    except BadInput as error:
        why = str(error).replace(f"{path}: ", "")
        raise Refused(f"it cannot be read as network weights ({why})") from error
    if not shapes:
        raise Refused("it holds no tensors")
    return shapes


def _unwrapped(name: str) -> str:
    while wrapper := next((prefix for prefix in _WRAPPERS if name.startswith(prefix)), None):
        name = name.removeprefix(wrapper)
    return name


def _require_tensors(shapes: Mapping[str, tuple[int, ...]], check: Check) -> None:
    for name, shape in check.tensors.items():
        if name not in shapes:
            found = f"no {name} among {len(shapes)} tensors ({next(iter(shapes))}, …)"
            raise Refused(f"it holds another network: {found}")
        if shapes[name] != shape:
            raise Refused(f"it holds another network: {name} is {shapes[name]}, expected {shape}")


def _npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with NpzFile(path) as stored, damage("it is not a whole npz file ({})"):
        if damaged := stored.first_damage():
            raise ValueError(f"{damaged} does not match its checksum")
        return {name: stored.header(name).shape for name in stored}


def _check_npy(path: Path, check: Check) -> None:
    with path.open("rb") as file, damage("it is cut short or no npy file ({})"):
        shape = read_header(file, path.stat().st_size).shape
    if check.shape:
        _require_shape("its array", shape, check.shape)


def _require_arrays(shapes: Mapping[str, tuple[int, ...]], check: Check) -> None:
    if lacking := [name for name in check.arrays if name not in shapes]:
        raise Refused(f"it lacks {', '.join(lacking)}")
    for name, expected in check.arrays.items():
        if expected:
            _require_shape(name, shapes[name], expected)


def _require_shape(name: str, shape: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    if len(shape) != len(expected) or any(e not in (None, n) for e, n in zip(expected, shape, strict=True)):
        text = ", ".join("any" if n is None else str(n) for n in expected)
        raise Refused(f"{name} is {shape}, expected ({text})")
