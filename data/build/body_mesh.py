"""Simplifies a mirror-symmetric mesh by collapsing edges onto their ends, so that kept vertices stay put.

Error quadrics as in Garland and Heckbert, "Surface simplification using quadric error metrics" (1997).
Because the vertices kept are a subset, weights, shape directions and texture corners carry over exactly.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from makehuman import Array, Index

from hmrcli.body.levels import edges_of


@dataclass
class Surface:
    """Triangles and, per corner, an index into texture coordinates."""

    faces: Index  # (F, 3)
    corners: Index  # (F, 3)


def triangulate(vertices: Array, quads: Index, corners: Index) -> Surface:
    """Cuts quads along their shorter diagonal."""
    first = np.linalg.norm(vertices[quads[:, 0]] - vertices[quads[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quads[:, 1]] - vertices[quads[:, 3]], axis=1)
    order = np.where((first <= second)[:, None], [[0, 1, 2, 0, 2, 3]], [[1, 2, 3, 1, 3, 0]])
    return Surface(
        np.take_along_axis(quads, order, 1).reshape(-1, 3),
        np.take_along_axis(corners, order, 1).reshape(-1, 3),
    )


def left_half(vertices: Array, surface: Surface) -> Surface:
    keep = (vertices[surface.faces, 0] > -1e-7).all(1)
    assert 2 * keep.sum() == len(keep), "no face may cross the mirror plane"
    return Surface(surface.faces[keep], surface.corners[keep])


def mirrored(half: Surface, mirror: Index, corner_mirror: Index) -> Surface:
    """Both halves of a surface; the right one wound the other way round."""
    return Surface(
        np.concatenate([half.faces, mirror[half.faces][:, ::-1]]),
        np.concatenate([half.corners, corner_mirror[half.corners][:, ::-1]]),
    )


Point = Sequence[float]


def _minus(a: Point, b: Point) -> Point:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _dot(a: Point, b: Point) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Point, b: Point) -> Point:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


class _Collapse:
    """State of one simplification; vertices keep their numbers."""

    def __init__(self, vertices: Array, surface: Surface, fixed: set[int], evenness: float) -> None:
        self.vertices, self.fixed, self.evenness = vertices, fixed, evenness
        self.points: list[Point] = vertices.tolist()
        self.homogeneous = np.column_stack([vertices, np.ones(len(vertices))])
        self.faces = surface.faces.tolist()
        self.corners = surface.corners.tolist()
        self.around: dict[int, set[int]] = {}
        for number, face in enumerate(self.faces):
            for vertex in face:
                self.around.setdefault(vertex, set()).add(number)
        self.version = dict.fromkeys(self.around, 0)
        self.quadrics = self._quadrics(surface.faces)
        self.heap: list[tuple[float, int, int, int, int]] = []
        for vertex in self.around:
            self._push(vertex)

    def _quadrics(self, faces: Index) -> Array:
        a, b, c = (self.vertices[faces[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)
        double = np.linalg.norm(normals, axis=1, keepdims=True)
        normals /= np.maximum(double, 1e-12)
        planes = np.concatenate([normals, -(normals * a).sum(1, keepdims=True)], 1)
        weighted = planes[:, :, None] * planes[:, None] * (double[..., None] / 2)
        quadrics = np.zeros((len(self.vertices), 4, 4))
        for i in range(3):
            np.add.at(quadrics, faces[:, i], weighted)
        # The rim keeps its outline through upright planes along its edges.
        for vertex, number in ((v, n) for v, ring in self.around.items() for n in ring):
            face = self.faces[number]
            other = face[(face.index(vertex) + 1) % 3]
            if len(self.around[vertex] & self.around[other]) == 1:
                along = self.vertices[other] - self.vertices[vertex]
                normal = np.cross(along, normals[number])
                normal /= np.linalg.norm(normal)
                plane = np.append(normal, -normal @ self.vertices[vertex])
                quadrics[[vertex, other]] += np.outer(plane, plane) * (along @ along)
        return quadrics

    def neighbours(self, vertex: int) -> set[int]:
        return {v for number in self.around[vertex] for v in self.faces[number]} - {vertex}

    def on_rim(self, vertex: int) -> bool:
        return len(self.neighbours(vertex)) != len(self.around[vertex])

    def _push(self, vertex: int) -> None:
        """Offers the cheapest allowed collapse of a vertex onto a neighbour."""
        if vertex in self.fixed:
            return
        best: tuple[float, int] | None = None
        for target in sorted(self.neighbours(vertex)):
            point = self.homogeneous[target]
            cost = float(point @ (self.quadrics[vertex] + self.quadrics[target]) @ point)
            step = _minus(self.points[target], self.points[vertex])
            cost += self.evenness * _dot(step, step) ** 2
            if (best is None or cost < best[0]) and self._allowed(vertex, target):
                best = (cost, target)
        if best is not None:
            heapq.heappush(self.heap, (best[0], vertex, best[1], self.version[vertex], self.version[best[1]]))

    def _corner_moves(self, vertex: int, target: int) -> dict[int, int]:
        """Texture corner of the target for each texture corner of the vertex, read off their common faces."""
        moves = {}
        for number in self.around[vertex] & self.around[target]:
            face, corners = self.faces[number], self.corners[number]
            moves[corners[face.index(vertex)]] = corners[face.index(target)]
        return moves

    def _allowed(self, vertex: int, target: int) -> bool:
        shared = self.around[vertex] & self.around[target]
        if self.on_rim(vertex) and len(shared) != 1:
            return False
        if len(self.neighbours(vertex) & self.neighbours(target)) != len(shared):
            return False  # the surface would touch itself
        moves = self._corner_moves(vertex, target)
        for number in self.around[vertex]:
            face = self.faces[number]
            place = face.index(vertex)
            if self.corners[number][place] not in moves:
                return False  # would tear a seam of the texture
            if target in face:
                continue
            old, new = self.points[vertex], self.points[target]
            second, third = self.points[face[place - 2]], self.points[face[place - 1]]
            before = _cross(_minus(second, old), _minus(third, old))
            after = _cross(_minus(second, new), _minus(third, new))
            area = _dot(after, after) ** 0.5
            sides = (_minus(third, second), _minus(second, new), _minus(third, new))
            longest = max(_dot(side, side) for side in sides)
            if _dot(before, after) < 0.5 * _dot(before, before) ** 0.5 * area or area < 0.15 * longest:
                return False  # a fold or a sliver
        return True

    def run(self, count: int, middle: set[int]) -> None:
        """Collapses until the surface and its mirror image have at most `count` vertices together."""
        left = 2 * len(self.around) - len(middle & self.around.keys())
        while left > count:
            _, vertex, target, *versions = heapq.heappop(self.heap)
            if vertex not in self.around or versions != [self.version[vertex], self.version.get(target)]:
                continue
            if not self._allowed(vertex, target):
                continue
            left -= 1 if vertex in middle else 2
            moves = self._corner_moves(vertex, target)
            ring = self.neighbours(vertex)
            for number in self.around.pop(vertex):
                face, corners = self.faces[number], self.corners[number]
                if target in face:
                    for other in face:
                        if other != vertex:
                            self.around[other].discard(number)
                    continue
                place = face.index(vertex)
                face[place], corners[place] = target, moves[corners[place]]
                self.around[target].add(number)
            self.quadrics[target] += self.quadrics[vertex]
            touched = sorted(ring | self.neighbours(target))
            for other in touched:
                self.version[other] += 1
            self.version.pop(vertex)
            for other in sorted(set(touched).union(*(self.neighbours(v) for v in touched))):
                self._push(other)


def simplify(
    vertices: Array, half: Surface, mirror: Index, count: int, fixed: set[int], evenness: float
) -> Surface:
    """Reduces one half of a mirror-symmetric surface by choosing among its vertices.

    Args:
        mirror: (V,) the vertex on the other side; those on the mirror plane map to themselves.
        count: most vertices that both halves together may keep.
        fixed: vertices that must stay.
        evenness: 0 spends vertices on curvature alone; larger spreads them more evenly.
    """
    middle = set(np.flatnonzero(mirror == np.arange(len(mirror))).tolist())
    state = _Collapse(vertices, half, fixed, evenness)
    state.run(count, middle)
    alive = sorted(set().union(*state.around.values()))
    return Surface(np.array([state.faces[n] for n in alive]), np.array([state.corners[n] for n in alive]))


def closest_on_triangles(points: Array, a: Array, b: Array, c: Array) -> tuple[Index, Array]:
    """For each point the nearest triangle and the barycentric coordinates of its nearest point there.

    Ericson, Real-Time Collision Detection (2005), 5.1.5, by clamping onto the three edges as well.
    """
    best = np.full(len(points), np.inf)
    nearest = np.zeros(len(points), np.int64)
    weights = np.zeros((len(points), 3))
    for start in range(0, len(points), 256):
        p = points[start : start + 256, None]
        options = [_on_plane(p, a, b, c)]
        for i, j, ends in ((0, 1, (a, b)), (1, 2, (b, c)), (2, 0, (c, a))):
            along = ends[1] - ends[0]
            t = np.clip(((p - ends[0]) * along).sum(-1) / (along * along).sum(-1), 0, 1)
            w = np.zeros((*t.shape, 3))
            w[..., i], w[..., j] = 1 - t, t
            options.append(w)
        for w in options:
            hit = w[..., :1] * a + w[..., 1:2] * b + w[..., 2:] * c
            distance = np.where((w >= 0).all(-1), ((p - hit) ** 2).sum(-1), np.inf)
            pick = distance.argmin(1)
            rows = np.arange(len(pick))
            better = distance[rows, pick] < best[start : start + 256] - 1e-15
            block = slice(start, start + 256)
            best[block] = np.where(better, distance[rows, pick], best[block])
            nearest[block] = np.where(better, pick, nearest[block])
            weights[block] = np.where(better[:, None], w[rows, pick], weights[block])
    return nearest, weights


def _on_plane(p: Array, a: Array, b: Array, c: Array) -> Array:
    u, v, w = b - a, c - a, p - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    scale = np.maximum(uu * vv - uv * uv, 1e-30)
    second, third = (vv * wu - uv * wv) / scale, (uu * wv - uv * wu) / scale
    return np.stack([1 - second - third, second, third], -1)


@dataclass
class Level:
    """A coarser mesh: which vertices of the finer one it keeps, and how to interpolate back."""

    kept: Index  # (V coarse,) numbers in the finer mesh
    faces: Index  # (F, 3)
    up_index: Index  # (V fine, 3)
    up_weight: Array  # (V fine, 3)


def coarsen(vertices: Array, faces: Index, mirror: Index, count: int) -> tuple[Level, Index]:
    """One step of the mesh hierarchy, mirror symmetric; also returns the coarse mirror map."""
    half = left_half(vertices, Surface(faces, np.zeros_like(faces)))
    thin = simplify(vertices, half, mirror, count, set(), evenness=0.1)
    both = mirrored(thin, mirror, np.zeros(1, np.int64)).faces
    kept = np.unique(both)
    place = np.full(len(vertices), -1)
    place[kept] = np.arange(len(kept))
    left = np.unique(half.faces)
    nearest, weights = closest_on_triangles(vertices[left], *(vertices[thin.faces[:, i]] for i in range(3)))
    index = np.zeros((len(vertices), 3), np.int64)
    weight = np.zeros((len(vertices), 3))
    # The right side repeats the left; the middle, written last, keeps its own.
    index[mirror[left]], weight[mirror[left]] = place[mirror[thin.faces[nearest]]], weights
    index[left], weight[left] = place[thin.faces[nearest]], weights
    return Level(kept, place[both], index, weight), place[mirror[kept]]


def is_watertight(faces: Index) -> bool:
    """Every edge has exactly two faces, which run along it in opposite directions."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    unique, counts = np.unique(directed, axis=0, return_counts=True)
    return bool((counts == 1).all()) and len(edges_of(faces)[0]) == len(unique)
