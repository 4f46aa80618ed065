"""SPIN's loop: the store of fits, and labels that get better on people whose bodies are known."""

import io
import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from hmrcli.algorithms.spin import Fitter
from hmrcli.algorithms.spin_fits import Changes, FitStore, Origin, merged
from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, SMPL_49
from hmrcli.body.rotations import pose_from_rotmat, rotmat_from_pose
from hmrcli.data.annotations import Annotations
from hmrcli.data.augmentation import SampleAugmentation, augment_joints2d, augmented_affine
from hmrcli.data.sets import Bodies, ImageSet
from hmrcli.data.training import Batch
from hmrcli.evaluation.metrics import pa_mpjpe
from hmrcli.fitting.points import BodyState
from hmrcli.layers import Prediction
from hmrcli.recipe.schema import InTheLoop
from tests.fitting.crops import People, joints, people, settings, turned

SIZES = (6, 40)
TURNS = [(flip, rotation) for flip in (False, True) for rotation in (-1.0, 0.0, 0.5)]


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def image_sets(*stored: Bodies | None) -> list[ImageSet]:
    sets = []
    for number, (size, fits) in enumerate(zip(SIZES, stored)):
        rows = Annotations(
            dataset=f"set{number}",
            joints="smpl_49",
            image_path=np.full(size, "a.jpg"),
            bbox_xywh=np.full((size, 4), 224, np.float32),
            keypoints2d=None,
            keypoints3d=None,
            pose=np.zeros((size, 72), np.float32),
            betas=np.zeros((size, 10), np.float32),
            has_smpl=np.zeros(size, bool),
            gender=np.full(size, "n"),
        )
        sets.append(ImageSet(f"set{number}", rows, Path(), fits))
    return sets


def random_bodies(count: int, seed: int = 0) -> Bodies:
    numbers = np.random.default_rng(seed)
    pose = 0.6 * numbers.standard_normal((count, 72)).astype(np.float32)
    return Bodies(pose, numbers.standard_normal((count, 10)).astype(np.float32))


def place(dataset: list[int], row: list[int], flip: bool = False, rotation: float = 0.0) -> Origin:
    count = len(row)
    return Origin(
        np.array(dataset), np.array(row), np.full(count, flip), np.full(count, rotation, np.float32)
    )


