"""The motion of one person of a clip, frame by frame (to be replaced)."""

from typing import Literal

import numpy as np
import torch

from hmrcli.body import BodyModel
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.targets import Targets
from hmrcli.motion import Camera, Motion, Track

Smooth = Literal["none", "light", "strong"]


def fit_track(body: BodyModel, track: Track, camera: Camera, smooth: Smooth = "light") -> Motion:
    """Fits each frame alone."""
    lm = track.landmarks
    n = len(track.frames)
    t = Targets(
        torch.from_numpy(lm.points2d),
        torch.from_numpy(lm.points3d),
        torch.from_numpy(((lm.visibility - 0.1) / 0.4).clip(0, 1)),
        torch.from_numpy(track.boxes[:, 2:].max(1)),
        torch.full((n,), camera.focal_length),
        torch.tensor([camera.principal_point]).expand(n, 2),
    )
    fits = [fit_landmarks(body, Targets(*(v[i : i + 64] for v in t)), iterations=8) for i in range(0, n, 64)]
    r, b, tr, _ = (torch.cat(v).numpy() for v in zip(*fits))
    return Motion(
        track.track_id,
        track.frames,
        track.times,
        30.0,
        r,
        b.mean(0),
        tr,
        track.boxes.astype(np.float32),
        lm.score.astype(np.float32),
        np.ones((n, 24), np.float32),
        camera,
        body,
    )
