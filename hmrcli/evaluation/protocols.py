"""Steps of a protocol: from a network's output and a target to errors, and to the result of a test set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.assets.data_root import BODY_MODELS
from hmrcli.assets.registry import find_asset
from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M
from hmrcli.errors import BadInput
from hmrcli.evaluation.interval import Aggregate, aggregate
from hmrcli.evaluation.metrics import METRICS, measure
from hmrcli.layers import Prediction
from hmrcli.recipe.protocols import Protocol

Surface = Literal["parametric", "free"]

SCORED = list(EVALUATION_14_FROM_H36M)
"""Rows of the regressor that are scored, in this order."""
SCORED_NAMES = [H36M.names[row] for row in SCORED]
PELVIS = H36M.names.index("pelvis")
"""Row of the regressor on which both sides are centered before joints are compared."""
Bodies = Mapping[str, BodyModel]


class Mesh(NamedTuple):
    """Predicted bodies: the mesh (B, V, 3) in metres, and rotmat (B, 24, 3, 3) and betas (B, 10) where it has them."""

    vertices: Tensor
    rotmat: Tensor | None = None
    betas: Tensor | None = None


class Target(NamedTuple):
    """Bodies to compare with, as `Mesh` has them, or joints; parameters count before a mesh, and that before joints."""

    rotmat: Tensor | None = None
    betas: Tensor | None = None
    gender: Sequence[str] | None = None
    """B words, such as m or f; needed with the parameters where a protocol tells genders apart."""
    vertices: Tensor | None = None
    joints3d: Tensor | None = None
    valid: Tensor | None = None
    """(B, 17, 3) metres, as `joints.H36M.names`, and (B, 17) bool, those that count; the pelvis must."""


class Points(NamedTuple):
    """Points that metrics compare: joints (B, 14, 3), and vertices (B, V, 3) where the target has a mesh, in mm."""

    joints: Tensor
    target_joints: Tensor
    vertices: Tensor | None = None
    target_vertices: Tensor | None = None
    valid: Tensor | None = None
    """(B, 14) bool, the joints that count; None where all do."""


def load_bodies(protocol: Protocol, root: Path, device: torch.device | str = "cpu") -> dict[str, BodyModel]:
    """Loads the bodies of a protocol by role.

    Raises:
        MissingFile: a body is not there; the message says how to obtain it.
    """
    bodies = {}
    for role, name in protocol.bodies.items():
        source = name if name == "open" else find_asset(name, root)
        bodies[role] = load_body(source, assets_dir=root / BODY_MODELS).to(device)
    return bodies


def mesh_of(prediction: Prediction, surface: Surface | None = None) -> Mesh:
    """Returns the mesh of a prediction that is scored.

    Args:
        surface: for networks with both, the mesh of the body model ("parametric") or the one that was predicted
            vertex by vertex ("free"). By default the first, if there is one.

    Raises:
        ValueError: the network has no such mesh.
    """
    if surface is None:
        surface = "free" if prediction.rotmat is None else "parametric"
    if surface == "parametric":
        if prediction.rotmat is None:
            raise ValueError("this network predicts no parameters of a body")
        return Mesh(prediction.vertices, prediction.rotmat, prediction.betas)
    if prediction.mesh_levels is not None:
        return Mesh(prediction.mesh_levels[-1])
    if prediction.rotmat is not None:
        raise ValueError("this network predicts no mesh vertex by vertex")
    return Mesh(prediction.vertices)


def _millimetres(metres: Tensor) -> Tensor:
    """Converts to double precision, on the CPU where the device has none."""
    return 1000 * (metres.cpu() if metres.device.type == "mps" else metres).double()


def select_joints(joints17: Tensor) -> Tensor:
    """Reduces (B, 17, 3) metres to the scored joints (B, 14, 3) in mm, from the pelvis."""
    joints = _millimetres(joints17)
    return (joints - joints[:, PELVIS, None])[:, SCORED]


def points(protocol: Protocol, bodies: Bodies, mesh: Mesh, target: Target) -> Points:
    """Returns what a protocol compares, of a batch; `bodies` are on the device of its tensors.

    Raises:
        BadInput: the target lacks what the protocol needs, or a mesh has another number of vertices.
    """
    joints, wanted = scored_joints(bodies, mesh.vertices), target_vertices(protocol, bodies, target)
    if wanted is not None:
        meshes = scored_vertices(protocol, bodies, mesh, target, wanted)
        return Points(joints, scored_joints(bodies, wanted), *meshes)
    if target.joints3d is None:
        raise BadInput(f"target: the {protocol.name} protocol needs {protocol.targets}")
    valid = None
    if target.valid is not None and not (chosen := target.valid[:, SCORED]).all():
        valid = chosen.to(joints.device)
    return Points(joints, select_joints(target.joints3d), valid=valid)


def scored_joints(bodies: Bodies, vertices: Tensor) -> Tensor:
    """Regresses from meshes (B, V, 3) in metres their scored joints (B, 14, 3) in mm, from the pelvis."""
    neutral = bodies["neutral"]
    return select_joints(_h36m_joints(neutral, _of_body(neutral, vertices)))


def _h36m_joints(body: BodyModel, vertices: Tensor) -> Tensor:
    """Computes `body.h36m_joints` from the few vertices that count there, a fiftieth of all."""
    used = body.h36m_regressor.any(0).nonzero()[:, 0]
    return body.h36m_regressor[:, used] @ vertices[:, used]


def scored_vertices(
    protocol: Protocol, bodies: Bodies, mesh: Mesh, target: Target, wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the meshes (B, V, 3) in mm that PVE compares: predicted, and `wanted`, the `target_vertices`."""
    ours = mesh.vertices
    if mesh.rotmat is None or mesh.betas is None or target.rotmat is None:
        neutral = bodies["neutral"]
        ours, wanted = (v - _h36m_joints(neutral, v)[:, PELVIS, None] for v in (ours, wanted))
    elif protocol.roles:
        ours = _posed(protocol, bodies, mesh.rotmat, mesh.betas, target.gender)
    return _millimetres(ours), _millimetres(wanted)


