"""Golden vectors: reading them, and regenerating the weights that made them (tests/golden/README.md)."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hmrcli.body.levels import MeshLevels
from hmrcli.body.model import BodyOutput
from hmrcli.layers.mean_parameters import MeanParameters, load_mean_parameters
from hmrcli.layers.unused import unused_names

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as data:
        return dict(data)


def mean_parameters() -> MeanParameters:
    return load_mean_parameters(FOLDER / "smpl_mean_params.npz")


def regenerate(network: nn.Module) -> None:
    """Fills a network with the weights that its parameters' names stand for."""
    mean = dict(zip(("init_pose", "init_shape", "init_cam"), mean_parameters(), strict=True))
    state = network.state_dict()
    unread = unused_names(network)
    for name, value in state.items():
        last = name.rpartition(".")[2]
        if value.is_floating_point() and last != "temperature" and name not in unread:
            value.copy_(mean[last] if last in mean else torch.from_numpy(_weight(name, tuple(value.shape))))


def images() -> Tensor:
    return torch.from_numpy(_normal("image", (2, 3, 224, 224)))


def assert_close(actual: Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """Equal to `tolerance` of the largest expected number."""
    assert tuple(actual.shape) == expected.shape
    difference = np.abs(actual.numpy() - expected).max()
    assert difference <= tolerance * np.abs(expected).max(), difference


class MadeUpBody:
    """A body on the made-up mesh of the golden vectors, rigid but for a shift by its shape."""

    def __init__(self, v_template: np.ndarray) -> None:
        data = golden("mesh_hierarchy")
        count = len(v_template)
        sizes = (count, len(data["D0"]), len(data["D1"]))
        regressor = torch.zeros(17, count)
        regressor.scatter_(
            1, torch.from_numpy(data["h36m_index"]).long(), torch.from_numpy(data["h36m_weight"])
        )
        rng = np.random.default_rng(0)
        weights = rng.dirichlet(np.ones(3), count).astype(np.float32)
        middle_weights = rng.dirichlet(np.ones(3), sizes[1]).astype(np.float32)
        self.v_template = torch.from_numpy(v_template)
        self.h36m_regressor = regressor
        self.levels = MeshLevels(
            sizes=sizes,
            down=(data["D0"].astype(np.int64), data["D1"].astype(np.int64)),
            up=(
                (rng.integers(0, sizes[1], (count, 3)), weights),
                (rng.integers(0, sizes[2], (sizes[1], 3)), middle_weights),
            ),
            edges=(np.zeros((2, 0), np.int64), data["A1"].astype(np.int64), data["A2"].astype(np.int64)),
        )

    def __call__(self, rotmat: Tensor, betas: Tensor) -> BodyOutput:
        joints = rotmat.new_zeros(len(rotmat), 24, 3)
        return BodyOutput(self.v_template @ rotmat[:, 0].mT + betas[:, None, :3], joints)


def _normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = zlib.crc32(f"dev/{name}".encode()) & 0x7FFFFFFF
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    a = _normal(name, shape)
    last = name.rpartition(".")[2]
    if last == "running_var":
        return 1 + 0.1 * np.abs(a)
    if last == "running_mean":
        return 0.05 * a
    if name.endswith("bias") or last == "b":
        return 0.02 * a
    if len(shape) <= 1:
        return 0.7 * (1 + 0.1 * a)
    return a / np.sqrt(np.prod(shape[1:])).astype(np.float32)
