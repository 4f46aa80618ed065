"""Labels of the open data set: exact ones agree with the picture, the others err as much as is stated."""

import cv2
import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.joints import COCO_17, PARENTS
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.scenes import labels
from hmrcli.scenes.faults import (
    ANNOTATION,
    COCO_DEVIATIONS,
    ENDS,
    FITS_WORSE,
    IN_DEPTH,
    IN_PLANE,
    SHAPE_KEPT,
    SHAPE_NOISE,
    SWAPPED,
    annotated_keypoints,
    draw_misfit,
    fitted_bodies,
    measured_keypoints,
)
from hmrcli.scenes.labels import MARGIN, render_sample
from hmrcli.scenes.splits import SIZE, SPLITS
from hmrcli.scenes.subjects import draw_subject, first_fits, generator, true_bodies


@pytest.fixture(scope="module")
def samples():
    return {name: [render_sample(name, index) for index in range(4)] for name in SPLITS}


def exact(samples):
    return [sample for name in ("open-studio", "open-test", "open-wild") for sample in samples[name]]


def test_2d_labels_are_projections_of_the_labelled_body(samples):
    body = load_body("open")
    for sample in exact(samples):
        with torch.no_grad():
            rotmat = rotmat_from_pose(torch.from_numpy(sample.pose[None]))
            output = body(rotmat, torch.from_numpy(sample.betas[None]), torch.from_numpy(sample.transl[None]))
            joints = body.smpl_54_joints(output)[0].double().numpy()
        image = joints @ sample.intrinsics.T.astype(np.float64)
        assert image[:, :2] / image[:, 2:] == pytest.approx(sample.keypoints2d[:, :2], abs=1e-3)
        assert joints - joints[0] == pytest.approx(sample.keypoints3d[:, :3], abs=1e-5)


