"""Errors of a network over a test set: of bodies by a protocol, resumable, on one process or many, and of heatmaps."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hmrcli.algorithms.pose import peaks
from hmrcli.assets.npz import read_npz
from hmrcli.body import BodyModel
from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations, spread
from hmrcli.data.crop import crop_affine, square_around, transform_points
from hmrcli.distributed import gathered, made_everywhere, rank_and_size
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation.metrics import align_similarity
from hmrcli.evaluation.protocols import SCORED, Surface, Target, mesh_of, points, score
from hmrcli.evaluation.samples import Samples, check_finite_rows, outputs
from hmrcli.evaluation.targets import hints, labelled_joints
from hmrcli.files import whole_file
from hmrcli.layers import Prediction
from hmrcli.recipe.protocols import Protocol

SAVE_EVERY = 30.0
"""Seconds between saves of what is done so far."""
_LOOKED_AT = 32
"""Rows that are looked at for wrong conventions."""
THRESHOLDS = (5, 10)
"""Of the PCK of heatmaps' joints, percent of the box's side (Yang and Ramanan, PAMI 2013)."""

Values = NDArray[np.float64]
"""(N, surfaces, metrics + 2 * 14) of N rows: each metric, then each joint's distance as it is and aligned."""


class Errors(NamedTuple):
    """Errors of N samples for one mesh of a network."""

    surface: Surface | None
    """Mesh in question, where a network has two."""
    metrics: dict[str, NDArray[np.float64]]
    """metric -> (N,)"""
    joints: NDArray[np.float32]
    joints_aligned: NDArray[np.float32]
    """(N, 14) mm from the target joints: from the pelvis, after one similarity; NaN where the target has none."""


class Evaluated(NamedTuple):
    """Rows of a test set, in order, and their errors for each mesh."""

    rows: NDArray[np.int64]
    errors: list[Errors]


