import numpy as np
import pytest

from hmrcli.people.similarity import keypoint_similarity, overlap


@pytest.mark.parametrize(
    ("box", "value"),
    [
        ((0, 0, 10, 10), 1),
        ((5, 0, 10, 10), 1 / 3),
        ((20, 0, 10, 10), 0),
        ((0, 0, 5, 10), 0.5),
        ((3, 3, 0, 0), 0),
    ],
)
def test_overlap(box, value):
    assert overlap(np.array([0, 0, 10, 10]), np.array(box)) == pytest.approx(value)


def test_similarity_falls_with_distance_and_grows_with_size():
    a = np.concatenate([np.random.default_rng(0).uniform(0, 100, (17, 2)), np.ones((17, 1))], 1)
    near, far = a + np.array([2, 0, 0]), a + np.array([20, 0, 0])
    assert keypoint_similarity(a, a, 1e4) == 1
    assert 1 > keypoint_similarity(a, near, 1e4) > keypoint_similarity(a, far, 1e4)
    assert keypoint_similarity(a, far, 1e6) > keypoint_similarity(a, far, 1e4)


def test_unseen_keypoints_do_not_count():
    a = np.ones((17, 3))
    b = a.copy()
    b[3:, :2] += 1000
    b[3:, 2] = 0.1
    assert keypoint_similarity(a, b, 100.0) == 1
    b[2, 2] = 0.1
    assert keypoint_similarity(a, b, 100.0) == 0
