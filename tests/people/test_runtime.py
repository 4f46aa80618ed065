"""Networks give the same numbers however many threads they have and whoever else runs them."""

from threading import Barrier

import cv2
import numpy as np
import pytest

from hmrcli.people import detect_people
from hmrcli.people.runtime import at_once, run

OUTPUTS = {"blazepose_heavy": ("landmarks", "world", "mask"), "movenet_multipose": ("center", "box_size")}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_several_images_are_read_as_one_by_one(name, threads, photo, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    images = np.stack([cv2.resize(photo[:, left : left + 600], (256, 256)) for left in (300, 600, 800)])
    together = run(name, images, OUTPUTS[name])
    alone = [run(name, image[None], OUTPUTS[name]) for image in images]
    for values, each in zip(together, zip(*alone)):
        assert np.array_equal(values, np.concatenate(each))
    none = run(name, images[:0], OUTPUTS[name])
    assert [(len(values), values.ndim) for values in none] == [(0, values.ndim) for values in together]


def test_items_go_beside_each_other_and_come_back_in_order(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    both = Barrier(2)

    def wait(item: int) -> int:
        both.wait(timeout=30)  # until the other one is here, too
        return 10 * item

    assert at_once(wait, [3, 1, 4, 1]) == [30, 10, 40, 10]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert at_once(lambda item: -item, [3, 1]) == [-3, -1]


def test_people_are_the_same_with_any_number_of_threads(photo, monkeypatch):
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(detect_people(small))
    one, other = found
    assert len(one) == 2
    for a, b in zip(one, other, strict=True):
        assert (a.score, a.turns) == (b.score, b.turns) and np.array_equal(a.keypoints, b.keypoints)
