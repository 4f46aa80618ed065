"""The compiled loops that paint backdrops: one ray per pixel against a few planes and boxes.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles
it. Rays and places are in the frame of a room: x right, y up from the floor, z away from the camera.
"""

import math

from hmrcli.render.kernels import compiled
from hmrcli.scenes.material_kernels import ground, nearest_box, panel, store_box, wall
from hmrcli.scenes.patterns import TOWN, TREES, WINDOW
from hmrcli.scenes.ray_kernels import angle, hashed, noise_at, ray, store


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
            dx, dy, dz = ray(lens, frame, row, column)
            surface = 0 if dy < 0.0 else 1
            t = (-eye[1] / dy if dy < 0.0 else (bounds[4] - eye[1]) / dy) if abs(dy) > 1e-9 else 1e9
            across = ((bounds[1] if dx > 0.0 else bounds[0]) - eye[0]) / dx if abs(dx) > 1e-9 else 1e9
            if across < t:
                t, surface = across, (4 if dx > 0.0 else 3)
            ahead = ((bounds[3] if dz > 0.0 else bounds[2]) - eye[2]) / dz if abs(dz) > 1e-9 else 1e9
            if ahead < t:
                t, surface = ahead, (2 if dz > 0.0 else 5)
            index, t, axis = nearest_box(boxes, eye[0], eye[1], eye[2], dx, dy, dz, t)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            if index >= 0:
                store_box(out, row, column, noise, boxes[index], index, px, py, pz, axis, seed)
                continue
            far = (px - lamp[0]) ** 2 + (py - lamp[1]) ** 2 + (pz - lamp[2]) ** 2
            light = lamp[4] + (lamp[3] - lamp[4]) / (1.0 + 0.06 * far)
            span = min(px - bounds[0], bounds[1] - px)
            depth = bounds[3] - pz
            if surface == 0:
                footprint = t / lens[0] / max(0.1, -dy)
                mix, shade = ground(noise, px, pz, footprint, int(patterns[0]), patterns[1], seed)
                light *= 1.0 - 0.25 * max(0.0, 1.0 - 2.5 * min(span, depth))
                first, second = 0, 1
            elif surface == 1:
                mix, shade, first, second = 0.0, 0.97, 5, 5
                light *= 1.0 - 0.2 * max(0.0, 1.0 - 2.0 * min(span, depth))
            else:
                u = px if surface == 2 or surface == 5 else pz
                first, second = (2, 3) if surface == 2 or surface == 5 else (4, 3)
                mix, shade = wall(noise, u, py, t / lens[0], int(patterns[2]), patterns[3], seed)
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
                        mix, shade = panel(noise, pu, pv, kind, seed + p)
                        if kind == WINDOW:
                            light = 1.0
                        r = panels[p, 6] + (panels[p, 9] - panels[p, 6]) * mix
                        g = panels[p, 7] + (panels[p, 10] - panels[p, 7]) * mix
                        b = panels[p, 8] + (panels[p, 11] - panels[p, 8]) * mix
                        store(out, row, column, shade * light, r, g, b)
                        drawn = True
                        break
                if drawn:
                    continue
            r = colours[first, 0] + (colours[second, 0] - colours[first, 0]) * mix
            g = colours[first, 1] + (colours[second, 1] - colours[first, 1]) * mix
            b = colours[first, 2] + (colours[second, 2] - colours[first, 2]) * mix
            store(out, row, column, shade * light, r, g, b)


