"""Results as other systems store them, written by their own libraries in their own layouts."""

import os
import pickle
from collections import defaultdict
from pathlib import Path

import joblib
import numpy as np
import pytest
import roma
import torch

from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.errors import BadInput
from hmrcli.evaluation import PROTOCOLS, score_arrays
from hmrcli.evaluation.array_files import read_side
from hmrcli.export.amass import write_amass
from tests.export.motions import in_world, moving

RNG = np.random.default_rng(3)
FRAMES = 6
POSE = RNG.normal(0, 0.3, (2, FRAMES, 72))
BETAS = RNG.normal(0, 1, (2, FRAMES, 10))
ROTMAT = rotmat_from_pose(torch.from_numpy(POSE)).numpy()
"""(2, F, 24, 3, 3) two people."""


def same_turns(pose: np.ndarray, expected: np.ndarray) -> None:
    """Compares axis-angle by the rotations."""
    turns = [
        roma.rotvec_to_rotmat(torch.from_numpy(np.array(p, float).reshape(-1, 3))) for p in (pose, expected)
    ]
    np.testing.assert_allclose(*turns, atol=2e-6)


def phalp(people: int = 2) -> dict:
    """As PHALP's tracker stores it: frames by path, lists of people, tensors and numbers of no interest beside."""
    frames = {}
    for frame in range(FRAMES):
        frames[f"outputs/_DEMO/clip/img/{frame + 1:06d}.jpg"] = {
            "time": frame,
            "shot": 0,
            "tid": [p + 1 for p in range(people)] + [9],
            "bbox": [np.zeros(4)] * (people + 1),
            "tracked_time": [0] * people + [2],
            "img_path": ["x.jpg"] * (people + 1),
            "conf": [np.float32(0.9)] * (people + 1),
            "embedding": [torch.arange(7.0)] * (people + 1),
            "size": [[720, 1280]] * (people + 1),
            "smpl": [
                {
                    "global_orient": ROTMAT[p, frame, :1].astype(np.float32),
                    "body_pose": ROTMAT[p, frame, 1:].astype(np.float32),
                    "betas": BETAS[p, frame].astype(np.float32),
                }
                for p in [*range(people), 0]
            ],
        }
    return frames


def wham(people: int = 2) -> dict:
    """As WHAM's demo stores it."""
    results: dict = defaultdict(dict)
    for p in range(people):
        results[p] |= {
            "pose": POSE[p].astype(np.float32),
            "trans": np.zeros((FRAMES, 3), np.float32),
            "pose_world": np.zeros((FRAMES, 72), np.float32),
            "trans_world": np.zeros((FRAMES, 3), np.float32),
            "betas": BETAS[p].astype(np.float32),
            "verts": np.asfortranarray(np.zeros((FRAMES, 11, 3), np.float32)),
            "frame_ids": np.arange(10, 10 + FRAMES),
        }
    return results


def gvhmr() -> dict:
    """As GVHMR's demo stores it: SMPL-X's parameters in the camera's and in a world's axes."""
    pose = torch.from_numpy(POSE[0]).float()
    incam = {
        "body_pose": pose[:, 3:66],
        "betas": torch.from_numpy(BETAS[0]).float(),
        "global_orient": pose[:, :3],
        "transl": torch.zeros(FRAMES, 3),
    }
    away = {name: torch.zeros_like(value) for name, value in incam.items()}
    return {
        "smpl_params_global": away,
        "smpl_params_incam": incam,
        "K_fullimg": torch.eye(3).expand(FRAMES, 3, 3),
        "net_outputs": {"model_output": {"pred_x": torch.zeros(1, FRAMES, 151)}, "static": None},
    }


