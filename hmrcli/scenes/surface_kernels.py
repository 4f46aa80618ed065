"""The compiled shader: which garment a point of the body is under, its cloth, folds and light.

Everything is decided from the point's place on the mean body in T-pose, in metres, so that hems are as sharp as
pixels and patterns move with the body. Import this module only where a picture is made: it imports numba.
"""

import math

import numpy as np

from hmrcli.render.compiled import Array, compiled, compiled_with_arrays
from hmrcli.render.kernels import weights

SKIN, TOP, OUTER, BOTTOM, SHOES, HAIR = range(6)
"""Rows of the materials."""
PATTERN, SCALE, FOLD, WEAVE, GLOSS, SEED = range(9, 15)
"""Columns of the materials, after three linear colours."""
GARMENT = 6
"""Columns of `cuts` that each of the two garments on the upper body takes: neck, depth, sleeve, hem, opening, loose."""
WAIST, BOTTOM_HEM, BOTTOM_LOOSE, SHOE_TOP, VOLUME, LONG = range(12, 18)
CUTS = 18


@compiled
def noise(table: Array, x: float, y: float, z: float, out: Array) -> None:
    """Two or four values in [-1, 1], as `out` has room, that vary smoothly; from `clothing.noise_table`."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
    two, three = np.float32(2), np.float32(3)
    u, v, w = u * u * (three - two * u), v * v * (three - two * v), w * w * (three - two * w)
    i, j, k = (int(fx) & 15) << 10, (int(fy) & 15) << 6, (int(fz) & 15) << 2
    i1, j1, k1 = (i + (1 << 10)) & (15 << 10), (j + (1 << 6)) & (15 << 6), (k + (1 << 2)) & (15 << 2)
    for n in range(out.shape[0]):
        a, b = table[i + j + k + n], table[i + j1 + k + n]
        c, d = table[i + j + k1 + n], table[i + j1 + k1 + n]
        a += u * (table[i1 + j + k + n] - a)
        b += u * (table[i1 + j1 + k + n] - b)
        c += u * (table[i1 + j + k1 + n] - c)
        d += u * (table[i1 + j1 + k1 + n] - d)
        low, high = a + v * (b - a), c + v * (d - c)
        out[n] = low + w * (high - low)


@compiled
def _upper(cuts: Array, who: int, first: int, x: float, y: float, z: float) -> float:
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
def _scalp(cuts: Array, who: int, x: float, y: float, z: float) -> float:
    """Signed distance into the hair of the head."""
    inside = (y - 0.407 - 0.62 * (z - 0.09)) * 0.85
    if abs(x) > 0.083 and cuts[who, LONG] == 0.0:  # ears
        inside = min(inside, (y - 0.437) * 0.8)
    return min(inside, y - 0.32)


@compiled_with_arrays
def drape(
    points: Array, normals: Array, smoothed: Array, cuts: Array, table: Array, seed: float, out: Array
) -> None:
    """Computes how far clothes and hair lie off the skin of the mean body: (V, 3)."""
    n = np.empty(2, np.float32)
    who = 0
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        thick, smooth = 0.0, 0.0
        n[0] = n[1] = 0.0
        if y < 0.33:  # below hair
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
        inwards = 0.0
        for k in range(3):
            out[v, k] = thick * normals[v, k] + smooth * 0.8 * (smoothed[v, k] - points[v, k])
            inwards -= out[v, k] * normals[v, k]
        for k in range(3):  # cloth bridges hollows and never sinks into the skin
            out[v, k] += max(0.0, inwards + 0.3 * thick) * normals[v, k]


@compiled
def _mixed(base: float, other: float, share: float) -> float:
    return base + share * (other - base)


@compiled
def _edge(distance: float, footprint: float) -> float:
    """Share of a pixel that lies within something whose border is that far away."""
    return min(1.0, max(0.0, distance / footprint + 0.5))


@compiled
def _pattern(
    table: Array, kind: int, scale: float, x: float, y: float, z: float, footprint: float, n: Array
) -> tuple[float, float]:
    """Shares of the second and third colour."""
    p = y if abs(x) < 0.17 else abs(x)
    q = x if abs(x) < 0.17 else y
    blur = max(footprint / scale, 0.02)
    if kind == 1:  # stripes
        t = p / scale
        return _edge(0.25 - abs(t - math.floor(t) - 0.5), blur), 0.0
    if kind == 2:  # checks
        s, t = p / scale, q / scale
        first = _edge(0.25 - abs(s - math.floor(s) - 0.5), blur)
        second = _edge(0.25 - abs(t - math.floor(t) - 0.5), blur)
        fine = _edge(0.06 - abs(2 * s - math.floor(2 * s) - 0.5), 2 * blur)
        return 0.5 * (first + second), 0.4 * fine
    if kind == 3:  # dots
        s, t = p / scale, q / scale
        row = math.floor(s)
        t += 0.5 * (int(row) & 1)
        return _edge(0.3 - math.hypot(s - row - 0.5, t - math.floor(t) - 0.5), blur), 0.0
    if kind == 4 or kind == 5:  # flowers, camouflage
        size, least = (scale * 0.6, 0.3) if kind == 4 else (scale * 1.4, 0.05)
        noise(table, x / size, y / size, z / size, n)
        sharp = max(footprint / size, 0.08)
        return _edge(n[0] - least, sharp), _edge(n[1] - least - 0.08, sharp)
    if kind == 6:  # denim
        noise(table, x / 0.004, y / 0.012, z / 0.004, n)
        worn = max(0.0, 1 - abs(y + 0.52) / 0.2) * 0.35 if z > 0.08 else 0.0
        return min(1.0, 0.1 + worn + 0.12 * n[0]), 0.0
    return 0.0, 0.0


@compiled
def _add(
    materials: Array, who: int, row: int, table: Array, share: float, x: float, y: float, z: float, footprint: float,
    n: Array, out: Array,
) -> None:  # fmt: skip
    """Adds a share of a cloth's colour, folds and gloss."""
    second, third = _pattern(
        table, int(materials[who, row, PATTERN]), materials[who, row, SCALE], x, y, z, footprint, n
    )
    uneven = 1.0
    if materials[who, row, WEAVE] > 0.0:
        noise(table, x * 60, y * 60, z * 60, n)
        uneven += materials[who, row, WEAVE] * (n[0] + 0.6 * n[1])
    for k in range(3):
        colour = _mixed(materials[who, row, k], materials[who, row, 3 + k], second)
        out[k] += share * _mixed(colour, materials[who, row, 6 + k], third) * uneven
    out[3] += share * materials[who, row, FOLD]
    out[4] += share * materials[who, row, GLOSS]


