"""Texture maps: the open body's own, and one computed for a body that has none."""

import numpy as np
import pytest

from hmrcli.body import load_body
from hmrcli.body.about import about
from hmrcli.body.model import TextureMap
from hmrcli.body.texture import GUTTER, cut, cut_mesh, unwrap

GRID = 1536


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def computed(body):
    return unwrap(body.v_template.numpy(), body.faces.numpy(), body.parts.numpy())


def covered(texture, shrink=0.02):
    """How many faces have the middle of each cell of a fine grid, by half planes; corners drawn in a little."""
    count = np.zeros((GRID, GRID), int)
    corners = texture.coordinates[texture.faces].astype(float) * GRID
    corners += (corners.mean(1, keepdims=True) - corners) * shrink
    for a, b, c in corners:
        low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int)
        high = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int)
        x, y = np.meshgrid(*(np.arange(low[k], high[k]) + 0.5 for k in (0, 1)))
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        count[low[1] : high[1], low[0] : high[0]] += np.all([side > 0 for side in sides], 0)
    return count


def areas(texture):
    first, second = np.moveaxis(np.diff(texture.coordinates[texture.faces].astype(float), axis=1), 1, 0)
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def test_a_computed_map_has_every_face_once_and_none_over_another(body, computed):
    assert computed.faces.shape == body.faces.shape
    assert (computed.coordinates >= 0).all() and (computed.coordinates <= 1).all()
    assert (areas(computed) > 0).all()  # none mirrored
    count = covered(computed)
    assert (count > 1).sum() < 0.001 * (count > 0).sum()
    assert (count > 0).mean() > 0.35


def test_a_computed_map_is_the_same_each_time_and_keeps_lengths(body, computed):
    again = unwrap(body.v_template.numpy(), body.faces.numpy(), body.parts.numpy())
    np.testing.assert_array_equal(again.coordinates, computed.coordinates)
    np.testing.assert_array_equal(again.faces, computed.faces)
    corners = body.v_template.numpy()[body.faces.numpy()]
    skin = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    share = areas(computed) / skin
    # A face turned as far as 54.7 degrees from its side of the box keeps 1/sqrt(3) of its area.
    assert share.min() > 0.57 * share.max()


def test_patches_keep_their_distance(computed):
    count = covered(computed, 0.0) > 0
    patch = np.zeros(len(computed.coordinates), int) - 1
    faces, number = computed.faces, 0
    while (patch < 0).any():  # flood
        patch[np.flatnonzero(patch < 0)[0]] = number
        while True:
            mixed = (patch[faces] == number).any(1) & (patch[faces] < 0).any(1)
            if not mixed.any():
                break
            patch[faces[mixed]] = number
        number += 1
    assert number > 10 and count.any()
    box = np.array([[computed.coordinates[patch == n].min(0), computed.coordinates[patch == n].max(0)]
                    for n in range(number)])  # fmt: skip
    gap = np.maximum(box[:, None, 0] - box[None, :, 1], box[None, :, 0] - box[:, None, 1]).max(2)
    np.fill_diagonal(gap, 1)
    assert gap.min() > 0.99 * GUTTER


@pytest.mark.parametrize("own", [True, False])
def test_a_cut_mesh_is_the_body_with_seams_twice(body, computed, own):
    faces, vertices = body.faces.numpy(), body.num_vertices
    texture = body.uv if own else computed
    mesh = cut_mesh(body) if own else cut(faces, texture, vertices)
    np.testing.assert_array_equal(mesh.source[:vertices], np.arange(vertices))
    np.testing.assert_array_equal(mesh.source[mesh.faces], faces)
    np.testing.assert_array_equal(mesh.coordinates[mesh.faces], texture.coordinates[texture.faces])
    assert len(np.unique(mesh.faces)) == len(mesh.source) > vertices


def test_a_vertex_without_a_face_stays():
    texture = TextureMap(np.eye(3, 2, dtype=np.float32), np.array([[0, 1, 2]]))
    mesh = cut(np.array([[0, 2, 3]]), texture, 4)
    assert mesh.source.tolist() == [0, 1, 2, 3] and mesh.faces.tolist() == [[0, 2, 3]]


def test_files_say_whose_betas_they_hold(body):
    said = about(body)
    assert said["body_model"] == "open" and "not SMPL's" in said["betas"]
    body.name = "smpl"
    try:
        assert "not" not in about(body)["betas"]
    finally:
        body.name = "open"