def target_vertices(protocol: Protocol, bodies: Bodies, target: Target) -> Tensor | None:
    """Returns target meshes (B, V, 3) in metres, of the body of the labelled gender where there are parameters."""
    if target.rotmat is not None and target.betas is not None:
        return _posed(protocol, bodies, target.rotmat, target.betas, target.gender)
    if target.vertices is not None:
        return _of_body(bodies["neutral"], target.vertices)
    return None


def _of_body(body: BodyModel, vertices: Tensor) -> Tensor:
    if vertices.shape[1:] != (body.num_vertices, 3):
        raise BadInput(
            f"vertices: mesh of shape {tuple(vertices.shape[1:])}, expected ({body.num_vertices}, 3) of the "
            f"{body.name} body; choose the protocol of the body that it belongs to"
        )
    return vertices.to(body.v_template)


def _posed(
    protocol: Protocol, bodies: Bodies, rotmat: Tensor, betas: Tensor, gender: Sequence[str] | None
) -> Tensor:
    """Poses meshes (B, V, 3) in metres, each row by the body of its gender."""
    if not protocol.roles:
        return bodies["neutral"](rotmat, betas).vertices
    roles = [protocol.roles.get(word[:1].lower()) for word in gender or ()]
    if gender is None or None in roles:
        found = f", not {gender[roles.index(None)]!r}" if gender else ""
        raise BadInput(f"target: the {protocol.name} protocol needs a gender, m or f, of each row{found}")
    vertices = rotmat.new_empty((len(rotmat), bodies["neutral"].num_vertices, 3), dtype=torch.float32)
    for role in filter(None, set(roles)):
        rows = torch.tensor([i for i, r in enumerate(roles) if r == role], device=rotmat.device)
        vertices[rows] = bodies[role](rotmat[rows], betas[rows]).vertices
    return vertices


def score(protocol: Protocol, compared: Points) -> dict[str, Tensor]:
    """Computes the protocol's metrics of a batch: name -> (B,) float64 on the CPU; PVE only where there are meshes."""
    of_joints, of_vertices = (
        [name for name in protocol.metrics if METRICS[name].of == of] for of in ("joints", "vertices")
    )
    results = measure(of_joints, compared.joints, compared.target_joints, compared.valid)
    if compared.vertices is not None and compared.target_vertices is not None:
        results |= measure(of_vertices, compared.vertices, compared.target_vertices)
    return {name: results[name].cpu() for name in protocol.metrics if name in results}


class Report(NamedTuple):
    """A result: mean and interval of each metric, and what must be read with them."""

    protocol: Protocol
    surface: Surface | None
    samples: int
    metrics: dict[str, Aggregate]
    notes: tuple[str, ...]

    def as_score(self) -> dict[str, Any]:
        """Returns surface and metrics as files of results hold them: name with unit -> value, low, high."""
        estimates = {
            METRICS[name].key: {"value": found.mean, "low": found.low, "high": found.high}
            for name, found in self.metrics.items()
        }
        return {"surface": self.surface, "metrics": estimates}


def summarise(
    protocol: Protocol,
    scores: Mapping[str, Tensor | NDArray[np.float64]],
    *,
    surface: Surface | None = None,
    groups: NDArray[Any] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Returns the result of a whole test set.

    Args:
        scores: metric -> (N,), the batches of `score` joined; a row without any value, NaN, is no sample.
        groups: (N,) the sequence of each sample, for the interval (see `aggregate`).
        notes: more that must be read with the figures.
    """
    counts = {name: int((~np.isnan(np.asarray(values))).sum()) for name, values in scores.items()}
    samples, expected, remarks = max(counts.values()), protocol.expected_samples, list(notes)
    if expected is not None and samples != expected:
        remarks.append(
            f"{samples} samples were scored, the published figures are over {expected}: "
            "the means are not over the same set"
        )
    remarks += [f"{name}: no sample has a value" for name, count in counts.items() if not count]
    metrics = {name: aggregate(values, groups) for name, values in scores.items() if counts[name]}
    if any(found.drawn == 1 for found in metrics.values()):
        remarks.append("all samples are of one sequence, so that the intervals say nothing")
    return Report(protocol, surface, samples, metrics, tuple(remarks))
