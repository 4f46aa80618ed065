"""People drawn over their photo, and beside it the same people seen from the side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.render.rasteriser import Camera, merge, paint
from hmrcli.render.shading import shade

Image = NDArray[np.uint8]
Array = NDArray[Any]

PALETTE = (
    np.array(
        [
            (148, 187, 227),  # sky
            (162, 208, 158),  # sage
            (194, 172, 230),  # lavender
            (238, 208, 138),  # sand
            (132, 206, 204),  # lagoon
            (232, 162, 190),  # rose
            (240, 150, 132),  # coral
            (196, 202, 212),  # silver
        ]
    )
    / 255
)
"""(8, 3) colours of people in [0, 1], repeated after the eighth."""

_OPACITY = 0.9
"""Of the mesh over the photo."""
_SAMPLES = 2
"""Along each side of a pixel, for smooth edges."""
_FAINT = 0.65
"""Share of the photo that is seen through what is hidden in it."""


def overlay(
    image: Image,
    people: Sequence[Array],
    faces: Array,
    focal_length: float,
    principal_point: tuple[float, float],
    *,
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
        focal_length: pixels of the given image.
        principal_point: (cx, cy), pixels of the given image.
        seen: (V,) in [0, 1] of each person: what the photo does not show of a body is drawn faintly over it.
        side_view: adds the panel on the right. Nearer is further left there; everyone has the same scale.
        pitch: radians by which the camera looks down; the panel is drawn level.
        max_side: a photo with a longer side is reduced to it first, with the camera.

    Returns:
        (H', W' + panel, 3) uint8 RGB; the photo alone where there is nobody.
    """
    picture, scale = _reduced(image, max_side)
    if not people:
        return picture
    colours = np.concatenate(
        [np.broadcast_to(PALETTE[i % len(PALETTE)], body.shape) for i, body in enumerate(people)]
    )
    camera = Camera(focal_length * scale, (principal_point[0] * scale, principal_point[1] * scale))
    vertices, triangles = merge(people, faces)
    photo = picture.copy()
    paint(picture, vertices, triangles, shade(vertices, triangles, colours), camera, _OPACITY, _SAMPLES)
    if seen is not None and (hidden := 1 - np.concatenate(seen)).any():
        veil = np.zeros_like(picture)
        paint(veil, vertices, triangles, np.repeat(hidden[:, None], 3, 1), camera, 1.0, _SAMPLES)
        picture[:] = (picture + (photo.astype(np.float32) - picture) * (_FAINT / 255) * veil).round()
    if not side_view:
        return picture
    # About the camera's x axis: what is up lies along the camera's -y afterwards.
    sine, cosine = np.sin(pitch), np.cos(pitch)
    level = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    people, vertices = [body @ level for body in people], vertices @ level
    panel = _side_panel(people, vertices, triangles, colours, picture.shape[0], picture.shape[1])
    return np.concatenate([picture, panel], axis=1)


def _reduced(image: Image, max_side: int) -> tuple[Image, float]:
    """Copies an image so that its longer side is at most `max_side`; also returns its scale."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return np.array(image, order="C"), scale
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _side_panel(
    people: Sequence[Array],
    vertices: Array,
    triangles: Array,
    colours: Array,
    height: int,
    max_width: int,
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
        at = (
            (body[:, 2].mean() - middle[0]) * scale + width / 2,
            (body[:, 1].max() - middle[1]) * scale + height / 2,
        )
        ground_shadow(panel, at, float(np.ptp(body[:, 2])) * scale)
    # Seen from a hundred times its size away, a scene has the same scale throughout.
    distance = 100 * float(extent.max())
    camera = Camera(scale * distance, (width / 2, height / 2))
    placed = turned - middle + (0, 0, distance)
    paint(panel, placed, triangles, shade(placed, triangles, colours), camera, 1.0, _SAMPLES)
    return panel


def backdrop(height: int, width: int) -> Image:
    """Makes a neutral sheet, a little darker towards the bottom."""
    shade = np.linspace(247, 226, height).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(shade[:, None, None], (height, width, 3)))


def ground_shadow(panel: Image, center: tuple[float, float], length: float) -> None:
    """Draws a soft flat shadow under somebody's lowest point, in place: the hint of a ground."""
    reach, rise = max(0.75 * length, 4.0), max(0.10 * length, 1.5)
    left, top = max(int(center[0] - 2 * reach), 0), max(int(center[1] - 2 * rise), 0)
    part = panel[top : int(center[1] + 2 * rise) + 1, left : int(center[0] + 2 * reach) + 1]
    x = (left + np.arange(part.shape[1]) + 0.5 - center[0]) / reach
    y = (top + np.arange(part.shape[0]) + 0.5 - center[1]) / rise
    dark = 0.30 * np.exp(-2.0 * x**2)[None, :] * np.exp(-2.0 * y**2)[:, None]
    part[:] = np.rint(part * (1 - dark[..., None]))
