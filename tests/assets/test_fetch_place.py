"""Files that the user fetched by hand, archives, and checks of what is in place."""

import io
import pickle
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrcli.assets.archive import extract_tree, open_archive
from hmrcli.assets.fetch import known_sha256, place, verify
from hmrcli.assets.registry import Asset, load_registry
from hmrcli.errors import BadInput, Refused, UsageError
from hmrcli.files import sha256
from tests.assets.serving import npy, tar_of

REGISTRY = load_registry()
BODY_FILES = REGISTRY.select(["body"])


def smpl(joints: int = 24) -> bytes:
    shapes = {"v_template": (6890, 3), "kintree_table": (2, joints)}
    names = ("shapedirs", "posedirs", "J_regressor", "weights", "f")
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return pickle.dumps({**arrays, **{name: np.zeros(3) for name in names}})


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def left(root: Path) -> list[str]:
    found = (path for path in root.rglob("*") if path.is_file() or "hmr-" in path.name)
    return sorted(str(path.relative_to(root)) for path in found)


def unpacked(limit_gb: float = 1) -> Asset:
    return Asset.model_validate(
        {
            "name": "set",
            "group": "images",
            "path": "datasets/set",
            "about": "a set",
            "licence": "lsp",
            "page": "https://set.example",
            "unpack": {"take": ["*.jpg"], "limit_gb": limit_gb},
        }
    )


@pytest.mark.parametrize(
    ("offered", "placed"),
    [
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "SMPL_NEUTRAL.pkl"),
        ("basicmodel_m_lbs_10_207_0_v1.0.0.pkl", "SMPL_MALE.pkl"),
        ("basicModel_f_lbs_10_207_0_v1.1.0.pkl", "SMPL_FEMALE.pkl"),
        ("SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.pkl"),
    ],
)
def test_official_names_of_smpl_are_known(tmp_path: Path, offered: str, placed: str) -> None:
    source = tmp_path / offered
    source.write_bytes(smpl())
    root = tmp_path / "root"
    assert [item.path for item in place(BODY_FILES, source, root)] == [root / "body_models/smpl" / placed]
    assert left(root) == [f"body_models/smpl/{placed}", f"body_models/smpl/{placed}.sha256"]
    assert source.exists()


def test_smpl_as_npz_keeps_its_ending(tmp_path: Path) -> None:
    arrays = pickle.loads(smpl())
    np.savez(tmp_path / "SMPL_MALE.npz", **arrays)
    (placed,) = place(BODY_FILES, tmp_path / "SMPL_MALE.npz", tmp_path / "root")
    assert placed.path == tmp_path / "root/body_models/smpl/SMPL_MALE.npz"
    assert REGISTRY.by_name["SMPL_MALE.pkl"].present(tmp_path / "root") == placed.path
    assert verify(placed.asset, tmp_path / "root") is None


def test_all_bodies_of_an_official_archive_are_placed(tmp_path: Path) -> None:
    members = {
        f"SMPL_python_v.1.1.0/smpl/models/basicmodel_{g}_lbs_10_207_0_v1.1.0.pkl": smpl()
        for g in ("f", "m", "neutral")
    }
    archive = zip_of(
        tmp_path / "SMPL_python_v.1.1.0.zip", **members, **{"SMPL_python_v.1.1.0/readme.txt": b"hello"}
    )
    placed = place(BODY_FILES, archive, tmp_path / "root")
    assert sorted(item.path.name for item in placed) == [
        "SMPL_FEMALE.pkl",
        "SMPL_MALE.pkl",
        "SMPL_NEUTRAL.pkl",
    ]
    one = place([REGISTRY.by_name["SMPL_MALE.pkl"]], archive, tmp_path / "one")
    assert [item.path.name for item in one] == ["SMPL_MALE.pkl"]


def test_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/SMPL_MALE.pkl").write_bytes(smpl())
    (tmp_path / "mine/notes.txt").write_text("-")
    assert [item.path.name for item in place(BODY_FILES, tmp_path / "mine", tmp_path / "root")] == [
        "SMPL_MALE.pkl"
    ]


