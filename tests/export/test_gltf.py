"""Skinned glb files, read by another reader, by trimesh, and by Khronos' validator where it is installed."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from hmrcli.body import BodyModel
from hmrcli.body.ages import of_age
from hmrcli.body.joints import PARENTS, SMPL_24
from hmrcli.export.gltf import write_glb
from hmrcli.motion import Motion

from .gltf_reader import Glb
from .motions import in_world, moving, only, open_body, posed

VIEWED = np.array([1.0, -1.0, -1.0])
"""Camera coordinates to glTF's."""
COLOUR = np.array([0.2, 0.5, 0.8])

VALIDATE = """
const validator = require('gltf-validator'), fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(
  report => console.log(JSON.stringify(report)));
"""


def without_correctives(body: BodyModel) -> BodyModel:
    """The body, skinned as graphics cards do it."""
    names = ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "faces")
    arrays = {name: getattr(body, name).numpy() for name in names}
    arrays["posedirs"] = arrays["posedirs"] * 0
    landmarks = body.landmark_vertices.numpy()
    return BodyModel(name="open", sha256="", arrays=arrays | {"landmark_vertices": landmarks}, extras={}.get)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return moving(5)


@pytest.mark.parametrize("place", ["camera", "world"])
def test_skinned_vertices_are_ours_in_every_frame(tmp_path: Path, motion: Motion, place: str) -> None:
    turn = VIEWED if place == "camera" else np.ones(3)
    one = motion if place == "camera" else in_world(motion)
    plain, exact = (Glb(write_glb(one, tmp_path / f"{c}.glb", COLOUR, correctives=c)) for c in (False, True))
    body, skinned_alone = open_body(), without_correctives(open_body())
    for frame in (0, 2, 4):
        single = only(one, [frame])
        vertices, joints = posed(single)
        with_targets, nodes = exact.posed(frame)
        assert np.abs(with_targets[: body.num_vertices] - vertices[0] * turn).max() < 2e-5
        alone, _ = plain.posed(frame)
        assert np.abs(alone[: body.num_vertices] - posed(single, skinned_alone)[0][0] * turn).max() < 2e-5
        places = np.stack([nodes[name] for name in SMPL_24.names])
        assert np.abs(places - joints[0] * turn).max() < 2e-5
    # Correctives are worth the targets: without them skin is off by more than a centimetre in these poses.
    assert np.abs(alone - with_targets).max() > 0.01
    at_first, _ = plain.posed()
    assert np.allclose(at_first, plain.posed(0)[0], atol=1e-6)


def test_a_photo_s_mesh_lies_in_its_place_with_and_without_the_skin(tmp_path: Path, motion: Motion) -> None:
    path = write_glb(only(motion, [4]), tmp_path / "me.glb", COLOUR)
    expected = posed(only(motion, [4]))[0][0] * VIEWED
    glb, count = Glb(path), open_body().num_vertices
    assert np.abs(glb.posed()[0][:count] - expected).max() < 2e-5
    static = trimesh.load_scene(path, process=False)
    (mesh,) = static.geometry.values()
    np.testing.assert_allclose(mesh.vertices[:count], expected, atol=2e-6)
    assert "animations" not in glb.json and glb.json["asset"]["extras"]["pose_correctives"] == "baked"
    # Seams are doubled, so volume is that of the body and no face is turned.
    assert mesh.volume == pytest.approx(trimesh.Trimesh(expected, open_body().faces.numpy()).volume, rel=1e-4)


def test_a_child_s_body_is_exported_at_its_size(tmp_path: Path, motion: Motion) -> None:
    child = replace(motion, body=of_age(open_body(), 6.0))
    glb = Glb(write_glb(child, tmp_path / "child.glb", correctives=True))
    expected = posed(only(child, [3]))[0][0] * VIEWED
    assert np.abs(glb.posed(3)[0][: len(expected)] - expected).max() < 2e-5
    assert "6 years" in glb.json["asset"]["extras"]["age"]


def test_the_skeleton_is_smpl_s_tree(tmp_path: Path, motion: Motion) -> None:
    glb = Glb(write_glb(motion, tmp_path / "a.glb"))
    joints, nodes = glb.skin["joints"], glb.json["nodes"]
    assert tuple(nodes[joint]["name"] for joint in joints) == SMPL_24.names
    for joint, parent in enumerate(PARENTS[1:], 1):
        assert joints[joint] in nodes[joints[parent]]["children"]
    inverse = glb.accessor(glb.skin["inverseBindMatrices"])
    body = open_body()
    rest = (
        body.joint_regressor.numpy()
        @ (body.v_template + body.shapedirs @ torch.from_numpy(motion.betas)).numpy()
    )
    np.testing.assert_allclose(inverse[:, :3, 3], -rest, atol=1e-5)


def test_every_corner_has_the_body_s_texture_coordinate(tmp_path: Path, motion: Motion) -> None:
    glb, body = Glb(write_glb(motion, tmp_path / "a.glb")), open_body()
    texture = glb.attribute("TEXCOORD_0")[glb.faces] * (1, -1) + (0, 1)
    np.testing.assert_allclose(texture, body.uv.coordinates[body.uv.faces], atol=1e-6)
    assert np.allclose(np.linalg.norm(glb.attribute("NORMAL"), axis=1), 1, atol=1e-5)
    (material,) = glb.json["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_the_file_says_whose_betas_they_are(tmp_path: Path, motion: Motion) -> None:
    extras = Glb(write_glb(motion, tmp_path / "a.glb")).json["asset"]["extras"]
    assert extras["body_model"] == "open" and "not SMPL's" in extras["betas"] and extras["track_id"] == "3"
    np.testing.assert_allclose(json.loads(extras["betas_values"]), motion.betas, atol=1e-6)
    assert json.loads(extras["camera"])["K"][0] == [1400, 0, 960]


def test_keys_are_at_the_times_of_frames_that_vary(tmp_path: Path, motion: Motion) -> None:
    times = np.array([0.5, 0.54, 0.6, 0.9, 1.3])
    glb = Glb(write_glb(replace(motion, times=times), tmp_path / "a.glb"))
    np.testing.assert_allclose(glb.times, times, atol=1e-6)


def test_turns_keep_their_sign_from_key_to_key(tmp_path: Path) -> None:
    glb = Glb(write_glb(moving(40, seed=5), tmp_path / "a.glb"))
    for channel in glb.json["animations"][0]["channels"]:
        if channel["target"]["path"] == "rotation":
            values = glb.accessor(glb.json["animations"][0]["samplers"][channel["sampler"]]["output"])
            assert ((values[1:] * values[:-1]).sum(1) > 0).all()


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("kind", ["still", "animated", "correctives"])
def test_khronos_validator_finds_nothing_wrong(tmp_path: Path, motion: Motion, kind: str) -> None:
    path = tmp_path / f"{kind}.glb"
    write_glb(
        only(motion, [0]) if kind == "still" else motion, path, COLOUR, correctives=kind == "correctives"
    )
    found = subprocess.run(
        ["node", "-e", "require('gltf-validator')"], capture_output=True, text=True, env=os.environ
    )
    if "Cannot find module" in found.stderr:
        pytest.skip(
            "gltf-validator is not installed: npm install gltf-validator, and name node_modules in NODE_PATH"
        )
    done = subprocess.run(["node", "-e", VALIDATE, str(path)], capture_output=True, text=True, check=True)
    issues = json.loads(done.stdout)["issues"]
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]
    # Texture coordinates wait for a texture.
    assert {message["code"] for message in issues["messages"]} <= {"UNUSED_OBJECT"}
