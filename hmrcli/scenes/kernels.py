"""The compiled loops of painting people: what is seen, and what the light reaches.

Import this module only where a picture is made: it imports numba, and the first call of a function compiles it.
"""

import math

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
def visibility(screen, faces, two_sided, left, top, samples, nearest, owner):  # type: ignore[no-untyped-def]
    """Nearest face and its 1/z at each sample of a window; closed surfaces show their outside alone."""
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
        for i in range(i0, i1 + 1):
            dy = i - ay
            for j in range(j0, j1 + 1):
                dx = j - ax
                u, v = ux * dx + uy * dy, vx * dx + vy * dy
                if u < 0.0 or v < 0.0 or u + v > 1.0:
                    continue
                z = za + u * (zb - za) + v * (zc - za)
                if z > nearest[i, j]:
                    nearest[i, j] = z
                    owner[i, j] = f


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
def height_map(at, faces, two_sided, heights):  # type: ignore[no-untyped-def]
    """Greatest third coordinate over a grid; `at` (V, 3) holds column, row and what is compared.

    Of closed surfaces only the side that faces that way can be the greatest.
    """
    rows, columns = heights.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area < 1e-9 and (not two_sided[f] or area > -1e-9):
            continue
        j0, j1 = max(0, math.ceil(min(ax, bx, cx))), min(columns - 1, math.floor(max(ax, bx, cx)))
        if j0 > j1:
            continue
        i0, i1 = max(0, math.ceil(min(ay, by, cy))), min(rows - 1, math.floor(max(ay, by, cy)))
        inverse = 1.0 / area
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                u = ((j - ax) * (cy - ay) - (i - ay) * (cx - ax)) * inverse
                v = ((i - ay) * (bx - ax) - (j - ax) * (by - ay)) * inverse
                if u < 0.0 or v < 0.0 or u + v > 1.0:
                    continue
                h = at[a, 2] + u * (at[b, 2] - at[a, 2]) + v * (at[c, 2] - at[a, 2])
                if h > heights[i, j]:
                    heights[i, j] = h


@compiled
def open_share(vertices, normals, basis, corner, cell, heights, step, bias, out):  # type: ignore[no-untyped-def]
    """For each vertex the share of the cells around it, 5 by 5, over which nothing stands higher."""
    rows, columns = heights.shape
    for v in range(vertices.shape[0]):
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
def shade_ground(  # type: ignore[no-untyped-def]
    image, focal, cx, cy, normal, offset, basis, corner, cell, shadow, dark, first, grid, near, size
):
    """Darkens a backdrop where people keep the light off the ground.

    `shadow` is the share of the light that is kept off over the grid of `basis`, `near` what is hidden from the
    sky over the ground's own grid (`first`, `grid`: its two axes and its corner).
    """
    for i in range(image.shape[0]):
        dy = (i + 0.5 - cy) / focal
        for j in range(image.shape[1]):
            dx = (j + 0.5 - cx) / focal
            along = normal[0] * dx + normal[1] * dy + normal[2]
            if along * offset <= 0.0:
                continue
            t = offset / along
            x, y, z = t * dx, t * dy, t
            light = 1.0
            if dark > 0.0:
                u = (x * basis[0, 0] + y * basis[0, 1] + z * basis[0, 2] - corner[0]) / cell
                v = (x * basis[1, 0] + y * basis[1, 1] + z * basis[1, 2] - corner[1]) / cell
                light -= dark * _bilinear(shadow, v, u)
            u = (x * grid[0, 0] + y * grid[0, 1] + z * grid[0, 2] - first[0]) / size
            v = (x * grid[1, 0] + y * grid[1, 1] + z * grid[1, 2] - first[1]) / size
            light *= 1.0 - _bilinear(near, v, u)
            if light < 0.999:
                shown = math.sqrt(max(light, 0.0))  # gamma 2
                for k in range(3):
                    image[i, j, k] = int(image[i, j, k] * shown + 0.5)
