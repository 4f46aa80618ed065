"""What targets must have before they are scored, and what is said beside the figures."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.joints import H36M as H36M_JOINTS
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation import PROTOCOLS, align_similarity, mpjpe
from hmrcli.evaluation.evaluate import check_labels, evaluate, keypoint_errors, seen_wrong
from hmrcli.evaluation.samples import Samples, open_samples
from hmrcli.evaluation.targets import FLIP_14, check_targets, hints
from hmrcli.layers import Prediction
from hmrcli.recipe.algorithms import CropShape

ROWS = 6
PATH = Path("set.npz")
H36M, PW3D, OPEN = (PROTOCOLS[name] for name in ("h36m", "3dpw", "open"))
ANKLES = [H36M_JOINTS.names.index("left_ankle"), H36M_JOINTS.names.index("right_ankle")]


class Rest(nn.Module):
    """Bodies at rest of one shape, whatever the image."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight, self.body, self.value = nn.Parameter(torch.zeros(1)), load_body("open"), value

    def forward(self, crops):
        images = crops.images
        count = len(images)
        rotmat, betas = torch.eye(3).repeat(count, 24, 1, 1), torch.full((count, 10), self.value)
        return Prediction(torch.zeros(count, 3), self.body(rotmat, betas).vertices, rotmat, betas)


