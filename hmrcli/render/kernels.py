"""The compiled inner loops of the rasteriser.

Import this module only where a picture is made: it imports numba, and the first call of a function
compiles it.

Visibility follows Olano & Greer, "Triangle scan conversion using 2D homogeneous coordinates" (1997). With
corners p0, p1, p2 in camera coordinates and the ray d = ((x - cx) / f, (y - cy) / f, 1) through a sample, the
edge functions are e0 = d . (p1 x p2), e1 = d . (p2 x p0), e2 = d . (p0 x p1) and det = p0 . (p1 x p2). The
ray meets the triangle where all three have the sign of det; there z = det / (e0 + e1 + e2), and e / (e0 + e1
+ e2) are barycentric coordinates on the triangle itself, so interpolation is perspective-correct. Corners
behind the camera need no clipping, and both triangles at a shared edge compute the same number with opposite
signs, so no gap can open.
"""

import math

from hmrcli.render.compiled import Array, compiled

_SLIVER = 1e-14
"""A triangle seen edge-on: |det| below this share of |p0||p1||p2| is rounding noise, not a surface."""


@compiled
def _edges(vertices: Array, faces: Array, face: int) -> tuple[float, ...]:
    """Returns the three edge normals of a face, signed so that inside is positive, and |det|; 0 for a sliver."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    bx, by, bz = vertices[b, 0], vertices[b, 1], vertices[b, 2]
    cx, cy, cz = vertices[c, 0], vertices[c, 1], vertices[c, 2]
    n0x, n0y, n0z = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    n1x, n1y, n1z = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
    n2x, n2y, n2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    det = ax * n0x + ay * n0y + az * n0z
    squares = (ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz) * (cx * cx + cy * cy + cz * cz)
    if det * det <= _SLIVER * _SLIVER * squares:
        det = 0.0
    if det < 0.0:
        return -n0x, -n0y, -n0z, -n1x, -n1y, -n1z, -n2x, -n2y, -n2z, -det
    return n0x, n0y, n0z, n1x, n1y, n1z, n2x, n2y, n2z, det


@compiled
def _turned(vertices: Array, faces: Array, face: int) -> float:
    """Returns det alone, whose sign tells which side of a face is seen."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    bx, by, bz = vertices[b, 0], vertices[b, 1], vertices[b, 2]
    cx, cy, cz = vertices[c, 0], vertices[c, 1], vertices[c, 2]
    x, y, z = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    return vertices[a, 0] * x + vertices[a, 1] * y + vertices[a, 2] * z


@compiled
def weights(vertices: Array, faces: Array, face: int, dx: float, dy: float) -> tuple[float, float, float]:
    """Returns barycentric coordinates where the ray (dx, dy, 1) meets a face that it is known to meet."""
    n0x, n0y, n0z, n1x, n1y, n1z, n2x, n2y, n2z, _ = _edges(vertices, faces, face)
    e0 = n0x * dx + n0y * dy + n0z
    e1 = n1x * dx + n1y * dy + n1z
    e2 = n2x * dx + n2y * dy + n2z
    total = 1.0 / (e0 + e1 + e2)
    return e0 * total, e1 * total, e2 * total


@compiled
def add_face_normals(vertices: Array, faces: Array, sums: Array) -> None:
    """Adds to each vertex the normals of its faces, as long as twice their areas."""
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        vx, vy, vz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        normal = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
        for corner in range(3):
            for k in range(3):
                sums[faces[face, corner], k] += normal[k]


@compiled
def bounds(
    vertices: Array, faces: Array, focal: float, cx: float, cy: float, near: float, out: Array
) -> None:
    """Finds the pixel box (x0, y0, x1, y1) of what each face has beyond the near plane; inverted if there is none."""
    for face in range(faces.shape[0]):
        x0, y0, x1, y1 = math.inf, math.inf, -math.inf, -math.inf
        for corner in range(3):
            a, b = faces[face, corner], faces[face, (corner + 1) % 3]
            za, zb = vertices[a, 2], vertices[b, 2]
            if za >= near:
                x = focal * vertices[a, 0] / za + cx
                y = focal * vertices[a, 1] / za + cy
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
            if (za >= near) != (zb >= near):  # this edge pierces the near plane
                t = (near - za) / (zb - za)
                x = focal * (vertices[a, 0] + t * (vertices[b, 0] - vertices[a, 0])) / near + cx
                y = focal * (vertices[a, 1] + t * (vertices[b, 1] - vertices[a, 1])) / near + cy
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        out[face, 0], out[face, 1], out[face, 2], out[face, 3] = x0, y0, x1, y1


