"""A body's mesh as graphics cards take it: one texture coordinate and four weights for each vertex."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel

WEIGHTS = 4
"""Joints that move a vertex at most, the most that viewers agree on."""


class Surface(NamedTuple):
    """A mesh of S vertices: the body's V in their order, then copies of those along the seams of the texture."""

    source: NDArray[np.int64]
    """(S,) the body's vertex that each one is."""
    faces: NDArray[np.int64]
    """(F, 3)"""
    texture: NDArray[np.float32] | None
    """(S, 2) u to the right and v down, as glTF has them; None for a body without a texture map."""


class Skin(NamedTuple):
    """What moves each of the body's V vertices."""

    joints: NDArray[np.uint8]
    """(V, 4) joints, the strongest first; 0 where there is none."""
    weights: NDArray[np.float32]
    """(V, 4) their weights, which sum to 1."""


def surface_of(body: BodyModel) -> Surface:
    """Returns the mesh of a body, cut along the seams of its texture map."""
    faces = body.faces.cpu().numpy()
    if body.uv is None:
        return Surface(np.arange(body.num_vertices), faces, None)
    corners = np.stack([faces.ravel(), body.uv.faces.ravel()], 1)
    pairs, pair_of_corner = np.unique(corners, axis=0, return_inverse=True)  # sorted by vertex
    first = np.append(True, np.diff(pairs[:, 0]) > 0)
    lone = np.setdiff1d(np.arange(body.num_vertices), pairs[:, 0])
    place = np.empty(len(pairs), int)
    place[first] = pairs[first, 0]
    place[~first] = body.num_vertices + np.arange((~first).sum())
    texture = np.zeros((body.num_vertices + int((~first).sum()), 2), np.float32)
    texture[place] = body.uv.coordinates[pairs[:, 1]] * (1, -1) + (0, 1)
    texture[lone] = 0
    source = np.concatenate([np.arange(body.num_vertices), pairs[~first, 0]])
    return Surface(source, place[pair_of_corner.ravel()].reshape(-1, 3), texture)


def skin_of(body: BodyModel) -> Skin:
    """Returns the four strongest weights of each vertex; the open body and SMPL have no more."""
    weights = body.weights.cpu().numpy()
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS]
    strongest = np.take_along_axis(weights, joints, 1)
    strongest = (strongest / strongest.sum(1, keepdims=True)).astype(np.float32)
    return Skin(np.where(strongest > 0, joints, 0).astype(np.uint8), strongest)
