import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrcli.render import rasteriser
from hmrcli.render.rasteriser import NEAR, Camera, interpolate, merge, paint, rasterise

CAMERA = Camera(40.0, (15.3, 11.8))
WINDOW = (0, 0, 32, 24)


def cast_rays(vertices, faces, camera, window, samples=1):
    """Moeller & Trumbore 1997, every sample against every face: depth, face and (second depth - depth)."""
    left, top, width, height = window
    x = left + (np.arange(width * samples) + 0.5) / samples
    y = top + (np.arange(height * samples) + 0.5) / samples
    rays = np.stack(
        [
            *np.meshgrid(
                (x - camera.principal_point[0]) / camera.focal_length,
                (y - camera.principal_point[1]) / camera.focal_length,
            ),
            np.ones((len(y), len(x))),
        ],
        axis=-1,
    ).reshape(-1, 1, 3)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    side, other = b - a, c - a
    across = np.cross(rays, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / (across * side).sum(-1)
        u = (across * -a).sum(-1) * inverse
        q = np.cross(-a, side)
        v = (rays * q).sum(-1) * inverse
        z = (other * q).sum(-1) * inverse
    margin = np.minimum(np.minimum(u, v), 1 - u - v)
    hit = (margin >= 0) & (z >= NEAR)
    z = np.where(hit, z, np.inf)
    order = np.sort(np.concatenate([z, np.full((len(z), 1), np.inf)], axis=1), axis=1)
    face = np.where(hit.any(1), z.argmin(1), -1)
    with np.errstate(invalid="ignore"):
        clear = ((np.abs(margin) > 1e-7).all(1)) & ~(order[:, 1] - order[:, 0] < 1e-4)
    shape = (len(y), len(x))
    return order[:, 0].reshape(shape), face.reshape(shape), clear.reshape(shape)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    nearest=st.sampled_from([-1.0, 0.0, 0.5]),
    size=st.sampled_from([0.1, 1.0, 4.0]),
    samples=st.sampled_from([1, 2, 3]),
)
def test_agrees_with_ray_casting(seed, nearest, size, samples):
    """Small, large and partly hidden triangles, also through the image plane and behind the camera."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform((-2, -2, nearest), (2, 2, 5), (12, 1, 3))
    vertices = (centers + rng.normal(0, size, (12, 3, 3))).reshape(-1, 3)
    faces = np.arange(36).reshape(12, 3)
    raster = rasterise(vertices, faces, CAMERA, WINDOW, samples)
    depth, face, clear = cast_rays(vertices, faces, CAMERA, WINDOW, samples)
    clear &= np.abs(depth - NEAR) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(raster.face[clear], face[clear])
    np.testing.assert_allclose(raster.depth[clear], depth[clear], rtol=1e-5)


def test_interpolation_is_perspective_correct():
    """A plane through camera space: attributes that are its own coordinates come back as the ray's point."""
    rng = np.random.default_rng(0)
    vertices = np.array([[-3.0, -2, 1], [4, -1.5, 9], [0.5, 3, 2]])
    faces = np.array([[0, 1, 2]])
    slope = rng.normal(size=(3, 2))
    raster = rasterise(vertices, faces, CAMERA, WINDOW)
    out = interpolate(raster, np.hstack([vertices, vertices @ slope]), vertices, faces, CAMERA, WINDOW)
    seen = raster.face == 0
    assert seen.sum() > 100
    row, column = np.nonzero(seen)
    z = raster.depth[seen].astype(float)
    point = np.stack([(column + 0.5 - 15.3) / 40 * z, (row + 0.5 - 11.8) / 40 * z, z], axis=1)
    np.testing.assert_allclose(out[seen], np.hstack([point, point @ slope]), rtol=1e-4, atol=1e-4)
    assert not out[~seen].any()


def test_a_grid_has_neither_gaps_nor_overlaps_whatever_the_viewpoint():
    """Sample points fall on shared edges and corners here, where a gap would show first."""
    line = np.arange(9, dtype=float)
    x, y = np.meshgrid(line, line)
    vertices = np.stack([(x.ravel() - 4), (y.ravel() - 4), np.full(81, 2.0)], axis=1)
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 10], 1), np.stack([corner, corner + 10, corner + 9], 1)]
    )
    # Any corner may come first, so that no rule which favours one edge can hide a gap.
    turn = np.random.default_rng(0).integers(0, 3, len(faces))
    faces = np.take_along_axis(faces, (np.arange(3) + turn[:, None]) % 3, axis=1)
    for shift in (0.0, 0.25, 0.5, 1 / 3, 0.1):
        camera = Camera(8.0, (16 + shift, 16 + shift))
        raster = rasterise(vertices, faces, camera, (4, 4, 24, 24), 2)
        assert (raster.face >= 0).all()
        np.testing.assert_allclose(raster.depth, 2.0, rtol=1e-6)


def test_pixels_are_sampled_at_their_centers():
    """A square over [10, 14) x [6, 8) covers those pixels and no other."""
    z = 2.0
    corners = np.array([[10, 6], [14, 6], [14, 8], [10, 8]], float)
    vertices = np.column_stack([(corners - CAMERA.principal_point) / CAMERA.focal_length * z, np.full(4, z)])
    raster = rasterise(vertices, np.array([[0, 1, 2], [0, 2, 3]]), CAMERA, WINDOW)
    expected = np.zeros((24, 32), bool)
    expected[6:8, 10:14] = True
    np.testing.assert_array_equal(raster.face >= 0, expected)


