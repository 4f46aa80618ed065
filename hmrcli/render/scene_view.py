"""Frames of a clip with people drawn over them, and beside them the same people from the side.

Unlike a photo's overlay, the panel keeps its place and scale from frame to frame.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.render.numbers import draw_labels, place_labels
from hmrcli.render.overlay import PALETTE, backdrop, ground_shadow, highest, opacity_of
from hmrcli.render.rasteriser import Camera as Pinhole
from hmrcli.render.rasteriser import merge, paint
from hmrcli.render.shading import shade

Image = NDArray[np.uint8]
Array = NDArray[Any]


class Body(NamedTuple):
    """A person in one frame."""

    track_id: int
    """The number that is drawn, and the colour's, as in exports."""
    placed: Array
    """(V, 3) metres in camera coordinates."""
    seen: Array
    """(V,) in [0, 1]."""


class SceneView(NamedTuple):
    """Camera and panel of all frames of a clip."""

    camera: Camera
    """Of the frames as they are drawn."""
    width: int
    """Of the panel, pixels; 0 for none."""
    scale: float
    """Pixels of the panel a metre."""
    middle: Array
    """(2,) depth and height in metres, level, in the middle of the panel."""
    level: Array
    """(3, 3) turns points about the camera's x axis so that what is up lies along -y: `points @ level`."""


def scene_view(points: Array, camera: Camera, pitch: float = 0.0) -> SceneView:
    """Chooses the panel in which everyone stays.

    Args:
        points: (N, 3) places of joints over the clip, camera coordinates; with none there is no panel.
        camera: of the frames as they are drawn.
        pitch: radians by which the camera looks down; the panel is drawn level.
    """
    sine, cosine = np.sin(pitch), np.cos(pitch)
    level = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    if not len(points):
        return SceneView(camera, 0, 1.0, np.zeros(2), level)
    side = (points @ level)[:, [2, 1]]
    low, high = np.percentile(side, (2, 98), axis=0)
    low, high = low - 0.25, high + 0.25  # joints lie within the body; the crown and the feet beyond
    height, width = camera.height, camera.width
    margin = 0.06 * height
    scale = float((height - 2 * margin) / (high - low)[1])
    panel = int(np.clip((high - low)[0] * scale + 2 * margin, min(0.5 * height, width), min(height, width)))
    scale = min(scale, float((panel - 2 * margin) / (high - low)[0]))
    return SceneView(camera, panel - panel % 2, scale, (low + high) / 2, level)


def draw_frame(image: Image, people: Sequence[Body], faces: Array, view: SceneView) -> Image:
    """Draws people over a frame, with their numbers, and beside it from the side.

    Args:
        image: (H, W, 3) uint8 RGB; it is drawn on.
        people: of the frame, in any order.
        faces: (F, 3) indices, the same for everyone.
        view: of the clip.

    Returns:
        (H, W + panel, 3) uint8 RGB.
    """
    panel = backdrop(image.shape[0], view.width)
    if people:
        vertices, triangles = merge([one.placed for one in people], faces)
        tints = [PALETTE[one.track_id % len(PALETTE)] for one in people]
        colours = np.concatenate([np.broadcast_to(t, one.placed.shape) for t, one in zip(tints, people)])
        pinhole = Pinhole(view.camera.focal_length, view.camera.principal_point)
        drawn, opacity = view.camera.seen(vertices), opacity_of(np.concatenate([one.seen for one in people]))
        paint(image, drawn, triangles, shade(vertices, triangles, colours), pinhole, opacity, 1)
        if view.width:
            _draw_side(panel, [one.placed @ view.level for one in people], triangles, colours, view)
        tops = [highest(one.placed, view.camera) for one in people]
        draw_labels(image, place_labels(tops, [one.track_id for one in people], image.shape), tints)
    return np.concatenate([image, panel], axis=1) if view.width else image


def _draw_side(
    panel: Image, people: Sequence[Array], triangles: Array, colours: Array, view: SceneView
) -> None:
    """Draws level people from their right, so depth runs to the right; everyone has the same scale."""
    height, width = panel.shape[:2]
    turned = [np.stack([body[:, 2], body[:, 1], -body[:, 0]], axis=1) for body in people]
    for body in turned:
        low, high = body[:, 0].min(), body[:, 0].max()
        at = (
            ((low + high) / 2 - view.middle[0]) * view.scale + width / 2,
            (body[:, 1].max() - view.middle[1]) * view.scale + height / 2,
        )
        ground_shadow(panel, at, float(high - low) * view.scale)
    # Seen from far away, a scene has the same scale throughout.
    distance = 2000.0
    camera = Pinhole(view.scale * distance, (width / 2, height / 2))
    placed = np.concatenate(turned) - [*view.middle, 0] + [0, 0, distance]
    paint(panel, placed, triangles, shade(placed, triangles, colours), camera, 1.0, 1)
