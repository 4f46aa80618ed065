import subprocess
import sys

import numpy as np
import pytest

from hmrcli.camera import Camera
from hmrcli.render.overlay import PALETTE, overlay
from hmrcli.render.shading import shade, vertex_normals

from .test_rasteriser import ball

PHOTO = np.random.default_rng(0).integers(90, 110, (60, 80, 3), np.uint8)
FACES = ball((0, 0, 0))[1]


def draw(people, image=PHOTO, **options):
    height, width = image.shape[:2]
    return overlay(image, people, FACES, Camera.of_focal_length(1.2 * width, width, height), **options)


def hue(pixel):
    """Which colour of the palette a shaded pixel is closest to, by direction."""
    linear, palette = (pixel / 255.0) ** 2.2, PALETTE**2.2
    return int(np.argmax(palette @ linear / np.linalg.norm(palette, axis=1)))


def test_a_person_is_drawn_where_it_is_and_nowhere_else():
    body = ball((0, 0, 4.0))[0]
    picture = draw([body], side_view=False)
    changed = (picture != PHOTO).any(axis=2)
    row, column = np.nonzero(changed)
    reach = 96 * 0.5 / 4
    assert (column.min() + 0.5 > 40 - reach - 1) and (column.max() + 0.5 < 40 + reach + 1)
    assert (row.min() + 0.5 > 30 - reach - 1) and (row.max() + 0.5 < 30 + reach + 1)
    assert changed[28:32, 38:42].all() and hue(picture[28, 38]) == 0


def test_photo_is_kept_when_nobody_is_there_and_never_changed():
    before = PHOTO.copy()
    np.testing.assert_array_equal(draw([]), PHOTO)
    draw([ball((0, 0, 3.0))[0]])
    np.testing.assert_array_equal(PHOTO, before)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_person_is_in_front(order):
    bodies = [ball((0, 0, 3.0), 0.3)[0], ball((0, 0, 5.0), 1.0)[0]]
    picture = draw([bodies[k] for k in order], side_view=False)
    assert hue(picture[29, 38]) == order.index(0)
    assert hue(picture[26, 26]) == order.index(1)


def test_side_view_orders_people_by_depth_at_one_scale():
    """Two equal bodies, the far one higher: apart in the panel, equally large, the far one on the right."""
    bodies = [ball((0.7, 0, 4.0))[0], ball((-0.7, -0.6, 7.0))[0]]
    panel = draw(bodies)[:, 80:]
    assert panel.shape[0] == 60 and 30 <= panel.shape[1] <= 80
    saturation = panel.max(axis=2).astype(int) - panel.min(axis=2)
    near, far = (np.argwhere((saturation > 12) & (np.apply_along_axis(hue, 2, panel) == k)) for k in (0, 1))
    assert near[:, 1].max() < far[:, 1].min()
    assert far[:, 0].mean() < near[:, 0].mean()
    np.testing.assert_allclose(np.ptp(near, axis=0), np.ptp(far, axis=0), atol=2)


def test_a_large_photo_is_reduced_with_its_camera():
    large = np.repeat(np.repeat(PHOTO, 4, axis=0), 4, axis=1)
    people = [ball((0.2, 0.1, 4.0))[0]]
    small = draw(people, large, max_side=80)
    assert small.shape == draw(people).shape
    assert np.abs(small.astype(int) - draw(people)).mean() < 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_any_shape_of_photo_is_drawn(shape):
    photo = np.zeros((*shape, 3), np.uint8)
    picture = draw([ball((0, 0, 3.0))[0]], photo)
    assert picture.shape[0] == shape[0] and picture.shape[1] > shape[1] and picture.dtype == np.uint8


def test_partly_behind_the_camera_or_out_of_sight_is_drawn_without_harm():
    for center in ((0, 0, 0.1), (0, 0, -4.0), (50.0, 0, 3.0)):
        assert draw([ball(center)[0]]).shape[0] == 60


def test_normals_of_a_ball_point_outwards_and_light_comes_from_above():
    body, faces = ball((0, 0, 3.0))
    np.testing.assert_allclose(vertex_normals(body, faces), (body - (0, 0, 3.0)) / 0.5, atol=1e-12)
    lit = shade(body, faces, np.full(3, 0.6))
    assert lit.min() >= 0 and lit.max() <= 1
    top, bottom = body[:, 1].argmin(), body[:, 1].argmax()
    assert (lit[top] > lit[bottom] + 0.2).all()


def test_importing_the_room_does_not_load_numba():
    code = "import sys, hmrcli.render.overlay, hmrcli.render.mesh_files; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_side_view_is_level_however_far_the_camera_looks_down():
    """Two bodies one above the other in the room: in the panel too, if the camera's pitch is known."""
    pitch = 0.3
    up = np.array([0, -np.cos(pitch), -np.sin(pitch)])
    bodies = [ball(tuple(np.array([0, 0, 5.0]) + height * up), 0.3)[0] for height in (-0.8, 0.8)]

    def columns(**options):
        panel = draw(bodies, **options)[:30, 80:], draw(bodies, **options)[30:, 80:]
        return [np.nonzero(np.ptp(half.astype(int), axis=2) > 12)[1].mean() for half in panel]

    level, tilted = columns(pitch=pitch), columns()
    assert abs(level[0] - level[1]) < 1 < 5 < abs(tilted[0] - tilted[1])


def test_what_the_photo_does_not_show_of_a_body_is_drawn_faintly_over_it():
    people = [ball((x, 0, 4.0))[0] for x in (-0.8, 0.8)]
    full = draw(people, side_view=False).astype(int)
    half = draw(people, seen=[np.full(len(people[0]), seen) for seen in (1.0, 0.0)], side_view=False)
    np.testing.assert_array_equal(half[:, :40], full[:, :40])
    left = np.abs(half.astype(int) - PHOTO)[:, 40:].sum() / np.abs(full - PHOTO)[:, 40:].sum()
    assert left == pytest.approx(0.35, abs=0.03)
