"""Scores arrays that any system wrote: predictions and targets as two .npz files."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.assets.data_root import data_root
from hmrcli.body.joints import H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.errors import BadInput
from hmrcli.evaluation.array_files import Side, matched, read_side
from hmrcli.evaluation.centering import check_centering
from hmrcli.evaluation.metrics import METRICS, accel_error, measure
from hmrcli.evaluation.protocols import (
    PELVIS,
    SCORED,
    SCORED_NAMES,
    Bodies,
    Mesh,
    Report,
    Target,
    load_bodies,
    scored_joints,
    scored_vertices,
    select_joints,
    summarise,
    target_vertices,
)
from hmrcli.evaluation.systems import other_body
from hmrcli.evaluation.targets import (
    LEAST_JOINTS,
    absent_joints,
    check_genders,
    check_radians,
    hints,
    rows_that,
)
from hmrcli.recipe.protocols import JOINT_METRICS, Protocol

ARRAYS = Protocol(
    name="arrays",
    title="arrays as given",
    metrics=JOINT_METRICS,
    text=(
        "The joints of the two files: 17 are centered on the pelvis and reduced to the 14 of the benchmarks, any "
        "other number is scored as it stands. PA: one similarity without reflection per sample."
    ),
    bodies={},
    targets="joints3d",
)
"""No benchmark's rules, and joints alone."""

_ROWS = 64
"""Meshes that are held at once: of more, posing waits for memory."""


class ArrayScores(NamedTuple):
    """The result, and the errors of each row of the targets."""

    report: Report
    per_sample: dict[str, NDArray[np.float64]]
    """metric -> (N,); NaN where a row was not scored"""
    rows: dict[str, NDArray[Any]]
    """image and id of each row, where the targets have them"""
    details: dict[str, Any]
    """Numbers of targets, of those that were left out, and of people that were missed"""


def score_arrays(
    predictions: Path,
    targets: Path,
    protocol: Protocol = ARRAYS,
    *,
    root: Path | None = None,
    allow_missed: bool = False,
    person: str | None = None,
) -> ArrayScores:
    """Scores the rows of one file against those of another; `array_files.KEYS` says what they hold.

    Where a file has both joints and a mesh, its joints are the stored ones.

    Args:
        predictions: of the system that is scored: .npz, or as it stored them (`systems`).
        protocol: says which bodies meshes and parameters belong to; without one, only joints3d is scored.
        root: the data root, where the protocol's bodies are read; only meshes and parameters need them.
        allow_missed: targets without a prediction are counted, not refused.
        person: of the predictions, the rows of this id alone.

    Raises:
        MissingFile: a file or a body is not there.
        BadInput: a key is missing, or has a wrong type, shape or value, or rows do not match; the message names
            file, key and row.
    """
    ours, theirs = read_side(predictions, person), read_side(targets)
    gendered = bool(protocol.roles) and "pose" in theirs.keys
    for side in (ours, theirs):
        if not protocol.bodies and "joints3d" not in side.keys:
            raise BadInput(
                f"{side.path}: vertices, and pose with betas, belong to a body: name it with --protocol, "
                "or store joints3d"
            )
        if "pose" in side.keys:
            check_radians(side.keys["pose"], f"{side.path}: key pose")
    if gendered and "gender" not in theirs.keys:
        raise theirs.refused("gender", f" is missing; protocol {protocol.name} makes the true body from it")
    if ours.scored != theirs.scored:
        raise BadInput(
            f"{predictions} gives {ours.scored} joints and {targets} gives {theirs.scored}; both must give the same"
        )
    pairs = matched(ours, theirs, allow_missed)
    ours, notes = pairs.side, [pairs.recall] if allow_missed else []
    if pairs.spare and not allow_missed:
        notes.append(f"{pairs.spare} predictions have no target and were left out")
    joints, rows, remarks = _counting(theirs, pairs.found)
    if gendered:
        check_genders(theirs.keys["gender"][rows], protocol, f"{targets}: key gender")
    needed = joints & rows[:, None]
    ours, theirs = _finite(ours, needed), _finite(theirs, needed)
    notes += remarks + check_centering(ours, theirs, rows, protocol)
    bodies: Bodies = {}
    if protocol.bodies and (ours.has_mesh or theirs.has_mesh):
        bodies = load_bodies(protocol, data_root(root))
        for side in (ours, theirs):
            _check_mesh(side, protocol, bodies)
            notes += [*side.notes, *other_body(side.path, side.body, bodies["neutral"].name)]
    mask = None if needed.all() else torch.from_numpy(needed)
    our_joints, their_joints, per_sample = _score_rows(ours, theirs, protocol, bodies, mask)
    sequence, frame = theirs.keys.get("sequence"), theirs.keys.get("frame")
    if sequence is not None or frame is not None:
        try:
            accel = accel_error(our_joints, their_joints, mask, sequence=sequence, frame=frame)
        except BadInput as error:
            raise BadInput(f"{targets}: key {error}") from None
        per_sample["accel"] = accel.numpy()
    for values in per_sample.values():
        values[~rows] = np.nan
    if our_joints.shape[1] != len(SCORED):
        notes.append(f"{our_joints.shape[1]} joints were scored, not the {len(SCORED)} of the benchmarks")
    notes += hints(our_joints, their_joints, mask)
    details = {"targets": theirs.count, "rows_left_out": int((pairs.found & ~rows).sum())}
    if allow_missed:
        details |= {"missed": int((~pairs.found).sum()), "spare_predictions": pairs.spare}
    report = summarise(protocol, per_sample, groups=sequence, notes=notes)
    named = {key: theirs.keys[key] for key in ("image", "id") if key in theirs.keys}
    return ArrayScores(report, per_sample, named, details)


