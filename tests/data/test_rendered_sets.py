"""Sets that are rendered while training, with a painter in place of the renderer."""

import cv2
import numpy as np
import pytest

from hmrcli.data.sets import RenderedSet
from hmrcli.scenes import labels
from hmrcli.scenes.labels import Sample


@pytest.fixture
def painted(monkeypatch) -> list[int]:
    """Rows that were rendered, in order."""
    rows: list[int] = []

    def render(split_name: str, row: int) -> Sample:
        rows.append(row)
        random = np.random.default_rng(row)
        image = random.integers(0, 255, (64, 64, 3), np.uint8)
        return Sample(
            jpeg=cv2.imencode(".jpg", image)[1].tobytes(),
            bbox_xywh=np.float32([4, 5, 50, 40]),
            keypoints2d=random.uniform(1, 60, (54, 3)).astype(np.float32),
            keypoints3d=random.uniform(-1, 1, (54, 4)).astype(np.float32),
            pose=random.normal(size=72).astype(np.float32),
            betas=random.normal(size=10).astype(np.float32),
            has_smpl=True,
            transl=np.zeros(3, np.float32),
            intrinsics=np.eye(3, dtype=np.float32),
            parts=np.zeros((64, 64), np.uint8),
        )

    monkeypatch.setattr(labels, "render_sample", render)
    return rows


def same(one, other) -> bool:
    names = one.labels.keys() == other.labels.keys()
    values = all(np.array_equal(one.labels[name], other.labels[name]) for name in one.labels)
    return names and values and np.array_equal(one.image, other.image)


def test_a_row_is_rendered_once_and_read_afterwards(painted, tmp_path):
    first = RenderedSet("open-studio", 9, "smpl_54", tmp_path / "open-studio")
    made = [first.read(row) for row in (3, 5, 3)]
    assert painted == [3, 5]
    assert same(made[0], made[2]) and not same(made[0], made[1])
    assert first.image(3).is_file()
    again = RenderedSet("open-studio", 9, "coco_17", tmp_path / "open-studio").read(5)
    assert painted == [3, 5]
    assert np.array_equal(again.labels["keypoints2d"][0], made[1].labels["keypoints2d"][24])  # the nose


def test_joints_that_are_not_labelled_have_no_confidence(painted, tmp_path):
    images = RenderedSet("open-studio", 9, "smpl_49", tmp_path / "open-studio")
    for _ in range(2):  # rendered, and read
        keypoints = images.read(0).labels["keypoints2d"]
        assert keypoints.shape == (49, 3)
        assert not keypoints[:25].any()  # OpenPose's
        assert keypoints[25:].all()


@pytest.mark.parametrize("spoilt", ["image", "labels"])
def test_a_damaged_row_is_rendered_anew(painted, tmp_path, spoilt):
    images = RenderedSet("open-studio", 9, "smpl_54", tmp_path / "open-studio")
    made = images.read(0)
    (file,) = (tmp_path / "open-studio").glob("**/*.jpg" if spoilt == "image" else "**/*.safetensors")
    file.write_bytes(file.read_bytes()[:40] if spoilt == "labels" else b"")
    assert same(images.read(0), made) and same(images.read(0), made)
    assert painted == [0, 0]


def test_a_folder_that_cannot_be_written_to_only_costs_time(painted, tmp_path):
    (tmp_path / "open-studio").write_text("in the way")
    images = RenderedSet("open-studio", 9, "smpl_54", tmp_path / "open-studio")
    assert same(images.read(0), images.read(0))
    assert painted == [0, 0]
