"""The loop over a test set, with a network whose answers are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from hmrcli.body import load_body
from hmrcli.data.annotations import Annotations
from hmrcli.errors import BadInput
from hmrcli.evaluation import PROTOCOLS, mpjpe
from hmrcli.evaluation.evaluate import evaluate
from hmrcli.evaluation.protocols import SCORED
from hmrcli.evaluation.samples import Samples
from hmrcli.layers import Crops, Prediction
from hmrcli.recipe.algorithms import CropShape

ROWS = 10


class Grey(nn.Module):
    """Bodies whose third beta is the image's grey level; a free mesh 10 mm wider counts them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.body, self.calls, self.fail_at = load_body("open"), 0, -1

    def forward(self, crops: Crops) -> Prediction:
        images = crops.images
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        rotmat = torch.eye(3).repeat(len(images), 24, 1, 1)
        betas = torch.zeros(len(images), 10)
        betas[:, 2] = images.mean((1, 2, 3))
        vertices = self.body(rotmat, betas).vertices
        return Prediction(
            torch.zeros(len(images), 3), vertices, rotmat, betas, mesh_levels=(vertices * 1.01,)
        )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("images")
    for i in range(ROWS):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((64, 64, 3), 20 * i, np.uint8))
    return Samples(
        Annotations(
            dataset="grey",
            joints="evaluation_14",
            image_path=np.array([f"{i}.png" for i in range(ROWS)]),
            bbox_xywh=np.tile(np.float32([8, 8, 40, 40]), (ROWS, 1)),
            keypoints2d=None,
            keypoints3d=None,
            pose=np.zeros((ROWS, 72), np.float32),
            betas=np.zeros((ROWS, 10), np.float32),
            has_smpl=np.ones(ROWS, bool),
            gender=np.array(["n"] * ROWS),
        ),
        folder,
        CropShape(32, 32),
    )


def scored(network: Grey, samples: Samples, **options: object) -> tuple[np.ndarray, list]:
    protocol = PROTOCOLS["open"]
    return evaluate(network.eval(), samples, protocol, {"neutral": network.body}, batch_size=3, **options)


def test_each_sample_has_its_own_error(samples: Samples) -> None:
    network = Grey()
    rows, (errors,) = scored(network, samples)
    assert rows.tolist() == list(range(ROWS)) and network.calls == 4
    assert set(errors.metrics) == set(PROTOCOLS["open"].network_metrics)
    means = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    betas = torch.zeros(ROWS, 10)
    betas[:, 2] = torch.tensor([((20 * i - means[0]) / means[1]).mean() for i in range(ROWS)])
    body, rotmat = network.body, torch.eye(3).repeat(ROWS, 24, 1, 1)
    own, true = (body.h36m_joints(body(rotmat, b).vertices) for b in (betas, torch.zeros(ROWS, 10)))
    own, true = (1000 * (j - j[:, :1])[:, SCORED] for j in (own, true))
    assert np.allclose(errors.metrics["mpjpe"], mpjpe(own, true), atol=1e-2)
    assert np.allclose(errors.joints.mean(1), errors.metrics["mpjpe"], atol=1e-3)
    assert np.allclose(errors.joints_aligned.mean(1), errors.metrics["pa_mpjpe"], atol=1e-3)


def test_both_meshes_of_a_network_are_scored(samples: Samples) -> None:
    _, (parametric, free) = scored(Grey(), samples, surfaces=("parametric", "free"))
    assert (parametric.surface, free.surface) == ("parametric", "free")
    assert not np.allclose(parametric.metrics["mpjpe"], free.metrics["mpjpe"], atol=1)
    assert np.allclose(parametric.metrics["pa_mpjpe"], free.metrics["pa_mpjpe"], atol=1e-3)  # a scale alone


def test_an_interrupted_evaluation_goes_on_where_it_was(samples: Samples, tmp_path: Path) -> None:
    kept, whole = tmp_path / "unfinished", scored(Grey(), samples)[1][0]
    first, seen = Grey(), []
    first.fail_at = 3
    with pytest.raises(KeyboardInterrupt):
        scored(first, samples, unfinished=kept, signature="a")
    second = Grey()
    _, (errors,) = scored(
        second, samples, unfinished=kept, signature="a", progress=lambda *place: seen.append(place)
    )
    assert second.calls == 2 and seen == [(6, ROWS), (9, ROWS), (10, ROWS)]
    assert all(np.array_equal(errors.metrics[name], whole.metrics[name]) for name in whole.metrics)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_saved_rows_of_another_evaluation_or_damaged_ones_are_not_used(
    samples: Samples, tmp_path: Path, content: bytes
) -> None:
    scored(Grey(), samples, unfinished=tmp_path, signature="a")
    other = Grey()
    scored(other, samples, unfinished=tmp_path, signature="b")
    assert other.calls == 4
    (saved,) = tmp_path.iterdir()
    saved.write_bytes(content)
    torn = Grey()
    scored(torn, samples, unfinished=tmp_path, signature="b")
    assert torn.calls == 4


def test_shares_of_the_rows_together_are_the_whole(samples: Samples) -> None:
    whole = scored(Grey(), samples)[1][0].metrics["mpjpe"]
    for start in (0, 1):
        rows, (errors,) = scored(Grey(), samples, rows=range(start, ROWS, 2))
        assert rows.tolist() == list(range(start, ROWS, 2))
        assert np.allclose(errors.metrics["mpjpe"], whole[start::2], atol=1e-4)


def test_an_image_that_is_none_is_named(samples: Samples, tmp_path: Path) -> None:
    for i in range(ROWS):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"0\.png"):
        scored(Grey(), samples._replace(folder=tmp_path))
