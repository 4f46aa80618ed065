"""The compiled loops for what rays meet: the look of floors, walls, things on walls, and boxes.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles
it. Rays and places are in the frame of a room: x right, y up from the floor, z away from the camera.
"""

import math

from hmrcli.render.kernels import compiled
from hmrcli.scenes.patterns import (
    BRICKS,
    CAR,
    CARPET,
    DOOR,
    DRAWERS,
    GRASS,
    HEDGE,
    PANELLED,
    PAVING,
    PLANKS,
    POSTER,
    ROAD,
    SAND,
    SHELF,
    STRIPES,
    TILES,
    TWO_TONE,
    WINDOW,
)
from hmrcli.scenes.ray_kernels import hashed, noise_at, store


@compiled
def _seam(place, period, width, footprint):  # type: ignore[no-untyped-def]
    """How much of a seam, of `width` every `period`, a footprint of that size sees here: 0 to 1."""
    from_seam = abs(place / period - math.floor(place / period + 0.5)) * period
    reach = 0.5 * (width + footprint)
    if from_seam >= reach:
        return 0.0
    return min(1.0, width / footprint) * min(1.0, 2.0 * (reach - from_seam) / footprint)


@compiled
def ground(noise, x, z, footprint, pattern, scale, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a floor: how much of its second colour, and how bright."""
    shift = (seed % 997) * 0.73
    broad = noise_at(noise, x * 30.0 + shift, z * 30.0 + shift)
    fine = 1.0 if footprint < 0.01 else 0.01 / footprint
    if pattern == PLANKS:
        row = math.floor(x / scale)
        along = z / (9.0 * scale) + hashed(row, 3, seed)
        tone = hashed(row, math.floor(along), seed)
        grain = noise_at(noise, x * 400.0 + tone * 999.0, z * 24.0) - 0.5
        seam = _seam(x, scale, 0.006, footprint) + _seam(along * 9.0 * scale, 9.0 * scale, 0.006, footprint)
        return min(1.0, seam), 0.88 + 0.24 * tone * min(1.0, scale / footprint) + 0.2 * grain * fine
    if pattern in (TILES, PAVING):
        row = math.floor(z / scale)
        offset = 0.5 * scale * (row % 2.0) if pattern == PAVING else 0.0
        column = math.floor((x + offset) / scale)
        seam = max(
            _seam(x + offset, scale, 0.02 * scale + 0.003, footprint),
            _seam(z, scale, 0.02 * scale + 0.003, footprint),
        )
        tone = hashed(column, row, seed) - 0.5
        far = min(1.0, scale / footprint)
        chequered = 0.0
        if pattern == TILES and seed % 3 == 0:
            chequered = 0.5 + ((column + row) % 2.0 - 0.5) * far
        uneven = 0.12 if pattern == TILES else 0.25
        return max(seam, chequered), 0.95 + uneven * tone * far + 0.15 * (broad - 0.5)
    if pattern == GRASS:
        blades = noise_at(noise, x * 700.0, z * 260.0 + shift) - 0.5
        tufts = noise_at(noise, x * 110.0 + shift, z * 110.0) - 0.5
        return broad * 0.8, 0.95 + 0.5 * blades * min(1.0, 3 * fine) + 0.3 * tufts
    if pattern == ROAD:
        grit = noise_at(noise, x * 900.0, z * 900.0) - 0.5
        line = _seam(x - 0.37 * scale, 12.0 * scale, 0.12, footprint)
        if seed % 2 == 0 and z / 3.0 - math.floor(z / 3.0) > 0.5:
            line = 0.0
        return line, 0.9 + 0.35 * grit * fine + 0.25 * (broad - 0.5)
    if pattern == SAND:
        ripples = noise_at(noise, x * 60.0 + shift, z * 180.0) - 0.5
        grit = noise_at(noise, x * 800.0, z * 800.0) - 0.5
        return broad * 0.5, 0.95 + 0.25 * ripples + 0.2 * grit * fine
    if pattern == CARPET:
        pile = noise_at(noise, x * 1500.0, z * 1500.0) - 0.5
        return 0.25 * broad, 0.95 + 0.35 * pile * fine
    return 0.3 * broad, 0.92 + 0.16 * noise_at(noise, x * 120.0, z * 120.0 + shift)


@compiled
def wall(noise, u, v, footprint, pattern, scale, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a wall at `u` metres along and `v` up."""
    shade = (
        0.94
        + 0.08 * noise_at(noise, u * 25.0 + seed % 613, v * 25.0)
        + 0.03 * noise_at(noise, u * 300.0, v * 300.0)
    )
    if pattern == STRIPES:
        share = u / scale - math.floor(u / scale)
        return (1.0 if share < 0.4 else 0.0) * min(1.0, scale / footprint), shade
    if pattern == BRICKS:
        course = math.floor(v / 0.075)
        along = u + 0.11 * (course % 2.0)
        seam = max(_seam(v, 0.075, 0.012, footprint), _seam(along, 0.22, 0.012, footprint))
        tone = hashed(math.floor(along / 0.22), course, seed) - 0.5
        return seam, shade + 0.3 * tone * min(1.0, 0.1 / footprint)
    if pattern == PANELLED:
        return _seam(u, scale * 4.0, 0.015, footprint), shade
    if pattern == TWO_TONE:
        return (1.0 if v < 0.8 + 3.0 * scale else 0.0), shade
    return 0.0, shade


@compiled
def panel(noise, u, v, kind, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a thing on a wall at (u, v), each 0 to 1 across it."""
    edge = min(min(u, 1.0 - u), min(v, 1.0 - v))
    if kind == WINDOW:
        if edge < 0.05 or abs(u - 0.5) < 0.025 or (seed % 2 == 0 and abs(v - 0.6) < 0.02):
            return 1.0, 0.9
        leaves = noise_at(noise, u * 90.0 + seed % 331, v * 90.0)
        outside = 0.75 if leaves > 0.35 + 1.2 * v else 1.15
        return 0.0, outside
    if kind == DOOR:
        if edge < 0.04:
            return 1.0, 0.8
        if 0.86 < u < 0.92 and 0.45 < v < 0.5:
            return 1.0, 1.3
        inset = abs(abs(u - 0.5) - 0.3) < 0.015 or abs(abs(v - 0.5) - 0.35) < 0.01 or abs(v - 0.5) < 0.01
        return 0.0, 0.75 if inset else 1.0
    if kind == POSTER:
        if edge < 0.04:
            return 0.0, 0.35
        wave = noise_at(noise, u * 70.0 + seed % 509, v * 50.0 + seed % 313)
        return (1.0 if wave > 0.5 else 2.0 * wave * wave), 0.75 + 0.5 * v
    return (0.7 if edge < 0.03 else 0.0), 0.92 + 0.16 * noise_at(noise, u * 60.0, v * 40.0 + seed % 211)


@compiled
def _box_face(noise, px, py, pz, box, axis, seed):  # type: ignore[no-untyped-def]
    """Brightness of a box where a ray meets its face across `axis`, and how much it varies in colour."""
    height = (py - box[2]) / (box[3] - box[2])
    across = px if axis == 2 else pz
    shade = 0.72 if axis == 0 else 1.12 if axis == 1 else 0.9
    shade *= 0.7 + 0.3 * min(1.0, 2.5 * max(0.0, height))
    kind = int(box[9])
    if kind == SHELF and axis != 1:
        board = math.floor(py / 0.32)
        level = py / 0.32 - board
        book = math.floor(across / 0.045)
        tall = 0.55 + 0.4 * hashed(book, board, seed)
        if level < 0.08:
            return shade, 0.0
        if level > tall or hashed(math.floor(across / 0.5), board, seed + 1) < 0.25:
            return 0.4 * shade, 0.0
        return shade * (0.5 + 0.7 * hashed(book, board, seed + 2)), 0.9
    if kind == DRAWERS and axis != 1:
        level = py / 0.25 - math.floor(py / 0.25)
        side = across / 0.6 - math.floor(across / 0.6)
        if level < 0.06 or side < 0.03:
            return 0.55 * shade, 0.0
        if abs(level - 0.6) < 0.06 and abs(side - 0.5) < 0.12:
            return 1.3 * shade, 0.0
        return shade, 0.0
    if kind == HEDGE:
        leaves = noise_at(noise, (px + pz) * 140.0, py * 140.0 + pz * 60.0)
        return shade * (0.45 + 0.95 * leaves), 0.3
    if kind == CAR and height > 0.55 and axis != 1:
        return 0.35 * shade, 0.0
    return shade * (0.92 + 0.16 * noise_at(noise, across * 50.0, py * 50.0)), 0.0


@compiled
def nearest_box(boxes, ox, oy, oz, dx, dy, dz, limit):  # type: ignore[no-untyped-def]
    """(index, distance, axis) of the first box that a ray meets before `limit`; index -1 for none."""
    found, nearest, axis = -1, limit, 0
    ix = 1.0 / dx if abs(dx) > 1e-9 else 1e9
    iy = 1.0 / dy if abs(dy) > 1e-9 else 1e9
    iz = 1.0 / dz if abs(dz) > 1e-9 else 1e9
    for b in range(boxes.shape[0]):
        x0, x1 = (boxes[b, 0] - ox) * ix, (boxes[b, 1] - ox) * ix
        y0, y1 = (boxes[b, 2] - oy) * iy, (boxes[b, 3] - oy) * iy
        z0, z1 = (boxes[b, 4] - oz) * iz, (boxes[b, 5] - oz) * iz
        x, y, z = min(x0, x1), min(y0, y1), min(z0, z1)
        low = max(x, max(y, z))
        high = min(max(x0, x1), min(max(y0, y1), max(z0, z1)))
        if 0.0 < low < high and low < nearest:
            found, nearest = b, low
            axis = 0 if low == x else 1 if low == y else 2
    return found, nearest, axis


@compiled
def store_box(out, row, column, noise, box, index, px, py, pz, axis, seed):  # type: ignore[no-untyped-def]
    """The pixel of a ray that met a box at (px, py, pz)."""
    shade, varied = _box_face(noise, px, py, pz, box, axis, seed + index)
    r, g, b = box[6], box[7], box[8]
    if varied > 0.5:
        place = math.floor((px if axis == 2 else pz) / 0.045)
        r += varied * (hashed(place, 1, seed + index) - 0.5)
        g += varied * (hashed(place, 2, seed + index) - 0.5)
        b += varied * (hashed(place, 3, seed + index) - 0.5)
    store(out, row, column, shade, r, g, b)
