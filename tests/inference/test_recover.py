"""Many images into files: what is done stays, what is stale goes, and what others wrote is left alone."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hmrcli.camera import Camera
from hmrcli.cli.app import app
from hmrcli.errors import HmrError
from hmrcli.inference import Person, Predictor, photo, recover
from hmrcli.inference.images import read_picture
from hmrcli.inference.person import People
from hmrcli.inference.photo import Seen
from hmrcli.inference.recover import BATCH, recover_images
from hmrcli.inference.task import Asked

MESH = "mesh,json"
ENDS = (".json", "_0.glb", "_1.glb", "_scene.glb")

CALLS: list[tuple[int, Camera]] = []
"""Images recovered together and the camera, for each image."""


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two bodies at rest for every image, or as many as `--max-people`, instead of a fit; tells of the images."""

    def recovered(self, seen):
        CALLS.extend((len(seen), one.photo.camera) for one in seen)
        with torch.no_grad():
            posed = self.body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
        values = {
            "bbox_xywh": np.array([1.0, 2, 30, 40]), "score": 0.9, "method": "fit",
            "rotmat": np.eye(3)[None].repeat(24, 0),
            "betas": np.zeros(10), "cam": np.ones(3), "transl": np.array([0, 0, 5.0]),
            "camera": seen[0].photo.camera,
            "vertices": posed.vertices[0].numpy(), "joints3d": posed.joints[0].numpy(), "joints2d": np.zeros((24, 2)),
            "joints_visibility": np.ones(24), "body": self.body, "image": seen[0].photo.pixels,
        }  # fmt: skip
        person = Person(**{field.name: values[field.name] for field in fields(Person)})
        return [People([person] * len(one.boxes)) for one in seen]

    monkeypatch.setattr(Predictor, "recover", recovered)
    monkeypatch.setattr(photo, "see", lambda one, most, _: Seen(one, None, np.ones((most or 2, 4))))
    CALLS.clear()


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """People of each image are recovered alone."""
    monkeypatch.setattr(recover, "BATCH", 1)
    monkeypatch.setattr(recover, "AHEAD", 2)


def copies(path: Path, count: int) -> list[Path]:
    """Copies an image under several names."""
    paths = [path.with_name(f"n{number}.png") for number in range(count)]
    for copy in paths:
        copy.write_bytes(path.read_bytes())
    return paths


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate("abc"):
        cv2.imwrite(str(folder / f"{name}.png"), np.random.default_rng(number).integers(0, 255, (64, 64, 3)))
    return folder


