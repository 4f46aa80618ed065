"""The small compiled loops of scenes: noise, and what light reaches.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles it.
"""

import math

from hmrcli.render.compiled import Array, compiled


@compiled
def noise_at(noise: Array, x: float, y: float) -> float:
    """Reads the noise table at (x, y), in cells, blended between neighbours."""
    fx, fy = math.floor(x), math.floor(y)
    side = noise.shape[0] - 1
    j, i = int(fx) & side, int(fy) & side
    k, m = (j + 1) & side, (i + 1) & side
    u, v = x - fx, y - fy
    top = noise[i, j] + (noise[i, k] - noise[i, j]) * u
    bottom = noise[m, j] + (noise[m, k] - noise[m, j]) * u
    return top + (bottom - top) * v


@compiled
def mark_corners(owner: Array, faces: Array, seen: Array) -> None:
    """Marks the corners of all faces that own a sample."""
    for i in range(owner.shape[0]):
        for j in range(owner.shape[1]):
            face = owner[i, j]
            if face >= 0:
                seen[faces[face, 0]] = seen[faces[face, 1]] = seen[faces[face, 2]] = True


@compiled
def open_share(
    vertices: Array, normals: Array, seen: Array, basis: Array, corner: Array, cell: float, heights: Array, step: float,
    bias: float, out: Array,
) -> None:  # fmt: skip
    """Finds for each vertex that is seen the share of the cells around it, 5 by 5, over which nothing stands higher."""
    rows, columns = heights.shape
    for v in range(vertices.shape[0]):
        if not seen[v]:
            continue
        # A little off the surface, so that it does not shade itself.
        x = vertices[v, 0] + bias * normals[v, 0]
        y = vertices[v, 1] + bias * normals[v, 1]
        z = vertices[v, 2] + bias * normals[v, 2]
        u = (x * basis[0, 0] + y * basis[0, 1] + z * basis[0, 2] - corner[0]) / cell
        w = (x * basis[1, 0] + y * basis[1, 1] + z * basis[1, 2] - corner[1]) / cell
        h = x * basis[2, 0] + y * basis[2, 1] + z * basis[2, 2] + bias
        free = 0
        for di in range(-2, 3):
            i = min(max(int(w + di * step + 0.5), 0), rows - 1)
            for dj in range(-2, 3):
                j = min(max(int(u + dj * step + 0.5), 0), columns - 1)
                # The wider the cone, the higher what counts as beside and not above.
                if heights[i, j] <= h + 0.7 * cell * step * (abs(di) + abs(dj)):
                    free += 1
        out[v] = free / 25.0
