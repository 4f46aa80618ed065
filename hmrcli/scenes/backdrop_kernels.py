"""The compiled loops that paint rooms: one ray per pixel.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles it. Rays
and places are in the frame of a room: x right, y up from the floor, z away from the camera.
"""

import math

from hmrcli.render.compiled import Array, compiled
from hmrcli.scenes.kernels import noise_at
from hmrcli.scenes.kinds import BRICKS, CARPET, PANELLED, PLANKS, STRIPES, TILES, TWO_TONE


@compiled
def hashed(i: float, j: float, k: float) -> float:
    """Returns a number from 0 to 1 that belongs to three whole numbers."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(k) * 982451653) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@compiled
def seam(place: float, period: float, width: float, footprint: float) -> float:
    """Returns the share of a seam, of `width` every `period`, that a footprint of that size sees here."""
    from_seam = abs(place / period - math.floor(place / period + 0.5)) * period
    reach = 0.5 * (width + footprint)
    if from_seam >= reach:
        return 0.0
    return min(1.0, width / footprint) * min(1.0, 2.0 * (reach - from_seam) / footprint)


@compiled
def floor(
    noise: Array, x: float, z: float, footprint: float, pattern: int, scale: float, seed: int
) -> tuple[float, float]:
    """Returns the share of a floor's second colour, and its brightness."""
    shift = (seed % 997) * 0.73
    broad = noise_at(noise, x * 30.0 + shift, z * 30.0 + shift)
    fine = 1.0 if footprint < 0.01 else 0.01 / footprint
    far = min(1.0, scale / footprint)
    if pattern == PLANKS:
        row = math.floor(x / scale)
        along = z / (9.0 * scale) + hashed(row, 3, seed)
        tone = hashed(row, math.floor(along), seed)
        grain = noise_at(noise, x * 400.0 + tone * 999.0, z * 24.0) - 0.5
        gap = seam(x, scale, 0.006, footprint) + seam(along * 9.0 * scale, 9.0 * scale, 0.006, footprint)
        return min(1.0, gap), 0.88 + 0.24 * tone * far + 0.2 * grain * fine
    if pattern == TILES:
        row, column = math.floor(z / scale), math.floor(x / scale)
        wide = 0.02 * scale + 0.003
        gap = max(seam(x, scale, wide, footprint), seam(z, scale, wide, footprint))
        chequered = 0.5 + ((column + row) % 2.0 - 0.5) * far if seed % 3 == 0 else 0.0
        tone = hashed(column, row, seed) - 0.5
        return max(gap, chequered), 0.95 + 0.12 * tone * far + 0.15 * (broad - 0.5)
    if pattern == CARPET:
        pile = noise_at(noise, x * 1500.0, z * 1500.0) - 0.5
        return 0.25 * broad, 0.95 + 0.35 * pile * fine
    return 0.3 * broad, 0.92 + 0.16 * noise_at(noise, x * 120.0, z * 120.0 + shift)


@compiled
def wall(
    noise: Array, u: float, v: float, footprint: float, pattern: int, scale: float, seed: int
) -> tuple[float, float]:
    """Returns the share of a wall's second colour `u` metres along and `v` up, and its brightness."""
    shade = 0.94 + 0.08 * noise_at(noise, u * 25.0 + seed % 613, v * 25.0)
    shade += 0.03 * noise_at(noise, u * 300.0, v * 300.0)
    if pattern == STRIPES:
        share = u / scale - math.floor(u / scale)
        return (1.0 if share < 0.4 else 0.0) * min(1.0, scale / footprint), shade
    if pattern == BRICKS:
        course = math.floor(v / 0.075)
        along = u + 0.11 * (course % 2.0)
        tone = hashed(math.floor(along / 0.22), course, seed) - 0.5
        gap = max(seam(v, 0.075, 0.012, footprint), seam(along, 0.22, 0.012, footprint))
        return gap, shade + 0.3 * tone * min(1.0, 0.1 / footprint)
    if pattern == PANELLED:
        return seam(u, scale * 4.0, 0.015, footprint), shade
    if pattern == TWO_TONE:
        return (1.0 if v < 0.8 + 3.0 * scale else 0.0), shade
    return 0.0, shade


@compiled
def paint_room(
    noise: Array, lens: Array, frame: Array, eye: Array, bounds: Array, colours: Array, patterns: Array, lamp: Array,
    seed: int, out: Array,
) -> None:  # fmt: skip
    """Paints an empty room, seen from inside.

    Args:
        noise: the table.
        lens: focal length, then principal point, pixels.
        frame: (3, 3) the room's axes, as rows, in the camera's.
        eye: (3,) where the camera is.
        bounds: left, right, back, front, ceiling: metres.
        colours: (7, 3) floor and its second colour, wall and its second, side wall, ceiling, skirting.
        patterns: floor's, its scale, wall's, its scale.
        lamp: x, y, z, brightness there, and what remains far away.
        seed: of details.
        out: (S, S, 3) uint8.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            cx, cy = (column + 0.5 - lens[1]) / lens[0], (row + 0.5 - lens[2]) / lens[0]
            dx = frame[0, 0] * cx + frame[0, 1] * cy + frame[0, 2]
            dy = frame[1, 0] * cx + frame[1, 1] * cy + frame[1, 2]
            dz = frame[2, 0] * cx + frame[2, 1] * cy + frame[2, 2]
            surface = 0 if dy < 0.0 else 1
            t = (-eye[1] / dy if dy < 0.0 else (bounds[4] - eye[1]) / dy) if abs(dy) > 1e-9 else 1e9
            across = ((bounds[1] if dx > 0.0 else bounds[0]) - eye[0]) / dx if abs(dx) > 1e-9 else 1e9
            if across < t:
                t, surface = across, (4 if dx > 0.0 else 3)
            ahead = ((bounds[3] if dz > 0.0 else bounds[2]) - eye[2]) / dz if abs(dz) > 1e-9 else 1e9
            if ahead < t:
                t, surface = ahead, (2 if dz > 0.0 else 5)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            distant = (px - lamp[0]) ** 2 + (py - lamp[1]) ** 2 + (pz - lamp[2]) ** 2
            light = lamp[4] + (lamp[3] - lamp[4]) / (1.0 + 0.06 * distant)
            span, depth = min(px - bounds[0], bounds[1] - px), bounds[3] - pz
            if surface == 0:
                footprint = t / lens[0] / max(0.1, -dy)
                mix, shade = floor(noise, px, pz, footprint, int(patterns[0]), patterns[1], seed)
                light *= 1.0 - 0.25 * max(0.0, 1.0 - 2.5 * min(span, depth))
                first, second = 0, 1
            elif surface == 1:
                mix, shade, first, second = 0.0, 0.97, 5, 5
                light *= 1.0 - 0.2 * max(0.0, 1.0 - 2.0 * min(span, depth))
            else:
                along = surface == 2 or surface == 5
                first, second = (2, 3) if along else (4, 3)
                u = px if along else pz
                mix, shade = wall(noise, u, py, t / lens[0], int(patterns[2]), patterns[3], seed)
                corner = min(min(py, bounds[4] - py), span if surface == 2 else depth)
                light *= 1.0 - 0.2 * max(0.0, 1.0 - 2.5 * corner)
                light *= 0.85 if surface == 3 else 0.95 if surface == 4 else 1.0
                if py < 0.09:
                    mix, first = 0.0, 6
            for k in range(3):
                value = (
                    255.0
                    * shade
                    * light
                    * (colours[first, k] + (colours[second, k] - colours[first, k]) * mix)
                )
                out[row, column, k] = int(min(255.0, max(0.0, value)))
