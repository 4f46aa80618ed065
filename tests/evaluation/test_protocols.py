"""Protocols score exactly what was injected."""

import copy

import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.body.rotations import rotmat_from_axis_angle, rotmat_from_pose
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation import METRICS, PROTOCOLS, load_bodies
from hmrcli.evaluation.protocols import SCORED, Mesh, Points, Target, mesh_of, points, score, summarise
from hmrcli.layers import Prediction
from hmrcli.recipe import load_recipe
from hmrcli.results.runs import Score

COUNT = 4
CLOSE = {"rtol": 0, "atol": 2e-3}
"""mm; bodies are computed in single precision."""


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def genders(body):
    """Three bodies that differ in size."""
    bodies = {"neutral": body}
    for role, size in (("male", 1.2), ("female", 0.9)):
        bodies[role] = copy.deepcopy(body)
        bodies[role].v_template.mul_(size)
        bodies[role].shapedirs.mul_(size)
        bodies[role].prepare()
    return bodies


@pytest.fixture(scope="module")
def parameters():
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(COUNT, 72, generator=generator)
    return rotmat_from_pose(pose), torch.randn(COUNT, 10, generator=generator)


@pytest.fixture(scope="module")
def vertices(body, parameters):
    return body(*parameters).vertices


def joints14(body, vertices):
    """(B, 14, 3) mm from the pelvis, by the matrix itself."""
    joints = 1000 * (body.h36m_regressor.double() @ vertices.double())
    return (joints - joints[:, :1])[:, list(EVALUATION_14_FROM_H36M)]


def scored(protocol, bodies, mesh, target):
    return score(PROTOCOLS[protocol], points(PROTOCOLS[protocol], bodies, mesh, target))


def test_the_truth_itself_has_no_error(body, parameters, vertices):
    found = scored("open", {"neutral": body}, Mesh(vertices, *parameters), Target(*parameters))
    assert tuple(found) == PROTOCOLS["open"].metrics
    for name in ("mpjpe", "pa_mpjpe", "pve"):
        np.testing.assert_allclose(found[name], np.zeros(COUNT), **CLOSE)
    for name in ("pck", "pa_pck"):
        assert (found[name] == 100).all()


def test_place_does_not_count_for_joints_but_for_vertices(body, parameters, vertices):
    shifted = vertices + torch.tensor([0.03, 0.04, 0.0])
    found = scored("open", {"neutral": body}, Mesh(shifted, *parameters), Target(*parameters))
    np.testing.assert_allclose(found["mpjpe"], 0, **CLOSE)
    np.testing.assert_allclose(found["pve"], 50, **CLOSE)


def test_a_mesh_without_parameters_is_compared_from_the_pelvis(body, parameters, vertices):
    shifted = vertices + torch.tensor([0.3, 0.4, 1.0])
    found = scored("open", {"neutral": body}, Mesh(shifted), Target(*parameters))
    np.testing.assert_allclose(found["pve"], 0, **CLOSE)
    found = scored("open", {"neutral": body}, Mesh(1.2 * vertices), Target(vertices=vertices))
    from_pelvis = vertices - body.h36m_joints(vertices)[:, :1]
    np.testing.assert_allclose(found["pve"], 200 * from_pelvis.norm(dim=-1).mean(1), **CLOSE)


def test_size_and_turn_count_for_mpjpe_alone(body, parameters, vertices):
    target = Target(*parameters)
    truth = joints14(body, vertices)
    found = scored("open", {"neutral": body}, Mesh(1.1 * vertices), target)
    np.testing.assert_allclose(found["mpjpe"], 0.1 * truth.norm(dim=-1).mean(1), **CLOSE)
    np.testing.assert_allclose(found["pa_mpjpe"], 0, **CLOSE)
    turn = rotmat_from_axis_angle(torch.tensor([0.2, 1.5, -0.4]))
    found = scored("open", {"neutral": body}, Mesh(vertices @ turn.T), target)
    np.testing.assert_allclose(
        found["mpjpe"], (truth @ turn.T.double() - truth).norm(dim=-1).mean(1), **CLOSE
    )
    np.testing.assert_allclose(found["pa_mpjpe"], 0, **CLOSE)


@pytest.mark.parametrize(
    ("joint", "error"),
    [("left_elbow", 70 / 14), ("headtop", 70 / 14), ("spine", 0), ("head", 0), ("pelvis", 70)],
)
def test_h36m_counts_14_joints_from_the_pelvis(body, vertices, joint, error):
    joints17 = body.h36m_joints(vertices) + torch.tensor([1.0, 2.0, 3.0])
    joints17[:, H36M.names.index(joint), 1] += 0.07
    found = scored("h36m", {"neutral": body}, Mesh(vertices), Target(joints3d=joints17))
    np.testing.assert_allclose(found["mpjpe"], error, **CLOSE)
    assert "pve" not in found


