"""Exports of an SMPL file, which has no texture map and runs on its authors' code."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import PARENTS
from hmrcli.errors import MissingFile
from hmrcli.export import write_exports
from hmrcli.export.write import prepare

from .gltf_reader import Glb
from .motions import moving, only, open_body, posed


@pytest.fixture(scope="module")
def smpl(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    """A body of SMPL's format, in a file as SMPL's come."""
    body = open_body()
    path = tmp_path_factory.mktemp("body_models") / "smpl" / "SMPL_NEUTRAL.npz"
    path.parent.mkdir()
    np.savez(
        path,
        v_template=body.v_template,
        shapedirs=body.shapedirs,
        posedirs=body.posedirs,
        J_regressor=body.joint_regressor,
        weights=body.weights,
        f=body.faces,
        kintree_table=np.array([[4294967295, *PARENTS[1:]], range(24)]),
    )
    return load_body(path)


def test_files_say_that_betas_are_smpl_s_and_hold_the_same_body(tmp_path: Path, smpl: BodyModel) -> None:
    motion = replace(moving(3), body=smpl)
    written = write_exports([motion], tmp_path / "c", {"mesh", "amass", "bvh", "openpose"}, frame_count=3)
    extras = Glb(written["mesh"][0]).json["asset"]["extras"]
    assert extras["body_model"] == "smpl" and "not SMPL's" not in extras["betas"]
    with np.load(written["amass"][0]) as stored:
        assert str(stored["surface_model_type"]) == str(stored["body_model"]) == "smpl"
    own = write_exports([moving(3)], tmp_path / "o", {"bvh", "openpose"}, frame_count=3)
    numbers = [
        np.array(re.findall(r"-?\d+\.\d+", files["bvh"][0].read_text()), float) for files in (written, own)
    ]
    np.testing.assert_allclose(*numbers, atol=1e-3)
    people = [json.loads(files["openpose"][2].read_text())["people"] for files in (written, own)]
    np.testing.assert_allclose(*(one[0]["pose_keypoints_2d"] for one in people), atol=1e-2)


def test_a_photo_s_mesh_has_texture_coordinates_all_the_same(tmp_path: Path, smpl: BodyModel) -> None:
    motion = replace(only(moving(), [1]), body=smpl)
    glb = Glb(write_exports([motion], tmp_path / "c", {"mesh"})["mesh"][0])
    assert glb.attribute("TEXCOORD_0").min() >= 0 and glb.attribute("TEXCOORD_0").max() <= 1
    expected = posed(motion)[0][0] * (1, -1, -1)
    assert np.abs(glb.posed()[0][: len(expected)] - expected).max() < 2e-5


def test_what_coco_needs_beside_smpl_is_named_before_work(smpl: BodyModel) -> None:
    prepare(smpl, {"bvh", "openpose"})
    with pytest.raises(MissingFile, match="hmr download body"):
        prepare(smpl, {"coco"})
