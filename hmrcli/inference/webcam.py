"""A camera at this computer: what it sees is recorded, and people are followed meanwhile.

OpenCV reads cameras: it finds them by number on every system.
"""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from hmrcli.errors import BadInput
from hmrcli.inference.clip_state import Seen
from hmrcli.inference.interruption import interrupted_between
from hmrcli.inference.video import USUAL_FPS, Frame, Progress
from hmrcli.people.tracking import Tracker
from hmrcli.render.movie import movie


def device(number: int) -> Any:
    """Opens a camera by its number: OpenCV's `VideoCapture`."""
    import cv2

    return cv2.VideoCapture(number)


def camera_frames(number: int) -> Iterator[Frame]:
    """Reads frames as they come; those that come while nobody asks are lost.

    Raises:
        BadInput: there is no such camera, or it gives no picture.
    """
    source = device(number)
    try:
        if not source.isOpened():
            why = "is it connected, and no other program using it?"
            raise BadInput(f"--camera: {number} cannot be opened; {why}")
        began, count = monotonic(), 0
        while True:
            there, picture = source.read()
            if not there:
                if not count:
                    raise BadInput(f"--camera: {number} gives no picture; is another program using it?")
                return
            time = monotonic() - began if count else 0.0
            yield Frame(count, time, np.ascontiguousarray(picture[..., ::-1]))
            count += 1
    finally:
        source.release()


def record(number: int, path: Path, max_people: int | None, progress: Progress) -> Seen:
    """Follows people before a camera until Ctrl-C, and records the frames (.mp4).

    Returns:
        what was seen; numbers of frames are those of the recording.
    """
    seen = Seen(Tracker(max_people), [], [])
    with movie(path, USUAL_FPS) as add, interrupted_between() as check:
        try:
            for frame in camera_frames(number):
                add(frame.pixels, frame.time)
                seen.tracker.see(frame.pixels, frame.number, frame.time)
                seen.times.append(frame.time)
                seen.numbers.append(frame.number)
                progress("people", len(seen.numbers), None)
                check()
        except KeyboardInterrupt:
            pass
    return seen
