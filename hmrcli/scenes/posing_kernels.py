"""The compiled loops that pose one body (Loper et al., SMPL, SIGGRAPH Asia 2015, eq. 2 to 9).

Import this module only where a picture is made or a pose drawn: it imports numba.
"""

import math

import numpy as np

from hmrcli.body.joints import PARENTS
from hmrcli.render.compiled import Array, compiled, compiled_with_arrays


@compiled
def rotation_matrix(vector: Array, out: Array) -> None:
    """Turns axis-angle (3,) in radians into (3, 3), by Rodrigues' formula."""
    angle = math.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]) + 1e-12
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    sine, cosine = math.sin(angle), math.cos(angle)
    rest = 1.0 - cosine
    out[0, 0], out[0, 1], out[0, 2] = cosine + rest * x * x, rest * x * y - sine * z, rest * x * z + sine * y
    out[1, 0], out[1, 1], out[1, 2] = rest * x * y + sine * z, cosine + rest * y * y, rest * y * z - sine * x
    out[2, 0], out[2, 1], out[2, 2] = rest * x * z - sine * y, rest * y * z + sine * x, cosine + rest * z * z


@compiled
def chain(pose: Array, bones: Array, local: Array, turns: Array, places: Array) -> None:
    """Finds own (24, 3, 3) and whole (24, 3, 3) rotations of joints, and their places (24, 3) from the root's.

    Args:
        pose: (24, 3) axis-angle, radians.
        bones: (24, 3) from each joint's parent to it at rest.
        local, turns, places: filled; the last two start as zeros.
    """
    for j in range(24):
        rotation_matrix(pose[j], local[j])
        parent = PARENTS[j]
        for a in range(3):
            if j == 0:
                for c in range(3):
                    turns[0, a, c] = local[0, a, c]
                continue
            places[j, a] = places[parent, a]
            for b in range(3):
                places[j, a] += turns[parent, a, b] * bones[j, b]
                for c in range(3):
                    turns[j, a, c] += turns[parent, a, b] * local[j, b, c]


@compiled_with_arrays
def pose(
    bare: Array, pointers: Array, columns: Array, values: Array, factors: Array, skin_joints: Array,
    skin_weights: Array, skin_counts: Array, moves: Array, offsets: Array, skin: Array, clothes: Array,
) -> None:  # fmt: skip
    """Places skin and clothes in the camera's frame; see `Rest` for the arrays."""
    m = np.empty((3, 4), np.float32)
    for v in range(bare.shape[0]):
        x, y, z = bare[v, 0], bare[v, 1], bare[v, 2]
        for k in range(pointers[v], pointers[v + 1]):
            factor = factors[columns[k]]
            x += values[k, 0] * factor
            y += values[k, 1] * factor
            z += values[k, 2] * factor
        j, w = skin_joints[v, 0], skin_weights[v, 0]
        for a in range(3):
            for b in range(4):
                m[a, b] = w * moves[j, a, b]
        for k in range(1, skin_counts[v]):
            j, w = skin_joints[v, k], skin_weights[v, k]
            for a in range(3):
                for b in range(4):
                    m[a, b] += w * moves[j, a, b]
        cx, cy, cz = x + offsets[v, 0], y + offsets[v, 1], z + offsets[v, 2]
        for a in range(3):
            skin[v, a] = m[a, 0] * x + m[a, 1] * y + m[a, 2] * z + m[a, 3]
            clothes[v, a] = m[a, 0] * cx + m[a, 1] * cy + m[a, 2] * cz + m[a, 3]
