"""Where a camera shows points, and cameras of the same picture at another size or turned."""

import cv2
import numpy as np
import pytest

from hmrcli.camera import Camera

LENS = Camera(900.0, (700.0, 310.0), 1280, 720, "given", 915.0, (-0.2, 0.05, 0.002, -0.003, 0.0))
POINTS = np.random.default_rng(0).uniform((-2, -1, 3), (2, 1, 6), (200, 3))


def test_a_pinhole_needs_no_lens():
    camera = Camera.of_focal_length(800, 640, 480)
    assert camera.is_pinhole and camera.seen(POINTS) is POINTS and camera.undistorted(POINTS) is POINTS
    np.testing.assert_allclose(camera.project(POINTS), 800 * POINTS[:, :2] / POINTS[:, 2:] + (320, 240))


def test_points_are_projected_as_opencv_projects_them():
    expected, _ = cv2.projectPoints(POINTS, np.zeros(3), np.zeros(3), LENS.matrix, np.array(LENS.distortion))
    np.testing.assert_allclose(LENS.project(POINTS), expected[:, 0], atol=1e-9)


def test_the_pinhole_shows_what_was_undistorted():
    flat = 900 * POINTS[:, :2] / POINTS[:, 2:] + LENS.principal_point
    np.testing.assert_allclose(LENS.undistorted(LENS.project(POINTS)), flat, atol=1e-5)
    seen = LENS.seen(POINTS)
    np.testing.assert_allclose(900 * seen[:, :2] / seen[:, 2:] + LENS.principal_point, LENS.project(POINTS))
    np.testing.assert_array_equal(seen[:, 2], POINTS[:, 2])


def test_a_camera_grows_with_its_picture():
    large = LENS.resized(2560, 1440)
    np.testing.assert_allclose(large.project(POINTS), 2 * LENS.project(POINTS))
    assert (large.width, large.height) == (2560, 1440)


@pytest.mark.parametrize("quarters", [1, 2, 3, 4])
def test_a_camera_turns_with_its_picture(quarters):
    pixels, points, camera = LENS.project(POINTS), POINTS, LENS
    for _ in range(quarters):
        pixels = np.stack([camera.height - pixels[:, 1], pixels[:, 0]], -1)
        points = np.stack([-points[:, 1], points[:, 0], points[:, 2]], -1)
        camera = camera.turned(1)
    np.testing.assert_allclose(LENS.turned(quarters).project(points), pixels, atol=1e-9)


def test_outputs_hold_k_and_distortion():
    document, arrays = LENS.as_json(), LENS.arrays()
    assert document["K"] == [[900, 0, 700], [0, 915, 310], [0, 0, 1]] == arrays["K"].tolist()
    assert document["focal_length"] == 900 and document["focal_source"] == "given"
    assert document["principal_point"] == [700, 310]
    assert tuple(document["distortion"]) == tuple(arrays["distortion"]) == LENS.distortion
    assert Camera.by_diagonal(300, 400).as_json()["distortion"] == []
    assert Camera.by_diagonal(300, 400).focal_length == 500
