"""Metrics against published numbers, a loop over samples, and what must not change them."""

from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.loop import pa_mpjpe_loop
from hmrcli.errors import BadInput
from hmrcli.evaluation import (
    METRICS,
    accel_error,
    align_similarity,
    auc,
    measure,
    mpjpe,
    pa_auc,
    pa_mpjpe,
    pa_pck,
    pa_pve,
    pck,
    pve,
)
from hmrcli.evaluation.alignment import nearest_rotation

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.npz"
MIRROR = np.array([-1.0, 1.0, 1.0])
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def people(seed, count=6, joints=14):
    """(N, J, 3) mm, taller than wide as people are."""
    return np.random.default_rng(seed).normal(size=(count, joints, 3)) * [200, 500, 120]


def similarity(seed, points):
    """The points after another turn, size and place for each sample."""
    rng = np.random.default_rng(seed)
    turns = roma.random_rotmat(len(points), dtype=torch.float64).numpy()
    sizes = rng.uniform(0.1, 10, (len(points), 1, 1))
    return sizes * points @ turns.swapaxes(1, 2) + rng.normal(size=(len(points), 1, 3)) * 3000


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("mpjpe", mpjpe),
        ("pa-mpjpe", pa_mpjpe),
        ("pve", pve),
        ("pck", pck),
        ("pa-pck", pa_pck),
        ("auc", auc),
        ("pa-auc", pa_auc),
        ("accel", accel_error),
    ],
)
def test_published_evaluation(golden, name, metric):
    ours = np.nanmean(metric(golden["pred"], golden["target"]))
    np.testing.assert_allclose(ours, golden[f"metric:{name}"], rtol=1e-6)


def test_published_pa_mpjpe_of_each_sample(golden):
    np.testing.assert_allclose(pa_mpjpe(golden["pred"], golden["target"]), golden["per_sample_pa"], rtol=1e-9)


@pytest.mark.parametrize("noise", [1e-6, 1, 100, 2000])
def test_pa_mpjpe_is_that_of_the_loop(noise):
    target = people(0, 300)
    pred = similarity(1, target + np.random.default_rng(2).normal(size=target.shape) * noise)
    np.testing.assert_allclose(pa_mpjpe(pred, target), pa_mpjpe_loop(pred, target), rtol=0, atol=1e-6)


def flattened(pred, target):
    pred[..., 2] = target[..., 2] = 0
    return pred, target


def flat_prediction(pred, target):
    pred[..., 1] = 7
    return pred, target


def on_a_line(pred, target):
    return pred * [0, 1, 0], target


def targets_on_a_line(pred, target):
    return pred, target * [1, 0, 0] + 50


def almost_on_a_line(pred, target):
    return pred * [1e-5, 1, 1e-5], target * [1, 1e-5, 1e-5]


def mirrored(pred, target):
    return target * MIRROR + pred * 0.01, target


def targets_in_one_place(pred, target):
    return pred, np.broadcast_to(target[:, :1], target.shape)


def two_joints(pred, target):
    return pred[:, :2], target[:, :2]


@pytest.mark.parametrize(
    "change",
    [
        flattened,
        flat_prediction,
        on_a_line,
        targets_on_a_line,
        almost_on_a_line,
        mirrored,
        targets_in_one_place,
        two_joints,
    ],
)
def test_pa_mpjpe_of_degenerate_points_is_that_of_the_loop(change):
    pred, target = change(people(3, 50), people(4, 50))
    np.testing.assert_allclose(pa_mpjpe(pred, target), pa_mpjpe_loop(pred, target), rtol=0, atol=1e-6)