def tram() -> dict:
    """As TRAM stores a track, by numpy.save of a dictionary of tensors."""
    return {
        "pred_cam": torch.zeros(FRAMES, 3),
        "pred_pose": torch.zeros(FRAMES, 144),
        "pred_shape": torch.from_numpy(BETAS[0]).float(),
        "pred_rotmat": torch.from_numpy(ROTMAT[0]).float(),
        "pred_trans": torch.zeros(FRAMES, 1, 3),
        "frame": torch.arange(20, 20 + FRAMES),
    }


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_phalp_and_4d_humans(tmp_path: Path, compress) -> None:
    joblib.dump(phalp(), tmp_path / "demo_clip.pkl", compress=compress)
    side = read_side(tmp_path / "demo_clip.pkl")
    assert side.count == 2 * FRAMES and side.body == "smpl"  # person 9 was not seen, only expected
    first = side.keys["id"] == "1"
    same_turns(side.keys["pose"][first], POSE[0])
    same_turns(side.keys["pose"][~first], POSE[1])
    np.testing.assert_allclose(side.keys["betas"][~first], BETAS[1], atol=1e-6)
    assert side.keys["image"][first].tolist() == [f"{frame + 1:06d}.jpg" for frame in range(FRAMES)]
    assert side.keys["frame"][first].tolist() == list(range(FRAMES))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_wham(tmp_path: Path, protocol: int) -> None:
    joblib.dump(wham(), tmp_path / "wham_output.pkl", protocol=protocol)
    side = read_side(tmp_path / "wham_output.pkl", person="1")
    np.testing.assert_allclose(side.keys["pose"], POSE[1], atol=1e-6)
    np.testing.assert_allclose(side.keys["betas"], BETAS[1], atol=1e-6)
    assert side.keys["frame"].tolist() == list(range(10, 16)) and "id" not in side.keys
    with pytest.raises(BadInput, match="has no 7; there are 0, 1"):
        read_side(tmp_path / "wham_output.pkl", person="7")


def test_plain_pickles_of_people(tmp_path: Path) -> None:
    (tmp_path / "vibe.pkl").write_bytes(pickle.dumps({np.int64(4): dict(wham(1)[0])}))
    side = read_side(tmp_path / "vibe.pkl")
    np.testing.assert_allclose(side.keys["pose"], POSE[0], atol=1e-6)


@pytest.mark.parametrize("new", [True, False])
def test_gvhmr(tmp_path: Path, new: bool) -> None:
    torch.save(gvhmr(), tmp_path / "hmr4d_results.pt", _use_new_zipfile_serialization=new)
    side = read_side(tmp_path / "hmr4d_results.pt")
    np.testing.assert_allclose(side.keys["pose"][:, :66], POSE[0, :, :66], atol=1e-6)
    assert not side.keys["pose"][:, 66:].any() and side.body == "smplx"


def test_tram(tmp_path: Path) -> None:
    np.save(tmp_path / "hps_track_0.npy", tram())
    np.savez(tmp_path / "emdb.npz", **{name: value.numpy() for name, value in tram().items()})
    for name in ("hps_track_0.npy", "emdb.npz"):
        side = read_side(tmp_path / name)
        same_turns(side.keys["pose"], POSE[0])
        assert side.keys["frame"].tolist() == list(range(20, 26))


def test_amass(tmp_path: Path) -> None:
    arrays = {
        "poses": np.concatenate([POSE[0, :, :66], np.ones((FRAMES, 90))], 1),
        "trans": np.zeros((FRAMES, 3)),
        "betas": np.append(BETAS[0, 0], np.ones(6)),
        "gender": "female",
        "mocap_framerate": 120.0,
    }
    np.savez(tmp_path / "walk_poses.npz", **arrays)
    side = read_side(tmp_path / "walk_poses.npz")
    np.testing.assert_array_equal(side.keys["pose"][:, :66], POSE[0, :, :66])
    np.testing.assert_array_equal(side.keys["betas"], np.tile(BETAS[0, 0], (FRAMES, 1)))
    assert side.body == "smplh" and len(side.notes) == 2 and set(side.keys["gender"]) == {"female"}


