import pickle

import numpy as np
import pytest

from hmrcli.scenes.occluders import LEAST, MOST, Occluder, draw_occluder, hidden_by, paint_occluder

SIZE = 128
BOX = (40.0, 20.0, 45.0, 90.0)


def drawn(count: int, size: int = SIZE, box: tuple[float, ...] = BOX) -> list[Occluder]:
    random = np.random.default_rng(1)
    return [draw_occluder(random, box, size) for _ in range(count)]


def test_the_mask_is_what_was_painted() -> None:
    for occluder in drawn(40):
        changed = np.zeros((SIZE, SIZE), bool)
        masks = []
        for grey in (0, 128, 255):
            image = np.full((SIZE, SIZE, 3), grey, np.uint8)
            masks.append(paint_occluder(image, occluder))
            changed |= (image != grey).any(-1)
        mask = masks[0]
        assert mask.shape == (SIZE, SIZE) and mask.dtype == bool and mask.any()
        np.testing.assert_array_equal(masks[1], mask)
        np.testing.assert_array_equal(changed, mask)
        rows, columns = np.indices(mask.shape).reshape(2, -1)
        hidden = hidden_by(occluder, np.column_stack([columns, rows]), SIZE)
        np.testing.assert_array_equal(hidden, mask.ravel())


def share(occluder: Occluder, box: tuple[float, ...]) -> float:
    """Of the box, as far as it lies in the picture, that is painted over; the soft edge counts, too."""
    left, top, wide, tall = (round(value) for value in box)
    mask = paint_occluder(np.zeros((SIZE, SIZE, 3), np.uint8), occluder)
    return float(mask[max(0, top) : top + tall, max(0, left) : left + wide].mean())


def test_covers_between_a_tenth_and_half_of_the_box() -> None:
    shares = [share(occluder, BOX) for occluder in drawn(150)]
    assert min(shares) >= LEAST - 0.02 and max(shares) <= MOST + 0.1
    assert np.ptp(shares) > 0.25


def test_is_the_same_from_the_same_generator_and_travels_to_other_processes() -> None:
    assert drawn(20) == drawn(20)
    assert pickle.loads(pickle.dumps(drawn(20))) == drawn(20)
    first, second = (np.zeros((SIZE, SIZE, 3), np.uint8) for _ in range(2))
    for occluder in drawn(20):
        paint_occluder(first, occluder)
        paint_occluder(second, occluder)
    np.testing.assert_array_equal(first, second)
    assert len({occluder.kind for occluder in drawn(150)}) == 4


def test_looks_alike_at_every_size() -> None:
    for occluder in drawn(20):
        small = paint_occluder(np.zeros((64, 64, 3), np.uint8), occluder).mean()
        large = paint_occluder(np.zeros((256, 256, 3), np.uint8), occluder).mean()
        assert abs(small - large) < 0.05


def test_a_box_that_leaves_the_picture_is_hidden_in_the_picture() -> None:
    box = (-30.0, -10.0, 80.0, 200.0)
    for occluder in drawn(30, box=box):
        assert LEAST - 0.02 <= share(occluder, box) <= MOST + 0.1


def test_a_box_outside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="outside a picture of 128 pixels"):
        draw_occluder(np.random.default_rng(0), (200, 0, 50, 50), SIZE)
