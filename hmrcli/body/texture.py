"""The skin laid out in a texture image, and meshes cut along the seams of the layout."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.model import BodyModel, TextureMap

Array = NDArray[Any]

GUTTER = 0.004
"""Between two patches, as a share of the image's side: nothing bleeds over up to 512 pixels."""


class CutMesh(NamedTuple):
    """A mesh whose vertices have one place in the texture image each, as glTF wants it."""

    source: NDArray[np.int64]
    """(C,) the body's vertex that each repeats: first all V in their order, then those on seams once more."""
    faces: NDArray[np.int64]
    """(F, 3) indices into the C vertices."""
    coordinates: NDArray[np.float32]
    """(C, 2) u to the right and v up, in [0, 1]; glTF counts v downwards."""


@lru_cache(maxsize=4)
def cut_mesh(body: BodyModel) -> CutMesh:
    """Returns the body's mesh cut at the seams of its own texture map, or of one computed for it."""
    faces = body.faces.cpu().numpy()
    texture = body.uv or unwrap(body.v_template.cpu().numpy(), faces, body.parts.cpu().numpy())
    return cut(faces, texture, body.num_vertices)


def cut(faces: Array, texture: TextureMap, vertices: int) -> CutMesh:
    """Cuts a mesh (F, 3) of some vertices so that each has one place in the texture image."""
    both = np.stack([faces.ravel(), texture.faces.ravel()], 1)
    pairs, corners = np.unique(both, axis=0, return_inverse=True)
    _, first = np.unique(pairs[:, 0], return_index=True)
    repeated = np.setdiff1d(np.arange(len(pairs)), first)
    lone = np.setdiff1d(np.arange(vertices), pairs[:, 0])  # vertices that no face has
    place = np.empty(len(pairs), np.int64)
    place[first] = pairs[first, 0]
    place[repeated] = vertices + np.arange(len(repeated))
    source = np.concatenate([np.arange(vertices), pairs[repeated, 0]])
    coordinates = np.zeros((len(source), 2), np.float32)
    coordinates[place] = texture.coordinates[pairs[:, 1]]
    coordinates[lone] = 0
    return CutMesh(source, place[corners.reshape(-1)].reshape(-1, 3), coordinates)


def unwrap(vertices: Array, faces: Array, parts: Array) -> TextureMap:
    """Lays out a body at rest by boxes: each part's skin, seen along the axis that it faces most.

    Patches are the connected faces (F, 3) of one part, the joint that moves a vertex most (V,), that face one
    side of its box, all at one scale and upright, so that a body without a texture map of its own has one;
    the same body always has the same. Vertices (V, 3) are in metres.
    """
    corners = np.asarray(vertices, np.float64)[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.abs(normals).argmax(1)
    side = 2 * axis + (np.take_along_axis(normals, axis[:, None], 1)[:, 0] < 0)
    patches = _connected(faces, 6 * np.sort(parts[faces], 1)[:, 1] + side)
    flat = np.einsum("fcx,fux->fcu", corners, _VIEWS[side])  # metres in the patch's plane
    low = np.full((patches.max() + 1, 2), np.inf)
    high = -low
    for corner in range(3):
        np.minimum.at(low, patches, flat[:, corner])
        np.maximum.at(high, patches, flat[:, corner])
    places, size = _packed(high - low)
    placed = (flat - low[patches, None] + places[patches, None]) / size
    keys = np.stack([np.broadcast_to(patches[:, None], faces.shape).ravel(), faces.ravel()], 1)
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    coordinates = placed.reshape(-1, 2)[first].astype(np.float32)
    return TextureMap(coordinates, index.reshape(-1).reshape(-1, 3).astype(np.int64))


_VIEWS = np.array(
    [
        [[0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 1, 0]],  # x, -x: u and v of who looks at that side
        [[1, 0, 0], [0, 0, -1]], [[1, 0, 0], [0, 0, 1]],  # y, -y
        [[1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]],  # z, -z
    ],
    np.float64,
)  # fmt: skip


def _connected(faces: Array, kind: Array) -> NDArray[np.int64]:
    """Numbers the patches (F,) of faces of one kind (F,) that share edges, from 0."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    order = np.lexsort(edges.T)
    owner = np.repeat(np.arange(len(faces)), 3)[order]
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    one, other = owner[:-1][same], owner[1:][same]
    alike = kind[one] == kind[other]
    one, other = one[alike], other[alike]
    label = np.arange(len(faces))
    while True:
        before = label.copy()
        np.minimum.at(label, one, before[other])
        np.minimum.at(label, other, before[one])
        label = label[label]
        if (label == before).all():
            return np.unique(label, return_inverse=True)[1].reshape(-1)


def _packed(extents: Array) -> tuple[Array, float]:
    """Puts rectangles (N, 2) in rows, the highest first; returns their corners (N, 2) and the square's side."""
    side = 1.05 * float(np.sqrt(extents.prod(1).sum()))
    while True:
        gap = GUTTER * side
        corners, x, y, row = np.zeros_like(extents), gap, gap, 0.0
        for patch in np.lexsort((np.arange(len(extents)), -extents[:, 1])):
            width, height = extents[patch]
            if x + width + gap > side and row:
                x, y, row = gap, y + row + gap, 0.0
            corners[patch] = x, y
            x, row = x + width + gap, max(row, height)
        if y + row + gap <= side and extents[:, 0].max() + 2 * gap <= side:
            return corners, side
        side *= 1.03
