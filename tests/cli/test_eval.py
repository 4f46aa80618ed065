"""`hmr eval` through the command line: known errors go in, and come out."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np
import pytest
import roma
import torch
from typer.testing import CliRunner, Result

from benchmarks.world import SMALL, open_recipe
from hmrcli.algorithms import build_network
from hmrcli.assets.bundled import bundled
from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.body.rotations import sixd_from_rotmat
from hmrcli.cli.app import app
from hmrcli.cli.eval import ARRAY_KEYS, TARGET_KEYS
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import HmrError
from hmrcli.evaluation.array_files import KEYS
from hmrcli.layers import save_weights
from tests.processes import together

pytestmark = pytest.mark.usefixtures("narrow_backbones")

ROWS = 21
ROOT_UP = torch.tensor([torch.pi, 0.0, 0.0])
TURNS = np.linspace(0, 0.6, ROWS)  # radians about the camera's axis: the injected errors


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def code(result: Result) -> int:
    error = result.exception
    if error is not None and not isinstance(error, (HmrError, SystemExit)):
        raise error
    return error.exit_code if isinstance(error, HmrError) else result.exit_code


def constant_network(path: Path, body: BodyModel) -> Path:
    """HMR that answers every image with the upright rest pose and mean shape."""
    network = build_network(open_recipe("hmr_normal", *SMALL), body)
    with torch.no_grad():
        for name in ("decpose", "decshape", "deccam"):
            getattr(network.head, name).weight.zero_()
            getattr(network.head, name).bias.zero_()
        rotmat = torch.eye(3).repeat(24, 1, 1)
        rotmat[0] = roma.rotvec_to_rotmat(ROOT_UP)
        network.head.init_pose.copy_(sixd_from_rotmat(rotmat).reshape(1, 144))
        network.head.init_shape.zero_()
        network.head.init_cam.copy_(torch.tensor([[0.9, 0.0, 0.0]]))
    save_weights(network, path)
    return path


def annotations(folder: Path) -> Annotations:
    """People of one body, the true ones turned about the camera's axis by TURNS; of either gender in turn."""
    generator = np.random.default_rng(0)
    names = []
    for i in range(ROWS):
        path = folder / f"sequence_{i % 3}" / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 255, (120, 160, 3), dtype=np.uint8))
        names.append(path.relative_to(folder).as_posix())
    turns = torch.zeros(ROWS, 3)
    turns[:, 2] = torch.from_numpy(TURNS)
    pose = torch.zeros(ROWS, 72)
    pose[:, :3] = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(turns) @ roma.rotvec_to_rotmat(ROOT_UP))
    return Annotations(
        dataset="people",
        joints="evaluation_14",
        image_path=np.array(names),
        bbox_xywh=np.tile(np.float32([40, 10, 80, 100]), (ROWS, 1)),
        keypoints2d=None,
        keypoints3d=None,
        pose=pose.numpy(),
        betas=np.zeros((ROWS, 10), np.float32),
        has_smpl=np.ones(ROWS, bool),
        gender=np.array(["m", "f"] * ROWS)[:ROWS],
    )


def joints_of(body: BodyModel, vertices: np.ndarray) -> np.ndarray:
    joints = body.h36m_regressor.numpy() @ vertices
    return 1000 * (joints - joints[:1])[list(EVALUATION_14_FROM_H36M)]