@compiled
def _add_skin(
    materials: Array, who: int, table: Array, share: float, x: float, y: float, z: float, footprint: float, n: Array,
    out: Array,
) -> None:  # fmt: skip
    """Adds skin, and a face where it is: lips, eyes and brows."""
    noise(table, x * 40, y * 40, z * 40, n)
    lips = eye = iris = brow = dark = 0.0
    if y > 0.29 and z > 0.15:
        ax, blur = abs(x), footprint + 0.003
        if ax < 0.026:
            lips = _edge(0.0085 * (1 - (ax / 0.026) ** 2) - abs(y - 0.343), blur)
            dark = 0.6 * _edge(0.0016 - abs(y - 0.3435), blur)
        from_eye = math.hypot(ax - 0.031, y - 0.412)
        dark = max(dark, 0.25 * (1 - from_eye / 0.03))
        eye = _edge((1 - math.hypot((ax - 0.031) / 0.0155, (y - 0.412) / 0.0075)) * 0.008, blur)
        iris = _edge(0.0055 - from_eye, blur)
        if 0.012 < ax < 0.055:
            brow = 0.85 * _edge(0.0038 - abs(y - 0.434 + 12 * (ax - 0.034) ** 2), blur)
    for k in range(3):
        colour = materials[who, SKIN, k] * (1 + 0.06 * n[0])
        colour = _mixed(colour, materials[who, SKIN, 3 + k], lips) * (1 - dark)
        colour = _mixed(colour, _mixed(0.62, 0.5 * materials[who, SKIN, 6 + k], iris), eye)
        out[k] += share * _mixed(colour, materials[who, HAIR, k], brow)
    out[4] += share * (materials[who, SKIN, GLOSS] + 0.2 * eye)


