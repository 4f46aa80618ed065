"""Entries that published files hold and no forward pass reads.

Keeping them makes names and shapes equal to the published ones; freezing them keeps optimisers and
distributed training from waiting for a gradient that never comes.
"""

from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def mark_unused(module: Module, *names: str) -> Module:
    """Marks entries of a module's state that nothing reads, by default all of them, and freezes these.

    Returns the module.
    """
    unused = names or tuple(module.state_dict())
    for name, parameter in module.named_parameters():
        if name in unused:
            parameter.requires_grad_(False)
    module.unused_entries = unused  # type: ignore[assignment]
    return module


def unused_names(network: nn.Module) -> set[str]:
    """Names of the state entries that a weight file may lack without changing any output."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        for name in getattr(module, "unused_entries", ())
    }
