"""From official trees to trained rows through the command line: make, check, two steps, eval; and own photos."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from benchmarks.world import SMALL, open_overrides, open_recipe, people, write_world
from hmrcli.assets.bundled import bundled
from hmrcli.cli.app import app
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.body_parameters import read_fits
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import HmrError
from hmrcli.recipe import load_recipe, recipe_names
from tests.data.people import rewrite
from tests.data.raw import trees

# The other sets come from `write_world`; tests/cli/test_data.py makes them.
pytestmark = pytest.mark.usefixtures("narrow_backbones")

WILD = {
    "coco": ("coco_2014_train.npz", "spin_coco_2014_train.npz"),
    "lsp": ("lsp_train.npz", "spin_lsp_train.npz"),
    "lspet": ("lspet_train.npz", "spin_lspet_train.npz"),
    "mpii": ("mpii_train.npz", "spin_mpii_train.npz"),
    "up-3d": ("up3d_trainval.npz",),
    "eft": ("eft_coco_all.npz", "eft_mpii.npz", "eft_lspet.npz"),
}
ALL = [name for name in recipe_names() if load_recipe(name).body_model == "smpl"]
ROWS = ALL if os.environ.get("HMR_TEST_ROWS") == "all" else ["spin_l1"]


def hmr(*arguments: object) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object, code: int) -> str:
    """What is printed, and the error after it."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(result.exception, HmrError) and result.exception.exit_code == code, result.output
    return f"{result.output}{result.exception}"


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """The official trees, a folder for each set."""
    folder, seen = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("seen")
    truth = trees.world(seen, 5)
    for name in WILD:
        (folder / name).mkdir()
    trees.write_coco(folder / "coco", seen, truth)
    trees.write_lsp(folder / "lsp", seen, truth)
    trees.write_lspet(folder / "lspet", seen, truth)
    trees.write_mpii_mat(folder / "mpii", seen, truth)
    trees.write_up3d(folder / "up-3d" / "up-3d", seen, truth)
    for file, names in (
        ("COCO2014-All-ver01.json", [f"COCO_train2014_{9 + row:012d}.jpg" for row in range(5)]),
        ("MPII_ver01.json", [f"{row % 4:09d}.jpg" for row in range(5)]),
        ("LSPet_train_ver10.json", [f"im{3 * row + 1:05d}.png" for row in range(5)]),
    ):
        trees.write_eft(folder / "eft" / file, truth, names)
    return folder


@pytest.mark.usefixtures("without_curves")
@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_on_what_was_made(name: str, raw: Path, tmp_path: Path) -> None:
    recipe = open_recipe(name, batch_size=2)
    write_world(tmp_path, recipe, rows=4)
    used = {dataset.annotations for dataset in recipe.data.mixture.values()}
    wanted = [each for each, files in WILD.items() if used & set(files)]
    for each, dataset in recipe.data.mixture.items():
        if any(dataset.annotations in files for files in WILD.values()):
            shutil.rmtree(tmp_path / "datasets" / each)
    for file in (file for each in wanted for file in WILD[each]):
        (tmp_path / "preprocessed_datasets" / file).unlink(missing_ok=True)
    there = ["--data-root", tmp_path]
    if "eft" in wanted:  # its images are those of other sets
        wanted = ["coco", "lspet", "mpii", "eft"]
    for each in wanted:
        hmr("data", "make", each, "--raw", raw / each, *there)
    overrides = open_overrides(name, batch_size=2)
    if name.startswith("spin"):
        for dataset in recipe.data.mixture.values():
            (tmp_path / "static_fits" / dataset.fits).unlink()
        document = recipe.as_dict() | {"name": "own_spin"}
        # Those of one set in the wild are made, and of both that know bodies; fits take seconds a set.
        mixture, others = document["data"]["mixture"], ("lsp", "lspet", "mpii")
        for each in others:
            mixture["h36m"]["share"] += mixture.pop(each)["share"]
        (tmp_path / "spin.yaml").write_text(yaml.safe_dump(document))
        made = json.loads(
            hmr("data", "make", "spin-fits", "--recipe", tmp_path / "spin.yaml", "--json", *there).stdout
        )
        assert {each["set"]: each["fitted"] for each in made["fits"]}["coco"] == 4
        assert len(read_fits(tmp_path / "static_fits" / "coco_fits.npy")[0]) == 4
        for each in others:
            count = len(read_annotations(tmp_path / "preprocessed_datasets" / f"spin_{each}_train.npz"))
            np.save(tmp_path / "static_fits" / f"{each}_fits.npy", np.zeros((count, 82), np.float32))
    checked = json.loads(hmr("data", "check", "--recipe", name, "--images", "--json", *there).stdout)
    assert len(checked["files"]) >= len(recipe.data.mixture) + 1
    assert all(not each["problems"] for each in checked["files"])
    folder = tmp_path / "runs" / name / "run"
    there += ["--device", "cpu", "--workers", "0"]
    if name.startswith(("hmr", "spin")):
        overrides += SMALL
    train = ["train", "--recipe", name, *overrides, *there, "--out", folder, "--max-steps", "2"]
    if name.startswith("spin"):
        train += ["--without", "pose_prior"]
    hmr(*train)
    environment = json.loads((folder / "environment.json").read_text())
    fitted = {"h36m", "mpi_inf_3dhp", "coco"} if name.startswith("spin") else set()
    assert set(environment["static_fits"]) == fitted
    hmr("eval", "--checkpoint", folder, *there)
    assert json.loads((folder / "results.json").read_text())["samples"] == 4


