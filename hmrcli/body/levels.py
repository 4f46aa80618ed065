"""Coarser versions of the body's mesh, for networks that work on its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.assets.npz import read_npz
from hmrcli.assets.pickles import SparseMatrix
from hmrcli.body.sparse import sparse_matrix
from hmrcli.errors import BadInput

Index = NDArray[np.int64]


class Interpolation(NamedTuple):
    """Makes each of V_fine vertices of three of a coarser mesh, (V_fine, 3); rows of the weight sum to 1."""

    vertices: Index
    weight: NDArray[np.float32]


def edges_of(faces: NDArray[Any]) -> Index:
    """Finds both directions of every edge of triangles (F, 3): (2, E) sorted, without self-loops."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    size = sides.max(initial=0) + 1
    # One number a pair: rows sort ten times as slowly.
    return np.stack(np.divmod(np.unique(sides @ np.array([[size, 1], [1, size]])), size))


@dataclass(frozen=True)
class MeshLevels:
    """Meshes from fine to coarse: level 0 is the body's own.

    Attributes:
        sizes: vertices of each level.
        down: for each level but the first, (V_coarse,) the vertices it keeps of the level before.
        up: for each level but the first, how it is interpolated back to the level before.
        edges: for each level (2, E), both directions, no self-loops.
    """

    sizes: tuple[int, ...]
    down: tuple[Index, ...]
    up: tuple[Interpolation, ...]
    edges: tuple[Index, ...]

    def adjacency(self, level: int) -> Tensor:
        """Makes the sparse matrix (V, V) of neighbours and the vertex itself, each row divided by its degree.

        As in Kolotouros et al., "Convolutional Mesh Regression" (CVPR 2019), eq. 1.
        """
        size = self.sizes[level]
        self_loops = np.arange(size, dtype=np.int64)
        index = torch.from_numpy(np.concatenate([self.edges[level], [self_loops, self_loops]], axis=1))
        degree = torch.bincount(index[0], minlength=size).float()
        return sparse_matrix(index, 1 / degree[index[0]], (size, size))

    def up_matrix(self, level: int) -> Tensor:
        """Makes the sparse matrix (V_level-1, V_level) that interpolates this level back to the level before."""
        index, weight = map(torch.from_numpy, self.up[level - 1])
        rows = torch.arange(len(index)).repeat_interleave(3)
        size = (self.sizes[level - 1], self.sizes[level])
        return sparse_matrix(torch.stack([rows, index.reshape(-1)]), weight.reshape(-1), size)


def read_published_levels(path: Path) -> MeshLevels:
    """Reads the hierarchy of SMPL's mesh as GraphCMR published it (`mesh_downsampling.npz`).

    Its arrays A (adjacency), D (down) and U (up) are read; M needs classes of another package and is left.

    Raises:
        BadInput: a matrix is missing or does not fit its neighbours.
    """
    data = read_npz(path, ("A", "D", "U"))
    parts = {name: _matrices(path, name, data[name]) for name in ("A", "D", "U")}
    sizes = tuple(matrix.shape[0] for matrix in parts["A"])
    steps = list(zip(sizes[1:], sizes[:-1]))
    square, back = [(size, size) for size in sizes], [(fine, coarse) for coarse, fine in steps]
    for name, wanted in (("A", square), ("D", steps), ("U", back)):
        shapes = [matrix.shape for matrix in parts[name]]
        if shapes != wanted:
            raise BadInput(f"{path}: field {name} has shapes {shapes}, expected {wanted}")
    return MeshLevels(
        sizes=sizes,
        down=tuple(m.columns[_by_row(path, "D", m, 1, "one entry")] for m in parts["D"]),
        up=tuple(_triplets(path, matrix) for matrix in parts["U"]),
        edges=tuple(np.unique(np.stack([m.rows, m.columns]), axis=1) for m in parts["A"]),
    )


def _matrices(path: Path, name: str, stored: Any) -> list[SparseMatrix]:
    if not isinstance(stored, Sequence | np.ndarray) or not all(isinstance(m, SparseMatrix) for m in stored):
        raise BadInput(f"{path}: field {name} must be a list of sparse matrices")
    return list(stored)


def _by_row(path: Path, name: str, matrix: SparseMatrix, count: int, word: str) -> NDArray[np.int64]:
    """Sorts the entries of a matrix that has as many in every row."""
    order = np.argsort(matrix.rows, kind="stable")
    if not np.array_equal(matrix.rows[order], np.arange(matrix.shape[0]).repeat(count)):
        raise BadInput(f"{path}: field {name} must have exactly {word} in every row")
    return order


def _triplets(path: Path, matrix: SparseMatrix) -> Interpolation:
    order = _by_row(path, "U", matrix, 3, "three entries")
    weight = matrix.values[order].reshape(-1, 3).astype(np.float32)
    return Interpolation(matrix.columns[order].reshape(-1, 3), weight)