def upright(body: BodyModel) -> np.ndarray:
    rotmat = torch.eye(3).repeat(1, 24, 1, 1)
    rotmat[:, 0] = roma.rotvec_to_rotmat(ROOT_UP)
    return body(rotmat, torch.zeros(1, 10)).vertices[0].numpy()


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a 3DPW-shaped set, three SMPL-shaped bodies made from the open one, and a checkpoint."""
    root = tmp_path_factory.mktemp("root")
    with np.load(bundled("body/open_body.npz")) as stored:
        fields = {
            n: stored[n]
            for n in ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f"]
        }
    smpl = root / "body_models" / "smpl"
    smpl.mkdir(parents=True)
    for role, size in {"NEUTRAL": 1.0, "MALE": 1.1, "FEMALE": 0.95}.items():
        np.savez(
            smpl / f"SMPL_{role}.npz", **fields | {"v_template": fields["v_template"] * np.float32(size)}
        )
    body = load_body("open")
    np.save(root / "body_models" / "J_regressor_h36m.npy", body.h36m_regressor.numpy())
    (root / "preprocessed_datasets").mkdir()
    write_human_data(root / "preprocessed_datasets" / "people.npz", annotations(root / "datasets" / "pw3d"))
    constant_network(root / "hmr.safetensors", body)
    (root / "hmr_normal.yaml").write_text(open_recipe("hmr_normal", *SMALL).dump())
    return root


def arguments(world: Path, protocol: str, out: Path) -> list[str]:
    return [
        *(
            "--recipe",
            str(world / "hmr_normal.yaml"),
            "--checkpoint",
            str(world / "hmr.safetensors"),
            "--dataset",
            "people",
        ),
        *(
            "--protocol",
            protocol,
            "--data-root",
            str(world),
            "--out",
            str(out),
            "--device",
            "cpu",
            "--batch-size",
            "8",
        ),
    ]


def expected(protocol: str) -> dict[str, np.ndarray]:
    """MPJPE and PVE of each row by hand: turning by an angle moves a point by twice its distance to the axis…"""
    body = load_body("open")
    vertices = upright(body)
    predicted = joints_of(body, vertices)
    sizes = np.ones(ROWS) if protocol == "open" else np.where(np.arange(ROWS) % 2 == 0, 1.1, 0.95)
    mpjpe = [
        np.linalg.norm(turned(predicted, t) * size - predicted, axis=1).mean()
        for t, size in zip(TURNS, sizes)
    ]
    return {"mpjpe_mm": np.array(mpjpe), "pa_mpjpe_mm": np.zeros(ROWS)}


class Evaluated(NamedTuple):
    """What an evaluation left."""

    stdout: str
    folder: Path


@pytest.fixture(scope="module")
def evaluated(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    """Results by protocol; the document of the first was printed."""
    runs, found = tmp_path_factory.mktemp("runs"), {}
    for protocol, options in (("open", ["--json"]), ("3dpw", [])):
        folder = runs / "hmr_normal" / protocol
        done = run(*arguments(world, protocol, folder), "--workers", "2", *options)
        assert code(done) == 0
        found[protocol] = Evaluated(done.stdout, folder)
    return found


def test_the_document_that_is_printed_is_what_is_written(evaluated: dict[str, Evaluated]) -> None:
    stdout, folder = evaluated["open"]
    written = json.loads((folder / "results.json").read_text())
    assert json.loads(stdout) == written | {"out": str(folder)}


@pytest.mark.parametrize("protocol", ["open", "3dpw"])
def test_what_was_injected_comes_out(evaluated: dict[str, Evaluated], protocol: str) -> None:
    out = evaluated[protocol].folder
    document = json.loads((out / "results.json").read_text())
    with np.load(out / "errors.npz") as errors:
        for name, values in expected(protocol).items():
            assert np.allclose(errors[name], values, atol=2e-3), name
            mean = document["scores"][0]["metrics"][name]
            assert mean["value"] == pytest.approx(values.mean(), abs=2e-3)
            assert mean["low"] <= mean["value"] <= mean["high"]
        assert errors["image_path"].tolist()[4] == "sequence_1/004.jpg"
        assert errors["joints_mm"].shape == (ROWS, 14)
    assert document["samples"] == ROWS and document["protocol"] == protocol
    assert ("35515" in " ".join(document["details"]["notes"])) == (protocol == "3dpw")
    for picture in ("samples.png", "joints.png"):
        assert cv2.imread(str(out / picture)).std() > 5
    assert not (out / "unfinished").exists()


def test_two_processes_give_the_same_result(
    world: Path, evaluated: dict[str, Evaluated], tmp_path: Path
) -> None:
    alone, shared = evaluated["open"].folder, tmp_path / "shared"

    def work(rank: int) -> tuple[int, str]:
        done = run(*arguments(world, "open", shared), "--workers", "0", "--json")
        return code(done), done.stdout

    (first, printed), other = together(work, join=False)
    assert first == 0 and other == (0, "")
    document = json.loads(printed)
    assert document["samples"] == ROWS and document["environment"]["processes"] == 2
    with np.load(alone / "errors.npz") as one, np.load(shared / "errors.npz") as two:
        assert one.files == two.files
        for name in one.files:
            if one[name].dtype.kind == "f":
                assert np.allclose(one[name], two[name], atol=1e-3), name
    values = [json.loads((folder / "results.json").read_text())["scores"] for folder in (alone, shared)]
    assert values[0][0]["metrics"]["mpjpe_mm"] == pytest.approx(values[1][0]["metrics"]["mpjpe_mm"], abs=1e-3)


def test_the_result_appears_in_the_table(evaluated: dict[str, Evaluated]) -> None:
    stdout, folder = evaluated["3dpw"]
    assert "3DPW test split" in stdout and "pa_mpjpe" in stdout
    table = CliRunner().invoke(app, ["table", "--results", str(folder.parents[1]), "--format", "json"])
    assert "hmr_normal/3dpw" in table.stdout


def test_arrays_of_another_system(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    truth = generator.normal(size=(6, 14, 3)).astype(np.float32)
    shift = np.zeros_like(truth)
    shift[:, :, 0] = 0.03 * np.arange(6)[:, None]
    np.savez(tmp_path / "t.npz", joints3d=truth)
    np.savez(tmp_path / "p.npz", joints3d=truth + shift)
    pair = ["--predictions", str(tmp_path / "p.npz"), "--targets", str(tmp_path / "t.npz")]
    done = run(*pair, "--json", "--out", str(tmp_path / "out"))
    assert code(done) == 0
    metrics = json.loads(done.stdout)["scores"][0]["metrics"]
    assert metrics["mpjpe_mm"]["value"] == pytest.approx(75, abs=1e-3)
    assert metrics["pa_mpjpe_mm"]["value"] == pytest.approx(0, abs=1e-3)
    with np.load(tmp_path / "out" / "errors.npz") as errors:
        assert np.allclose(errors["mpjpe_mm"], 30 * np.arange(6), atol=1e-3)


def test_results_of_another_system_by_person(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    people = {
        track: {
            "pose": generator.normal(0, 0.3, (4, 72)),
            "betas": np.zeros((4, 10)),
            "frame_ids": np.arange(4),
        }
        for track in (1, 2)
    }
    joblib.dump(people, tmp_path / "wham_output.pkl")
    np.savez(tmp_path / "t.npz", pose=people[2]["pose"], betas=np.zeros((4, 10)), frame=np.arange(4))
    pair = ["--predictions", str(tmp_path / "wham_output.pkl"), "--targets", str(tmp_path / "t.npz")]
    done = run(*pair, "--protocol", "open", "--person", "2")
    assert code(done) == 0 and "4 samples" in done.stdout and "posed on the open body" in done.stdout
    assert (
        code(run(*pair, "--protocol", "open")) == code(run(*pair, "--protocol", "open", "--person", "3")) == 4
    )
    assert code(run(*pair)) == 4  # joints alone, which the file does not have
    assert code(run("--person", "2", "--recipe", "hmr_l1", "--checkpoint", str(tmp_path))) == 2


def test_the_help_names_every_key_of_the_arrays() -> None:
    said = set(re.findall(r"\w+", ARRAY_KEYS + TARGET_KEYS))
    assert {key.name for key in KEYS} <= said


@pytest.mark.parametrize(
    ("change", "wanted", "words"),
    [
        ({"--checkpoint": None}, 2, "--checkpoint"),
        ({"--predictions": "p.npz"}, 2, "--targets"),
        ({"--checkpoint": "absent.pth"}, 3, "absent.pth"),
        ({"--dataset": "nothing"}, 3, "nothing.npz"),
        ({"--images": "empty"}, 3, "21 of 21 images are missing"),
        ({"--protocol": "h36m"}, 4, "keypoints3d"),
        ({"--recipe": "pare_l1"}, 4, "HMR"),
        ({"--device": "abacus"}, 2, "abacus"),
    ],
)
def test_what_cannot_be_evaluated(
    world: Path, tmp_path: Path, change: dict[str, str | None], wanted: int, words: str
) -> None:
    pairs = arguments(world, "open", tmp_path / "out")
    options = dict(zip(pairs[::2], pairs[1::2])) | change
    done = run(*(part for pair in options.items() if pair[1] is not None for part in pair))
    assert code(done) == wanted
    assert words in str(done.exception) + done.stderr


def changed(world: Path, path: Path, **fields: np.ndarray) -> Path:
    """The test set of the world with other fields."""
    with np.load(world / "preprocessed_datasets" / "people.npz", allow_pickle=True) as stored:
        np.savez(path, **{**stored, **fields})
    return path


def test_rows_of_no_gender_are_refused_before_anything_is_computed(world: Path, tmp_path: Path) -> None:
    rows = np.array([{"gender": "neutral" if i == 7 else "m"} for i in range(ROWS)], object)
    path = changed(world, tmp_path / "some.npz", meta=rows)
    done = run(*arguments(world, "3dpw", tmp_path / "out"), "--dataset", str(path))
    assert code(done) == 4 and not any((tmp_path / "out").iterdir())
    assert "some.npz: 1 of 21 rows are neither m nor f, first row 7" in str(done.exception)


def test_true_joints_that_are_absent_are_left_out_and_counted(world: Path, tmp_path: Path) -> None:
    body = load_body("open")
    joints = body.h36m_regressor.numpy() @ upright(body)
    keypoints = np.zeros((5, 190, 4), np.float32)
    keypoints[:, H36M.human_data, :3] = np.array([turned(joints, 0.1 * i) for i in range(5)]) + [0, 0, 4]
    keypoints[:, H36M.human_data, 3] = 1
    keypoints[3] = 0
    keypoints[:, [7, 8]] = 0  # the ankles
    few = replace(annotations(tmp_path / "images")[:5], joints="human_data", keypoints3d=keypoints)
    write_human_data(tmp_path / "some.npz", few)
    options = ("--images", str(tmp_path / "images"), "--workers", "0")
    done = run(*arguments(world, "h36m", tmp_path / "out"), "--dataset", str(tmp_path / "some.npz"), *options)
    assert code(done) == 0
    assert "4 samples" in done.stdout and "1 of 5 rows were left out, first row 3" in done.stdout
    assert "in all rows right_ankle, left_ankle: 12 joints were scored" in done.stdout
    details = json.loads((tmp_path / "out" / "results.json").read_text())["details"]
    assert (details["rows"], details["rows_left_out"]) == (5, 1)
    assert "left_ankle" not in details["joint_errors_mm"][0]["mpjpe"]
    with np.load(tmp_path / "out" / "errors.npz") as errors:
        assert errors["row"].tolist() == [0, 1, 2, 4]
        assert errors["pa_mpjpe_mm"].max() < 2e-3 < errors["mpjpe_mm"][1:].min()


def test_missed_people_are_printed_with_the_figures(tmp_path: Path) -> None:
    truth = np.random.default_rng(1).normal(size=(6, 14, 3)) * 0.4
    np.savez(tmp_path / "t.npz", joints3d=truth, id=np.arange(6))
    np.savez(tmp_path / "p.npz", joints3d=truth[1:] + 0.01, id=np.arange(1, 6))
    pair = ["--predictions", str(tmp_path / "p.npz"), "--targets", str(tmp_path / "t.npz")]
    refused = run(*pair)
    assert code(refused) == 4 and "--allow-missed" in str(refused.exception)
    done = run(*pair, "--allow-missed", "--out", str(tmp_path / "out"))
    assert code(done) == 0 and "5 samples" in done.stdout
    assert "5 of 6 targets have a prediction: recall 83.3 %" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["samples"] == 5 and results["details"]["missed"] == 1


class Foreign:
    """Of a class that no annotation file has any business naming."""


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bbox_xywh", np.array([["a"] * 5] * ROWS), "bbox_xywh"),
        ("bbox_xywh", np.ones((ROWS - 1, 5), np.float32), "bbox_xywh"),
        ("bbox_xywh", np.full((ROWS, 5), np.nan, np.float32), "row 0"),
        ("image_path", np.array([Foreign()] * ROWS), "Foreign"),
        ("smpl", np.array({"body_pose": np.full((ROWS, 23, 3), np.inf), "global_orient": np.zeros((ROWS, 3)),
                           "betas": np.zeros((ROWS, 10))}), "row 0"),
    ],
)  # fmt: skip
def test_wrong_annotations_are_named(
    world: Path, tmp_path: Path, field: str, value: np.ndarray, words: str
) -> None:
    with np.load(world / "preprocessed_datasets" / "people.npz", allow_pickle=True) as stored:
        np.savez(tmp_path / "wrong.npz", **{**stored, field: value})
    done = run(*arguments(world, "open", tmp_path / "out"), "--dataset", str(tmp_path / "wrong.npz"))
    message = str(done.exception)
    assert code(done) == 4 and "wrong.npz" in message and words in message and "\n" not in message


def test_damaged_annotations_and_images_are_named(world: Path, tmp_path: Path) -> None:
    good = (world / "preprocessed_datasets" / "people.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    done = run(*arguments(world, "open", tmp_path / "out"), "--dataset", str(tmp_path / "cut.npz"))
    assert code(done) == 4 and "cut.npz" in str(done.exception)
    folder = tmp_path / "images"
    annotations(folder)
    (folder / "sequence_1" / "004.jpg").write_bytes(b"no image")
    done = run(*arguments(world, "open", tmp_path / "out"), "--images", str(folder), "--workers", "2")
    assert code(done) == 4 and "004.jpg" in str(done.exception) and "\n" not in str(done.exception)
