"""Fills networks from weight files, and refuses files that belong to another network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hmrcli.errors import BadInput
from hmrcli.layers.unused import unused_names
from hmrcli.layers.weight_files import read_weights, write_weights
from hmrcli.recipe.algorithms import ALGORITHMS

BACKBONE_SHARE = 0.5
"""A backbone file must hold at least this share of the backbone's numbers."""

_HEADS = {
    entry: " or ".join(one.title for one in ALGORITHMS.values() if one.entry == entry)
    for entry in dict.fromkeys(one.entry for one in ALGORITHMS.values())
}
"""Networks by an entry that only they have."""
_MESH_AXIS = {"upsampling2.weight": 0, "camera_fc.4.weight": 1}
"""Entries that have the size of the mesh, and on which axis."""

_RESNET_DEPTHS = {2: 18, 6: 50, 23: 101, 36: 152}
"""Layers by the number of blocks in the third stage."""


class WeightReport(NamedTuple):
    """Says what became of each name when a file was loaded."""

    matched: tuple[str, ...]
    """The network's entries that were filled."""
    missing: tuple[str, ...]
    """The network's entries that the file lacks (or has in another shape, for a backbone)."""
    unexpected: tuple[str, ...]
    """The file's tensors that the network has no place for."""


class Undrawn(TorchFunctionMode):
    """Builds networks without drawing fresh weights, for `load_weights` to fill: drawing takes longer than reading."""

    _DRAWS = frozenset(["uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"])

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Leaves a tensor as it is where it would be drawn, and calls any other function."""
        kwargs = kwargs or {}
        if function.__name__ in self._DRAWS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def load_weights(network: nn.Module, path: Path | str) -> WeightReport:
    """Fills a network from a weight file of any layout in `weight_files`.

    Only entries that change no output may be missing: batch counters, and what published files store
    without use. The network is left untouched when the file is refused.

    Raises:
        MissingFile: there is no such file.
        BadInput: the file is damaged, is no weight file, would run code, or belongs to another network.
    """
    path = Path(path)
    target = network.state_dict()
    found = {_place(name, target): tensor for name, tensor in read_weights(path).items()}
    missing = tuple(name for name in target if name not in found)
    optional = unused_names(network)
    lacking = [name for name in missing if name not in optional and not name.endswith("num_batches_tracked")]
    if refusal := _mismatch(found, target, lacking):
        raise BadInput(f"{path}: {refusal}")
    matched = {name: found[name] for name in target if name in found}
    network.load_state_dict(matched, strict=False)
    return WeightReport(tuple(matched), missing, tuple(name for name in found if name not in target))


def load_backbone(network: nn.Module, path: Path | str) -> WeightReport:
    """Fills a backbone from an ImageNet, pose or whole-network file, as far as names and shapes agree.

    Such files differ in their last layers, so the rest may be missing; a file that shares less than
    `BACKBONE_SHARE` of the backbone's numbers is the wrong one and is refused.

    Args:
        network: one of this package's networks, or a bare backbone.

    Raises:
        MissingFile: there is no such file.
        BadInput: the file is damaged, is no weight file, would run code, or belongs to another backbone.
    """
    path = Path(path)
    backbone = backbone_of(network)
    target = backbone.state_dict()
    state = {_bare(name): tensor for name, tensor in read_weights(path).items()}
    matched = {name: t for name, t in state.items() if name in target and t.shape == target[name].shape}
    share = sum(t.numel() for t in matched.values()) / sum(t.numel() for t in target.values())
    if share < BACKBONE_SHARE:
        raise BadInput(
            f"{path}: holds {share:.1%} of the backbone's numbers, expected at least {BACKBONE_SHARE:.0%}; "
            f"the file is {_describe(state)}, the backbone is {_describe(target)}; "
            "fetch the right one with `hmr download backbones`"
        )
    backbone.load_state_dict(matched, strict=False)
    missing = tuple(name for name in target if name not in matched)
    return WeightReport(tuple(matched), missing, tuple(name for name in state if name not in matched))


def save_weights(network: nn.Module, path: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a network's parameters and persistent buffers as `write_weights` does."""
    write_weights(network.state_dict(), Path(path), metadata or {})


def backbone_of(network: nn.Module) -> nn.Module:
    """Finds the image backbone inside a network, or returns the module itself if it is one."""
    children = dict(network.named_children())
    if "graph_cnn" in children:
        return children["graph_cnn"].get_submodule("resnet")
    return children.get("backbone", network)


def _place(name: str, target: Mapping[str, Tensor]) -> str:
    """Returns the network's name for a file's entry: the same, or under a prefix that the file left out."""
    if name in target:
        return name
    inner = name.removeprefix("encoder.")  # the backbone in CLIFF's own files
    return next((p + inner for p in ("backbone.", "head.", "graph_cnn.") if p + inner in target), name)


def _bare(name: str) -> str:
    return name.removeprefix("graph_cnn.resnet.").removeprefix("backbone.")


def _mismatch(found: Mapping[str, Tensor], target: Mapping[str, Tensor], lacking: list[str]) -> str:
    """Says why a file does not fit a network; empty if it does."""
    theirs, ours = _describe(found), _describe(target)
    if theirs != ours:
        return f"holds {theirs}, this network is {ours}; give the recipe it was trained with (--recipe)"
    shared = [name for name in target if name in found]
    for name in shared:
        if found[name].shape != target[name].shape:
            shapes = f"{tuple(found[name].shape)}, expected {tuple(target[name].shape)}"
            return f"`{name}` has shape {shapes}; give the recipe it was trained with (--recipe)"
    if lacking:
        return f"lacks {len(lacking)} entries of {ours}, first `{lacking[0]}`; fetch the whole file again"
    for name in shared:
        if not found[name].isfinite().all():
            return f"`{name}` holds numbers that are not finite: the run failed; take an earlier checkpoint"
    return ""


def _describe(state: Mapping[str, Tensor]) -> str:
    """Names a network, its backbone and its mesh from the entries of its state."""
    last: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for key in (*_HEADS, *_MESH_AXIS):
            if name.endswith(key):
                last[key] = tensor
    backbone = _describe_backbone(state)
    head = next((network for key, network in _HEADS.items() if key in last), None)
    if head is None:
        return f"a bare {backbone}" if backbone else "no network known here"
    mesh = [
        f" on a mesh of {last[key].shape[axis]} vertices" for key, axis in _MESH_AXIS.items() if key in last
    ]
    return head + (f" with {backbone}" if backbone else "") + "".join(mesh)


def _describe_backbone(state: Mapping[str, Tensor]) -> str:
    blocks = set()
    for name, tensor in state.items():
        if name.endswith("transition1.0.0.weight"):
            kind = "classification" if any("incre_modules." in other for other in state) else "pose"
            return f"HRNet-W{tensor.shape[0]} ({kind})"
        if "layer3." in name:
            blocks.add(name.partition("layer3.")[2].partition(".")[0])
    return f"ResNet-{_RESNET_DEPTHS.get(len(blocks), '?')}" if blocks else ""