class Maps(nn.Module):
    """Heatmaps of one value."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight, self.value = nn.Parameter(torch.zeros(1)), value

    def forward(self, crops):
        images = crops.images
        return torch.full((len(images), 17, 8, 8), self.value)


@pytest.fixture(scope="module")
def network():
    return Rest().eval()


@pytest.fixture(scope="module")
def joints17(network):
    rotmat = torch.eye(3).repeat(1, 24, 1, 1)
    return network.body.h36m_joints(network.body(rotmat, torch.zeros(1, 10)).vertices)[0].numpy()


def truth(joints17, **changes) -> Annotations:
    """Rows of one person who stands elsewhere, 3 cm off at the left wrist."""
    points = np.tile(joints17, (ROWS, 1, 1)) + np.float32([0.3, 0.2, 4])
    points[:, H36M_JOINTS.names.index("left_wrist"), 0] += 0.03
    fields = {
        "dataset": "set",
        "joints": "h36m",
        "image_path": np.array([f"{i}.png" for i in range(ROWS)]),
        "bbox_xywh": np.tile(np.float32([8, 8, 40, 40]), (ROWS, 1)),
        "keypoints2d": None,
        "keypoints3d": np.concatenate([points, np.ones((ROWS, 17, 1), np.float32)], 2),
        "pose": np.full((ROWS, 72), 0.1, np.float32),
        "betas": np.zeros((ROWS, 10), np.float32),
        "has_smpl": np.ones(ROWS, bool),
        "gender": np.array([*"mfmfmf"]),
    }
    return Annotations(**fields | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(ROWS):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((64, 64, 3), 20 * i, np.uint8))
    return folder


@pytest.mark.parametrize(
    ("genders", "words"),
    [
        ("nnnnnn", "6 of 6 rows are neither m nor f, first row 0"),
        ("mfnfmn", "2 of 6 rows are neither m nor f, first row 2"),
    ],
)
def test_rows_without_gender_are_refused_where_the_truth_depends_on_it(tmp_path, joints17, genders, words):
    rows = truth(joints17, gender=np.array([*genders]))
    write_human_data(tmp_path / "set.npz", rows)
    with pytest.raises(BadInput, match=rf"set\.npz: {words}; the 3dpw protocol .* Give it for each row"):
        open_samples(tmp_path / "set.npz", tmp_path, PW3D, CropShape(32, 32))
    for protocol in (OPEN, H36M):
        with pytest.raises(MissingFile, match="images are missing"):  # the next thing that is looked for
            open_samples(tmp_path / "set.npz", tmp_path, protocol, CropShape(32, 32))


def test_joints_without_confidence_count_neither_in_errors_nor_in_the_alignment(network, joints17, folder):
    whole = truth(joints17)
    keypoints = whole.keypoints3d.copy()
    keypoints[:, ANKLES] = 0
    keypoints[1, H36M_JOINTS.names.index("left_elbow"), :3] = (
        0  # never filled in, whatever the confidence says
    )
    rows = truth(joints17, keypoints3d=keypoints)
    found = check_targets(rows, H36M, PATH)
    assert found.rows.tolist() == list(range(ROWS))
    assert any(
        note.startswith("13 of 84 true joints have no label")
        and note.endswith("in all rows right_ankle, left_ankle: 12 joints were scored")
        for note in found.notes
    )
    bodies = {"neutral": network.body}
    _, (errors,) = evaluate(network, Samples(rows, folder, CropShape(32, 32)), H36M, bodies)
    np.testing.assert_allclose(
        errors.metrics["mpjpe"], 30 / np.where(np.arange(ROWS) == 1, 11, 12), atol=1e-3
    )
    ours, theirs = (
        1000 * torch.from_numpy(p)[None, [j for j in EVALUATION_14_FROM_H36M if j not in ANKLES]].double()
        for p in (joints17, whole.keypoints3d[0, :, :3])
    )
    by_hand = mpjpe(align_similarity(ours, theirs), theirs)
    np.testing.assert_allclose(errors.metrics["pa_mpjpe"][0], by_hand[0], atol=1e-3)
    assert np.isnan(errors.joints[:, EVALUATION_14_FROM_H36M.index(ANKLES[0])]).all()
    _, (all14,) = evaluate(network, Samples(whole, folder, CropShape(32, 32)), H36M, bodies)
    np.testing.assert_allclose(all14.metrics["mpjpe"], 30 / 14, atol=1e-3)


def test_rows_without_pelvis_or_with_too_few_joints_are_left_out_and_counted(joints17):
    keypoints = truth(joints17).keypoints3d.copy()
    keypoints[1, 0, 3] = 0
    keypoints[4, 3:, 3] = 0  # a pelvis and two joints
    found = check_targets(truth(joints17, keypoints3d=keypoints), H36M, PATH)
    assert found.rows.tolist() == [0, 2, 3, 5]
    assert any(
        "2 of 6 rows were left out, first row 1: 1 lack the pelvis" in n and "1 have fewer than 3" in n
        for n in found.notes
    )
    keypoints[:, 0, 3] = 0
    with pytest.raises(BadInput, match=r"set\.npz: none of 6 rows has 3D joints .* 6 lack the pelvis"):
        check_targets(truth(joints17, keypoints3d=keypoints), H36M, PATH)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (3.28, "feet"), (0.001, "kilometres")]
)
def test_joints_in_another_unit_than_metres_are_refused(joints17, factor, unit):
    keypoints = truth(joints17).keypoints3d.copy()
    keypoints[:, ANKLES] = 0  # the origin is not part of the person
    keypoints[..., :3] *= factor
    with pytest.raises(BadInput, match=rf"3D joints: people measure [\d.e+]+ m in the median.* in {unit}"):
        check_targets(truth(joints17, keypoints3d=keypoints), H36M, PATH)
    keypoints[1:, :, :3] /= factor
    if factor > 10:
        found = check_targets(truth(joints17, keypoints3d=keypoints), H36M, PATH)
        assert any("1 rows cannot be people in metres" in n and "first row 0" in n for n in found.notes)


def test_bodies_that_are_none_are_refused_or_said(joints17):
    rows = truth(joints17)
    with pytest.raises(BadInput, match="6 of 6 rows have no body parameters, first row 0"):
        check_targets(replace(rows, has_smpl=np.zeros(ROWS, bool)), OPEN, PATH)
    with pytest.raises(BadInput, match=r"the largest turn of a pose is 27.* convert degrees to radians"):
        check_targets(replace(rows, pose=rows.pose + 16), OPEN, PATH)
    with pytest.raises(BadInput, match=r"6 of 6 rows have a pose and shape of zeros.*nothing is known"):
        check_targets(replace(rows, pose=0 * rows.pose), OPEN, PATH)
    pose = rows.pose.copy()
    pose[3] = 0
    assert "1 of 6 rows have a pose and shape of zeros, first row 3" in " ".join(
        check_targets(replace(rows, pose=pose), OPEN, PATH).notes
    )
    with pytest.raises(BadInput, match="keypoints3d is missing"):
        check_targets(replace(rows, keypoints3d=None), H36M, PATH)


def test_sets_that_a_protocol_does_not_fit_are_said_to_be_others(joints17):
    rows = truth(joints17)
    for protocol, title in ((H36M, "Human3.6M, protocol 2"), (PW3D, "3DPW test, protocol 2")):
        (note,) = check_targets(rows, protocol, PATH).notes
        assert note.startswith(f"6 of 6 images are not named as those of {title}")
    assert check_targets(rows, OPEN, PATH).notes == (
        "6 of 6 rows are labelled m or f; the open protocol has one body for all",
    )
    names = [f"S11/images/S11_Posing.60457274/S11_Posing.60457274_{i:06}.jpg" for i in range(ROWS)]
    assert check_targets(replace(rows, image_path=np.array(names)), H36M, PATH).notes == ()
    names = [f"imageFiles/downtown_bar_00/image_{i:05}.jpg" for i in range(ROWS)]
    assert check_targets(replace(rows, image_path=np.array(names)), PW3D, PATH).notes == ()
    names[4] = names[2]
    assert check_targets(replace(rows, image_path=np.array(names)), PW3D, PATH).notes == (
        "1 rows repeat the image and box of another, first row 2: each was scored",
    )


def test_a_process_without_rows_does_nothing(network, joints17, folder):
    samples = Samples(truth(joints17), folder, CropShape(32, 32))
    for protocol in (H36M, OPEN):
        rows, (errors,) = evaluate(network, samples, protocol, {"neutral": network.body}, rows=[], workers=2)
        assert len(rows) == 0 and errors.joints.shape == errors.joints_aligned.shape == (0, 14)
        assert {values.shape for values in errors.metrics.values()} == {(0,)}
    keypoints = np.zeros((ROWS, 17, 3), np.float32)
    labelled = Samples(
        replace(samples.annotations, joints="coco_17", keypoints2d=keypoints, keypoints3d=None),
        folder,
        CropShape(32, 32),
    )
    assert keypoint_errors(Maps().eval(), labelled, []).shape == (0,)


def test_answers_that_are_not_finite_are_refused_and_named(joints17, folder):
    samples, broken = Samples(truth(joints17), folder, CropShape(32, 32)), Rest(float("nan")).eval()
    with pytest.raises(BadInput, match=r"answer to 0\.png .* not finite: .* training diverged"):
        evaluate(broken, samples, OPEN, {"neutral": broken.body})
    keypoints = np.ones((ROWS, 17, 3), np.float32)
    labelled = replace(samples.annotations, joints="coco_17", keypoints2d=keypoints, keypoints3d=None)
    with pytest.raises(BadInput, match=r"answer to 0\.png .* not finite"):
        keypoint_errors(Maps(float("nan")).eval(), samples._replace(annotations=labelled), range(ROWS))


def test_sets_without_2d_joints_measure_no_heatmaps(joints17):
    rows = replace(truth(joints17), joints="coco_17", keypoints3d=None)
    for keypoints in (None, np.zeros((ROWS, 17, 3), np.float32)):
        with pytest.raises(BadInput, match=r"set\.npz: none of 6 rows has 2D joints"):
            check_labels(replace(rows, keypoints2d=keypoints), PATH)
    keypoints = np.zeros((ROWS, 17, 3), np.float32)
    keypoints[2, 3] = 1
    check_labels(replace(rows, keypoints2d=keypoints), PATH)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p[:, FLIP_14], "left and right joints exchanged"),
        (lambda p: p * torch.tensor([1.0, -1, -1]), "as where y points up"),
        (lambda p: p * torch.tensor([1.0, -1, 1]), "with y of the other sign"),
        (lambda p: 0.3048 * p, "spread 0.3. times as far"),
        (lambda p: 3.28 * p, "predicted people measure 5.* m in the median"),
        (lambda p: 0 * p, "all predicted joints of 40 rows lie in one place"),
    ],
)
def test_other_conventions_are_hinted_at(joints17, change, words):
    generator = torch.Generator().manual_seed(0)
    points = 1000 * torch.from_numpy(joints17 - joints17[:1])[list(EVALUATION_14_FROM_H36M)].double()
    true = points + 80 * torch.randn(40, 14, 3, generator=generator, dtype=torch.float64)
    ours = true + 60 * torch.randn(40, 14, 3, generator=generator, dtype=torch.float64)
    assert hints(ours, true) == []
    (valid := torch.ones(40, 14, dtype=torch.bool))[:, 3] = False
    for mask in (None, valid):
        assert re.search(words, " ".join(hints(change(ours).double(), true, mask)))


@pytest.mark.parametrize(("sign", "reading"), [((1, -1, 1), "y"), ((1, 1, -1), "z")])
def test_a_mirror_image_has_one_name(joints17, sign, reading):
    points = 1000 * torch.from_numpy(joints17 - joints17[:1])[list(EVALUATION_14_FROM_H36M)].double()
    true = points + 80 * torch.randn(
        40, 14, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    notes = hints(true * true.new_tensor(sign), true)
    assert len(notes) == 2 and all(f"with {reading} of the other sign" in note for note in notes)


def test_networks_are_looked_at_for_other_conventions(network, joints17, folder):
    keypoints = truth(joints17).keypoints3d[:, list(H36M_JOINTS.flip)]
    samples = Samples(truth(joints17, keypoints3d=keypoints), folder, CropShape(32, 32))
    rows = np.arange(ROWS)
    notes = seen_wrong(network, samples, H36M, {"neutral": network.body}, rows)
    assert any("left and right joints exchanged" in note for note in notes)
    good = Samples(truth(joints17), folder, CropShape(32, 32))
    assert seen_wrong(network, good, H36M, {"neutral": network.body}, rows) == []
