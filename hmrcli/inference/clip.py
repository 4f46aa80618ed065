"""A clip in, motions out: people are followed frame by frame, then each one's motion is fitted.

Of a frame nothing is kept but what a `Track` needs, so that memory hardly grows with the clip. What was seen is
written beside the results every half minute and when the user interrupts; the same command goes on from there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from hmrcli.files import sha256
from hmrcli.fitting.motion import Smooth
from hmrcli.inference.clip_state import Seen, read_state, write_state
from hmrcli.inference.interruption import interrupted_between
from hmrcli.inference.photo import Boxes, checked_boxes
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.video import Clip, Progress
from hmrcli.motion import Camera, Motion, Track, by_frame
from hmrcli.motion.stillness import CameraWatch
from hmrcli.motion.world import World, to_world
from hmrcli.people.sightings import joined
from hmrcli.people.tracking import Tracker

KEPT_EVERY = 30.0
"""Seconds between writings of what was seen."""
WATCHED_EVERY, WATCHED_SIDE = 0.2, 640
"""Seconds between frames by which the camera is watched, and pixels of their longer side."""


class Recovered(NamedTuple):
    """Motions of the people of a clip, in the order in which they were first seen."""

    motions: list[Motion]
    times: list[float]
    """Seconds of each frame that was read."""
    numbers: list[int]
    """Of these frames."""
    world: World | None = None
    """The same people in a world with a floor, where that was asked for."""


def see_clip(
    clip: Clip,
    max_people: int | None,
    progress: Progress,
    state: Path | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    boxes: Boxes | None = None,
) -> Seen:
    """Follows the people of a clip through its frames, no more than `max_people` at once.

    Args:
        state: file for what was seen so far, of these `settings`; None for none.
        resume: True to go on from it.
        boxes: x, y, width, height in pixels of people in the first frame, who alone are followed.

    Raises:
        UsageError: a box does not suit the clip, or nobody is recognised in it.
        KeyboardInterrupt: the user interrupts, and what was seen is written.
    """
    chosen = None if boxes is None else checked_boxes(boxes, clip.width, clip.height)
    before = read_state(state, settings or {}, max_people, chosen) if state and resume else None
    seen = before or Seen(Tracker(max_people, boxes=chosen), [], [])

    def keep() -> None:
        if state:
            write_state(state, seen, settings or {})

    kept = monotonic()
    with interrupted_between() as check:
        try:
            for frame in clip.frames(seen.numbers[-1] + 1 if seen.numbers else 0):
                seen.tracker.see(frame.pixels, frame.number, frame.time)
                seen.times.append(frame.time)
                seen.numbers.append(frame.number)
                if monotonic() - kept > KEPT_EVERY:
                    keep()
                    kept = monotonic()
                progress("people", len(seen.numbers), clip.count)
                check()
        except KeyboardInterrupt:
            keep()
            raise
    keep()
    return seen


def tracks_of(seen: Seen) -> list[Track]:
    """Takes what was seen of each person as their track."""
    return [
        Track(
            track_id=number,
            frames=np.array([one.frame for one in sightings], np.int64),
            times=np.array([one.time for one in sightings]),
            boxes=np.stack([one.box for one in sightings]),
            landmarks=joined([one.landmarks for one in sightings]),
        )
        for number, sightings in enumerate(seen.tracker.found(), 1)
    ]


def recover(
    predictor: Predictor,
    clip: Clip,
    seen: Seen,
    camera: Camera,
    smooth: Smooth,
    in_world: bool,
    progress: Progress,
) -> Recovered:
    """Recovers the motions of those who were seen in a clip, and puts them into a world with a floor where asked to."""
    tracks, fps = tracks_of(seen), usual_rate(seen.times, clip.fps)
    found = predictor.method.motions(clip, tracks, camera, smooth, progress)
    motions = [replace(motion, fps=fps) for motion in found]
    world = to_world(motions, camera_moved(clip, tracks)) if in_world and motions else None
    return Recovered(motions, seen.times, seen.numbers, world)


def camera_moved(clip: Clip, tracks: Sequence[Track]) -> bool:
    """Tells whether a clip's camera moves, by what is behind the people of some frames, which are read once more."""
    present = by_frame(track.frames for track in tracks)
    watch, next_look = CameraWatch(), -np.inf
    for frame in clip.frames(max_side=WATCHED_SIDE):
        if frame.time >= next_look:
            scale = frame.pixels.shape[1] / clip.width
            boxes = [tracks[i].boxes[k] for i, k in present.get(frame.number, [])]
            watch.see(frame.pixels, scale * np.reshape(boxes, (-1, 4)))
            next_look = frame.time + WATCHED_EVERY
    return watch.moves


def source_of(paths: Sequence[Path], fps: float | None) -> dict[str, Any]:
    """Returns what tells a video, or images in order, from others: what results depend on."""
    if fps is None:
        return {"sha256": sha256(paths[0])}
    states = [(path.name, state.st_size, state.st_mtime_ns) for path in paths for state in [path.stat()]]
    return {"sha256": hashlib.sha256(repr(states).encode()).hexdigest(), "images": len(paths), "fps": fps}


def usual_rate(times: Sequence[float], otherwise: float) -> float:
    """Returns frames a second by the times of frames, which may come at varying intervals."""
    passed = times[-1] - times[0] if len(times) > 1 else 0.0
    return (len(times) - 1) / passed if passed > 0 else otherwise
