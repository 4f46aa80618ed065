"""`hmr infer` through the command line, on the bundled photo and on inputs that cannot work."""

import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

from hmrcli.algorithms import build_network
from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.cli.app import app
from hmrcli.errors import HmrError
from hmrcli.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("narrow_backbones")

PHOTO = bundled("photos/walk.jpg")


class Done:
    """What a command did, with the exit code of the contract."""

    def __init__(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(app, ["infer", *arguments])
        error = result.exception
        self.code = error.exit_code if isinstance(error, HmrError) else result.exit_code
        self.stdout, self.stderr = (
            result.stdout,
            result.stderr + str(error if isinstance(error, HmrError) else ""),
        )
        if error is not None and not isinstance(error, (HmrError, SystemExit)):
            raise error


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("walk")
    done = Done([str(PHOTO), "--json", "--out", str(out), "--save", "overlay,mesh,json,npz"])
    assert done.code == 0
    return json.loads(done.stdout), out


def test_the_document_is_the_contract_s(walk: tuple[dict, Path]) -> None:
    document, _ = walk
    assert set(document) == {"images", "joint_names", "recipe", "checkpoint", "body_model", "version"}
    (image,) = document["images"]
    height, width = cv2.imread(str(PHOTO)).shape[:2]
    assert (image["path"], image["width"], image["height"]) == (str(PHOTO), width, height)
    person = image["people"][0]
    shapes = {name: np.shape(person[name]) for name in person if isinstance(person[name], list)}
    assert shapes == {
        "bbox_xywh": (4,), "rotmat": (24, 3, 3), "pose": (72,), "betas": (10,), "cam": (3,), "transl": (3,),
        "principal_point": (2,), "joints3d": (24, 3), "joints2d": (24, 2), "joints_visibility": (24,),
        "K": (3, 3), "distortion": (0,),
    }  # fmt: skip
    assert person["method"] == "fit" and 0 < person["score"] <= 1
    assert document["body_model"]["name"] == "open"
    assert re.fullmatch("[0-9a-f]{64}", document["body_model"]["sha256"])


def test_the_numbers_agree_with_each_other(walk: tuple[dict, Path]) -> None:
    document, _ = walk
    for person in document["images"][0]["people"]:
        rotmat = np.array(person["rotmat"])
        assert np.allclose(rotmat @ rotmat.transpose(0, 2, 1), np.eye(3), atol=1e-5)
        angles = np.array(person["pose"]).reshape(24, 3)
        assert np.allclose([cv2.Rodrigues(a)[0] for a in angles], rotmat, atol=1e-5)
        placed = np.array(person["joints3d"]) + person["transl"]
        projected = person["focal_length"] * placed[:, :2] / placed[:, 2:] + person["principal_point"]
        assert np.allclose(projected, person["joints2d"], atol=0.01)
        with np.load(person["vertices"]) as arrays:
            assert np.allclose(arrays["joints3d"], person["joints3d"], atol=1e-5)
            assert arrays["vertices"].shape == (document["body_model"]["vertices"], 3)
            spread = arrays["vertices"] - person["joints3d"][0]
        # The weak-perspective camera tells the same place in the crop, up to perspective within the body.
        x, y, w, h = person["bbox_xywh"]
        s, tx, ty = person["cam"]
        pelvis = np.array(person["joints3d"][0][:2])
        crop = s * (pelvis + [tx, ty]) * 1.25 * max(w, h) / 2 + [x + w / 2, y + h / 2]
        assert np.linalg.norm(crop - person["joints2d"][0]) < 0.05 * max(w, h)
        assert 1.2 < np.ptp(spread[:, 1]) < 2.3


def test_the_walking_woman_stands_where_she_is(walk: tuple[dict, Path]) -> None:
    document, _ = walk
    person = max(document["images"][0]["people"], key=lambda p: p["bbox_xywh"][3])
    x, y, w, h = person["bbox_xywh"]
    joints = np.array(person["joints2d"])
    assert ((joints > [x - 0.1 * w, y - 0.1 * h]) & (joints < [x + 1.1 * w, y + 1.1 * h])).all()
    head, feet = joints[15], joints[[10, 11]]
    assert (feet[:, 1] - head[1] > 0.6 * h).all()


def test_files_lie_where_the_document_says(walk: tuple[dict, Path]) -> None:
    document, out = walk
    entry = document["images"][0]
    assert json.loads((out / "walk.json").read_text())["images"] == [entry]
    for person in entry["people"]:
        overlay = cv2.imread(person["files"]["overlay"])
        assert overlay.shape[1] > overlay.shape[0] > 100
        mesh = trimesh.load(person["files"]["mesh"], force="mesh")
        assert len(mesh.faces) > 10_000
        # glTF looks along -z with y up: the camera looks along z with y down.
        with np.load(person["files"]["npz"]) as arrays:
            placed = (arrays["vertices"] + arrays["transl"]) * [1, -1, -1]
        assert np.allclose(np.sort(mesh.vertices[:, 1])[[0, -1]], np.sort(placed[:, 1])[[0, -1]], atol=1e-4)
    assert not list(out.glob(".*"))


def test_the_same_photo_gives_the_same_json(walk: tuple[dict, Path]) -> None:
    document, out = walk
    before = {path.name: path.read_bytes() for path in out.glob("*.npz")}
    again = Done([str(PHOTO), "--json", "--out", str(out), "--save", "json,npz"])
    assert {path.name: path.read_bytes() for path in out.glob("*.npz")} == before and len(before) == 2
    people, others = (each["images"][0]["people"] for each in (document, json.loads(again.stdout)))
    for person, other in zip(people, others, strict=True):
        assert other.pop("files").keys() == {"npz"}
        assert other == {key: value for key, value in person.items() if key != "files"}


def saved_mesh(person: dict, suffix: str) -> trimesh.Trimesh:
    path = Path(person["files"]["mesh"])
    assert path.suffix == suffix
    return trimesh.load(path, force="mesh")


def test_a_given_box_is_used(walk: tuple[dict, Path], tmp_path: Path) -> None:
    person = max(walk[0]["images"][0]["people"], key=lambda p: p["bbox_xywh"][3])
    box = person["bbox_xywh"]
    text = ",".join(map(str, box))
    options = ["--save", "json,mesh", "--mesh-format", "obj", "--out", str(tmp_path)]
    done = Done([str(PHOTO), "--bbox", text, "--json", *options])
    (boxed,) = json.loads(done.stdout)["images"][0]["people"]
    assert len(saved_mesh(boxed, ".obj").faces) > 10_000
    assert np.allclose(boxed["bbox_xywh"], box)
    distance = np.linalg.norm(np.array(boxed["joints2d"]) - person["joints2d"], axis=1).mean()
    assert distance < 0.05 * max(box[2:])


def test_nobody_is_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "sky.png"
    cv2.imwrite(str(path), np.full((300, 400, 3), 200, np.uint8))
    done = Done([str(path), "--json", "--out", str(tmp_path / "out")])
    assert done.code == 0 and json.loads(done.stdout)["images"][0]["people"] == []


def test_unreadable_inputs_are_named_and_the_rest_runs(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    cv2.imwrite(str(good), np.full((64, 64, 3), 200, np.uint8))
    bad.write_bytes(PHOTO.read_bytes()[:2000])
    done = Done([str(bad), str(good), str(tmp_path / "absent.png"), "--json", "--out", str(tmp_path / "out")])
    assert done.code == 4
    assert [entry["path"] for entry in json.loads(done.stdout)["images"]] == [str(good)]
    assert "bad.jpg" in done.stderr and "absent.png" in done.stderr and "Traceback" not in done.stderr


def test_images_of_one_name_keep_their_results_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "x.png"), np.full((64, 64, 3), 200, np.uint8))
    done = Done([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")])
    assert done.stdout.count("nobody") == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x-2.json", "x.json"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--save", "overlay,hologram"], "hologram"),
        (["--bbox", "1,2,3"], "1,2,3"),
        (["--bbox", "1,2,0,4"], "1,2,0,4"),
        (["--bbox", "a,b,c,d"], "a,b,c,d"),
        (["--max-people", "0"], "max-people"),
        (["--mesh-format", "stl"], "stl"),
    ],
)
def test_wrong_usage(arguments: list[str], word: str) -> None:
    done = Done([str(PHOTO), *arguments])
    assert done.code == 2 and word in done.stderr


