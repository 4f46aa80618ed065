"""Motions of known pose and place, made for tests."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_axis_angle
from hmrcli.motion import Camera, Motion

CAMERA = Camera(1400.0, (960.0, 540.0), 1920, 1080)


@cache
def open_body() -> BodyModel:
    return load_body("open")


def moving(frames: int = 7, fps: float = 25.0, seed: int = 0, track_id: int = 3) -> Motion:
    """Somebody upright who turns and moves every joint, fast, before the camera; hands stay as they are."""
    random = np.random.default_rng(seed)
    steps = np.linspace(0, 1, frames)[:, None, None]
    start, speed = random.normal(0, 0.35, (2, 1, 24, 3))
    turns = start + steps * speed * 2
    turns[:, 22:] = 0
    rotmat = rotmat_from_axis_angle(torch.from_numpy(turns))
    heading = np.stack([np.zeros(frames), 2.5 * steps[:, 0, 0], np.zeros(frames)], 1)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    rotmat[:, 0] = upright @ rotmat_from_axis_angle(torch.from_numpy(heading)) @ rotmat[:, 0]
    place = np.array([0.3, 0.2, 5.0]) + steps[:, 0] * np.array([1.2, -0.1, 0.8])
    return Motion(
        track_id=track_id,
        frames=np.arange(frames),
        times=np.arange(frames) / fps,
        fps=fps,
        rotmat=rotmat.numpy().astype(np.float32),
        betas=random.normal(0, 1, 10).astype(np.float32),
        transl=place.astype(np.float32),
        bbox_xywh=np.tile(np.array([800, 300, 200, 500], np.float32), (frames, 1)),
        scores=np.linspace(0.5, 0.9, frames).astype(np.float32),
        joints_visibility=random.uniform(0.1, 1, (frames, 24)).astype(np.float32),
        camera=CAMERA,
        body=open_body(),
    )


def only(motion: Motion, rows: list[int] | slice) -> Motion:
    """Some frames of a motion."""
    names = ("frames", "times", "rotmat", "transl", "bbox_xywh", "scores", "joints_visibility")
    return replace(motion, **{name: getattr(motion, name)[rows] for name in names})


def in_world(motion: Motion) -> Motion:
    """The same numbers, taken as those of a world with y up."""
    return replace(motion, up="y")


def posed(motion: Motion, body: BodyModel | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (F, V, 3) and joints (F, 24, 3) in the motion's own axes, metres."""
    with torch.no_grad():
        output = (body or motion.body)(
            torch.from_numpy(motion.rotmat),
            torch.from_numpy(motion.betas).expand(len(motion.frames), -1),
            torch.from_numpy(motion.transl),
        )
    return output.vertices.numpy(), output.joints.numpy()