def test_check_names_row_and_field_and_marks_what_is_right(raw: Path, tmp_path: Path) -> None:
    there = ["--data-root", tmp_path]
    assert "run: hmr data make up-3d" in refused("data", "check", "up-3d", *there, code=3)
    hmr("data", "make", "up-3d", "--raw", raw / "up-3d", *there)
    out = hmr("data", "check", "up-3d", *there).output
    assert "nothing wrong was found" in out and "5 rows (published 7,126)" in out
    listed = json.loads(hmr("data", "list", "--json", *there).stdout)["sets"]
    assert next(each for each in listed if each["name"] == "up-3d")["annotations"][0]["state"] == "checked"
    assert cv2.imread(str(tmp_path / "checks" / "up3d_trainval.png")) is not None

    path = tmp_path / "preprocessed_datasets" / "up3d_trainval.npz"
    with np.load(path, allow_pickle=True) as stored:
        smpl = stored["smpl"].item()
    smpl["global_orient"] = np.rad2deg(smpl["global_orient"])
    rewrite(path, smpl=np.array(smpl, object))
    out = refused("data", "check", "up3d_trainval", *there, code=4)
    assert "wrong: smpl.body_pose, row 0: bodies: expected radians" in out
    own = rewrite(path, tmp_path / "mine.npz", drop=["smpl"])
    out = refused("data", "check", own, "--folder", tmp_path / "nowhere", *there, code=4)
    assert "wrong: image_path, row 4: 5 of 5 images are missing" in out
    refused("data", "check", "no_such_set", *there, code=2)
    refused("data", "check", "no_such.npz", *there, code=3)
    refused("data", "check", *there, code=2)
    out = refused("data", "check", "--recipe", "hmr_normal", *there, code=3)
    assert "8 of 8 annotation files" in out and "hmr data list --recipe hmr_normal" in out


def test_eft_finds_its_images_where_the_downloads_of_other_sets_lie(raw: Path, tmp_path: Path) -> None:
    """Its rows are about more images than those sets' own rows, which alone are linked for these."""
    there = ["--data-root", tmp_path / "root"]

    def made(*arguments: object) -> dict[str, int]:
        out = hmr("data", "make", *arguments, *there, "--json").stdout
        return {file["file"]: file["missing_images"] for file in json.loads(out)["sets"][0]["files"]}

    # Nothing but EFT is there; then the way to the images is told.
    assert made("eft", "--raw", raw / "eft") == {"eft_coco_all.npz": 5, "eft_mpii.npz": 4, "eft_lspet.npz": 5}
    said = hmr("data", "make", "eft", "--raw", raw / "eft", *there).output
    assert re.search(r"eft_coco_all\.npz: 5 of its images are not there; put .*train2014\.zip", said)
    # COCO's download lies elsewhere, unpacked.
    made("coco", "--raw", raw / "coco")
    linked = tmp_path / "root" / "datasets" / "coco" / "train2014"
    assert len(list(linked.iterdir())) == 4  # one person is not labelled fully
    # MPII's lies packed in its place, LSP-Extended's with EFT's own.
    mpii, eft = tmp_path / "root" / "datasets" / "mpii", tmp_path / "eft"
    mpii.mkdir(exist_ok=True)
    shutil.make_archive(str(mpii / "mpii_human_pose_v1"), "gztar", raw / "mpii", "images")
    shutil.copytree(raw / "eft", eft)
    shutil.copytree(raw / "lspet", eft / "hr-lspet")
    assert set(made("eft", "--raw", eft).values()) == {0}
    assert len(list(linked.iterdir())) == 5
    # Where the downloads were is remembered.
    shutil.rmtree(linked)
    assert made("coco") == {"coco_2014_train.npz": 0, "spin_coco_2014_train.npz": 0}
    assert set(made("eft").values()) == {0}
    for name in ("coco_all", "mpii", "lspet"):
        rows = read_annotations(tmp_path / "root" / "preprocessed_datasets" / f"eft_{name}.npz")
        folder = tmp_path / "root" / "datasets" / name.removesuffix("_all")
        assert all(cv2.imread(str(folder / str(path))) is not None for path in rows.image_path)