def test_other_bodies_with_the_same_entries_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(smpl(joints=52))  # SMPL+H
    with pytest.raises(BadInput, match=r"not SMPL_NEUTRAL\.pkl: kintree_table is \(2, 52\), expected"):
        place(BODY_FILES, tmp_path / "SMPL_NEUTRAL.pkl", tmp_path / "root")
    assert left(tmp_path / "root") == []


def test_unknown_name_asks_for_one(tmp_path: Path) -> None:
    (tmp_path / "what.pkl").write_bytes(smpl())
    with pytest.raises(BadInput, match=r"hmr download NAME --from-file .*what\.pkl"):
        place(BODY_FILES, tmp_path / "what.pkl", tmp_path / "root")
    (placed,) = place([REGISTRY.by_name["SMPL_MALE.pkl"]], tmp_path / "what.pkl", tmp_path / "root")
    assert placed.path.name == "SMPL_MALE.pkl"


def test_web_page_saved_under_the_files_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resnet50_coco_pose.pth").write_text("<!DOCTYPE html>")
    with pytest.raises(BadInput, match="web page"):
        place(
            [REGISTRY.by_name["resnet50_coco_pose.pth"]],
            tmp_path / "resnet50_coco_pose.pth",
            tmp_path / "root",
        )


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "smpl_mean_params.npz", pose=np.zeros(144), shape=np.zeros(10), cam=np.ones(3))
    content = bytearray((tmp_path / "smpl_mean_params.npz").read_bytes())
    content[600] ^= 1
    (tmp_path / "smpl_mean_params.npz").write_bytes(content)
    with pytest.raises(BadInput, match="does not match its checksum"):
        place(BODY_FILES, tmp_path / "smpl_mean_params.npz", tmp_path / "root")
    np.savez(tmp_path / "smpl_mean_params.npz", pose=np.zeros(144))
    with pytest.raises(BadInput, match="lacks shape, cam"):
        place(BODY_FILES, tmp_path / "smpl_mean_params.npz", tmp_path / "root")


def test_regressor_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "J_regressor_h36m.npy").write_bytes(npy(24, 6890))
    with pytest.raises(BadInput, match=r"is \(24, 6890\), expected \(17, 6890\)"):
        place(BODY_FILES, tmp_path / "J_regressor_h36m.npy", tmp_path / "root")


@pytest.mark.parametrize("rows", [9, 14])
def test_both_published_extra_regressors_are_taken(tmp_path: Path, rows: int) -> None:
    (tmp_path / "J_regressor_extra.npy").write_bytes(npy(rows, 6890))
    (placed,) = place(BODY_FILES, tmp_path / "J_regressor_extra.npy", tmp_path / "root")
    assert placed.path == tmp_path / "root" / "body_models" / "J_regressor_extra.npy"


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "J_regressor_extra.npy").write_bytes(npy(9, 6890))
    (tmp_path / "root").write_text("a file where the data root should be")
    with pytest.raises(UsageError, match="--data-root"):
        place(BODY_FILES, tmp_path / "J_regressor_extra.npy", tmp_path / "root")


def test_archive_becomes_a_folder(tmp_path: Path) -> None:
    asset = unpacked()
    archive = zip_of(
        tmp_path / "set.zip",
        **{
            "top/im1.jpg": b"1",
            "top/sub/im2.jpg": b"22",
            "top/readme.txt": b"-",
            "__MACOSX/top/._im1.jpg": b"-",
        },
    )
    place([asset], archive, tmp_path / "root")
    assert left(tmp_path / "root") == [
        "datasets/set.sha256",
        "datasets/set/im1.jpg",
        "datasets/set/sub/im2.jpg",
    ]
    assert verify(asset, tmp_path / "root") is None
    (tmp_path / "root/datasets/set/im1.jpg").write_bytes(b"2")
    assert "set/im1.jpg" in (verify(asset, tmp_path / "root") or "")
    (tmp_path / "root/datasets/set/im1.jpg").unlink()
    assert verify(asset, tmp_path / "root") == "set/im1.jpg is missing"
    with pytest.raises(BadInput, match="remove it"):
        place([asset], archive, tmp_path / "root")