def test_our_own_amass_file_scores_as_the_motion_in_the_camera(tmp_path: Path) -> None:
    motion = moving(5)
    write_amass(motion, tmp_path / "p.npz")
    pose = roma.rotmat_to_rotvec(torch.from_numpy(motion.rotmat)).flatten(1).numpy()
    np.savez(tmp_path / "t.npz", pose=pose, betas=np.tile(motion.betas, (5, 1)), frame=np.arange(5))
    scored = score_arrays(tmp_path / "p.npz", tmp_path / "t.npz", PROTOCOLS["open"], root=tmp_path)
    assert scored.per_sample["mpjpe"].max() < 0.01 and scored.per_sample["pve"].max() < 0.01
    assert not scored.report.notes
    write_amass(in_world(motion), tmp_path / "world.npz")
    scored = score_arrays(tmp_path / "world.npz", tmp_path / "t.npz", PROTOCOLS["open"], root=tmp_path)
    assert any("world of its own" in note for note in scored.report.notes)


def test_a_system_is_scored_by_frames(tmp_path: Path) -> None:
    joblib.dump(wham(1), tmp_path / "p.pkl")
    targets = {"pose": POSE[0, 2:5], "betas": BETAS[0, 2:5], "frame": np.array([12, 13, 14])}
    np.savez(tmp_path / "t.npz", **targets)
    scored = score_arrays(tmp_path / "p.pkl", tmp_path / "t.npz", PROTOCOLS["open"], root=tmp_path)
    assert scored.per_sample["mpjpe"].shape == (3,) and scored.per_sample["mpjpe"].max() < 0.01
    assert any("posed on the open body" in note for note in scored.report.notes)
    np.savez(tmp_path / "t.npz", **targets | {"frame": np.array([12, 13, 99])})
    with pytest.raises(BadInput, match="frame 99"):
        score_arrays(tmp_path / "p.pkl", tmp_path / "t.npz", PROTOCOLS["open"], root=tmp_path)


def test_several_people_need_a_choice(tmp_path: Path) -> None:
    joblib.dump(wham(), tmp_path / "p.pkl")
    np.savez(tmp_path / "t.npz", pose=POSE[1], betas=BETAS[1], frame=np.arange(10, 16))
    arguments = (tmp_path / "p.pkl", tmp_path / "t.npz", PROTOCOLS["open"])
    with pytest.raises(BadInput, match="--person ID"):
        score_arrays(*arguments, root=tmp_path)
    assert score_arrays(*arguments, root=tmp_path, person="1").per_sample["mpjpe"].max() < 0.01


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


class Foreign:
    pass


def test_nothing_is_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("a.pkl", wham() | {"x": Harm()}), ("b.pkl", {"pose": Harm()})):
        joblib.dump(value, tmp_path / name)
        with pytest.raises(BadInput, match="could run code"):
            read_side(tmp_path / name)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b"not a pickle", "damaged"),
        (pickle.dumps({"weights": 1, "x": Foreign()}), "none of the known layouts.*weights"),
        (pickle.dumps([1, 2]), "none of the known layouts"),
        (pickle.dumps({"frame.jpg": {"smpl": [], "tid": []}}), "no frame shows anybody"),
        (pickle.dumps({0: {"pose": np.zeros((3, 71)), "betas": np.zeros((3, 10))}}), "damaged"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(BadInput, match=f"p.pkl.*{says}"):
        read_side(tmp_path / "p.pkl")


@pytest.mark.parametrize("compress", [0, 3])
def test_files_that_are_cut_off_are_refused_at_every_length(tmp_path: Path, compress: int) -> None:
    joblib.dump(wham(1), tmp_path / "whole.pkl", compress=compress)
    content = (tmp_path / "whole.pkl").read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        (tmp_path / "cut.pkl").write_bytes(content[:length])
        with pytest.raises(BadInput, match=r"cut\.pkl"):
            read_side(tmp_path / "cut.pkl")


def test_what_unpacks_to_far_too_much_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hmrcli.assets.npy.BOMB", 1 << 20)
    joblib.dump(
        {"pose": np.zeros((30_000, 72)), "betas": np.zeros((30_000, 10))}, tmp_path / "p.pkl", compress=9
    )
    with pytest.raises(BadInput, match="far more"):
        read_side(tmp_path / "p.pkl")
