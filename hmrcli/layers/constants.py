"""Small tensors of fixed numbers, made once for each device: a list that is uploaded anew makes a GPU wait."""

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")


def fixed(make: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Makes each tensor once: the same one is returned each time, so that nobody may change it."""
    cached = cache(make)

    @wraps(make)
    def made(*arguments: Arguments.args, **named: Arguments.kwargs) -> Tensor:
        if torch.compiler.is_compiling():  # a part of what is compiled
            return make(*arguments, **named)
        with torch.inference_mode(False):
            return cached(*arguments, **named)  # type: ignore[arg-type]

    return made


@fixed
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Returns a vector of numbers on a device."""
    return torch.stack([torch.full((), value, dtype=dtype, device=device) for value in values])


def places(indices: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns indices for `Tensor.index_select`."""
    return constant(indices, device, torch.int64)
