"""The compiled loops over vertices that drawing a scene takes: where bodies end, and whether two of them touch.

Import this module only where scenes are drawn: it imports numba, and the first call of a function compiles it.
"""

import math

from hmrcli.render.kernels import compiled


@compiled
def spread(points, out):  # type: ignore[no-untyped-def]
    """Least, greatest and mean coordinates of points (N, D), into (3, D)."""
    for k in range(points.shape[1]):
        least, greatest, total = math.inf, -math.inf, 0.0
        for n in range(points.shape[0]):
            value = points[n, k]
            least, greatest, total = min(least, value), max(greatest, value), total + value
        out[0, k], out[1, k], out[2, k] = least, greatest, total / points.shape[0]


@compiled
def touching(one, other, low, high, gap, step):  # type: ignore[no-untyped-def]
    """Whether vertices of one mesh, and of another that fills the box from `low` to `high`, come closer than a gap.

    Of either mesh every `step`-th vertex counts.
    """
    for a in range(0, one.shape[0], step):
        x, y, z = one[a, 0], one[a, 1], one[a, 2]
        if (
            min(x - low[0], y - low[1], z - low[2]) < -gap
            or max(x - high[0], y - high[1], z - high[2]) > gap
        ):  # fmt: skip
            continue
        for b in range(0, other.shape[0], step):
            dx, dy, dz = x - other[b, 0], y - other[b, 1], z - other[b, 2]
            if dx * dx + dy * dy + dz * dz < gap * gap:
                return True
    return False


@compiled
def rings(rest, shaped, heights, reach, out):  # type: ignore[no-untyped-def]
    """A trunk at heights (R,) of rest, into (R, 4): half its width, its front and its back, and how much it rose.

    What is wider than arms let it be, or above the waist, is no trunk.
    """
    for r in range(heights.shape[0]):
        wide, front, back, risen, count = 0.0, -math.inf, math.inf, 0.0, 0
        for v in range(rest.shape[0]):
            if abs(rest[v, 1] - heights[r]) < reach and abs(rest[v, 0]) < 0.3 and rest[v, 1] < 0.1:
                wide = max(wide, abs(shaped[v, 0]))
                front, back = max(front, shaped[v, 2]), min(back, shaped[v, 2])
                risen += shaped[v, 1] - rest[v, 1]
                count += 1
        out[r, 0], out[r, 1], out[r, 2], out[r, 3] = wide, front, back, risen / max(count, 1)