def test_points_in_one_place_go_to_the_mean_of_the_target():
    """Also where they differ by rounding alone, which must not be blown up to the size of the target."""
    target = people(5, 200)
    places = np.random.default_rng(6).normal(size=(200, 1, 3)) * 1000
    pred = np.broadcast_to(places, target.shape).copy()
    spread = np.linalg.norm(target - target.mean(1, keepdims=True), axis=-1).mean(1)
    np.testing.assert_allclose(pa_mpjpe(pred, target), spread, rtol=1e-12)
    np.testing.assert_allclose(pa_mpjpe(pred, pred), 0, atol=1e-9)
    pred[:, ::3] = np.nextafter(pred[:, ::3], np.inf)
    np.testing.assert_allclose(pa_mpjpe(pred, target), spread, rtol=1e-12)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_similarities_do_not_change_pa_errors(seed):
    target = people(seed)
    torch.manual_seed(seed)
    assert pa_mpjpe(similarity(seed, target), target).max() < 1e-6
    pred = target + np.random.default_rng(seed + 1).normal(size=target.shape) * 80
    np.testing.assert_allclose(
        pa_mpjpe(similarity(seed, pred), target), pa_mpjpe(pred, target), rtol=0, atol=1e-6
    )


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_mirror_images_are_not_aligned(seed):
    target = people(seed)
    assert pa_mpjpe(target * MIRROR, target).min() > 10


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_nothing_fits_better_than_the_alignment(seed):
    """Among turns and sizes near the one found, none has a smaller sum of squares."""
    source, target = (torch.from_numpy(people(seed + i)) for i in range(2))
    best = (align_similarity(source, target) - target).square().sum((1, 2))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(10):
        turn = roma.rotvec_to_rotmat(0.1 * torch.randn(len(source), 3, generator=generator).double())
        other = align_similarity(source, target)
        middle = other.mean(1, keepdim=True)
        size = 1 + 0.1 * torch.randn(len(source), 1, 1, generator=generator).double()
        other = size * (other - middle) @ turn + middle
        assert ((other - target).square().sum((1, 2)) >= best - 1e-6).all()


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_errors_are_symmetric_and_follow_the_order_of_samples(seed):
    pred, target = people(seed), people(seed + 1)
    np.testing.assert_array_equal(mpjpe(pred, target), mpjpe(target, pred))
    for metric in (mpjpe, pa_mpjpe, pck, auc):
        np.testing.assert_allclose(metric(pred[::-1], target[::-1]), metric(pred, target)[::-1], rtol=1e-12)


def test_nearest_rotation_is_a_rotation_whatever_the_matrix():
    random = torch.randn(200, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    special = torch.stack(
        [
            torch.zeros(3, 3),
            torch.eye(3),
            -torch.eye(3),
            torch.ones(3, 3),
            torch.diag(torch.tensor([2.0, 1, -1])),
        ]
    )
    rotation = nearest_rotation(torch.cat([random, 1e9 * random, 1e-9 * random, special.double()]))
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.mT, identity, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(rotation)).double())


def test_a_known_shift():
    target = people(6)
    pred = target + [30.0, 40.0, 0.0]
    np.testing.assert_allclose(mpjpe(pred, target), 50)
    np.testing.assert_allclose(pa_mpjpe(pred, target), 0, atol=1e-9)
    np.testing.assert_array_equal(pck(pred, target), 100)
    np.testing.assert_array_equal(pck(pred, target, threshold=50.0 - 1e-9), 0)
    np.testing.assert_allclose(auc(target + [0.0, 0.0, 52.0], target), 100 * 20 / 31)  # 55, 60, ... 150


def test_pck_leaves_the_threshold_out_and_counts_joints():
    target = np.zeros((1, 4, 3))
    pred = np.zeros((1, 4, 3))
    pred[0, :, 0] = [0, 149.999, 150, 151]
    assert pck(pred, target)[0] == 50


def test_masked_joints_do_not_count():
    target = people(7)
    pred = similarity(8, target)
    valid = np.ones(target.shape[:2], bool)
    valid[:, 3] = valid[2, 5:9] = False
    broken = np.where(valid[..., None], pred, np.nan)
    assert pa_mpjpe(broken, target, valid).max() < 1e-6
    kept = valid[2]
    np.testing.assert_allclose(
        mpjpe(broken, target, valid)[2], np.linalg.norm(pred - target, axis=-1)[2, kept].mean()
    )
    valid[1] = False
    for metric in (mpjpe, pa_mpjpe, pck, pa_auc):
        np.testing.assert_array_equal(np.isnan(metric(pred, target, valid)), np.arange(len(target)) == 1)


def test_results_are_of_the_kind_that_is_given():
    pred, target = people(9), people(10)
    arrays = pa_mpjpe(pred.astype(np.float32), target.astype(np.float32))
    tensors = pa_mpjpe(torch.from_numpy(pred).float(), torch.from_numpy(target).float())
    assert isinstance(arrays, np.ndarray) and arrays.dtype == np.float64
    assert isinstance(tensors, torch.Tensor) and tensors.dtype == torch.float64
    np.testing.assert_array_equal(arrays, tensors.numpy())


