"""Numbers over people: within the picture, apart from each other, readable at any size."""

import cv2
import numpy as np
import pytest

from hmrcli.camera import Camera
from hmrcli.render.numbers import draw_labels, place_labels
from hmrcli.render.overlay import PALETTE, overlay

from .test_rasteriser import ball


@pytest.mark.parametrize("shape", [(64, 48), (480, 640), (2000, 900)])
def test_labels_lie_in_the_picture_and_not_over_each_other(shape):
    height, width = shape
    tops = [
        np.array([x, y]) for x in (0.0, width / 2, width / 2 + 1, width - 1.0) for y in (0.0, height - 1.0)
    ]
    tops = tops[:: 1 if height > 100 else 3]  # as many as there is room for
    labels = place_labels(tops, range(len(tops)), shape)
    sheet = np.zeros(shape, int)
    for label in labels:
        assert 0 <= label.left <= label.left + label.width <= width
        assert 0 <= label.top <= label.top + label.height <= height
        sheet[label.top : label.top + label.height, label.left : label.left + label.width] += 1
    assert sheet.max() == 1


@pytest.mark.parametrize("size", [96, 700, 3000])
def test_a_number_is_written_over_its_person_and_can_be_read(size):
    photo = np.full((size, size, 3), 128, np.uint8)
    body, faces = ball((0.4, 0.2, 4.0), 0.3)
    camera = Camera.of_focal_length(1.2 * size, size, size)
    pictures = [
        overlay(photo, [body], faces, camera, numbers=number, side_view=False) for number in ([0], [7], None)
    ]
    other = (pictures[0] != pictures[1]).any(2)
    row, column = np.nonzero(other)
    figure = np.ptp(row) + 1
    assert figure >= 7 and figure >= 0.012 * len(pictures[0])
    plate = np.nonzero((pictures[0] != pictures[2]).any(2))
    top = len(pictures[0]) * (0.5 + 1.2 * (0.2 - 0.3) / 4.0)
    assert plate[0].max() <= top + 1 and plate[0].min() > top - 5 * max(figure, 10)
    assert abs(plate[1].mean() / len(pictures[0]) - 0.62) < 0.03
    ink = pictures[0][row.min() : row.max() + 1, column.min() : column.max() + 1].min(2)
    assert ink.min() < 60 < 120 < ink.max()  # dark on light


def test_figures_differ_from_each_other_at_the_least_size():
    drawn = set()
    for number in range(10):
        image = np.zeros((64, 64, 3), np.uint8)
        draw_labels(image, place_labels([np.array([32.0, 40.0])], [number], image.shape), [PALETTE[0]])
        drawn.add(cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).tobytes())
    assert len(drawn) == 10


@pytest.mark.parametrize("x", [100.0, 195.0])
def test_a_number_without_room_above_stands_beside_the_head(x):
    (label,) = place_labels([np.array([x, 3.0])], [4], (150, 200))
    assert label.top < 20 and not label.left - 2 < x < label.left + label.width + 2
    assert abs(label.left + label.width / 2 - x) < 2.5 * label.width


def test_who_is_not_seen_has_no_number():
    photo = np.full((90, 90, 3), 128, np.uint8)
    body, faces = ball((40.0, 0, 4.0), 0.3)
    assert place_labels([None], [0], (90, 90)) == [None]
    camera = Camera.of_focal_length(100, 90, 90)
    assert (overlay(photo, [body], faces, camera, numbers=[0], side_view=False) == photo).all()
