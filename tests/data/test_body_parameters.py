import numpy as np
import pytest

from hmrcli.data.body_parameters import read_fits, read_poses, write_fits
from hmrcli.errors import BadInput, MissingFile


def test_poses_for_the_adversary(tmp_path):
    rng = np.random.default_rng(0)
    smpl = {
        "global_orient": rng.normal(size=(6, 3)),
        "body_pose": rng.normal(size=(6, 23, 3)),
        "betas": rng.normal(size=(6, 10)),
    }
    path = tmp_path / "cmu_mosh.npz"
    np.savez_compressed(path, smpl=smpl, __keypoints_compressed__=False)
    pose, betas = read_poses(path)
    np.testing.assert_array_equal(pose[:, :3], smpl["global_orient"].astype(np.float32))
    np.testing.assert_array_equal(pose[:, 3:], smpl["body_pose"].reshape(6, 69).astype(np.float32))
    np.testing.assert_array_equal(betas, smpl["betas"].astype(np.float32))
    smpl["betas"][4, 9] = np.nan
    np.savez_compressed(path, smpl=smpl)
    with pytest.raises(BadInput, match=r"field smpl\.betas, row 4: expected finite numbers, got"):
        read_poses(path)
    np.savez_compressed(path, pose=smpl["betas"])
    with pytest.raises(BadInput, match="field smpl is missing; the file has pose"):
        read_poses(path)
    path.unlink()
    with pytest.raises(MissingFile, match=r"hmr download cmu_mosh.npz"):
        read_poses(path)


def test_static_fits(tmp_path):
    path = tmp_path / "coco_fits.npy"
    fits = np.random.default_rng(0).normal(size=(5, 82))
    np.save(path, fits)
    pose, betas = read_fits(path)
    np.testing.assert_array_equal(np.concatenate([pose, betas], 1), fits.astype(np.float32))
    pose[0], betas[0] = 0, 0  # training replaces fits
    fits[3, 7] = np.inf
    np.save(path, fits)
    with pytest.raises(BadInput, match=r"coco_fits\.npy, row 3: expected finite numbers"):
        read_fits(path)
    np.save(path, fits[:, :80])
    with pytest.raises(
        BadInput, match=r"expected numbers in shape \(N, 82\), the file has float64 in \(5, 80\)"
    ):
        read_fits(path)
    path.unlink()
    with pytest.raises(MissingFile, match=r"Run: hmr download coco_fits.npy$"):
        read_fits(path)


def test_fits_that_changed_since_they_were_written_are_refused(tmp_path):
    path = tmp_path / "x_fits.npy"
    fits = np.random.default_rng(0).normal(size=(5, 82)).astype(np.float32)
    write_fits(path, fits)
    pose, betas = read_fits(path)
    np.testing.assert_array_equal(np.concatenate([pose, betas], 1), fits)
    damaged = bytearray(path.read_bytes())
    damaged[-9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BadInput, match=r"x_fits\.npy: its SHA-256 is not the one in x_fits\.npy\.sha256"):
        read_fits(path)
    np.save(path, fits)  # published ones have no record beside them
    (tmp_path / "x_fits.npy.sha256").unlink()
    assert len(read_fits(path)[0]) == 5
