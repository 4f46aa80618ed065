"""Writes the weights of a finished run for other recipes to start from."""

import json
from pathlib import Path

from torch import nn

from hmrcli.assets.data_root import CHECKPOINTS
from hmrcli.layers import load_weights
from hmrcli.layers.unused import unused_names
from hmrcli.layers.weight_files import write_weights
from hmrcli.layers.weights import backbone_of
from hmrcli.recipe.schema import Exports
from hmrcli.training.checkpoints import best_checkpoint, read_checkpoint


def export_weights(exports: Exports, network: nn.Module, run: Path, root: Path) -> Path | None:
    """Writes the weights of a run's best checkpoint, or of its last where none was measured, below `checkpoints/`.

    Recipe, step and metrics of that checkpoint stand in the file's header. Whatever had its name is replaced.

    Args:
        network: the run's, which takes these weights.

    Returns:
        the file; None while the run is not finished.

    Raises:
        MissingFile, BadInput: there is no checkpoint, or it is damaged.
    """
    if not read_checkpoint(run).meta.finished:
        return None
    checkpoint = best_checkpoint(run)
    load_weights(network, checkpoint.model)
    part = network if exports.backbone is None else backbone_of(network)
    # What a pose network does not train would only look trained.
    unread = unused_names(part)
    state = {name: value for name, value in part.state_dict().items() if name not in unread}
    header = {
        name: json.dumps(getattr(checkpoint.meta, name)) for name in ("recipe", "step", "epoch", "metrics")
    }
    path = root / CHECKPOINTS / (exports.backbone or exports.network or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(state, path, header)
    return path
