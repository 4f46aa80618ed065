"""Distortion against OpenCV's own projection, and its inverse."""

import cv2
import numpy as np
import pytest

from hmrcli.camera.distortion import distort, limit, quarter_turns, undistort

LENSES = {
    "action camera": (-0.27, 0.083, 0.0004, -0.0007, -0.0115),
    "telephone": (0.12, -0.31, 0.001, 0.0005, 0.2),
    "pincushion": (0.25, 0.1, 0.0, 0.0),
    "folding": (-0.35, 0.0, 0.002, -0.003),
    "rational": (1.2, 0.3, 0.001, -0.002, 0.01, 1.5, 0.6, 0.05),
    "prism": (-0.2, 0.05, 0.001, -0.002, 0.0, 0.0, 0.0, 0.0, 0.01, -0.003, -0.02, 0.004),
}


def within(lens, count=400):
    """Points up to nine tenths of the lens's limit, and to 60 degrees."""
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0, 2 * np.pi, count), random.uniform(0, min(0.9 * limit(lens), 1.7), count)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_points_are_shown_where_opencv_shows_them(lens):
    points = within(lens)
    spatial = np.concatenate([points, np.ones((len(points), 1))], 1)
    expected, _ = cv2.projectPoints(spatial, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens))
    np.testing.assert_allclose(distort(points, lens), expected[:, 0], atol=1e-12)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_undistorting_undoes_it_also_far_outside_the_picture(lens):
    points = np.concatenate([within(lens), np.random.default_rng(1).uniform(-5, 5, (200, 2))])
    near = distort(undistort(distort(points, lens), lens), lens)
    np.testing.assert_allclose(near, distort(points, lens), atol=1e-8)
    np.testing.assert_allclose(undistort(distort(points[:400], lens), lens), points[:400], atol=1e-7)


def test_what_is_far_outside_is_not_folded_into_the_picture():
    lens = LENSES["folding"]
    radius = np.linspace(0.01, 20, 2000)
    shown = np.linalg.norm(distort(np.stack([radius, np.zeros_like(radius)], -1), lens), axis=1)
    assert limit(lens) == pytest.approx(np.sqrt(1 / (3 * 0.35)), abs=2e-3)
    assert (np.diff(shown) > 0).all()


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_a_lens_turns_with_its_picture(lens):
    points = within(lens)
    clockwise = np.array([[0.0, 1.0], [-1.0, 0.0]])  # (x, y) becomes (-y, x)
    np.testing.assert_allclose(
        distort(points @ clockwise, quarter_turns(lens, 1)), distort(points, lens) @ clockwise, atol=1e-12
    )
    assert quarter_turns(lens, 4) == pytest.approx(lens) and quarter_turns((), 1) == ()
