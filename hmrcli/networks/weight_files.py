"""Weight files, read without running any code of theirs and written so that half a file never has the name.

| layout | outer keys | names |
|---|---|---|
| this project | safetensors | those of the network |
| mmhuman3d | `state_dict` | `backbone.*`, `head.*`, also `disc.*` and `body_model*` |
| SPIN | `model` | flat: `fc*`, `dec*`, `init_*` of the head, the rest of the backbone |
| GraphCMR | `graph_cnn`, `smpl_param_regressor` | each a flat dict |
| PARE | `state_dict` (Lightning) | prefix `model.` |
| Graphormer | none | those of the network |
"""

import os
import pickletools
import re
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from hmrcli.errors import BadInput, MissingFile

_WRAPPERS = ("module.", "model.")
_FOREIGN = ("disc.", "body_model", "smpl.", "smplx.", "criterion.", "loss")
"""Entries beside the network in published files: discriminator, body model, losses."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The network's tensors in a file of any layout above.

    Returns:
        Tensors on the CPU by name, without the prefixes `module.` and `model.`; optimiser, discriminator and
        body model are left out. GraphCMR's two parts keep their outer key as a prefix.

    Raises:
        MissingFile: there is no such file.
        BadInput: the file is damaged, is no weight file, or would run code.
    """
    document = _open(path)
    if "graph_cnn" in document and "smpl_param_regressor" in document:
        parts = [(f"{part}.", document[part]) for part in ("graph_cnn", "smpl_param_regressor")]
    else:
        parts = [("", document.get("state_dict", document.get("model", document)))]
    state = {}
    for prefix, part in parts:
        for name, tensor in _mapping(path, part).items():
            if isinstance(name, str) and isinstance(tensor, Tensor):
                state[prefix + _unwrap(name)] = tensor
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_FOREIGN)}
    if not state:
        raise BadInput(f"{path}: holds no tensors under `state_dict`, `model` or at the top; {_NOT_WEIGHTS}")
    return state


def write_weights(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes safetensors under a temporary name in the same folder, then renames.

    Args:
        state: tensors by name, on any device.
        path: the file to write; its folder must exist.
        metadata: strings for the file's header.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        safetensors.torch.save_file(tensors, temporary, metadata=dict(metadata))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_NOT_WEIGHTS = "it is no weight file of a network; `hmr download --list` shows the published ones"


def _open(path: Path) -> Mapping[Any, Any]:
    if not path.is_file():
        raise MissingFile(f"{path} is missing; `hmr download --list` shows the published weights")
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:1] == b"<":
        raise BadInput(
            f"{path}: is a web page, not weights; delete it and fetch it again with `hmr download`"
        )
    try:
        if path.suffix == ".safetensors" or head[8:9] == b"{":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):  # the refusal below says all
            document = torch.load(path, map_location="cpu", weights_only=True)
        return _mapping(path, document)
    except BadInput:
        raise
    except Exception as error:  # a damaged or hostile file can fail in any way
        raise BadInput(f"{path}: {_why_unreadable(path, error)}") from error


def _mapping(path: Path, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{path}: expected a dict of tensors, found {type(value).__name__}; {_NOT_WEIGHTS}")
    return value


def _unwrap(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _why_unreadable(path: Path, error: Exception) -> str:
    unsafe = _unsafe_globals(path, str(error))
    if unsafe:
        return (
            f"needs {', '.join(unsafe)} to be read, which could run code, so it is refused; "
            "where you trust it, save its `state_dict` alone and load that"
        )
    return "is cut off, damaged or no weight file; fetch it again with `hmr download`"


def _unsafe_globals(path: Path, message: str) -> list[str]:
    """What a refused pickle wanted to import; found without running it."""
    try:
        if zipfile.is_zipfile(path):
            return torch.serialization.get_unsafe_globals_in_checkpoint(path)
        return re.findall(r"GLOBAL (\S+) (?:was|whose)", message) or _pickled_globals(path.read_bytes())
    except Exception:  # damaged beyond listing
        return []


def _pickled_globals(data: bytes) -> list[str]:
    names: list[str] = []
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            names.append(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.append(".".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return names
