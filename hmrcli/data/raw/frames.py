"""Frames of videos as image files, at the names and the quality that annotation files expect."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.tree import require_space
from hmrcli.files import whole_file

_BYTES_PER_PIXEL = 0.25
"""Of a JPEG at OpenCV's default quality (95), which the published converters use; as measured on camera pictures."""

# FFmpeg's lines about damaged videos; what they lack is counted.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def frame_count(video: Path) -> int:
    """Returns how many frames a video says it has; 0 where it cannot be read."""
    return max(0, int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)))


def have_frames(out: Output, rows: Annotations, missing: set[Path], why: str) -> NDArray[np.bool_]:
    """Tells which rows (N,) have an image that is not missing, and counts the others as dropped: why."""
    there = np.array([out.images / name not in missing for name in rows.image_path], bool)
    out.drop(why, (~there).sum())
    return there


def take_frames(out: Output, wanted: Mapping[Path, Mapping[int, Path]]) -> set[Path]:
    """Writes frames of videos as JPEG files, those that are not there, in threads.

    Args:
        out: knows how many threads, and is told what is done.
        wanted: for each video, where which frame goes; frames count from 0.

    Returns:
        The files that are not there in the end, because a video is too short or damaged.

    Raises:
        BadInput: the disk is too small for them.
    """
    todo = {
        video: missing
        for video, frames in wanted.items()
        if (missing := {number: path for number, path in frames.items() if not path.is_file()})
    }
    total = sum(len(frames) for frames in todo.values())
    if todo:
        size = sum(_frame_bytes(video) * len(frames) for video, frames in todo.items())
        require_space(out.images, int(size), f"{total:,} frames of videos")
        out.say(f"{out.raw_set.title}: {total:,} frames are taken from videos, about {size / 1e9:.1f} GB")
    stop, done, lock = threading.Event(), 0, threading.Lock()

    def count() -> bool:
        nonlocal done
        with lock:
            done += 1
            out.progress("taking frames from videos", done, total)
        return not stop.is_set()

    with ThreadPoolExecutor(out.workers) as pool:
        futures = [pool.submit(_take, video, frames, count) for video, frames in todo.items()]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {path for frames in todo.values() for path in frames.values() if not path.is_file()}


def _frame_bytes(video: Path) -> float:
    capture = cv2.VideoCapture(str(video))
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    return _BYTES_PER_PIXEL * width * height


def _take(video: Path, frames: Mapping[int, Path], count: Callable[[], bool]) -> None:
    capture = cv2.VideoCapture(str(video))
    for number in range(max(frames) + 1):
        if not capture.grab():
            return
        if number not in frames:
            continue
        read, image = capture.retrieve()
        if not read:
            return
        with whole_file(frames[number]) as temporary:
            temporary.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
        if not count():
            return