def state_bytes(store: FitStore) -> bytes:
    stream = io.BytesIO()
    torch.save(store.state(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(("flip", "rotation"), TURNS)
def test_what_is_put_in_a_crop_is_got_in_it(flip: bool, rotation: float) -> None:
    store, bodies = FitStore(image_sets(random_bodies(6), None)), random_bodies(3, seed=1)
    where = place([1, 0, 1], [7, 2, 39], flip, rotation)
    store.put(where, bodies, np.ones(3, np.float32))
    got = store.get(where)
    np.testing.assert_allclose(got.pose, bodies.pose, atol=2e-6)
    np.testing.assert_array_equal(got.betas, bodies.betas)
    # In another crop it is the same body: mirrored in an upright crop.
    other = store.get(place([1, 0, 1], [7, 2, 39], not flip, 0.0))
    back = FitStore(image_sets(None, None))
    back.put(place([1, 0, 1], [7, 2, 39], not flip, 0.0), other, np.ones(3, np.float32))
    np.testing.assert_allclose(back.get(where).pose, bodies.pose, atol=4e-6)


def test_rows_without_a_fit_say_so_and_static_fits_are_the_start() -> None:
    static = random_bodies(6)
    store = FitStore(image_sets(static, None))
    got = store.get(place([0, 1], [3, 3]))
    np.testing.assert_allclose(got.pose[0], static.pose[3], atol=1e-6)
    assert np.isnan(got.pose[1]).all() and np.isnan(got.betas[1]).all()
    assert len(store.state()["row"]) == 0


def test_a_row_drawn_twice_keeps_its_better_fit() -> None:
    store, bodies = FitStore(image_sets(None, None)), random_bodies(3)
    store.put(place([1, 1, 1], [5, 5, 5]), bodies, np.array([3.0, 1.0, 2.0], np.float32))
    np.testing.assert_array_equal(store.get(place([1], [5])).betas[0], bodies.betas[1])


def test_fits_of_a_step_that_fails_are_taken_back() -> None:
    store = FitStore(image_sets(random_bodies(6), None))
    store.put(place([0, 1], [1, 2]), random_bodies(2, seed=1), np.ones(2, np.float32))
    store.settle()
    before = state_bytes(store)
    for seed in (2, 3):  # two parts of the step
        store.put(place([1, 0, 1], [2, 3, 9]), random_bodies(3, seed=seed), np.full(3, 0.5, np.float32))
    assert state_bytes(store) != before
    store.undo()
    assert state_bytes(store) == before and np.isnan(store.get(place([1], [9])).pose).all()
    store.undo()
    assert state_bytes(store) == before


def test_a_checkpoint_holds_what_changed_and_restores_it() -> None:
    store = FitStore(image_sets(random_bodies(6), random_bodies(40, seed=2)))
    store.put(place([0, 1, 1], [1, 2, 30], True, 0.4), random_bodies(3, seed=3), np.ones(3, np.float32))
    saved = state_bytes(store)
    restored = FitStore(image_sets(random_bodies(6), random_bodies(40, seed=2)))
    restored.load_state(torch.load(io.BytesIO(saved), weights_only=True))
    everywhere = place([0] * 6 + [1] * 40, [*range(6), *range(40)])
    for ours, theirs in zip(vars(store.get(everywhere)).values(), vars(restored.get(everywhere)).values()):
        np.testing.assert_array_equal(ours, theirs)
    assert len(store.state()["row"]) == 3 and state_bytes(restored) == saved


def test_a_state_of_other_sets_is_refused() -> None:
    store = FitStore(image_sets(None, None))
    store.put(place([1], [30]), random_bodies(1), np.ones(1, np.float32))
    state = store.state()
    for name, value in (("row", 40), ("row", -1), ("dataset", 2), ("dataset", -1)):
        with pytest.raises(ValueError, match="other training sets"):
            store.load_state(state | {name: torch.tensor([value])})
    with pytest.raises(KeyError):
        store.load_state({})


def test_merging_takes_the_lower_loss_and_then_the_first_process() -> None:
    def part(rows: list[int], loss: list[float], mark: float) -> Changes:
        fits = np.full((len(rows), 82), mark, np.float32)
        return Changes(np.zeros(len(rows), np.int64), np.array(rows), fits, np.array(loss, np.float32))

    first, second = part([4, 1, 2], [1.0, 5.0, 2.0], 10), part([2, 1, 3], [2.0, 4.0, 9.0], 20)
    together = merged([first, second])
    assert together.row.tolist() == [1, 2, 3, 4]
    assert together.fits[:, 0].tolist() == [20, 10, 20, 10]
    assert together.loss.tolist() == [4, 2, 9, 1]


def _share_on_two(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    store = FitStore(image_sets(None, None))
    # Both bettered row 5; then, in a second round, only the second process does, at a higher loss.
    store.put(place([1, 1], [5, 10 + rank]), random_bodies(2, seed=rank), np.array([2 - rank, 1], np.float32))
    store.share()
    if rank == 1:
        store.put(place([1], [5]), random_bodies(1, seed=7), np.array([9], np.float32))
    store.share()
    Path(folder, str(rank)).write_bytes(state_bytes(store))
    dist.destroy_process_group()


def test_two_processes_end_with_the_same_fits(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_share_on_two, (port, str(tmp_path)), nprocs=2)
    ours, theirs = (torch.load(tmp_path / name, weights_only=True) for name in "01")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert ours["row"].tolist() == [5, 10, 11] and ours["loss"].tolist() == [9, 1, 1]


def evaluation_joints(body: BodyModel, pose: Tensor, betas: Tensor) -> Tensor:
    vertices = body(rotmat_from_pose(pose.float()), betas.float()).vertices
    return 1000 * body.h36m_joints(vertices)[:, EVALUATION_14_FROM_H36M]


def mean_error(body: BodyModel, pose: Tensor, betas: Tensor, crowd: People) -> float:
    """Mean PA-MPJPE, mm."""
    truth = evaluation_joints(body, pose_from_rotmat(crowd.state.rotmat), crowd.state.betas)
    return float(pa_mpjpe(evaluation_joints(body, pose, betas), truth).mean())


def batch_of(crowd: People, **changes: Tensor) -> Batch:
    count = len(crowd.cam)
    no, zeros = torch.zeros(count, dtype=torch.bool), torch.zeros(count, dtype=torch.int64)
    batch = Batch(
        images=torch.zeros(count, 1, 1, 3, dtype=torch.uint8),
        affine=torch.zeros(count, 2, 3),
        box=torch.zeros(count, 3),
        photo_size=torch.zeros(count, 2),
        keypoints2d=crowd.keypoints2d.float(),
        keypoints3d=torch.zeros(count, 49, 4),
        pose=torch.zeros(count, 72),
        betas=torch.zeros(count, 10),
        has_keypoints2d=~no,
        has_keypoints3d=no,
        has_smpl=no,
        dataset=zeros + 1,
        row=torch.arange(count),
        epoch=zeros,
        position=zeros,
        flip=no,
        rotation=torch.zeros(count),
    )
    return batch._replace(**changes)


def prediction_of(crowd: People, angle: float = 0.25) -> Prediction:
    rotmat = turned(crowd.state, angle, seed=11).float()
    cam = (crowd.cam * torch.tensor([1.05, 1.0, 1.0])).float()
    return Prediction(cam, torch.empty(0), rotmat, torch.zeros(len(cam), 10))


def bad_fits(crowd: People, angle: float = 0.35) -> Bodies:
    pose = np.zeros((SIZES[1], 72), np.float32)
    pose[: len(crowd.cam)] = pose_from_rotmat(turned(crowd.state, angle, seed=12)).numpy()
    return Bodies(pose, np.zeros((SIZES[1], 10), np.float32))


def fitter_of(chosen: InTheLoop, body: BodyModel, crowd: People | None = None) -> Fitter:
    fits = None if crowd is None else bad_fits(crowd)
    return Fitter(chosen, body, FitStore(image_sets(None, fits)), None)


@pytest.mark.parametrize(("form", "share"), [("original", 0.35), ("benchmark", 0.65)])
def test_bad_fits_get_better(form: str, share: float, body: BodyModel) -> None:
    crowd = people(body, 24)
    fitter, batch = fitter_of(settings(form), body, crowd), batch_of(crowd)
    stored = fitter.store.get(place([1] * 24, list(range(24))))
    before = mean_error(body, torch.from_numpy(stored.pose), torch.from_numpy(stored.betas), crowd)
    labels = fitter(batch, prediction_of(crowd))
    after = mean_error(body, labels["pose"], labels["betas"], crowd)
    print(
        f"{form}: PA-MPJPE of the fits {before:.1f} -> {after:.1f} mm, {int(labels['has_smpl'].sum())}/24 used"
    )
    assert after < share * before
    assert labels["has_smpl"].float().mean() > 0.9
    kept = fitter.store.get(place([1] * 24, list(range(24))))
    assert mean_error(body, torch.from_numpy(kept.pose), torch.from_numpy(kept.betas), crowd) < share * before


def test_the_same_batch_gives_the_same_labels(body: BodyModel) -> None:
    crowd = people(body, 4)
    first, second = (
        fitter_of(settings("original"), body, crowd)(batch_of(crowd), prediction_of(crowd)) for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_worse_fit_is_not_taken(body: BodyModel) -> None:
    crowd = people(body, 4, noise=0.0)
    truth = Bodies(np.zeros((40, 72), np.float32), np.zeros((40, 10), np.float32))
    truth.pose[:4], truth.betas[:4] = pose_from_rotmat(crowd.state.rotmat), crowd.state.betas
    fitter = Fitter(settings("original"), body, FitStore(image_sets(None, truth)), None)
    labels = fitter(batch_of(crowd), prediction_of(crowd, angle=0.5))
    np.testing.assert_allclose(labels["pose"], truth.pose[:4], atol=1e-5)
    assert labels["has_smpl"].all() and len(fitter.store.state()["row"]) == 0


def test_a_better_fit_of_one_crop_serves_another(body: BodyModel) -> None:
    crowd = people(body, 6)
    fitter = fitter_of(settings("original"), body, crowd)
    fitter(batch_of(crowd), prediction_of(crowd))
    change = SampleAugmentation(flip=True, rotation=0.6, scale=1.1)
    affine = augmented_affine(change, (112.0, 112.0), 224.0)
    turned2d = [augment_joints2d(k, change, affine, SMPL_49.flip) for k in crowd.keypoints2d.float().numpy()]
    count = len(turned2d)
    batch = batch_of(
        crowd,
        keypoints2d=torch.from_numpy(np.stack(turned2d)),
        flip=torch.ones(count, dtype=torch.bool),
        rotation=torch.full((count,), 0.6),
    )
    # A network that knows nothing: the stored fits, mirrored and turned, are what explains the joints.
    lost = Prediction(
        torch.tensor([[0.9, 0.0, 0.0]]).expand(count, 3),
        torch.empty(0),
        torch.eye(3).expand(count, 24, 3, 3),
        torch.zeros(count, 10),
    )
    labels = fitter(batch, lost)
    stored = fitter.store.get(place([1] * count, list(range(count)), True, 0.6))
    np.testing.assert_allclose(labels["pose"], stored.pose, atol=1e-5)
    assert labels["has_smpl"].all()


def test_bodies_that_are_known_replace_fits(body: BodyModel) -> None:
    crowd = people(body, 4)
    known = torch.tensor([True, False, True, True])
    real = torch.from_numpy(random_bodies(4).pose)
    fitter = fitter_of(settings("original"), body, crowd)
    labels = fitter(batch_of(crowd, has_smpl=known, pose=real), prediction_of(crowd))
    assert torch.equal(labels["pose"][known], real[known]) and labels["has_smpl"][known].all()
    assert not torch.equal(labels["pose"][1], real[1])
    assert fitter.store.state()["row"].tolist() == [1]
    every = fitter(batch_of(crowd, has_smpl=~known | known, pose=real), prediction_of(crowd))
    assert torch.equal(every["pose"], real)


def test_fits_are_not_believed_without_joints_or_above_the_threshold(body: BodyModel) -> None:
    crowd = people(body, 3)
    crowd.keypoints2d[0, :, 2] = 0
    crowd.keypoints2d[1, :, :2] = 224 * torch.rand(49, 2, generator=torch.Generator().manual_seed(0))
    for stored in (crowd, None):
        fitter = fitter_of(settings("original"), body, stored)
        labels = fitter(batch_of(crowd), prediction_of(crowd))
        assert labels["has_smpl"].tolist() == [False, False, True]
        assert all(value.isfinite().all() for value in labels.values())
        assert 0 not in fitter.store.state()["row"]


def test_a_prediction_that_is_no_number_leaves_the_fits(body: BodyModel) -> None:
    crowd = people(body, 2)
    prediction = prediction_of(crowd)
    assert prediction.betas is not None
    prediction.betas[0] = torch.nan
    fitter = fitter_of(settings("original"), body, crowd)
    labels = fitter(batch_of(crowd), prediction)
    np.testing.assert_allclose(labels["pose"][0], bad_fits(crowd).pose[0], atol=1e-5)
    assert fitter.store.state()["row"].tolist() == [1]


def test_extreme_shapes_become_the_mean_but_stay_stored(body: BodyModel) -> None:
    crowd = people(body, 2, noise=0.0)
    fits = Bodies(np.zeros((40, 72), np.float32), np.zeros((40, 10), np.float32))
    betas = crowd.state.betas.clone()
    betas[0, 0] = 4.0
    crowd = people_of(body, crowd.state._replace(betas=betas), crowd)
    fits.pose[:2], fits.betas[:2] = pose_from_rotmat(crowd.state.rotmat), betas
    fitter = Fitter(settings("original"), body, FitStore(image_sets(None, fits)), None)
    labels = fitter(batch_of(crowd), prediction_of(crowd, angle=0.6))
    assert not labels["betas"][0].any()
    np.testing.assert_allclose(labels["betas"][1], betas[1], atol=1e-6)
    np.testing.assert_allclose(fitter.store.get(place([1], [0])).betas[0], betas[0], atol=1e-6)


def people_of(body: BodyModel, state: BodyState, crowd: People) -> People:
    """The same people with other bodies, their joints seen exactly."""
    pixels = 5000 * (points := joints(body, state))[..., :2] / points[..., 2:] + 112
    return crowd._replace(
        state=state, keypoints2d=torch.cat([pixels.double(), crowd.keypoints2d[..., 2:]], -1)
    )


def test_the_uncorrected_form_starts_in_the_wrong_place_and_rarely_wins(body: BodyModel) -> None:
    crowd = people(body, 6)
    corrected = fitter_of(settings("benchmark"), body, crowd)
    assert "fit_transl" not in corrected(batch_of(crowd), prediction_of(crowd))
    assert len(corrected.store.state()["row"]) == 6
    uncorrected = fitter_of(settings("benchmark", corrected=False), body, crowd)
    labels = uncorrected(batch_of(crowd), prediction_of(crowd))
    assert len(uncorrected.store.state()["row"]) == 0 and not labels["fit_transl"].any()


def test_the_uncorrected_form_keeps_the_translation_of_new_fits(body: BodyModel) -> None:
    crowd = people(body, 6)
    fitter, prediction = fitter_of(settings("benchmark", corrected=False), body), prediction_of(crowd)
    labels = fitter(batch_of(crowd), prediction)  # without stored fits every new one is kept
    away = labels["fit_transl"] - prediction.cam  # (s, tx, ty), taken for a translation
    assert (away.abs() <= 0.01 * 50 + 1e-6).all() and labels["fit_transl"].any(1).all()


def test_fits_with_the_prior_of_smplify(body: BodyModel, tmp_path: Path) -> None:
    crowd = people(body, 8)
    # One wide Gaussian about the rest pose: no more than a pull to it.
    wide = {"means": np.zeros((1, 69)), "covars": np.eye(69)[None] * 0.25, "weights": np.ones(1)}
    (tmp_path / "gmm_08.pkl").write_bytes(pickle.dumps(wide, protocol=2))
    store = FitStore(image_sets(None, bad_fits(crowd)))
    labels = Fitter(settings("original"), body, store, tmp_path / "gmm_08.pkl")(
        batch_of(crowd), prediction_of(crowd)
    )
    stored = torch.from_numpy(bad_fits(crowd).pose[:8])
    before = mean_error(body, stored, torch.zeros(8, 10), crowd)
    assert mean_error(body, labels["pose"], labels["betas"], crowd) < 0.6 * before
