"""A motion as a skinned glb file: metres, y up, a skeleton of 24 named joints, one person."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.body.about import about
from hmrcli.body.joints import SMPL_24
from hmrcli.body.texture import cut_mesh
from hmrcli.export.axes import turned
from hmrcli.export.skeleton import CHILDREN, Array, Rest, at_rest, joints_of
from hmrcli.export.weights import strongest_weights
from hmrcli.files import whole_file
from hmrcli.motion import Motion
from hmrcli.render.glb import VERTICES, Glb
from hmrcli.render.mesh_files import GREY, text_name


class _Bound(NamedTuple):
    """A body in the pose in which its skin is bound to the joints."""

    vertices: Array
    """(V, 3) metres."""
    inverse: Array
    """(24, 4, 4) from there into the frame of each joint."""
    correctives: str
    """What became of SMPL's pose correctives."""


class _Nodes(NamedTuple):
    """Indices of the nodes."""

    mesh: int
    joints: list[int]
    """(24,)"""


def write_glb(motion: Motion, path: Path, colour: Array | None = None, correctives: bool = False) -> Path:
    """Writes one person.

    Several frames become an animation of the T-posed body with its shape: skinning as graphics cards do it, without
    SMPL's pose correctives unless they are asked for. A single frame is bound in its pose, correctives baked: the
    stored vertices are the posed body's own, in their places, also for readers that know no skins.

    Args:
        motion: in the camera's space or in a world with y up.
        path: ends in .glb.
        colour: (3,) in [0, 1] sRGB; light grey when not given.
        correctives: True to add SMPL's pose correctives as 207 morph targets, which the animation drives: exact, at
            some megabytes.
    """
    placed, rest, still = turned(motion, "y"), at_rest(motion.body, motion.betas), len(motion.frames) == 1
    correctives = correctives and not still
    bound = _in_pose(placed, rest) if still else _in_t_pose(rest, correctives)
    glb, name = Glb(_said(motion, bound.correctives)), text_name(path)
    mesh = glb.add("meshes", _mesh(motion, bound, glb, GREY if colour is None else colour, correctives))
    glb.document["meshes"][mesh]["name"] = name
    nodes = _add_nodes(glb, placed, rest, name, mesh)
    inverse = glb.accessor(bound.inverse.swapaxes(1, 2).astype(np.float32))  # by columns
    glb.add(
        "skins",
        {"name": name, "skeleton": nodes.joints[0], "joints": nodes.joints, "inverseBindMatrices": inverse},
    )
    if not still:
        glb.add("animations", {"name": name} | _animation(placed, nodes, rest, glb, correctives))
    with whole_file(path) as temporary:
        temporary.write_bytes(glb.content())
    return path


def _in_t_pose(rest: Rest, correctives: bool) -> _Bound:
    inverse = np.tile(np.eye(4), (24, 1, 1))
    inverse[:, :3, 3] = -rest.joints
    return _Bound(rest.vertices, inverse, "morph targets" if correctives else "none")


def _in_pose(placed: Motion, rest: Rest) -> _Bound:
    joints = joints_of(rest, placed.rotmat, placed.transl)
    with torch.inference_mode():
        rotmat, betas, transl = (
            torch.from_numpy(np.asarray(value, np.float32))
            for value in (placed.rotmat, placed.betas[None], placed.transl)
        )
        vertices = placed.body(rotmat, betas, transl).vertices[0].numpy()
    forth = np.tile(np.eye(4), (24, 1, 1))
    forth[:, :3, :3], forth[:, :3, 3] = joints.rotations[0], joints.positions[0]
    return _Bound(vertices, np.linalg.inv(forth), "baked")


def _said(motion: Motion, correctives: str) -> dict[str, str]:
    """Returns what the file says of itself; `camera` is a JSON document."""
    return {
        **about(motion.body),
        "betas_values": json.dumps(motion.betas.astype(float).round(6).tolist()),
        "units": "metres",
        "up_axis": "y",
        "source_up_axis": motion.up,
        "pose_correctives": correctives,
        "track_id": str(motion.track_id),
        "camera": json.dumps(motion.camera.as_json()),
    }


