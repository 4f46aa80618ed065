"""From numbers to pixels: the backdrop, shadows, people, what stands before them, and the lens."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.render.rasteriser import Camera, face_boxes, height_maps, visible
from hmrcli.render.shading import vertex_normals
from hmrcli.scenes.backdrops import paint_backdrop
from hmrcli.scenes.clothing import Wear, noise_table, sheets, wear
from hmrcli.scenes.occluders import paint_occluder
from hmrcli.scenes.posing import Posed, Rest, pose_person, rest_of
from hmrcli.scenes.scene import Ground, Lens, Light, Person, Scene

Array = NDArray[Any]

NOBODY, OCCLUDED = -1, -2
_FROM_PICTURE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

_GRAIN = 512
"""Side of the table of noise."""

_CELL, _SKY_CELL, _WIDEST = 0.014, 0.028, 3.1
"""Of the maps of shadows: metres, for a key light and for the sky, whose shadows have no edges; and how wide what they
show may be before cells become larger."""

_MARGIN = 0.17
"""Of the maps of shadows around people: what blurred shadows reach, metres."""


@dataclass(frozen=True, eq=False)
class Painting:
    """A picture and what is seen in it."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    people: NDArray[np.int8]
    """(S, S) index of the person seen at a pixel, -1 for nobody, -2 for a thing before them."""
    parts: NDArray[np.int8]
    """(S, S) joint that moves what is seen most (clothes count as the skin below), -1 where nobody is."""
    vertices: list[Array]
    """Of each person's skin, (V, 3) metres, camera axes."""
    joints: list[Array]
    """(24, 3) of each."""


class Mesh(NamedTuple):
    """People with all they wear, in the camera's frame."""

    vertices: Array
    """(N, 3) float32 metres."""
    faces: Array
    """(F, 3) int32."""
    two_sided: Array
    """(F,) bool"""
    rest: Array
    """(N, 3) place on the mean body in T-pose."""
    person: Array
    """(N,) int32"""
    slot: Array
    """(N,) int32 row of the materials, -1 for what the place decides."""
    part: Array
    """(N,) int32 joint."""


class Shade(NamedTuple):
    """Shade between a light and the world: a grid across the light's direction."""

    basis: Array
    """(3, 3) rows: two axes across, and the direction to the light."""
    corner: Array
    """(2,) place of cell (0, 0) along the axes, metres."""
    cell: float
    heights: list[Array]
    """(rows, columns) farthest that people reach along the direction, metres; and where they begin, if asked for."""


def paint_scene(scene: Scene, body: BodyModel, behind: NDArray[np.uint8] | None = None) -> Painting:
    """Paints a scene; the caller compresses the picture as its lens says.

    Args:
        scene: what to paint.
        body: whose, on the CPU.
        behind: (S, S, 3) the scene's backdrop, where it was painted before.
    """
    size = scene.size
    if behind is None:
        behind = paint_backdrop(scene.backdrop, size, scene.camera, scene.ground)
    image = np.array(behind, order="C")
    people, parts = np.full((size, size), NOBODY, np.int8), np.full((size, size), NOBODY, np.int8)
    rest = rest_of(body)
    worn = [wear(person.look) for person in scene.people]
    dressed = [_dressed(person, i, each, rest) for i, (person, each) in enumerate(zip(scene.people, worn))]
    if dressed:
        _paint_people(scene, _merged([mesh for mesh, _ in dressed]), worn, image, people, parts)
    for occluder in scene.occluders:
        hidden = paint_occluder(image, occluder)
        people[hidden], parts[hidden] = OCCLUDED, NOBODY
    image = _through_lens(image, scene.lens, scene.seed)
    return Painting(
        image, people, parts, [posed.skin for _, posed in dressed], [posed.joints for _, posed in dressed]
    )


