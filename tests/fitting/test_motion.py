"""Motions of bodies that are known, seen through landmarks that are noisy as the landmark network's are."""

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.body.ages import of_age
from hmrcli.fitting.landmarks import INDICES, attachments
from hmrcli.fitting.motion import AGILITY, agility_of, fit_track, intervals, track_targets
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.priors import pose_prior
from hmrcli.fitting.targets import view_rotation
from hmrcli.fitting.temporal import MOVING, acceleration_terms
from hmrcli.motion import Camera, Motion, Track
from hmrcli.motion.chain import Chain
from hmrcli.people.landmarks import Landmarks
from hmrcli.people.skeleton import LANDMARK_INDEX, LANDMARK_MIRROR

CAMERA = Camera(1500.0, (960.0, 540.0), 1920, 1080, "given")
RATE = 30.0
LIMBS = (1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21)
WRISTS_ANKLES = (20, 21, 7, 8)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def wander(times: np.ndarray, count: int, rate: float, seed: int) -> torch.Tensor:
    """(F, count) smooth random numbers of unit size, of frequencies up to `rate` Hz."""
    generator = np.random.default_rng(seed)
    waves = rate * generator.uniform(0.1, 1, (6, count))
    phases = generator.uniform(0, 2 * np.pi, (6, count))
    return torch.from_numpy(np.sin(2 * np.pi * waves * times[:, None, None] + phases).sum(1) / 3**0.5)


