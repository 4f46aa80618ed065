"""The compiled loops of painting people: what is seen, and what the light reaches.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles it.
"""

import math

import numpy as np

from hmrcli.render.kernels import add_face_normals, compiled

NEAREST = 0.1
"""Faces that come closer to the camera are left out, metres."""


@compiled
def add_normals(vertices, faces, normals):  # type: ignore[no-untyped-def]
    """Unit normals of vertices, weighted by area; `normals` starts as zeros."""
    add_face_normals(vertices, faces, normals)
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = 1.0 / math.sqrt(x * x + y * y + z * z + 1e-30)
        normals[v, 0], normals[v, 1], normals[v, 2] = x * length, y * length, z * length


@compiled
def project(vertices, focal, cx, cy, screen):  # type: ignore[no-untyped-def]
    """Pixel x, pixel y and 1/z; 1/z is 0 for what is too near or behind."""
    for v in range(vertices.shape[0]):
        z = vertices[v, 2]
        if z < NEAREST:
            screen[v, 0], screen[v, 1], screen[v, 2] = 0.0, 0.0, 0.0
            continue
        screen[v, 0] = focal * vertices[v, 0] / z + cx
        screen[v, 1] = focal * vertices[v, 1] / z + cy
        screen[v, 2] = 1.0 / z


@compiled
def visibility(screen, faces, two_sided, left, top, samples, nearest, owner, seen):  # type: ignore[no-untyped-def]
    """Nearest face and its 1/z at each sample of a window; closed surfaces show their outside alone.

    Corners of all such faces are marked in `seen` (N,), and of some that are hidden.
    """
    height, width = nearest.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        if za == 0.0 or zb == 0.0 or zc == 0.0:
            continue
        ax, ay = (screen[a, 0] - left) * samples - 0.5, (screen[a, 1] - top) * samples - 0.5
        bx, by = (screen[b, 0] - left) * samples - 0.5, (screen[b, 1] - top) * samples - 0.5
        cx, cy = (screen[c, 0] - left) * samples - 0.5, (screen[c, 1] - top) * samples - 0.5
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # Seen from inside: image y points down, so the outside turns the other way.
        if area >= -1e-7 and (not two_sided[f] or area <= 1e-7):
            continue
        j0, j1 = max(0, math.ceil(min(ax, bx, cx))), min(width - 1, math.floor(max(ax, bx, cx)))
        if j0 > j1:
            continue
        i0, i1 = max(0, math.ceil(min(ay, by, cy))), min(height - 1, math.floor(max(ay, by, cy)))
        if i0 > i1:
            continue
        inverse = 1.0 / area
        # Weights of corners b and c, linear in the image, as 1/z is.
        ux, uy = (cy - ay) * inverse, -(cx - ax) * inverse
        vx, vy = -(by - ay) * inverse, (bx - ax) * inverse
        along_u, along_v = zb - za, zc - za
        found = False
        for i in range(i0, i1 + 1):
            dy = i - ay
            u0, v0 = uy * dy - ux * ax, vy * dy - vx * ax
            for j in range(j0, j1 + 1):
                u, v = u0 + ux * j, v0 + vx * j
                if min(u, v, 1.0 - u - v) < 0.0:
                    continue
                z = za + u * along_u + v * along_v
                if z > nearest[i, j]:
                    nearest[i, j] = z
                    owner[i, j] = f
                    found = True
        if found:
            seen[a], seen[b], seen[c] = True, True, True


@compiled
def extent(points, beyond, out):  # type: ignore[no-untyped-def]
    """Least and greatest x and y of points (N, 3) beyond a z, into (2, 2); infinite where there is none."""
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = math.inf, math.inf, -math.inf, -math.inf
    for n in range(points.shape[0]):
        if points[n, 2] <= beyond:
            continue
        for k in range(2):
            out[0, k] = min(out[0, k], points[n, k])
            out[1, k] = max(out[1, k], points[n, k])


@compiled
def across(vertices, basis, places, reach):  # type: ignore[no-untyped-def]
    """Coordinates of vertices along the rows of a basis, and least and greatest of the first two: (2, 2)."""
    for k in range(2):
        reach[0, k], reach[1, k] = np.inf, -np.inf
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for k in range(3):
            places[v, k] = x * basis[k, 0] + y * basis[k, 1] + z * basis[k, 2]
        for k in range(2):
            reach[0, k], reach[1, k] = min(reach[0, k], places[v, k]), max(reach[1, k], places[v, k])


