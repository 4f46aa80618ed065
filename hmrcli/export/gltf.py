"""A motion as a skinned glb file: metres, y up, a skeleton of 24 named joints, one person."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.about import about
from hmrcli.body.joints import SMPL_24
from hmrcli.body.texture import cut_mesh
from hmrcli.export.axes import turned
from hmrcli.export.skeleton import CHILDREN, Array, Rest, at_rest, joint_frames
from hmrcli.files import whole_file
from hmrcli.motion import Motion
from hmrcli.render.glb import VERTICES, Glb
from hmrcli.render.mesh_files import GREY, text_name

_WEIGHTS = 4
"""Joints that move a vertex at most, the most that viewers agree on."""


class _Bound(NamedTuple):
    """A body in the pose in which its skin is bound to the joints."""

    vertices: Array
    """(V, 3) metres."""
    inverse: Array
    """(24, 4, 4) from there into the frame of each joint."""
    correctives: str
    """What became of SMPL's pose correctives."""


def write_glb(motion: Motion, path: Path, colour: Array | None = None, correctives: bool = False) -> Path:
    """Writes one person.

    Several frames become an animation of the T-posed body with its shape: skinning as graphics cards do it, without
    SMPL's pose correctives unless they are asked for. A single frame is bound in its pose, correctives baked: the
    stored vertices are the posed body's own, in their places, also for readers that know no skins.

    Args:
        motion: in the camera's space or in a world with y up.
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
    mesh_node, joints = _add_nodes(glb, placed, rest, name, mesh)
    inverse = glb.accessor(bound.inverse.swapaxes(1, 2).astype(np.float32))  # by columns
    skin = {"name": name, "skeleton": joints[0], "joints": joints, "inverseBindMatrices": inverse}
    glb.add("skins", skin)
    if not still:
        weighted = mesh_node if correctives else None
        glb.add("animations", {"name": name} | _animation(placed, joints, rest, glb, weighted))
    with whole_file(path) as temporary:
        temporary.write_bytes(glb.content())
    return path


def _in_t_pose(rest: Rest, correctives: bool) -> _Bound:
    inverse = np.tile(np.eye(4), (24, 1, 1))
    inverse[:, :3, 3] = -rest.joints
    return _Bound(rest.vertices, inverse, "morph targets" if correctives else "none")


def _in_pose(placed: Motion, rest: Rest) -> _Bound:
    with torch.inference_mode():
        rotmat, betas, transl = (
            torch.from_numpy(np.asarray(value, np.float32))
            for value in (placed.rotmat, placed.betas[None], placed.transl)
        )
        vertices = placed.body(rotmat, betas, transl).vertices[0].numpy()
    frames = joint_frames(rest, placed.rotmat[0], placed.transl[0])
    return _Bound(vertices, np.linalg.inv(frames), "baked")


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


def _add_nodes(glb: Glb, placed: Motion, rest: Rest, name: str, mesh: int) -> tuple[int, list[int]]:
    """Adds the mesh and the joints, which stand as in the first frame; returns the indices of their nodes."""
    turns, bones = _quaternions(placed.rotmat[:1])[0], rest.bones
    bones[0] = rest.joints[0] + placed.transl[0]
    mesh_node = glb.add_to_scene({"name": name, "mesh": mesh, "skin": 0})
    joints = list(range(mesh_node + 1, mesh_node + 25))
    for joint, (joint_name, turn, bone) in enumerate(zip(SMPL_24.names, turns, bones)):
        node = {"name": joint_name, "rotation": turn.tolist(), "translation": bone.tolist()}
        below = [joints[child] for child in CHILDREN[joint]]
        glb.add("nodes", node | ({"children": below} if below else {}))
    glb.document["scenes"][0]["nodes"].append(joints[0])
    return mesh_node, joints


def _mesh(motion: Motion, bound: _Bound, glb: Glb, colour: Array, correctives: bool) -> dict[str, Any]:
    mesh, (joints, shares) = cut_mesh(motion.body), _strongest_weights(motion.body)
    primitive = glb.skin(bound.vertices, mesh, glb.material("skin", colour))
    primitive["attributes"] |= {
        "JOINTS_0": glb.accessor(joints[mesh.source], VERTICES),
        "WEIGHTS_0": glb.accessor(shares[mesh.source], VERTICES),
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


def _strongest_weights(body: BodyModel) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Returns joints (V, 4) with the strongest weights of each vertex, 0 where there is none, and these weights (V, 4).

    They sum to 1; the open body and SMPL have no more than four.
    """
    weights = body.weights.cpu().numpy()
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :_WEIGHTS]
    shares = np.take_along_axis(weights, joints, 1)
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return np.where(shares > 0, joints, 0).astype(np.uint8), shares


def _animation(
    placed: Motion, joints: list[int], rest: Rest, glb: Glb, weighted: int | None
) -> dict[str, Any]:
    """Returns a key for each frame at the time it was seen; players interpolate between them.

    `weighted` is the node of a mesh whose morph targets are driven.
    """
    times = glb.accessor(placed.times.astype(np.float32), limits=True)
    turns = _quaternions(placed.rotmat)
    tracks = [(node, "rotation", turns[:, joint]) for joint, node in enumerate(joints)]
    tracks.append((joints[0], "translation", rest.joints[0] + placed.transl))
    if weighted is not None:
        tracks.append((weighted, "weights", _corrections(placed.rotmat).ravel()))
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
