import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmrcli.data.crop import (
    crop_affine,
    crop_image,
    normalise,
    square_around,
    transform_points,
)
from hmrcli.errors import BadInput

coordinates = st.floats(-500, 2500)
sides = st.floats(20, 2000)
angles = st.floats(-np.pi, np.pi)


def smooth_image(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def test_square_has_the_longer_side_and_the_same_middle():
    center, side = square_around([[10, 20, 100, 300], [0, 0, 50, 40]], scale=1.25)
    assert center == pytest.approx(np.array([[60, 170], [25, 20]]))
    assert side == pytest.approx([375, 62.5])


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [0, 0, -3, 5], [0, np.nan, 3, 5], [np.inf, 0, 3, 5]])
def test_boxes_without_a_size_are_refused(bbox):
    with pytest.raises(BadInput, match="bbox_xywh: expected finite"):
        square_around([[10, 20, 100, 300], bbox])


@given(coordinates, coordinates, sides, angles, st.booleans(), st.sampled_from([56, 224]))
def test_inverse_leads_back_to_the_image(x, y, side, rotation, mirror, size):
    affine = crop_affine([x, y], side, rotation, size, mirror)
    assert transform_points(np.array([[x, y]]), affine) == pytest.approx(np.full((1, 2), size / 2))
    corners = np.array([[0.0, 0], [size, 0], [0, size], [size, size]])
    there = transform_points(corners, cv2.invertAffineTransform(affine))
    assert np.linalg.norm(there[1] - there[0]) == pytest.approx(side)
    assert np.linalg.norm(there[2] - there[0]) == pytest.approx(side)
    assert transform_points(there, affine) == pytest.approx(corners, abs=1e-6)


@given(coordinates, coordinates, sides, angles)
def test_mirroring_is_that_of_the_full_image(x, y, side, rotation):
    width, points = 640, np.random.default_rng(1).uniform(0, 480, (5, 2))
    mirrored = points * [-1, 1] + [width - 1, 0]
    expected = transform_points(mirrored, crop_affine([width - 1 - x, y], side, rotation))
    assert transform_points(points, crop_affine([x, y], side, rotation, mirror=True)) == pytest.approx(
        expected
    )


def test_a_turned_square_shows_its_content_turned_back():
    right_of_center = np.array([[110.0, 50.0]])
    moved = transform_points(right_of_center, crop_affine([100, 50], 224, np.pi / 2))
    assert moved == pytest.approx(np.array([[112, 102]]))  # up in the crop


def test_points_keep_confidence_and_type():
    points = np.array([[5, 6, 0.3], [7, 8, 0]], np.float32)
    moved = transform_points(points, crop_affine([0, 0], 112))
    assert moved.dtype == np.float32
    assert moved == pytest.approx(np.array([[122, 124, 0.3], [126, 128, 0]], np.float32))


def test_many_affines_at_once_equal_one_by_one():
    rng = np.random.default_rng(2)
    center, side, turn = rng.uniform(0, 500, (7, 2)), rng.uniform(50, 300, 7), rng.uniform(-1, 1, 7)
    mirror, points = rng.random(7) < 0.5, rng.uniform(0, 500, (7, 4, 2))
    affines = crop_affine(center, side, turn, 224, mirror)
    moved = transform_points(points, affines)
    for i in range(7):
        one = crop_affine(center[i], side[i], turn[i], 224, mirror[i])
        assert affines[i] == pytest.approx(one)
        assert moved[i] == pytest.approx(transform_points(points[i], one))


@given(st.integers(-60, 200), st.integers(-60, 200))
def test_a_crop_at_its_own_size_copies_pixels_and_pads_with_black(left, top):
    image = smooth_image(160, 200) // 2 + 1
    crop = crop_image(image, crop_affine([left + 28, top + 28], 56, size=56), 56)
    padded = np.pad(image, ((100, 100), (100, 100), (0, 0)))
    assert np.array_equal(crop, padded[top + 100 : top + 156, left + 100 : left + 156])


def test_halving_takes_every_second_pixel():
    image = smooth_image(160, 200)
    crop = crop_image(image, crop_affine([100, 80], 112, size=56), 56)
    assert np.array_equal(crop, image[24:136:2, 44:156:2])


def test_one_warp_equals_mirroring_and_then_cropping():
    image = smooth_image(160, 200)
    once = crop_image(image, crop_affine([90, 70], 100, 0.4, 56, mirror=True), 56)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    twice = crop_image(mirrored, crop_affine([109, 70], 100, 0.4, 56), 56)
    assert np.abs(once.astype(int) - twice).max() <= 1


def test_normalise_takes_bytes_of_any_batch_shape():
    crops = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (2, 3, 8, 9, 3)).astype(np.uint8))
    before = crops.clone()
    normalised = normalise(crops)
    assert normalised.shape == (2, 3, 3, 8, 9) and normalised.dtype == torch.float32
    assert normalised.is_contiguous() and torch.equal(crops, before)
    # ImageNet's statistics as they are given for pixels in [0, 1].
    imagenet = (crops / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(normalised, imagenet.movedim(-1, -3), atol=1e-5, rtol=1e-5)
    assert torch.equal(normalise(crops[1, 2]), normalised[1, 2])