def test_pictures_boxes_and_masks_belong_together(samples):
    hits = []
    for name, part in samples.items():
        for sample in part:
            image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (SIZE, SIZE, 3) and image.std() > 5
            assert sample.parts.shape == (SIZE, SIZE) and 3 <= len(np.unique(sample.parts)) <= 25
            if SPLITS[name].labels != "exact":
                continue
            places, seen = sample.keypoints2d[:, :2], sample.keypoints2d[:, 2] > 0
            inside = ((places >= 0) & (places < SIZE)).all(1)
            assert not seen[~inside].any() and seen.any()
            low, high = places[inside].min(0), places[inside].max(0)
            assert sample.bbox_xywh[2:] == pytest.approx(MARGIN * (high - low), abs=1e-2)
            assert sample.bbox_xywh[:2] + sample.bbox_xywh[2:] / 2 == pytest.approx(
                (low + high) / 2, abs=1e-2
            )
            # Wrists, ankles and the head lie on the parts that are named after them, where they are seen.
            rows = [j for j in (15, 20, 21, 7, 8) if seen[j]]
            hits += [
                j + 1 in sample.parts[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
                for j, (x, y) in zip(rows, places[rows].astype(int))
            ]
    assert len(hits) > 30 and np.mean(hits) > 0.7  # the body hides some of its own


def test_what_stands_before_a_joint_hides_it(monkeypatch):
    plain = render_sample("open-studio", 0)
    assert plain.keypoints2d[:, 2].all()
    knee = plain.keypoints2d[4, :2].astype(int)
    real = labels.paint_scene

    def covered(scene, body):
        painting = real(scene, body)
        around = np.s_[knee[1] - 6 : knee[1] + 7, knee[0] - 6 : knee[0] + 7]
        painting.people[around] = 1  # somebody else
        return painting

    monkeypatch.setattr(labels, "paint_scene", covered)
    hidden = render_sample("open-studio", 0)
    assert hidden.keypoints2d[4, 2] == 0 and hidden.keypoints2d[15, 2] == 1
    assert np.array_equal(hidden.keypoints2d[:, :2], plain.keypoints2d[:, :2])
    assert (hidden.parts > 0).sum() < (plain.parts > 0).sum()


def labelled(rows):
    """Poses and shapes that the labels of open-fitted's first rows give."""
    misfits = [draw_misfit(generator(SPLITS["open-fitted"], row, "faults")) for row in range(rows)]
    return fitted_bodies(*true_bodies("open-fitted", rows), misfits)


def test_each_part_knows_what_it_says(samples):
    for sample in samples["open-keypoints"]:
        assert not sample.has_smpl and sample.keypoints3d is None and not sample.pose.any()
        others = np.setdiff1d(np.arange(54), COCO_17.from_54)
        assert not sample.keypoints2d[others].any() and sample.keypoints2d[list(COCO_17.from_54), 2].any()
    for index, sample in enumerate(samples["open-fitted"]):
        truth = draw_subject(SPLITS["open-fitted"], index)
        assert sample.has_smpl and not np.allclose(sample.pose, truth.pose, atol=0.05)
        pose, betas = labelled(index + 1)
        assert sample.pose == pytest.approx(pose[index], abs=1e-5)
        assert sample.betas == pytest.approx(betas[index], abs=1e-5)
    for index, sample in enumerate(samples["open-studio"]):
        assert np.array_equal(sample.pose, draw_subject(SPLITS["open-studio"], index).pose)


def turns(pose, wrong):
    """(N, 24, 3) axis-angle by which each part as a whole is turned in the camera's frame."""
    whole = []
    for values in (pose, wrong):
        local = rotmat_from_pose(torch.from_numpy(values).double()).numpy()
        for joint, parent in enumerate(PARENTS):
            if parent >= 0:
                local[:, joint] = local[:, parent] @ local[:, joint]
        whole.append(local)
    between = whole[1] @ whole[0].swapaxes(-1, -2)
    return np.array([[cv2.Rodrigues(matrix)[0][:, 0] for matrix in row] for row in between])


@pytest.mark.parametrize("worse", [1.0, FITS_WORSE])
def test_fitted_bodies_err_as_much_as_is_stated(worse):
    count, random = 300, np.random.default_rng(0)
    pose = random.normal(0, 0.4, (count, 72)).astype(np.float32)
    betas = random.normal(0, 1, (count, 10)).astype(np.float32)
    misfits = [draw_misfit(np.random.default_rng(seed), worse) for seed in range(count)]
    wrong, shapes = fitted_bodies(pose, betas, misfits)
    found = np.sqrt(np.square(turns(pose, wrong)).mean(0))  # (24, 3)
    severity = np.sqrt(1 + 1 / 12)  # root mean square of numbers drawn evenly from 0.5 to 1.5
    expected = worse * severity * np.array([IN_DEPTH, IN_DEPTH, IN_PLANE])
    inner = [0, 1, 2, 3, 4, 5, 6, 9, 12, 16, 17, 18, 19]
    assert found[inner].mean(0) == pytest.approx(expected, rel=0.06)
    assert found[[7, 8, 20, 21]].mean(0) == pytest.approx(ENDS * expected, rel=0.08)
    error = shapes - SHAPE_KEPT * betas
    assert error.std() == pytest.approx(worse * SHAPE_NOISE, rel=0.05) and abs(error.mean()) < 0.05


def test_the_error_of_a_joint_relative_to_its_parent_is_10_to_20_degrees():
    true = np.stack([draw_subject(SPLITS["open-fitted"], index).pose for index in range(200)])
    wrong, _ = labelled(200)
    a, b = (rotmat_from_pose(torch.from_numpy(pose).double()) for pose in (true, wrong))
    between = (b @ a.mT).numpy().reshape(-1, 3, 3)
    angles = np.degrees([np.linalg.norm(cv2.Rodrigues(matrix)[0]) for matrix in between]).reshape(-1, 24)
    typical = angles.mean(0)
    assert 10 < np.median(typical) < 20 and typical.min() > 8 and typical.max() < 26
    fits, _ = first_fits("open-fitted", 200)
    worse = (rotmat_from_pose(torch.from_numpy(fits).double()) @ a.mT).numpy().reshape(-1, 3, 3)
    assert np.mean([np.linalg.norm(cv2.Rodrigues(m)[0]) for m in worse]) > 1.3 * np.radians(angles).mean()


def test_annotators_err_as_cocos_do():
    keypoints = np.ones((54, 3), np.float32)
    keypoints[:, :2] = 500 * np.arange(108).reshape(54, 2)  # apart, so that swaps are seen
    area, columns = 5000.0, list(COCO_17.from_54)
    drawn = np.stack([annotated_keypoints(keypoints, area, np.random.default_rng(s)) for s in range(3000)])
    assert not drawn[:, np.setdiff1d(np.arange(54), columns)].any() and (drawn[:, columns, 2] == 1).all()
    moved = drawn[:, columns, :2] - keypoints[columns, :2]
    distances = np.linalg.norm(moved, axis=-1)
    swapped = distances > 200
    assert swapped.any(1).mean() == pytest.approx(SWAPPED, abs=0.012)
    assert not swapped[:, : COCO_17.names.index("left_shoulder")].any()
    mirrored = drawn[:, columns, :2] - keypoints[np.array(columns)[list(COCO_17.flip)], :2]
    assert np.linalg.norm(mirrored, axis=-1)[swapped].max() < 200
    plain = np.where(swapped, np.nan, distances)
    deviation = np.sqrt(np.nanmean(np.square(plain), 0))
    assert deviation == pytest.approx(np.array(COCO_DEVIATIONS) * np.sqrt(area), rel=0.06)


def test_measured_keypoints_err_by_pixels():
    keypoints = np.random.default_rng(0).uniform(0, 200, (54, 3)).astype(np.float32)
    drawn = np.stack([measured_keypoints(keypoints, 150, np.random.default_rng(s)) for s in range(200)])
    assert (drawn[..., 2] == keypoints[:, 2]).all()
    assert (drawn - keypoints)[..., :2].std() == pytest.approx(ANNOTATION * 150, rel=0.03)
