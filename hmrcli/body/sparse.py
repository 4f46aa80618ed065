"""Sparse matrices whose entries are known to be in place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def trusted() -> Iterator[None]:
    """Makes sparse tensors without checking their entries, and says so to torch, which otherwise warns (2.11)."""
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        yield


def sparse_matrix(index: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Makes a sparse COO matrix of rows and columns `index` (2, K); `values` (K,) of one place add up."""
    with trusted():
        return torch.sparse_coo_tensor(index, values, size).coalesce()
