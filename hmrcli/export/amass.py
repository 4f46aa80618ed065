"""A motion as an npz file in the layout of AMASS (Mahmood et al., ICCV 2019), z up, for one person."""

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from hmrcli.body.about import about
from hmrcli.export.axes import rotation_to, steady, turned
from hmrcli.files import whole_file
from hmrcli.motion import Motion

_HANDS, _BETAS, _SOFT = 90, 16, 8
"""Numbers of a frame for fingers, of a shape, and of a frame for soft tissue, as AMASS has them."""


def write_amass(motion: Motion, path: Path) -> Path:
    """Writes a motion at a constant frame rate; docs/outputs.md says what each key holds.

    AMASS adds `trans` to a body that turns about its root joint at rest, as SMPL's `transl` and ours are added: in
    the same axes they are the same numbers. Here the axes are turned, so that z points up.
    """
    clock = steady(motion)
    placed = turned(clock.motion, "z")
    count, body = len(placed.times), motion.body
    pose = roma.rotmat_to_rotvec(torch.from_numpy(placed.rotmat)).flatten(1).numpy()
    betas = np.zeros(_BETAS)
    betas[: len(motion.betas)] = motion.betas
    hands = np.zeros((count, _HANDS))
    said = about(body)
    said["betas_of"] = said.pop("betas")
    arrays: dict[str, Any] = {
        "poses": np.concatenate([pose[:, :66], hands], 1),
        "root_orient": pose[:, :3],
        "pose_body": pose[:, 3:66],
        "pose_hand": hands,
        "pose_smpl": pose,
        "trans": placed.transl.astype(float),
        "betas": betas,
        "num_betas": len(motion.betas),
        "dmpls": np.zeros((count, _SOFT)),
        "gender": "neutral",
        "mocap_framerate": float(motion.fps),
        "mocap_frame_rate": float(motion.fps),
        "mocap_time_length": count / motion.fps,
        "surface_model_type": body.name,
        "up_axis": "z",
        "rotation_from_source": rotation_to("z", motion),
        "source_up_axis": motion.up,
        "observed": clock.observed,
        "start_time": float(placed.times[0]),
        "track_id": motion.track_id,
        "image_size": (motion.camera.width, motion.camera.height),
        **motion.camera.arrays(),
        **said,
    }
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return path
