"""Scores arrays that any system wrote: predictions and targets as two .npz files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.assets.data_root import data_root
from hmrcli.body import BodyModel
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M_NAMES
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.errors import BadInput
from hmrcli.evaluation.array_files import Side, matched, read_side
from hmrcli.evaluation.metrics import METRICS, accel_error, measure
from hmrcli.evaluation.protocols import (
    Bodies,
    Mesh,
    Protocol,
    Report,
    Target,
    load_bodies,
    scored_joints,
    scored_vertices,
    select_joints,
    summarise,
    true_vertices,
)

ARRAYS = Protocol(
    name="arrays",
    title="arrays as given",
    bodies={},
    roles={},
    truth="joints3d",
    centre=H36M_NAMES.index("pelvis"),
    joints=EVALUATION_14_FROM_H36M,
    metrics=("mpjpe", "pa_mpjpe", "pck", "pa_pck", "auc", "pa_auc"),
    expected_samples=None,
    text=(
        "The joints of the two files: 17 are centred on the pelvis and reduced to the 14 of the benchmarks, any "
        "other number is scored as it stands. PA: one similarity without reflection per sample."
    ),
)
"""No benchmark's rules, and joints alone."""

_ROWS = 256
"""Meshes that are held at once."""


@dataclass(frozen=True)
class ArrayScores:
    """The result, and the errors of each row of the targets."""

    report: Report
    per_sample: dict[str, NDArray[np.float64]]
    """metric -> (N,)"""
    rows: dict[str, NDArray[Any]]
    """image and id of each row, where the targets have them"""


def score_arrays(
    predictions: Path, targets: Path, protocol: Protocol = ARRAYS, *, root: Path | None = None
) -> ArrayScores:
    """Scores the rows of one file against those of another; `array_files.KEYS` says what they hold.

    Where a file has both joints and a mesh, its joints are the stored ones.

    Args:
        predictions: .npz of the system that is scored.
        targets: .npz of the truth.
        protocol: says which bodies meshes and parameters belong to; without one, only joints3d is scored.
        root: the data root, where the protocol's bodies are read; only meshes and parameters need them.

    Raises:
        MissingFile: a file or a body is not there.
        BadInput: a key is missing, or has a wrong type, shape or value, or rows do not match; the message names
            file, key and row.
    """
    ours, theirs = read_side(predictions), read_side(targets)
    for side in (ours, theirs):
        if not protocol.bodies and "joints3d" not in side.keys:
            raise BadInput(
                f"{side.path}: vertices, and pose with betas, belong to a body: name it with --protocol, "
                "or store joints3d"
            )
    if protocol.roles and "pose" in theirs.keys and "gender" not in theirs.keys:
        raise BadInput(
            f"{targets}: key gender is missing; protocol {protocol.name} makes the true body from it"
        )
    ours, notes = matched(ours, theirs)
    bodies: Bodies = {}
    if protocol.bodies and any(side.has_mesh for side in (ours, theirs)):
        bodies = load_bodies(protocol, data_root(root))
        for side in (ours, theirs):
            _check_mesh(side, protocol, bodies["neutral"])
    (our_joints, their_joints), per_sample = _score_rows(ours, theirs, protocol, bodies)
    sequence, frame = theirs.keys.get("sequence"), theirs.keys.get("frame")
    if sequence is not None or frame is not None:
        mask = _mask(theirs, slice(None), our_joints.shape[1])
        try:
            accel = accel_error(our_joints, their_joints, mask, sequence=sequence, frame=frame)
        except BadInput as error:
            raise BadInput(f"{targets}: key {error}") from None
        per_sample["accel"] = accel.numpy()
    if our_joints.shape[1] != len(protocol.joints):
        notes.append(
            f"{our_joints.shape[1]} joints were scored, not the {len(protocol.joints)} of the benchmarks"
        )
    return ArrayScores(
        summarise(protocol, per_sample, groups=sequence, notes=notes),
        per_sample,
        {key: theirs.keys[key] for key in ("image", "id") if key in theirs.keys},
    )


