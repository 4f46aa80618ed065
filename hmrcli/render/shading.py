"""Light on a body, computed at its vertices: a body mesh is fine enough to need no more between them."""

import numpy as np

from hmrcli.render.rasteriser import Array

_KEY = np.array([-0.45, -0.70, -0.55]) / np.linalg.norm([-0.45, -0.70, -0.55])
"""Direction towards the key light: from the upper left, before the subject. Camera y points down."""


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """Returns unit normals (V, 3): the mean of the face normals around, weighted by area; 0 for a lone vertex."""
    from hmrcli.render import kernels

    sums = np.zeros((len(vertices), 3))
    kernels.add_face_normals(
        np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces, np.int32), sums
    )
    return _unit(sums)


def shade(vertices: Array, faces: Array, colour: Array) -> Array:
    """Colours a lit surface: bright sky over dim ground, a soft key light, a little gloss and rim.

    Args:
        vertices: (V, 3) camera coordinates, metres; the camera is at the origin.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        colour: (3,) or (V, 3) of the surface in [0, 1], sRGB.

    Returns:
        (V, 3) in [0, 1], sRGB.
    """
    normals, towards_eye = vertex_normals(vertices, faces), _unit(-vertices)
    halfway = _unit(towards_eye + _KEY)
    key = np.clip((normals @ _KEY + 0.2) / 1.2, 0, 1)
    sky = 0.5 - 0.5 * normals[:, 1]
    rim = np.square(1 - np.clip(_dot(normals, towards_eye), 0, 1))
    gloss = np.square(np.square(np.square(np.square(np.clip(_dot(normals, halfway), 0, 1)))))
    light = 0.10 + 0.30 * sky + 0.90 * key - 0.16 * rim
    shine = 0.08 * gloss + 0.18 * rim * rim * sky
    return np.sqrt(
        np.clip(light[:, None] * np.square(colour) + shine[:, None], 0, 1)
    )  # gamma 2, nearly sRGB's


def _dot(a: Array, b: Array) -> Array:
    return np.einsum("vc,vc->v", a, b)


def _unit(vectors: Array) -> Array:
    return vectors / np.sqrt(np.maximum(_dot(vectors, vectors), 1e-60))[:, None]