def test_a_window_shows_the_same_as_the_whole():
    rng = np.random.default_rng(3)
    vertices, faces = rng.uniform((-1, -1, 1), (1, 1, 4), (30, 3)), np.arange(30).reshape(10, 3)
    whole = rasterise(vertices, faces, CAMERA, WINDOW)
    part = rasterise(vertices, faces, CAMERA, (7, 5, 11, 9))
    assert (part.face >= 0).any()
    np.testing.assert_array_equal(part.face, whole.face[5:14, 7:18])
    np.testing.assert_array_equal(part.depth, whole.depth[5:14, 7:18])


def ball(center, radius=0.5):
    """An octahedron, its faces counter-clockwise from outside (y up is -y here)."""
    directions = np.concatenate([np.eye(3), -np.eye(3)])
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    return np.asarray(center) + radius * directions, faces


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_people_hide_each_other_by_depth_whatever_their_order(order):
    front, faces = ball((0, 0, 2.0))
    back, _ = ball((0.3, 0, 3.0))
    bodies = [front, back]
    vertices, triangles = merge([bodies[k] for k in order], faces)
    raster = rasterise(vertices, triangles, CAMERA, WINDOW)
    owner = np.where(raster.face >= 0, np.take(order, raster.face // len(faces)), -1)
    alone = [rasterise(body, faces, CAMERA, WINDOW).face >= 0 for body in bodies]
    assert (alone[0] & alone[1]).any() and (alone[1] & ~alone[0]).any()
    np.testing.assert_array_equal(owner == 0, alone[0])
    np.testing.assert_array_equal(owner == 1, alone[1] & ~alone[0])


def test_nothing_is_seen_behind_the_camera_beside_the_image_or_edge_on():
    for center in ((0, 0, -3.0), (40.0, 0, 3.0), (0, -40.0, 3.0)):
        vertices, faces = ball(center)
        assert (rasterise(vertices, faces, CAMERA, WINDOW).face == -1).all()
    edge_on = np.array([[0.0, 0, 1], [0, 0, 2], [0, 0, 3]])
    assert (rasterise(edge_on, np.array([[0, 1, 2]]), CAMERA, WINDOW).face == -1).all()


def test_painting_in_tiles_equals_painting_at_once(monkeypatch):
    rng = np.random.default_rng(5)
    vertices, faces = rng.uniform((-2, -2, 1), (2, 2, 4), (60, 3)), np.arange(60).reshape(20, 3)
    colours, photo = rng.uniform(size=(60, 3)), rng.integers(0, 256, (24, 32, 3), np.uint8)
    pictures = []
    for side in (256, 7):
        monkeypatch.setattr(rasteriser, "TILE", side)
        pictures.append(photo.copy())
        paint(pictures[-1], vertices, faces, colours, CAMERA, 0.8)
    assert (pictures[0] != photo).any()
    np.testing.assert_array_equal(*pictures)


def test_paint_shows_the_colour_given_and_smooths_edges():
    vertices = np.array([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1]])
    colour = np.array([0.2, 0.5, 0.9])
    image = np.zeros((24, 32, 3), np.uint8)
    paint(image, vertices, np.array([[0, 1, 2]]), np.tile(colour, (3, 1)), Camera(10.0, (16.0, 12.0)), 1.0, 4)
    np.testing.assert_array_equal(image[5, 8], np.rint(colour * 255))
    along_edge = image[:, :, 2][(image[:, :, 2] > 0) & (image[:, :, 2] < 225)]
    assert len(along_edge) >= 10
    half = np.zeros((24, 32, 3), np.uint8)
    paint(half, vertices, np.array([[0, 1, 2]]), np.tile(colour, (3, 1)), Camera(10.0, (16.0, 12.0)), 0.5, 4)
    np.testing.assert_allclose(half[5, 8], colour * 255 / 2, atol=1)


def test_wrong_arrays_are_refused():
    vertices, faces = ball((0, 0, 2.0))
    for bad_vertices, bad_faces, camera, word in (
        (vertices[:, :2], faces, CAMERA, "vertices"),
        (vertices, faces[:, :2], CAMERA, "faces"),
        (vertices, faces + 1, CAMERA, "outside"),
        (vertices, faces - 1, CAMERA, "outside"),
        (vertices * np.nan, faces, CAMERA, "finite"),
        (vertices, faces, Camera(0.0, (0.0, 0.0)), "focal"),
    ):
        with pytest.raises(ValueError, match=word):
            rasterise(bad_vertices, bad_faces, camera, WINDOW)
    with pytest.raises(ValueError, match="colours"):
        paint(np.zeros((4, 4, 3), np.uint8), vertices, faces, vertices[:3], CAMERA)
    with pytest.raises(ValueError, match="attributes"):
        interpolate(rasterise(vertices, faces, CAMERA, WINDOW), vertices[:3], vertices, faces, CAMERA, WINDOW)
