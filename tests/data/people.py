"""Annotations to write, read and break."""

import numpy as np

from hmrcli.body.joints import joint_set
from hmrcli.data.annotations import Annotations


def people(count: int = 7, joints: str = "human_data", seed: int = 0, **changes) -> Annotations:
    """Random people with every kind of label; some without a body."""
    rng = np.random.default_rng(seed)
    size = len(joint_set(joints))

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    def keypoints(width: int) -> np.ndarray:
        values = numbers(size, width)
        values[..., -1] = rng.integers(0, 2, (count, size))
        return values

    known = rng.integers(0, 2, count).astype(bool)
    fields = {
        "dataset": "walks",
        "joints": joints,
        "image_path": np.array([f"walk/{'é' * (i % 3)}{i:05d}.jpg" for i in range(count)]),
        "bbox_xywh": rng.uniform(1, 500, (count, 4)).astype(np.float32),
        "keypoints2d": keypoints(3),
        "keypoints3d": keypoints(4),
        "pose": numbers(72) * known[:, None],
        "betas": numbers(10) * known[:, None],
        "has_smpl": known,
        "gender": rng.choice(["m", "f", "n"], count),
        "transl": numbers(3),
    }
    return Annotations(**fields | changes)


def assert_same(left: Annotations, right: Annotations, *but: str) -> None:
    """Every field equal, in every row."""
    assert left.arrays().keys() - set(but) == right.arrays().keys() - set(but)
    assert left.joints == right.joints and left.dataset == right.dataset
    for name, array in left.arrays().items():
        if name not in but:
            np.testing.assert_array_equal(array, right.arrays()[name], err_msg=name)
            assert array.dtype.kind == right.arrays()[name].dtype.kind


def rewrite(path, target=None, drop=(), **changes):
    """The npz file with some fields changed."""
    with np.load(path, allow_pickle=True) as stored:
        fields = {name: stored[name] for name in stored.files if name not in drop}
    np.savez(target or path, **fields | changes)
    return target or path