def test_own_photos_with_keypoints(raw: Path, tmp_path: Path) -> None:
    there = ["--data-root", tmp_path]
    keypoints = raw / "coco" / "annotations" / "person_keypoints_train2014.json"
    images = raw / "coco" / "train2014"
    own = ["data", "make", "own", "--images", images, "--keypoints", keypoints, "--name", "mine", *there]
    assert "1 rows not used: with fewer than 6 keypoints" in hmr(*own).output  # the crowd
    rows = read_annotations(tmp_path / "preprocessed_datasets" / "mine.npz", "coco_17")
    assert len(rows) == 5 and (tmp_path / "datasets" / "mine" / str(rows.image_path[0])).is_file()
    hmr("data", "check", "mine.npz", *there)
    refused("data", "make", "own", "--images", tmp_path / "none", *there, code=2)
    refused("data", "make", "own", "coco", "--images", images, *there, code=2)
    document = json.loads(keypoints.read_text())
    document["images"][0]["file_name"] = "../../outside.jpg"
    (tmp_path / "foreign.json").write_text(json.dumps(document))
    foreign = ["--keypoints", tmp_path / "foreign.json", "--name", "foreign"]
    out = refused("data", "make", "own", "--images", images, *foreign, *there, code=4)
    assert "'../../outside.jpg' leads out of its folder" in out
    assert not (tmp_path / "preprocessed_datasets" / "foreign.npz").exists()
    out = refused("data", "make", "own", "--images", images, "--name", "coco", *there, code=2)
    assert "coco is an official set" in out


@pytest.mark.usefixtures("without_curves")
def test_own_photos_are_looked_at_and_trained_on(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    picture = cv2.imread(str(bundled("photos/walk.jpg")))
    cv2.imwrite(str(photos / "more" / "walk.jpg"), cv2.resize(picture, None, fx=0.4, fy=0.4))
    cv2.imwrite(str(photos / "wall.png"), np.full((200, 300, 3), 128, np.uint8))
    (photos / "broken.jpg").write_bytes(b"no picture")
    there = ["--data-root", tmp_path]
    out = hmr("data", "make", "own", "--images", photos, "--workers", 1, *there).output
    assert "1 rows not used: photos in which nobody is seen" in out
    assert "1 rows not used: photos that cannot be read" in out
    rows = read_annotations(tmp_path / "preprocessed_datasets" / "own.npz", "coco_17")
    assert rows.image_path.tolist() == ["more/walk.jpg"] * 2
    assert (rows.keypoints2d[..., 2] > 0).sum(1).min() >= 12
    low, high = rows.bbox_xywh[:, :2], rows.bbox_xywh[:, :2] + rows.bbox_xywh[:, 2:]
    inside = (rows.keypoints2d[..., :2] > low[:, None]) & (rows.keypoints2d[..., :2] < high[:, None])
    assert inside[rows.keypoints2d[..., 2] > 0].all()
    hmr("data", "check", "own", *there)
    document = open_recipe("hmr_l1", *SMALL, batch_size=2).as_dict() | {
        "name": "own",
        "adversary": None,
        "exports": None,
    }
    document["data"]["mixture"] = {"own": {"annotations": "own.npz", "share": 1.0}}
    document["losses"].pop("adversarial")
    document["optimizer"]["lr"].pop("adversary")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    write_human_data(
        tmp_path / "preprocessed_datasets" / "pw3d_test.npz",
        people(tmp_path / "datasets" / "pw3d", "pw3d", 2),
    )
    there += ["--device", "cpu", "--workers", "0", "--max-steps", "1", "--out", tmp_path / "run"]
    hmr("train", "--recipe", tmp_path / "own.yaml", *there)
    assert (tmp_path / "run" / "checkpoints" / "last").is_dir()
