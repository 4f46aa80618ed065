"""SPIN's static fits: known bodies stay, the others are fitted to their 2D joints; a stopped run goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.world import open_recipe, people
from hmrcli.body import load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import read_fits
from hmrcli.data.human_data import write_human_data
from hmrcli.data.label_sources import static_fits as sources_of_fits
from hmrcli.recipe import Recipe
from hmrcli.training import static_fits
from hmrcli.training.static_fits import make_static_fits

ROWS, CPU = 5, torch.device("cpu")


@pytest.fixture
def recipe() -> Recipe:
    return open_recipe("spin_l1")


@pytest.fixture
def truth(tmp_path: Path, recipe: Recipe) -> Annotations:
    """People of whom the second is known, and the last has no joints."""
    rows = people(tmp_path / "images", "coco", ROWS)
    rows.keypoints2d[-1, :, 2] = 0
    given = replace(rows, has_smpl=np.arange(ROWS) == 1, keypoints3d=None)
    path = tmp_path / "preprocessed_datasets" / recipe.data.mixture["coco"].annotations
    write_human_data(path, given.select("coco_17"))
    return rows


def joints_of(pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(N, 12, 3) limbs relative to the pelvis, metres."""
    with torch.no_grad():
        output = load_body("open")(rotmat_from_pose(torch.from_numpy(pose)), torch.from_numpy(betas))
    return (output.joints - output.joints[:, :1])[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]].numpy()


def test_fits_show_the_pose_of_their_joints(tmp_path, recipe, truth):
    record = make_static_fits(recipe, "coco", tmp_path, CPU)
    pose, betas = read_fits(tmp_path / "static_fits" / "coco_fits.npy")
    np.testing.assert_allclose(pose[1], truth.pose[1], atol=1e-6)
    found, wanted = joints_of(pose, betas), joints_of(truth.pose, truth.betas)
    away = np.linalg.norm(found[..., :2] - wanted[..., :2], axis=2).mean(1)
    assert away[[0, 2, 3]].max() < 0.08, away  # metres across the picture, which alone is known
    assert np.abs(pose[-1, 3:]).max() < 1e-6  # the mean, of which this recipe has none: the rest pose
    assert (record["rows"], record["known_bodies"], record["fitted"]) == (ROWS, 1, ROWS - 1)
    assert record["pose_prior"] == "bundled"
    assert json.loads((tmp_path / "static_fits" / "coco_fits.json").read_text()) == record
    assert [path.name for path in (tmp_path / "static_fits").iterdir() if path.name.startswith(".")] == []
    told = sources_of_fits(recipe, tmp_path)
    assert list(told) == ["coco"] and told["coco"].startswith("SMPLify from the mean pose")
    assert sources_of_fits(recipe, tmp_path, ["coco"]) == {}
    np.save(tmp_path / "static_fits" / "coco_fits.npy", np.zeros((ROWS, 82), np.float32))  # of others
    assert sources_of_fits(recipe, tmp_path) == {}


def test_a_stopped_run_goes_on(tmp_path, recipe, truth, monkeypatch):
    monkeypatch.setattr(static_fits, "BATCH", 2)
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_static_fits(recipe, "coco", tmp_path, CPU, stop)
    assert not (tmp_path / "static_fits" / "coco_fits.npy").exists()
    make_static_fits(recipe, "coco", tmp_path, CPU, lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (3, 5), (3, 5), (5, 5)]
    first = read_fits(tmp_path / "static_fits" / "coco_fits.npy")
    monkeypatch.setattr(static_fits, "BATCH", 64)
    make_static_fits(recipe, "coco", tmp_path, CPU)
    for one, other in zip(first, read_fits(tmp_path / "static_fits" / "coco_fits.npy")):
        np.testing.assert_allclose(one, other, atol=1e-3)
