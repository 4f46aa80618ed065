import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from hmrcli.body.joints import EVALUATION_14, JOINT_SETS, joint_set
from hmrcli.data.augmentation import SampleAugmentation, augment_pose, rotate_joints3d
from hmrcli.data.crop import crop_affine, crop_image, square_around
from hmrcli.data.mixture import BatchSampler, Draw, Mixture, mixture_of
from hmrcli.data.sets import ImageSet, load_sets
from hmrcli.data.training import Batch, TrainingSet, pose_from_crop, pose_into_crop, training_batches
from hmrcli.data.unreadable_rows import LIST_FILE, Unreadable
from hmrcli.errors import BadInput
from hmrcli.recipe.algorithms import CropShape
from tests.data.image_sets import recipe, write_sets
from tests.data.people import people

SQUARE = CropShape(224, 224)
LEARNED = [name for name, each in JOINT_SETS.items() if each.flip and name != "h36m"]
STILL = {
    "augmentation__channel_noise": 0,
    "augmentation__flip": 0,
    "augmentation__scale": 0,
    "augmentation__rotation__probability": 0,
    "augmentation__self_mix": "null",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_sets(folder, recipe())
    return folder


@pytest.fixture(scope="module")
def sets(root):
    return load_sets(recipe(), root)


def sampler(sets, **options):
    sizes = {images.name: len(images) for images in sets}
    return BatchSampler(mixture_of(recipe().data, sizes), 5, 8, **options)


def assert_same(left: list[Batch], right: list[Batch]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right):
        assert all(torch.equal(x, y) for x, y in zip(a, b))


def test_workers_change_nothing_and_leave_other_randomness_alone(sets):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    alone = list(training_batches(recipe(), sets, sampler(sets, stop=5)))
    assert_same(list(training_batches(recipe(), sets, sampler(sets, stop=5), workers=2)), alone)
    assert torch.equal(torch.get_rng_state(), before)
    first = alone[0]
    assert first.images.shape == (8, 224, 224, 3) and first.images.dtype == torch.uint8
    assert first.keypoints2d.shape == (8, 54, 3) and first.keypoints3d.shape == (8, 54, 4)
    assert first.keypoints2d.dtype == first.pose.dtype == first.rotation.dtype == torch.float32
    assert [batch.epoch.unique().tolist() for batch in alone] == [[0], [0], [1], [1], [2]]
    assert first.position.tolist() == list(range(8))


@pytest.mark.parametrize("done", [1, 3])
def test_a_run_goes_on_within_an_epoch_as_if_never_stopped(sets, done):
    whole = list(training_batches(recipe(), sets, sampler(sets, stop=5)))
    rest = training_batches(recipe(), sets, sampler(sets, start=done, stop=5), workers=2)
    assert_same(list(rest), whole[done:])


def test_two_processes_make_the_batches_of_one(sets):
    whole = list(training_batches(recipe(), sets, sampler(sets, stop=3)))
    parts = [
        list(training_batches(recipe(), sets, sampler(sets, stop=3, rank=rank, processes=2)))
        for rank in range(2)
    ]
    assert_same([Batch(*map(torch.cat, zip(a, b))) for a, b in zip(*parts)], whole)


def dotted(joints: str, joint: int, folder) -> ImageSet:
    """A person whose joints are at one place, with a bright dot there for the given joint alone."""
    rng = np.random.default_rng(joint)
    center, size = np.array([150.0, 110.0]), len(joint_set(joints))
    keypoints2d = np.full((1, size, 3), 1, np.float32)
    keypoints2d[0, :, :2] = rng.uniform(-25, 25, (size, 2)) + center
    image = np.zeros((220, 300, 3), np.uint8)
    # A blob at a fraction of a pixel: its center of mass is the keypoint.
    y, x = np.mgrid[:220, :300]
    distance = np.square(x - keypoints2d[0, joint, 0]) + np.square(y - keypoints2d[0, joint, 1])
    image[:] = np.rint(200 * np.exp(-distance / 18))[..., None]
    cv2.imwrite(str(folder / "dot.png"), image)
    annotations = people(
        1,
        joints,
        image_path=np.array(["dot.png"]),
        bbox_xywh=np.float32([[center[0] - 60, center[1] - 50, 120, 100]]),
        keypoints2d=keypoints2d,
        has_smpl=np.array([True]),
    )
    return ImageSet("h36m", annotations, folder)


@pytest.mark.parametrize("joints", LEARNED)
def test_labels_stay_on_their_pixels_under_every_augmentation(tmp_path, joints):
    seen = set()
    for joint in (0, 5, len(joint_set(joints)) - 1):
        images = dotted(joints, joint, tmp_path)
        samples = TrainingSet([images], recipe("hmr_l1").augmentation, joints, joint, SQUARE)
        for position in range(25):
            draw = Draw(0, position, 0, 0)
            augmentation, sample = samples.augmentation(draw), samples.sample(draw)
            own = JOINT_SETS[joints].flip.index(joint) if augmentation.flip else joint
            brightness = sample["images"].astype(float).sum(2)
            y, x = np.mgrid[:224, :224]
            dot = np.array([(x * brightness).sum(), (y * brightness).sum()]) / brightness.sum()
            assert sample["keypoints2d"][own, :2] == pytest.approx(dot, abs=0.3)
            assert sample["keypoints2d"][own, 2] == 1
            seen.add((augmentation.flip, augmentation.rotation != 0))
            assert (sample["flip"], sample["rotation"]) == (
                augmentation.flip,
                np.float32(augmentation.rotation),
            )
    assert len(seen) == 4


def test_3d_labels_are_mirrored_and_turned(sets):
    samples = TrainingSet(sets, recipe().augmentation, "smpl_54", 0, SQUARE)
    original = sets[0].annotations.labels(slice(0, len(sets[0])))
    seen = set()
    for position in range(60):
        draw = Draw(1, position, 0, position % len(sets[0]))
        augmentation, sample = samples.augmentation(draw), samples.sample(draw)
        joints3d = original["keypoints3d"][draw.row]
        if augmentation.flip:
            joints3d = joints3d[list(JOINT_SETS["smpl_54"].flip)] * np.float32([-1, 1, 1, 1])
        assert sample["keypoints3d"] == pytest.approx(
            rotate_joints3d(joints3d, augmentation.rotation), abs=1e-6
        )
        pose, known = original["pose"][draw.row], original["has_smpl"][draw.row]
        expected = augment_pose(pose, augmentation) if known else np.zeros(72)
        assert sample["pose"] == pytest.approx(expected, abs=1e-6)
        assert np.array_equal(sample["betas"], original["betas"][draw.row])
        seen.add((bool(known), augmentation.flip))
    assert len(seen) == 4


def test_without_augmentation_a_sample_is_the_plain_crop(sets):
    samples = TrainingSet(sets, recipe(**STILL).augmentation, "smpl_54", 0, SQUARE)
    image = cv2.imread(str(sets[2].image(1)))
    affine = crop_affine(*square_around(sets[2].annotations.bbox_xywh[1]))
    sample = samples.sample(Draw(3, 4, 2, 1))
    assert np.array_equal(sample["images"][..., ::-1], crop_image(image, affine))
    assert (sample["dataset"], sample["row"], sample["epoch"], sample["position"]) == (2, 1, 3, 4)


def test_labels_are_the_same_whatever_the_size_of_the_picture(sets):
    large, small = (
        TrainingSet(sets, recipe().augmentation, "smpl_54", 0, shape)
        for shape in (SQUARE, CropShape(128, 128))
    )
    for position in range(6):
        drawn = Draw(0, position, 0, position % len(sets[0]))
        one, other = large.sample(drawn), small.sample(drawn)
        assert one.pop("images").shape == (224, 224, 3)
        assert other.pop("images").shape == (128, 128, 3)
        np.testing.assert_allclose(one.pop("affine") * (128 / 224), other.pop("affine"), rtol=1e-5)
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_a_smaller_picture_shows_the_same(sets):
    large, small = (
        TrainingSet(sets, recipe(**STILL).augmentation, "smpl_54", 0, CropShape(size, size)).sample(
            Draw(0, 0, 0, 0)
        )["images"]
        for size in (224, 112)
    )
    halved = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
    shifted = cv2.resize(np.roll(large, 24, axis=1), (112, 112), interpolation=cv2.INTER_AREA)
    apart, elsewhere = (np.abs(small.astype(int) - other).mean() for other in (halved, shifted))
    assert apart < elsewhere / 4


def test_patches_are_mixed_into_the_named_sets_only(sets):
    mixing = TrainingSet(sets, recipe().augmentation, "smpl_54", 0, SQUARE)
    plain = TrainingSet(sets, replace_mix(None), "smpl_54", 0, SQUARE)
    mixed = [mixing.augmentation(Draw(0, i, 0, 0)) for i in range(400)]
    assert np.mean([found.patch is not None for found in mixed]) == pytest.approx(0.5, abs=0.08)
    for i, found in enumerate(mixed):  # nothing else changes with it
        assert replace(found, patch=None) == plain.augmentation(Draw(0, i, 0, 0))
    for dataset in range(1, len(sets)):
        assert all(mixing.augmentation(Draw(0, i, dataset, 0)).patch is None for i in range(50))
    small = replace_mix({"area": (0.02, 0.03), "aspect": (1.0, 1.0), "blend": (0.5, 0.5)})
    patches = [
        TrainingSet(sets, small, "smpl_54", 0, SQUARE).augmentation(Draw(0, i, 0, 0)).patch for i in range(50)
    ]
    found = [patch for patch in patches if patch]
    assert found and all(patch.share == 0.5 and 31 <= patch.width == patch.height <= 39 for patch in found)


def replace_mix(changes):
    settings = recipe().augmentation
    mix = changes and settings.self_mix.model_copy(update=changes)
    return settings.model_copy(update={"self_mix": mix})


def test_draws_of_augmentation_differ_by_seed_epoch_and_position(sets):
    settings = recipe().augmentation

    def drawn(seed: int, epoch: int, position: int) -> SampleAugmentation:
        return TrainingSet(sets, settings, "smpl_54", seed, SQUARE).augmentation(Draw(epoch, position, 1, 0))

    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({drawn(*place).gains for place in places}) == 4
    assert drawn(1, 2, 3) == drawn(1, 2, 3)


def test_fits_go_into_crops_and_back():
    rng = np.random.default_rng(0)
    pose, flip = rng.uniform(-1, 1, (8, 72)).astype(np.float32), rng.integers(0, 2, 8).astype(bool)
    rotation = rng.uniform(-1, 1, 8).astype(np.float32)
    inside = pose_into_crop(pose, flip, rotation)
    for i in range(8):
        expected = augment_pose(pose[i], SampleAugmentation(flip=bool(flip[i]), rotation=float(rotation[i])))
        assert inside[i] == pytest.approx(expected, abs=1e-6)
    assert pose_from_crop(inside, flip, rotation) == pytest.approx(pose, abs=1e-5)


@pytest.mark.parametrize("joints", LEARNED)
def test_mirrors_exchange_sides(joints):
    assert [JOINT_SETS[joints].flip[i] for i in JOINT_SETS[joints].flip] == list(
        range(len(joint_set(joints)))
    )
    if joints == "evaluation_14":
        names = [name.replace("left", "right") for name in EVALUATION_14.names]
        assert [names[i] for i in JOINT_SETS[joints].flip] == names
        assert JOINT_SETS[joints].flip != tuple(range(14))


def broken(sets, folder, *rows: int, content: bytes | None = b"no image"):
    """The same sets, of the first of which some rows cannot be read."""
    copied = replace(sets[0], folder=shutil.copytree(sets[0].folder, folder / "images"))
    for row in rows:
        path = copied.image(row)
        path.unlink() if content is None else path.write_bytes(content)
    return [copied, *sets[1:]]


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n torn"])
def test_an_image_that_cannot_be_read_is_named(tmp_path, sets, content, capfd):
    worse = broken(sets, tmp_path, 3, content=content)[:1]
    draws = BatchSampler(Mixture((len(worse[0]),), (1.0,), 12), 0, 4, stop=40)
    with pytest.raises(BadInput, match=r"images.3\.png") as caught:
        list(training_batches(recipe(), worse, draws, workers=0 if content else 2))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_row_that_cannot_be_read_is_replaced_and_listed_and_no_other_changes(tmp_path, sets):
    worse, said = broken(sets, tmp_path, 3), []
    unreadable = Unreadable(tmp_path, worse, said.append)
    drawn = list(training_batches(recipe(), sets, sampler(sets, stop=6)))
    replaced = list(training_batches(recipe(), worse, sampler(sets, stop=6), unreadable=unreadable))
    found = 0
    for one, other in zip(drawn, replaced, strict=True):
        bad = (one.dataset == 0) & (one.row == 3)
        found += int(bad.sum())
        assert torch.equal(one.dataset, other.dataset) and torch.equal(one.position, other.position)
        assert torch.equal(one.images[~bad], other.images[~bad])
        assert torch.equal(one.row[~bad], other.row[~bad]) and not (other.row[bad] == 3).any()
    assert found > 1, "the row was drawn several times"
    (line,) = (tmp_path / LIST_FILE).read_text().splitlines()
    assert json.loads(line) == {
        "set": "h36m",
        "row": 3,
        "file": str(worse[0].image(3)),
        "reason": f"{worse[0].image(3)}: not an image that can be read, expected one of the data set; unpack it again",
    }
    assert len(said) == 1 and "in place of row 3" in said[0]

    again = Unreadable(tmp_path, worse)
    rest = training_batches(recipe(), worse, sampler(sets, start=2, stop=6), workers=2, unreadable=again)
    assert_same(list(rest), replaced[2:])
    assert len((tmp_path / LIST_FILE).read_text().splitlines()) == 1, "a row is listed once"


@pytest.mark.parametrize(("rows", "workers"), [((3, 4), 0), (range(12), 2)])
def test_training_ends_when_more_than_a_small_share_cannot_be_read(tmp_path, sets, rows, workers):
    worse = broken(sets, tmp_path, *rows)[:1]
    draws = BatchSampler(Mixture((len(worse[0]),), (1.0,), 12), 0, 4, stop=40)
    expected = r"\.png.*(2 of the 12 rows of h36m|expected one of the data set)"
    with pytest.raises(BadInput, match=expected) as caught:
        list(training_batches(recipe(), worse, draws, workers, unreadable=Unreadable(tmp_path, worse)))
    assert "\n" not in str(caught.value)


def test_an_interrupt_from_the_keyboard_is_the_parents_business(sets, capfd):
    batches = training_batches(recipe(), sets, sampler(sets, stop=8), workers=2)
    first = next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
    assert_same([first, *batches], list(training_batches(recipe(), sets, sampler(sets, stop=8))))
    assert capfd.readouterr().err == ""


def test_every_algorithms_data_can_be_learned_from(tmp_path):
    """Sets that lack a kind of label, one list without shares, and a set that was left out."""
    resolved = recipe("graphormer_l1")
    sizes = {"h36m": 6, "muco": 4, "coco": 3, "up-3d": 2, "mpii": 3}
    write_sets(tmp_path, resolved, sizes)
    sets = load_sets(resolved, tmp_path, without=["mpii"])
    sets[1] = replace(sets[1], annotations=replace(sets[1].annotations, keypoints3d=None))
    mixture = mixture_of(resolved.data, {images.name: len(images) for images in sets})
    (batch,) = training_batches(resolved, sets, BatchSampler(mixture, 0, 15, stop=1))
    assert sorted(zip(batch.dataset.tolist(), batch.row.tolist())) == [
        (i, j) for i, images in enumerate(sets) for j in range(len(images))
    ]
    assert batch.keypoints2d.shape == (15, 14, 3)
    assert torch.equal(batch.has_keypoints3d, batch.dataset != 1)
    assert not batch.keypoints3d[batch.dataset == 1].any()
    assert torch.equal(batch.to("cpu").images, batch.images)
    assert len(list(islice(training_batches(resolved, sets, BatchSampler(mixture, 0, 4)), 6))) == 6
