"""The compiled loops that paint backdrops: one ray per pixel against a few planes and boxes.

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
    TOWN,
    TREES,
    TWO_TONE,
    WINDOW,
)


@compiled
def _lookup(noise, x, y):  # type: ignore[no-untyped-def]
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
def _hashed(i, j, k):  # type: ignore[no-untyped-def]
    """A number from 0 to 1 that belongs to three whole numbers."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(k) * 982451653) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@compiled
def _angle(y, x):  # type: ignore[no-untyped-def]
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
def _ray(lens, frame, row, column):  # type: ignore[no-untyped-def]
    """Direction in which a pixel looks, in the axes of the place; 1 ahead along the camera's own."""
    cx, cy = (column + 0.5 - lens[1]) / lens[0], (row + 0.5 - lens[2]) / lens[0]
    return (
        frame[0, 0] * cx + frame[0, 1] * cy + frame[0, 2],
        frame[1, 0] * cx + frame[1, 1] * cy + frame[1, 2],
        frame[2, 0] * cx + frame[2, 1] * cy + frame[2, 2],
    )


@compiled
def _seam(place, period, width, footprint):  # type: ignore[no-untyped-def]
    """How much of a seam, of `width` every `period`, a footprint of that size sees here: 0 to 1."""
    from_seam = abs(place / period - math.floor(place / period + 0.5)) * period
    reach = 0.5 * (width + footprint)
    if from_seam >= reach:
        return 0.0
    return min(1.0, width / footprint) * min(1.0, 2.0 * (reach - from_seam) / footprint)


