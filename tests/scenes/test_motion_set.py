"""The rendered motion: people who move as feet and gravity let them, and files that say what the frames show."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks import motion_set as clips
from benchmarks.acting import GAITS, GRAVITY, Act, Actor, perform, steps
from benchmarks.motion_set import CLIPS, FPS, NAME, SIZE, Clip, write_clips
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.human_data import facts_of
from hmrcli.scenes.files import image_folder
from hmrcli.scenes.poses import POOLS, mirrored, read_bank
from hmrcli.scenes.sample import open_body, posed

MEAN = np.zeros(10, np.float32)
TWO = Clip(
    "two",
    0.2,
    (
        Actor((-0.6, 0.0), ((0, 90),), steps("walk", 1.1, 1)),
        Actor((0.6, -0.5), ((0, 0),), ((0, "idle"), (1, "~bow"))),
    ),
)


def skin(act: Act) -> np.ndarray:
    """(F, V, 3) vertices in the room."""
    vertices, joints = posed(act.pose, np.repeat(MEAN[None], len(act.pose), 0))
    return np.asarray(vertices + (act.pelvis - joints[:, 0])[:, None])


def test_who_walks_goes_where_they_look_on_feet_that_hardly_slide() -> None:
    act = perform(Actor((1.0, -2.0), ((0, 90),), steps("walk", 1.08, 3)), MEAN, 2.7, FPS)
    way = act.pelvis[-1] - act.pelvis[0]
    assert way[0] > 1.2 and abs(way[2]) < 0.1
    np.testing.assert_allclose(act.pelvis[0, [0, 2]], [1.0, -2.0], atol=0.1)
    vertices = skin(act)
    lowest = vertices[..., 1].argmin(1)
    np.testing.assert_allclose(vertices[..., 1].min(1), 0, atol=0.02)
    frames = np.arange(len(vertices) - 1)
    slid = (vertices[frames + 1, lowest[:-1]] - vertices[frames, lowest[:-1]])[:, [0, 2]]
    gone = np.linalg.norm(np.diff(act.pelvis[:, [0, 2]], axis=0), axis=1)
    assert np.median(np.linalg.norm(slid, axis=1)) < 0.35 * np.median(gone)


def test_who_jumps_falls_as_everything_does() -> None:
    keys = ((0, "land_soft"), (0.4, "land_soft"), (0.7, "jump_star"), (1.0, "land_soft"), (1.6, "idle"))
    act = perform(Actor((0, 0), ((0, 0),), keys, flights=((0.45, 0.95),)), MEAN, 1.6, FPS)
    fall = np.diff(act.pelvis[:, 1], 2) * FPS**2
    aloft = slice(round(0.55 * FPS), round(0.85 * FPS))
    np.testing.assert_allclose(fall[aloft], -GRAVITY, rtol=0.15)
    heights = skin(act)[..., 1].min(1)
    assert heights[round(0.7 * FPS)] > 0.2 and heights[[0, -1]] == pytest.approx(0, abs=0.01)


def test_keys_are_reached_and_mirrored_ones_are_mirror_images() -> None:
    bank = read_bank()
    bow = bank.pose[bank.names.index("bow")]
    for name, pose in (("bow", bow), ("~bow", mirrored(bow))):
        act = perform(Actor((0, 0), ((0, 0),), ((0, name), (1, name))), MEAN, 1.0, FPS)
        np.testing.assert_allclose(act.pose[15], pose.reshape(72), atol=1e-5)


def test_training_shows_none_of_the_poses() -> None:
    bank = read_bank()
    section = dict(zip(bank.names, bank.section))
    trained = {name for pool in ("studio", "train") for name in POOLS[pool].sections}
    names = {name.lstrip("~") for clip in CLIPS for actor in clip.actors for _, name in actor.keys}
    keys = {name for name in names if " " not in name} | {gait.upper for gait in GAITS.values()}
    assert len(keys) > 15 and not {section[name] for name in keys} & trained


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clips, "CLIPS", (TWO,))
    return write_clips(tmp_path)


def test_files_say_what_the_frames_show(written: Path, tmp_path: Path) -> None:
    labels, facts = read_annotations(written, "smpl_54", NAME, cameras=True), facts_of(written)
    assert labels.transl is not None and labels.intrinsics is not None and labels.keypoints2d is not None
    assert facts["track_id"].tolist() == [1, 2] * 6 and facts["frame"].tolist() == sorted([*range(6)] * 2)
    np.testing.assert_allclose(np.diff(facts["time"][::2]), 1 / FPS)
    images = [cv2.imread(str(image_folder(tmp_path, NAME) / path)) for path in labels.image_path[::2]]
    assert {image.shape for image in images if image is not None} == {(SIZE, SIZE, 3)} and len(images) == 6
    with torch.inference_mode():
        rotmat = rotmat_from_pose(torch.from_numpy(np.asarray(labels.pose)))
        betas, transl = (torch.from_numpy(np.asarray(v)) for v in (labels.betas, labels.transl))
        bodies = open_body()(rotmat, betas, transl)
    seen = np.einsum("nij,nkj->nki", labels.intrinsics, bodies.joints.numpy())
    np.testing.assert_allclose(seen[..., :2] / seen[..., 2:], labels.keypoints2d[:, :24, :2], atol=0.05)
    *normal, offset = facts["floor"]["two"]
    np.testing.assert_allclose((bodies.vertices.numpy() @ normal).min(1), offset, atol=0.02)


def test_what_is_in_place_stays(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "render_clip", lambda clip: pytest.fail("rendered again"))
    assert write_clips(tmp_path) == written
    monkeypatch.setattr(clips, "EDITION", clips.EDITION + 1)
    with pytest.raises(pytest.fail.Exception, match="rendered again"):
        write_clips(tmp_path)