@compiled
def height_maps(places, corner, cell, faces, two_sided, highest, lowest):  # type: ignore[no-untyped-def]
    """Greatest third coordinate over a grid, and least: of closed surfaces only one side can be either.

    A grid without cells is left out. `places` comes from `across` and is changed.
    """
    scale = 1.0 / cell
    for v in range(places.shape[0]):
        places[v, 0], places[v, 1] = (places[v, 0] - corner[0]) * scale, (places[v, 1] - corner[1]) * scale
    up, down = highest.size > 0, lowest.size > 0
    rows, columns = max(highest.shape[0], lowest.shape[0]), max(highest.shape[1], lowest.shape[1])
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by = places[a, 0], places[a, 1], places[b, 0], places[b, 1]
        cx, cy = places[c, 0], places[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        above = up and (area > 0.0 or two_sided[f])
        below = down and (area < 0.0 or two_sided[f])
        if abs(area) < 1e-9 or not (above or below):
            continue
        j0, j1 = max(0, math.ceil(min(ax, bx, cx))), min(columns - 1, math.floor(max(ax, bx, cx)))
        if j0 > j1:
            continue
        i0, i1 = max(0, math.ceil(min(ay, by, cy))), min(rows - 1, math.floor(max(ay, by, cy)))
        if i0 > i1:
            continue
        inverse = 1.0 / area
        ux, uy, vx, vy = (cy - ay) * inverse, (ax - cx) * inverse, (ay - by) * inverse, (bx - ax) * inverse
        h = places[a, 2]
        along_u, along_v = places[b, 2] - h, places[c, 2] - h
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                u, v = (j - ax) * ux + (i - ay) * uy, (j - ax) * vx + (i - ay) * vy
                if min(u, v, 1.0 - u - v) < 0.0:
                    continue
                there = h + u * along_u + v * along_v
                if above:
                    highest[i, j] = max(highest[i, j], there)
                if below:
                    lowest[i, j] = min(lowest[i, j], there)


@compiled
def open_share(vertices, normals, seen, basis, corner, cell, heights, step, bias, out):  # type: ignore[no-untyped-def]
    """For each vertex that is seen the share of the cells around it, 5 by 5, over which nothing stands higher."""
    rows, columns = heights.shape
    for v in range(vertices.shape[0]):
        if not seen[v]:
            continue
        # A little off the surface, so that it does not shade itself.
        x = vertices[v, 0] + bias * normals[v, 0]
        y = vertices[v, 1] + bias * normals[v, 1]
        z = vertices[v, 2] + bias * normals[v, 2]
        u = (x * basis[0, 0] + y * basis[0, 1] + z * basis[0, 2] - corner[0]) / cell
        w = (x * basis[1, 0] + y * basis[1, 1] + z * basis[1, 2] - corner[1]) / cell
        h = x * basis[2, 0] + y * basis[2, 1] + z * basis[2, 2] + bias
        free = 0
        for di in range(-2, 3):
            i = min(max(int(w + di * step + 0.5), 0), rows - 1)
            for dj in range(-2, 3):
                j = min(max(int(u + dj * step + 0.5), 0), columns - 1)
                # The wider the cone, the higher what counts as beside and not above.
                if heights[i, j] <= h + 0.7 * cell * step * (abs(di) + abs(dj)):
                    free += 1
        out[v] = free / 25.0


@compiled
def _bilinear(grid, row, column):  # type: ignore[no-untyped-def]
    """0 outside."""
    if row < 0.0 or column < 0.0 or row >= grid.shape[0] - 1 or column >= grid.shape[1] - 1:
        return 0.0
    i, j = int(row), int(column)
    v, u = row - i, column - j
    low = grid[i, j] * (1 - u) + grid[i, j + 1] * u
    high = grid[i + 1, j] * (1 - u) + grid[i + 1, j + 1] * u
    return low * (1 - v) + high * v


@compiled
def shade_ground(image, rays, shadow, dark, near):  # type: ignore[no-untyped-def]
    """Darkens a backdrop where people keep the light off the ground.

    Args:
        image: (S, S, 3) uint8, changed in place.
        rays: (5, 3) linear in column, row and 1: what a place on the ground is divided by, positive where a pixel
            sees any, and its column and row in `shadow` and in `near`.
        shadow: share of the key light that is kept off.
        dark: share of all light that is the key's.
        near: share of the sky that is hidden.
    """
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            below = rays[0, 0] * j + rays[0, 1] * i + rays[0, 2]
            if below <= 0.0:
                continue
            t = 1.0 / below
            u = t * (rays[3, 0] * j + rays[3, 1] * i + rays[3, 2])
            v = t * (rays[4, 0] * j + rays[4, 1] * i + rays[4, 2])
            light = 1.0 - _bilinear(near, v, u)
            if dark > 0.0:
                u = t * (rays[1, 0] * j + rays[1, 1] * i + rays[1, 2])
                v = t * (rays[2, 0] * j + rays[2, 1] * i + rays[2, 2])
                light *= 1.0 - dark * _bilinear(shadow, v, u)
            if light < 0.999:
                shown = math.sqrt(max(light, 0.0))  # gamma 2
                for k in range(3):
                    image[i, j, k] = int(image[i, j, k] * shown + 0.5)


@compiled
def add_grain(image, grain, top, left, strength):  # type: ignore[no-untyped-def]
    """Adds the part of a table of noise that begins at (top, left) to a picture, in place; both (rows, 3 columns)."""
    half, least, most = np.float32(0.5), np.float32(0), np.float32(255)
    width = image.shape[1]
    for i in range(image.shape[0]):
        row, noise = image[i], grain[top + i, left : left + width]
        for j in range(width):
            value = np.float32(row[j]) + noise[j] * strength + half
            row[j] = np.uint8(np.int32(min(max(value, least), most)))
