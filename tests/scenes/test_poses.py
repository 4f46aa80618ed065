"""Poses of the open data set: within human ranges, reproducible, and none shared by training and tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml

from hmrcli.body import load_body
from hmrcli.body.joints import SMPL_24
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.fitting.priors import pose_prior
from hmrcli.scenes.poses import (
    POOLS,
    Spheres,
    candidates,
    collides,
    draw_pose,
    mirrored,
    read_bank,
    sphere_places,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    path = ROOT / "data" / "build" / "scene_poses.py"
    spec = importlib.util.spec_from_file_location("scene_poses", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def joints(pose: np.ndarray) -> np.ndarray:
    """(N, 24, 3) joints of the mean body in poses (N, 24, 3)."""
    turned = rotmat_from_pose(torch.from_numpy(pose.reshape(-1, 72).astype(np.float32)))
    return load_body("open")(turned, torch.zeros(len(pose), 10)).joints.numpy()


@pytest.mark.parametrize("pool", POOLS)
def test_draws_lie_within_the_ranges_of_joints(pool: str) -> None:
    random = np.random.default_rng(1)
    drawn = [draw_pose(random, pool) for _ in range(500)]
    pose = np.array([posture.pose for posture in drawn])
    assert pose.dtype == np.float32 and pose.shape == (500, 72) and np.isfinite(pose).all()
    prior = pose_prior()
    below = pose.reshape(500, 24, 3)[:, 1:]
    assert (below >= prior.least.numpy() - 1e-5).all() and (below <= prior.greatest.numpy() + 1e-5).all()
    assert {type(posture.grounded) for posture in drawn} == {bool}
    assert len(np.unique(pose.round(4), axis=0)) > 490


@pytest.mark.parametrize("pool", POOLS)
def test_no_draw_passes_through_itself(pool: str) -> None:
    random, spheres = np.random.default_rng(2), read_bank().spheres
    assert not any(collides(spheres, draw_pose(random, pool).pose.reshape(24, 3)) for _ in range(200))


def test_a_draw_is_a_function_of_the_generator() -> None:
    first, again, other = (draw_pose(np.random.default_rng(seed), "train").pose for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_where_every_candidate_collides_an_entry_of_the_pool_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hmrcli.scenes.poses.collides", lambda spheres, pose: True)
    bank = read_bank()
    own = bank.pose[bank.section == "wild"]
    drawn = draw_pose(np.random.default_rng(5), "wild").pose.reshape(24, 3)
    assert any(np.array_equal(drawn, entry) for entry in (*own, *mirrored(own)))


def test_training_shares_no_entry_with_tests() -> None:
    sections = {name: set(pool.sections) for name, pool in POOLS.items()}
    assert sections["studio"] <= sections["train"]
    assert not (sections["train"] & (sections["test"] | sections["wild"]))
    assert not (sections["test"] & sections["wild"])
    bank = read_bank()
    assert set(bank.section) == set().union(*sections.values())
    learnt = np.isin(bank.section, list(sections["train"]))
    for seen in (bank.pose[learnt], mirrored(bank.pose[learnt])):
        apart = np.abs(seen[:, None, 1:] - bank.pose[~learnt][:, 1:]).max((-2, -1))
        assert apart.min() > np.radians(8)


def test_pools_differ_in_how_much_they_vary() -> None:
    def spread(pool: str) -> float:
        random = np.random.default_rng(6)
        places = joints(np.concatenate([candidates(random, pool)[0] for _ in range(50)]))
        return float(np.linalg.norm(places - places.mean(0), axis=-1).mean())

    studio, train, test, wild = (spread(pool) for pool in ("studio", "train", "test", "wild"))
    assert studio < 0.75 * train and wild > 1.1 * train
    assert 0.8 < test / train < 1.25


def test_a_mirrored_pose_mirrors_the_joints() -> None:
    pose = read_bank().pose[::10]
    assert np.array_equal(mirrored(mirrored(pose)), pose)
    centered = [places - places[:, :1] for places in (joints(mirrored(pose)), joints(pose))]
    # The body itself is only nearly symmetric.
    assert np.allclose(centered[0], centered[1][:, list(SMPL_24.flip)] * (-1, 1, 1), atol=4e-3)


def test_spheres_follow_the_joints_of_the_body() -> None:
    pose, spheres = read_bank().pose[:20], read_bank().spheres
    each_joint = spheres._replace(joint=np.arange(24), center=np.zeros((24, 3)))
    places = [sphere_places(each_joint, each) for each in pose]
    expected = joints(pose)
    assert np.allclose(places, expected - expected[:, :1], atol=1e-4)


def test_a_hand_in_the_belly_is_found_and_rest_is_not() -> None:
    spheres: Spheres = read_bank().spheres
    assert not collides(spheres, np.zeros((24, 3)))
    through = np.zeros((24, 3))
    through[16], through[18] = (0.9, 0, -1.35), (0, -1.75, 0)  # the forearm turned in, across the trunk
    assert collides(spheres, through)


def test_the_file_holds_the_table(build: ModuleType) -> None:
    bank, (least, greatest, spread) = read_bank(), build.joint_ranges()
    assert np.array_equal(bank.least, least) and np.array_equal(bank.greatest, greatest)
    assert np.array_equal(bank.spread, spread)
    for section, entries in build.key_poses().items():
        rows = np.flatnonzero(bank.section == section)
        assert [bank.names[row] for row in rows] == [name for name, _, _ in entries]
        assert bank.floating[rows].tolist() == [floating for _, _, floating in entries]
        held = np.clip([pose for _, pose, _ in entries], least, greatest)
        sound = [not collides(bank.spheres, pose) for pose in held]
        assert np.mean(sound) > 0.4  # the others were moved a little
        assert np.allclose(bank.pose[rows][sound], held[sound], atol=1e-5)
        assert np.abs(bank.pose[rows] - held).max() < np.radians(30)


def test_footage_stays_away_from_measured_frames(build: ModuleType) -> None:
    measured = yaml.safe_load((ROOT / "benchmarks" / "frames.yaml").read_text())
    for (package, path), numbers in build.FOOTAGE.items():
        looked_at = [row["frame"] for row in measured if (row["package"], row["member"]) == (package, path)]
        assert looked_at and min(abs(a - b) for a in numbers for b in looked_at) >= build.FRAMES_APART


@pytest.mark.parametrize(
    ("entry", "joint", "towards"),
    [
        ({"left_arm": [90, 90, 0, 0, 0]}, 20, (0, 0, 1)),
        ({"left_arm": [180, 0, 0, 0, 0]}, 20, (0, 1, 0)),
        ({"right_arm": [90, 0, 0, 0, 0]}, 21, (-1, 0, 0)),
        ({"left_arm": [90, 0, 90, 90, 0]}, 20, (1, 1, 0)),
        ({"left_leg": [90, 0, 0, 0]}, 7, (0, 0, 1)),
        ({"right_leg": [0, 0, 0, 90]}, 8, (0, -1, -1)),
        ({"left_leg": [0, 40, 0, 0]}, 7, (0.84, -1, 0)),
    ],
)
def test_angles_mean_what_the_table_says(
    build: ModuleType, entry: dict[str, list[float]], joint: int, towards: tuple[float, ...]
) -> None:
    places = joints(build.key_pose(entry)[None])[0]
    start = {20: 16, 21: 17, 7: 1, 8: 2}[joint]
    direction = build.unit(places[joint] - places[start])
    assert direction @ build.unit(np.array(towards, float)) > np.cos(np.radians(15))
