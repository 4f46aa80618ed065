"""`hmr data` as a user meets it: from official trees to annotation files."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from benchmarks.world import SMALL, open_overrides
from hmrcli.assets.bundled import bundled
from hmrcli.assets.registry import BUNDLED_REGISTRY, load_registry
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.cli.app import app
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import read_poses
from hmrcli.data.human_data import facts_of, write_human_data
from hmrcli.data.needed import needed_files, require
from hmrcli.data.raw.sets import RAW_SETS
from hmrcli.data.raw.tree import RawSet
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.recipe import load_recipe
from tests.data.raw import captures

CAMERA, P2 = 54138969, 60457274


def hmr(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def make(name: str, raw: Path, root: Path, *options: object) -> dict:
    """The document of a set that was made."""
    out = hmr("make", name, "--raw", raw, "--data-root", root, "--workers", 1, "--json", *options).stdout
    return json.loads(out)["sets"][0]


def read(root: Path, file: str, joints: str) -> Annotations:
    return read_annotations(root / "preprocessed_datasets" / file, joints, cameras=True)


def assert_body(rows: Annotations, person: captures.Walk, frames, transl: bool = True) -> None:
    """Same rotations, shape and place."""
    rotations = rotmat_from_pose(torch.from_numpy(np.array(rows.pose)))
    wanted = rotmat_from_pose(torch.from_numpy(person.pose[frames]))
    np.testing.assert_allclose(rotations, wanted, atol=2e-5)
    np.testing.assert_allclose(rows.betas, person.betas[frames], atol=1e-6)
    if transl:
        np.testing.assert_allclose(rows.transl, person.transl[frames], atol=1e-4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_3dpw(raw: Path, root: Path) -> None:
    people = [captures.walk(4, seed) for seed in (1, 2)]
    captures.write_pw3d(raw, "test", "downtown_b_00", people, [[1, 1, 0, 1], [1, 1, 1, 1]], ["m", "f"])
    captures.write_pw3d(raw, "test", "downtown_a_00", people[:1], [[1, 1, 1, 1]], ["f"])
    document = make("pw3d", raw, root)
    assert document["dropped"] == {"without a valid camera": 1, "without a visible 2D joint": 1}
    rows = read(root, "pw3d_test.npz", "smpl_54")
    assert [str(path) for path in rows.image_path] == [
        *(f"imageFiles/downtown_a_00/image_0000{i}.jpg" for i in range(4)),
        *(f"imageFiles/downtown_b_00/image_0000{i}.jpg" for i in (0, 1, 3)),
        *(f"imageFiles/downtown_b_00/image_0000{i}.jpg" for i in (0, 1, 3)),
    ]
    assert rows.gender.tolist() == ["f"] * 4 + ["m"] * 3 + ["f"] * 3
    assert rows.keypoints2d is None and rows.has_smpl.all()
    assert_body(rows[:4], people[0], [0, 1, 2, 3])
    assert_body(rows[7:], people[1], [0, 1, 3])
    np.testing.assert_allclose(rows.intrinsics[5], captures.INTRINSICS)
    points = people[0].points[0, :17]
    low, high = points.min(0), points.max(0)
    np.testing.assert_allclose(
        rows.bbox_xywh[0], [*((low + high) / 2 - 0.6 * (high - low)), *(1.2 * (high - low))], rtol=1e-4
    )
    square = read(root, "spin_pw3d_test.npz", "smpl_54").bbox_xywh
    np.testing.assert_allclose(square[:, 2:], rows.bbox_xywh[:, 2:].max(1, keepdims=True).repeat(2, 1))
    np.testing.assert_allclose(
        square[:, :2] + square[:, 2:] / 2, rows.bbox_xywh[:, :2] + rows.bbox_xywh[:, 2:] / 2, rtol=1e-5
    )
    assert all((root / "datasets/pw3d" / str(path)).is_file() for path in rows.image_path)
    assert [made["file"] for made in document["files"]] == ["pw3d_test.npz", "spin_pw3d_test.npz"]
    assert "sequenceFiles/train is not there" in document["notes"][0]


def test_3dpw_from_its_archives(raw: Path, root: Path) -> None:
    captures.write_pw3d(raw, "test", "downtown_a_00", [captures.walk(2)], [[1, 1]], ["f"])
    for name in ("sequenceFiles", "imageFiles"):
        shutil.make_archive(str(raw / name), "zip", raw, name)
        shutil.rmtree(raw / name)
    make("pw3d", raw, root)
    assert (root / "datasets/pw3d/imageFiles/downtown_a_00/image_00001.jpg").is_file()
    before = {p: p.stat().st_mtime_ns for p in (root / "datasets").rglob("*.jpg")}
    make("pw3d", raw, root)
    assert before == {p: p.stat().st_mtime_ns for p in (root / "datasets").rglob("*.jpg")}
    with zipfile.ZipFile(raw / "imageFiles.zip", "w") as archive:
        archive.writestr("../outside.jpg", b"")
    with pytest.raises(BadInput, match=r"imageFiles\.zip: .*points out of it; download it again"):
        make("pw3d", raw, root)


def h36m_tree(raw: Path, frames: int = 13) -> captures.Walk:
    """Subject 5 with two sequences, subject 9 with two cameras; a video that ends early, an empty mask."""
    person = captures.walk(frames, seed=3)
    captures.write_human36m(raw, 5, "Directions 1", CAMERA, person)
    captures.write_human36m(raw, 5, "WalkingDog", CAMERA, person, frames=9)
    captures.write_human36m(raw, 5, "_ALL", CAMERA, person)
    for camera in (CAMERA, P2):
        captures.write_human36m(raw, 9, "Photo 1", camera, person)
    boxes = captures.mask_boxes(person)
    boxes[5] = 0
    captures.write_masks(raw / f"S9/MySegmentsMat/ground_truth_bs/Photo 1.{P2}.mat", boxes)
    return person


def test_human36m(raw: Path, root: Path) -> None:
    person = h36m_tree(raw)
    captures.write_metadata(raw)
    captures.write_mosh(raw, 5, "Directions 1", CAMERA, person)
    document = make("h36m", raw, root)
    assert document["dropped"] == {
        "without a mask of the person": 1,
        "whose frame is beyond the end of the video or cannot be decoded": 1,  # 10 of 0 … 8
        "without MoSh's labels": 2,
    }
    rows = read(root, "h36m_train.npz", "h36m")
    first, second = f"S5_Directions_1.{CAMERA}", f"S5_WalkingDog.{CAMERA}"
    assert [str(path) for path in rows.image_path] == [
        *(f"S5/images/{first}/{first}_{number:06d}.jpg" for number in (1, 6, 11)),
        *(f"S5/images/{second}/{second}_{number:06d}.jpg" for number in (1, 6)),
    ]
    assert [captures.frame_in(root / "datasets/h36m" / str(p)) for p in rows.image_path] == [0, 5, 10, 0, 5]
    frames = [0, 5, 10, 0, 5]
    np.testing.assert_allclose(rows.keypoints2d[..., :2], person.points17[frames], atol=1e-3)
    joints = person.joints17 - person.joints17[:, :1]
    np.testing.assert_allclose(rows.keypoints3d[..., :3], joints[frames], atol=1e-5)
    assert (rows.keypoints2d[..., 2] == 1).all() and (rows.keypoints3d[..., 3] == 1).all()
    x0, y0, x1, y1 = captures.mask_boxes(person)[frames].T
    wanted = np.stack(
        [
            (x0 + x1) / 2 - 0.45 * (x1 - x0),
            (y0 + y1) / 2 - 0.45 * (y1 - y0),
            0.9 * (x1 - x0),
            0.9 * (y1 - y0),
        ],
        1,
    )
    np.testing.assert_allclose(rows.bbox_xywh, wanted, rtol=1e-5)
    assert not rows.has_smpl.any()
    np.testing.assert_allclose(rows.intrinsics[0], captures.INTRINSICS)
    labelled = read(root, "h36m_mosh_train.npz", "h36m")
    assert labelled.image_path.tolist() == rows.image_path[:3].tolist() and labelled.has_smpl.all()
    assert_body(labelled, person, [0, 5, 10], transl=False)
    assert facts_of(root / "preprocessed_datasets/h36m_mosh_train.npz")["smpl_labels"] == "MoSh"
    one, two = (read(root, f"h36m_valid_protocol{n}.npz", "h36m").image_path for n in (1, 2))
    assert len(one) == 5 and len(two) == 2
    assert all(str(path).startswith(f"S9/images/S9_Photo_1.{P2}/") for path in two)


@pytest.mark.parametrize(
    ("kind", "every", "name"),
    [("SMPL_NeuralAnnot", 1, "NeuralAnnot"), ("smpl_param", 5, "I2L-MeshNet (SMPLify-X)")],
)
def test_human36m_with_labels_in_the_world(raw: Path, root: Path, kind: str, every: int, name: str) -> None:
    person = h36m_tree(raw)
    captures.write_metadata(raw)
    elsewhere = person._replace(world_trans=person.world_trans + 2)
    # Action 2, subaction 1 is `Directions 1` of subject 5; action 15, subaction 2 is its bare `WalkDog`.
    captures.write_world_labels(raw, 5, {(2, 1): person, (15, 2): elsewhere}, kind, every)
    (root / "body_models/smpl").mkdir(parents=True)
    shutil.copy(bundled("body/open_body.npz"), root / "body_models/smpl/SMPL_NEUTRAL.npz")
    document = make("h36m", raw, root)
    assert document["dropped"][f"whose labels of {name} contradict the joints"] == 2
    labelled = read(root, "h36m_mosh_train.npz", "h36m")
    assert_body(labelled, person, [0, 5, 10])
    assert facts_of(root / "preprocessed_datasets/h36m_mosh_train.npz")["smpl_labels"] == name


def test_human36m_without_labels_says_what_to_get(raw: Path, root: Path) -> None:
    h36m_tree(raw)
    with pytest.raises(MissingFile, match=r"h36m_mosh_train\.npz was not made .*NeuralAnnot"):
        make("h36m", raw, root)
    assert len(read(root, "h36m_train.npz", "h36m")) == 5


def test_human36m_without_videos_says_what_to_get(raw: Path, root: Path) -> None:
    h36m_tree(raw)
    shutil.rmtree(raw / "S9/Videos")
    with pytest.raises(MissingFile, match=r"no video of 2 sequences, first S9_Photo_1.*Videos_S9\.tgz"):
        make("h36m", raw, root)
    captures.write_mosh(raw, 5, "Directions 1", CAMERA, captures.walk(13, seed=3))
    make("h36m", raw, root, "--annotations-only")
    assert len(read(root, "h36m_train.npz", "h36m")) == 6


def test_sequences_that_all_lack_a_kind_of_file_say_what_to_get(raw: Path, root: Path) -> None:
    h36m_tree(raw)
    for masks in raw.glob("*/MySegmentsMat"):
        shutil.rmtree(masks)
    with pytest.raises(
        MissingFile, match=r"no sequence with D3_Positions_mono and MySegmentsMat.*hmr data make"
    ):
        make("h36m", raw, root)
    captures.write_mpi_inf_3dhp(raw, 9, 1, {0: captures.walk(3, seed=4)}, {0: 3})
    with pytest.raises(MissingFile, match=r"no file S1/Seq1/annot\.mat to S8.*hmr data make"):
        make("mpi_inf_3dhp", raw, root)


def test_mpi_inf_3dhp(raw: Path, root: Path) -> None:
    """Rows are every tenth of the kept over all loops; a frame with a joint outside is not kept."""
    person = captures.walk(23, seed=4)
    outside = person._replace(joints17=person.joints17.copy())
    outside.joints17[3, 12] += [-2.5, 0, 0]  # left of the picture
    cameras = dict.fromkeys((0, 1, 2, 4, 5, 6, 7, 8), person) | {1: outside}
    videos = dict.fromkeys(cameras, 23) | {2: 14}
    captures.write_mpi_inf_3dhp(raw, 1, 1, cameras, videos)
    captures.write_mpi_inf_3dhp(raw, 1, 2, cameras, dict.fromkeys(cameras, 23))
    captures.write_mpi_test(raw, 1, person, [0, 1, 1, 0, *[1] * 19])
    document = make("mpi_inf_3dhp", raw, root)
    assert document["dropped"] == {
        "beyond the end of the video": 9,
        "with joints outside of the picture": 2,
        "of the test set marked as not valid": 2,
    }

    def every_tenth(lengths: list[tuple[str, list[int]]]) -> list[str]:
        kept = [f"{name}/{frame + 1:06d}.jpg" for name, frames in lengths for frame in frames]
        return kept[::10]

    def loops(skip: int) -> list[tuple[str, list[int]]]:
        return [
            (
                f"S1/Seq{q}/video_{c}",
                [f for f in range(14 if (q, c) == (1, 2) else 23) if (c, f) != (1, skip)],
            )
            for q in (1, 2)
            for c in (0, 1, 2, 4, 5, 6, 7, 8)
        ]

    rows = read(root, "mpi_inf_3dhp_train.npz", "mpi_inf_3dhp_28")
    assert [str(path) for path in rows.image_path] == every_tenth(loops(3))
    spin = read(root, "spin_mpi_inf_3dhp_train.npz", "smpl_49")
    assert [str(path) for path in spin.image_path] == every_tenth(loops(3))
    frames = [int(str(path)[-10:-4]) - 1 for path in rows.image_path]
    pictures = [root / "datasets/mpi_inf_3dhp" / str(path) for path in rows.image_path]
    assert [captures.frame_in(path) for path in pictures] == frames
    others = [i for i, path in enumerate(rows.image_path) if "video_1" not in str(path)]
    own = [frames[i] for i in others]
    joints = captures.joints28(person)
    np.testing.assert_allclose(rows.keypoints2d[others, :, :2], captures.project(joints)[own], atol=1e-3)
    np.testing.assert_allclose(rows.keypoints3d[others, :, :3], (joints - joints[:, 4:5])[own], atol=1e-5)
    points = captures.project(joints)[own[0]]
    low, high = points.min(0), points.max(0)
    np.testing.assert_allclose(rows.bbox_xywh[others[0], 2:], 1.2 * (high - low), rtol=1e-4)
    # The 17 joints that SPIN uses lie where Human3.6M's do.
    seventeen = spin.select("h36m", strict=False).keypoints3d
    spin_frames = [int(str(path)[-10:-4]) - 1 for path in spin.image_path]
    wanted = (person.joints17 - person.joints17[:, :1])[spin_frames]
    same = [row for row, path in enumerate(spin.image_path) if "video_1" not in str(path)]
    for slot in range(17):
        known = seventeen[same, slot, 3] > 0
        # But for the head: SPIN's place for the head's top is where the others have the head.
        np.testing.assert_allclose(
            seventeen[same, slot, :3][known], wanted[same, 10 if slot == 9 else slot][known], atol=1e-5
        )
        assert known.all() or slot == 10
    test = read(root, "mpi_inf_3dhp_test.npz", "mpi_inf_3dhp_17")
    assert len(test) == 21
    assert str(test.image_path[0]) == "mpi_inf_3dhp_test_set/TS1/imageSequence/img_000002.jpg"
    assert captures.frame_in(root / "datasets/mpi_inf_3dhp" / str(test.image_path[0])) == 1
    np.testing.assert_allclose(
        test.select("h36m").keypoints3d[0, :, :3], (person.joints17 - person.joints17[:, :1])[1], atol=1e-5
    )


def test_muco(raw: Path, root: Path) -> None:
    person = captures.walk(6, seed=5)
    captures.write_muco(raw, person)
    document = make("muco", raw, root)
    assert document["dropped"] == {"without a finite fit": 2, "whose pelvis is not visible": 1}
    rows = read(root, "muco3dhp_train.npz", "muco_21")
    assert [str(path) for path in rows.image_path] == [
        f"images/augmented_set/{i // 2}/{i:06d}.jpg" for i in (5, 4, 3)
    ]
    assert [captures.frame_in(root / "datasets/muco" / str(p)) for p in rows.image_path] == [5, 4, 3]
    assert_body(rows, person, [5, 4, 3])
    np.testing.assert_allclose(
        rows.select("h36m").keypoints2d[..., :2], person.points17[[5, 4, 3]], atol=1e-3
    )
    assert rows.keypoints3d is None
    np.testing.assert_allclose(rows.intrinsics[0], captures.INTRINSICS)


def test_cmu_mosh(raw: Path, root: Path) -> None:
    first, second = captures.walk(3, seed=6), captures.walk(2, seed=7)
    captures.write_cmu(raw, {"02/02_01": second, "01/01_02": first})
    assert make("cmu_mosh", raw, root)["files"][0]["rows"] == 5
    pose, betas = read_poses(root / "preprocessed_datasets/cmu_mosh.npz")
    np.testing.assert_array_equal(pose, np.concatenate([first.pose, second.pose]))
    np.testing.assert_array_equal(betas, np.concatenate([first.betas, second.betas]))


def test_the_same_bytes_twice_and_after_a_stop(
    raw: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = h36m_tree(raw)
    captures.write_mosh(raw, 5, "Directions 1", CAMERA, person)
    make("h36m", raw, root)
    files = sorted((root / "preprocessed_datasets").glob("*.npz"))
    before = {path: path.read_bytes() for path in files}
    make("h36m", raw, root)
    assert before == {path: path.read_bytes() for path in files}

    fresh, read_before, calls = root.with_name("fresh"), [], []
    from hmrcli.data.raw import human36m

    def stops(*arguments):
        calls.append(arguments)
        if len(calls) == 3 and not read_before:
            raise KeyboardInterrupt
        return recording(*arguments)

    recording = human36m.read_recording
    monkeypatch.setattr(human36m, "read_recording", stops)
    result = CliRunner().invoke(
        app, ["data", "make", "h36m", "--raw", str(raw), "--data-root", str(fresh), "--workers", "1"]
    )
    assert result.exit_code == 130 and not list((fresh / "preprocessed_datasets").glob("*.npz"))
    read_before.append(True)
    calls.clear()
    make("h36m", raw, fresh)
    assert len(calls) == 2  # of four sequences
    assert [path.read_bytes() for path in sorted((fresh / "preprocessed_datasets").glob("*.npz"))] == list(
        before.values()
    )
    assert not (fresh / "preprocessed_datasets" / ".parts").exists() or not any(
        (fresh / "preprocessed_datasets" / ".parts").iterdir()
    )


def test_several_processes_give_the_same_bytes(raw: Path, root: Path) -> None:
    person = h36m_tree(raw)
    captures.write_mosh(raw, 5, "Directions 1", CAMERA, person)
    make("h36m", raw, root)
    make("h36m", raw, root.with_name("two"), "--workers", 2)
    for path in (root / "preprocessed_datasets").glob("*.npz"):
        assert path.read_bytes() == (root.with_name("two") / "preprocessed_datasets" / path.name).read_bytes()


def test_frames_go_on_where_they_stopped(raw: Path, root: Path) -> None:
    person = h36m_tree(raw)
    captures.write_mosh(raw, 5, "Directions 1", CAMERA, person)
    make("h36m", raw, root)
    pictures = sorted((root / "datasets/h36m").rglob("*.jpg"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures}
    pictures[1].unlink()
    make("h36m", raw, root)
    assert pictures[1].read_bytes() == before[pictures[1]][0]
    assert all(path.stat().st_mtime_ns == before[path][1] for path in pictures if path != pictures[1])


def test_files_of_others_stay(raw: Path, root: Path) -> None:
    captures.write_pw3d(raw, "test", "downtown_a_00", [captures.walk(2)], [[1, 1]], ["f"])
    make("pw3d", raw, root)
    path = root / "preprocessed_datasets/pw3d_test.npz"
    write_human_data(path, read_annotations(path, "smpl_54")[:1])
    published = path.read_bytes()
    document = make("pw3d", raw, root)
    assert document["files"][0]["kept"] and path.read_bytes() == published
    make("pw3d", raw, root, "--replace")
    assert len(read_annotations(path, "smpl_54")) == 2


def test_list_tells_state_users_and_next_step(raw: Path, root: Path) -> None:
    def sets(*options: str) -> dict[str, dict]:
        return {
            s["name"]: s
            for s in json.loads(hmr("list", "--json", "--data-root", root, *options).stdout)["sets"]
        }

    pw3d = sets()["pw3d"]
    assert pw3d["annotations"][0]["state"] == "missing" and "hmr data make pw3d" in pw3d["next"]
    assert "hmr_normal" in pw3d["recipes"] and pw3d["page"].startswith("https://virtualhumans")
    captures.write_pw3d(raw, "test", "downtown_a_00", [captures.walk(2)], [[1, 1]], ["f"])
    make("pw3d", raw, root)
    pw3d = sets("--recipe", "hmr_normal")["pw3d"]
    assert [f["file"] for f in pw3d["annotations"]] == ["pw3d_test.npz"]
    assert pw3d["annotations"][0]["state"] == "made" and pw3d["images"]["state"] == "found"
    assert pw3d["next"] == "run: hmr data check pw3d"
    assert {"h36m", "mpi_inf_3dhp", "cmu_mosh", "pw3d"} <= set(sets("--recipe", "hmr_normal"))
    assert "muco" not in sets("--recipe", "hmr_normal")
    assert re.search(r"h36m_mosh_train\.npz +missing", hmr("list", "--data-root", root).stdout)


def test_missing_files_name_the_command_that_makes_them(root: Path) -> None:
    registry = load_registry()
    made = {product.file: each.name for each in RAW_SETS for product in each.products}
    for asset in registry.files:
        assert asset.raw_set == made.get(asset.name), asset.name
    assert "converter" not in BUNDLED_REGISTRY.read_text()
    plan = (
        CliRunner()
        .invoke(
            app, ["download", "muco3dhp_train.npz", "pw3d_test.npz", "--dry-run", "--data-root", str(root)]
        )
        .stdout
    )
    assert re.search(r"muco3dhp_train\.npz .*hmr data make muco, from the official download \(https", plan)
    assert re.search(r"pw3d_test\.npz .*pw3d_test\.npz, or hmr data make pw3d, from the official", plan)
    with pytest.raises(MissingFile) as error:
        require(needed_files(load_recipe("graphormer_normal"), root))
    assert "http://vision.imar.ro/human3.6m, then run: hmr data make h36m" in str(error.value)
    assert "then run: hmr data make muco" in str(error.value)


def test_what_cannot_be_made_is_said_in_one_line(
    raw: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingFile, match=r"no file neutrSMPL_CMU/.*hmr data make cmu_mosh --raw"):
        make("cmu_mosh", raw, root)
    with pytest.raises(UsageError, match=r"'pw3'; did you mean pw3d\?"):
        make("pw3", raw, root)
    (raw / "imageFiles.zip").write_bytes(b"")
    with pytest.raises(UsageError, match=r"imageFiles\.zip is a file; name the folder .*--raw"):
        make("pw3d", raw / "imageFiles.zip", root)
    with pytest.raises(MissingFile, match=r"--raw: .*elsewhere is no folder"):
        make("pw3d", raw / "elsewhere", root)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingFile, match=r"cdflib and h5py .* pip install 'hmrcli\[raw\]'"):
        make("h36m", raw, root)


@pytest.mark.parametrize("raw_set", RAW_SETS, ids=lambda each: each.name)
def test_a_folder_of_something_else_names_page_archives_and_command(
    raw_set: RawSet, raw: Path, root: Path
) -> None:
    (raw / "holiday.jpg").write_bytes(b"")
    with pytest.raises(MissingFile) as error:
        make(raw_set.name, raw, root)
    for words in (
        raw_set.page,
        *(each.pattern for each in raw_set.archives),
        f"hmr data make {raw_set.name}",
    ):
        assert words in str(error.value)
    assert not list(root.rglob("*.npz"))


def test_a_half_unpacked_archive_is_finished(raw: Path, root: Path) -> None:
    captures.write_pw3d(raw, "test", "downtown_a_00", [captures.walk(3)], [[1, 1, 1]], ["f"])
    shutil.make_archive(str(raw / "imageFiles"), "zip", raw, "imageFiles")
    there = root / "datasets/pw3d/imageFiles/downtown_a_00"
    shutil.copytree(raw / "imageFiles/downtown_a_00", there)
    shutil.rmtree(raw / "imageFiles")
    (there / "image_00001.jpg").write_bytes(b"cut")
    (there / "image_00002.jpg").unlink()
    assert make("pw3d", raw, root)["files"][0]["missing_images"] == 0
    assert all(cv2.imread(str(there / f"image_0000{number}.jpg")) is not None for number in range(3))


def test_a_full_disk_is_told_before_frames_are_taken(
    raw: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h36m_tree(raw)
    usage = shutil.disk_usage(raw)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(BadInput, match=r"frames of videos needs 0\.0 GB, and 0\.0 GB are free"):
        make("h36m", raw, root)
    assert not list((root / "datasets").rglob("*.jpg"))


@pytest.mark.usefixtures("narrow_backbones", "without_curves")
def test_from_official_trees_to_a_trained_and_measured_network(raw: Path, root: Path) -> None:
    """Sets of motion capture are made and found right; rows that use them take two steps and are measured on 3DPW."""
    person = h36m_tree(raw / "h36m", frames=26)
    captures.write_mosh(raw / "h36m", 5, "Directions 1", CAMERA, person)
    cameras = dict.fromkeys((0, 1, 2, 4, 5, 6, 7, 8), person)
    captures.write_mpi_inf_3dhp(raw / "mpi", 1, 1, cameras, dict.fromkeys(cameras, 23))
    (raw / "muco").mkdir()
    captures.write_muco(raw / "muco", person)
    captures.write_cmu(raw / "cmu", {"01/01_01": person})
    captures.write_pw3d(raw / "pw3d", "test", "downtown_a_00", [captures.walk(4)], [[1] * 4], ["f"])
    folders = {"h36m": "h36m", "mpi_inf_3dhp": "mpi", "muco": "muco", "cmu_mosh": "cmu", "pw3d": "pw3d"}
    every = os.environ.get("HMR_TEST_ROWS") == "all"
    for name, folder in folders.items():
        make(name, raw / folder, root)
        if every or name in (
            "muco",
            "cmu_mosh",
            "pw3d",
        ):  # a network looks at the pictures of each: a minute for all
            hmr("check", name, "--data-root", root)
    rows = {"hmr_normal": ("lsp", "lspet", "mpii", "coco")}
    if every:  # MuCo's row has the largest network: minutes
        rows["graphormer_normal"] = ("up-3d", "mpii", "coco")
    for recipe, without in rows.items():
        run = root / "runs" / recipe
        there = ["--data-root", str(root), "--device", "cpu", "--workers", "0"]
        small = () if recipe.startswith("graphormer") else SMALL
        left_out = [word for name in without for word in ("--without", name)]
        train = [
            "train",
            "--recipe",
            recipe,
            *open_overrides(recipe, batch_size=2),
            *small,
            "--out",
            str(run),
        ]
        for command in (
            [*train, *there, *left_out, "--max-steps", "2"],
            ["eval", "--checkpoint", str(run), *there],
        ):
            result = CliRunner().invoke(app, command, catch_exceptions=False)
            assert result.exit_code == 0, result.output
        environment = json.loads((run / "environment.json").read_text())
        assert environment["smpl_labels"]["h36m"] == "MoSh"
        assert json.loads((run / "results.json").read_text())["samples"] == 4
