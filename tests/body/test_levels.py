"""Mesh hierarchies: the bundled one and SMPL's published layout."""

import sys
import types

import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.levels import MeshLevels, edges_of, read_published_levels
from hmrcli.errors import BadInput


@pytest.fixture(scope="module")
def body():
    return load_body()


def test_edges_of_a_square():
    edges = edges_of(np.array([[0, 1, 2], [0, 2, 3]]))
    expected = {(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)}
    assert set(zip(*edges.tolist())) == expected | {(b, a) for a, b in expected}


def test_adjacency_averages_neighbours_and_self():
    levels = MeshLevels((4,), (), (), (edges_of(np.array([[0, 1, 2], [0, 2, 3]])),))
    expected = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 1, 1]]).float()
    torch.testing.assert_close(levels.adjacency(0).to_dense(), expected / expected.sum(1, keepdim=True))


def test_levels_of_the_body(body):
    levels = body.levels
    assert levels.sizes[0] == body.num_vertices
    for coarse, fine in zip(levels.sizes[1:], levels.sizes):
        assert abs(coarse - fine / 4) < 3
    vertices = body.v_template
    for level in (1, 2):
        kept = vertices[torch.from_numpy(levels.down[level - 1])]
        index, weight = levels.up[level - 1]
        assert index.shape == weight.shape == (levels.sizes[level - 1], 3)
        assert weight.min() >= 0 and np.abs(weight.sum(1) - 1).max() < 1e-6
        back = torch.sparse.mm(levels.up_matrix(level), kept)
        torch.testing.assert_close(back[levels.down[level - 1]], kept, atol=1e-6, rtol=0)
        assert (back - vertices).norm(dim=1).mean() < 0.002 * 3 ** (level - 1)
        vertices = kept


def test_coarse_meshes_are_closed_surfaces(body):
    for size, edges in zip(body.levels.sizes, body.levels.edges):
        pairs = set(zip(*edges.tolist()))
        assert all((b, a) in pairs and a != b for a, b in pairs)
        # The skin and two eyeballs: V - E + F = 6 with 2 E = 3 F.
        assert len(pairs) // 2 == 3 * (size - 6)


@pytest.fixture
def published(tmp_path):
    """Writes a hierarchy in the published layout: object arrays of scipy matrices, and M of another class."""
    names = ("scipy", "scipy.sparse", "scipy.sparse.csc", "psbody")
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    csc = type("csc_matrix", (), {"__module__": "scipy.sparse.csc"})
    mesh = type("Mesh", (), {"__module__": "psbody"})
    sys.modules["scipy.sparse.csc"].csc_matrix, sys.modules["psbody"].Mesh = csc, mesh

    def sparse(dense):
        dense = np.asarray(dense, float)
        columns = [np.flatnonzero(column) for column in dense.T]
        thing = csc()
        thing.__dict__.update(
            _shape=dense.shape,
            data=np.concatenate([dense[rows, i] for i, rows in enumerate(columns)]),
            indices=np.concatenate(columns).astype(np.int32),
            indptr=np.cumsum([0, *map(len, columns)]).astype(np.int32),
        )
        return thing

    def write(**matrices):
        arrays = {name: np.empty(len(items), object) for name, items in matrices.items()}
        for name, items in matrices.items():
            arrays[name][:] = [sparse(item) for item in items]
        path = tmp_path / "mesh_downsampling.npz"
        np.savez(path, **arrays, M=np.array([mesh(), None], dtype=object))
        return path

    yield write
    for name, module in before.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


FINE = 2 * (np.ones((4, 4)) - np.eye(4))
COARSE = 2 * (np.ones((3, 3)) - np.eye(3))
DOWN = np.eye(4)[[0, 2, 3]]
UP = np.array([[0.5, 0.25, 0.25], [0.6, 0.6, -0.2], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])


def test_published_hierarchy(published):
    levels = read_published_levels(published(A=[FINE, COARSE], D=[DOWN], U=[UP]))
    assert levels.sizes == (4, 3)
    assert levels.down[0].tolist() == [0, 2, 3]
    np.testing.assert_allclose(levels.up_matrix(1).to_dense(), UP, rtol=1e-6)
    np.testing.assert_allclose(levels.adjacency(0).to_dense(), np.full((4, 4), 0.25))


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ({"A": [FINE, COARSE], "D": [DOWN.T], "U": [UP]}, "field D has shapes"),
        ({"A": [FINE, COARSE], "D": [DOWN], "U": [UP[:3]]}, "field U has shapes"),
        ({"A": [FINE, COARSE], "D": [DOWN + DOWN[::-1]], "U": [UP]}, "field D must have exactly one"),
        ({"A": [FINE, COARSE], "D": [DOWN], "U": [np.eye(4)[:, :3]]}, "field U must have exactly three"),
        ({"A": [FINE, COARSE], "D": [DOWN]}, "field U is missing"),
    ],
)
def test_hierarchies_that_do_not_fit(published, matrices, message):
    with pytest.raises(BadInput, match=rf"mesh_downsampling\.npz: {message}"):
        read_published_levels(published(**matrices))


def test_hierarchy_of_another_kind(tmp_path):
    np.savez(tmp_path / "other.npz", A=np.eye(3), D=np.eye(3), U=np.eye(3))
    with pytest.raises(BadInput, match="field A must be a list of sparse matrices"):
        read_published_levels(tmp_path / "other.npz")
