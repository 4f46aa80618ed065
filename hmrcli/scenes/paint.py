"""From numbers to pixels: the backdrop, shadows, people, what stands before them, and the lens."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.backdrops import paint_backdrop
from hmrcli.scenes.clothing import Wear, noise_table, sheets, wear
from hmrcli.scenes.occluders import paint_occluder
from hmrcli.scenes.posing import Rest, pose_person, rest_of
from hmrcli.scenes.scene import Ground, Lens, Light, Person, Scene

Array = NDArray[Any]

NOBODY, OCCLUDED = -1, -2

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
    """What is between a light and the world: a grid across the light's direction."""

    basis: Array
    """(3, 3) rows: two axes across, and the direction to the light."""
    corner: Array
    """(2,) place of cell (0, 0) along the axes, metres."""
    cell: np.float32
    highest: Array
    """(rows, columns) farthest that people reach along the direction, metres; -1e9 where nobody is."""
    lowest: Array
    """Where they begin; 1e9 where nobody is. May be left out, (0, 0)."""


def paint_scene(scene: Scene, body: BodyModel) -> Painting:
    """Paints a scene; the caller compresses the picture as its lens says.

    Args:
        scene: what to paint.
        body: whose, on the CPU.
    """
    size = scene.size
    image = np.ascontiguousarray(paint_backdrop(scene.backdrop, size, scene.camera, scene.ground))
    people, parts = np.full((size, size), NOBODY, np.int8), np.full((size, size), NOBODY, np.int8)
    rest = rest_of(body)
    worn = [wear(person.look) for person in scene.people]
    dressed = [_dressed(person, i, each, rest) for i, (person, each) in enumerate(zip(scene.people, worn))]
    if dressed:
        _paint_people(scene, _merged([each[0] for each in dressed]), worn, image, people, parts)
    for occluder in scene.occluders:
        hidden = paint_occluder(image, occluder)
        people[hidden], parts[hidden] = OCCLUDED, NOBODY
    image = _through_lens(image, scene.lens, scene.seed)
    return Painting(image, people, parts, [each[1] for each in dressed], [each[2] for each in dressed])


def _dressed(person: Person, index: int, worn: Wear, rest: Rest) -> tuple[Mesh, Array, Array]:
    """Somebody's mesh, skin and joints."""
    from hmrcli.scenes import posing_kernels, surface_kernels

    offsets = np.empty_like(rest.template)
    seed = float(person.look.seed % 1000 / 7.0)
    surface_kernels.drape(
        rest.template, rest.normals, rest.smoothed, worn.cuts[None], noise_table(), seed, offsets
    )
    skin, clothes, joints, moves, shaped = pose_person(person, rest, offsets)
    vertices, faces, places = [clothes], [rest.faces], [rest.template]
    slot, part = [np.full(len(clothes), -1, np.int32)], [rest.parts]
    for sheet in sheets(person.look, shaped, rest):
        moved = np.empty_like(sheet.points)
        posing_kernels.skin_points(sheet.points, sheet.joints, sheet.weights, moves, moved)
        faces.append(sheet.faces + sum(map(len, vertices)))
        vertices.append(moved)
        places.append(sheet.points)
        slot.append(np.full(len(moved), sheet.slot, np.int32))
        heaviest = sheet.weights.argmax(1)
        part.append(sheet.joints[np.arange(len(moved)), heaviest])
    triangles = np.concatenate(faces)
    points = np.concatenate(vertices)
    return (
        Mesh(
            vertices=points,
            faces=triangles,
            two_sided=np.arange(len(triangles)) >= len(rest.faces),
            rest=np.concatenate(places),
            person=np.full(len(points), index, np.int32),
            slot=np.concatenate(slot),
            part=np.concatenate(part).astype(np.int32),
        ),
        skin,
        joints,
    )


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

    screen = np.empty_like(mesh.vertices)
    kernels.project(mesh.vertices, *lens, screen)
    left, top, width, height = _window(screen, scene.size)
    if width <= 0 or height <= 0:
        return
    nearest = np.zeros((2 * height, 2 * width), np.float32)
    owner = np.full(nearest.shape, -1, np.int32)
    seen = np.zeros(len(screen), np.bool_)
    kernels.visibility(screen, mesh.faces, mesh.two_sided, left, top, 2, nearest, owner, seen)
    attributes = _attributes(mesh, seen, key, sky, scene.light.softness)
    light = np.array(
        [*scene.light.direction, *scene.light.colour, *scene.light.ambient, *up, scene.light.softness],
        np.float32,
    )
    surface_kernels.shade(
        image, people, parts, left, top, nearest, owner, screen, mesh.faces, attributes, mesh.person, mesh.slot,
        mesh.part, np.stack([each.cuts for each in worn]), np.stack([each.materials for each in worn]), noise_table(),
        *lens, light,
    )  # fmt: skip


def _attributes(mesh: Mesh, seen: Array, key: Shade, sky: Shade, softness: float) -> Array:
    """(N, 8) normal, place at rest, and what of the key light and the sky reaches vertices that are seen."""
    from hmrcli.scenes import kernels

    normals = np.zeros_like(mesh.vertices)
    kernels.add_normals(mesh.vertices, mesh.faces, normals)
    attributes = np.empty((len(normals), 8), np.float32)
    attributes[:, :3], attributes[:, 3:6] = normals, mesh.rest
    for column, shade, step, bias in ((6, key, 0.5 + 3.0 * softness, 0.018), (7, sky, 2.0, 0.02)):
        kernels.open_share(
            mesh.vertices, normals, seen, shade.basis, shade.corner, shade.cell, shade.highest,
            np.float32(step), np.float32(bias), attributes[:, column],
        )  # fmt: skip
    return attributes


