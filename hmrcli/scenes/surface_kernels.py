"""The compiled shader: which garment a point of the body is under, its cloth, folds and light.

Everything is decided from the point's place on the mean body in T-pose, in metres, so that hems are as sharp as
pixels and patterns move with the body. Import this module only where a picture is made: it imports numba.
"""

import math

import numpy as np

from hmrcli.render.kernels import compiled

SKIN, TOP, OUTER, BOTTOM, SHOES, SOCKS, HAIR, HAT, BAG, SOLE = range(10)
"""Rows of the materials."""
PATTERN, SCALE, FOLD, WEAVE, GLOSS, SEED = range(9, 15)
"""Columns of the materials, after three linear colours."""
GARMENT = 6
"""Columns of `cuts` that each of the two garments on the upper body takes: neck, depth, sleeve, hem, opening, loose."""
WAIST, BOTTOM_HEM, BOTTOM_LOOSE, SHOE_TOP, SOCK_TOP = range(12, 17)
HAIRLINE, VOLUME, LONG, BEARD, HATTED, GLASSES, SKIRT = range(17, 24)
CUTS = 24


@compiled
def noise(table, x, y, z, out):  # type: ignore[no-untyped-def]
    """Four values in [-1, 1] that vary smoothly, from a lattice (16, 16, 16, 4) that repeats."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    i, j, k = int(fx) & 15, int(fy) & 15, int(fz) & 15
    i1, j1, k1 = (i + 1) & 15, (j + 1) & 15, (k + 1) & 15
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    for n in range(4):
        low = (
            a * table[i, j, k, n] + b * table[i1, j, k, n] + c * table[i, j1, k, n] + d * table[i1, j1, k, n]
        )
        high = (
            a * table[i, j, k1, n]
            + b * table[i1, j, k1, n]
            + c * table[i, j1, k1, n]
            + d * table[i1, j1, k1, n]
        )
        out[n] = low + w * (high - low)


@compiled
def _upper(cuts, who, first, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance into a garment on the upper body."""
    ax = abs(x)
    inside = min(y - cuts[who, first + 3], cuts[who, first + 2] - ax)
    if inside < -0.1:
        return inside
    neck = math.sqrt(x * x + (y - 0.275) ** 2 + (z - 0.085) ** 2)
    inside = min(inside, neck - cuts[who, first], 0.305 - y)
    if z > 0.085 and ax < 0.16:
        depth, opening = cuts[who, first + 1], cuts[who, first + 4]
        if depth > -1.0 and y > depth:
            inside = min(inside, (ax - opening - 0.42 * (y - depth)) * 0.92)
        if opening > 0.0:
            inside = min(inside, ax - opening)
    return inside