def evaluate(
    network: nn.Module,
    samples: Samples,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    surfaces: Sequence[Surface | None] = (None,),
    *,
    batch_size: int = 64,
    workers: int = 0,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    unfinished: Path | None = None,
    signature: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluated | None:
    """Computes the errors of a network's bodies on a test set; None for all processes but the first.

    Under torchrun each process takes every n-th row, so that no row is counted twice; where one cannot, all end.

    Args:
        network: in evaluation mode, on its device.
        bodies: of the protocol, on the same device.
        rows: to evaluate; all of them when not given.
        unfinished: folder in which finished rows are kept, and from which an interrupted evaluation goes on.
        signature: of everything the errors depend on; kept rows of another are not used.
        progress: called with the rows that are done, and all of this process.

    Raises:
        BadInput: an image cannot be read, or an answer is not finite.
    """
    rank, size = rank_and_size()
    every = np.arange(len(samples.annotations)) if rows is None else np.sort(np.asarray(rows, np.int64))
    mine = every[rank::size]
    saved = unfinished and unfinished / f"{rank}-of-{size}.npz"

    def own_values() -> tuple[NDArray[np.int64], Values]:
        done = {} if saved is None else _load(saved, signature)
        table = {row: done[row] for row in mine.tolist() if row in done}
        progress(len(table), len(mine))
        left, last = [row for row in mine.tolist() if row not in table], time.monotonic()
        try:
            for numbers, prediction in outputs(network, samples, left, batch_size, workers):
                targets = samples.annotations[numbers]
                check_finite_rows(prediction.vertices, targets)
                with torch.inference_mode():
                    values = _values(prediction, targets, protocol, bodies, surfaces)
                table |= zip(numbers.tolist(), values)
                progress(len(table), len(mine))
                if saved and time.monotonic() - last > SAVE_EVERY:
                    _save(saved, signature, table)
                    last = time.monotonic()
        finally:  # what is done is kept, whatever ended it
            if saved and table:
                _save(saved, signature, table)
        shape = (len(mine), len(surfaces), len(protocol.network_metrics) + 2 * len(SCORED))
        return mine, np.array([table[row] for row in mine.tolist()]).reshape(shape)  # of no rows, too

    parts = gathered(made_everywhere(own_values))
    if parts is None:
        return None
    found, values = (np.concatenate(each) for each in zip(*parts))
    order = np.argsort(found)
    return Evaluated(found[order], _errors(values[order], protocol, surfaces))


def seen_wrong(
    network: nn.Module,
    samples: Samples,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    rows: NDArray[np.int64],
    surface: Surface | None = None,
) -> list[str]:
    """Returns notes on joints that another convention would fit much better, from a few of the rows (see `hints`)."""
    few = rows[spread(len(rows), _LOOKED_AT)]
    numbers, prediction = next(outputs(network, samples, few.tolist(), _LOOKED_AT))
    with torch.inference_mode():
        target = target_of(samples.annotations[numbers], protocol, prediction.vertices.device)
        compared = points(protocol, bodies, mesh_of(prediction, surface), target)
    return hints(compared.joints, compared.target_joints, compared.valid)


def target_of(targets: Annotations, protocol: Protocol, device: torch.device) -> Target:
    """Returns what a protocol compares with of annotated rows."""
    if protocol.targets == "joints3d":
        keypoints = targets.select("h36m").keypoints3d
        assert keypoints is not None  # checked before anything was computed
        valid = torch.from_numpy(labelled_joints(keypoints)).to(device)
        return Target(joints3d=torch.from_numpy(keypoints[..., :3].copy()).to(device), valid=valid)
    pose, betas = (torch.from_numpy(np.asarray(v)).to(device) for v in (targets.pose, targets.betas))
    return Target(rotmat_from_pose(pose), betas, gender=targets.gender.tolist())


def _values(
    prediction: Prediction,
    targets: Annotations,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    surfaces: Sequence[Surface | None],
) -> Values:
    target = target_of(targets, protocol, prediction.vertices.device)
    parts = []
    for surface in surfaces:
        compared = points(protocol, bodies, mesh_of(prediction, surface), target)
        metrics = score(protocol, compared)
        aligned = align_similarity(compared.joints, compared.target_joints, compared.valid)
        absent = torch.zeros(()) if compared.valid is None else torch.where(compared.valid, 0, torch.nan)
        moves = [joints - compared.target_joints for joints in (compared.joints, aligned)]
        distances = [(move.norm(dim=-1) + absent).double().cpu() for move in moves]
        means = torch.stack([metrics[name] for name in protocol.network_metrics], 1)
        parts.append(torch.cat([means, *distances], 1))
    return torch.stack(parts, 1).numpy()


def _errors(values: Values, protocol: Protocol, surfaces: Sequence[Surface | None]) -> list[Errors]:
    names = protocol.network_metrics
    errors = []
    for number, surface in enumerate(surfaces):
        joints, aligned = np.split(values[:, number, len(names) :].astype(np.float32), 2, axis=1)
        metrics = {name: values[:, number, place] for place, name in enumerate(names)}
        errors.append(Errors(surface, metrics, joints, aligned))
    return errors


def _load(saved: Path, signature: str) -> dict[int, Values]:
    try:
        stored = read_npz(saved, ("signature", "rows", "values"))
    except (BadInput, MissingFile):  # absent or damaged: begin anew
        return {}
    rows = stored["rows"].tolist() if stored["signature"] == signature else []
    return dict(zip(rows, stored["values"]))


def _save(saved: Path, signature: str, table: Mapping[int, Values]) -> None:
    content: dict[str, Any] = {"signature": signature, "rows": list(table), "values": list(table.values())}
    with whole_file(saved) as temporary:
        np.savez(temporary, **content)


def check_labels(annotations: Annotations, path: Path) -> None:
    """Raises BadInput where no row has one of COCO's 2D joints."""
    keypoints = annotations.select("coco_17").keypoints2d
    if keypoints is None or not (keypoints[..., 2] > 0).any():
        raise BadInput(
            f"{path}: none of {len(annotations)} rows has 2D joints, by which heatmaps are measured; name another "
            "test set with evaluation.annotations"
        )


def keypoint_errors(
    network: nn.Module, samples: Samples, rows: Sequence[int], workers: int = 0
) -> NDArray[np.float64]:
    """Returns the distances (N,) of heatmaps' peaks from the N joints that the rows label, percent of the box's side.

    Args:
        network: maps crops to heatmaps; in evaluation mode, on its device.
        samples: annotations with COCO's 17 joints.

    Raises:
        BadInput: an image is missing or cannot be decoded.
    """
    annotations = samples.annotations.select("coco_17")
    assert annotations.keypoints2d is not None
    found = [np.empty(0)]
    for numbers, heatmaps in outputs(network, samples, rows, workers=workers):
        check_finite_rows(heatmaps, annotations[numbers])
        with torch.inference_mode():
            places = peaks(heatmaps)[0].double().cpu().numpy() * (CROP_SIZE / heatmaps.shape[-1])
        affine = crop_affine(*square_around(annotations.bbox_xywh[numbers]))
        targets = transform_points(annotations.keypoints2d[numbers].astype(float), affine)
        distances = np.linalg.norm(places - targets[..., :2], axis=-1) * (100 / CROP_SIZE)
        found.append(distances[targets[..., 2] > 0])
    return np.concatenate(found)


def keypoint_metrics(errors: NDArray[np.float64]) -> dict[str, float]:
    """Returns the mean of errors, and the share of them below each threshold, all in percent."""
    shares = {f"pck{limit}_percent": 100 * float((errors < limit).mean()) for limit in THRESHOLDS}
    return {"error_percent": float(errors.mean()), **shares}
