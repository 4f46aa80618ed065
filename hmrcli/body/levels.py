"""Coarser versions of the body's mesh, for networks that work on its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.pickles import SparseMatrix, read_npz
from hmrcli.body.sparse import sparse_matrix
from hmrcli.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Index = NDArray[np.int64]


def edges_of(faces: NDArray[Any]) -> Index:
    """Gives both directions of every edge (2, E) of triangles (F, 3), sorted, without self-loops."""
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
        up: for each level but the first, the pair (V_fine, 3) indices, (V_fine, 3) weights that interpolates
            it back to the level before; rows of weights sum to 1.
        edges: for each level (2, E), both directions, no self-loops.
    """

    sizes: tuple[int, ...]
    down: tuple[Index, ...]
    up: tuple[tuple[Index, NDArray[np.float32]], ...]
    edges: tuple[Index, ...]

    def adjacency(self, level: int) -> "Tensor":
        """Sparse (V, V) matrix: neighbours and the vertex itself, each row divided by its degree.

        As in Kolotouros et al., "Convolutional Mesh Regression" (CVPR 2019), eq. 1.
        """
        import torch

        size = self.sizes[level]
        self_loops = np.arange(size, dtype=np.int64)
        index = torch.from_numpy(np.concatenate([self.edges[level], [self_loops, self_loops]], axis=1))
        degree = torch.bincount(index[0], minlength=size).float()
        return sparse_matrix(index, 1 / degree[index[0]], (size, size))

    def down_matrix(self, level: int) -> "Tensor":
        """Sparse (V_level, V_level-1) matrix that keeps this level's vertices of the level before."""
        import torch

        kept = torch.from_numpy(self.down[level - 1])
        index = torch.stack([torch.arange(len(kept)), kept])
        size = (self.sizes[level], self.sizes[level - 1])
        return sparse_matrix(index, torch.ones(len(kept)), size)

    def up_matrix(self, level: int) -> "Tensor":
        """Sparse (V_level-1, V_level) matrix that interpolates this level back to the level before."""
        import torch

        index, weight = self.up[level - 1]
        rows = torch.arange(len(index)).repeat_interleave(3)
        place = torch.stack([rows, torch.from_numpy(index).reshape(-1)])
        size = (self.sizes[level - 1], self.sizes[level])
        return sparse_matrix(place, torch.from_numpy(weight).reshape(-1), size)


def read_published_levels(path: Path) -> MeshLevels:
    """The hierarchy of SMPL's mesh as GraphCMR published it (`mesh_downsampling.npz`).

    Its arrays A (adjacency), D (down) and U (up) are read; M needs classes of another package and is left.

    Raises:
        BadInput: a matrix is missing or does not fit its neighbours.
    """
    data = read_npz(path, ("A", "D", "U"))
    parts = {name: _matrices(path, name, data[name]) for name in ("A", "D", "U")}
    sizes = tuple(matrix.shape[0] for matrix in parts["A"])
    steps = list(zip(sizes[1:], sizes[:-1]))
    for name, wanted in (
        ("A", [(size, size) for size in sizes]),
        ("D", steps),
        ("U", [(fine, coarse) for coarse, fine in steps]),
    ):
        shapes = [matrix.shape for matrix in parts[name]]
        if shapes != wanted:
            raise BadInput(f"{path}: field {name} has shapes {shapes}, expected {wanted}")
    return MeshLevels(
        sizes=sizes,
        down=tuple(_selection(path, matrix) for matrix in parts["D"]),
        up=tuple(_triplets(path, matrix) for matrix in parts["U"]),
        edges=tuple(np.unique(np.stack([m.rows, m.columns]), axis=1) for m in parts["A"]),
    )


def _matrices(path: Path, name: str, stored: Any) -> list[SparseMatrix]:
    if not isinstance(stored, Sequence | np.ndarray) or not all(isinstance(m, SparseMatrix) for m in stored):
        raise BadInput(f"{path}: field {name} must be a list of sparse matrices")
    return list(stored)


def _selection(path: Path, matrix: SparseMatrix) -> Index:
    order = np.argsort(matrix.rows, kind="stable")
    if not np.array_equal(matrix.rows[order], np.arange(matrix.shape[0])):
        raise BadInput(f"{path}: field D must have exactly one entry in every row")
    return matrix.columns[order]


def _triplets(path: Path, matrix: SparseMatrix) -> tuple[Index, NDArray[np.float32]]:
    order = np.argsort(matrix.rows, kind="stable")
    if not np.array_equal(matrix.rows[order], np.arange(matrix.shape[0]).repeat(3)):
        raise BadInput(f"{path}: field U must have exactly three entries in every row")
    return (
        matrix.columns[order].reshape(-1, 3),
        matrix.values[order].reshape(-1, 3).astype(np.float32),
    )
