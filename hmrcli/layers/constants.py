"""Small tensors of fixed numbers, made once for each device: a list that is uploaded anew makes a GPU wait."""

from functools import cache

import torch
from torch import Tensor


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Returns a vector of numbers on a device; the same tensor each time, so that nobody may change it."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def places(indices: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns indices for `Tensor.index_select`."""
    return constant(indices, device, torch.int64)