def test_3dpw_takes_the_truth_from_the_body_of_the_gender(genders, parameters, vertices):
    words = ["m", "f", "Female", "male"]
    rows = ["male", "female", "female", "male"]
    found = scored("3dpw", genders, Mesh(vertices, *parameters), Target(*parameters, gender=words))
    ours = joints14(genders["neutral"], vertices)
    for row, role in enumerate(rows):
        truth = joints14(genders["neutral"], genders[role](*parameters).vertices)
        np.testing.assert_allclose(found["mpjpe"][row], (ours - truth)[row].norm(dim=-1).mean(), **CLOSE)
        assert found["mpjpe"][row] > 10
    np.testing.assert_allclose(found["pve"], 0, **CLOSE)  # both of the labelled gender


def test_3dpw_compares_the_vertices_of_another_shape_on_the_labelled_body(genders, parameters, vertices):
    rotmat, betas = parameters
    other = betas + 1
    mesh = Mesh(genders["neutral"](rotmat, other).vertices, rotmat, other)
    found = scored("3dpw", genders, mesh, Target(rotmat, betas, gender=["m"] * COUNT))
    male = genders["male"]
    distance = (male(rotmat, other).vertices - male(rotmat, betas).vertices).norm(dim=-1)
    np.testing.assert_allclose(found["pve"], 1000 * distance.mean(1), **CLOSE)


def test_which_mesh_is_scored(parameters, vertices):
    cam, free = torch.ones(COUNT, 3), vertices + 1
    both = Prediction(cam, vertices, *parameters, mesh_levels=(free[:, :10], free))
    assert mesh_of(both).rotmat is not None
    assert mesh_of(both, "parametric").vertices is vertices
    assert mesh_of(both, "free").vertices is free and mesh_of(both, "free").rotmat is None
    graphormer = Prediction(cam, vertices, mesh_levels=(free[:, :10], vertices))
    assert mesh_of(graphormer).vertices is vertices
    with pytest.raises(ValueError, match="no parameters"):
        mesh_of(graphormer, "parametric")
    with pytest.raises(ValueError, match="no mesh vertex by vertex"):
        mesh_of(Prediction(cam, vertices, *parameters), "free")


def test_what_a_protocol_lacks_is_named(genders, parameters, vertices):
    mesh = Mesh(vertices, *parameters)
    with pytest.raises(BadInput, match=r"needs a gender, m or f, of each row$"):
        scored("3dpw", genders, mesh, Target(*parameters))
    with pytest.raises(BadInput, match="needs a gender, m or f, of each row, not 'neutral'"):
        scored("3dpw", genders, mesh, Target(*parameters, gender=["m", "f", "neutral", "m"]))
    with pytest.raises(BadInput, match="the h36m protocol needs joints3d"):
        scored("h36m", genders, mesh, Target())
    with pytest.raises(BadInput, match=r"shape \(10, 3\), expected \(6821, 3\) of the open body"):
        scored("open", genders, Mesh(vertices[:, :10]), Target(*parameters))


def test_bodies_are_read_or_asked_for(tmp_path):
    assert load_bodies(PROTOCOLS["open"], tmp_path)["neutral"].name == "open"
    with pytest.raises(MissingFile, match="SMPL_NEUTRAL"):
        load_bodies(PROTOCOLS["3dpw"], tmp_path)


def test_protocols_are_those_of_recipes():
    with pytest.raises(BadInput, match="'3dpw', 'h36m', 'open' or 'keypoints', found \"pw3d\""):
        load_recipe("hmr_normal", ["evaluation.protocol=pw3d"])
    assert load_recipe("hmr_normal").evaluation.protocol in PROTOCOLS
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert set(protocol.metrics) <= set(METRICS)
    assert len(set(SCORED)) == 14


def test_another_number_of_samples_is_noted_and_not_refused():
    protocol = PROTOCOLS["3dpw"]
    full = {"pa_mpjpe": np.random.default_rng(0).normal(50, 5, 35515)}
    assert summarise(protocol, full).notes == ()
    fewer = summarise(protocol, {"pa_mpjpe": full["pa_mpjpe"][:-1]}, notes=("seen before",))
    assert fewer.samples == 35514
    assert fewer.notes[0] == "seen before"
    assert "35514 samples were scored, the published figures are over 35515" in fewer.notes[1]


def test_a_report_is_what_files_of_results_hold():
    values = torch.tensor([40.0, 50.0, 90.0], dtype=torch.float64)
    report = summarise(PROTOCOLS["open"], {"pa_mpjpe": values, "pck": values}, surface="free")
    stored = Score.model_validate(report.as_score())
    assert stored.surface == "free"
    assert stored.metrics["pa_mpjpe_mm"].value == 60
    assert set(stored.metrics) == {"pa_mpjpe_mm", "pck_percent"}


def test_what_cannot_be_averaged_is_noted():
    nothing = {"mpjpe": np.ones(3), "accel": np.full(3, np.nan)}
    report = summarise(PROTOCOLS["open"], nothing, groups=np.zeros(3))
    assert set(report.metrics) == {"mpjpe"}
    assert report.notes == (
        "accel: no sample has a value",
        "all samples are of one sequence, so that the intervals say nothing",
    )


def test_joints_alone_can_be_scored(body, vertices):
    truth = joints14(body, vertices)
    found = score(PROTOCOLS["open"], Points(truth + 3, truth))
    np.testing.assert_allclose(found["mpjpe"], 3 * 3**0.5)
    assert "pve" not in found
