"""The compiled loops that pose one body (Loper et al., SMPL, SIGGRAPH Asia 2015, eq. 2 to 9).

Import this module only where a picture is made: it imports numba.
"""

import math

import numpy as np

from hmrcli.render.kernels import compiled, compiled_with_arrays


@compiled
def skeleton(pose, rest, parents, transl, moves, joints, factors):  # type: ignore[no-untyped-def]
    """Moves (24, 3, 4) of the joints' frames, joints (24, 3) and rotations minus identity (207,)."""
    for j in range(24):
        x, y, z = pose[j, 0], pose[j, 1], pose[j, 2]
        angle = math.sqrt(x * x + y * y + z * z) + 1e-12
        x, y, z = x / angle, y / angle, z / angle
        s, c = math.sin(angle), math.cos(angle)
        t = 1.0 - c
        r00, r01, r02 = c + t * x * x, t * x * y - s * z, t * x * z + s * y
        r10, r11, r12 = t * x * y + s * z, c + t * y * y, t * y * z - s * x
        r20, r21, r22 = t * x * z - s * y, t * y * z + s * x, c + t * z * z
        if j == 0:
            moves[0, 0, 0], moves[0, 0, 1], moves[0, 0, 2] = r00, r01, r02
            moves[0, 1, 0], moves[0, 1, 1], moves[0, 1, 2] = r10, r11, r12
            moves[0, 2, 0], moves[0, 2, 1], moves[0, 2, 2] = r20, r21, r22
            for a in range(3):
                joints[0, a] = rest[0, a]
            continue
        first = 9 * (j - 1)
        factors[first], factors[first + 1], factors[first + 2] = r00 - 1.0, r01, r02
        factors[first + 3], factors[first + 4], factors[first + 5] = r10, r11 - 1.0, r12
        factors[first + 6], factors[first + 7], factors[first + 8] = r20, r21, r22 - 1.0
        p = parents[j]
        bx, by, bz = rest[j, 0] - rest[p, 0], rest[j, 1] - rest[p, 1], rest[j, 2] - rest[p, 2]
        for a in range(3):
            m0, m1, m2 = moves[p, a, 0], moves[p, a, 1], moves[p, a, 2]
            joints[j, a] = joints[p, a] + m0 * bx + m1 * by + m2 * bz
            moves[j, a, 0] = m0 * r00 + m1 * r10 + m2 * r20
            moves[j, a, 1] = m0 * r01 + m1 * r11 + m2 * r21
            moves[j, a, 2] = m0 * r02 + m1 * r12 + m2 * r22
    for j in range(24):
        for a in range(3):
            joints[j, a] += transl[a]
            turned = moves[j, a, 0] * rest[j, 0] + moves[j, a, 1] * rest[j, 1] + moves[j, a, 2] * rest[j, 2]
            moves[j, a, 3] = joints[j, a] - turned


@compiled
def shape(template, shapedirs, betas, offsets, bare, shaped):  # type: ignore[no-untyped-def]
    """The body of a shape in T-pose, bare and with its clothes on; all flat (3 V,), `shapedirs` (10, 3 V)."""
    for i in range(template.shape[0]):
        bare[i] = template[i]
    for k in range(10):
        beta = betas[k]
        for i in range(template.shape[0]):
            bare[i] += shapedirs[k, i] * beta
    for i in range(template.shape[0]):
        shaped[i] = bare[i] + offsets[i]


@compiled_with_arrays
def pose(  # type: ignore[no-untyped-def]
    bare, pointers, columns, values, factors, skin_joints, skin_weights, skin_counts, moves, offsets, skin, clothes,
):  # fmt: skip
    """Skin and clothes in the camera's frame; see `Rest` for the arrays."""
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


@compiled
def skin_points(points, skin_joints, skin_weights, moves, out):  # type: ignore[no-untyped-def]
    """Moves points of T-pose as their joints move."""
    for v in range(points.shape[0]):
        for a in range(3):
            total = 0.0
            for k in range(skin_joints.shape[1]):
                j = skin_joints[v, k]
                total += skin_weights[v, k] * (
                    moves[j, a, 0] * points[v, 0]
                    + moves[j, a, 1] * points[v, 1]
                    + moves[j, a, 2] * points[v, 2]
                    + moves[j, a, 3]
                )
            out[v, a] = total