def _dressed(person: Person, index: int, worn: Wear, rest: Rest) -> tuple[Mesh, Posed]:
    """Makes somebody's mesh."""
    from hmrcli.scenes import surface_kernels

    offsets, seed = np.empty_like(rest.template), float(person.look.seed % 1000 / 7.0)
    surface_kernels.drape(
        rest.template, rest.normals, rest.smoothed, worn.cuts[None], noise_table(), seed, offsets
    )
    posed = pose_person(person.pose, person.betas, person.transl, rest, offsets)
    vertices, faces, places = [posed.clothes], [rest.faces], [rest.template]
    slot, part = [np.full(len(posed.clothes), -1, np.int32)], [rest.parts]
    for sheet in sheets(person.look, posed.shaped, rest):
        moves = np.einsum("nk,nkab->nab", sheet.weights, posed.moves[sheet.joints])
        faces.append(sheet.faces + sum(map(len, vertices)))
        vertices.append(np.einsum("nab,nb->na", moves[:, :, :3], sheet.points) + moves[:, :, 3])
        places.append(sheet.points)
        slot.append(np.full(len(moves), sheet.slot, np.int32))
        part.append(sheet.joints[np.arange(len(moves)), sheet.weights.argmax(1)])
    mesh = Mesh(
        vertices=np.concatenate(vertices),
        faces=np.concatenate(faces),
        two_sided=np.arange(sum(map(len, faces))) >= len(rest.faces),
        rest=np.concatenate(places),
        person=np.full(sum(map(len, vertices)), index, np.int32),
        slot=np.concatenate(slot),
        part=np.concatenate(part).astype(np.int32),
    )
    return mesh, posed


def _merged(meshes: list[Mesh]) -> Mesh:
    if len(meshes) == 1:
        return meshes[0]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])]).astype(np.int32)
    moved = [mesh._replace(faces=mesh.faces + start) for mesh, start in zip(meshes, starts)]
    return Mesh(*(np.concatenate(column) for column in zip(*moved)))


def _paint_people(
    scene: Scene, mesh: Mesh, worn: list[Wear], image: Array, people: Array, parts: Array
) -> None:
    from hmrcli.scenes import kernels, surface_kernels

    lens = _lens(scene.camera)
    up = np.array(scene.ground.normal if scene.ground else (0.0, -1.0, 0.0), np.float32)
    key = _shade(mesh, np.array(scene.light.direction), _CELL)
    sky = _shade(mesh, up, _SKY_CELL, lowest=scene.ground is not None)
    if scene.ground is not None:
        _shade_ground(scene.ground, scene.light, lens, key, sky, image)

    points = mesh.vertices.astype(np.float64)
    boxes = face_boxes(points, mesh.faces, scene.camera)
    window = _window(boxes, scene.size)
    if min(window[2:]) <= 0:
        return
    sides = np.where(mesh.two_sided, 0, -1)  # closed surfaces show their outside alone
    nearest, owner = visible(points, mesh.faces, boxes, scene.camera, window, 2, sides)
    seen = np.zeros(len(points), np.bool_)
    kernels.mark_corners(owner, mesh.faces, seen)
    attributes = _attributes(mesh, seen, key, sky, scene.light.softness)
    light = np.array(
        [*scene.light.direction, *scene.light.colour, *scene.light.ambient, *up, scene.light.softness],
        np.float32,
    )
    surface_kernels.shade(
        image, people, parts, *window[:2], nearest, owner, points, mesh.faces, attributes, mesh.person, mesh.slot,
        mesh.part, np.stack([each.cuts for each in worn]), np.stack([each.materials for each in worn]), noise_table(),
        *lens, light,
    )  # fmt: skip


def _attributes(mesh: Mesh, seen: Array, key: Shade, sky: Shade, softness: float) -> Array:
    """(N, 8) normal, place at rest, and what of the key light and the sky reaches vertices that are seen."""
    from hmrcli.scenes import kernels

    normals = vertex_normals(mesh.vertices, mesh.faces)
    attributes = np.empty((len(normals), 8), np.float32)
    attributes[:, :3], attributes[:, 3:6] = normals, mesh.rest
    for column, shade, step, bias in ((6, key, 0.5 + 3.0 * softness, 0.018), (7, sky, 2.0, 0.02)):
        kernels.open_share(
            mesh.vertices, normals, seen, shade.basis, shade.corner, shade.cell, shade.heights[0],
            step, bias, attributes[:, column],
        )  # fmt: skip
    return attributes


def _lens(camera: Camera) -> tuple[float, float, float]:
    return camera.focal_length, *camera.principal_point


def _window(boxes: Array, size: int) -> tuple[int, int, int, int]:
    """Finds left, top, width and height of what is before the camera, within the picture."""
    columns = np.ascontiguousarray(boxes.T)
    low, high = columns[:2].min(1), columns[2:].max(1)
    if not np.isfinite([low, high]).all():
        return 0, 0, 0, 0
    left, top = np.clip(np.floor(low), 0, size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high), 0, size).astype(int).tolist()
    return left, top, right - left, bottom - top


