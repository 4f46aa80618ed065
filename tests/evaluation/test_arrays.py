"""Scoring of arrays that another system wrote."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation import PROTOCOLS, accel_error, mpjpe, pa_mpjpe, score_arrays
from hmrcli.evaluation.protocols import Mesh, Target, points, score

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.npz"
OPEN = PROTOCOLS["open"]
RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(6, 14, 3)) * [0.2, 0.5, 0.1]
FOUND = TRUTH + RNG.normal(size=TRUTH.shape) * 0.05
POSE, BETAS = 0.3 * RNG.normal(size=(6, 72)), RNG.normal(size=(6, 10))
MM = 1000


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture
def scored(tmp_path):
    """Writes both files and scores them."""

    def run(predictions, targets, *protocol, **options):
        for name, arrays in (("p.npz", predictions), ("t.npz", targets)):
            np.savez(tmp_path / name, **arrays)
        return score_arrays(tmp_path / "p.npz", tmp_path / "t.npz", *protocol, root=tmp_path, **options)

    return run


def test_published_evaluation(scored):
    with np.load(GOLDEN) as golden:
        values = dict(golden)
    found = scored(
        {"joints3d": values["pred"], "unit": "mm"}, {"joints3d": values["target"] / MM, "unit": "m"}
    )
    np.testing.assert_allclose(found.per_sample["pa_mpjpe"], values["per_sample_pa"], rtol=1e-9)
    for ours, theirs in (("mpjpe", "mpjpe"), ("pa_mpjpe", "pa-mpjpe"), ("pck", "pck"), ("pa_auc", "pa-auc")):
        np.testing.assert_allclose(found.report.metrics[ours].mean, values[f"metric:{theirs}"], rtol=1e-6)
    assert found.report.notes == ()


def test_more_rows_than_go_at_once(scored):
    target = RNG.normal(size=(600, 14, 3))
    pred = (target + RNG.normal(size=target.shape)).astype(np.float32)
    found = scored({"joints3d": pred}, {"joints3d": target})
    np.testing.assert_array_equal(found.per_sample["mpjpe"], mpjpe(MM * pred.astype(float), MM * target))


def test_17_joints_are_centered_and_reduced(scored):
    target = RNG.normal(size=(5, 17, 3)) * 0.4
    pred = target + RNG.normal(size=(5, 1, 3))
    pred[:, 7] += 1  # the spine, which is not scored
    pred[2, 13, 0] += 0.14  # a wrist
    found = scored({"joints3d": pred}, {"joints3d": target})
    np.testing.assert_allclose(found.per_sample["mpjpe"], [0, 0, 10, 0, 0], atol=1e-9)
    fourteen = (target - target[:, :1])[:, EVALUATION_14_FROM_H36M]
    found = scored({"joints3d": pred}, {"joints3d": fourteen})
    np.testing.assert_allclose(found.per_sample["mpjpe"], [0, 0, 10, 0, 0], atol=1e-9)


def test_other_numbers_stand_as_they_are_unless_a_root_is_given(scored):
    target = RNG.normal(size=(4, 24, 3)) * 0.4
    pred = target + [0.3, 0.4, 0]
    found = scored({"joints3d": pred}, {"joints3d": target})
    np.testing.assert_allclose(found.per_sample["mpjpe"], 500)
    assert found.report.notes == ("24 joints were scored, not the 14 of the benchmarks",)
    found = scored(
        {"joints3d": MM * pred, "root": MM * pred[:, 0], "unit": "mm"},
        {"joints3d": target, "root": target[:, 0]},
    )
    np.testing.assert_allclose(found.per_sample["mpjpe"], 0, atol=1e-9)


def test_rows_are_matched_by_image_and_id(scored):
    image = np.array(["a.jpg", "a.jpg", "b.jpg", "c.jpg", "c.jpg", "c.jpg"])
    number = np.array([0, 1, 0, 0, 1, 2])
    order = np.array([3, 0, 5, 1, 4, 2])
    keys = {"joints3d": FOUND[order], "image": image[order], "id": number[order]}
    found = scored(keys, {"joints3d": TRUTH, "image": image, "id": number})
    np.testing.assert_array_equal(found.per_sample["mpjpe"], mpjpe(MM * FOUND, MM * TRUTH))
    np.testing.assert_array_equal(found.rows["image"], image)
    objects = keys | {"image": image[order].astype(object)}
    fewer = scored(objects, {"joints3d": TRUTH[1:3], "image": image[1:3], "id": number[1:3]})
    np.testing.assert_array_equal(fewer.per_sample["mpjpe"], found.per_sample["mpjpe"][1:3])
    assert fewer.report.notes == ("4 predictions have no target and were left out",)


def test_rows_that_do_not_match_are_named(scored):
    target = {"joints3d": TRUTH, "id": np.arange(6)}
    with pytest.raises(BadInput, match=r"p\.npz has 5 rows and .*t\.npz has 6; store image or id"):
        scored({"joints3d": FOUND[:5]}, target)
    with pytest.raises(BadInput, match=r"p\.npz: no row has id 5, as row 5 of .*t\.npz has"):
        scored({"joints3d": FOUND[:5], "id": np.arange(5)}, target)
    with pytest.raises(BadInput, match=r"p\.npz: rows 1 and 4 both have id 1"):
        scored({"joints3d": FOUND, "id": np.array([0, 1, 2, 3, 1, 5])}, target)


def test_parameters_are_scored_on_the_protocols_body(scored, body):
    other = POSE + 0.2
    found = scored({"pose": other, "betas": BETAS}, {"pose": POSE, "betas": BETAS}, OPEN)
    betas = torch.from_numpy(BETAS).float()
    ours, theirs = (rotmat_from_pose(torch.from_numpy(p).float()) for p in (other, POSE))
    mesh = Mesh(body(ours, betas).vertices, ours, betas)
    expected = score(OPEN, points(OPEN, {"neutral": body}, mesh, Target(theirs, betas)))
    assert set(found.per_sample) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_sample[name], values, rtol=1e-5)
    assert found.report.protocol is OPEN


def test_meshes_and_joints_can_be_mixed(scored, body):
    rotmat, betas = rotmat_from_pose(torch.from_numpy(POSE).float()), torch.from_numpy(BETAS).float()
    vertices = body(rotmat, betas).vertices
    joints17 = body.h36m_joints(vertices).numpy()
    shifted = {"vertices": (vertices + 0.5).numpy()}
    for target in ({"joints3d": joints17}, {"pose": POSE, "betas": BETAS}, {"vertices": vertices.numpy()}):
        found = scored(shifted, target, OPEN)
        np.testing.assert_allclose(found.per_sample["mpjpe"], 0, atol=2e-3)
        assert ("pve" in found.per_sample) == ("joints3d" not in target)
        if "pve" in found.per_sample:
            np.testing.assert_allclose(found.per_sample["pve"], 0, atol=2e-3)


def test_masked_joints_do_not_count(scored):
    pred = TRUTH.copy()
    pred[:, 2] += 1
    valid = np.ones((6, 14), bool)
    valid[:, 2] = False
    found = scored({"joints3d": pred}, {"joints3d": TRUTH, "valid": valid})
    np.testing.assert_allclose(found.per_sample["mpjpe"], 0, atol=1e-9)
    target = RNG.normal(size=(5, 17, 3)) * 0.4
    pred, valid = target.copy(), np.ones((5, 17))
    pred[:, 13] += 1
    valid[:, 13] = 0
    found = scored({"joints3d": pred}, {"joints3d": target, "valid": valid})
    np.testing.assert_allclose(found.per_sample["mpjpe"], 0, atol=1e-9)


def test_sequences_add_the_acceleration_and_widen_the_interval(scored):
    target = RNG.normal(size=(40, 14, 3)) * 0.3
    sequence = np.repeat(["a", "b", "c", "d"], 10)
    pred = target + 0.02 * np.repeat(np.arange(4), 10)[:, None, None]
    frame = np.tile(np.arange(10), 4)
    found = scored({"joints3d": pred}, {"joints3d": target, "sequence": sequence, "frame": frame})
    expected = accel_error(MM * pred, MM * target, sequence=sequence)
    np.testing.assert_allclose(found.per_sample["accel"], expected, atol=1e-9)
    assert found.report.metrics["accel"].count == 32
    alone = scored({"joints3d": pred}, {"joints3d": target})
    assert "accel" not in alone.per_sample
    widths = [r.report.metrics["mpjpe"].high - r.report.metrics["mpjpe"].low for r in (found, alone)]
    assert widths[0] > 2 * widths[1]
    assert found.report.metrics["mpjpe"].drawn == 4


PEOPLE = load_body().h36m_joints(load_body().v_template[None])[0].numpy() + RNG.normal(size=(8, 17, 3)) * 0.03
GUESSES = PEOPLE + RNG.normal(size=PEOPLE.shape) * 0.03
NAMES = np.array([f"{row}.jpg" for row in range(8)])
TRUTH24 = RNG.normal(size=(8, 24, 3))
FAR = [0.1, 0.2, 4.0]


def fourteen(joints17):
    return (joints17 - joints17[:, :1])[:, EVALUATION_14_FROM_H36M]


def test_missed_people_are_refused_or_counted(scored):
    target = {"joints3d": PEOPLE, "image_path": NAMES}
    found = [0, 2, 3, 5, 6, 7]
    fewer = {"joints3d": GUESSES[found], "imgname": NAMES[found].astype("S")}
    with pytest.raises(
        BadInput, match=r"no row has image 1\.jpg, as row 1 .*--allow-missed scores the others"
    ):
        scored(fewer, target)
    whole = scored({"joints3d": GUESSES}, target)
    absent = GUESSES.copy()
    absent[[1, 4]] = np.nan
    other = {"joints3d": np.concatenate([absent, GUESSES[:2]]), "image": np.array([*NAMES, "x", "y"])}
    for predictions, spare in (fewer, 0), (other, 2):
        some = scored(predictions, target, allow_missed=True)
        np.testing.assert_allclose(some.per_sample["mpjpe"][found], whole.per_sample["mpjpe"][found])
        assert np.isnan(some.per_sample["mpjpe"][[1, 4]]).all() and some.report.samples == 6
        assert some.report.metrics["mpjpe"].mean == np.mean(whole.per_sample["mpjpe"][found])
        assert some.details == {"targets": 8, "rows_left_out": 0, "missed": 2, "spare_predictions": spare}
        assert "6 of 8 targets have a prediction: recall 75.0 %" in some.report.notes[0]
    pairs = {"image": NAMES[[0, 0, 1, 1, 2, 2, 3, 3]]}  # two people in each image, in order
    ordered = scored({"joints3d": GUESSES, **pairs}, target | pairs)
    np.testing.assert_array_equal(ordered.per_sample["mpjpe"], whole.per_sample["mpjpe"])
    with pytest.raises(BadInput, match=r"p\.npz: rows 0 and 1 both have image 0\.jpg; store id in both"):
        scored({"joints3d": GUESSES[:6], "image": pairs["image"][:6]}, target | pairs, allow_missed=True)
    with pytest.raises(BadInput, match="no row is a prediction of a target"):
        scored(fewer, target | {"image_path": np.array([*"abcdefgh"])}, allow_missed=True)


def test_what_does_not_count_may_be_anything(scored):
    valid = np.ones((8, 17), bool)
    valid[:, 9] = valid[2, 4] = valid[5] = valid[6, 0] = False
    target = broken(PEOPLE, np.nan, ~valid)
    guess = broken(GUESSES, np.inf, ~valid)
    confidence = np.concatenate([broken(PEOPLE, -1, ~valid), valid[..., None]], 2)
    for truth in {"joints3d": target, "valid": valid}, {"joints3d": confidence}:
        found = scored({"joints3d": guess}, truth)
        np.testing.assert_array_equal(np.isnan(found.per_sample["pa_mpjpe"]), np.isin(range(8), [5, 6]))
        assert found.report.samples == 6 and found.details["rows_left_out"] == 2
        assert "2 of 8 targets were left out, first row 5" in found.report.notes[0]
        assert "1 of 84 true joints have no label" in found.report.notes[1]
    clean = scored({"joints3d": GUESSES}, {"joints3d": PEOPLE, "valid": valid})
    np.testing.assert_array_equal(clean.per_sample["mpjpe"], found.per_sample["mpjpe"])
    zeros = scored({"joints3d": GUESSES}, {"joints3d": broken(PEOPLE, 0, ~valid)})
    np.testing.assert_array_equal(zeros.per_sample["mpjpe"][:5], clean.per_sample["mpjpe"][:5])
    knees = [
        (joints - joints[:, 5:6])[:, EVALUATION_14_FROM_H36M] for joints in (GUESSES, PEOPLE)
    ]  # the right one is their root
    whole = scored(*({"joints3d": joints} for joints in knees))
    np.testing.assert_allclose(whole.per_sample["mpjpe"], mpjpe(*(MM * joints for joints in knees)))
    with pytest.raises(BadInput, match=r"p\.npz: key joints3d, row 2 holds values that are not finite"):
        scored({"joints3d": broken(GUESSES, np.nan, 2)}, {"joints3d": PEOPLE, "valid": valid})
    with pytest.raises(BadInput, match=r"t\.npz: no row can be scored; 8 of 8 targets were left out"):
        scored({"joints3d": GUESSES}, {"joints3d": PEOPLE, "valid": np.eye(17)[:8]})
    unused = scored({"joints3d": GUESSES, "valid": valid}, {"joints3d": PEOPLE})
    assert "every predicted joint counts" in unused.report.notes[0] and unused.report.samples == 8


def test_joints_are_not_said_to_be_centered_where_they_are_not(scored):
    far = (PEOPLE + FAR)[:, EVALUATION_14_FROM_H36M]
    for predictions in {"joints3d": GUESSES + FAR}, {"joints3d": fourteen(GUESSES) + [0, 0, 0.4]}:
        with pytest.raises(
            BadInput, match=r"t\.npz: key joints3d has 14 joints, without their pelvis.*Store root"
        ):
            scored(predictions, {"joints3d": far}, PROTOCOLS["3dpw"])
    with pytest.raises(BadInput, match=r"t\.npz: key joints3d has 14 joints"):
        scored({"joints3d": GUESSES + FAR}, {"joints3d": far})
    expected = mpjpe(MM * fourteen(GUESSES), MM * fourteen(PEOPLE))
    rooted = scored({"joints3d": GUESSES + FAR}, {"joints3d": far, "root": (PEOPLE + FAR)[:, 0]})
    np.testing.assert_allclose(rooted.per_sample["mpjpe"], expected, rtol=1e-6)
    assert rooted.report.notes == ()
    stored = scored({"joints3d": GUESSES}, {"joints3d": fourteen(PEOPLE)}, PROTOCOLS["h36m"])
    np.testing.assert_allclose(stored.per_sample["mpjpe"], expected, rtol=1e-6)
    assert "scored as stored: their hips lie" in stored.report.notes[0]
    face = [[0, 0.6, 0.1], [0.03, 0.63, 0.08], [-0.03, 0.63, 0.08], [0.07, 0.6, 0], [-0.07, 0.6, 0]]
    limbs = PEOPLE[:, [11, 14, 12, 15, 13, 16, 1, 4, 2, 5, 3, 6]]
    coco = np.concatenate([np.tile(face, (8, 1, 1)), limbs], 1)
    (note, *_) = scored({"joints3d": coco}, {"joints3d": coco}).report.notes
    assert "do not lie as the pelvis and legs of Human3.6M's 17: joint 0 was taken as the pelvis" in note
    apart = scored({"joints3d": far + FAR}, {"joints3d": far})
    assert "nothing centers the two files, and their people stand 4.01 m apart" in apart.report.notes[0]
    with pytest.raises(BadInput, match="has 24 joints, and the h36m protocol scores 14"):
        scored({"joints3d": TRUTH24}, {"joints3d": TRUTH24}, PROTOCOLS["h36m"])


def test_other_conventions_of_arrays_are_hinted_at(scored):
    swapped = scored({"joints3d": GUESSES[:, list(H36M.flip)]}, {"joints3d": PEOPLE})
    assert "with left and right joints exchanged in the predictions" in swapped.report.notes[0]
    turned = scored({"joints3d": GUESSES * [1, -1, -1]}, {"joints3d": PEOPLE})
    assert "as where y points up" in turned.report.notes[0] and "MPJPE would be" in turned.report.notes[0]
    feet = scored({"joints3d": GUESSES * 3.28}, {"joints3d": PEOPLE})
    assert "look at the units" in feet.report.notes[0]
    with pytest.raises(BadInput, match=r"key pose: the largest turn of a pose is .* convert degrees"):
        scored({"pose": np.degrees(POSE), "betas": BETAS}, {"pose": POSE, "betas": BETAS}, OPEN)


@pytest.mark.parametrize("kind", ["float16", "objects", "bytes", "one row"])
def test_files_as_users_write_them_are_read(scored, kind):
    joints, names = GUESSES, NAMES
    if kind == "float16":
        joints = GUESSES.astype(np.float16)
    elif kind == "objects":
        joints, names = np.empty(8, object), NAMES.astype(object)
        joints[:] = [*GUESSES]
    elif kind == "bytes":
        names = NAMES.astype("S")
    rows = slice(0, 1) if kind == "one row" else slice(None)
    found = scored(
        {"joints3d": joints[rows], "image": names[rows]}, {"joints3d": PEOPLE[rows], "image": NAMES[rows]}
    )
    expected = mpjpe(MM * fourteen(GUESSES), MM * fourteen(PEOPLE))[rows]
    np.testing.assert_allclose(found.per_sample["mpjpe"], expected, atol=1)


def broken(array, value, row=3):
    array = array.copy()
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "expected key joints3d, vertices, or pose and betas; the file has none"),
        ({"keypoints": FOUND}, "the file has keypoints"),
        ({"joints3d": FOUND.astype(int)}, "key joints3d has type int64, expected floating-point numbers"),
        ({"joints3d": FOUND[..., :2]}, r"key joints3d has shape \(6, 14, 2\), expected \(N, J, 3\)"),
        ({"joints3d": FOUND[:0]}, r"key joints3d has shape \(0, 14, 3\): there are no rows"),
        (
            {"joints3d": np.array([FOUND[0], FOUND[1][:3]], object)},
            "key joints3d has rows of different shapes",
        ),
        (
            {"joints3d": np.array([{"joints": 1}] * 6)},
            "key joints3d has type object, expected floating-point",
        ),
        ({"predictions": np.array([{"joints3d": FOUND[0]}] * 6)}, "the file has predictions"),
        ({"joints3d": broken(FOUND, np.nan)}, "key joints3d, row 3 holds values that are not finite"),
        ({"joints3d": FOUND[:, :10]}, r"gives 10 joints and .*t\.npz gives 14"),
        ({"joints3d": FOUND, "id": np.arange(5)}, r"key id has shape \(5,\), expected \(N=6\)"),
        ({"joints3d": FOUND * MM}, "read in m makes people of .* m; if it is in mm, store unit='mm'"),
        ({"joints3d": FOUND, "unit": "mm"}, "read in mm makes people of .* m; if it is in m, store unit='m'"),
        ({"joints3d": FOUND, "unit": "cm"}, "key unit is 'cm', expected 'm' or 'mm'"),
        ({"joints3d": FOUND, "unit": np.array(["m"])}, r"key unit has shape \(1,\)"),
        ({"pose": POSE}, "key betas is missing; pose and betas go together"),
        ({"pose": POSE, "betas": BETAS[:, :9]}, r"key betas has shape \(6, 9\), expected \(N=6, 10\)"),
        ({"vertices": RNG.normal(size=(6, 50, 3))}, "belong to a body: name it with --protocol"),
        (
            {"joints3d": FOUND, "image": np.array([None, *"abcde"])},
            "key image, row 0 is NoneType, expected text",
        ),
        (
            {"joints3d": FOUND, "gender": np.array(list("mfmfxm"))},
            "key gender, row 4 is 'x', expected m, male",
        ),
    ],
)
def test_what_cannot_be_scored_is_named(scored, keys, message):
    with pytest.raises(BadInput, match=r"p\.npz.*" + message):
        scored(keys, {"joints3d": TRUTH})


def test_targets_that_lack_something_are_named(scored):
    pose = {"pose": POSE, "betas": BETAS}
    with pytest.raises(BadInput, match=r"t\.npz: key gender: 2 of 6 rows are neither m nor f, first row 1"):
        scored({"joints3d": FOUND}, pose | {"gender": np.array([*"mnfnmm"])}, PROTOCOLS["3dpw"])
    with pytest.raises(BadInput, match=r"t\.npz: key gender is missing"):
        scored({"joints3d": FOUND}, pose, PROTOCOLS["3dpw"])
    with pytest.raises(BadInput, match=r"t\.npz: key valid has 3 joints, expected 14"):
        scored(pose, pose | {"valid": np.ones((6, 3))}, OPEN)
    with pytest.raises(BadInput, match=r"t\.npz: key frame: row 1 repeats a frame"):
        scored({"joints3d": FOUND}, {"joints3d": TRUTH, "frame": np.array([4, 4, 5, 6, 7, 8])})
    with pytest.raises(BadInput, match=r"p\.npz: key vertices has 50 vertices, expected 6821 of the open"):
        scored({"vertices": RNG.normal(size=(6, 50, 3))}, pose, OPEN)
    with pytest.raises(MissingFile, match="SMPL_NEUTRAL"):
        scored(pose, pose | {"gender": np.array(list("mfmfmf"))}, PROTOCOLS["3dpw"])


def test_joints_under_a_protocol_need_no_body(scored):
    found = scored({"joints3d": FOUND}, {"joints3d": TRUTH}, PROTOCOLS["3dpw"])
    np.testing.assert_allclose(found.per_sample["pa_mpjpe"], pa_mpjpe(MM * FOUND, MM * TRUTH))
    assert "hips lie 42 cm from the origin" in found.report.notes[0]
    assert "6 samples were scored, the published figures are over 35515" in found.report.notes[-1]


def test_absent_and_damaged_files_are_named(tmp_path):
    np.savez(tmp_path / "t.npz", joints3d=TRUTH)
    with pytest.raises(MissingFile, match=r"p\.npz"):
        score_arrays(tmp_path / "p.npz", tmp_path / "t.npz")
    (tmp_path / "p.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"p\.npz"):
        score_arrays(tmp_path / "p.npz", tmp_path / "t.npz")


def test_extended_precision_is_taken(scored):
    found = scored({"joints3d": FOUND.astype(np.longdouble)}, {"joints3d": TRUTH.astype(np.float16)})
    assert 40 < found.report.metrics["mpjpe"].mean < 120