def _add_nodes(glb: Glb, placed: Motion, rest: Rest, name: str, mesh: int) -> _Nodes:
    """Adds the mesh and the joints, which stand as in the first frame."""
    turns, bones = _quaternions(placed.rotmat[:1])[0], rest.bones
    bones[0] = rest.joints[0] + placed.transl[0]
    mesh_node = glb.add_to_scene({"name": name, "mesh": mesh, "skin": 0})
    joints = list(range(mesh_node + 1, mesh_node + 25))
    for joint, (joint_name, turn, bone) in enumerate(zip(SMPL_24.names, turns, bones)):
        node = {"name": joint_name, "rotation": turn.tolist(), "translation": bone.tolist()}
        below = [joints[child] for child in CHILDREN[joint]]
        glb.add("nodes", node | ({"children": below} if below else {}))
    glb.document["scenes"][0]["nodes"].append(joints[0])
    return _Nodes(mesh_node, joints)


def _mesh(motion: Motion, bound: _Bound, glb: Glb, colour: Array, correctives: bool) -> dict[str, Any]:
    mesh, weights = cut_mesh(motion.body), strongest_weights(motion.body)
    primitive = glb.skin(bound.vertices, mesh, glb.material("skin", colour))
    primitive["attributes"] |= {
        "JOINTS_0": glb.accessor(weights.joints[mesh.source], VERTICES),
        "WEIGHTS_0": glb.accessor(weights.shares[mesh.source], VERTICES),
    }
    if not correctives:
        return {"primitives": [primitive]}
    directions = motion.body.posedirs.cpu().numpy()[mesh.source]
    primitive["targets"] = [
        {"POSITION": glb.sparse_accessor(directions[:, :, k])} for k in range(directions.shape[2])
    ]
    names = [f"{joint}_{row}{column}" for joint in SMPL_24.names[1:] for row in "xyz" for column in "xyz"]
    first = _corrections(motion.rotmat[:1])[0].tolist()
    return {"primitives": [primitive], "weights": first, "extras": {"targetNames": names}}


def _animation(placed: Motion, nodes: _Nodes, rest: Rest, glb: Glb, correctives: bool) -> dict[str, Any]:
    """Returns a key for each frame at the time it was seen; players interpolate between them."""
    times = glb.accessor(placed.times.astype(np.float32), limits=True)
    turns = _quaternions(placed.rotmat)
    tracks = [(node, "rotation", turns[:, joint]) for joint, node in enumerate(nodes.joints)]
    tracks.append((nodes.joints[0], "translation", rest.joints[0] + placed.transl))
    if correctives:
        tracks.append((nodes.mesh, "weights", _corrections(placed.rotmat).ravel()))
    return {
        "samplers": [
            {"input": times, "output": glb.accessor(values.astype(np.float32)), "interpolation": "LINEAR"}
            for _, _, values in tracks
        ],
        "channels": [
            {"sampler": number, "target": {"node": node, "path": path}}
            for number, (node, path, _) in enumerate(tracks)
        ],
    }


def _corrections(rotmat: Array) -> NDArray[np.floating]:
    """Returns the factors (F, 207) of the pose correctives: joint 1 to 23, row by row."""
    return (rotmat[:, 1:] - np.eye(3)).reshape(len(rotmat), -1)


def _quaternions(rotmat: Array) -> NDArray[np.floating]:
    """Returns (F, 24, 4) x, y, z, w, without changes of sign from frame to frame."""
    turns: NDArray[np.floating] = roma.rotmat_to_unitquat(torch.from_numpy(rotmat.copy())).numpy()
    against = (turns[1:] * turns[:-1]).sum(-1) < 0
    turns[1:][np.cumsum(against, 0) % 2 == 1] *= -1
    return turns
