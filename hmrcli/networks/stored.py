"""Parameters that published files hold and no forward pass reads.

Keeping them makes names and shapes equal to the published ones; freezing them keeps optimisers and
distributed training from waiting for a gradient that never comes.
"""

from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def stored_only(module: Module) -> Module:
    """Freezes a module that no forward pass reads, and marks it for `stored_only_names`."""
    module.requires_grad_(False)
    module.stored_only = True  # type: ignore[assignment]
    return module


def stored_only_names(network: nn.Module) -> set[str]:
    """Names of the state entries that a weight file may lack without changing any output."""
    return {
        f"{prefix}.{name}"
        for prefix, module in network.named_modules()
        if getattr(module, "stored_only", False)
        for name in module.state_dict()
    }
