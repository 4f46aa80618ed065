import numpy as np
import pytest

from hmrcli.people.movenet import decode

ROWS, COLUMNS = 40, 60


def scene(people: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Heads that show people of 20 × 10 cells around centers (row, column), keypoints at known steps."""
    heads = {
        "center": np.full((1, ROWS, COLUMNS), -9.0),
        "box_size": np.zeros((2, ROWS, COLUMNS)),
        "box_offset": np.zeros((2, ROWS, COLUMNS)),
        "keypoint_heatmap": np.full((17, ROWS, COLUMNS), -9.0),
        "keypoint_regression": np.zeros((34, ROWS, COLUMNS)),
        "keypoint_offset": np.zeros((34, ROWS, COLUMNS)),
    }
    for y, x in people:
        heads["center"][0, y, x] = 3
        heads["box_size"][:, y, x] = 20, 10
        heads["box_offset"][:, y, x] = 0.25, 0.5
        for k in range(17):
            heads["keypoint_regression"][2 * k : 2 * k + 2, y, x] = k - 8, 2
            heads["keypoint_heatmap"][k, y + k - 8, x + 2] = 3
            heads["keypoint_offset"][2 * k : 2 * k + 2, y + k - 8, x + 2] = 0.1, 0.2
    return heads


def test_one_person_is_read_where_the_heads_put_it():
    ((box, score, keypoints),) = decode(scene([(15, 20)]), 0.25, 10)
    likely = 1 / (1 + np.exp(-3))
    assert box == pytest.approx([20.5 - 5, 15.25 - 10, 20.5 + 5, 15.25 + 10])
    assert score == pytest.approx(likely**2)
    assert keypoints[:, 0] == pytest.approx(np.full(17, 22.2))
    assert keypoints[:, 1] == pytest.approx(np.arange(17) + 15 - 8 + 0.1)
    assert keypoints[:, 2] == pytest.approx(likely)


def test_more_people_than_six_are_read():
    centers = [(y, x) for y in (10, 28) for x in (5, 17, 29, 41, 53)]
    people = decode(scene(centers), 0.25, 50)
    middles = sorted((round(float(k[8, 1])), round(float(k[8, 0]) - 2)) for _, _, k in people)
    assert middles == centers
    assert len(decode(scene(centers), 0.25, 4)) == 4


def test_boxes_stay_inside_and_weak_people_are_left_out():
    heads = scene([(9, 2)])
    assert decode(heads, 0.25, 10)[0][0][0] == 0
    assert decode(heads, 0.95, 10) == []