def _shade(mesh: Mesh, direction: Array, cell: float, lowest: bool = False) -> Shade:
    x, y, z = direction.tolist()
    across = np.array([0.0, z, -y] if abs(x) < 0.7 else [-z, 0.0, x])
    across /= np.sqrt(across @ across)
    basis = np.array([across, np.cross(direction, across), direction], np.float32)
    flat = basis.astype(np.float64) @ mesh.vertices.T
    low, high = flat[:2].min(1), flat[:2].max(1)
    size = cell * max(1.0, float((high - low).max()) / _WIDEST)
    margin = round(_MARGIN / cell)
    corner = (low - margin * size).astype(np.float32)
    columns, rows = (np.ceil((high - low) / size).astype(int) + 2 * margin).tolist()
    flat[:2] = (flat[:2] - corner[:, None]) / size
    places = np.ascontiguousarray(flat.T)
    return Shade(
        basis, corner, size, height_maps(places, mesh.faces, mesh.two_sided, (rows, columns), lowest)
    )


def _shade_ground(
    ground: Ground, light: Light, lens: tuple[float, float, float], key: Shade, sky: Shade, image: Array
) -> None:
    normal = np.array(ground.normal)
    facing = float(normal @ np.array(light.direction))
    strength = np.mean(light.colour) * max(facing, 0.0)
    dark = 0.85 * float(strength / (strength + np.mean(light.ambient))) if facing > 0.12 else 0.0
    shadow = _blurred((key.heights[0] > -1e8).astype(np.float32), 0.7 + 5.0 * light.softness)
    gap = np.maximum(sky.heights[1] - np.float32(ground.offset), 0)  # how near people come to the ground
    near = _blurred(np.float32(0.75) * np.exp(gap / np.float32(-0.12)), 1.5)

    # With x = t d along the ray d of a pixel, 1 / t = normal . d / offset, and places in the maps are linear in d, too.
    focal, cx, cy = lens
    per_depth = normal / ground.offset
    rows = [per_depth]
    for shade in (key, sky):
        rows += [
            (axis - corner * per_depth) / shade.cell for axis, corner in zip(shade.basis[:2], shade.corner)
        ]
    pixel_ray = np.array([[1 / focal, 0, (0.5 - cx) / focal], [0, 1 / focal, (0.5 - cy) / focal], [0, 0, 1]])
    below, *places = np.array(rows) @ pixel_ray
    length = len(image)
    ground_seen = np.add.outer(below[1] * np.arange(length) + below[2], below[0] * np.arange(length)) > 0
    left = np.ones(image.shape[:2], np.float32)
    for grid, share, (u, v) in ((shadow, dark, places[:2]), (near, 1.0, places[2:])):
        seen_from = np.array([u, v, below])
        kept_off = cv2.warpPerspective(grid, seen_from, (length, length), flags=_FROM_PICTURE)
        left *= 1 - share * np.where(ground_seen, kept_off, 0)
    shown = np.sqrt(np.maximum(left, 0))  # gamma 2
    image[:] = cv2.multiply(image, cv2.merge((shown, shown, shown)), dtype=cv2.CV_8U)


def _blurred(grid: Array, deviation: float) -> Array:
    return np.asarray(cv2.GaussianBlur(grid, (0, 0), deviation))


def _through_lens(image: NDArray[np.uint8], lens: Lens, seed: int) -> NDArray[np.uint8]:
    if lens.defocus > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), lens.defocus)  # type: ignore[assignment]
    length = float(np.hypot(*lens.motion))
    if length > 0.5:
        image = cv2.filter2D(image, -1, _streak(lens.motion))  # type: ignore[assignment]
    if lens.noise > 0:
        top, left = np.random.default_rng(seed).integers(0, _GRAIN - np.array(image.shape[:2]), endpoint=True)
        size = len(image)
        grain = _grain()[top : top + size, left : left + size]
        image = cv2.add(image, lens.noise * grain, dtype=cv2.CV_8U)  # type: ignore[assignment]
    return image


@lru_cache(maxsize=1)
def _grain() -> Array:
    """Draws the sensor's noise, of which every picture takes a part: anew it takes longer than all of the lens."""
    return np.random.default_rng(0).standard_normal((_GRAIN, _GRAIN, 3), np.float32)


def _streak(motion: tuple[float, float]) -> Array:
    """Draws the path of a point during exposure as a kernel that sums to 1."""
    radius = int(np.ceil(max(map(abs, motion)) / 2))
    steps = np.linspace(-0.5, 0.5, 64)
    span = (-radius - 0.5, radius + 0.5)
    kernel, _, _ = np.histogram2d(steps * motion[1], steps * motion[0], 2 * radius + 1, (span, span))
    return kernel / len(steps)
