"""Scores arrays that any system wrote: predictions and targets as two .npz files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.assets.data_root import data_root
from hmrcli.body import BodyModel
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.errors import BadInput
from hmrcli.evaluation.array_files import Matched, Side, matched, read_side
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
from hmrcli.evaluation.truth import LEAST_JOINTS, absent_joints, check_genders, check_radians, hints

ARRAYS = Protocol(
    name="arrays",
    title="arrays as given",
    bodies={},
    roles={},
    truth="joints3d",
    centre=H36M.names.index("pelvis"),
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
_CENTRED, _APART = 0.25, 1.0
"""Metres between the hips of people who have one root, and of people who surely have not."""
_LEGS = [H36M.names.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee")]
_THIGH = 0.15
"""Metres; that of a small child is longer."""


@dataclass(frozen=True)
class ArrayScores:
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
) -> ArrayScores:
    """Scores the rows of one file against those of another; `array_files.KEYS` says what they hold.

    Where a file has both joints and a mesh, its joints are the stored ones.

    Args:
        predictions: .npz of the system that is scored.
        targets: .npz of the truth.
        protocol: says which bodies meshes and parameters belong to; without one, only joints3d is scored.
        root: the data root, where the protocol's bodies are read; only meshes and parameters need them.
        allow_missed: targets without a prediction are counted, not refused.

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
        if "pose" in side.keys:
            check_radians(side.keys["pose"], f"{side.path}: key pose")
    if protocol.roles and "pose" in theirs.keys and "gender" not in theirs.keys:
        raise BadInput(
            f"{targets}: key gender is missing; protocol {protocol.name} makes the true body from it"
        )
    joints = [_scored(side, protocol) for side in (ours, theirs)]
    if joints[0] != joints[1]:
        raise BadInput(
            f"{predictions} gives {joints[0]} joints and {targets} gives {joints[1]}; both must give the same"
        )
    pairs = matched(ours, theirs, allow_missed)
    ours, notes = pairs.side, _recall(pairs) if allow_missed else []
    if pairs.spare and not allow_missed:
        notes.append(f"{pairs.spare} predictions have no target and were left out")
    valid, counts, said = _counting(theirs, pairs.found, protocol)
    notes += said
    if protocol.roles and "pose" in theirs.keys:
        check_genders(theirs.keys["gender"][counts], protocol, f"{targets}: key gender")
    needed = np.broadcast_to(counts[:, None], valid.shape) & valid
    ours, theirs = (_finite(side, needed, protocol) for side in (ours, theirs))
    notes += _placed(ours, theirs, counts, protocol)
    bodies: Bodies = {}
    if protocol.bodies and any(side.has_mesh for side in (ours, theirs)):
        bodies = load_bodies(protocol, data_root(root))
        for side in (ours, theirs):
            _check_mesh(side, protocol, bodies["neutral"])
    mask = None if needed.all() else torch.from_numpy(needed)
    (our_joints, their_joints), per_sample = _score_rows(ours, theirs, protocol, bodies, mask)
    sequence, frame = theirs.keys.get("sequence"), theirs.keys.get("frame")
    if sequence is not None or frame is not None:
        try:
            accel = accel_error(our_joints, their_joints, mask, sequence=sequence, frame=frame)
        except BadInput as error:
            raise BadInput(f"{targets}: key {error}") from None
        per_sample["accel"] = accel.numpy()
    for values in per_sample.values():
        values[~counts] = np.nan
    if our_joints.shape[1] != len(protocol.joints):
        notes.append(
            f"{our_joints.shape[1]} joints were scored, not the {len(protocol.joints)} of the benchmarks"
        )
    notes += hints(our_joints, their_joints, mask)
    details: dict[str, Any] = {"targets": theirs.count, "rows_left_out": int((pairs.found & ~counts).sum())}
    if allow_missed:
        details |= {"missed": int((~pairs.found).sum()), "spare_predictions": pairs.spare}
    return ArrayScores(
        summarise(protocol, per_sample, groups=sequence, notes=notes),
        per_sample,
        {key: theirs.keys[key] for key in ("image", "id") if key in theirs.keys},
        details,
    )


def _scored(side: Side, protocol: Protocol) -> int:
    """The joints that a side gives to be scored."""
    joints = side.keys.get("joints3d")
    return len(protocol.joints) if joints is None or joints.shape[1] == len(H36M.names) else joints.shape[1]