@compiled
def _ground(noise, x, z, footprint, pattern, scale, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a floor: how much of its second colour, and how bright."""
    shift = (seed % 997) * 0.73
    broad = _lookup(noise, x * 30.0 + shift, z * 30.0 + shift)
    fine = 1.0 if footprint < 0.01 else 0.01 / footprint
    if pattern == PLANKS:
        row = math.floor(x / scale)
        along = z / (9.0 * scale) + _hashed(row, 3, seed)
        tone = _hashed(row, math.floor(along), seed)
        grain = _lookup(noise, x * 400.0 + tone * 999.0, z * 24.0) - 0.5
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
        tone = _hashed(column, row, seed) - 0.5
        far = min(1.0, scale / footprint)
        chequered = 0.0
        if pattern == TILES and seed % 3 == 0:
            chequered = 0.5 + ((column + row) % 2.0 - 0.5) * far
        uneven = 0.12 if pattern == TILES else 0.25
        return max(seam, chequered), 0.95 + uneven * tone * far + 0.15 * (broad - 0.5)
    if pattern == GRASS:
        blades = _lookup(noise, x * 700.0, z * 260.0 + shift) - 0.5
        tufts = _lookup(noise, x * 110.0 + shift, z * 110.0) - 0.5
        return broad * 0.8, 0.95 + 0.5 * blades * min(1.0, 3 * fine) + 0.3 * tufts
    if pattern == ROAD:
        grit = _lookup(noise, x * 900.0, z * 900.0) - 0.5
        line = _seam(x - 0.37 * scale, 12.0 * scale, 0.12, footprint)
        if seed % 2 == 0 and z / 3.0 - math.floor(z / 3.0) > 0.5:
            line = 0.0
        return line, 0.9 + 0.35 * grit * fine + 0.25 * (broad - 0.5)
    if pattern == SAND:
        ripples = _lookup(noise, x * 60.0 + shift, z * 180.0) - 0.5
        grit = _lookup(noise, x * 800.0, z * 800.0) - 0.5
        return broad * 0.5, 0.95 + 0.25 * ripples + 0.2 * grit * fine
    if pattern == CARPET:
        pile = _lookup(noise, x * 1500.0, z * 1500.0) - 0.5
        return 0.25 * broad, 0.95 + 0.35 * pile * fine
    return 0.3 * broad, 0.92 + 0.16 * _lookup(noise, x * 120.0, z * 120.0 + shift)


@compiled
def _wall(noise, u, v, footprint, pattern, scale, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a wall at `u` metres along and `v` up."""
    shade = (
        0.94
        + 0.08 * _lookup(noise, u * 25.0 + seed % 613, v * 25.0)
        + 0.03 * _lookup(noise, u * 300.0, v * 300.0)
    )
    if pattern == STRIPES:
        share = u / scale - math.floor(u / scale)
        return (1.0 if share < 0.4 else 0.0) * min(1.0, scale / footprint), shade
    if pattern == BRICKS:
        course = math.floor(v / 0.075)
        along = u + 0.11 * (course % 2.0)
        seam = max(_seam(v, 0.075, 0.012, footprint), _seam(along, 0.22, 0.012, footprint))
        tone = _hashed(math.floor(along / 0.22), course, seed) - 0.5
        return seam, shade + 0.3 * tone * min(1.0, 0.1 / footprint)
    if pattern == PANELLED:
        return _seam(u, scale * 4.0, 0.015, footprint), shade
    if pattern == TWO_TONE:
        return (1.0 if v < 0.8 + 3.0 * scale else 0.0), shade
    return 0.0, shade


@compiled
def _panel(noise, u, v, kind, seed):  # type: ignore[no-untyped-def]
    """(mix, shade) of a thing on a wall at (u, v), each 0 to 1 across it."""
    edge = min(min(u, 1.0 - u), min(v, 1.0 - v))
    if kind == WINDOW:
        if edge < 0.05 or abs(u - 0.5) < 0.025 or (seed % 2 == 0 and abs(v - 0.6) < 0.02):
            return 1.0, 0.9
        leaves = _lookup(noise, u * 90.0 + seed % 331, v * 90.0)
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
        wave = _lookup(noise, u * 70.0 + seed % 509, v * 50.0 + seed % 313)
        return (1.0 if wave > 0.5 else 2.0 * wave * wave), 0.75 + 0.5 * v
    return (0.7 if edge < 0.03 else 0.0), 0.92 + 0.16 * _lookup(noise, u * 60.0, v * 40.0 + seed % 211)


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
        tall = 0.55 + 0.4 * _hashed(book, board, seed)
        if level < 0.08:
            return shade, 0.0
        if level > tall or _hashed(math.floor(across / 0.5), board, seed + 1) < 0.25:
            return 0.4 * shade, 0.0
        return shade * (0.5 + 0.7 * _hashed(book, board, seed + 2)), 0.9
    if kind == DRAWERS and axis != 1:
        level = py / 0.25 - math.floor(py / 0.25)
        side = across / 0.6 - math.floor(across / 0.6)
        if level < 0.06 or side < 0.03:
            return 0.55 * shade, 0.0
        if abs(level - 0.6) < 0.06 and abs(side - 0.5) < 0.12:
            return 1.3 * shade, 0.0
        return shade, 0.0
    if kind == HEDGE:
        leaves = _lookup(noise, (px + pz) * 140.0, py * 140.0 + pz * 60.0)
        return shade * (0.45 + 0.95 * leaves), 0.3
    if kind == CAR and height > 0.55 and axis != 1:
        return 0.35 * shade, 0.0
    return shade * (0.92 + 0.16 * _lookup(noise, across * 50.0, py * 50.0)), 0.0


@compiled
def _nearest_box(boxes, ox, oy, oz, dx, dy, dz, limit):  # type: ignore[no-untyped-def]
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
def _store(out, row, column, shade, r, g, b):  # type: ignore[no-untyped-def]
    """One pixel, clipped to 8 bits."""
    out[row, column, 0] = int(min(255.0, max(0.0, 255.0 * shade * r)))
    out[row, column, 1] = int(min(255.0, max(0.0, 255.0 * shade * g)))
    out[row, column, 2] = int(min(255.0, max(0.0, 255.0 * shade * b)))


@compiled
def _store_box(out, row, column, noise, box, index, px, py, pz, axis, seed):  # type: ignore[no-untyped-def]
    """The pixel of a ray that met a box at (px, py, pz)."""
    shade, varied = _box_face(noise, px, py, pz, box, axis, seed + index)
    r, g, b = box[6], box[7], box[8]
    if varied > 0.5:
        place = math.floor((px if axis == 2 else pz) / 0.045)
        r += varied * (_hashed(place, 1, seed + index) - 0.5)
        g += varied * (_hashed(place, 2, seed + index) - 0.5)
        b += varied * (_hashed(place, 3, seed + index) - 0.5)
    _store(out, row, column, shade, r, g, b)


@compiled
def paint_room(noise, lens, frame, eye, bounds, colours, patterns, panels, boxes, lamp, seed, out):  # type: ignore[no-untyped-def]
    """A room seen from inside.

    Args:
        noise: the table.
        lens: focal length, then principal point, pixels.
        frame: (3, 3) the room's axes, as rows, in the camera's.
        eye: (3,) where the camera is.
        bounds: left, right, back, front, ceiling: metres.
        colours: (7, 3) floor and its second colour, wall and its second, side wall, ceiling, skirting.
        patterns: floor's, its scale, wall's, its scale.
        panels: (P, 12) wall (0 front, 1 left, 2 right), along from, to, up from, to, kind, two colours.
        boxes: (B, 10) x from, to, y from, to, z from, to, colour, kind.
        lamp: x, y, z, brightness there, and what remains far away.
        seed: of details.
        out: (S, S, 3) uint8.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            dx, dy, dz = _ray(lens, frame, row, column)
            surface = 0 if dy < 0.0 else 1
            t = (-eye[1] / dy if dy < 0.0 else (bounds[4] - eye[1]) / dy) if abs(dy) > 1e-9 else 1e9
            across = ((bounds[1] if dx > 0.0 else bounds[0]) - eye[0]) / dx if abs(dx) > 1e-9 else 1e9
            if across < t:
                t, surface = across, (4 if dx > 0.0 else 3)
            ahead = ((bounds[3] if dz > 0.0 else bounds[2]) - eye[2]) / dz if abs(dz) > 1e-9 else 1e9
            if ahead < t:
                t, surface = ahead, (2 if dz > 0.0 else 5)
            index, t, axis = _nearest_box(boxes, eye[0], eye[1], eye[2], dx, dy, dz, t)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            if index >= 0:
                _store_box(out, row, column, noise, boxes[index], index, px, py, pz, axis, seed)
                continue
            far = (px - lamp[0]) ** 2 + (py - lamp[1]) ** 2 + (pz - lamp[2]) ** 2
            light = lamp[4] + (lamp[3] - lamp[4]) / (1.0 + 0.06 * far)
            span = min(px - bounds[0], bounds[1] - px)
            depth = bounds[3] - pz
            if surface == 0:
                footprint = t / lens[0] / max(0.1, -dy)
                mix, shade = _ground(noise, px, pz, footprint, int(patterns[0]), patterns[1], seed)
                light *= 1.0 - 0.25 * max(0.0, 1.0 - 2.5 * min(span, depth))
                first, second = 0, 1
            elif surface == 1:
                mix, shade, first, second = 0.0, 0.97, 5, 5
                light *= 1.0 - 0.2 * max(0.0, 1.0 - 2.0 * min(span, depth))
            else:
                u = px if surface == 2 or surface == 5 else pz
                first, second = (2, 3) if surface == 2 or surface == 5 else (4, 3)
                mix, shade = _wall(noise, u, py, t / lens[0], int(patterns[2]), patterns[3], seed)
                corner = min(min(py, bounds[4] - py), span if surface == 2 else depth)
                light *= 1.0 - 0.2 * max(0.0, 1.0 - 2.5 * corner)
                light *= 0.85 if surface == 3 else 0.95 if surface == 4 else 1.0
                if py < 0.09:
                    mix, first = 0.0, 6
                drawn = False
                for p in range(panels.shape[0]):
                    on_wall = int(panels[p, 0]) == surface - 2 and panels[p, 1] <= u <= panels[p, 2]
                    if on_wall and panels[p, 3] <= py <= panels[p, 4]:
                        pu = (u - panels[p, 1]) / (panels[p, 2] - panels[p, 1])
                        pv = (py - panels[p, 3]) / (panels[p, 4] - panels[p, 3])
                        kind = int(panels[p, 5])
                        mix, shade = _panel(noise, pu, pv, kind, seed + p)
                        if kind == WINDOW:
                            light = 1.0
                        r = panels[p, 6] + (panels[p, 9] - panels[p, 6]) * mix
                        g = panels[p, 7] + (panels[p, 10] - panels[p, 7]) * mix
                        b = panels[p, 8] + (panels[p, 11] - panels[p, 8]) * mix
                        _store(out, row, column, shade * light, r, g, b)
                        drawn = True
                        break
                if drawn:
                    continue
            r = colours[first, 0] + (colours[second, 0] - colours[first, 0]) * mix
            g = colours[first, 1] + (colours[second, 1] - colours[first, 1]) * mix
            b = colours[first, 2] + (colours[second, 2] - colours[first, 2]) * mix
            _store(out, row, column, shade * light, r, g, b)


@compiled
def _skyline(noise, bearing, kind, size, seed):  # type: ignore[no-untyped-def]
    """Height of the skyline, as a tangent, at a bearing."""
    shift = (seed % 769) * 1.31
    if kind == TOWN:
        plot = math.floor(bearing / 0.13 + shift)
        return size * (0.25 + _hashed(plot, 5, seed) * _hashed(plot, 6, seed + 1) * 1.2)
    if kind == TREES:
        return size * (
            0.25
            + 0.6 * _lookup(noise, bearing * 70.0 + shift, 3.0)
            + 0.12 * _lookup(noise, bearing * 500.0, 90.0)
        )
    return size * (
        0.05 + 0.7 * _lookup(noise, bearing * 45.0 + shift, 7.0) + 0.02 * _lookup(noise, bearing * 400.0, 9.0)
    )


@compiled
def paint_outdoors(noise, lens, frame, eye, colours, patterns, skylines, boxes, clouds, seed, out):  # type: ignore[no-untyped-def]
    """A landscape or a street.

    Args:
        noise: the table.
        lens: focal length, then principal point, pixels.
        frame: (3, 3) the axes of the place, as rows, in the camera's.
        eye: (3,) where the camera is.
        colours: (5, 3) ground and its second colour, zenith, horizon, clouds.
        patterns: the ground's and its scale.
        skylines: (K, 5) kind, height as a tangent, colour; the farthest first.
        boxes: (B, 10) as in `paint_room`.
        clouds: share of the sky that they cover.
        seed: of details.
        out: (S, S, 3) uint8.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            dx, dy, dz = _ray(lens, frame, row, column)
            flat = math.sqrt(dx * dx + dz * dz) + 1e-9
            slope = dy / flat
            t = -eye[1] / dy if dy < -1e-4 else 1e5
            index, t, axis = _nearest_box(boxes, eye[0], eye[1], eye[2], dx, dy, dz, t)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            if index >= 0:
                _store_box(out, row, column, noise, boxes[index], index, px, py, pz, axis, seed)
                continue
            if dy < -1e-4:
                footprint = t / lens[0] / max(0.02, -dy)
                mix, shade = _ground(noise, px, pz, footprint, int(patterns[0]), patterns[1], seed)
                haze = t * flat / (t * flat + 150.0)
                r = (colours[0, 0] + (colours[1, 0] - colours[0, 0]) * mix) * shade
                g = (colours[0, 1] + (colours[1, 1] - colours[0, 1]) * mix) * shade
                b = (colours[0, 2] + (colours[1, 2] - colours[0, 2]) * mix) * shade
                r += (colours[3, 0] - r) * haze
                g += (colours[3, 1] - g) * haze
                b += (colours[3, 2] - b) * haze
                _store(out, row, column, 1.0, r, g, b)
                continue
            bearing = _angle(dx, dz)
            lift = min(1.0, slope * 1.4)
            rise = lift * (2.0 - lift)
            r = colours[3, 0] + (colours[2, 0] - colours[3, 0]) * rise
            g = colours[3, 1] + (colours[2, 1] - colours[3, 1]) * rise
            b = colours[3, 2] + (colours[2, 2] - colours[3, 2]) * rise
            if clouds > 0.0 and slope > 0.01:
                reach = 60.0 / (slope + 0.12)
                cover = _lookup(noise, dx / flat * reach + seed % 491, dz / flat * reach + seed % 277)
                cover = min(1.0, max(0.0, (cover - 1.0 + clouds) * 3.0)) * min(1.0, slope * 12.0)
                r += (colours[4, 0] - r) * cover
                g += (colours[4, 1] - g) * cover
                b += (colours[4, 2] - b) * cover
            shade = 1.0
            for k in range(skylines.shape[0]):
                kind = int(skylines[k, 0])
                top = _skyline(noise, bearing, kind, skylines[k, 1], seed + k)
                if slope < top:
                    r, g, b = skylines[k, 2], skylines[k, 3], skylines[k, 4]
                    shade = 0.85 + 0.3 * slope / top
                    if kind == TOWN:
                        plot = math.floor(bearing / 0.13 + ((seed + k) % 769) * 1.31)
                        shade *= 0.6 + 0.7 * _hashed(plot, 8, seed + k)
                        wide, high = bearing / 0.011, slope / 0.012
                        if wide - math.floor(wide) > 0.45 and high - math.floor(high) > 0.4:
                            lit = _hashed(math.floor(wide), math.floor(high), seed + k)
                            shade *= 1.6 if lit < 0.15 else 0.7
                    elif kind == TREES:
                        shade *= 0.45 + 0.9 * _lookup(noise, bearing * 330.0, slope * 330.0 + k * 71.0)
                    else:
                        shade *= 0.85 + 0.3 * _lookup(noise, bearing * 150.0, slope * 300.0)
            _store(out, row, column, shade, r, g, b)


@compiled
def paint_cyclorama(noise, lens, frame, eye, sweep, colour, spot, out):  # type: ignore[no-untyped-def]
    """A paper roll: a floor that bends up into a wall `sweep` metres away, lit by a spot.

    Args:
        noise: the table.
        lens: focal length, then principal point, pixels.
        frame: (3, 3) the axes of the place, as rows, in the camera's.
        eye: (3,) where the camera is.
        sweep: z where the wall stands.
        colour: (3,) of the paper.
        spot: x and y of the brightest place on the wall, its radius in metres, and brightness far from it.
        out: (S, S, 3) uint8.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            dx, dy, dz = _ray(lens, frame, row, column)
            ahead = (sweep - eye[2]) / dz if dz > 1e-6 else 1e4
            down = -eye[1] / dy if dy < -1e-6 else 1e4
            t = min(ahead, down)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            # The bend: where floor and wall are both within a metre, their brightness blends.
            bend = min(1.0, max(0.0, 0.5 + 0.5 * (py - (sweep - pz))))
            bend = bend * bend * (3.0 - 2.0 * bend)
            off = ((px - spot[0]) ** 2 + (py + pz - sweep - spot[1]) ** 2) / (spot[2] * spot[2])
            shade = spot[3] + (1.0 - spot[3]) / (1.0 + off)
            shade *= 1.05 - 0.15 * bend + 0.03 * _lookup(noise, px * 60.0, (py + pz) * 60.0)
            _store(out, row, column, shade, colour[0], colour[1], colour[2])


@compiled
def paint_texture(noise, place, colours, out):  # type: ignore[no-untyped-def]
    """Nothing in particular: noise bent by noise, between three colours.

    Args:
        noise: the table.
        place: x, y in the table, cells across the picture, strength of the bending, stripes per cell.
        colours: (3, 3).
        out: (S, S, 3) uint8.
    """
    step = place[2] / out.shape[0]
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = place[0] + column * step, place[1] + row * step
            bend = place[3] * (_lookup(noise, x * 0.5, y * 0.5) - 0.5)
            a = _lookup(noise, x + bend, y - bend)
            b = _lookup(noise, 0.3 * y - bend + 77.0, 0.3 * x + 191.0)
            if place[4] > 0.0:
                a = 0.5 + 0.5 * math.sin((x + 0.5 * y + bend) * place[4]) * (0.5 + a)
            r = (colours[0, 0] * (1.0 - a) + colours[1, 0] * a) * (1.0 - b) + colours[2, 0] * b
            g = (colours[0, 1] * (1.0 - a) + colours[1, 1] * a) * (1.0 - b) + colours[2, 1] * b
            c = (colours[0, 2] * (1.0 - a) + colours[1, 2] * a) * (1.0 - b) + colours[2, 2] * b
            _store(out, row, column, 0.75 + 0.5 * a, r, g, c)


@compiled
def paint_panorama(panorama, lens, frame, squash, turn, out):  # type: ignore[no-untyped-def]
    """A view out of an equirectangular picture, its floor moved to the camera's height.

    A ray that meets the floor h below the camera shows what the photographer, `squash` h above the same
    floor, saw at that place: its slope is multiplied by `squash`.

    Args:
        panorama: (h, w, 3) uint8, the horizon in the middle row.
        lens: focal length, then principal point, pixels.
        frame: (3, 3) right, up and forward, as rows, in the camera's axes.
        squash: height of the photographer's camera over this one's.
        turn: bearing of the picture's left edge.
        out: (S, S, 3) uint8.
    """
    height, width = panorama.shape[0], panorama.shape[1]
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            dx, dy, dz = _ray(lens, frame, row, column)
            if dy < 0.0:
                dy *= squash
            x = ((_angle(dx, dz) + turn) / (2.0 * math.pi) + 1.0) * width - 0.5
            y = (0.5 - _angle(dy, math.sqrt(dx * dx + dz * dz)) / math.pi) * height - 0.5
            j, i = int(x), int(y + 1.0) - 1
            u, v = x - j, y - i
            while j >= width:
                j -= width
            k = j + 1 if j + 1 < width else 0
            i, m = max(i, 0), min(max(i + 1, 0), height - 1)
            for c in range(3):
                top = panorama[i, j, c] * (1.0 - u) + panorama[i, k, c] * u
                bottom = panorama[m, j, c] * (1.0 - u) + panorama[m, k, c] * u
                out[row, column, c] = int(top + (bottom - top) * v + 0.5)