def _check_mesh(side: Side, protocol: Protocol, body: BodyModel) -> None:
    if "vertices" in side.keys and (found := side.keys["vertices"].shape[1]) != body.num_vertices:
        raise BadInput(
            f"{side.path}: key vertices has {found} vertices, expected {body.num_vertices} of the {body.name} "
            f"body, which the {protocol.name} protocol takes"
        )


def _score_rows(
    ours: Side, theirs: Side, protocol: Protocol, bodies: Bodies
) -> tuple[tuple[Tensor, Tensor], dict[str, NDArray[np.float64]]]:
    """The scored joints (N, J, 3) in mm of both sides, and metric -> (N,)."""
    names = [name for name in protocol.metrics if METRICS[name].of == "joints"]
    our_joints, their_joints, parts = [], [], []
    for start in range(0, theirs.count, _ROWS):
        rows = slice(start, start + _ROWS)
        mesh, target = _mesh(ours, rows, bodies), _target(theirs, rows)
        truth = true_vertices(protocol, bodies, target) if bodies else None
        found = _joints(ours, rows, protocol, bodies, mesh and mesh.vertices)
        wanted = _joints(theirs, rows, protocol, bodies, truth)
        if found.shape != wanted.shape:
            raise BadInput(
                f"{ours.path} gives {found.shape[1]} joints and {theirs.path} gives {wanted.shape[1]}; "
                "both must give the same"
            )
        part = measure(names, found, wanted, _mask(theirs, rows, wanted.shape[1]))
        if mesh is not None and truth is not None:
            part |= measure(["pve"], *scored_vertices(protocol, bodies, mesh, target, truth))
        our_joints.append(found)
        their_joints.append(wanted)
        parts.append(part)
    per_sample = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    return (torch.cat(our_joints), torch.cat(their_joints)), per_sample


def _mesh(side: Side, rows: slice, bodies: Bodies) -> Mesh | None:
    """Predicted bodies of some rows; the mesh of parameters is the neutral body's."""
    if not bodies or not side.has_mesh:
        return None
    rotmat, betas, vertices = _parameters(side, rows)
    if vertices is not None:
        return Mesh(vertices)
    assert rotmat is not None and betas is not None  # a file has one or the other
    return Mesh(bodies["neutral"](rotmat, betas).vertices, rotmat, betas)


def _target(side: Side, rows: slice) -> Target:
    rotmat, betas, vertices = _parameters(side, rows)
    gender = side.keys.get("gender")
    return Target(rotmat, betas, None if gender is None else gender[rows].tolist(), vertices)


def _parameters(side: Side, rows: slice) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """rotmat and betas if there are any, else vertices; float32."""
    if "pose" in side.keys:
        pose, betas = (torch.from_numpy(side.keys[key][rows]).float() for key in ("pose", "betas"))
        return rotmat_from_pose(pose), betas, None
    if "vertices" in side.keys:
        return None, None, torch.from_numpy(side.keys["vertices"][rows]).float()
    return None, None, None


def _joints(side: Side, rows: slice, protocol: Protocol, bodies: Bodies, vertices: Tensor | None) -> Tensor:
    """(B, J, 3) mm."""
    if "joints3d" not in side.keys:
        assert vertices is not None  # a file has one or the other
        return scored_joints(protocol, bodies, vertices)
    stored = torch.from_numpy(side.keys["joints3d"][rows])
    if stored.shape[1] == len(H36M_NAMES):
        return select_joints(protocol, stored)
    if "root" in side.keys:
        stored = stored - torch.from_numpy(side.keys["root"][rows])[:, None]
    return 1000 * stored.double()


def _mask(side: Side, rows: slice, joints: int) -> Tensor | None:
    """(B, J) the joints that count."""
    if "valid" not in side.keys:
        return None
    valid = torch.from_numpy(side.keys["valid"][rows]).bool()
    if valid.shape[1] == len(H36M_NAMES):
        valid = valid[:, list(EVALUATION_14_FROM_H36M)]
    if valid.shape[1] != joints:
        raise BadInput(f"{side.path}: key valid has {valid.shape[1]} joints, expected {joints}")
    return valid
