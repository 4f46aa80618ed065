"""Frames of a clip drawn on: the panel keeps its place, and what is hidden is faint."""

import numpy as np
import pytest
import trimesh

from hmrcli.camera import Camera
from hmrcli.render.overlay import PALETTE
from hmrcli.render.scene_view import Body, draw_frame, scene_view

BALL = trimesh.creation.icosphere(2, 0.4)
CAMERA = Camera.by_diagonal(200, 120)


def drawn(place: tuple[float, float, float], seen: float = 1.0) -> np.ndarray:
    view = scene_view(np.array([[-1.0, -1, 4], [1, 1, 8]]), CAMERA)
    vertices = np.asarray(BALL.vertices) + place
    body = Body(3, vertices, np.full(len(vertices), seen))
    return draw_frame(np.full((120, 200, 3), 128, np.uint8), [body], np.asarray(BALL.faces), view)


def middle(changed: np.ndarray) -> np.ndarray:
    return np.argwhere(changed).mean(0)


def test_the_panel_has_one_size_and_shows_depth_to_the_right() -> None:
    near, far = drawn((0, 0, 4.5)), drawn((0, 0, 7.5))
    assert near.shape == far.shape and near.shape[1] > 200
    tint = PALETTE[3]
    places = []
    for picture in (near, far):
        panel = picture[:, 200:].astype(float)
        ball = (np.abs(panel / panel.max(2, keepdims=True) - tint / tint.max()) < 0.06).all(2) & (
            np.ptp(panel, 2) > 30
        )
        places.append((middle(ball), ball.sum()))
    (at, size), (farther, size_far) = places
    assert farther[1] > at[1] + 20 and farther[0] == pytest.approx(at[0], abs=1.5)
    assert size_far == pytest.approx(size, rel=0.1)  # one scale throughout


def test_bodies_are_drawn_where_the_camera_sees_them() -> None:
    picture = drawn((0.5, 0.3, 5.0))[:, :200].astype(int)
    changed = np.abs(picture - 128).max(2) > 12
    changed[: int(CAMERA.project(np.array([0.5, -0.1, 5.0]))[1])] = False  # its number stands above it
    assert np.allclose(middle(changed)[::-1], CAMERA.project(np.array([0.5, 0.3, 5.0])), atol=2)


def test_what_is_hidden_is_drawn_faintly() -> None:
    at = CAMERA.project(np.array([0, 0, 5.0])).astype(int)
    whole, faint = (drawn((0, 0, 5.0), seen)[at[1], at[0]].astype(int) for seen in (1.0, 0.0))
    assert np.abs(faint - 128).max() < 0.5 * np.abs(whole - 128).max()


def test_without_people_the_frame_is_left_as_it_is() -> None:
    view = scene_view(np.empty((0, 3)), CAMERA)
    frame = np.full((120, 200, 3), 77, np.uint8)
    assert (draw_frame(frame, [], np.asarray(BALL.faces), view) == 77).all()