def _recall(pairs: Matched) -> list[str]:
    """How many people were found, as AGORA states it beside errors (Patel et al., CVPR 2021)."""
    found, count = int(pairs.found.sum()), len(pairs.found)
    recall, precision = found / count, found / (found + pairs.spare)
    score = 2 * recall * precision / (recall + precision)
    return [
        f"{found} of {count} targets have a prediction: recall {100 * recall:.1f} %, precision "
        f"{100 * precision:.1f} % ({pairs.spare} predictions have no target), F1 {score:.3f}. Errors are of those "
        "found alone; AGORA's NMJE is MPJPE divided by F1"
    ]


def _counting(
    theirs: Side, found: NDArray[np.bool_], protocol: Protocol
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """Which scored joints (N, J) have a truth, which rows (N,) count, and notes on those that do not."""
    stored = theirs.keys.get("joints3d")
    whole = stored is None or stored.shape[1] == len(H36M.names)
    joints = _scored(theirs, protocol)
    rooted, chosen = np.ones(theirs.count, bool), list(protocol.joints)
    valid = np.ones((theirs.count, len(H36M.names) if whole else joints), bool)
    for name in ("valid", "confidence"):
        if name not in theirs.keys:
            continue
        flags = theirs.keys[name] > 0
        if whole and flags.shape[1] == len(protocol.joints):
            valid[:, chosen] &= flags
        elif flags.shape[1] == valid.shape[1]:
            valid &= flags
        else:
            raise BadInput(f"{theirs.path}: key {name} has {flags.shape[1]} joints, expected {joints}")
    if stored is not None and joints == len(protocol.joints):
        # No joint but the root lies at the very origin: such places were not filled in.
        placed = (stored != 0).any(-1)
        roots = np.flatnonzero(~placed.any(0)) if not whole else [protocol.centre]
        if len(roots) == 1:
            placed[:, roots] = True
        valid &= placed
    elif stored is None and "vertices" in theirs.keys:
        valid &= theirs.keys["vertices"].reshape(theirs.count, -1).any(1, keepdims=True)
    if whole:
        rooted, valid = valid[:, protocol.centre] | (stored is None), valid[:, chosen]
    counts = found & rooted & (valid.sum(1) >= LEAST_JOINTS)
    notes = []
    if left := np.flatnonzero(found & ~counts).tolist():
        notes.append(
            f"{len(left)} of {theirs.count} targets were left out, first row {left[0]}: fewer than {LEAST_JOINTS} "
            "joints count, or the pelvis does not, on which 17 are centred"
        )
    if not counts.any():
        raise BadInput(f"{theirs.path}: no row can be scored; {notes[0]}")
    names = [H36M.names[joint] for joint in chosen] if joints == len(chosen) else map(str, range(joints))
    return valid, counts, notes + absent_joints(valid[counts], list(names))


def _finite(side: Side, needed: NDArray[np.bool_], protocol: Protocol) -> Side:
    """A side whose values that are not needed are zero where they are not finite.

    Args:
        needed: (N, J) the scored joints that count.

    Raises:
        BadInput: a value that is needed is not finite.
    """
    keys = dict(side.keys)
    for name in ("joints3d", "root", "vertices", "pose", "betas"):
        if name not in keys:
            continue
        rows = needed.any(1).reshape(-1, *[1] * (keys[name].ndim - 2))
        used = np.broadcast_to(rows, keys[name].shape[:-1])
        if name == "joints3d" and keys[name].shape[1] == needed.shape[1]:
            used = needed
        elif name == "joints3d" and keys[name].shape[1] == len(H36M.names):
            used = np.zeros(keys[name].shape[:2], bool)
            used[:, list(protocol.joints)], used[:, protocol.centre] = needed, needed.any(1)
        finite = np.isfinite(keys[name]).all(-1)
        if (bad := used & ~finite).any():
            raise BadInput(
                f"{side.path}: key {name}, row {np.argwhere(bad)[0][0]} holds values that are not finite; leave "
                "joints out with valid (N, J) in the targets, and people that a system missed with --allow-missed"
            )
        if not finite.all():
            keys[name] = np.where(finite[..., None], keys[name], 0)
    return replace(side, keys=keys)


def _placed(ours: Side, theirs: Side, counts: NDArray[np.bool_], protocol: Protocol) -> list[str]:
    """Notes on where the joints of both sides are centred.

    Raises:
        BadInput: the protocol's joints are not there, or one side is not centred where the other, or the protocol, is.
    """
    centred, notes, middles = [], [], []
    for side in (ours, theirs):
        joints = side.keys.get("joints3d")
        centred.append(joints is None or joints.shape[1] == len(H36M.names) or "root" in side.keys)
        if side is ours and ({"valid", "confidence"} & side.keys.keys()):
            notes.append(f"valid and confidence of {side.path} are not used: every predicted joint counts")
        if joints is None:
            continue
        if protocol.bodies and joints.shape[1] not in (len(H36M.names), len(protocol.joints)):
            raise BadInput(
                f"{side.path}: key joints3d has {joints.shape[1]} joints, and the {protocol.name} protocol scores "
                f"{len(protocol.joints)}; store those or Human3.6M's 17, or leave --protocol away"
            )
        if joints.shape[1] == len(H36M.names):
            legs = joints[counts & (joints[:, _LEGS] != 0).any(-1).all(1)]
            thighs = np.linalg.norm(legs[:, _LEGS[::2]] - legs[:, _LEGS[1::2]], axis=-1)
            middle = np.linalg.norm(legs[:, _LEGS[::2]].mean(1) - legs[:, protocol.centre], axis=-1)
            if len(legs) and (np.median(middle) > _CENTRED or np.median(thighs, 0).min() < _THIGH):
                notes.append(
                    f"joints 0 to 6 of {side.path} do not lie as the pelvis and legs of Human3.6M's 17: joint 0 was "
                    "taken as the pelvis, look at the order of joints (COCO's 17 have no pelvis)"
                )
        if not centred[-1]:
            middles.append(joints[counts].mean(1))
    if protocol.bodies or any(centred):
        places = [_hips(side, protocol)[counts] for side in (ours, theirs)]
        apart = float(np.median(np.linalg.norm(places[0] - places[1], axis=-1)))
        known = _scored(ours, protocol) == len(protocol.joints)
        stored = [
            (float(np.median(np.linalg.norm(hips, axis=-1))), side.path)
            for side, done, hips in zip((ours, theirs), centred, places)
            if not done
        ]
        for away, path in sorted(stored, reverse=True):
            if known and (away > _APART or apart > _CENTRED):
                raise BadInput(
                    f"{path}: key joints3d has 14 joints, without their pelvis, and the hips lie {away:.2f} m from "
                    f"the origin and {apart:.2f} m from the other file's in the median: they are not centred on the "
                    "pelvis. Store root (N,3), the pelvis of each row, or Human3.6M's 17 joints"
                )
            notes.append(
                f"the joints of {path} are without root and were scored as stored"
                + (f": their hips lie {100 * away:.0f} cm from the origin in the median" if known else "")
            )
    if len(middles) == 2:
        away = float(np.median(np.linalg.norm(middles[0] - middles[1], axis=-1)))
        if away > _APART:
            notes.append(
                f"nothing centres the two files, and their people stand {away:.2f} m apart in the median, which "
                "MPJPE counts; store root (N,3) in both to compare them from there"
            )
    return notes


def _hips(side: Side, protocol: Protocol) -> NDArray[np.float64]:
    """(N, 3) the middle between the hips from the root, metres; zeros where the joints are not known."""
    joints = side.keys.get("joints3d")
    if joints is None or joints.shape[1] not in (len(H36M.names), len(protocol.joints)):
        return np.zeros((side.count, 3))
    hips = [H36M.names.index(name) for name in ("left_hip", "right_hip")]
    if joints.shape[1] == len(H36M.names):
        return joints[:, hips].mean(1) - joints[:, protocol.centre]
    return joints[:, [protocol.joints.index(joint) for joint in hips]].mean(1) - side.keys.get("root", 0)


def _check_mesh(side: Side, protocol: Protocol, body: BodyModel) -> None:
    if "vertices" in side.keys and (found := side.keys["vertices"].shape[1]) != body.num_vertices:
        raise BadInput(
            f"{side.path}: key vertices has {found} vertices, expected {body.num_vertices} of the {body.name} "
            f"body, which the {protocol.name} protocol takes"
        )


def _score_rows(
    ours: Side, theirs: Side, protocol: Protocol, bodies: Bodies, mask: Tensor | None
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
        part = measure(names, found, wanted, None if mask is None else mask[rows])
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
    if stored.shape[1] == len(H36M.names):
        return select_joints(protocol, stored)
    if "root" in side.keys:
        stored = stored - torch.from_numpy(side.keys["root"][rows])[:, None]
    return 1000 * stored.double()
