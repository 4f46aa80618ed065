"""Motions made into people of single frames: posed, placed and in the contract's terms, and drawn over their clip."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.about import about
from hmrcli.body.camera import crop_camera
from hmrcli.camera import Camera
from hmrcli.inference.clip import Recovered
from hmrcli.inference.fit import BBOX_SCALE
from hmrcli.inference.person import Person, camera_pitch
from hmrcli.inference.placing import squares
from hmrcli.inference.video import Clip, Progress, reduced_size
from hmrcli.motion import Motion
from hmrcli.render.movie import movie
from hmrcli.render.scene_view import Body, draw_frame, scene_view

CHUNK = 32
"""Frames whose bodies are posed at a time: what bounds memory, whatever the length of a clip."""
LONGER_SIDE = 1280
"""Of the frames drawn on, at most, pixels."""
_SAMPLE = 200
"""Frames of each person, about, by which the side view is chosen."""
_OVER_TIME = ("pose", "cam", "joints3d", "joints2d")
_NO_IMAGE = np.empty((0, 0, 3), np.uint8)


def people_at(
    motion: Motion, chosen: NDArray[np.integer], bbox_scale: float = BBOX_SCALE
) -> Iterator[Person]:
    """Poses a motion in camera space at some of its frames, by their indices.

    The weak-perspective cameras are those of crops of `bbox_scale`.
    """
    camera, betas = motion.camera, torch.from_numpy(np.asarray(motion.betas, np.float32))
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        rotmat = torch.from_numpy(np.asarray(motion.rotmat[part], np.float32))
        transl = torch.from_numpy(np.asarray(motion.transl[part], np.float32))
        boxes = motion.bbox_xywh[part]
        with torch.inference_mode():
            posed = motion.body(rotmat, betas.expand(len(part), -1))
            joints2d = camera.project((posed.joints + transl[:, None]).numpy())
            cam = crop_camera(transl, *squares(boxes, bbox_scale, camera))
        for i, k in enumerate(part):
            yield Person(
                bbox_xywh=boxes[i],
                score=float(motion.scores[k]),
                method=motion.method,
                rotmat=motion.rotmat[k],
                betas=motion.betas,
                cam=cam[i].numpy(),
                transl=motion.transl[k],
                camera=camera,
                vertices=posed.vertices[i].numpy(),
                joints3d=posed.joints[i].numpy(),
                joints2d=joints2d[i],
                joints_visibility=motion.joints_visibility[k],
                body=motion.body,
                image=_NO_IMAGE,
            )


def people_of_frames(
    motions: Sequence[Motion], numbers: Sequence[int], bbox_scale: float = BBOX_SCALE
) -> Iterator[tuple[int, list[tuple[int, Person]]]]:
    """Gives the number of each frame, ascending, with its people, without images, and the track of each."""
    for _, chunk in groupby(enumerate(numbers), key=lambda pair: pair[0] // CHUNK):
        here = np.array([number for _, number in chunk])
        present: dict[int, list[tuple[int, Person]]] = {int(number): [] for number in here}
        for motion in motions:
            chosen = np.flatnonzero(np.isin(motion.frames, here))
            for k, person in zip(chosen, people_at(motion, chosen, bbox_scale)):
                present[int(motion.frames[k])].append((motion.track_id, person))
        yield from present.items()


def arrays_of(motion: Motion, bbox_scale: float) -> dict[str, Any]:
    """Returns what the npz of a motion holds; `vertices` are left out, as there are 20 million of 1,000 frames."""
    everyone = people_at(motion, np.arange(len(motion.frames)), bbox_scale)
    parts = [{name: getattr(one, name) for name in _OVER_TIME} for one in everyone]
    age = {} if motion.body.age is None else {"age": np.float64(motion.body.age)}
    return {
        "track_id": np.int64(motion.track_id),
        **age,
        "frames": motion.frames,
        "times": motion.times,
        "fps": np.float64(motion.fps),
        "bbox_xywh": motion.bbox_xywh,
        "scores": motion.scores,
        "rotmat": motion.rotmat,
        "betas": motion.betas,
        "transl": motion.transl,
        "joints_visibility": motion.joints_visibility,
        **{name: np.stack([part[name] for part in parts]).astype(np.float32) for name in _OVER_TIME},
        "image_size": np.array([motion.camera.width, motion.camera.height], np.int64),
        "faces": motion.body.faces.cpu().numpy(),
        "about": np.array(json.dumps(about(motion.body))),
        **motion.camera.arrays(),
    }


def draw_clip(
    path: Path, clip: Clip, camera: Camera, recovered: Recovered, body: BodyModel, progress: Progress
) -> None:
    """Draws people over their clip (.mp4), in a second reading of it, so that no frame need be kept."""
    faces, parts = body.faces.cpu().numpy(), body.parts.cpu().numpy()
    small = camera.resized(*reduced_size(clip.width, clip.height, LONGER_SIDE))
    some: list[Person] = []
    for motion in recovered.motions:  # evenly over it
        chosen = np.arange(0, len(motion.frames), max(len(motion.frames) // _SAMPLE, 1))
        some += people_at(motion, chosen)
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
