"""A motion as a skinned glb file: metres, y up, a skeleton of 24 named joints, one person."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.body.joints import SMPL_24
from hmrcli.export.axes import turned
from hmrcli.export.glb import INDICES, VERTICES, Buffer
from hmrcli.export.skeleton import CHILDREN, Array, Rest, at_rest, joints_of
from hmrcli.export.surface import skin_of, surface_of
from hmrcli.files import whole_file
from hmrcli.motion import Motion
from hmrcli.render.shading import vertex_normals

MESH, ROOT = 0, 1
"""Nodes: the mesh, then the 24 joints from the pelvis on."""
GREY = np.full(3, 0.75)


class _Bound(NamedTuple):
    """A body in the pose in which its skin is bound to the joints."""

    vertices: Array
    """(V, 3) metres."""
    inverse: Array
    """(24, 4, 4) from there into the frame of each joint."""
    correctives: str
    """What became of SMPL's pose correctives: `baked`, `none` or `morph targets`."""


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
    buffer = Buffer()
    # A document's text is UTF-8, which names of files need not be.
    name = path.stem.encode(errors="backslashreplace").decode()
    nodes = _nodes(placed, rest, name)
    document: dict[str, Any] = {
        "asset": _asset(motion, bound.correctives),
        "scene": 0,
        "scenes": [{"name": name, "nodes": [MESH, ROOT]}],
        "nodes": nodes,
        "meshes": [_mesh(motion, bound, buffer, name, correctives)],
        "materials": [_material(GREY if colour is None else colour)],
        "skins": [
            {
                "name": name,
                "skeleton": ROOT,
                "joints": list(range(ROOT, ROOT + 24)),
                "inverseBindMatrices": buffer.add(bound.inverse.astype(np.float32)),
            }
        ],
    }
    if not still:
        document["animations"] = [_animation(placed, nodes, rest, buffer, name, correctives)]
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.packed(document))
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


def _asset(motion: Motion, correctives: str) -> dict[str, Any]:
    body = motion.body
    own = f"betas are of the {body.name} body" + ("" if body.name == "smpl" else ", not SMPL's")
    return {
        "version": "2.0",
        "generator": f"hmrcli {__version__}",
        "extras": {
            "body": body.name,
            "body_sha256": body.sha256,
            "body_vertices": body.num_vertices,
            "betas": motion.betas.astype(float).round(6).tolist(),
            "betas_of": own,
            "units": "metres",
            "up_axis": "y",
            "source_up_axis": motion.up,
            "pose_correctives": correctives,
            "track_id": motion.track_id,
            "fps": motion.fps,
        },
    }


def _nodes(placed: Motion, rest: Rest, name: str) -> list[dict[str, Any]]:
    """Returns the mesh and the joints, which stand as in the first frame."""
    turns = _quaternions(placed.rotmat[:1])[0]
    bones = rest.bones
    bones[0] = rest.joints[0] + placed.transl[0]
    nodes: list[dict[str, Any]] = [{"name": name, "mesh": 0, "skin": 0}]
    for joint, (joint_name, turn, bone) in enumerate(zip(SMPL_24.names, turns, bones)):
        node = {"name": joint_name, "rotation": turn.tolist(), "translation": bone.tolist()}
        below = [ROOT + child for child in CHILDREN[joint]]
        nodes.append(node | ({"children": below} if below else {}))
    return nodes


def _mesh(motion: Motion, bound: _Bound, buffer: Buffer, name: str, correctives: bool) -> dict[str, Any]:
    surface, skin = surface_of(motion.body), skin_of(motion.body)
    normals = vertex_normals(bound.vertices, motion.body.faces.cpu().numpy())
    normals[~normals.any(1)] = (0, 1, 0)  # of lone vertices

    def add(values: NDArray[Any], bounds: bool = False) -> int:
        return buffer.add(values[surface.source], VERTICES, bounds)

    attributes = {
        "POSITION": add(bound.vertices.astype(np.float32), True),
        "NORMAL": add(normals.astype(np.float32)),
        "JOINTS_0": add(skin.joints),
        "WEIGHTS_0": add(skin.weights),
    }
    if surface.texture is not None:
        attributes["TEXCOORD_0"] = buffer.add(surface.texture, VERTICES)
    indices = buffer.add(surface.faces.ravel().astype(np.uint32), INDICES)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "material": 0}
    if not correctives:
        return {"name": name, "primitives": [primitive]}
    directions = motion.body.posedirs.cpu().numpy()[surface.source]
    primitive["targets"] = [
        {"POSITION": buffer.add_sparse(directions[:, :, k])} for k in range(directions.shape[2])
    ]
    names = [f"{joint}_{row}{column}" for joint in SMPL_24.names[1:] for row in "xyz" for column in "xyz"]
    return {
        "name": name,
        "primitives": [primitive],
        "weights": _corrections(motion.rotmat[:1])[0].tolist(),
        "extras": {"targetNames": names},
    }


def _material(colour: Array) -> dict[str, Any]:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    surface = {
        "baseColorFactor": [*linear.round(6).tolist(), 1.0],
        "metallicFactor": 0.0,
        "roughnessFactor": 0.8,
    }
    return {"name": "skin", "pbrMetallicRoughness": surface}


def _animation(
    placed: Motion, nodes: list[dict[str, Any]], rest: Rest, buffer: Buffer, name: str, correctives: bool
) -> dict[str, Any]:
    """Returns a key for each frame at the time it was seen; players interpolate between them."""
    times = buffer.add(placed.times.astype(np.float32), bounds=True)
    turns = _quaternions(placed.rotmat)
    tracks = [(ROOT + joint, "rotation", turns[:, joint]) for joint in range(24)]
    tracks.append((ROOT, "translation", rest.joints[0] + placed.transl))
    if correctives:
        tracks.append((MESH, "weights", _corrections(placed.rotmat).ravel()))
    return {
        "name": name,
        "samplers": [
            {"input": times, "output": buffer.add(values.astype(np.float32)), "interpolation": "LINEAR"}
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
