"""People drawn over their photo, and beside it the same people seen from the side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.camera.camera import NEAR
from hmrcli.render.numbers import draw_labels, place_labels
from hmrcli.render.rasteriser import Camera as Pinhole
from hmrcli.render.rasteriser import merge, paint
from hmrcli.render.shading import shade

Image = NDArray[np.uint8]
Array = NDArray[Any]

_SKY, _SAGE, _LAVENDER, _SAND = (148, 187, 227), (162, 208, 158), (194, 172, 230), (238, 208, 138)
_LAGOON, _ROSE, _CORAL, _SILVER = (132, 206, 204), (232, 162, 190), (240, 150, 132), (196, 202, 212)
PALETTE = np.array([_SKY, _SAGE, _LAVENDER, _SAND, _LAGOON, _ROSE, _CORAL, _SILVER]) / 255
"""(8, 3) colours of people in [0, 1], repeated after the eighth."""

_OPACITY, _FAINT = 0.9, 0.315
"""Of the mesh over the photo, and of what the photo does not show of a body."""
_SAMPLES = 2
"""Along each side of a pixel, for smooth edges."""


def overlay(
    image: Image,
    people: Sequence[Array],
    faces: Array,
    camera: Camera,
    *,
    numbers: Sequence[int] | None = None,
    seen: Sequence[Array] | None = None,
    side_view: bool = True,
    pitch: float = 0.0,
    max_side: int = 2048,
) -> Image:
    """Draws people over a photo and, beside it, from the side.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: (V, 3) vertices of each person in camera coordinates (`vertices + transl`), metres.
        faces: (F, 3) indices, the same for everyone.
        camera: of the given image. With distortion, vertices are drawn where the lens shows them, and edges straight.
        numbers: of the people, written over them; none when not given.
        seen: (V,) in [0, 1] of each person: what the photo does not show of a body is drawn faintly over it.
        side_view: adds the panel on the right. Nearer is further left there; everyone has the same scale.
        pitch: radians by which the camera looks down; the panel is drawn level.
        max_side: a photo with a longer side is reduced to it first, with the camera.

    Returns:
        (H', W' + panel, 3) uint8 RGB; the photo alone where there is nobody.
    """
    picture = _reduced(image, max_side)
    if not people:
        return picture
    camera = camera.resized(picture.shape[1], picture.shape[0])
    tints = [PALETTE[i % len(PALETTE)] for i in range(len(people))]
    mesh = merge(people, faces)
    colours = draw_people(picture, people, mesh, camera, tints, numbers, seen, _SAMPLES)
    if not side_view:
        return picture
    vertices, triangles = mesh
    level = levelling(pitch)
    people, vertices = [body @ level for body in people], vertices @ level
    panel = _side_panel(people, vertices, triangles, colours, *picture.shape[:2])
    return np.concatenate([picture, panel], axis=1)


def draw_people(
    picture: Image,
    people: Sequence[Array],
    mesh: tuple[Array, Array],
    camera: Camera,
    tints: Sequence[Array],
    numbers: Sequence[int] | None,
    seen: Sequence[Array] | None,
    samples: int,
) -> Array:
    """Draws people, with the `merge` of all, over a picture, each in a tint (3,); returns its colours."""
    vertices, triangles = mesh
    colours = np.concatenate([np.broadcast_to(tint, body.shape) for tint, body in zip(tints, people)])
    pinhole = Pinhole(camera.focal_length, camera.principal_point)
    opacity = _OPACITY if seen is None else _FAINT + (_OPACITY - _FAINT) * np.concatenate(seen)
    lit = shade(vertices, triangles, colours)
    paint(picture, camera.seen(vertices), triangles, lit, pinhole, opacity, samples)
    if numbers is not None:
        tops = [_highest(body, camera) for body in people]
        draw_labels(picture, place_labels(tops, numbers, picture.shape), tints)
    return colours


def levelling(pitch: float) -> Array:
    """Returns (3, 3) about the camera's x axis: what is up lies along -y of `points @ levelling(pitch)`."""
    sine, cosine = np.sin(pitch), np.cos(pitch)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def _highest(body: Array, camera: Camera) -> Array | None:
    """Returns the highest pixel (2,) within the picture of a body (V, 3) in camera coordinates, None where none is."""
    pixels = camera.project(body[body[:, 2] > NEAR])
    inside = pixels[((pixels >= 0) & (pixels < (camera.width, camera.height))).all(1)]
    return inside[inside[:, 1].argmin()] if len(inside) else None


def _reduced(image: Image, max_side: int) -> Image:
    """Copies an image so that its longer side is at most `max_side`."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return np.array(image, order="C")
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _side_panel(
    people: Sequence[Array], vertices: Array, triangles: Array, colours: Array, height: int, max_width: int
) -> Image:
    """Draws the scene from its right, so depth runs to the right; as high as the photo and at most as wide."""
    margin = 0.08 * height
    turned = np.stack([vertices[:, 2], vertices[:, 1], -vertices[:, 0]], axis=1)
    low, high = turned.min(axis=0), turned.max(axis=0)
    extent = np.maximum(high - low, 1e-3)
    scale = float((height - 2 * margin) / extent[1])
    width = int(np.clip(extent[0] * scale + 2 * margin, min(0.5 * height, max_width), max_width))
    scale = min(scale, float(max(width - 2 * margin, 1.0) / extent[0]))
    panel = backdrop(height, width)
    middle = (low + high) / 2
    for body in people:
        lowest = np.array([body[:, 2].mean(), body[:, 1].max()])
        at = (lowest - middle[:2]) * scale + (width / 2, height / 2)
        ground_shadow(panel, at, float(np.ptp(body[:, 2])) * scale)
    # Seen from a hundred times its size away, a scene has the same scale throughout.
    distance = 100 * float(extent.max())
    camera = Pinhole(scale * distance, (width / 2, height / 2))
    placed = turned - middle + (0, 0, distance)
    paint(panel, placed, triangles, shade(placed, triangles, colours), camera, 1.0, _SAMPLES)
    return panel


def backdrop(height: int, width: int) -> Image:
    """Makes a neutral sheet, a little darker towards the bottom."""
    shade = np.linspace(247, 226, height).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(shade[:, None, None], (height, width, 3)))


def ground_shadow(panel: Image, center: Array, length: float) -> None:
    """Draws a soft flat shadow under somebody's lowest point, in place: the hint of a ground."""
    reach, rise = max(0.75 * length, 4.0), max(0.10 * length, 1.5)
    left, top = max(int(center[0] - 2 * reach), 0), max(int(center[1] - 2 * rise), 0)
    part = panel[top : int(center[1] + 2 * rise) + 1, left : int(center[0] + 2 * reach) + 1]
    x = (left + np.arange(part.shape[1]) + 0.5 - center[0]) / reach
    y = (top + np.arange(part.shape[0]) + 0.5 - center[1]) / rise
    dark = 0.30 * np.exp(-2.0 * x**2)[None, :] * np.exp(-2.0 * y**2)[:, None]
    part[:] = np.rint(part * (1 - dark[..., None]))