@compiled
def _add_hair(
    materials: Array, who: int, table: Array, share: float, x: float, y: float, z: float, n: Array, out: Array
) -> None:
    noise(table, x * 120, y * 22, z * 120, n)
    strand = 1.0 + 0.45 * n[0] + 0.25 * n[1]
    for k in range(3):
        out[k] += share * materials[who, HAIR, k] * strand
    out[3] += share * 0.5
    out[4] += share * materials[who, HAIR, GLOSS]


@compiled
def surface(
    cuts: Array, materials: Array, who: int, table: Array, slot: int, x: float, y: float, z: float, footprint: float,
    n: Array, out: Array,
) -> None:  # fmt: skip
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
    inside = _scalp(cuts, who, x, y, z)
    if cuts[who, VOLUME] > 0.0 and inside > -0.02:
        noise(table, x * 70, y * 70, z * 70, n)
        share = _edge(inside + 0.006 * n[0], footprint + 0.004)
        if share > 0.0:
            _add_hair(materials, who, table, share, x, y, z, n, out)
            left -= share
    for layer in range(4):
        if left <= 0.0:
            return
        row, inside = SKIN, -1.0
        if layer == 0:
            if y < -0.7:
                row, inside = SHOES, cuts[who, SHOE_TOP] - y - 0.15 * (z - 0.06)
        elif layer == 1 or layer == 2:
            first = GARMENT if layer == 1 else 0
            if cuts[who, first + 5] > 0.0:
                row, inside = OUTER if layer == 1 else TOP, _upper(cuts, who, first, x, y, z)
        else:
            row, inside = BOTTOM, min(cuts[who, WAIST] - y, y - cuts[who, BOTTOM_HEM])
        share = left * _edge(inside, footprint)
        if share > 0.0:
            _add(materials, who, row, table, share, x, y, z, footprint, n, out)
            left -= share
    if left > 0.0:
        _add_skin(materials, who, table, left, x, y, z, footprint, n, out)


