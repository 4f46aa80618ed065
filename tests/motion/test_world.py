"""Worlds of people whose floor and steps are known, seen by a camera that looks down and is held askew."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import roma
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.motion import Camera, Motion
from hmrcli.motion.contacts import POINTS, runs, sliding, stance
from hmrcli.motion.world import World, to_world

CAMERA = Camera(1500.0, (960.0, 540.0), 1920, 1080, "given")
RATE = 30.0
HEIGHT = 1.6
"""Metres of the camera above the floor."""
ASKEW = roma.rotvec_to_rotmat(torch.tensor([np.pi + 0.3, 0, 0])) @ roma.rotvec_to_rotmat(
    torch.tensor([0, 0, 0.12])
)
"""From a world with y up to the camera: it looks down by 17 degrees and is rolled by 7."""


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def seen(body: BodyModel, places: np.ndarray, wave: float = 0.5, turn: float = 0.4) -> Motion:
    """Someone who stands at places (F, 2: x and z on the floor, metres), waves an arm, and is seen by the camera."""
    count = len(places)
    pose = torch.zeros(count, 24, 3)
    pose[:, 0, 1] = turn
    pose[:, 16, 2] = -1.0 + wave * torch.sin(torch.arange(count) / 5)
    pose[:, 17, 2] = 1.0
    rotmat, betas = roma.rotvec_to_rotmat(pose), torch.zeros(10)
    standing = replace(motion_of(body, rotmat.numpy(), np.zeros((count, 3), np.float32)), up="y")
    height = stance(standing).soles[..., 1].min(1)
    place = np.stack([places[:, 0], -height, places[:, 1]], 1)
    # The body turns about its root joint.
    root = body(torch.eye(3).expand(1, 24, 3, 3), betas[None]).joints[0, 0].numpy()
    rotation = ASKEW.numpy()
    transl = (place + root - [0, HEIGHT, 0]) @ rotation.T - root
    turned = np.concatenate([rotation @ rotmat[:, :1].numpy(), rotmat[:, 1:].numpy()], 1)
    return motion_of(body, turned.astype(np.float32), transl.astype(np.float32))


def motion_of(body: BodyModel, rotmat: np.ndarray, transl: np.ndarray) -> Motion:
    count = len(rotmat)
    return Motion(
        track_id=1, frames=np.arange(count), times=np.arange(count) / RATE, fps=RATE, rotmat=rotmat,
        betas=np.zeros(10, np.float32), transl=transl, bbox_xywh=np.ones((count, 4), np.float32),
        scores=np.ones(count, np.float32), joints_visibility=np.ones((count, 24), np.float32),
        camera=CAMERA, body=body,
    )  # fmt: skip


def steps(stand: int = 30, move: int = 8) -> np.ndarray:
    """(F, 2) four places on the floor, stood at for some frames, with quick ways between."""
    spots = np.array([[0.0, -5.0], [0.8, -4.2], [-0.5, -6.0], [0.3, -5.2]])
    parts = []
    for here, there in pairwise(spots):
        parts += [np.repeat(here[None], stand, 0), here + np.linspace(0, 1, move)[:, None] * (there - here)]
    return np.concatenate([*parts, np.repeat(spots[-1:], stand, 0)])


def shaken(motion: Motion, along: float, across: float = 0.0) -> Motion:
    """A motion whose depth and place shake slowly, as fits do."""
    generator = np.random.default_rng(0)
    kernel = np.ones(9) / 3
    noise = np.stack(
        [np.convolve(n, kernel, "same") for n in generator.standard_normal((4, len(motion.frames)))]
    )
    ray = motion.transl / np.linalg.norm(motion.transl, axis=1, keepdims=True)
    moved = motion.transl + along * noise[0][:, None] * ray + across * noise[1:].T
    return replace(motion, transl=moved.astype(np.float32))


def skin(motion: Motion) -> np.ndarray:
    rotmat = torch.from_numpy(motion.rotmat)
    with torch.inference_mode():
        posed = motion.body(
            rotmat, torch.from_numpy(motion.betas).expand(len(rotmat), 10), torch.from_numpy(motion.transl)
        )
    return posed.vertices.numpy()


def lean(world: World) -> float:
    """Degrees between the world's up and the true one."""
    return float(np.degrees(np.arccos(world.rotation[1] @ ASKEW.numpy()[:, 1])))


