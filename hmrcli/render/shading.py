"""Light on a body, computed at its vertices: a body mesh is fine enough to need no more between them."""

import numpy as np

from hmrcli.render.rasteriser import Array

_KEY = np.array([-0.45, -0.70, -0.55])
"""Direction towards the key light: from the upper left, before the subject. Camera y points down."""


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """Unit normals (V, 3): the mean of the face normals around, weighted by area; 0 for a lone vertex."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    corner_of = faces.ravel()
    sums = [np.bincount(corner_of, np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)]
    normals = np.stack(sums, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def shade(vertices: Array, faces: Array, colour: Array) -> Array:
    """Colours of a lit surface: bright sky over dim ground, a soft key light, a little gloss and rim.

    Args:
        vertices: (V, 3) camera coordinates, metres; the camera is at the origin.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        colour: (3,) or (V, 3) of the surface in [0, 1], sRGB.

    Returns:
        (V, 3) in [0, 1], sRGB.
    """
    normals = vertex_normals(vertices, faces)
    towards_eye = -vertices / np.maximum(np.linalg.norm(vertices, axis=1, keepdims=True), 1e-30)
    key_light = _KEY / np.linalg.norm(_KEY)
    halfway = key_light + towards_eye
    halfway /= np.maximum(np.linalg.norm(halfway, axis=1, keepdims=True), 1e-30)

    key = np.clip((normals @ key_light + 0.2) / 1.2, 0, 1)
    sky = 0.5 - 0.5 * normals[:, 1]
    rim = (1 - np.clip((normals * towards_eye).sum(axis=1), 0, 1)) ** 2
    gloss = np.clip((normals * halfway).sum(axis=1), 0, 1) ** 24
    light = 0.10 + 0.30 * sky + 0.90 * key - 0.16 * rim
    shine = 0.08 * gloss + 0.18 * rim**2 * sky
    linear = light[:, None] * np.asarray(colour) ** 2.2 + shine[:, None]
    return np.clip(linear, 0, 1) ** (1 / 2.2)
