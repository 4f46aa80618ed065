"""AMASS-style files, read with numpy and posed by SMPL's authors' own code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrcli.body.load import SmplxEngine
from hmrcli.body.rotations import rotmat_from_axis_angle
from hmrcli.export.amass import write_amass

from .motions import in_world, moving, only, open_body, posed

READ_BY_OTHERS = {
    "poses": (156,),
    "trans": (3,),
    "dmpls": (8,),
    "root_orient": (3,),
    "pose_body": (63,),
    "pose_hand": (90,),
}
"""Keys of AMASS and of its readers, and what they hold for a frame."""


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:  # refuses objects
        return dict(stored)


def reference(stored: dict[str, np.ndarray], pose: np.ndarray) -> np.ndarray:
    """Vertices (F, V, 3) as a reader of AMASS poses them, by the smplx package; in the file's axes."""
    body = open_body()
    names = ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "faces")
    engine = SmplxEngine({name: getattr(body, name).numpy() for name in names})
    rotmat = rotmat_from_axis_angle(torch.from_numpy(pose).float().unflatten(1, (24, 3)))
    betas = torch.from_numpy(stored["betas"][:10]).float().expand(len(rotmat), -1)
    with torch.no_grad():
        return engine(betas, rotmat, torch.from_numpy(stored["trans"]).float()).vertices.numpy()


@pytest.mark.parametrize("place", ["camera", "world"])
def test_a_reader_of_amass_gets_our_vertices(tmp_path: Path, place: str) -> None:
    motion = moving(5)
    motion = motion if place == "camera" else in_world(motion)
    stored = read(write_amass(motion, tmp_path / "a.npz"))
    pose = np.concatenate([stored["root_orient"], stored["pose_body"], np.zeros((5, 6))], 1)
    np.testing.assert_array_equal(stored["poses"][:, :66], pose[:, :66])
    assert not stored["poses"][:, 66:].any()
    expected = posed(motion)[0] @ stored["rotation_from_source"].T
    assert np.abs(reference(stored, pose) - expected).max() < 2e-5
    np.testing.assert_allclose(stored["pose_smpl"], pose, atol=1e-6)


def test_z_points_up(tmp_path: Path) -> None:
    for motion in (moving(3), in_world(moving(3))):
        stored = read(write_amass(motion, tmp_path / "a.npz"))
        up = {"-y": [0, -1, 0], "y": [0, 1, 0]}[motion.up]
        np.testing.assert_allclose(stored["rotation_from_source"] @ up, [0, 0, 1], atol=1e-9)
        assert np.linalg.det(stored["rotation_from_source"]) == pytest.approx(1)
        assert str(stored["up_axis"]) == "z" and str(stored["source_up_axis"]) == motion.up


def test_keys_are_those_of_amass_readers(tmp_path: Path) -> None:
    stored = read(write_amass(moving(6, fps=29.97), tmp_path / "a.npz"))
    for name, shape in READ_BY_OTHERS.items():
        assert stored[name].shape == (6, *shape), name
    assert stored["betas"].shape == (16,) and not stored["betas"][10:].any()
    assert stored["mocap_framerate"] == stored["mocap_frame_rate"] == pytest.approx(29.97)
    assert stored["mocap_time_length"] == pytest.approx(6 / 29.97)
    assert str(stored["gender"]) == "neutral" and str(stored["surface_model_type"]) == "open"


def test_frames_that_nobody_saw_are_told_apart(tmp_path: Path) -> None:
    seen = [0, 1, 2, 6, 7, 8]
    stored = read(write_amass(only(moving(9), seen), tmp_path / "a.npz"))
    assert np.flatnonzero(stored["observed"]).tolist() == seen and len(stored["poses"]) == 9


def test_times_that_waver_are_put_on_the_clock(tmp_path: Path) -> None:
    motion = moving(50, fps=25)
    wavering = motion.times + np.random.default_rng(0).uniform(-0.3, 0.3, 50) / 25
    wavering[[0, -1]] = motion.times[[0, -1]]
    stored = read(write_amass(replace(motion, times=wavering), tmp_path / "a.npz"))
    assert len(stored["poses"]) == 50 and stored["observed"].mean() > 0.9
    walked = np.diff(stored["trans"], axis=0)
    assert np.abs(walked).max() < 3 * np.abs(np.diff(motion.transl, axis=0)).max()