@compiled
def visibility(
    vertices: Array, values: Array, faces: Array, sides: Array, boxes: Array, focal: float, cx: float, cy: float,
    limit: float, left: float, top: float, samples: int, nearest: Array, owner: Array,
) -> None:  # fmt: skip
    """Finds the face with the greatest value at each sample of a window whose corner is (left, top) in pixels.

    Sample (i, j) lies at pixel (left + (j + 0.5) / samples, top + (i + 0.5) / samples). `nearest` and `owner` are
    updated in place; at equal values the lower face index stays.

    Args:
        vertices: (V, 3) camera coordinates; with z = 1 the projection is parallel.
        values: (V,) 1 for the nearness 1/z of a perspective, or what is interpolated of a parallel projection.
        faces: (F, 3) indices.
        sides: (F,) sign of the determinant with which a face is drawn; 0 draws both sides.
        boxes: (F, 4) from `bounds`.
        limit: greater values are left out.
    """
    height, width = nearest.shape
    step, scale = 1.0 / samples, 1.0 / focal
    slack = 1e-6  # the box only limits the search: a sample on its border is decided by the edge functions
    for face in range(faces.shape[0]):
        j0 = math.ceil(max((boxes[face, 0] - left) * samples - 0.5 - slack, 0.0))
        j1 = math.floor(min((boxes[face, 2] - left) * samples - 0.5 + slack, width - 1.0))
        if j0 > j1:
            continue
        i0 = math.ceil(max((boxes[face, 1] - top) * samples - 0.5 - slack, 0.0))
        i1 = math.floor(min((boxes[face, 3] - top) * samples - 0.5 + slack, height - 1.0))
        if i0 > i1:
            continue
        if sides[face] != 0 and sides[face] * _turned(vertices, faces, face) < 0.0:
            continue
        n0x, n0y, n0z, n1x, n1y, n1z, n2x, n2y, n2z, det = _edges(vertices, faces, face)
        if det == 0.0:
            continue
        inverse = 1.0 / det
        v0, v1, v2 = values[faces[face, 0]], values[faces[face, 1]], values[faces[face, 2]]
        for i in range(i0, i1 + 1):
            dy = (top + (i + 0.5) * step - cy) * scale
            row0, row1, row2 = n0y * dy + n0z, n1y * dy + n1z, n2y * dy + n2z
            entered = False
            for j in range(j0, j1 + 1):
                dx = (left + (j + 0.5) * step - cx) * scale
                e0, e1, e2 = n0x * dx + row0, n1x * dx + row1, n2x * dx + row2
                if e0 < 0.0 or e1 < 0.0 or e2 < 0.0:
                    if entered:  # a triangle is convex: this row is done
                        break
                    continue
                entered = True
                nearness = (e0 * v0 + e1 * v1 + e2 * v2) * inverse
                if nearest[i, j] < nearness <= limit:
                    nearest[i, j] = nearness
                    owner[i, j] = face


@compiled
def interpolate(
    vertices: Array, faces: Array, attributes: Array, owner: Array, focal: float, cx: float, cy: float, left: float,
    top: float, samples: int, out: Array,
) -> None:  # fmt: skip
    """Finds perspective-correct vertex attributes at every sample that a face owns."""
    for i in range(owner.shape[0]):
        dy = (top + (i + 0.5) / samples - cy) / focal
        for j in range(owner.shape[1]):
            face = owner[i, j]
            if face < 0:
                continue
            dx = (left + (j + 0.5) / samples - cx) / focal
            w0, w1, w2 = weights(vertices, faces, face, dx, dy)
            for k in range(attributes.shape[1]):
                out[i, j, k] = (
                    w0 * attributes[faces[face, 0], k]
                    + w1 * attributes[faces[face, 1], k]
                    + w2 * attributes[faces[face, 2], k]
                )


@compiled
def paint(
    vertices: Array, linear: Array, opacity: Array, faces: Array, owner: Array, focal: float, cx: float, cy: float,
    left: float, top: float, samples: int, image: Array,
) -> None:  # fmt: skip
    """Blends the mean colour of the owned samples over `image`, a uint8 window changed in place.

    `linear` holds vertex colours in linear light (gamma 2: the square root is what a screen shows), in which
    samples are summed so that antialiased edges keep their brightness; `opacity` is the vertices', too.
    """
    step, scale = 1.0 / samples, 1.0 / focal
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            red, green, blue, hides, covered, last = 0.0, 0.0, 0.0, 0.0, 0, -1
            r, g, b, o = 0.0, 0.0, 0.0, 0.0
            for si in range(i * samples, (i + 1) * samples):
                for sj in range(j * samples, (j + 1) * samples):
                    face = owner[si, sj]
                    if face < 0:
                        continue
                    if face != last:  # samples of one face within a pixel share its colour
                        dx = (left + (sj + 0.5) * step - cx) * scale
                        dy = (top + (si + 0.5) * step - cy) * scale
                        w0, w1, w2 = weights(vertices, faces, face, dx, dy)
                        v0, v1, v2 = faces[face, 0], faces[face, 1], faces[face, 2]
                        r = w0 * linear[v0, 0] + w1 * linear[v1, 0] + w2 * linear[v2, 0]
                        g = w0 * linear[v0, 1] + w1 * linear[v1, 1] + w2 * linear[v2, 1]
                        b = w0 * linear[v0, 2] + w1 * linear[v1, 2] + w2 * linear[v2, 2]
                        o = w0 * opacity[v0] + w1 * opacity[v1] + w2 * opacity[v2]
                        last = face
                    red, green, blue, hides, covered = red + r, green + g, blue + b, hides + o, covered + 1
            if covered:
                blend = hides / (samples * samples)
                for k, total in enumerate((red, green, blue)):
                    image[i, j, k] = int(
                        image[i, j, k] * (1.0 - blend) + 255.0 * blend * math.sqrt(total / covered) + 0.5
                    )
