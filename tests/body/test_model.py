"""The bundled body and both forward passes."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import hmrcli.body
from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.body.joints import EXTRA_NAMES, H36M, LANDMARKS, PARENTS, SMPL_24, SMPL_54
from hmrcli.body.load import SmplxEngine
from hmrcli.body.rotations import rotmat_from_pose

REST = torch.eye(3).expand(1, 24, 3, 3)
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def people():
    generator = torch.Generator().manual_seed(0)
    pose = 0.5 * torch.randn(3, 72, generator=generator)
    return (
        rotmat_from_pose(pose),
        torch.randn(3, 10, generator=generator),
        torch.randn(3, 3, generator=generator),
    )


@pytest.fixture(scope="module")
def arrays(body):
    names = ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "faces")
    return {name: getattr(body, name).numpy() for name in names}


def posed_by_definition(body, rotmat, betas):
    """SMPL's equations one vertex set and one joint at a time, in double precision."""
    double = {k: getattr(body, k).double() for k in ("v_template", "shapedirs", "posedirs", "weights")}
    shaped = double["v_template"] + double["shapedirs"] @ betas
    joints = body.joint_regressor.double() @ shaped
    shaped = shaped + double["posedirs"] @ (rotmat[1:] - torch.eye(3)).flatten()
    world = []
    for joint, parent in enumerate(PARENTS):
        local = torch.eye(4, dtype=torch.float64)
        local[:3, :3] = rotmat[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
        world.append(world[parent] @ local if joint else local)
    world = torch.stack(world)
    skin = world.clone()
    skin[:, :3, 3] -= (world[:, :3, :3] @ joints[..., None])[..., 0]
    each = (double["weights"] @ skin.flatten(1)).unflatten(1, (4, 4))
    return (each[:, :3, :3] @ shaped[..., None])[..., 0] + each[:, :3, 3], world[:, :3, 3]


def test_forward_is_smpl(body, people):
    rotmat, betas, transl = people
    output = body(rotmat, betas, transl)
    for i in range(3):
        vertices, joints = posed_by_definition(body, rotmat[i].double(), betas[i].double())
        torch.testing.assert_close(output.vertices[i].double(), vertices + transl[i], atol=3e-6, rtol=0)
        torch.testing.assert_close(output.joints[i].double(), joints + transl[i], atol=3e-6, rtol=0)


def test_forward_agrees_with_smplx_on_the_same_file(body, people, arrays):
    rotmat, betas, transl = people
    vertices, joints = SmplxEngine(arrays)(betas, rotmat, transl)
    output = body(rotmat, betas, transl)
    torch.testing.assert_close(output.vertices, vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.joints, joints, atol=1e-5, rtol=0)


def test_unmodified_smplx_loads_the_pickled_file(tmp_path, body):
    """Its 45 joints must fall on our joints and landmarks, so the vertex numbers are SMPL's."""
    import smplx

    with np.load(bundled("body/open_body.npz")) as stored:
        fields = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
        plain = {name: stored[name] for name in fields}
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(plain))
    theirs = smplx.SMPL(tmp_path / "SMPL_NEUTRAL.pkl")
    pose = 0.3 * torch.randn(1, 72, generator=torch.Generator().manual_seed(1))
    expected = theirs(global_orient=pose[:, :3], body_pose=pose[:, 3:])
    ours = body(rotmat_from_pose(pose), torch.zeros(1, 10))
    torch.testing.assert_close(ours.vertices, expected.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(body.smpl_54_joints(ours)[:, :45], expected.joints, atol=1e-5, rtol=0)


def test_gradients_are_those_of_smplx(body, people, arrays):
    engine = SmplxEngine(arrays)
    weight = torch.randn(body.num_vertices, 3, generator=torch.Generator().manual_seed(2))
    gradients = []
    for pose_body in (lambda r, b, t: body(r, b, t).vertices, lambda r, b, t: engine(b, r, t)[0]):
        inputs = [x.clone().requires_grad_() for x in people]
        (pose_body(*inputs) * weight).sum().backward()
        gradients.append([x.grad for x in inputs])
    for mine, theirs in zip(*gradients):
        torch.testing.assert_close(mine, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=1e-4)


def test_dense_and_sparse_correctives_agree(body, people):
    """Devices other than the CPU multiply with the dense matrix."""
    rotmat, betas, _ = people
    dense = body.v_template + (betas @ body.shapedirs.flatten(0, 1).T).unflatten(1, (-1, 3))
    features = (rotmat[:, 1:] - torch.eye(3)).flatten(1)
    dense = dense + (features @ body.posedirs.flatten(0, 1).T).unflatten(1, (-1, 3))
    torch.testing.assert_close(body.shaped(rotmat, betas).permute(2, 0, 1), dense, atol=1e-5, rtol=0)


def test_half_precision_training_poses_in_full_precision(body, people):
    rotmat, betas, _ = people
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = body(rotmat, betas).vertices
    torch.testing.assert_close(mixed, body(rotmat, betas).vertices, atol=0, rtol=0)


def test_double_precision(people):
    rotmat, betas, _ = people
    output = load_body().double()(rotmat, betas)
    assert output.vertices.dtype == torch.float64
    vertices, _ = posed_by_definition(load_body(), rotmat[0].double(), betas[0].double())
    torch.testing.assert_close(output.vertices[0], vertices, atol=1e-6, rtol=0)


def test_nothing_of_a_body_enters_a_checkpoint(body):
    body.smpl_54_joints(body(REST, torch.zeros(1, 10)))
    assert not body.state_dict() and not list(body.parameters())


def test_rest_pose_is_smpl_like(body):
    joints = body(REST, torch.zeros(1, 10)).joints[0]
    named = dict(zip(SMPL_54.names, body.smpl_54_joints(body(REST, torch.zeros(1, 10)))[0]))
    torch.testing.assert_close(joints[0], torch.tensor([0.0, -0.23, 0.03]), atol=0.01, rtol=0)
    for left, right in (("shoulder", "elbow"), ("elbow", "wrist")):  # arms level and sideways
        along = named[f"left_{right}"] - named[f"left_{left}"]
        assert along[0] > 0.97 * along.norm()
    assert named["nose"][2] > named["head"][2] + 0.05  # looks along z
    assert named["headtop_lsp"][1] > named["nose"][1] > named["neck_lsp"][1] > named["spine_h36m"][1]
    height = body.v_template[:, 1].max() - body.v_template[:, 1].min()
    assert 1.6 < height < 1.8


def test_landmarks_lie_at_the_ends_of_the_body(body):
    template = body.v_template
    point = {name: template[vertex] for name, vertex in LANDMARKS.items()}
    assert body.landmark_vertices.tolist() == list(LANDMARKS.values())
    lowest = template[:, 1].min()
    for side, sign in (("left", 1), ("right", -1)):
        fingers = [sign * point[f"{side}_{name}"][0] for name in ("index", "middle", "ring", "pinky")]
        assert max(fingers) == (sign * template[:, 0]).max()
        assert point[f"{side}_heel"][2] < point[f"{side}_bigtoe"][2] - 0.2
        assert all(point[f"{side}_{name}"][1] < lowest + 0.05 for name in ("heel", "bigtoe", "smalltoe"))
        assert sign * point[f"{side}_smalltoe"][0] > sign * point[f"{side}_bigtoe"][0]
        assert sign * point[f"{side}_ear"][0] > sign * point[f"{side}_eye"][0] > 0.02
    assert abs(point["nose"][0]) < 1e-6
    assert point["nose"][2] > point["left_eye"][2] > point["left_ear"][2]


def test_body_is_mirror_symmetric(body):
    mirror, flip = body.mirror, list(SMPL_24.flip)
    assert torch.equal(mirror[mirror], torch.arange(body.num_vertices))
    torch.testing.assert_close(body.v_template[mirror] * MIRROR, body.v_template, atol=1e-6, rtol=0)
    torch.testing.assert_close(body.shapedirs[mirror] * MIRROR[:, None], body.shapedirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(body.weights[mirror][:, flip], body.weights)
    torch.testing.assert_close(body.joint_regressor[flip][:, mirror], body.joint_regressor)


def test_a_mirrored_pose_gives_the_mirrored_body(body, people):
    rotmat, betas, _ = people
    flipped = rotmat[:, list(SMPL_24.flip)] * torch.outer(MIRROR, MIRROR)
    mirrored = body(flipped, betas).vertices
    expected = body(rotmat, betas).vertices[:, body.mirror] * MIRROR
    torch.testing.assert_close(mirrored, expected, atol=2e-3, rtol=0)


def test_mesh_is_closed_and_numbers_differ_from_smpl(body):
    faces = body.faces
    sides = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(torch.unique(sides, dim=0)) == len(sides)  # no side runs twice the same way
    assert set(map(tuple, sides.tolist())) == set(map(tuple, sides.flip(1).tolist()))
    assert len(torch.unique(faces)) == body.num_vertices != 6890
    corners = body.v_template[faces]
    volume = torch.linalg.det(corners.double()).sum() / 6
    assert 0.05 < volume < 0.09  # cubic metres, positive: faces wound outward


def test_skin_weights_and_regressors(body):
    assert ((body.weights > 0).sum(1) <= 4).all()
    for regressor, rows in (
        (body.joint_regressor, 24),
        (body.h36m_regressor, len(H36M.names)),
        (body.extra_regressor, len(EXTRA_NAMES)),
    ):
        assert regressor.shape == (rows, body.num_vertices)
        assert (regressor >= 0).all() and (regressor > 0).sum(1).max() < 200
        torch.testing.assert_close(regressor.sum(1), torch.ones(rows))
    assert torch.equal(torch.unique(body.parts), torch.arange(24))


def test_h36m_joints_are_where_their_names_say(body):
    vertices = body(REST, torch.zeros(1, 10)).vertices
    h36m = dict(zip(H36M.names, body.h36m_joints(vertices)[0]))
    smpl = dict(zip(SMPL_54.names, body.smpl_54_joints(body(REST, torch.zeros(1, 10)))[0]))
    for name in ("left_knee", "right_knee", "left_ankle", "left_elbow", "right_wrist", "right_shoulder"):
        assert (h36m[name] - smpl[name]).norm() < 0.03
    middle = (h36m["left_hip"] + h36m["right_hip"]) / 2
    assert (h36m["pelvis"] - middle).norm() < 0.01
    heights = [h36m[name][1] for name in ("pelvis", "spine", "neck", "head", "headtop")]
    assert heights == sorted(heights)
    highest = vertices[0, :, 1].max()
    assert highest - 0.03 < h36m["headtop"][1] <= highest


def test_shape_directions_are_standard_deviations(body):
    """Beta 0 makes the body taller; two deviations stay within people."""
    betas = torch.zeros(2, 10)
    betas[0, 0], betas[1, 0] = -2, 2
    vertices = body(REST.expand(2, -1, -1, -1), betas).vertices
    short, tall = (v[:, 1].max() - v[:, 1].min() for v in vertices)
    assert 1.35 < short < tall - 0.2 and tall < 2.05


def test_correctives_keep_a_twisted_wrist_thick(body):
    """Plain blending pinches a twisted joint; the correctives must take most of that back."""
    ring = torch.nonzero((body.weights[:, 20] > 0.3) & (body.weights[:, 18] > 0.3))[:, 0]
    pose = torch.zeros(1, 72)
    pose[0, 60] = 1.4  # left wrist about the forearm
    posed = body(rotmat_from_pose(pose), torch.zeros(1, 10)).vertices[0]
    plain = load_body()
    plain.posedirs.zero_()
    plain.prepare()
    blended = plain(rotmat_from_pose(pose), torch.zeros(1, 10)).vertices[0]

    def thickness(vertices):
        around = vertices[ring][:, 1:]
        return (around - around.mean(0)).norm(dim=1).mean()

    full = thickness(body.v_template)
    lost, left = full - thickness(blended), full - thickness(posed)
    assert lost > 0.02 * full and left < 0.5 * lost


def test_texture_map_fits(body):
    assert body.uv.faces.shape == body.faces.shape
    assert body.uv.faces.min() == 0 and body.uv.faces.max() == len(body.uv.coordinates) - 1
    assert body.uv.coordinates.min() >= 0 and body.uv.coordinates.max() <= 1
    corners = body.uv.coordinates[body.uv.faces]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) > 0).mean() > 0.99


def test_importing_the_package_imports_no_torch():
    code = "import sys, hmrcli.body, hmrcli.body.joints; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hmrcli.body.nothing
