"""Frames of a clip with people drawn over them, and beside them the same people from the side.

Unlike a photo's overlay, the panel keeps its place and scale from frame to frame.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.render.overlay import PALETTE, backdrop, draw_people, ground_shadow, levelling
from hmrcli.render.rasteriser import Camera as Pinhole
from hmrcli.render.rasteriser import merge, paint
from hmrcli.render.shading import shade

Image = NDArray[np.uint8]
Array = NDArray[Any]


class Body(NamedTuple):
    """A person in one frame, (V, 3) metres in camera coordinates, and how far it is seen, (V,) in [0, 1].

    The number is drawn, and is the colour's, as in exports.
    """

    track_id: int
    placed: Array
    seen: Array


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
    """(3, 3), see `levelling`."""


def scene_view(points: Array, camera: Camera, pitch: float = 0.0) -> SceneView:
    """Chooses the panel in which everyone stays, by places (N, 3) of joints over the clip; none without any.

    It is drawn level: `pitch` is by how many radians the camera, of the frames as they are drawn, looks down.
    """
    level = levelling(pitch)
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
    """Draws people over a frame, with their numbers, and beside it from the side: (H, W + panel, 3) RGB.

    The image (H, W, 3) uint8 RGB is drawn on; faces (F, 3) are the same for everyone.
    """
    panel = backdrop(image.shape[0], view.width)
    if people:
        numbers, placed, seen = zip(*people)
        mesh, tints = merge(placed, faces), [PALETTE[number % len(PALETTE)] for number in numbers]
        colours = draw_people(image, placed, mesh, view.camera, tints, numbers, seen, samples=1)
        if view.width:
            _draw_side(panel, [body @ view.level for body in placed], mesh[1], colours, view)
    return np.concatenate([image, panel], axis=1) if view.width else image


def _draw_side(
    panel: Image, people: Sequence[Array], triangles: Array, colours: Array, view: SceneView
) -> None:
    """Draws level people from their right, so depth runs to the right; everyone has the same scale."""
    height, width = panel.shape[:2]
    turned = [np.stack([body[:, 2], body[:, 1], -body[:, 0]], axis=1) for body in people]
    for body in turned:
        low, high = body[:, 0].min(), body[:, 0].max()
        lowest = np.array([(low + high) / 2, body[:, 1].max()])
        at = (lowest - view.middle) * view.scale + (width / 2, height / 2)
        ground_shadow(panel, at, float(high - low) * view.scale)
    # Seen from far away, a scene has the same scale throughout.
    distance = 2000.0
    camera = Pinhole(view.scale * distance, (width / 2, height / 2))
    placed = np.concatenate(turned) - [*view.middle, 0] + [0, 0, distance]
    paint(panel, placed, triangles, shade(placed, triangles, colours), camera, 1.0, 1)
