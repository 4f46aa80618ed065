import json

import numpy as np
import pytest
import trimesh

from hmrcli.body.model import TextureMap
from hmrcli.body.texture import cut
from hmrcli.errors import UsageError
from hmrcli.render import mesh_files
from hmrcli.render.mesh_files import FORMATS, write_mesh

from .test_rasteriser import ball

BODY, FACES = ball((0.2, -0.7, 3.0))
OTHER = ball((-1.0, 0.4, 5.0))[0]
# Each face in a texture triangle of its own: every vertex lies on seams.
CORNERS = np.random.default_rng(0).random((3 * len(FACES), 2)).astype(np.float32)
MESH = cut(FACES, TextureMap(CORNERS, np.arange(3 * len(FACES)).reshape(-1, 3)), len(BODY))
ABOUT = {"generator": "hmrcli 1", "body_model": "open", "betas": "not SMPL's"}


def viewed(body):
    return np.stack([body[:, 0], -body[:, 1], -body[:, 2]], axis=1)


def document(path):
    """The JSON of a glb."""
    content = path.read_bytes()
    assert content[:4] == b"glTF" and int.from_bytes(content[8:12], "little") == len(content)
    return json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])


def normals(path):
    """The normals of a glb, which trimesh makes anew."""
    content, written = path.read_bytes(), document(path)
    accessor = written["accessors"][written["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    view, start = (
        written["bufferViews"][accessor["bufferView"]],
        28 + int.from_bytes(content[12:16], "little"),
    )
    return np.frombuffer(content, np.float32, 3 * accessor["count"], start + view["byteOffset"]).reshape(
        -1, 3
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_person_comes_back_vertex_by_vertex(tmp_path, suffix):
    path = write_mesh(tmp_path / "made" / f"person.{suffix}", BODY, MESH, colour=np.array([0.2, 0.4, 0.8]))
    mesh = trimesh.load_mesh(path, process=False)
    np.testing.assert_allclose(mesh.vertices[: len(BODY)], viewed(BODY), atol=1e-6)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], viewed(BODY)[FACES], atol=1e-6)
    if suffix != "glb":
        np.testing.assert_array_equal(mesh.faces, FACES)
        np.testing.assert_array_equal(
            mesh.visual.vertex_colors[:, :3], np.tile([51, 102, 204], (len(BODY), 1))
        )
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_glb_has_texture_coordinates_normals_and_a_material_that_is_no_metal(tmp_path):
    path = write_mesh(tmp_path / "a.glb", BODY, MESH, colour=np.array([0.5, 0.0, 1.0]))
    mesh = trimesh.load_mesh(path, process=False)
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], CORNERS.reshape(-1, 3, 2), atol=1e-6)
    outwards = (BODY - (0.2, -0.7, 3.0)) / 0.5
    np.testing.assert_allclose(normals(path)[: len(BODY)], viewed(outwards), atol=1e-6)
    (material,) = document(path)["materials"]
    surface = material["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0 and surface["baseColorFactor"] == [0.214041, 0, 1, 1]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_says_what_it_holds(tmp_path, suffix):
    path = write_mesh(tmp_path / f"a.{suffix}", BODY, MESH, about=ABOUT)
    if suffix == "glb":
        assert document(path)["asset"] == {"version": "2.0", "generator": "hmrcli 1", "extras": ABOUT}
    else:
        sign = {"obj": "#", "ply": "comment"}[suffix]
        head = path.read_bytes()[:500].decode(errors="replace").splitlines()
        assert {f"{sign} {name}: {text}" for name, text in ABOUT.items()} <= set(head)
    assert len(trimesh.load_mesh(path, process=False).faces) == len(FACES)


@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_the_mesh_has_the_name_of_the_file(tmp_path, suffix):
    path = write_mesh(tmp_path / f"anna.{suffix}", BODY, MESH)
    scene = trimesh.load_scene(path, process=False, split_objects=True, group_material=False)
    assert "anna" in scene.geometry


@pytest.mark.parametrize("suffix", FORMATS)
def test_outside_stays_outside(tmp_path, suffix):
    """The turn into the viewers' convention is no mirror image: volume stays positive."""
    mesh = trimesh.load_mesh(write_mesh(tmp_path / f"a.{suffix}", BODY, MESH), process=False)
    assert mesh.volume == pytest.approx(4 / 3 * 0.5**3, rel=1e-5)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_mesh(tmp_path / "a.obj", BODY, MESH)
    before = path.read_bytes()

    def full_disk(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mesh_files.Path, "write_bytes", full_disk)
    with pytest.raises(OSError):
        write_mesh(path, OTHER, MESH)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.glb, \.obj or \.ply"):
        write_mesh(tmp_path / "a.fbx", BODY, MESH)
    assert not list(tmp_path.iterdir())