def infer(*arguments: object, save: str = "json") -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["infer", "--save", save, *map(str, arguments)])
    error = done.exception
    if error is not None and not isinstance(error, (HmrError, SystemExit)):
        raise error
    known = isinstance(error, HmrError)
    return (
        error.exit_code if known else done.exit_code,
        done.stdout,
        done.stderr + (str(error) if known else ""),
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_there_when_an_image_is_said_to_be_done_and_before_all_are(
    photos: Path, tmp_path: Path, one_by_one: None
) -> None:
    paths = copies(photos / "a.png", 12)
    done = []
    for result in recover_images(paths, tmp_path / "out", Predictor, Asked({"mesh", "json"})):
        assert all((tmp_path / "out" / f"{result.path.stem}{end}").is_file() for end in ENDS)
        done.append((result.path, len(CALLS)))
    assert [path for path, _ in done] == paths and done[0][1] < len(paths)


def test_an_interrupted_run_keeps_what_is_done_and_resume_goes_on(
    photos: Path, tmp_path: Path, monkeypatch, one_by_one: None
) -> None:
    out, recovered = tmp_path / "out", Predictor.recover

    def interrupted(self, seen):
        if len(CALLS) == 2:
            raise KeyboardInterrupt
        return recovered(self, seen)

    monkeypatch.setattr(Predictor, "recover", interrupted)
    code, stdout, stderr = infer(photos, "--out", out, "--json", save=MESH)
    assert (code, stdout) == (130, "") and "2 of 3 images are done" in stderr and "--resume" in stderr
    assert files(out) == [f"{name}{end}" for name in "ab" for end in ENDS]
    monkeypatch.setattr(Predictor, "recover", recovered)
    code, stdout, stderr = infer(photos, "--out", out, "--json", "--resume", save=MESH)
    assert code == 0 and len(CALLS) == 3 and "2 of 3" in stderr
    paths = [image["path"] for image in json.loads(stdout)["images"]]
    assert paths == [str(photos / f"{name}.png") for name in "abc"]


@pytest.mark.parametrize(
    ("change", "done_again"),
    [
        ((), 0),
        (("--max-people", "1"), 3),
        (("--focal", "90"), 3),
        (("--focal", "35mm=50"), 3),
        (("--save", MESH), 3),
    ],
)
def test_resume_does_again_what_has_other_settings(
    photos: Path, tmp_path: Path, change, done_again: int
) -> None:
    out = tmp_path / "out"
    infer(photos, "--out", out)
    CALLS.clear()
    assert infer(photos, "--out", out, "--resume", *change)[0] == 0 and len(CALLS) == done_again


@pytest.mark.parametrize("harm", ["photo", "arrays", "document", "cut", "foreign", "version", "none"])
def test_resume_does_again_what_is_not_whole(photos: Path, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "out"
    infer(photos, "--out", out, save="json,npz")
    document = out / "b.json"
    stored = json.loads(document.read_text())
    changes = {"foreign": {"shapes": []}, "version": stored | {"version": "0.0.0"}}
    if harm == "photo":
        cv2.imwrite(str(photos / "b.png"), np.zeros((64, 64, 3)))
    elif harm == "arrays":
        (out / "b_1.npz").unlink()
    elif harm == "document":
        document.unlink()
    elif harm == "cut":
        document.write_bytes(document.read_bytes()[:-100])
    elif harm in changes:
        document.write_text(json.dumps(changes[harm]))
    CALLS.clear()
    assert infer(photos, "--out", out, "--resume", save="json,npz")[0] == 0
    assert len(CALLS) == (harm != "none") and json.loads(document.read_text())["images"]


def test_stale_files_of_the_same_image_are_removed_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(photos / "a.png", "--out", out, save="mesh,npz,overlay,json")
    others = ["a_01.glb", "a_9.obj", "a_x.ply", "aa_0.glb", "a_0.txt", "b_0.glb", "a_0.fbx"]
    for name in others:
        (out / name).write_text("mine")
    infer(photos / "a.png", "--out", out, "--max-people", "1", "--mesh-format", "ply", save=MESH)
    assert files(out) == sorted([*others, "a.json", "a_0.ply"])


def test_saving_more_of_the_same_result_removes_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(photos / "a.png", "--out", out, save=MESH)
    infer(photos / "a.png", "--out", out, save="npz")
    assert files(out) == ["a.json", "a_0.glb", "a_0.npz", "a_1.glb", "a_1.npz", "a_scene.glb"]


def test_a_document_of_another_program_is_not_removed(photos: Path, tmp_path: Path) -> None:
    (photos / "a.json").write_text('{"shapes": []}')  # a labelling tool's
    infer(photos / "a.png", "--out", photos, save="mesh")
    assert (photos / "a.json").read_text() == '{"shapes": []}'


def test_an_image_whose_files_cannot_be_written_is_counted_and_the_others_are_done(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "b_0.glb" / "in the way").mkdir(parents=True)
    code, _, stderr = infer(photos, "--out", out, save=MESH)
    assert code == 4 and "b.png" in stderr and "b_0.glb" in stderr and "1 of 3" in stderr
    assert {"a.json", "c.json"} <= set(files(out)) and "b.json" not in files(out)
    assert not [name for name in files(out) if name.startswith(".")]


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), 4), (OSError(errno.EMFILE, "Too many open files"), 4), (ValueError("a bug"), 1)],
)
def test_an_error_in_one_image_does_not_cost_the_others(
    photos: Path, tmp_path: Path, monkeypatch, one_by_one: None, error: Exception, code: int
) -> None:
    recovered = Predictor.recover

    def failing(self, seen):
        if len(CALLS) == 1:
            CALLS.append((0, Camera.by_diagonal(1, 1)))
            raise error
        return recovered(self, seen)

    monkeypatch.setattr(Predictor, "recover", failing)
    monkeypatch.setenv("HMR_DEBUG", "01"[code == 1])
    found, stdout, stderr = infer(photos, "--out", tmp_path / "out", "--json")
    assert ("Traceback" in stderr) == (code == 1)
    assert (
        found == code
        and "b.png" in stderr
        and [Path(i["path"]).stem for i in json.loads(stdout)["images"]] == ["a", "c"]
    )


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
def test_names_that_are_no_text_are_kept(photos: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff \xe7.png")
    try:
        (photos / "a.png").rename(photos / name)
    except OSError:
        pytest.skip("this file system wants text")
    code, stdout, _ = infer(photos / name, "--out", tmp_path / "out", "--json", save="mesh,json,npz,overlay")
    (image,) = json.loads(stdout)["images"]
    assert code == 0 and image["path"] == str(photos / name)
    assert all(Path(file).is_file() for person in image["people"] for file in person["files"].values())


def test_an_image_given_twice_is_done_once(photos: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(photos)
    infer("a.png", "./a.png", photos / "a.png", photos, "--out", tmp_path / "out")
    assert len(CALLS) == 3


@pytest.mark.parametrize(
    ("focal", "expected", "source"),
    [
        ((), None, "diagonal"),
        (("--focal", "80"), 80, "given"),
        (("--focal", "35mm=43.2666"), np.hypot(64, 64), "given"),
    ],
)
def test_the_focal_length_is_what_was_asked_for(
    photos: Path, tmp_path: Path, focal, expected, source: str
) -> None:
    _, stdout, _ = infer(photos / "a.png", "--out", tmp_path / "out", "--json", *focal)
    camera = CALLS[0][1]
    assert camera.focal_length == pytest.approx(expected or np.hypot(64, 64), rel=1e-5)
    assert {person["focal_source"] for person in json.loads(stdout)["images"][0]["people"]} == {source}


def test_the_camera_s_focal_length_is_used(photos: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 200
    picture = Image.open(photos / "a.png")
    picture.save(photos / "lens.jpg", exif=exif.tobytes())
    _, stdout, _ = infer(photos / "lens.jpg", "--out", tmp_path / "out", "--json")
    (person, _) = json.loads(stdout)["images"][0]["people"]
    assert person["focal_source"] == "exif"
    assert person["focal_length"] == pytest.approx(200 / 43.2666 * np.hypot(64, 64), rel=1e-4)


def test_a_focal_length_that_no_lens_has_is_refused(photos: Path, tmp_path: Path) -> None:
    code, _, stderr = infer(photos / "a.png", "--out", tmp_path / "out", "--focal", "1")
    assert code == 2 and "64x64" in stderr and not CALLS


def calibration(folder: Path, *lines: str) -> Path:
    path = folder / "cameras.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_calibration_is_every_image_s_camera_at_its_size(photos: Path, tmp_path: Path) -> None:
    file = calibration(tmp_path, "1 OPENCV 128 128 150 160 70 60 -0.1 0.01 0 0")
    code, stdout, _ = infer(photos, "--out", tmp_path / "out", "--json", "--calib", file)
    people = [person for image in json.loads(stdout)["images"] for person in image["people"]]
    assert code == 0 and len(people) == 6
    for person in people:
        assert person["K"] == [[75, 0, 35], [0, 80, 30], [0, 0, 1]]
        assert person["focal_length"] == 75 and person["principal_point"] == [35, 30]
        assert person["distortion"] == [-0.1, 0.01, 0, 0] and person["focal_source"] == "given"
    CALLS.clear()
    assert infer(photos, "--out", tmp_path / "out", "--resume", "--calib", file)[0] == 0 and not CALLS
    calibration(tmp_path, "1 OPENCV 128 128 150 160 70 60 -0.1 0.02 0 0")
    assert infer(photos, "--out", tmp_path / "out", "--resume", "--calib", file)[0] == 0 and len(CALLS) == 3


def test_an_image_that_the_calibration_does_not_fit_is_left_out(photos: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(photos / "b.png"), np.random.default_rng(0).integers(0, 255, (64, 80, 3)))
    file = calibration(tmp_path, "1 PINHOLE 128 128 150 160 70 60")
    code, stdout, stderr = infer(photos, "--out", tmp_path / "out", "--json", "--calib", file)
    assert code == 4 and "b.png" in stderr and "calibrated at 128x128" in stderr and "80x64" in stderr
    assert [Path(image["path"]).stem for image in json.loads(stdout)["images"]] == ["a", "c"]


@pytest.mark.parametrize(
    ("lines", "options", "code", "said"),
    [
        (["1 PINHOLE 64 64 80 80 32 32", "2 PINHOLE 64 64 90 90 32 32"], [], 2, ":NAME, of 1, 2"),
        (["1 PINHOLE 64 64 80 80 32 32"], ["--focal", "80"], 2, "--focal"),
        (["1 NOTHING 64 64 80 80 32 32"], [], 4, "NOTHING"),
        (None, [], 3, "no such file"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_said_before_any_work(
    photos: Path, tmp_path: Path, lines, options, code: int, said: str
) -> None:
    file = tmp_path / "cameras.txt" if lines is None else calibration(tmp_path, *lines)
    found, _, stderr = infer(photos, "--out", tmp_path / "out", "--calib", file, *options)
    assert found == code and said in stderr and "cameras.txt" * ("--focal" not in options) in stderr
    assert not CALLS and not (tmp_path / "out").exists()


def test_people_of_a_few_images_are_recovered_together_but_not_of_all(tmp_path: Path, photos: Path) -> None:
    paths = copies(photos / "a.png", BATCH + 2)
    results = list(recover_images(paths, tmp_path / "out", Predictor, Asked({"json"})))
    assert [result.path for result in results] == paths and [number for number, _ in CALLS] == [
        BATCH
    ] * BATCH + [2, 2]


def test_no_more_pictures_are_in_memory_than_there_is_room_for(
    tmp_path: Path, photos: Path, monkeypatch
) -> None:
    room, most = [], []
    monkeypatch.setattr(recover, "HELD_BYTES", 3 * 64 * 64 * 3)
    monkeypatch.setattr(recover, "BATCH_BYTES", 64 * 64 * 3)
    enter = recover.Room.enter

    def entered(self, task):
        enter(self, task)
        room.append(self)
        most.append(self.held)

    monkeypatch.setattr(recover.Room, "enter", entered)
    paths = copies(photos / "a.png", 12)
    assert len(list(recover_images(paths, tmp_path / "out", Predictor, Asked({"json"})))) == 12
    assert max(most) <= 3 * 64 * 64 * 3 and room[0].held == 0


def test_one_image_that_fails_costs_no_other_of_its_batch(tmp_path: Path, photos: Path, monkeypatch) -> None:
    recovered, wrong = Predictor.recover, read_picture(photos / "b.png").pixels

    def failing(self, seen):
        if any((one.photo.pixels == wrong).all() for one in seen):
            raise MemoryError
        return recovered(self, seen)

    monkeypatch.setattr(Predictor, "recover", failing)
    paths = sorted(photos.iterdir())
    results = list(recover_images(paths, tmp_path / "out", Predictor, Asked({"json"})))
    assert [result.error is None for result in results] == [True, False, True]


EXPORTS = "json,amass,bvh,openpose,coco"


def test_other_tools_files_are_written_named_and_removed_with_their_image(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, stdout, _ = infer(photos / "a.png", "--out", out, "--json", save=EXPORTS)
    names = [f"a_{i}{end}" for i in (0, 1) for end in (".bvh", "_amass.npz")]
    assert code == 0 and files(out) == sorted([*names, "a.json", "a_keypoints.json", "a_coco.json"])
    first, second = json.loads(stdout)["images"][0]["people"]
    assert {kind: Path(path).name for kind, path in second["files"].items()} == {
        "amass": "a_1_amass.npz", "bvh": "a_1.bvh", "openpose": "a_keypoints.json", "coco": "a_coco.json",
    }  # fmt: skip
    assert first["files"]["coco"] == second["files"]["coco"]
    infer(photos / "a.png", "--out", out, "--focal", "90")
    assert files(out) == ["a.json"]


def test_keypoints_of_another_program_are_not_removed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(photos / "a.png", "--out", out)
    (out / "a_keypoints.json").write_text("{}")
    infer(photos / "a.png", "--out", out, "--focal", "90")
    assert files(out) == ["a.json", "a_keypoints.json"]


def test_resume_does_again_what_has_other_joint_names(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(photos / "a.png", "--out", out, save=EXPORTS)
    infer(photos / "a.png", "--out", out, "--resume", save=EXPORTS)
    assert len(CALLS) == 1
    infer(photos / "a.png", "--out", out, "--resume", "--bvh-names", "mixamo", save=EXPORTS)
    assert len(CALLS) == 2 and "a_0_mixamo.bvh" in files(out)
    infer(photos / "a.png", "--out", out, "--resume", "--bvh-names", "mixamo", save=EXPORTS)
    assert len(CALLS) == 2
    infer(photos / "a.png", "--out", out, "--resume", "--max-people", "1", save=EXPORTS)
    assert "a_1_mixamo.bvh" not in files(out) and "a_0.bvh" in files(out)


def test_poses_that_a_network_does_not_give_are_asked_for_in_vain(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    recovered = Predictor.recover

    def meshes(self, seen):
        return [
            People(replace(one, rotmat=None, betas=None) for one in people)
            for people in recovered(self, seen)
        ]

    monkeypatch.setattr(Predictor, "recover", meshes)
    code, _, stderr = infer(photos / "a.png", "--out", tmp_path / "out", save=EXPORTS)
    assert code == 2 and "meshes alone" in stderr and "amass" in stderr and not files(tmp_path / "out")
    done = infer(photos / "a.png", "--out", tmp_path / "out", save=MESH)
    assert done[0] == 0, done


def test_an_image_can_be_read_and_looked_at_while_torch_is_still_imported() -> None:
    code = "import sys; import hmrcli.inference.recover, hmrcli.inference.photo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