@compiled
def _skyline(noise, bearing, kind, size, seed):  # type: ignore[no-untyped-def]
    """Height of the skyline, as a tangent, at a bearing."""
    shift = (seed % 769) * 1.31
    if kind == TOWN:
        plot = math.floor(bearing / 0.13 + shift)
        return size * (0.25 + hashed(plot, 5, seed) * hashed(plot, 6, seed + 1) * 1.2)
    if kind == TREES:
        return size * (
            0.25
            + 0.6 * noise_at(noise, bearing * 70.0 + shift, 3.0)
            + 0.12 * noise_at(noise, bearing * 500.0, 90.0)
        )
    return size * (
        0.05
        + 0.7 * noise_at(noise, bearing * 45.0 + shift, 7.0)
        + 0.02 * noise_at(noise, bearing * 400.0, 9.0)
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
            dx, dy, dz = ray(lens, frame, row, column)
            flat = math.sqrt(dx * dx + dz * dz) + 1e-9
            slope = dy / flat
            t = -eye[1] / dy if dy < -1e-4 else 1e5
            index, t, axis = nearest_box(boxes, eye[0], eye[1], eye[2], dx, dy, dz, t)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            if index >= 0:
                store_box(out, row, column, noise, boxes[index], index, px, py, pz, axis, seed)
                continue
            if dy < -1e-4:
                footprint = t / lens[0] / max(0.02, -dy)
                mix, shade = ground(noise, px, pz, footprint, int(patterns[0]), patterns[1], seed)
                haze = t * flat / (t * flat + 150.0)
                r = (colours[0, 0] + (colours[1, 0] - colours[0, 0]) * mix) * shade
                g = (colours[0, 1] + (colours[1, 1] - colours[0, 1]) * mix) * shade
                b = (colours[0, 2] + (colours[1, 2] - colours[0, 2]) * mix) * shade
                r += (colours[3, 0] - r) * haze
                g += (colours[3, 1] - g) * haze
                b += (colours[3, 2] - b) * haze
                store(out, row, column, 1.0, r, g, b)
                continue
            bearing = angle(dx, dz)
            lift = min(1.0, slope * 1.4)
            rise = lift * (2.0 - lift)
            r = colours[3, 0] + (colours[2, 0] - colours[3, 0]) * rise
            g = colours[3, 1] + (colours[2, 1] - colours[3, 1]) * rise
            b = colours[3, 2] + (colours[2, 2] - colours[3, 2]) * rise
            if clouds > 0.0 and slope > 0.01:
                reach = 60.0 / (slope + 0.12)
                cover = noise_at(noise, dx / flat * reach + seed % 491, dz / flat * reach + seed % 277)
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
                        shade *= 0.6 + 0.7 * hashed(plot, 8, seed + k)
                        wide, high = bearing / 0.011, slope / 0.012
                        if wide - math.floor(wide) > 0.45 and high - math.floor(high) > 0.4:
                            lit = hashed(math.floor(wide), math.floor(high), seed + k)
                            shade *= 1.6 if lit < 0.15 else 0.7
                    elif kind == TREES:
                        shade *= 0.45 + 0.9 * noise_at(noise, bearing * 330.0, slope * 330.0 + k * 71.0)
                    else:
                        shade *= 0.85 + 0.3 * noise_at(noise, bearing * 150.0, slope * 300.0)
            store(out, row, column, shade, r, g, b)


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
            dx, dy, dz = ray(lens, frame, row, column)
            ahead = (sweep - eye[2]) / dz if dz > 1e-6 else 1e4
            down = -eye[1] / dy if dy < -1e-6 else 1e4
            t = min(ahead, down)
            px, py, pz = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            # The bend: where floor and wall are both within a metre, their brightness blends.
            bend = min(1.0, max(0.0, 0.5 + 0.5 * (py - (sweep - pz))))
            bend = bend * bend * (3.0 - 2.0 * bend)
            off = ((px - spot[0]) ** 2 + (py + pz - sweep - spot[1]) ** 2) / (spot[2] * spot[2])
            shade = spot[3] + (1.0 - spot[3]) / (1.0 + off)
            shade *= 1.05 - 0.15 * bend + 0.03 * noise_at(noise, px * 60.0, (py + pz) * 60.0)
            store(out, row, column, shade, colour[0], colour[1], colour[2])


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
            bend = place[3] * (noise_at(noise, x * 0.5, y * 0.5) - 0.5)
            a = noise_at(noise, x + bend, y - bend)
            b = noise_at(noise, 0.3 * y - bend + 77.0, 0.3 * x + 191.0)
            if place[4] > 0.0:
                a = 0.5 + 0.5 * math.sin((x + 0.5 * y + bend) * place[4]) * (0.5 + a)
            r = (colours[0, 0] * (1.0 - a) + colours[1, 0] * a) * (1.0 - b) + colours[2, 0] * b
            g = (colours[0, 1] * (1.0 - a) + colours[1, 1] * a) * (1.0 - b) + colours[2, 1] * b
            c = (colours[0, 2] * (1.0 - a) + colours[1, 2] * a) * (1.0 - b) + colours[2, 2] * b
            store(out, row, column, 0.75 + 0.5 * a, r, g, c)


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
            dx, dy, dz = ray(lens, frame, row, column)
            if dy < 0.0:
                dy *= squash
            x = ((angle(dx, dz) + turn) / (2.0 * math.pi) + 1.0) * width - 0.5
            y = (0.5 - angle(dy, math.sqrt(dx * dx + dz * dz)) / math.pi) * height - 0.5
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
