import numpy as np
import pytest

from hmrcli.people.crops import (
    crop_from_keypoints,
    crops_from_boxes,
    mask_to_image,
    portrait_crop,
    to_image,
    turn_of,
    upright_crops,
    warp_crops,
)

MIDDLE = np.array([[[127.5, 127.5]]])


def test_a_crop_shows_up_upwards_around_its_center():
    up = np.array([[0.6, -0.8]])
    crop = upright_crops(np.array([[300.0, 200.0]]), up, np.array([64.0]))
    assert to_image(MIDDLE, crop) == pytest.approx(np.array([[[300, 200]]]))
    top = to_image(np.array([[[127.5, -0.5]]]), crop)[0, 0]
    assert top == pytest.approx(np.array([300, 200]) + 64 * up[0])
    right = to_image(np.array([[[255.5, 127.5]]]), crop)[0, 0]
    assert right == pytest.approx(np.array([300, 200]) + 64 * np.array([0.8, 0.6]))  # never mirrored


def test_turn_is_a_rotation():
    turn = turn_of(upright_crops(np.zeros((1, 2)), np.array([[1.0, 1.0]]), np.array([33.0])))[0]
    assert turn @ turn.T == pytest.approx(np.eye(2))
    assert np.linalg.det(turn) == pytest.approx(1)


def test_box_crop_holds_the_box():
    crop = crops_from_boxes(np.array([[10, 20, 100, 300]]))
    assert to_image(MIDDLE, crop)[0, 0] == pytest.approx([60, 170])
    assert crop[0, 0, 0] * 256 == pytest.approx(360)


def test_keypoint_crop_turns_with_the_spine_and_falls_back_to_the_box():
    box, keypoints = np.array([0.0, 0, 200, 100]), np.zeros((17, 3))
    keypoints[[5, 6]] = 150, 50, 0.9  # shoulders
    keypoints[[11, 12]] = 90, 50, 0.9  # hips
    crop = crop_from_keypoints(box, keypoints)
    assert turn_of(crop[None])[0] @ [0, -1] == pytest.approx([1, 0])
    assert to_image(MIDDLE, crop[None])[0, 0] == pytest.approx([90, 50])
    keypoints[:, 2] = 0.1
    assert crop_from_keypoints(box, keypoints) == pytest.approx(crops_from_boxes(box[None])[0])


def test_warp_takes_pixels_from_where_the_affine_says_and_pads_with_black():
    image = np.random.default_rng(0).integers(1, 255, (300, 300, 3)).astype(np.uint8)
    shift = np.array([[[1.0, 0, -20], [0, 1, 30]]])
    crop = warp_crops(image, shift)[0]
    assert np.array_equal(crop[:, 20:], image[30:286, :236])
    assert not crop[:, :20].any()


def test_mask_lands_where_the_crop_was():
    mask = np.zeros((256, 256), np.float32)
    mask[100:150, 40:80] = 1
    full = mask_to_image(mask, np.array([[2.0, 0, 10], [0, 2, 20]]), 600, 500)
    ys, xs = np.nonzero(full > 0.5)
    assert (xs.min(), xs.max()) == pytest.approx((90, 168), abs=2)
    assert (ys.min(), ys.max()) == pytest.approx((220, 318), abs=2)


def test_a_portrait_gets_the_crop_of_the_whole_person():
    keypoints = np.zeros((17, 3))
    keypoints[[1, 2], :2], keypoints[[5, 6], :2] = [[110, 100], [90, 100]], [[140, 150], [60, 150]]
    keypoints[[1, 2, 5, 6], 2] = 0.9
    crop = crop_from_keypoints(np.array([50.0, 50, 100, 120]), keypoints)
    middle = to_image(MIDDLE, crop[None])[0, 0]
    assert np.allclose(middle, [100, 150 + 2.3 * 50]) and np.isclose(crop[0, 0] * 256, 2 * 5.2 * 50)
    keypoints[[11, 12, 15, 16]] = [[120, 300, 0.9], [80, 300, 0.9], [120, 500, 0.9], [80, 500, 0.9]]
    whole = crop_from_keypoints(np.array([50.0, 50, 100, 460]), keypoints)
    assert np.allclose(to_image(MIDDLE, whole[None])[0, 0], [100, 300])


def test_someone_hidden_gets_the_crop_of_the_whole_person_by_head_and_shoulders_alone():
    keypoints = np.random.default_rng(0).uniform(0, 500, (17, 3))
    keypoints[[1, 2], :2], keypoints[[5, 6], :2] = [[110, 100], [90, 100]], [[140, 150], [60, 150]]
    crop = portrait_crop(keypoints)
    assert np.allclose(
        to_image(MIDDLE, crop[None])[0, 0], [100, 150 + 2.3 * 56]
    )  # 0.7 of the shoulders' width
    keypoints[7:] = 0
    assert (portrait_crop(keypoints) == crop).all()
    # Somebody who lies with the head to the right, seen from the side: the shoulders are in one place.
    keypoints[[1, 2], :2], keypoints[[5, 6], :2] = [[300, 100], [300, 100]], [[250, 100], [250, 100]]
    assert np.allclose(to_image(MIDDLE, portrait_crop(keypoints)[None])[0, 0], [250 - 2.3 * 50, 100])
    assert np.isfinite(portrait_crop(np.zeros((17, 3)))).all()
