"""The compiled loops that paint an occluder. Import this module only where a picture is made: it imports numba."""

import math

from hmrcli.render.compiled import Array, compiled
from hmrcli.scenes.kernels import noise_at
from hmrcli.scenes.kinds import COUNTER, CRATE, FOLIAGE, GRAIN, PILLAR

LEAST_OPACITY = 0.02
"""Below which a soft edge is not painted."""


@compiled
def _outside(noise: Array, kind: int, u: float, v: float, numbers: Array) -> float:
    """Measures pixels from the edge of the shape, negative inside, at (u, v) in its own axes."""
    a, b = numbers[2], numbers[3]
    small = min(a, b)
    if kind == FOLIAGE:
        unit = 512.0 / numbers[10]
        ragged = noise_at(noise, u * unit * 0.3 + numbers[8], v * unit * 0.3 + numbers[9])
        leaves = noise_at(noise, u * unit * 3.0 + numbers[9], v * unit * 3.0 + numbers[8])
        off = math.sqrt((u / a) ** 2 + (v / b) ** 2) + 0.6 * (ragged - 0.5) + 0.9 * (leaves - 0.5)
        return (off - 1.0) * small
    radius = numbers[6] * small
    x, y = abs(u) - a + radius, abs(v) - b + radius
    corner = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2)
    return corner + min(max(x, y), 0.0) - radius


@compiled
def _brightness(noise: Array, kind: int, u: float, v: float, outside: float, numbers: Array) -> float:
    """Returns how light a shape is at (u, v)."""
    a, b = numbers[2], numbers[3]
    if kind == PILLAR:
        return 0.75 + 0.3 * min(1.0, max(0.0, 0.5 + 0.5 * u / a))
    if kind == FOLIAGE:
        unit = 512.0 / numbers[10]
        leaves = noise_at(noise, u * unit * 3.0 + numbers[8] + 99.0, v * unit * 3.0)
        return 0.3 + 1.0 * leaves - 0.15 * v / b
    top = (v + b) / numbers[10]  # shares of the picture below its upper edge
    if kind == COUNTER and top < 0.03:
        return 1.2
    if kind == CRATE and -outside < 0.012 * numbers[10]:
        return 1.15
    return 1.0 - 0.5 * min(1.0, max(0.0, top))


@compiled
def _meets(noise: Array, kind: int, numbers: Array, row: float, column: float) -> tuple[float, ...]:
    """Returns a pixel's place in the axes of the shape, how far outside it lies, and how much the shape takes of it."""
    x, y = column + 0.5 - numbers[0], row + 0.5 - numbers[1]
    u, v = numbers[4] * x + numbers[5] * y, numbers[4] * y - numbers[5] * x
    outside = _outside(noise, kind, u, v, numbers)
    return u, v, outside, min(1.0, 0.5 - outside / numbers[7])


@compiled
def hides(noise: Array, kind: int, numbers: Array, window: Array, pixels: Array, hidden: Array) -> None:
    """Finds whether `paint` paints over pixels (N, 2), column and row; into (N,) bool."""
    for n in range(pixels.shape[0]):
        column, row = pixels[n, 0], pixels[n, 1]
        hidden[n] = False
        if window[0] <= column < window[1] and window[2] <= row < window[3]:
            hidden[n] = _meets(noise, kind, numbers, row, column)[3] > LEAST_OPACITY


@compiled
def paint(
    noise: Array,
    kind: int,
    texture: int,
    numbers: Array,
    colours: Array,
    window: Array,
    image: Array,
    mask: Array,
) -> None:
    """Blends a shape into a picture.

    Args:
        noise: the table.
        kind: of occluder.
        texture: of its surface.
        numbers: center x, y, half width, half height, cosine and sine of the angle, roundness, softness, place in the
            table x, y, side of the picture; lengths in pixels.
        colours: (6,) RGB of the thing and of its texture.
        window: first and last + 1 column and row.
        image: (S, S, 3) uint8, painted over.
        mask: (S, S) bool, set where it was.
    """
    unit = 512.0 / numbers[10]
    for row in range(window[2], window[3]):
        for column in range(window[0], window[1]):
            u, v, outside, opacity = _meets(noise, kind, numbers, row, column)
            if opacity <= LEAST_OPACITY:
                continue
            shade = _brightness(noise, kind, u, v, outside, numbers)
            mix = 0.0
            if texture == GRAIN:
                mix = noise_at(noise, u * unit * 0.3 + numbers[8], v * unit * 2.0 + numbers[9])
            shade *= 0.92 + 0.16 * noise_at(noise, u * unit * 0.7 + numbers[9], v * unit * 0.7 + numbers[8])
            for c in range(3):
                colour = min(1.0, max(0.0, shade * (colours[c] + (colours[c + 3] - colours[c]) * mix)))
                image[row, column, c] = int(
                    image[row, column, c] * (1.0 - opacity) + 255.0 * colour * opacity
                )
            mask[row, column] = True


@compiled
def covered(noise: Array, kind: int, numbers: Array, box: Array, grid: int) -> float:
    """Returns the share of `grid` x `grid` samples of a box (left, top, right, bottom in pixels) inside a shape."""
    hits = 0
    for row in range(grid):
        for column in range(grid):
            x = box[0] + (column + 0.5) / grid * (box[2] - box[0]) - 0.5
            y = box[1] + (row + 0.5) / grid * (box[3] - box[1]) - 0.5
            if _meets(noise, kind, numbers, y, x)[2] < 0.0:
                hits += 1
    return hits / (grid * grid)
