"""The overlay video of a clip."""

from pathlib import Path

import numpy as np

from hmrcli.body import BodyModel
from hmrcli.camera import Camera
from hmrcli.inference.clip import Progress, Recovered
from hmrcli.inference.clip_people import people_at, people_of_frames
from hmrcli.inference.person import Person, camera_pitch
from hmrcli.inference.video import Clip, reduced_size
from hmrcli.motion import Motion
from hmrcli.render.movie import movie
from hmrcli.render.scene_view import Body, draw_frame, scene_view

LONGER_SIDE = 1280
"""Of the frames drawn on, at most, pixels."""
_SAMPLE = 200
"""Frames of each person, about, by which the side view is chosen."""


def draw_clip(
    path: Path, clip: Clip, camera: Camera, recovered: Recovered, body: BodyModel, progress: Progress
) -> None:
    """Draws people over their clip, in a second reading of it, so that no frame need be kept.

    Args:
        path: of the video, .mp4.
        clip: to read.
        camera: of its frames.
        recovered: its people's motions.
        body: that was posed.
        progress: is told after each frame.
    """
    faces, parts = body.faces.cpu().numpy(), body.parts.cpu().numpy()
    small = camera.resized(*reduced_size(clip.width, clip.height, LONGER_SIDE))
    some = [person for motion in recovered.motions for person in _evenly(motion)]
    places = [person.joints3d + person.transl for person in some]
    points = np.concatenate(places) if places else np.empty((0, 3))
    view = scene_view(points, small, camera_pitch(some))
    times, total = dict(zip(recovered.numbers, recovered.times)), len(recovered.numbers)
    everyone = people_of_frames(recovered.motions, recovered.numbers)
    frames = (frame for frame in clip.frames(max_side=LONGER_SIDE) if frame.number in times)
    rate = recovered.motions[0].fps if recovered.motions else clip.fps
    with movie(path, rate) as add:
        for done, (frame, (number, people)) in enumerate(zip(frames, everyone), 1):
            assert frame.number == number, "a clip reads alike each time"
            bodies = [Body(one, person.placed, person.joints_visibility[parts]) for one, person in people]
            add(draw_frame(frame.pixels, bodies, faces, view), times[number])
            progress("overlay", done, total)


def _evenly(motion: Motion) -> list[Person]:
    """Poses some frames of a motion, evenly over it."""
    chosen = np.arange(0, len(motion.frames), max(len(motion.frames) // _SAMPLE, 1))
    return [
        one for start in range(0, len(chosen), 32) for one in people_at(motion, chosen[start : start + 32])
    ]
