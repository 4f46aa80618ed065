"""One glb with everyone, read by trimesh."""

import json

import numpy as np
import pytest
import trimesh

from hmrcli.body.model import TextureMap
from hmrcli.body.texture import cut
from hmrcli.camera import Camera
from hmrcli.render.scene_file import Floor, write_scene

from .test_mesh_files import ABOUT, document, viewed
from .test_rasteriser import ball

PITCH, BELOW = 0.2, 1.5
DOWN = np.array([0, np.cos(PITCH), np.sin(PITCH)])
FORWARD = np.array([0, -np.sin(PITCH), np.cos(PITCH)])
SPOTS = [np.array([x, 0, 0]) + z * FORWARD + (BELOW - 0.5) * DOWN for x, z in ((-0.5, 3.0), (1.0, 5.0))]
PEOPLE, FACES = [ball(spot)[0] for spot in SPOTS], ball((0, 0, 0))[1]
CORNERS = np.random.default_rng(0).random((3 * len(FACES), 2)).astype(np.float32)
MESH = cut(FACES, TextureMap(CORNERS, np.arange(3 * len(FACES)).reshape(-1, 3)), len(PEOPLE[0]))
CAMERA = Camera(900.0, (320.0, 250.0), 640, 480, "given", 950.0, (-0.1, 0.0, 0.0, 0.0))


def placed(path):
    """Vertices of each named mesh in the scene's axes."""
    scene = trimesh.load_scene(path, process=False)
    return {
        node: trimesh.transform_points(scene.geometry[scene.graph[node][1]].vertices, scene.graph[node][0])
        for node in scene.graph.nodes_geometry
    }


def test_people_stand_on_a_level_floor_in_their_places(tmp_path):
    found = placed(write_scene(tmp_path / "s.glb", PEOPLE, MESH, CAMERA, Floor(PITCH, BELOW), ABOUT))
    assert set(found) == {"person_0", "person_1", "floor"}
    for index, (x, z) in enumerate(((-0.5, 3.0), (1.0, 5.0))):
        body = found[f"person_{index}"][: len(PEOPLE[0])]
        # Turning keeps lengths: a body of half a metre's radius around its spot, whose height is that radius.
        np.testing.assert_allclose(body.mean(0), [x, 0.5, -z], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(body - body.mean(0), axis=1), 0.5, atol=1e-6)
    floor = found["floor"]
    assert np.allclose(floor[:, 1], 0, atol=1e-9)
    assert floor[:, 0].min() < -1.0 and floor[:, 0].max() > 1.5 and floor[:, 2].min() < -5.5


def test_without_a_floor_the_scene_has_the_camera_s_axes(tmp_path):
    found = placed(write_scene(tmp_path / "s.glb", PEOPLE, MESH, CAMERA, None, ABOUT))
    assert set(found) == {"person_0", "person_1"}
    for index, body in enumerate(PEOPLE):
        np.testing.assert_allclose(found[f"person_{index}"][: len(body)], viewed(body), atol=1e-6)


def test_the_camera_sees_the_scene_as_the_photo_was_seen(tmp_path):
    path = write_scene(tmp_path / "s.glb", PEOPLE, MESH, CAMERA, Floor(PITCH, BELOW), ABOUT)
    written = document(path)
    (lens,) = written["cameras"]
    up = np.tan(lens["perspective"]["yfov"] / 2)
    across = up * lens["perspective"]["aspectRatio"]
    assert 240 / up == pytest.approx(950) and 320 / across == pytest.approx(900)
    assert lens["extras"] == {
        "K": CAMERA.matrix.tolist(), "distortion": [-0.1, 0, 0, 0], "width": 640, "height": 480,
    }  # fmt: skip
    node = next(index for index, node in enumerate(written["nodes"]) if "camera" in node)
    photo = next(node_ for node_ in written["nodes"] if node in node_.get("children", []))
    world = np.array(photo["matrix"]).reshape(4, 4).T
    seen = trimesh.transform_points(placed(path)["person_1"][: len(PEOPLE[1])], np.linalg.inv(world))
    np.testing.assert_allclose(seen, viewed(PEOPLE[1]), atol=1e-6)


def test_it_says_what_it_holds_and_nothing_is_metal(tmp_path):
    written = document(write_scene(tmp_path / "s.glb", PEOPLE, MESH, CAMERA, Floor(PITCH, BELOW), ABOUT))
    assert written["asset"]["extras"] == ABOUT
    surfaces = [material["pbrMetallicRoughness"] for material in written["materials"]]
    assert len(surfaces) == 3 and all(surface["metallicFactor"] == 0 for surface in surfaces)
    assert len({json.dumps(surface) for surface in surfaces}) == 3  # everyone has a colour of their own
    for mesh in written["meshes"]:
        assert "TEXCOORD_0" in mesh["primitives"][0]["attributes"]