def performed(times: np.ndarray, swings: float = 0.0, seed: int = 0) -> BodyState:
    """Someone who moves at 5 metres, and swings arms and legs so many times a second."""
    prior, count = pose_prior(), len(times)
    angles = prior.usual + 0.6 * prior.spread * wander(times, 69, 1.0, seed).unflatten(1, (23, 3))
    phase = torch.sin(2 * torch.pi * swings * torch.from_numpy(times))
    for joint, axis, size in ((15, 2, 0.7), (16, 2, -0.7), (0, 0, 0.4), (1, 0, -0.4)) if swings else ():
        angles[:, joint, axis] += size * phase
    angles = torch.maximum(torch.minimum(angles, prior.greatest), prior.least)
    turn = torch.zeros(count, 3, dtype=torch.float64)
    turn[:, 1] = 0.5 * wander(times, 1, 0.3, seed + 1)[:, 0]
    upside = roma.rotvec_to_rotmat(torch.tensor([torch.pi, 0, 0], dtype=torch.float64))
    root = upside @ roma.rotvec_to_rotmat(turn)
    place = 0.3 * wander(times, 3, 0.4, seed + 2) * torch.tensor([1, 0.1, 1]) + torch.tensor([0, 0, 5.0])
    betas = 0.5 * torch.randn(1, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rotmat = torch.cat([root[:, None], roma.rotvec_to_rotmat(angles)], 1)
    return BodyState(rotmat, betas.expand(count, 10), place)


# Errors of landmarks: new ones in each frame, and slow ones that stay for a while; shares of the box, and metres.
PIXELS, SLOW_PIXELS = 0.006, 0.008
METRES, SLOW_METRES = 0.012, 0.03


def observed(
    body: BodyModel,
    state: BodyState,
    times: np.ndarray,
    frames: np.ndarray | None = None,
) -> Track:
    """What a landmark network would have seen of somebody."""
    points, count = pose_points(body_points(body, attachments(body.size)), state).points, len(times)
    generator = torch.Generator().manual_seed(3)
    points2d, points3d = (torch.zeros(count, 33, n, dtype=torch.float64) for n in (2, 3))
    visibility = np.zeros((count, 33))
    visibility[:, INDICES] = 0.95
    pixels = CAMERA.focal_length * points[..., :2] / points[..., 2:] + torch.tensor(CAMERA.principal_point)
    low, high = pixels.amin(1), pixels.amax(1)
    boxes = torch.cat([low, high - low], 1).numpy()
    points2d[:, INDICES], points3d[:, INDICES] = pixels, points
    landmarks = Landmarks(
        points2d.numpy(), visibility, np.ones((count, 33)), points3d.numpy(), np.ones(count),
        np.zeros((count, 0, 0)), np.zeros((count, 2, 3)), np.arange(count),
    )  # fmt: skip
    track = Track(4, np.arange(count) if frames is None else frames, times, boxes, landmarks)
    # The landmark network speaks in axes of a camera that looks at the person, in metres of its own.
    away = view_rotation(track_targets(track, CAMERA)).mT.double()
    middle = points - points.mean(1, keepdim=True)
    points3d[:, INDICES] = 0.9 * (away[:, None] @ middle[..., None])[..., 0]

    def errors(new: float, slow: float, n: int) -> torch.Tensor:
        drift = wander(times, 33 * n, 0.6, 9 + n).unflatten(1, (33, n))
        return new * torch.randn(count, 33, n, generator=generator, dtype=torch.float64) + slow * drift

    points2d += torch.from_numpy(boxes[:, 2:].max(1))[:, None, None] * errors(PIXELS, SLOW_PIXELS, 2)
    points3d += errors(METRES, SLOW_METRES, 3)
    return track


def limbs(body: BodyModel, rotmat: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """(F, 12, 3) joints about their center."""
    joints = body(rotmat.float(), betas.float()).joints[:, LIMBS]
    return joints - joints.mean(1, keepdim=True)


def limbs_of(motion: Motion) -> torch.Tensor:
    rotmat = torch.from_numpy(motion.rotmat)
    return limbs(motion.body, rotmat, torch.from_numpy(motion.betas).expand(len(rotmat), 10))


def accelerations(points: torch.Tensor) -> torch.Tensor:
    return (points[2:] - 2 * points[1:-1] + points[:-2]) * RATE**2


def off(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm(dim=-1).mean())


def test_smooth_motions_are_nearer_to_the_truth_and_shake_less(body: BodyModel) -> None:
    times = np.arange(60) / RATE
    truth = performed(times)
    track, expected = observed(body, truth, times), limbs(body, truth.rotmat, truth.betas)
    found = {smooth: fit_track(body, track, CAMERA, smooth) for smooth in ("none", "light", "strong")}
    shakes = {k: off(accelerations(limbs_of(m)), accelerations(expected)) for k, m in found.items()}
    errors = {k: off(limbs_of(m), expected) for k, m in found.items()}
    assert shakes["light"] < 0.5 * shakes["none"]
    assert shakes["strong"] < shakes["light"]
    assert max(errors["light"], errors["strong"]) < errors["none"]
    depth = {k: m.transl[:, 2] for k, m in found.items()}
    jumps = {k: np.abs(np.diff(z - truth.transl[:, 2].numpy())).mean() for k, z in depth.items()}
    assert jumps["light"] < 0.3 * jumps["none"]


@pytest.mark.parametrize("smooth", ["light", "strong"])
def test_fast_motion_is_not_cut(body: BodyModel, smooth: str) -> None:
    times = np.arange(50) / RATE
    truth = performed(times, swings=2.0)
    expected = limbs(body, truth.rotmat, truth.betas)
    track = observed(body, truth, times)
    found, plain = (limbs_of(fit_track(body, track, CAMERA, s)) for s in (smooth, "none"))
    places = [LIMBS.index(joint) for joint in WRISTS_ANKLES]

    def peaks(points: torch.Tensor) -> torch.Tensor:
        """(4,) mean of the fastest tenth, in body sizes a second: how large the body is, nobody knows."""
        speed = (points[2:, places] - points[:-2, places]).norm(dim=-1) * RATE / 2
        return speed.sort(0).values[-5:].mean(0) / points.norm(dim=-1).mean()

    assert (peaks(found) / peaks(plain)).min() > 0.9
    assert (peaks(found) / peaks(expected)).min() > 0.85
    assert off(found, expected) < 1.1 * off(plain, expected)


def test_one_person_has_one_shape_and_only_frames_that_were_seen(body: BodyModel) -> None:
    kept = np.r_[0:12, 15:24, 60:70]
    times = np.arange(70)[kept] / RATE + 2.0
    truth = performed(times)
    motion = fit_track(body, observed(body, truth, times, kept), CAMERA)
    assert motion.frames.tolist() == kept.tolist()
    assert motion.times.tolist() == times.tolist()
    assert motion.track_id == 4
    assert motion.fps == pytest.approx(RATE)
    assert motion.betas.shape == (10,)
    assert motion.rotmat.shape == (31, 24, 3, 3)
    assert all(a.dtype == np.float32 for a in (motion.rotmat, motion.transl, motion.scores, motion.betas))
    assert (motion.scores > 0.8).all()
    assert motion.joints_visibility[:, list(LIMBS)].min() > 0.9
    eye = np.eye(3, dtype=np.float32)
    assert np.abs(motion.rotmat @ motion.rotmat.transpose(0, 1, 3, 2) - eye).max() < 1e-5
    assert off(limbs_of(motion), limbs(body, truth.rotmat, truth.betas)) < 0.06


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    gaps = intervals(np.array([0.0, 0.1, 0.3, 1.5, 1.6, 1.7]))
    assert gaps.bridged.tolist() == [True, True, False, True, True]
    times = np.array([0.0, 0.1, 0.3, 1.5, 1.6, 1.7])
    state = performed(times)
    chain = acceleration_terms(state, gaps, torch.ones(6, 25, dtype=torch.float64))
    assert chain.next[2].abs().max() == 0
    assert chain.second[1:3].abs().max() == 0
    assert chain.next[0].abs().max() > 0
    assert chain.next[4].abs().max() > 0


def test_a_hidden_arm_follows_what_was_seen_before_and_after(body: BodyModel) -> None:
    times = np.arange(40) / RATE
    truth = performed(times, seed=5)
    track = observed(body, truth, times)
    arm = [LANDMARK_INDEX[f"left_{n}"] for n in ("elbow", "wrist", "pinky", "index", "thumb")]
    track.landmarks.visibility[15:22, arm] = 0.02
    expected = limbs(body, truth.rotmat, truth.betas)
    hidden = [LIMBS.index(joint) for joint in (18, 20)]
    errors = {
        smooth: off(limbs_of(fit_track(body, track, CAMERA, smooth))[15:22, hidden], expected[15:22, hidden])
        for smooth in ("none", "light")
    }
    assert errors["light"] < 0.8 * errors["none"]


def test_a_frame_that_takes_left_for_right_is_not_believed(body: BodyModel) -> None:
    times = np.arange(24) / RATE
    truth = performed(times, seed=5)
    track, expected = observed(body, truth, times), limbs(body, truth.rotmat, truth.betas)
    for values in (track.landmarks.points2d, track.landmarks.points3d):
        values[[12, 13]] = values[[12, 13]][:, LANDMARK_MIRROR]
    plain, found = (limbs_of(fit_track(body, track, CAMERA, s)) for s in ("none", "light"))
    assert off(plain[12:14], expected[12:14]) > 0.15
    assert off(found[12:14], expected[12:14]) < 0.06


def test_frame_times_may_vary(body: BodyModel) -> None:
    """A body that turns evenly has no acceleration, however the frames fall."""
    times = np.cumsum([0.0, 0.03, 0.1, 0.02, 0.05, 0.05, 0.2])
    state = performed(np.zeros(7))
    turn = torch.zeros(7, 24, 3, dtype=torch.float64)
    turn[..., 1] = 2.0 * torch.from_numpy(times)[:, None]
    place = state.transl + torch.from_numpy(times)[:, None]
    state = BodyState(roma.rotvec_to_rotmat(turn) @ state.rotmat, state.betas, place)
    gaps, free = intervals(times), torch.ones(7, 25, dtype=torch.float64)
    assert acceleration_terms(state, gaps, free).cost < 1e-12
    even = gaps._replace(seconds=torch.full_like(gaps.seconds, 0.05))
    assert acceleration_terms(state, even, free).cost > 1


def test_the_accelerations_slope_is_that_of_their_sum() -> None:
    times = np.cumsum([0.0, 0.03, 0.1, 0.02, 0.05, 0.05])
    state, gaps = performed(times, swings=2.0), intervals(times)
    agility = 1 + torch.rand(6, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = torch.zeros(6, 85, dtype=torch.float64)
    step[:, MOVING] = torch.randn(6, 75, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ahead, behind = (acceleration_terms(state.moved(s * step), gaps, agility).cost for s in (1e-5, -1e-5))
    slope = (acceleration_terms(state, gaps, agility).gradient * step[:, MOVING]).sum()
    torch.testing.assert_close((ahead - behind) / 2e-5, slope, rtol=1e-6, atol=0)


@pytest.mark.parametrize("frames", [3, 6, 7])
def test_a_chain_is_solved_as_the_whole_matrix(frames: int) -> None:
    generator, size = torch.Generator().manual_seed(frames), 4
    own, after, second, gradient = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in (
            (frames, size, size),
            (frames - 1, size, size),
            (frames - 2, size, size),
            (frames, size),
        )
    )
    own = own @ own.mT + 20 * torch.eye(size)
    whole = torch.zeros(frames, size, frames, size, dtype=torch.float64)
    for i in range(frames):
        for ahead, block in enumerate((own, after, second)):
            if i + ahead < frames:
                whole[i, :, i + ahead], whole[i + ahead, :, i] = block[i], block[i].mT
    expected = torch.linalg.solve(whole.reshape(frames * size, -1), gradient.flatten()).view(frames, size)
    torch.testing.assert_close(Chain(torch.zeros(()), gradient, own, after, second).step(), -expected)


def test_joints_that_move_fast_may_accelerate_more() -> None:
    times = np.arange(60) / RATE
    usual = AGILITY["strong"]
    slow, fast = (agility_of(performed(times, s), intervals(times), usual) for s in (0.0, 3.0))
    assert fast[:, 16].mean() > 3 * slow[:, 16].mean()  # a shoulder that swings
    torch.testing.assert_close(fast[:, 15], slow[:, 15])  # a head that does not
    assert (fast[:, 24] == usual.moving).all()


def test_a_child_is_as_near_as_it_is(body: BodyModel) -> None:
    times, child = np.arange(12) / RATE, of_age(body, 6)
    truth = performed(times)
    track = observed(child, truth, times)
    motion = fit_track(child, track, CAMERA)
    assert np.abs(motion.transl[:, 2] / truth.transl[:, 2].numpy() - 1).max() < 0.2
    assert (motion.scores > 0.8).all()


@pytest.mark.parametrize("count", [1, 2])
def test_a_frame_or_two_are_a_motion(body: BodyModel, count: int) -> None:
    times = np.arange(count) / RATE
    motion = fit_track(body, observed(body, performed(times), times), CAMERA, "strong")
    assert len(motion.rotmat) == count
    assert motion.fps == RATE


def test_windows_of_a_long_clip_join_smoothly(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.arange(60) / RATE
    track = observed(body, performed(times), times)
    whole = fit_track(body, track, CAMERA)
    heard: list[float] = []
    monkeypatch.setattr("hmrcli.fitting.motion.WINDOW", 20)
    monkeypatch.setattr("hmrcli.fitting.motion.AHEAD", 12)
    parts = fit_track(body, track, CAMERA, tell=heard.append)
    assert np.abs(parts.rotmat - whole.rotmat).max() < 0.03
    assert np.abs(parts.transl - whole.transl).max() < 0.02
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_a_lens_is_taken_out_of_what_it_shows(body):
    times = np.arange(4) / RATE
    track = observed(body, performed(times), times)
    lens = Camera(1500.0, (960.0, 540.0), 1920, 1080, "given", 1460.0, (-0.2, 0.05, 0.002, -0.003))
    rays = (track.landmarks.points2d - CAMERA.principal_point) / CAMERA.focal_length
    shown = lens.project(np.concatenate([rays, np.ones((*rays.shape[:2], 1))], 2))
    bent = track._replace(landmarks=replace(track.landmarks, points2d=shown))
    plain, seen, wrong = (
        fit_track(body, one, camera, "none")
        for one, camera in ((track, CAMERA), (bent, lens), (bent, CAMERA))
    )
    np.testing.assert_allclose(seen.transl, plain.transl, atol=1e-3)
    np.testing.assert_allclose(seen.rotmat, plain.rotmat, atol=1e-3)
    assert seen.camera is lens and np.abs(wrong.transl - plain.transl).max() > 0.05
