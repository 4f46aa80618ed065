"""The small compiled loops that all backdrops share: a pixel's ray, noise at a place, and the finished colour.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles
it. Rays and places are in the frame of a room: x right, y up from the floor, z away from the camera.
"""

import math

from hmrcli.render.kernels import compiled


@compiled
def noise_at(noise, x, y):  # type: ignore[no-untyped-def]
    """The noise table at (x, y), in cells, blended between neighbours."""
    fx, fy = math.floor(x), math.floor(y)
    side = noise.shape[0] - 1
    j, i = int(fx) & side, int(fy) & side
    k, m = (j + 1) & side, (i + 1) & side
    u, v = x - fx, y - fy
    top = noise[i, j] + (noise[i, k] - noise[i, j]) * u
    bottom = noise[m, j] + (noise[m, k] - noise[m, j]) * u
    return top + (bottom - top) * v


@compiled
def hashed(i, j, k):  # type: ignore[no-untyped-def]
    """A number from 0 to 1 that belongs to three whole numbers."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(k) * 982451653) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@compiled
def angle(y, x):  # type: ignore[no-untyped-def]
    """atan2(y, x) to 2e-4 radians, several times as fast."""
    ax, ay = abs(x), abs(y)
    large = max(ax, ay)
    if large == 0.0:
        return 0.0
    a = min(ax, ay) / large
    s = a * a
    r = ((-0.0464964749 * s + 0.15931422) * s - 0.327622764) * s * a + a
    if ay > ax:
        r = 0.5 * math.pi - r
    if x < 0.0:
        r = math.pi - r
    return -r if y < 0.0 else r


@compiled
def ray(lens, frame, row, column):  # type: ignore[no-untyped-def]
    """Direction in which a pixel looks, in the axes of the place; 1 ahead along the camera's own."""
    cx, cy = (column + 0.5 - lens[1]) / lens[0], (row + 0.5 - lens[2]) / lens[0]
    return (
        frame[0, 0] * cx + frame[0, 1] * cy + frame[0, 2],
        frame[1, 0] * cx + frame[1, 1] * cy + frame[1, 2],
        frame[2, 0] * cx + frame[2, 1] * cy + frame[2, 2],
    )


@compiled
def store(out, row, column, shade, r, g, b):  # type: ignore[no-untyped-def]
    """One pixel, clipped to 8 bits."""
    out[row, column, 0] = int(min(255.0, max(0.0, 255.0 * shade * r)))
    out[row, column, 1] = int(min(255.0, max(0.0, 255.0 * shade * g)))
    out[row, column, 2] = int(min(255.0, max(0.0, 255.0 * shade * b)))