@compiled
def _scalp(cuts, who, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance into the hair of the head."""
    line = 0.407 + 0.62 * (z - 0.09) + cuts[who, HAIRLINE]
    inside = (y - line) * 0.85
    if abs(x) > 0.083 and cuts[who, LONG] == 0.0:  # ears
        inside = min(inside, (y - 0.437) * 0.8)
    return min(inside, y - 0.32)


@compiled
def drape(points, normals, smoothed, cuts, table, seed, out):  # type: ignore[no-untyped-def]
    """How far clothes and hair lie off the skin of the mean body: (V, 3)."""
    n = np.empty(4, np.float32)
    who = 0
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        thick, smooth = 0.0, 0.0
        noise(table, x * 9 + seed, y * 9, z * 9, n)
        for first in (0, GARMENT):
            loose = cuts[who, first + 5]
            inside = _upper(cuts, who, first, x, y, z)
            if loose > 0.0 and inside > -0.02:
                cover = min(1.0, (inside + 0.02) / 0.03)
                thick += cover * loose * (1.0 + 0.45 * n[0])
                smooth = max(smooth, cover * min(1.0, loose / 0.006))
        loose = cuts[who, BOTTOM_LOOSE]
        inside = min(cuts[who, WAIST] - y, y - cuts[who, BOTTOM_HEM])
        if loose > 0.0 and inside > -0.02:
            cover = min(1.0, (inside + 0.02) / 0.03)
            bell = 0.5 + min(1.0, max(0.0, -0.2 - y))
            thick = max(thick, cover * (0.002 + loose * bell * (1.0 + 0.4 * n[1])))
            smooth = max(smooth, cover * min(1.0, loose / 0.008) if y > -0.5 else 0.0)
        if y < -1.0 and cuts[who, SHOE_TOP] - y > 0.0:
            thick = max(thick, 0.009)
        if y > 0.3:
            inside = _scalp(cuts, who, x, y, z)
            if cuts[who, VOLUME] > 0.0 and inside > 0.0:
                noise(table, x * 30 + seed, y * 30, z * 30, n)
                rise = min(1.0, inside / 0.03)
                thick = max(thick, rise * cuts[who, VOLUME] * (1.0 + 0.5 * n[0] + 0.3 * n[1]))
            if cuts[who, HATTED] > 0.0 and y > 0.44:
                thick = max(thick, min(1.0, (y - 0.44) / 0.01) * 0.016)
        inwards = 0.0
        for k in range(3):
            out[v, k] = thick * normals[v, k] + smooth * 0.8 * (smoothed[v, k] - points[v, k])
            inwards -= out[v, k] * normals[v, k]
        for k in range(3):  # cloth bridges hollows and never sinks into the skin
            out[v, k] += max(0.0, inwards + 0.3 * thick) * normals[v, k]


@compiled
def _mixed(base, other, share):  # type: ignore[no-untyped-def]
    return base + share * (other - base)


@compiled
def _edge(distance, footprint):  # type: ignore[no-untyped-def]
    """Share of a pixel that lies within something whose border is that far away."""
    return min(1.0, max(0.0, distance / footprint + 0.5))


@compiled
def _pattern(table, kind, scale, x, y, z, footprint, n):  # type: ignore[no-untyped-def]
    """Shares of the second and third colour."""
    p = y if abs(x) < 0.17 else abs(x)
    q = x if abs(x) < 0.17 else y
    blur = max(footprint / scale, 0.02)
    if kind == 1 or kind == 2:
        t = (p if kind == 1 else q) / scale
        width = 0.5 if kind == 1 else 0.16
        return _edge(0.5 * width - abs(t - math.floor(t) - 0.5), blur), 0.0
    if kind == 3:
        s, t = p / scale, q / scale
        first = _edge(0.25 - abs(s - math.floor(s) - 0.5), blur)
        second = _edge(0.25 - abs(t - math.floor(t) - 0.5), blur)
        fine = _edge(0.06 - abs(2 * s - math.floor(2 * s) - 0.5), 2 * blur)
        return 0.5 * (first + second), 0.4 * fine
    if kind == 4:
        s, t = p / scale, q / scale
        row = math.floor(s)
        t += 0.5 * (int(row) & 1)
        return _edge(0.3 - math.hypot(s - row - 0.5, t - math.floor(t) - 0.5), blur), 0.0
    if kind == 5 or kind == 6:
        size = scale * (0.6 if kind == 5 else 1.4)
        noise(table, x / size, y / size, z / size, n)
        sharp = max(footprint / size, 0.08)
        if kind == 5:
            return _edge(n[0] - 0.3, sharp), _edge(n[1] - 0.35, sharp)
        return _edge(n[0] - 0.05, sharp), _edge(n[1] - 0.15, sharp)
    if kind == 7:
        if z < 0.09 or abs(x) > 0.11 or y < -0.02 or y > 0.15:
            return 0.0, 0.0
        noise(table, x / 0.035 + scale * 99, y / 0.03, 0.5, n)
        round_ = _edge(0.075 - math.hypot(x, 1.1 * (y - 0.07)) + 0.03 * n[1], 0.004)
        return round_, round_ * _edge(n[0] - 0.1, 0.15)
    if kind == 8:
        noise(table, x / 0.004, y / 0.012, z / 0.004, n)
        worn = max(0.0, 1 - abs(y + 0.52) / 0.2) * 0.35 if z > 0.08 else 0.0
        return min(1.0, 0.1 + worn + 0.12 * n[0]), 0.0
    if kind == 9:
        return (_edge(abs(x) - 0.165, footprint) if y > 0.13 else _edge(-y - 0.7, footprint)), 0.0
    if kind == 10:
        centre = 0.05 if y > -0.2 else -0.45
        return _edge(0.045 - abs(y - centre), footprint), _edge(0.02 - abs(y - centre - 0.075), footprint)
    return 0.0, 0.0


@compiled
def _add(materials, who, row, table, share, x, y, z, footprint, n, out):  # type: ignore[no-untyped-def]
    """Adds a share of a cloth's colour, folds and gloss."""
    second, third = _pattern(
        table, int(materials[who, row, PATTERN]), materials[who, row, SCALE], x, y, z, footprint, n
    )
    uneven = 1.0
    if materials[who, row, WEAVE] > 0.0:
        noise(table, x * 60, y * 60, z * 60, n)
        uneven += materials[who, row, WEAVE] * (n[0] + 0.6 * n[1])
    for k in range(3):
        colour = _mixed(
            _mixed(materials[who, row, k], materials[who, row, 3 + k], second),
            materials[who, row, 6 + k],
            third,
        )
        out[k] += share * colour * uneven
    out[3] += share * materials[who, row, FOLD]
    out[4] += share * materials[who, row, GLOSS]


@compiled
def _add_skin(cuts, materials, who, table, share, x, y, z, footprint, n, out):  # type: ignore[no-untyped-def]
    """Skin, and a face where it is."""
    noise(table, x * 40, y * 40, z * 40, n)
    r = materials[who, SKIN, 0] * (1 + 0.05 * n[0])
    g = materials[who, SKIN, 1] * (1 + 0.07 * n[0])
    b = materials[who, SKIN, 2] * (1 + 0.07 * n[0])
    gloss = materials[who, SKIN, GLOSS]
    if y > 0.29 and z > 0.1:
        ax = abs(x)
        blur = footprint + 0.003
        if z > 0.15:
            flush = 0.35 * max(0.0, 1 - math.hypot(ax - 0.045, y - 0.375) / 0.03)
            g, b = g * (1 - 0.35 * flush), b * (1 - 0.3 * flush)
            lips = _edge(0.0085 * (1 - (ax / 0.026) ** 2) - abs(y - 0.343), blur)
            lips = lips if ax < 0.026 else 0.0
            r, g, b = (
                _mixed(r, materials[who, SKIN, 3], lips),
                _mixed(g, materials[who, SKIN, 4], lips),
                _mixed(b, materials[who, SKIN, 5], lips),
            )
            slit = 0.6 * _edge(0.0016 - abs(y - 0.3435), blur) if ax < 0.022 else 0.0
            r, g, b = r * (1 - slit), g * (1 - slit), b * (1 - slit)
            dx, dy = (ax - 0.031) / 0.0155, (y - 0.412) / 0.0075
            socket = 0.25 * max(0.0, 1 - math.hypot(ax - 0.031, y - 0.414) / 0.03)
            r, g, b = r * (1 - socket), g * (1 - socket), b * (1 - socket)
            eye = _edge((1 - math.sqrt(dx * dx + dy * dy)) * 0.008, blur)
            if eye > 0.0:
                iris = _edge(0.0062 - math.hypot(ax - 0.031, y - 0.412), blur)
                pupil = _edge(0.003 - math.hypot(ax - 0.031, y - 0.412), blur)
                for_white = 0.62
                er = _mixed(for_white, materials[who, SKIN, 6], iris) * (1 - 0.9 * pupil)
                eg = _mixed(for_white, materials[who, SKIN, 7], iris) * (1 - 0.9 * pupil)
                eb = _mixed(for_white, materials[who, SKIN, 8], iris) * (1 - 0.9 * pupil)
                r, g, b = _mixed(r, er, eye), _mixed(g, eg, eye), _mixed(b, eb, eye)
                gloss += 0.2 * eye
            lash = (
                0.75 * _edge(0.0022 - abs(y - 0.4185 + 8 * (ax - 0.031) ** 2), blur)
                if abs(ax - 0.031) < 0.018
                else 0.0
            )
            r, g, b = r * (1 - lash), g * (1 - lash), b * (1 - lash)
            brow = (
                0.85 * _edge(0.0038 - abs(y - 0.434 + 12 * (ax - 0.034) ** 2), blur)
                if 0.012 < ax < 0.055
                else 0.0
            )
            r, g, b = (
                _mixed(r, materials[who, HAIR, 0], brow),
                _mixed(g, materials[who, HAIR, 1], brow),
                _mixed(b, materials[who, HAIR, 2], brow),
            )
            if cuts[who, GLASSES] > 0.0:
                rim = math.sqrt(((ax - 0.034) / 0.025) ** 2 + ((y - 0.41) / 0.019) ** 2)
                frame = _edge(0.0028 - abs(rim - 1) * 0.021, blur)
                frame = max(frame, _edge(0.002 - abs(y - 0.416), blur) if ax < 0.011 else 0.0)
                frame *= 0.92
                r, g, b = r * (1 - frame), g * (1 - frame), b * (1 - frame)
        if cuts[who, BEARD] > 0.0:
            jaw = min(0.372 - y + 0.25 * max(0.0, ax - 0.03), z - 0.115 + 0.4 * (0.36 - y), y - 0.295)
            mouth = math.sqrt((ax / 0.03) ** 2 + ((y - 0.343) / 0.011) ** 2)
            nose = math.hypot(ax / 0.02, (y - 0.37) / 0.014) - 1.0
            whiskers = _edge(min(jaw, (mouth - 1) * 0.012, nose * 0.015), 0.012) * cuts[who, BEARD]
            r, g, b = (
                _mixed(r, materials[who, HAIR, 0], whiskers),
                _mixed(g, materials[who, HAIR, 1], whiskers),
                _mixed(b, materials[who, HAIR, 2], whiskers),
            )
    elif cuts[who, GLASSES] > 0.0 and y > 0.4 and 0.075 < abs(x) < 0.09:
        arm = 0.9 * _edge(0.0025 - abs(y - 0.418), footprint)
        r, g, b = r * (1 - arm), g * (1 - arm), b * (1 - arm)
    out[0] += share * r
    out[1] += share * g
    out[2] += share * b
    out[4] += share * gloss


@compiled
def _add_hair(materials, who, table, share, x, y, z, n, out):  # type: ignore[no-untyped-def]
    noise(table, x * 120, y * 22, z * 120, n)
    strand = 1.0 + 0.45 * n[0] + 0.25 * n[1]
    for k in range(3):
        out[k] += share * materials[who, HAIR, k] * strand
    out[3] += share * 0.5
    out[4] += share * materials[who, HAIR, GLOSS]


@compiled
def surface(cuts, materials, who, table, slot, x, y, z, footprint, n, out):  # type: ignore[no-untyped-def]
    """Linear colour, strength of folds and gloss at a point, the garments from the outermost inwards."""
    for k in range(5):
        out[k] = 0.0
    if slot == HAIR:
        _add_hair(materials, who, table, 1.0, x, y, z, n, out)
        return
    if slot >= 0:
        _add(materials, who, slot, table, 1.0, x, y, z, footprint, n, out)
        return
    left = 1.0
    if y > 0.3:
        if cuts[who, HATTED] > 0.0:
            share = _edge(y - 0.445, footprint)
            if share > 0.0:
                _add(materials, who, HAT, table, share, x, y, z, footprint, n, out)
                left -= share
        if left > 0.0 and cuts[who, VOLUME] > 0.0:
            inside = _scalp(cuts, who, x, y, z)
            if inside > -0.02:
                noise(table, x * 70, y * 70, z * 70, n)
                share = left * _edge(inside + 0.006 * n[0], footprint + 0.004)
                if share > 0.0:
                    _add_hair(materials, who, table, share, x, y, z, n, out)
                    left -= share
    if left > 0.0 and y < -0.7:
        share = left * _edge(cuts[who, SHOE_TOP] - y - 0.15 * (z - 0.06), footprint)
        if share > 0.0:
            _add(materials, who, SOLE if y < -1.147 else SHOES, table, share, x, y, z, footprint, n, out)
            left -= share
    for which in range(2):
        first = GARMENT if which == 0 else 0
        if left > 0.0 and cuts[who, first + 5] > 0.0:
            share = left * _edge(_upper(cuts, who, first, x, y, z), footprint)
            if share > 0.0:
                _add(materials, who, OUTER if which == 0 else TOP, table, share, x, y, z, footprint, n, out)
                left -= share
    if left > 0.0:
        share = left * _edge(min(cuts[who, WAIST] - y, y - cuts[who, BOTTOM_HEM]), footprint)
        if share > 0.0:
            _add(materials, who, BOTTOM, table, share, x, y, z, footprint, n, out)
            left -= share
    if left > 0.0 and y < -0.7:
        share = left * _edge(cuts[who, SOCK_TOP] - y, footprint)
        if share > 0.0:
            _add(materials, who, SOCKS, table, share, x, y, z, footprint, n, out)
            left -= share
    if left > 0.0:
        _add_skin(cuts, materials, who, table, left, x, y, z, footprint, n, out)


@compiled
def _shaded(  # type: ignore[no-untyped-def]
    f, px, py, screen, faces, attributes, person, slot, cuts, materials, table, focal, cx, cy, light, n, out
):  # fmt: skip
    """Linear colour that face f shows at a pixel place, in out[0:3]; the corner that it is nearest to."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    ax, ay, bx, by, cx_, cy_ = (
        screen[a, 0],
        screen[a, 1],
        screen[b, 0],
        screen[b, 1],
        screen[c, 0],
        screen[c, 1],
    )
    area = (bx - ax) * (cy_ - ay) - (by - ay) * (cx_ - ax)
    u = ((px - ax) * (cy_ - ay) - (py - ay) * (cx_ - ax)) / area
    v = ((py - ay) * (bx - ax) - (px - ax) * (by - ay)) / area
    u, v = min(max(u, 0.0), 1.0), min(max(v, 0.0), 1.0)
    w0, w1, w2 = max(0.0, 1 - u - v) * screen[a, 2], u * screen[b, 2], v * screen[c, 2]
    total = 1.0 / (w0 + w1 + w2)
    w0, w1, w2 = w0 * total, w1 * total, w2 * total
    nx = w0 * attributes[a, 0] + w1 * attributes[b, 0] + w2 * attributes[c, 0]
    ny = w0 * attributes[a, 1] + w1 * attributes[b, 1] + w2 * attributes[c, 1]
    nz = w0 * attributes[a, 2] + w1 * attributes[b, 2] + w2 * attributes[c, 2]
    x = w0 * attributes[a, 3] + w1 * attributes[b, 3] + w2 * attributes[c, 3]
    y = w0 * attributes[a, 4] + w1 * attributes[b, 4] + w2 * attributes[c, 4]
    z = w0 * attributes[a, 5] + w1 * attributes[b, 5] + w2 * attributes[c, 5]
    lit = w0 * attributes[a, 6] + w1 * attributes[b, 6] + w2 * attributes[c, 6]
    sky = w0 * attributes[a, 7] + w1 * attributes[b, 7] + w2 * attributes[c, 7]
    # Towards the camera, and folds.
    ex, ey = -(px - cx) / focal, -(py - cy) / focal
    length = 1.0 / math.sqrt(ex * ex + ey * ey + 1.0)
    ex, ey, ez = ex * length, ey * length, -length
    if nx * ex + ny * ey + nz * ez < 0.0:  # the inside of a skirt
        nx, ny, nz, sky = -nx, -ny, -nz, 0.5 * sky
    footprint = total / focal
    who = person[a]
    surface(cuts, materials, who, table, slot[a], x, y, z, footprint, n, out)
    r, g, blue, fold, gloss = out[0], out[1], out[2], out[3], out[4]
    crease = 1.0
    if fold > 0.0:
        seed = materials[who, 0, SEED]
        joint = max(0.0, 1 - abs(abs(x) - 0.436) / 0.12)
        if y < 0.0:
            joint = max(0.0, 1 - abs(y + 0.66) / 0.14, 1 - abs(y + 0.22) / 0.16, 1 - abs(y + 1.05) / 0.1)
        noise(table, x * 13 + seed, y * 20 + 3 * x, z * 13, n)
        strength = fold * (0.55 + 0.9 * joint)
        # Folds are ridges: the lattice's zeros, where the tilt turns over.
        tilt = strength * n[0] * (1.6 - abs(n[0]))
        nx, ny, nz = nx + tilt + 0.4 * strength * n[1], ny + 0.8 * strength * n[2], nz + 0.4 * strength * n[3]
        crease = 1.0 - 0.35 * strength * max(0.0, n[3])
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
    nx, ny, nz = nx * length, ny * length, nz * length
    soft = light[12]
    facing = nx * light[0] + ny * light[1] + nz * light[2]
    key = max(0.0, (facing + 0.35 * soft + 0.05) / (1.05 + 0.35 * soft)) * lit
    up = 0.5 + 0.5 * (nx * light[9] + ny * light[10] + nz * light[11])
    ambient = (0.35 + 0.65 * up) * (0.35 + 0.65 * sky) * crease
    hx, hy, hz = light[0] + ex, light[1] + ey, light[2] + ez
    length = 1.0 / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
    shine = max(0.0, (nx * hx + ny * hy + nz * hz) * length)
    shine *= shine
    shine *= shine
    shine *= shine
    shine = gloss * shine * shine * lit * (1 - 0.6 * soft)
    out[0] = r * (key * light[3] + ambient * light[6]) + shine * light[3]
    out[1] = g * (key * light[4] + ambient * light[7]) + shine * light[4]
    out[2] = blue * (key * light[5] + ambient * light[8]) + shine * light[5]
    return a if w0 >= w1 and w0 >= w2 else (b if w1 >= w2 else c)


@compiled
def shade(  # type: ignore[no-untyped-def]
    image, people, parts, left, top, nearest, owner, screen, faces, attributes, person, slot, part, cuts, materials,
    table, focal, cx, cy, light, n, out,
):  # fmt: skip
    """Paints people over an image and says where they are; 2 by 2 samples tell outlines from surfaces.

    `light` holds the direction of the key, its colour, the colour from above, the direction up and the softness.
    """
    for i in range(nearest.shape[0] // 2):
        row = top + i
        for j in range(nearest.shape[1] // 2):
            column = left + j
            covered, first, deepest, closest = 0, -1, 1e9, 0.0
            for s in range(4):
                z = nearest[2 * i + s // 2, 2 * j + s % 2]
                if z > 0.0:
                    covered += 1
                    deepest = min(deepest, z)
                    if z > closest:
                        closest = z
                        first = owner[2 * i + s // 2, 2 * j + s % 2]
            if covered == 0:
                continue
            flat = closest - deepest < 0.012 * closest * closest + 0.1 * closest / focal
            red, green, blue = 0.0, 0.0, 0.0
            corner = -1
            if flat:
                corner = _shaded(
                    first, column + 0.5, row + 0.5, screen, faces, attributes, person, slot, cuts, materials, table,
                    focal, cx, cy, light, n, out,
                )  # fmt: skip
                red, green, blue = out[0], out[1], out[2]
            else:
                for s in range(4):
                    f = owner[2 * i + s // 2, 2 * j + s % 2]
                    if f >= 0:
                        near = _shaded(
                            f, column + 0.25 + 0.5 * (s % 2), row + 0.25 + 0.5 * (s // 2), screen, faces, attributes,
                            person, slot, cuts, materials, table, focal, cx, cy, light, n, out,
                        )  # fmt: skip
                        red, green, blue = (
                            red + out[0] / covered,
                            green + out[1] / covered,
                            blue + out[2] / covered,
                        )
                        if f == first:
                            corner = near
            share = covered / 4.0
            for k, value in enumerate((red, green, blue)):
                behind = image[row, column, k] / 255.0
                value = _mixed(behind * behind, max(value, 0.0), share)
                image[row, column, k] = int(255.0 * min(1.0, math.sqrt(value)) + 0.5)
            if covered >= 2:
                people[row, column] = person[corner]
                parts[row, column] = part[corner]
