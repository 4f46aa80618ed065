"""A clip in, motions out: people are followed frame by frame, then each one's motion is fitted.

Of a frame nothing is kept but what a `Track` needs, so that memory hardly grows with the clip. What was seen is
written beside the results every half minute and when the user interrupts; the same command goes on from there.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from hmrcli.body import BodyModel
from hmrcli.files import sha256
from hmrcli.fitting.motion import Smooth, fit_track
from hmrcli.inference.children import child
from hmrcli.inference.clip_state import Seen, read_state, write_state
from hmrcli.inference.interruption import interrupted_between
from hmrcli.inference.photo import Boxes, checked_boxes
from hmrcli.inference.track_ages import ages_of_tracks
from hmrcli.inference.video import Clip
from hmrcli.motion import Camera, Motion, Track
from hmrcli.motion.stillness import CameraWatch
from hmrcli.motion.world import World
from hmrcli.people.sightings import joined
from hmrcli.people.tracking import Tracker

KEPT_EVERY = 30.0
"""Seconds between writings of what was seen."""
WATCHED_EVERY, WATCHED_SIDE = 0.2, 640
"""Seconds between frames by which the camera is watched, and pixels of their longer side."""

Progress = Callable[[str, int, int | None], None]
"""Told of a stage (`people`, `motion`, `overlay`), how much of it is done, and of how much, where that is known."""


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
    """Follows the people of a clip through its frames.

    Args:
        clip: to read.
        max_people: no more are followed at once.
        progress: is told after each frame.
        state: file for what was seen so far; None for none.
        settings: that it belongs to.
        resume: True to go on from it.
        boxes: x, y, width, height in pixels of people in the first frame, who alone are followed.

    Raises:
        UsageError: a box does not suit the clip, or nobody is recognised in it.
        KeyboardInterrupt: the user interrupts, and what was seen is written.
    """
    chosen = None if boxes is None else checked_boxes(boxes, clip.width, clip.height)
    seen = read_state(state, settings or {}, max_people, chosen) if state and resume else None
    if seen is None:
        seen = Seen(Tracker(max_people, boxes=chosen), [], [])
    kept = monotonic()
    with interrupted_between() as check:
        try:
            for frame in clip.frames(seen.numbers[-1] + 1 if seen.numbers else 0):
                seen.tracker.see(frame.pixels, frame.number, frame.time)
                seen.times.append(frame.time)
                seen.numbers.append(frame.number)
                if state and monotonic() - kept > KEPT_EVERY:
                    write_state(state, seen, settings or {})
                    kept = monotonic()
                progress("people", len(seen.numbers), clip.count)
                check()
        except KeyboardInterrupt:
            if state:
                write_state(state, seen, settings or {})
            raise
    if state:
        write_state(state, seen, settings or {})
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


def fit_tracks(
    body: BodyModel, tracks: Sequence[Track], camera: Camera, fps: float, smooth: Smooth, progress: Progress
) -> list[Motion]:
    """Fits the motion of each person, with a child's body where all that was seen of them shows a child.

    Args:
        body: of adults, to pose.
        tracks: of the people.
        camera: of all frames.
        fps: frames a second that exports are written at.
        smooth: how much of a motion is taken for noise.
        progress: is told how much is done, in frames of all people.
    """
    total, done, motions = sum(len(track.frames) for track in tracks), 0, []
    for track, years in zip(tracks, ages_of_tracks(body, tracks, camera)):
        length, own = len(track.frames), body if years is None else child(body, years)

        def tell(share: float, before: int = done, length: int = length) -> None:
            progress("motion", before + round(share * length), total)

        motions.append(replace(fit_track(own, track, camera, smooth, tell), fps=fps))
        done += length
    return motions


def camera_moved(clip: Clip, tracks: Sequence[Track]) -> bool:
    """Tells whether a clip's camera moves, by what is behind the people of some frames, which are read once more."""
    boxes: dict[int, list[np.ndarray]] = {}
    for track in tracks:
        for number, box in zip(track.frames.tolist(), track.boxes):
            boxes.setdefault(number, []).append(box)
    watch, next_look = CameraWatch(), -np.inf
    for frame in clip.frames(max_side=WATCHED_SIDE):
        if frame.time >= next_look:
            scale = frame.pixels.shape[1] / clip.width
            watch.see(frame.pixels, scale * np.reshape(boxes.get(frame.number, []), (-1, 4)))
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
