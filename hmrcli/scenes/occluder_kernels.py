"""The compiled loop that paints an occluder.

Import this module only where a picture is made: it imports numba, and the first call compiles it.
"""

import math

from hmrcli.render.kernels import compiled
from hmrcli.scenes.patterns import BALL, BANDS, BARS, CHECKS, COUNTER, CRATE, FOLIAGE, GRAIN, HELD, PILLAR
from hmrcli.scenes.ray_kernels import noise_at

LEAST_OPACITY = 0.02
"""Below which a soft edge is not painted."""


@compiled
def _outside(noise, kind, u, v, numbers):  # type: ignore[no-untyped-def]
    """Pixels from the edge of the shape, negative inside, at (u, v) in its own axes."""
    a, b = numbers[2], numbers[3]
    small = min(a, b)
    if kind in (BALL, FOLIAGE):
        off = math.sqrt((u / a) ** 2 + (v / b) ** 2)
        if kind == FOLIAGE:
            unit = 512.0 / numbers[12]
            ragged = noise_at(noise, u * unit * 0.3 + numbers[10], v * unit * 0.3 + numbers[11])
            leaves = noise_at(noise, u * unit * 3.0 + numbers[11], v * unit * 3.0 + numbers[10])
            off += 0.6 * (ragged - 0.5) + 0.9 * (leaves - 0.5)
        return (off - 1.0) * small
    if kind == BARS:
        count, period = numbers[7], numbers[8]
        which = math.floor(v / period + 0.5 * count)
        which = min(max(which, 0.0), count - 1.0)
        return abs(v - (which - 0.5 * (count - 1.0)) * period) - b
    radius = numbers[6] * small
    x, y = abs(u) - a + radius, abs(v) - b + radius
    corner = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2)
    return corner + min(max(x, y), 0.0) - radius


@compiled
def _brightness(noise, kind, u, v, outside, numbers):  # type: ignore[no-untyped-def]
    """How light a shape is at (u, v): round things are lit from their upper left."""
    a, b = numbers[2], numbers[3]
    if kind == BALL:
        x, y = u / a, v / b
        z = math.sqrt(max(0.0, 1.0 - x * x - y * y))
        lit = max(0.0, -0.45 * x - 0.6 * y + 0.66 * z)
        return 0.35 + 0.75 * lit + 0.5 * lit**24
    if kind == HELD:
        x = u / a
        return 0.5 + 0.6 * math.sqrt(max(0.0, 1.0 - min(1.0, (x + 0.3) ** 2)))
    if kind == BARS:
        x = 1.0 + outside / b  # 0 in the middle of a bar, 1 at its edge
        return 0.5 + 0.6 * math.sqrt(max(0.0, 1.0 - x * x))
    if kind == PILLAR:
        return 0.75 + 0.3 * min(1.0, max(0.0, 0.5 + 0.5 * u / a))
    if kind == FOLIAGE:
        unit = 512.0 / numbers[12]
        leaves = noise_at(noise, u * unit * 3.0 + numbers[10] + 99.0, v * unit * 3.0)
        return 0.3 + 1.0 * leaves - 0.15 * v / b
    top = (v + b) / numbers[12]  # shares of the picture below its upper edge
    if kind == COUNTER and top < 0.03:
        return 1.2
    if kind == CRATE and -outside < 0.012 * numbers[12]:
        return 1.15
    return 1.0 - 0.5 * min(1.0, max(0.0, top))


@compiled
def _meets(noise, kind, numbers, row, column):  # type: ignore[no-untyped-def]
    """A pixel's place in the axes of the shape, how far outside it lies, and how much of it the shape takes."""
    x, y = column + 0.5 - numbers[0], row + 0.5 - numbers[1]
    u, v = numbers[4] * x + numbers[5] * y, numbers[4] * y - numbers[5] * x
    outside = _outside(noise, kind, u, v, numbers)
    return u, v, outside, min(1.0, 0.5 - outside / numbers[9])


@compiled
def hides(noise, kind, numbers, window, pixels, hidden):  # type: ignore[no-untyped-def]
    """Whether `paint` paints over pixels (N, 2), column and row; into (N,) bool."""
    for n in range(pixels.shape[0]):
        column, row = pixels[n, 0], pixels[n, 1]
        hidden[n] = False
        if window[0] <= column < window[1] and window[2] <= row < window[3]:
            _, _, _, opacity = _meets(noise, kind, numbers, row, column)
            hidden[n] = opacity > LEAST_OPACITY


@compiled
def paint(noise, kind, texture, numbers, colours, window, image, mask):  # type: ignore[no-untyped-def]
    """Blends a shape into a picture.

    Args:
        noise: the table.
        kind: of occluder.
        texture: of its surface.
        numbers: centre x, y, half width, half height, cosine and sine of the angle, roundness, bars, period,
            softness, place in the table x, y, side of the picture; lengths in pixels.
        colours: (6,) RGB of the thing and of its texture.
        window: first and last + 1 column and row.
        image: (S, S, 3) uint8, painted over.
        mask: (S, S) bool, set where it was.
    """
    unit = 512.0 / numbers[12]
    for row in range(window[2], window[3]):
        for column in range(window[0], window[1]):
            u, v, outside, opacity = _meets(noise, kind, numbers, row, column)
            if opacity <= LEAST_OPACITY:
                continue
            shade = _brightness(noise, kind, u, v, outside, numbers)
            mix = 0.0
            if texture == GRAIN:
                mix = noise_at(noise, u * unit * 0.3 + numbers[10], v * unit * 2.0 + numbers[11])
            elif texture == BANDS:
                mix = 1.0 if math.sin(v * unit * 0.12) > 0.3 else 0.0
            elif texture == CHECKS:
                mix = 1.0 if math.sin(u * unit * 0.15) * math.sin(v * unit * 0.15) > 0.0 else 0.0
            shade *= 0.92 + 0.16 * noise_at(noise, u * unit * 0.7 + numbers[11], v * unit * 0.7 + numbers[10])
            for c in range(3):
                colour = min(1.0, max(0.0, shade * (colours[c] + (colours[c + 3] - colours[c]) * mix)))
                image[row, column, c] = int(
                    image[row, column, c] * (1.0 - opacity) + 255.0 * colour * opacity
                )
            mask[row, column] = True


@compiled
def covered(noise, kind, numbers, box, grid):  # type: ignore[no-untyped-def]
    """Share of `grid` x `grid` samples of a box (left, top, right, bottom in pixels) inside a shape."""
    hits = 0
    for row in range(grid):
        for column in range(grid):
            x = box[0] + (column + 0.5) / grid * (box[2] - box[0]) - numbers[0]
            y = box[1] + (row + 0.5) / grid * (box[3] - box[1]) - numbers[1]
            u, v = numbers[4] * x + numbers[5] * y, numbers[4] * y - numbers[5] * x
            if _outside(noise, kind, u, v, numbers) < 0.0:
                hits += 1
    return hits / (grid * grid)
