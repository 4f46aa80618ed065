import numpy as np
import pytest
import trimesh

from hmrcli.errors import UsageError
from hmrcli.render import mesh_files
from hmrcli.render.mesh_files import FORMATS, write_mesh

from .test_rasteriser import ball

BODY, FACES = ball((0.2, -0.7, 3.0))
OTHER = ball((-1.0, 0.4, 5.0))[0]


def viewed(body):
    return np.stack([body[:, 0], -body[:, 1], -body[:, 2]], axis=1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_person_comes_back_vertex_by_vertex(tmp_path, suffix):
    path = write_mesh(tmp_path / "made" / f"person.{suffix}", BODY, FACES, colour=np.array([0.2, 0.4, 0.8]))
    mesh = trimesh.load_mesh(path, process=False)
    np.testing.assert_allclose(mesh.vertices, viewed(BODY), atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, FACES)
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], np.tile([51, 102, 204], (len(BODY), 1)))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_the_mesh_has_the_name_of_the_file(tmp_path, suffix):
    path = write_mesh(tmp_path / f"anna.{suffix}", BODY, FACES)
    scene = trimesh.load_scene(path, process=False, split_objects=True, group_material=False)
    assert "anna" in scene.geometry


@pytest.mark.parametrize("suffix", FORMATS)
def test_outside_stays_outside(tmp_path, suffix):
    """The turn into the viewers' convention is no mirror image: volume stays positive."""
    mesh = trimesh.load_mesh(write_mesh(tmp_path / f"a.{suffix}", BODY, FACES), process=False)
    assert mesh.volume == pytest.approx(4 / 3 * 0.5**3, rel=1e-5)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_mesh(tmp_path / "a.obj", BODY, FACES)
    before = path.read_bytes()

    def full_disk(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mesh_files.Path, "write_bytes", full_disk)
    with pytest.raises(OSError):
        write_mesh(path, OTHER, FACES)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.glb, \.obj or \.ply"):
        write_mesh(tmp_path / "a.fbx", BODY, FACES)
    assert not list(tmp_path.iterdir())
