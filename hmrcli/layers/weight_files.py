"""Weight files, read without running any code of theirs and written so that half a file never has the name.

| layout | outer keys | names |
|---|---|---|
| this project | safetensors | those of the network |
| mmhuman3d | `state_dict` | `backbone.*`, `head.*`, also `disc.*` and `body_model*` |
| SPIN | `model` | flat: `fc*`, `dec*`, `init_*` of the head, the rest of the backbone |
| GraphCMR | `graph_cnn`, `smpl_param_regressor` | each a flat dict |
| PARE | `state_dict` (Lightning) | prefix `model.` |
| Graphormer | none | those of the network |
| others | `model_state_dict`, `network`, `ema`, …, one within another | also `_orig_mod.`, `network.` |
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from hmrcli.assets.checkpoints import DAMAGED, Checkpoint
from hmrcli.assets.pickle_records import Record
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import damage, whole_file

_KEYS = ("state_dict", "model_state_dict", "model", "network", "net", "module", "weights", "params", "state_dict_ema",
         "model_ema", "ema")  # fmt: skip
"""Keys that the state lies under, the first of them first."""
_BESIDE = {"optimizer", "optimizer_states", "optimizers", "optimizer_state_dict", "optim", "scheduler", "lr_schedulers",
           "lr_scheduler", "callbacks", "loops", "scaler", "amp", "hyper_parameters", "meta", "args", "config",
           "discriminator", "learner", "sampler", "state", "param_groups"}  # fmt: skip
"""Keys of what lies beside the network."""
_WRAPPINGS = 6
_WRAPPERS = ("module.", "model.", "network.", "net.")
_INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Words that torch puts into names, at any place, for compiled, sharded and recomputed modules."""
_FOREIGN = ("disc.", "body_model", "smpl.", "smplx.", "criterion.", "loss")
"""Entries beside the network in published files: discriminator, body model, losses."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the network's tensors from a file of any layout above.

    Returns:
        Tensors on the CPU by name, without the prefixes that training code adds; optimiser, discriminator and
        body model are left out. Parts that lie beside one another keep their outer keys as prefixes.

    Raises:
        MissingFile: there is no such file.
        BadInput: the file is damaged, is no weight file, or its tensors need code of others to be made.
    """
    if not path.is_file():
        raise MissingFile(f"{path} is missing; `hmr download --list` shows the published weights")
    with path.open("rb") as file:
        head = file.read(512)
    if what := _another_kind(head, path.suffix):
        raise BadInput(f"{path}: {what}")
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        with damage(f"{path}: {DAMAGED}"):
            return _named(safetensors.torch.load_file(path))
    with Checkpoint(path) as stored:
        return _state(stored)


def _state(stored: Checkpoint) -> dict[str, Tensor]:
    path = stored.path
    if not (isinstance(stored.root, Mapping) or stored.entries(stored.root)):
        found = stored.root.name if isinstance(stored.root, Record) else type(stored.root).__name__
        raise BadInput(f"{path}: expected a dict of tensors, found {found}; {_NOT_WEIGHTS}")
    state = {}
    for name, value in _flat(stored, stored.root):
        if (tensor := stored.tensor(value)) is not None:
            state[name] = tensor
        elif foreign := stored.needs(value):
            raise BadInput(
                f"{path}: `{name}` needs {foreign} to be read, which could run code, so it is refused; "
                "where you trust it, save its `state_dict` as plain tensors and load that"
            )
    if state := _named(state):
        return state
    keys = {key for key in stored.entries(stored.root) if isinstance(key, str)}
    if {"learner", "sampler"} <= keys:
        raise BadInput(
            f"{path}: is the rest of a training's state; the network is in model.safetensors beside it"
        )
    if {"state", "param_groups"} <= keys:
        raise BadInput(f"{path}: is an optimizer's state without the network; {_NOT_WEIGHTS}")
    shown = ", ".join(sorted(keys)[:8]) or "nothing"
    raise BadInput(f"{path}: holds no tensors of a network, its keys are {shown}; {_NOT_WEIGHTS}")


def _flat(stored: Checkpoint, value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of the network's state: below the wrapping keys, and with the names of parts as prefixes."""
    for _ in range(_WRAPPINGS):
        entries = {key: item for key, item in stored.entries(value).items() if isinstance(key, str)}
        if any(stored.shape(item) is not None and "." in key for key, item in entries.items()):
            break
        parts = {key: item for key, item in entries.items() if key not in _BESIDE and _holds(stored, item)}
        alone = next(iter(parts)) if len(parts) == 1 and "graph_cnn" not in parts else None
        inner = next((key for key in _KEYS if key in parts), alone)
        if inner is None:
            for key, part in sorted(parts.items()):
                for name, item in stored.entries(part).items():
                    yield f"{key}.{_unwrap(str(name))}", item
            entries = {key: item for key, item in entries.items() if key not in parts}
            break
        value = parts[inner]
    yield from ((key, item) for key, item in entries.items() if key not in _BESIDE)


def _holds(stored: Checkpoint, value: Any, depth: int = 0) -> bool:
    """Tells whether there are tensors in a mapping, or in mappings within it."""
    entries = stored.entries(value)
    return any(stored.shape(item) is not None for item in entries.values()) or (
        depth < _WRAPPINGS and any(_holds(stored, item, depth + 1) for item in entries.values())
    )


def _named(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes of wrappers, and without what is no part of the network."""
    named: dict[str, Tensor] = {}
    for name, tensor in state.items():
        named.setdefault(_unwrap(name), tensor)
    return {name: tensor for name, tensor in named.items() if not name.startswith(_FOREIGN)}


def write_weights(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes tensors on any device, and strings for the file's header, as safetensors; the file is whole or absent."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=dict(metadata))


_NOT_WEIGHTS = "it is no weight file of a network; `hmr download --list` shows the published ones"


def _another_kind(head: bytes, suffix: str) -> str:
    """Tells what a file is by its first bytes, and what to do, if it can hold no weights that are read here."""
    if head.lstrip()[:1] == b"<":
        return "is a web page, not weights; delete it and fetch it again with `hmr download`"
    if suffix == ".onnx" or (head[:1] == b"\x08" and (b"pytorch" in head or b"onnx" in head)):
        return "is an ONNX model, expected weights of torch (.pth, .ckpt or .safetensors)"
    kind = next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)
    if head[257:262] == b"ustar":
        kind = "a tar archive; unpack it first and give the file in it"
    return f"is {kind}; {_NOT_WEIGHTS}" if kind else ""


_STARTS = {
    b"\x89HDF": "an HDF5 file, as Keras writes them",
    b"\x1f\x8b": "packed by gzip; unpack it first",
    b"\x93NUMPY": "a single numpy array",
    b"\xff\xd8\xff": "a picture",
    b"\x89PNG": "a picture",
    b"version https://git-lfs": "a pointer of git-lfs, not the file itself",
}


def _unwrap(name: str) -> str:
    for wrapper in _INSIDE:
        name = name.replace(wrapper, "")
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name
