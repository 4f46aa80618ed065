"""The list of files is complete, consistent and says who may use what."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hmrcli.assets.registry import BUNDLED_REGISTRY, find_asset, load_registry
from hmrcli.errors import BadInput, MissingFile, UsageError

REGISTRY = load_registry()


def test_layout_of_the_data_root() -> None:
    paths = {asset.path for asset in REGISTRY.files}
    assert {asset.path for asset in REGISTRY.files if asset.group == "backbones"} == {
        "checkpoints/resnet50_coco_pose.pth",
        "checkpoints/hrnet_coco_pose.pth",
        "checkpoints/hrnetw48_coco_pose.pth",
    }
    body = ("J_regressor_extra.npy", "J_regressor_h36m.npy", "smpl_mean_params.npz", "mesh_downsampling.npz")
    assert paths >= {f"body_models/{name}" for name in body}
    assert paths >= {f"body_models/smpl/SMPL_{name}.pkl" for name in ("NEUTRAL", "MALE", "FEMALE")}
    assert paths >= {f"preprocessed_datasets/{name}.npz" for name in ("h36m_mosh_train", "pw3d_test")}


def test_first_digits_in_a_name_are_declared() -> None:
    found = 0
    for asset in REGISTRY.files:
        if digits := re.search(r"-([0-9a-f]{8})(?=[._])", asset.name):
            assert asset.sha256 and asset.sha256.startswith(digits[1]), asset.name
            found += 1
    assert found == 7


def test_corrected_id_comes_first_and_every_fetched_format_is_checked() -> None:
    ids = [source.drive for source in REGISTRY.by_name["hrnetw48_coco_pose.pth"].sources]
    assert ids == ["1Viiqq-2t-KT1DJvREvsShc-UkN6RwdSp", "1Fcq_4G3ccM-xpmBK4M--Lu3xCXFrQ_ui"]
    for asset in REGISTRY.files:
        if asset.path.endswith((".pth", ".pt", ".bin")):
            assert asset.check.tensors, asset.name
        if asset.path.endswith((".npz", ".pkl")):
            assert asset.check.arrays, asset.name


def test_what_needs_a_registration_has_a_page_and_no_address() -> None:
    for name in (
        "SMPL_NEUTRAL.pkl",
        "SMPL_MALE.pkl",
        "SMPL_FEMALE.pkl",
        "3dpw-images",
        "h36m_mosh_train.npz",
    ):
        asset = REGISTRY.by_name[name]
        assert not asset.sources and asset.page
        assert REGISTRY.licences[asset.licence].restricted


def test_every_licence_and_group_is_used() -> None:
    assert {asset.group for asset in REGISTRY.files} == set(REGISTRY.groups)
    assert {asset.licence for asset in REGISTRY.files} == set(REGISTRY.licences)


def test_select_takes_files_and_groups_once() -> None:
    both = REGISTRY.select(["backbones", "hrnet_coco_pose.pth", "J_regressor_h36m.npy"])
    assert [asset.name for asset in both] == [
        "resnet50_coco_pose.pth",
        "hrnet_coco_pose.pth",
        "hrnetw48_coco_pose.pth",
        "J_regressor_h36m.npy",
    ]
    with pytest.raises(UsageError, match=r"did you mean resnet50_coco_pose\.pth"):
        REGISTRY.select(["resnet50_coco_pose"])
    with pytest.raises(UsageError, match="hmr download --list"):
        REGISTRY.select(["qqqq"])
    with pytest.raises(UsageError, match=r"did you mean smpl_mean_params\.npz, SMPL_NEUTRAL"):
        REGISTRY.select(["smpl"])


def test_missing_file_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"Run: hmr download resnet50_coco_pose\.pth$"):
        find_asset("resnet50_coco_pose.pth", tmp_path)
    with pytest.raises(
        MissingFile, match=r"smplify\.is\.tue.*hmr download SMPL_NEUTRAL\.pkl --from-file PATH$"
    ):
        find_asset("SMPL_NEUTRAL.pkl", tmp_path)
    path = tmp_path / "body_models/smpl/SMPL_NEUTRAL.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_asset("SMPL_NEUTRAL.pkl", tmp_path) == path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"files\.1\.colour"),
        ({"path": "../outside.pth"}, "below the data root"),
        ({"path": "/etc/passwd"}, "below the data root"),
        ({"path": "checkpoints/resnet50_coco_pose.pth"}, "path given twice"),
        ({"licence": "none"}, "unknown licence"),
        ({"group": "none"}, "unknown group"),
        ({"sha256": "xyz"}, r"files\.1\.sha256"),
        ({"sources": []}, "page"),
        ({"sources": [{"url": "file:///etc/passwd"}]}, r"sources\.0\.url"),
        ({"sources": [{"member": "x"}]}, "either"),
    ],
)
def test_mistakes_name_file_and_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(BUNDLED_REGISTRY.read_text(encoding="utf-8"))
    document["files"]["hrnet_coco_pose.pth"].update(changes)
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(BadInput, match=message) as caught:
        load_registry(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "files: {}"])
def test_other_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"r\.yaml"):
        load_registry(tmp_path / "r.yaml")