def test_a_missing_body_says_how_to_get_it() -> None:
    done = Done([str(PHOTO), "--body-model", "absent/SMPL_NEUTRAL.pkl"])
    assert done.code == 3 and "absent/SMPL_NEUTRAL.pkl" in done.stderr and "hmr download" in done.stderr


def test_a_misspelt_body_is_proposed() -> None:
    done = Done([str(PHOTO), "--body-model", "opne"])
    assert done.code == 3 and done.stderr.rstrip().endswith("did you mean open?")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of fresh weights, in the layout of a published file."""
    path = tmp_path_factory.mktemp("published") / "hmr.pth"
    torch.manual_seed(0)
    network = build_network(load_recipe("hmr_l1"), load_body("open"))
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}, "meta": {}}, path)
    return path


def test_a_network_regresses_people(checkpoint: Path, tmp_path: Path) -> None:
    network = [
        "--recipe",
        "hmr_l1",
        "--checkpoint",
        str(checkpoint),
        "--body-model",
        "open",
        "--device",
        "cpu",
    ]
    done = Done([str(PHOTO), *network, "--json", "--out", str(tmp_path)])
    assert done.code == 0
    document = json.loads(done.stdout)
    assert document["recipe"] == "hmr_l1"
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert document["checkpoint"] == {"path": str(checkpoint), "sha256": sha256}
    people = document["images"][0]["people"]
    assert len(people) == 2 and all(person["method"] == "regression" for person in people)
    assert all(Path(path).exists() for person in people for path in person["files"].values())


def body_file(folder: Path) -> str:
    """The open body without its label is what a licensed SMPL file looks like."""
    with np.load(bundled("body/open_body.npz")) as stored:
        fields = ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f"]
        np.savez(folder / "SMPL_NEUTRAL.npz", **{name: stored[name] for name in fields})
    return str(folder / "SMPL_NEUTRAL.npz")


def test_a_body_file_of_one_s_own(walk: tuple[dict, Path], tmp_path: Path) -> None:
    body = body_file(tmp_path)
    options = ["--max-people", "1", "--save", "json,mesh", "--mesh-format", "ply", "--out", str(tmp_path)]
    done = Done([str(PHOTO), "--body-model", body, "--json", *options])
    assert done.code == 0
    own = json.loads(done.stdout)
    assert own["body_model"]["name"] == "smpl"
    (person,), (first, _) = own["images"][0]["people"], walk[0]["images"][0]["people"]
    assert len(saved_mesh(person, ".ply").faces) > 10_000
    assert np.allclose(person["joints2d"], first["joints2d"], atol=0.5)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--recipe", "hmr_l1"], 2, "--checkpoint"),
        (["--checkpoint", "x.pth"], 2, "--recipe"),
        (["--recipe", "hmr_l2", "--checkpoint", "CHECKPOINT", "--body-model", "open"], 4, "hmr_l1"),
        (["--recipe", "hmr_l1", "--checkpoint", "absent.pth", "--body-model", "open"], 3, "absent.pth"),
        (["--recipe", "pare_l1", "--checkpoint", "CHECKPOINT", "--body-model", "open"], 4, "HMR"),
        (
            ["--recipe", "hmr_l1", "--checkpoint", "CHECKPOINT"],
            3,
            "hmr download SMPL_NEUTRAL.pkl --from-file",
        ),
        (["--bbox-scale", "0"], 2, "bbox-scale"),
        (["--device", "abacus"], 2, "abacus"),
    ],
)
def test_networks_that_cannot_run(
    arguments: list[str],
    code: int,
    words: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HMR_DATA", str(tmp_path))
    done = Done([str(PHOTO), *(str(checkpoint) if a == "CHECKPOINT" else a for a in arguments)])
    assert done.code == code and words in done.stderr
