"""One body at a time, quickly: the body model's own arithmetic, compiled, for bare skin and clothes at once."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.joints import PARENTS
from hmrcli.render.shading import vertex_normals

Array = NDArray[Any]


class Rest(NamedTuple):
    """Arrays of a body model that posing needs, in the layout that kernels are compiled for."""

    template: Array
    """(V, 3) float32 metres, T-pose."""
    normals: Array
    """(V, 3)"""
    smoothed: Array
    """(V, 3) the template as it would be under thick cloth, without navel and muscles."""
    shapedirs: Array
    """(10, 3 V)"""
    pointers: Array
    columns: Array
    values: Array
    """Of the (V, 3, 207) pose directions: row pointers (V + 1,), columns (N,) and values (N, 3)."""
    skin_joints: Array
    """(V, 4) int32 joints that move a vertex most."""
    skin_weights: Array
    """(V, 4)"""
    skin_counts: Array
    """(V,) int32 how many of these are not zero."""
    joints: Array
    """(24, 3) of the mean body."""
    joint_shapedirs: Array
    """(24, 3, 10)"""
    faces: Array
    """(F, 3) int32."""
    parts: Array
    """(V,) int32."""
    parents: Array
    """(24,); the root's is itself."""


@lru_cache(maxsize=2)
def rest_of(body: BodyModel) -> Rest:
    """Returns the arrays of a body model on the CPU."""
    template, faces = body.v_template.numpy(), body.faces.numpy().astype(np.int32)
    regressor, shapedirs = body.joint_regressor.numpy(), body.shapedirs.numpy()
    directions = body.posedirs.numpy().reshape(-1, 3, 207)
    rows, columns = np.nonzero(directions.any(1))
    weights = body.weights.numpy()
    heaviest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    chosen = np.take_along_axis(weights, heaviest, 1)
    return Rest(
        template=_float32(template),
        normals=_float32(vertex_normals(template, faces)),
        smoothed=_float32(_smoothed(template, faces)),
        shapedirs=_float32(shapedirs.reshape(-1, 10).T),
        pointers=np.searchsorted(rows, np.arange(len(directions) + 1)).astype(np.int32),
        columns=columns.astype(np.int32),
        values=_float32(directions[rows, :, columns]),
        skin_joints=heaviest.astype(np.int32),
        skin_weights=_float32(chosen / chosen.sum(1, keepdims=True)),
        skin_counts=(chosen > 0).sum(1).astype(np.int32),
        joints=_float32(regressor @ template),
        joint_shapedirs=_float32(np.einsum("jv,vck->jck", regressor, shapedirs)),
        faces=faces,
        parts=weights.argmax(1).astype(np.int32),
        parents=np.maximum(PARENTS, 0),
    )


class Posed(NamedTuple):
    """A body and its clothes; all float32, metres, in the camera's frame unless said otherwise."""

    skin: Array
    """(V, 3)"""
    clothes: Array
    """(V, 3)"""
    joints: Array
    """(24, 3)"""
    moves: Array
    """(24, 3, 4) from T-pose to the camera's frame."""
    shaped: Array
    """(V, 3) the clothes of this shape in T-pose."""


def pose_people(pose: Array, betas: Array, transl: Array, body: BodyModel) -> tuple[Array, Array]:
    """Poses bare bodies as the body model does.

    Args:
        pose: (N, 72) axis-angle, radians.
        betas: (N, 10)
        transl: (N, 3) metres.
        body: on the CPU.

    Returns:
        (N, V, 3) float32 vertices and (N, 24, 3) float32 joints, metres, in the camera's frame.
    """
    rest = rest_of(body)
    posed = [pose_person(*each, rest, np.zeros_like(rest.template)) for each in zip(pose, betas, transl)]
    return np.stack([each.skin for each in posed]), np.stack([each.joints for each in posed])


def pose_person(pose: Array, betas: Array, transl: Array, rest: Rest, offsets: Array) -> Posed:
    """Poses a body whose clothes lie off its skin by offsets (V, 3) in T-pose."""
    from hmrcli.scenes import posing_kernels as kernels

    betas, transl = _float32(betas), _float32(transl)
    rest_joints = rest.joints + rest.joint_shapedirs @ betas
    local, turns, places = (np.zeros(size, np.float32) for size in ((24, 3, 3), (24, 3, 3), (24, 3)))
    bones = rest_joints - rest_joints[rest.parents]
    kernels.chain(_float32(pose).reshape(24, 3), bones, local, turns, places)
    joints = places + (rest_joints[0] + transl)
    moved = joints - np.einsum("jab,jb->ja", turns, rest_joints)
    moves = np.concatenate([turns, moved[:, :, None]], 2)
    factors = (local[1:] - np.eye(3, dtype=np.float32)).ravel()
    bare = rest.template + (betas @ rest.shapedirs).reshape(-1, 3)
    skin, clothes = np.empty_like(bare), np.empty_like(bare)
    kernels.pose(
        bare, rest.pointers, rest.columns, rest.values, factors, rest.skin_joints, rest.skin_weights,
        rest.skin_counts, moves, offsets, skin, clothes,
    )  # fmt: skip
    return Posed(skin, clothes, joints, moves, bare + offsets)


def _smoothed(template: Array, faces: Array, rounds: int = 25) -> Array:
    """Each vertex moved to the mean of its neighbours, several times."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = np.bincount(ends[:, 0], minlength=len(template))[:, None]
    points = template.astype(np.float64)
    for _ in range(rounds):
        columns = [np.bincount(ends[:, 0], points[ends[:, 1], k], len(template)) for k in range(3)]
        points = np.stack(columns, 1) / np.maximum(count, 1)
    return points


def _float32(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)