def test_folder_that_another_process_unpacked_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(*arguments: Any) -> dict[str, str]:
        digests = extract_tree(*arguments)
        zipfile.ZipFile(archive).extractall(tmp_path / "root/datasets/set")
        return digests

    archive = zip_of(tmp_path / "set.zip", **{"im1.jpg": b"1"})
    monkeypatch.setattr("hmrcli.assets.fetch.extract_tree", slower)
    place([unpacked()], archive, tmp_path / "root")
    assert left(tmp_path / "root/datasets") == ["set.sha256", "set/im1.jpg"]


def test_leading_folder_stays_where_it_is_not_shared(tmp_path: Path) -> None:
    place(
        [unpacked()], zip_of(tmp_path / "set.zip", **{"images/a.jpg": b"1", "b.jpg": b"2"}), tmp_path / "root"
    )
    assert left(tmp_path / "root/datasets/set") == ["b.jpg", "images/a.jpg"]


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "C:/a.jpg", "..\\a.jpg"])
def test_members_that_point_out_are_refused(tmp_path: Path, name: str) -> None:
    archives = [zip_of(tmp_path / "set.zip", **{"ok.jpg": b"1", name: b"2"}), tmp_path / "set.tar.gz"]
    archives[1].write_bytes(tar_of(**{"ok.jpg": b"1", name: b"2"}))
    for archive in archives:
        with pytest.raises(BadInput, match="points out of it"):
            place([unpacked()], archive, tmp_path / "root")
    assert left(tmp_path / "root") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "set.tar.gz", "set.zip"]


def test_links_and_devices_are_left_aside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_text("-")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for kind, name in (
            (tarfile.SYMTYPE, "link.jpg"),
            (tarfile.LNKTYPE, "hard.jpg"),
            (tarfile.FIFOTYPE, "pipe.jpg"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
        info = tarfile.TarInfo("real.jpg")
        archive.addfile(info, io.BytesIO())
    place([unpacked()], tmp_path / "set.tar", tmp_path / "tar")
    assert left(tmp_path / "tar/datasets/set") == ["real.jpg"]

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as zipped:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, str(secret))
        zipped.writestr("real.jpg", b"1")
    place([unpacked()], tmp_path / "set.zip", tmp_path / "zip")
    assert left(tmp_path / "zip/datasets/set") == ["real.jpg"]


def test_archive_that_swells_beyond_its_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", bytes(3_000_000))
    with pytest.raises(BadInput, match="unpacks to more than"):
        place([unpacked(limit_gb=0.002)], tmp_path / "set.zip", tmp_path / "root")
    assert left(tmp_path / "root") == []


def test_sizes_are_counted_over_all_members(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", **{"a.jpg": bytes(600), "b.jpg": bytes(600)})
    with open_archive(archive) as members, pytest.raises(Refused, match="more than"):
        extract_tree(members, tmp_path / "out", ("*.jpg",), limit=1000)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_archive_is_refused(tmp_path: Path, keep: float) -> None:
    content = tar_of(**{"a.jpg": np.random.default_rng(0).bytes(100_000)})
    (tmp_path / "set.tar.gz").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(BadInput, match="archive"):
        place([unpacked()], tmp_path / "set.tar.gz", tmp_path / "root")
    assert left(tmp_path / "root") == []


def test_verify_tells_good_from_bad(tmp_path: Path) -> None:
    asset: Any = REGISTRY.by_name["J_regressor_extra.npy"]
    assert verify(asset, tmp_path) == "missing"
    path = tmp_path / asset.path
    path.parent.mkdir(parents=True)
    path.write_bytes(npy(9, 6890))
    assert verify(asset, tmp_path) is None  # put there by hand: its structure is right, no hash is known
    assert known_sha256(asset, path) is None
    offered = tmp_path / "mine.npy"
    offered.write_bytes(npy(9, 6890))
    place([asset], offered, tmp_path)
    assert known_sha256(asset, path) == sha256(path)
    assert verify(asset, tmp_path) is None
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    assert "SHA-256" in (verify(asset, tmp_path) or "")