def test_floor_and_up_are_found(body: BodyModel) -> None:
    world = to_world([seen(body, steps())])
    assert lean(world) < 1.5
    assert abs(world.camera_place[1] - HEIGHT) < 0.1
    assert np.abs(stance(world.motions[0]).soles[..., 1]).max() < 0.03
    assert world.motions[0].up == "y"
    assert world.unevenness < 20
    assert not world.notes


def test_feet_that_slide_are_held_and_depth_does_not_jump(body: BodyModel) -> None:
    places = steps()
    motion = shaken(seen(body, places), along=0.04, across=0.002)
    world = to_world([motion])
    assert world.sliding_before > 1
    assert world.sliding_after < 0.2 * world.sliding_before
    stands = world.contacts[0]
    assert stands.mean() > 0.6
    # Figures are those of the motions that come out.
    now = sliding(stance(world.motions[0]).soles, stands)
    assert 1000 * now.mean() == pytest.approx(world.sliding_after, abs=0.01)
    assert np.abs(stance(world.motions[0]).soles[stands][:, 1]).max() < 0.02
    # On the floor, steps are as long as they were.
    x, z = (world.motions[0].transl[:, k] for k in (0, 2))
    found = np.stack([x, z], 1)
    middles = [15, 53, 91, 129]
    lengths = np.linalg.norm(np.diff(found[middles], axis=0), axis=1)
    assert np.abs(lengths - np.linalg.norm(np.diff(places[middles], axis=0), axis=1)).max() < 0.12


def test_a_world_shows_the_camera_what_it_saw(body: BodyModel) -> None:
    """Without anything that stands, bodies are turned and shifted alone."""
    motion = seen(body, steps(stand=6, move=4))
    motion = replace(motion, joints_visibility=np.zeros_like(motion.joints_visibility))
    world = to_world([motion])
    back = (skin(world.motions[0]) - world.camera_place) @ world.rotation
    assert np.abs(back - skin(motion)).max() < 1e-3
    np.testing.assert_allclose(world.rotation @ world.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(world.rotation) == pytest.approx(1)
    assert np.isnan(world.sliding_before)
    assert any("no foot" in note for note in world.notes)


def test_people_share_a_floor(body: BodyModel) -> None:
    one, two = seen(body, steps()), seen(body, steps() + [1.5, 0.7], turn=-1.0)
    world = to_world([one, two])
    assert lean(world) < 1.5
    for motion in world.motions:
        assert np.abs(stance(motion).soles[..., 1]).max() < 0.03
    apart = world.motions[1].transl - world.motions[0].transl
    expected = two.transl - one.transl
    assert np.abs(np.linalg.norm(apart, axis=1) - np.linalg.norm(expected, axis=1)).max() < 0.05


def test_ground_that_rises_under_the_feet_is_said(body: BodyModel) -> None:
    """As where the camera sinks while it films."""
    motion = seen(body, steps())
    up = ASKEW.numpy()[:, 1]
    sunk = motion.transl + (0.6 * np.arange(len(motion.frames)) / len(motion.frames))[:, None] * up
    notes = to_world([replace(motion, transl=sunk.astype(np.float32))]).notes
    assert any("camera moved" in note for note in notes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_frames_have_a_world(body: BodyModel, count: int) -> None:
    world = to_world([seen(body, steps()[:count])])
    assert np.isfinite(world.motions[0].transl).all()
    assert len(world.contacts[0]) == count


def test_a_world_is_not_put_into_another(body: BodyModel) -> None:
    world = to_world([seen(body, steps()[:5])])
    with pytest.raises(ValueError, match="camera"):
        to_world(world.motions)
    with pytest.raises(ValueError, match="camera"):
        to_world([])


def test_points_of_the_soles_are_where_they_are_called(body: BodyModel) -> None:
    soles = dict(zip(POINTS, stance(motion_of(body, np.eye(3, dtype=np.float32)[None, None].repeat(24, 1),
                                              np.zeros((1, 3), np.float32))).soles[0]))  # fmt: skip
    for side, sign in (("left", 1), ("right", -1)):
        assert sign * soles[f"{side}_heel"][0] > 0
        assert 0.08 < soles[f"{side}_ball"][2] - soles[f"{side}_heel"][2] < 0.25
        lowest = body.v_template[:, 1].min().item()
        assert all(point[1] - lowest < 0.03 for point in soles.values())


def test_runs() -> None:
    assert list(runs(np.array([True, True, False, True, False, False, True]))) == [(0, 1), (3, 3), (6, 6)]
