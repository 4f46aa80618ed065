"""Motions made into people of single frames: posed, placed and in the contract's terms."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body.about import about
from hmrcli.body.camera import crop_camera
from hmrcli.inference.fit import BBOX_SCALE
from hmrcli.inference.person import Person
from hmrcli.inference.placing import squares
from hmrcli.motion import Motion

CHUNK = 32
"""Frames whose bodies are posed at a time: what bounds memory, whatever the length of a clip."""
_NO_IMAGE = np.empty((0, 0, 3), np.uint8)


class Someone(NamedTuple):
    """A person of a clip in one frame."""

    track_id: int
    person: Person
    """Without its image."""


def people_at(motion: Motion, chosen: NDArray[np.integer], bbox_scale: float = BBOX_SCALE) -> list[Person]:
    """Poses a motion at some of its frames.

    Args:
        motion: in camera space.
        chosen: indices into its frames.
        bbox_scale: of the crop whose weak-perspective camera is given.
    """
    count, camera = len(chosen), motion.camera
    rotmat = torch.from_numpy(np.asarray(motion.rotmat[chosen], np.float32))
    betas = torch.from_numpy(np.asarray(motion.betas, np.float32)).expand(count, -1)
    transl = torch.from_numpy(np.asarray(motion.transl[chosen], np.float32))
    boxes = motion.bbox_xywh[chosen]
    with torch.inference_mode():
        posed = motion.body(rotmat, betas)
        joints2d = camera.project((posed.joints + transl[:, None]).numpy())
        cam = crop_camera(transl, *squares(boxes, bbox_scale, camera))
    return [
        Person(
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
        for i, k in enumerate(chosen)
    ]


def people_of_frames(
    motions: Sequence[Motion], numbers: Sequence[int], bbox_scale: float = BBOX_SCALE
) -> Iterator[tuple[int, list[Someone]]]:
    """Gives the number of each frame, ascending, with its people."""
    for _, chunk in groupby(enumerate(numbers), key=lambda pair: pair[0] // CHUNK):
        here = np.array([number for _, number in chunk])
        present: dict[int, list[Someone]] = {int(number): [] for number in here}
        for motion in motions:
            chosen = np.flatnonzero(np.isin(motion.frames, here))
            for k, person in zip(chosen, people_at(motion, chosen, bbox_scale) if len(chosen) else ()):
                present[int(motion.frames[k])].append(Someone(motion.track_id, person))
        yield from present.items()


def arrays_of(motion: Motion, bbox_scale: float) -> dict[str, Any]:
    """Returns what the npz of a motion holds; `vertices` are left out, as there are 20 million of 1,000 frames."""
    parts: list[dict[str, Any]] = []
    for start in range(0, len(motion.frames), CHUNK):
        chosen = np.arange(start, min(start + CHUNK, len(motion.frames)))
        people = people_at(motion, chosen, bbox_scale)
        parts += [{name: getattr(one, name) for name in _OVER_TIME} for one in people]
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


_OVER_TIME = ("pose", "cam", "joints3d", "joints2d")