def test_several_metrics_at_once_are_each_alone():
    pred, target = people(11), people(12)
    alone = {"mpjpe": mpjpe, "pa_mpjpe": pa_mpjpe, "pve": pve, "pa_pve": pa_pve, "pck": pck}
    alone |= {"pa_pck": pa_pck, "auc": auc, "pa_auc": pa_auc}
    assert alone.keys() == METRICS.keys() - {"accel"}
    together = measure(list(alone), pred, target)
    for name, metric in alone.items():
        np.testing.assert_array_equal(together[name], metric(pred, target))


def test_read_only_arrays_are_taken():
    target = people(13)
    target.flags.writeable = False
    assert mpjpe(target, target).max() == 0


def accelerating(frames, joints=3):
    """A target at rest and a prediction whose joints accelerate by 2 mm per frame²."""
    time = np.arange(frames, dtype=float)
    pred = np.zeros((frames, joints, 3))
    pred[..., 1] = (time**2)[:, None]
    return pred, np.zeros_like(pred)


def test_acceleration_of_a_known_movement():
    errors = accel_error(*accelerating(6))
    np.testing.assert_array_equal(errors, [np.nan, 2, 2, 2, 2, np.nan])


def test_acceleration_does_not_mix_sequences():
    pred, target = accelerating(5)
    pred, target = np.concatenate([pred, pred + 1000]), np.concatenate([target, target])
    order = np.random.default_rng(0).permutation(10)
    sequence, frame = np.repeat(["a", "b"], 5), np.tile(np.arange(5), 2)
    errors = accel_error(pred[order], target[order], sequence=sequence[order], frame=frame[order])
    np.testing.assert_array_equal(errors, np.tile([np.nan, 2, 2, 2, np.nan], 2)[order])


def test_acceleration_leaves_gaps_out():
    pred, target = accelerating(8)
    kept = np.array([0, 1, 2, 4, 5, 6, 7])
    errors = accel_error(pred[kept], target[kept], frame=5 * kept)
    np.testing.assert_array_equal(errors, [np.nan, 2, np.nan, np.nan, 2, 2, np.nan])


def test_acceleration_of_too_short_sequences_has_no_value():
    for frames in (1, 2):
        assert np.isnan(accel_error(*accelerating(frames))).all()


def test_acceleration_needs_joints_in_three_frames():
    pred, target = accelerating(5, joints=2)
    pred[..., 0, :] = np.arange(5)[:, None] ** 3
    valid = np.ones((5, 2), bool)
    valid[:, 0] = False
    np.testing.assert_array_equal(accel_error(pred, target, valid), [np.nan, 2, 2, 2, np.nan])


def with_nan(points):
    points[2, 4, 1] = np.nan
    points[4] = np.inf
    return points


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (with_nan(people(0)), people(1), "pred: row 2 holds values that are not finite"),
        (people(0), with_nan(people(1)), "target: row 2 holds values that are not finite"),
        (people(0), people(1, 5), r"shapes \(6, 14, 3\) and \(5, 14, 3\) differ"),
        (people(0)[0], people(1)[0], r"pred: has shape \(14, 3\), expected \(N, points, 3\)"),
        (people(0), people(1)[..., :2], r"target: has shape \(6, 14, 2\)"),
        (people(0).astype(str), people(1), "pred: has type <U32, expected numbers"),
        (people(0) + 1j, people(1), "pred: has type complex128"),
        (np.zeros((3, 0, 3)), np.zeros((3, 0, 3)), "expected"),
    ],
)
@pytest.mark.parametrize("metric", [mpjpe, pa_mpjpe, pck, accel_error])
def test_what_cannot_be_scored_is_named(metric, pred, target, message):
    with pytest.raises(BadInput, match=message):
        metric(pred, target)


def test_wrong_masks_and_frames_are_named():
    pred, target = people(0), people(1)
    with pytest.raises(BadInput, match=r"valid: has shape \(6, 3\), expected \(6, 14\)"):
        mpjpe(pred, target, np.ones((6, 3)))
    with pytest.raises(BadInput, match="sequence: has shape"):
        accel_error(pred, target, sequence=np.zeros(5))
    with pytest.raises(BadInput, match="frame: row 3 repeats a frame of its sequence"):
        accel_error(pred, target, frame=np.array([0, 1, 2, 2, 4, 5]))
    with pytest.raises(BadInput, match="frame: has type float64, expected whole numbers"):
        accel_error(pred, target, frame=np.arange(6.0))
