"""Cameras that stand or move before a painted wall, with somebody in front of it."""

import cv2
import numpy as np
import pytest

from hmrcli.motion.stillness import CameraWatch

SIZE = (360, 640)


def wall(seed: int = 0) -> np.ndarray:
    """A wall larger than the picture, with patches of every size."""
    noise = np.random.default_rng(seed).uniform(0, 255, (90, 140, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (1120, 720), interpolation=cv2.INTER_CUBIC))


def film(shifts: list[tuple[int, int]], walker: bool = True) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures of the wall from places, somebody walking through, and their boxes."""
    frames, boxes = [], []
    clothes = wall(1)
    for i, (x, y) in enumerate(shifts):
        view = wall()[y : y + SIZE[0], x : x + SIZE[1]].copy()
        left = 40 + 30 * i
        if walker:
            view[60:340, left : left + 130] = clothes[60:340, 7 * i : 7 * i + 130]
        frames.append(view)
        boxes.append(np.array([[left, 60, 130, 280]] if walker else np.empty((0, 4)), float))
    return frames, boxes


def camera_moves(frames: list[np.ndarray], boxes: list[np.ndarray]) -> bool:
    watch = CameraWatch()
    for image, people in zip(frames, boxes):
        watch.see(image, people)
    return watch.moves


def test_a_still_camera_is_still_whoever_walks_through() -> None:
    assert not camera_moves(*film([(200, 100)] * 12))


@pytest.mark.parametrize("step", [4, 40])
def test_a_camera_that_pans_moves(step: int) -> None:
    assert camera_moves(*film([(100 + step * i, 100) for i in range(10)]))


def test_a_camera_in_a_hand_moves() -> None:
    sway = (8 * np.sin(np.arange(20))).astype(int)
    assert camera_moves(*film([(200 + int(s), 100) for s in sway], walker=False))


def test_noise_of_a_sensor_is_no_movement() -> None:
    frames, boxes = film([(200, 100)] * 8)
    noise = np.random.default_rng(0)
    noisy = [np.clip(f + noise.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in frames]
    assert not camera_moves(noisy, boxes)


def test_a_blank_wall_tells_nothing() -> None:
    watch = CameraWatch()
    for _ in range(4):
        watch.see(np.full((*SIZE, 3), 128, np.uint8), np.empty((0, 4)))
    assert watch.compared == 0
    assert not watch.moves
