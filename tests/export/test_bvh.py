"""BVH files, read by bvhio."""

from dataclasses import replace
from pathlib import Path

import bvhio
import numpy as np
import pytest

from hmrcli.body.joints import PARENTS, SMPL_24
from hmrcli.export.bvh import write_bvh
from hmrcli.motion import Motion

from .motions import in_world, moving, only, posed


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Names of the joints, and where they are in each frame (F, J, 3), metres."""
    root = bvhio.readAsHierarchy(str(path))
    frames = []
    for frame in range(root.getKeyframeRange()[1] + 1):
        root.loadPose(frame)
        frames.append([list(joint.PositionWorld) for joint, _, _ in root.layout()])
    return [joint.Name for joint, _, _ in root.layout()], np.array(frames) / 100


@pytest.mark.parametrize("place", ["camera", "world"])
def test_joints_come_back_within_a_millimetre(tmp_path: Path, place: str) -> None:
    motion = moving(12, seed=2)
    motion = motion if place == "camera" else in_world(motion)
    names, found = read(write_bvh(motion, tmp_path / "a.bvh"))
    expected = posed(motion)[1] * (np.array([1.0, -1, -1]) if place == "camera" else 1)
    ours = found[:, [names.index(name) for name in SMPL_24.names]]
    assert np.abs(ours - expected).max() < 1e-4
    assert len(names) == 24


def test_the_clock_and_the_tree_are_stated(tmp_path: Path) -> None:
    text = write_bvh(moving(3, fps=30), tmp_path / "a.bvh").read_text()
    document = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    assert document.FrameCount == 3 and document.FrameTime == pytest.approx(1 / 30)
    assert text.count("End Site") == 5 and text.count("CHANNELS 3") == 23
    below = {joint.Name: {child.Name for child in joint.Children} for joint, _, _ in document.Root.layout()}
    for joint, parent in enumerate(PARENTS[1:], 1):
        assert SMPL_24.names[joint] in below[SMPL_24.names[parent]]


def test_mixamo_s_names_stand_for_the_same_joints(tmp_path: Path) -> None:
    motion = moving(2)
    names, found = read(write_bvh(motion, tmp_path / "a.bvh"))
    other, same = read(write_bvh(motion, tmp_path / "b.bvh", "mixamo"))
    np.testing.assert_array_equal(found, same)
    pairs = dict(zip(names, other))
    assert pairs["pelvis"] == "mixamorig:Hips" and pairs["left_hip"] == "mixamorig:LeftUpLeg"
    assert pairs["right_wrist"] == "mixamorig:RightHand" and pairs["spine3"] == "mixamorig:Spine2"
    assert len(set(other)) == 24


def test_a_variable_clock_becomes_a_steady_one(tmp_path: Path) -> None:
    """Seen frames that fall on the steady clock stay; where they were left out, the path goes on."""
    whole = moving(21, fps=20)
    seen = [0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    _, expected = read(write_bvh(whole, tmp_path / "whole.bvh"))
    _, found = read(write_bvh(only(whole, seen), tmp_path / "gaps.bvh"))
    assert len(found) == 21
    assert np.abs(found - expected)[seen].max() < 1e-4
    # Between, constant speeds about changing axes are met to centimetres.
    assert np.abs(found - expected).max() < 0.03


def test_angles_do_not_jump(tmp_path: Path) -> None:
    frames = 60
    motion = moving(frames)
    turns = np.linspace(0, 4 * np.pi, frames)
    spin = np.zeros((frames, 3, 3), np.float32)
    spin[:, 0, 0], spin[:, 0, 2] = np.cos(turns), np.sin(turns)
    spin[:, 2, 0], spin[:, 2, 2], spin[:, 1, 1] = -np.sin(turns), np.cos(turns), 1
    rotmat = motion.rotmat.copy()
    rotmat[:, 0] = np.diag([1, -1, -1]) @ spin
    path = write_bvh(replace(motion, rotmat=rotmat), tmp_path / "a.bvh")
    rows = np.loadtxt(path.read_text().splitlines()[-frames:])
    assert np.abs(np.diff(rows[:, 3:6], axis=0)).max() < 20


def test_one_frame_is_enough(tmp_path: Path) -> None:
    motion: Motion = only(moving(), [2])
    _, found = read(write_bvh(motion, tmp_path / "a.bvh"))
    assert found.shape == (1, 24, 3)