def _lens(camera: Camera) -> tuple[np.float32, np.float32, np.float32]:
    x, y = camera.principal_point
    return np.float32(camera.focal_length), np.float32(x), np.float32(y)


def _window(screen: Array, size: int) -> tuple[int, int, int, int]:
    """(left, top, width, height) of what is before the camera, within the picture."""
    from hmrcli.scenes import kernels

    seen = np.empty((2, 2), np.float32)
    kernels.extent(screen, np.float32(0.0), seen)
    if not np.isfinite(seen).all():
        return 0, 0, 0, 0
    (left, top), (right, bottom) = (
        np.clip([np.floor(seen[0]), np.ceil(seen[1])], 0, size).astype(int).tolist()
    )
    return left, top, right - left, bottom - top


def _shade(mesh: Mesh, direction: Array, cell: float, lowest: bool = False) -> Shade:
    from hmrcli.scenes import kernels

    x, y, z = direction.tolist()
    across = np.array([0.0, z, -y] if abs(x) < 0.7 else [-z, 0.0, x])
    across /= np.sqrt(across @ across)
    a, b, c = across.tolist()
    basis = np.array([across, [y * c - z * b, z * a - x * c, x * b - y * a], direction], np.float32)
    places, reach = np.empty_like(mesh.vertices), np.empty((2, 2), np.float32)
    kernels.across(mesh.vertices, basis, places, reach)
    low, high = reach
    size = np.float32(cell * max(1.0, float((high - low).max()) / _WIDEST))
    margin = round(_MARGIN / cell)
    corner = (low - margin * size).astype(np.float32)
    columns, rows = (np.ceil((high - low) / size).astype(int) + 2 * margin).tolist()
    top = np.full((rows, columns), -1e9, np.float32)
    bottom = np.full((rows, columns) if lowest else (0, 0), 1e9, np.float32)
    kernels.height_maps(places, corner, size, mesh.faces, mesh.two_sided, top, bottom)
    return Shade(basis, corner, size, top, bottom)


def _shade_ground(
    ground: Ground, light: Light, lens: tuple[np.float32, ...], key: Shade, sky: Shade, image: Array
) -> None:
    from hmrcli.scenes import kernels

    normal = np.array(ground.normal)
    facing = float(normal @ np.array(light.direction))
    strength = np.mean(light.colour) * max(facing, 0.0)
    dark = 0.85 * float(strength / (strength + np.mean(light.ambient))) if facing > 0.12 else 0.0
    shadow = _blurred((key.highest > -1e8).astype(np.float32), 0.7 + 5.0 * light.softness)
    gap = np.maximum(sky.lowest - np.float32(ground.offset), 0)  # how near people come to the ground
    near = _blurred(np.float32(0.75) * np.exp(gap / np.float32(-0.12)), 1.5)

    # With x = t d along the ray d of a pixel, 1 / t = normal . d / offset, and the rest is linear in d as well.
    focal, cx, cy = map(float, lens)
    per_depth = normal / ground.offset
    rows = [per_depth]
    for shade in (key, sky):
        rows += [
            (axis - corner * per_depth) / shade.cell for axis, corner in zip(shade.basis[:2], shade.corner)
        ]
    pixel_ray = np.array([[1 / focal, 0, (0.5 - cx) / focal], [0, 1 / focal, (0.5 - cy) / focal], [0, 0, 1]])
    kernels.shade_ground(image, np.array(rows) @ pixel_ray, shadow, np.float32(dark), near)


def _blurred(grid: Array, deviation: float) -> Array:
    return np.asarray(cv2.GaussianBlur(grid, (0, 0), deviation))


def _through_lens(image: NDArray[np.uint8], lens: Lens, seed: int) -> NDArray[np.uint8]:
    from hmrcli.scenes import kernels

    if lens.defocus > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), lens.defocus)  # type: ignore[assignment]
    length = float(np.hypot(*lens.motion))
    if length > 0.5:
        image = cv2.filter2D(image, -1, _streak(lens.motion))  # type: ignore[assignment]
    if lens.noise > 0:
        top, left = np.random.default_rng(seed).integers(0, _GRAIN - np.array(image.shape[:2]), endpoint=True)
        rows = image.reshape(len(image), -1)
        kernels.add_grain(rows, _grain(), top, 3 * left, np.float32(lens.noise))
    return image


@lru_cache(maxsize=1)
def _grain() -> Array:
    """The sensor's noise, of which every picture takes a part: drawing it anew takes longer than all of the lens."""
    return np.random.default_rng(0).standard_normal((_GRAIN, 3 * _GRAIN), np.float32)


def _streak(motion: tuple[float, float]) -> Array:
    """The path of a point during exposure as a kernel that sums to 1."""
    radius = int(np.ceil(max(map(abs, motion)) / 2)) + 1
    steps = np.linspace(-0.5, 0.5, 8 * radius + 1)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    x, y = radius + steps * motion[0], radius + steps * motion[1]
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    v, u = y - i, x - j
    for di, dj, weight in (
        (0, 0, (1 - v) * (1 - u)),
        (0, 1, (1 - v) * u),
        (1, 0, v * (1 - u)),
        (1, 1, v * u),
    ):
        np.add.at(kernel, (np.minimum(i + di, 2 * radius), np.minimum(j + dj, 2 * radius)), weight)
    return kernel / kernel.sum()