@compiled
def _gathered(
    nearest: Array, owner: Array, left: int, top: int, focal: float, found: Array, at: Array
) -> int:
    """Points to shade: one a pixel where all that it sees is one surface, else the nearest one's and one behind it.

    Args:
        nearest, owner: of 2 by 2 samples a pixel, from `kernels.visibility`.
        left, top, focal: of the window in the picture, and of its camera.
        found: (N, 4) int32 for face, row, column, and how many of the samples it stands for.
        at: (N, 2) for the place in the picture.

    Returns:
        How many there are.
    """
    count = 0
    for i in range(nearest.shape[0] // 2):
        for j in range(nearest.shape[1] // 2):
            closest, first = np.float32(0), 0
            for s in range(4):
                z = nearest[2 * i + (s >> 1), 2 * j + (s & 1)]
                if z > closest:
                    closest, first = z, s
            if closest == 0.0:
                continue
            behind = closest - (0.012 * closest * closest + 0.1 * closest / focal)
            alike, others, second, next_closest = 0, 0, 0, np.float32(0)
            for s in range(4):
                z = nearest[2 * i + (s >> 1), 2 * j + (s & 1)]
                if z > behind:
                    alike += 1
                elif z > 0.0:
                    others += 1
                    if z > next_closest:
                        next_closest, second = z, s
            for s, samples in ((first, alike), (second, others)):
                if samples > 0:
                    found[count, 0] = owner[2 * i + (s >> 1), 2 * j + (s & 1)]
                    found[count, 1], found[count, 2], found[count, 3] = top + i, left + j, samples
                    at[count, 0], at[count, 1] = left + j + 0.5, top + i + 0.5
                    if others > 0:
                        at[count, 0] += 0.5 * (s & 1) - 0.25
                        at[count, 1] += 0.5 * (s >> 1) - 0.25
                    count += 1
    return count


@compiled
def _interpolate(
    found: Array, at: Array, vertices: Array, faces: Array, attributes: Array, focal: float, cx: float, cy: float,
    points: Array,
) -> None:  # fmt: skip
    """Finds the attributes of faces at places in the picture, and the size of a pixel there, into (N, 9).

    In `found` a face's number gives way to the corner that is nearest to the place.
    """
    for m in range(found.shape[0]):
        f = found[m, 0]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        px, py = at[m, 0], at[m, 1]
        w0, w1, w2 = weights(vertices, faces, f, (px - cx) / focal, (py - cy) / focal)
        w0, w1, w2 = max(0.0, w0), max(0.0, w1), max(0.0, w2)  # the place may lie beside the samples
        total = 1.0 / (w0 + w1 + w2)
        w0, w1, w2 = w0 * total, w1 * total, w2 * total
        for k in range(8):
            points[m, k] = w0 * attributes[a, k] + w1 * attributes[b, k] + w2 * attributes[c, k]
        points[m, 8] = (w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]) / focal
        towards = points[m, 0] * (cx - px) + points[m, 1] * (cy - py) - points[m, 2] * focal
        if towards < 0.0:  # the inside of a skirt
            for k in range(3):
                points[m, k] = -points[m, k]
            points[m, 7] *= np.float32(0.5)
        found[m, 0] = a if w0 >= w1 and w0 >= w2 else (b if w1 >= w2 else c)


@compiled_with_arrays
def _surfaces(
    found: Array,
    points: Array,
    person: Array,
    slot: Array,
    cuts: Array,
    materials: Array,
    table: Array,
    colours: Array,
) -> None:
    """`surface` at all points, into (N, 5)."""
    n, out = np.empty(2, np.float32), np.empty(5, np.float32)
    for m in range(found.shape[0]):
        corner = found[m, 0]
        x, y, z, footprint = points[m, 3], points[m, 4], points[m, 5], points[m, 8]
        surface(cuts, materials, person[corner], table, slot[corner], x, y, z, footprint, n, out)
        for k in range(5):
            colours[m, k] = out[k]


@compiled_with_arrays
def _light(
    found: Array, at: Array, points: Array, colours: Array, person: Array, materials: Array, table: Array, focal: float,
    cx: float, cy: float, light: Array,
) -> None:  # fmt: skip
    """Turns the colour, folds and gloss of surfaces (N, 5) into the light that comes from them."""
    n = np.empty(4, np.float32)
    for m in range(found.shape[0]):
        nx, ny, nz = points[m, 0], points[m, 1], points[m, 2]
        x, y, z, lit, sky = points[m, 3], points[m, 4], points[m, 5], points[m, 6], points[m, 7]
        fold, gloss = colours[m, 3], colours[m, 4]
        crease = 1.0
        if fold > 0.0:
            joint = max(0.0, 1 - abs(abs(x) - 0.436) / 0.12)
            if y < 0.0:
                joint = max(0.0, 1 - abs(y + 0.66) / 0.14, 1 - abs(y + 0.22) / 0.16, 1 - abs(y + 1.05) / 0.1)
            seed = materials[person[found[m, 0]], 0, SEED]
            noise(table, x * 13 + seed, y * 20 + 3 * x, z * 13, n)
            strength = fold * (0.55 + 0.9 * joint)
            # Folds are ridges: the lattice's zeros, where the tilt turns over.
            tilt = strength * n[0] * (1.6 - abs(n[0]))
            nx += tilt + 0.4 * strength * n[1]
            ny, nz = ny + 0.8 * strength * n[2], nz + 0.4 * strength * n[3]
            crease = 1.0 - 0.35 * strength * max(0.0, n[3])
        length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        nx, ny, nz = nx * length, ny * length, nz * length
        soft = light[12]
        facing = nx * light[0] + ny * light[1] + nz * light[2]
        key = max(0.0, (facing + 0.35 * soft + 0.05) / (1.05 + 0.35 * soft)) * lit
        up = 0.5 + 0.5 * (nx * light[9] + ny * light[10] + nz * light[11])
        ambient = (0.35 + 0.65 * up) * (0.35 + 0.65 * sky) * crease
        shine = 0.0
        if gloss * lit > 0.0:
            ex, ey = (cx - at[m, 0]) / focal, (cy - at[m, 1]) / focal  # towards the camera
            length = 1.0 / math.sqrt(ex * ex + ey * ey + 1.0)
            hx, hy, hz = light[0] + ex * length, light[1] + ey * length, light[2] - length
            length = 1.0 / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
            shine = max(0.0, (nx * hx + ny * hy + nz * hz) * length)
            shine *= shine
            shine *= shine
            shine *= shine
            shine = gloss * shine * shine * lit * (1 - 0.6 * soft)
        for k in range(3):
            reflected = colours[m, k] * (key * light[3 + k] + ambient * light[6 + k])
            colours[m, k] = reflected + shine * light[3 + k]


@compiled
def _blend(
    found: Array, colours: Array, person: Array, part: Array, image: Array, people: Array, parts: Array
) -> None:
    """Mixes points of one pixel, which follow each other, with what is behind them."""
    m = 0
    while m < found.shape[0]:
        corner, row, column, covered = found[m, 0], found[m, 1], found[m, 2], found[m, 3]
        red, green, blue = covered * colours[m, 0], covered * colours[m, 1], covered * colours[m, 2]
        m += 1
        if m < found.shape[0] and found[m, 1] == row and found[m, 2] == column:
            more = found[m, 3]
            red, green, blue = (
                red + more * colours[m, 0], green + more * colours[m, 1], blue + more * colours[m, 2]
            )  # fmt: skip
            covered += more
            m += 1
        for k, value in enumerate((red, green, blue)):
            if covered < 4:
                behind = image[row, column, k] / 255.0
                value += (4 - covered) * behind * behind
            image[row, column, k] = int(255.0 * min(1.0, math.sqrt(max(0.25 * value, 0.0))) + 0.5)
        if covered >= 2:
            people[row, column] = person[corner]
            parts[row, column] = part[corner]


@compiled_with_arrays
def shade(
    image: Array, people: Array, parts: Array, left: int, top: int, nearest: Array, owner: Array, vertices: Array,
    faces: Array, attributes: Array, person: Array, slot: Array, part: Array, cuts: Array, materials: Array,
    table: Array, focal: float, cx: float, cy: float, light: Array,
) -> None:  # fmt: skip
    """Paints people over an image and says where they are; 2 by 2 samples tell outlines from surfaces.

    `light` holds the direction of the key, its colour, the colour from above, the direction up and the softness.
    """
    most = nearest.size // 2
    found, at = np.empty((most, 4), np.int32), np.empty((most, 2), np.float32)
    count = _gathered(nearest, owner, left, top, focal, found, at)
    found, at = found[:count], at[:count]
    points, colours = np.empty((count, 9), np.float32), np.empty((count, 5), np.float32)
    _interpolate(found, at, vertices, faces, attributes, focal, cx, cy, points)
    _surfaces(found, points, person, slot, cuts, materials, table, colours)
    _light(found, at, points, colours, person, materials, table, focal, cx, cy, light)
    _blend(found, colours, person, part, image, people, parts)
