"""Fixtures for tests of every room."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from hmrcli.assets.open_sets import OPEN_SETS

# How fast a busy machine is, is not what is tested.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, so that two runs can be compared bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the drawing at the end of a run, which takes as long as its steps; for tests of something else."""
    monkeypatch.setattr("hmrcli.training.record.draw_curves", lambda folder: None)


@pytest.fixture(scope="session")
def open_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the first four rows of each training set of the open benchmark and of open-test, to be read."""
    from hmrcli.scenes.dataset import write_set

    root = tmp_path_factory.mktemp("open")
    for name in OPEN_SETS:
        if name != "open-wild":
            write_set(root, name, 4, masks=name == "open-fitted")
    return root


@pytest.fixture(scope="module")
def narrow_backbones() -> Iterator[None]:
    """Puts backbones of an eighth of the width in the place of the real ones, for tests of what is around them.

    GraphCMR's stays, whose features have a fixed length.
    """
    from hmrcli.algorithms import cliff, graphormer, hmr, pare, pose
    from hmrcli.layers.hrnet import ClassificationHRNet, PoseHRNet
    from hmrcli.layers.resnet import BasicBlock, Bottleneck, ResNet

    narrow = {
        "resnet18": lambda: ResNet(BasicBlock, (2, 2, 2, 2), width=8),
        "resnet50": lambda: ResNet(Bottleneck, (3, 4, 6, 3), width=8),
        "hrnet_w32": lambda: PoseHRNet(8),
        "hrnet_w48": lambda: ClassificationHRNet(8),
    }
    with pytest.MonkeyPatch.context() as patch:
        for algorithm in (cliff, hmr, pose):
            for name in algorithm.BACKBONES:
                patch.setitem(algorithm.BACKBONES, name, narrow[name])
        patch.setitem(pare.BACKBONES, "hrnet_w32", narrow["hrnet_w32"])
        patch.setitem(graphormer.BACKBONES, "hrnet_w48", narrow["hrnet_w48"])
        yield