def _check_mesh(side: Side, protocol: Protocol, bodies: Bodies) -> None:
    body = bodies["neutral"]
    if "vertices" in side.keys and (found := side.keys["vertices"].shape[1]) != body.num_vertices:
        raise side.refused(
            "vertices",
            f" has {found} vertices, expected {body.num_vertices} of the {body.name} body, which the {protocol.name} "
            "protocol takes",
        )


def _counting(
    theirs: Side, found: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """Finds which scored joints (N, J) have a target and which rows (N,) count, with notes on the others."""
    stored, whole, joints = theirs.keys.get("joints3d"), theirs.is_whole, theirs.scored
    valid = np.ones((theirs.count, len(H36M.names) if whole else joints), bool)
    for name in [name for name in ("valid", "confidence") if name in theirs.keys]:
        flags = theirs.keys[name] > 0
        if whole and flags.shape[1] == len(SCORED):
            valid[:, SCORED] &= flags
        elif flags.shape[1] == valid.shape[1]:
            valid &= flags
        else:
            raise theirs.refused(name, f" has {flags.shape[1]} joints, expected {joints}")
    if stored is not None and joints == len(SCORED):
        # No joint but the root lies at the very origin: such places were not filled in.
        placed = (stored != 0).any(-1)
        roots = [PELVIS] if whole else np.flatnonzero(~placed.any(0)).tolist()
        if len(roots) == 1:
            placed[:, roots] = True
        valid &= placed
    elif stored is None and "vertices" in theirs.keys:
        valid &= theirs.keys["vertices"].reshape(theirs.count, -1).any(1, keepdims=True)
    rooted = np.ones(theirs.count, bool)
    if whole:
        rooted, valid = valid[:, PELVIS] | (stored is None), valid[:, SCORED]
    rows = found & rooted & (valid.sum(1) >= LEAST_JOINTS)
    notes = []
    if text := rows_that(found & ~rows, "targets were left out"):
        notes.append(
            f"{text}: fewer than {LEAST_JOINTS} joints count, or the pelvis does not, on which 17 are centered"
        )
    if not rows.any():
        raise BadInput(f"{theirs.path}: no row can be scored; {notes[0]}")
    names = SCORED_NAMES if joints == len(SCORED) else list(map(str, range(joints)))
    return valid, rows, notes + absent_joints(valid[rows], names)


def _finite(side: Side, needed: NDArray[np.bool_]) -> Side:
    """Returns a side whose values that are not needed are zero where they are not finite.

    Raises:
        BadInput: a value that is needed is not finite.
    """
    keys = dict(side.keys)
    rows = needed.any(1)
    for name in [name for name in ("joints3d", "root", "vertices", "pose", "betas") if name in keys]:
        finite = np.isfinite(keys[name]).all(-1)
        used = np.broadcast_to(rows.reshape(-1, *[1] * (finite.ndim - 1)), finite.shape)
        if name == "joints3d" and side.is_whole:
            used = np.zeros(finite.shape, bool)
            used[:, SCORED], used[:, PELVIS] = needed, rows
        elif name == "joints3d":
            used = needed
        if (bad := used & ~finite).any():
            raise side.refused(
                name,
                f", row {np.argwhere(bad)[0][0]} holds values that are not finite; leave joints out with valid (N, J) "
                "in the targets, and people that a system missed with --allow-missed",
            )
        if not finite.all():
            keys[name] = np.where(finite[..., None], keys[name], 0)
    return replace(side, keys=keys)


def _score_rows(
    ours: Side, theirs: Side, protocol: Protocol, bodies: Bodies, mask: Tensor | None
) -> tuple[Tensor, Tensor, dict[str, NDArray[np.float64]]]:
    """Returns the scored joints (N, J, 3) in mm of both sides, and metric -> (N,)."""
    names = [name for name in protocol.metrics if METRICS[name].of == "joints"]
    our_joints, their_joints, parts = [], [], []
    for start in range(0, theirs.count, _ROWS):
        rows = slice(start, start + _ROWS)
        given, target = (_target(side, rows) if bodies else Target() for side in (ours, theirs))
        vertices = target_vertices(protocol._replace(roles={}), bodies, given)  # of the neutral body
        wanted = target_vertices(protocol, bodies, target)
        our_joints.append(_joints(ours, rows, bodies, vertices))
        their_joints.append(_joints(theirs, rows, bodies, wanted))
        part = measure(names, our_joints[-1], their_joints[-1], None if mask is None else mask[rows])
        if vertices is not None and wanted is not None:
            mesh = Mesh(vertices, given.rotmat, given.betas)
            part |= measure(["pve"], *scored_vertices(protocol, bodies, mesh, target, wanted))
        parts.append(part)
    per_sample = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    return torch.cat(our_joints), torch.cat(their_joints), per_sample


def _target(side: Side, rows: slice) -> Target:
    """Returns the bodies of some rows in float32: parameters if there are any, else vertices."""
    if "pose" in side.keys:
        pose, betas = (torch.from_numpy(side.keys[key][rows]).float() for key in ("pose", "betas"))
        gender = side.keys["gender"][rows].tolist() if "gender" in side.keys else None
        return Target(rotmat_from_pose(pose), betas, gender)
    if "vertices" in side.keys:
        return Target(vertices=torch.from_numpy(side.keys["vertices"][rows]).float())
    return Target()


def _joints(side: Side, rows: slice, bodies: Bodies, vertices: Tensor | None) -> Tensor:
    """Returns (B, J, 3) mm: the stored joints, else those of meshes."""
    if "joints3d" not in side.keys:
        assert vertices is not None  # a file has one or the other
        return scored_joints(bodies, vertices)
    stored = torch.from_numpy(side.keys["joints3d"][rows])
    if side.is_whole:
        return select_joints(stored)
    if "root" in side.keys:
        stored = stored - torch.from_numpy(side.keys["root"][rows])[:, None]
    return 1000 * stored.double()
