"""Errors between predicted and true points, one number per sample.

Points are (N, P, 3) in millimetres, numpy or torch; a metric returns (N,) float64 of the kind of `pred`. Joint
metrics take an optional mask (N, P) of the points that count; a sample without any is NaN and left out of
means. Wrong shapes, and values that are not finite where points count, raise BadInput.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.errors import BadInput
from hmrcli.evaluation.alignment import align_similarity

Array = TypeVar("Array", Tensor, NDArray[Any])
Mask = Tensor | NDArray[Any] | None

PCK_THRESHOLD = 150.0
"""Millimetres within which a joint counts as found (Mehta et al., 3DV 2017)."""
_AUC_THRESHOLDS = 5.0 * torch.arange(31, dtype=torch.float64)


def _distances(ours: Tensor, theirs: Tensor) -> Tensor:
    """Reduces (N, P, 3) to (N, P)."""
    return torch.linalg.vector_norm(ours - theirs, dim=-1)


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Reduces (N, P) to (N,), over the points that count."""
    return values.mean(1) if valid is None else (values * valid).sum(1) / valid.sum(1)


def _share_below(errors: Tensor, valid: Tensor | None, threshold: float = PCK_THRESHOLD) -> Tensor:
    return 100 * _mean((errors < threshold).to(errors), valid)


def _area_below(errors: Tensor, valid: Tensor | None) -> Tensor:
    reached = torch.bucketize(errors, _AUC_THRESHOLDS.to(errors), right=True)
    return 100 * _mean(1 - reached.to(errors) / len(_AUC_THRESHOLDS), valid)


class Metric(NamedTuple):
    """Points, their reduction to a number, and name and unit of a metric."""

    of: str
    """"joints" or "vertices"."""
    aligned: bool
    reduce: Callable[[Tensor, Tensor | None], Tensor]
    key: str
    """Name with unit, in files of results."""
    unit: str


METRICS = {
    "mpjpe": Metric("joints", False, _mean, "mpjpe_mm", "mm"),
    "pa_mpjpe": Metric("joints", True, _mean, "pa_mpjpe_mm", "mm"),
    "pve": Metric("vertices", False, _mean, "pve_mm", "mm"),
    "pa_pve": Metric("vertices", True, _mean, "pa_pve_mm", "mm"),
    "pck": Metric("joints", False, _share_below, "pck_percent", "%"),
    "pa_pck": Metric("joints", True, _share_below, "pa_pck_percent", "%"),
    "auc": Metric("joints", False, _area_below, "auc_percent", "%"),
    "pa_auc": Metric("joints", True, _area_below, "pa_auc_percent", "%"),
    "accel": Metric("joints", False, _mean, "accel_mm_per_frame2", "mm/frame²"),
}
"""Every metric by its short name; lower is better for lengths, higher for percentages."""


def measure(names: Collection[str], pred: Array, target: Array, valid: Mask = None) -> dict[str, Array]:
    """Computes several of METRICS, all but `accel`, by name; the points are checked and aligned once."""
    ours, theirs, mask = _checked(pred, target, valid)
    chosen = {name: METRICS[name] for name in names}
    distances = {
        aligned: _distances(align_similarity(ours, theirs, mask) if aligned else ours, theirs)
        for aligned in {metric.aligned for metric in chosen.values()}
    }
    return {name: _like(pred, m.reduce(distances[m.aligned], mask)) for name, m in chosen.items()}


def mpjpe(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes the mean per joint position error: (N, J, 3) mm to (N,) mm, of the points as they stand."""
    return measure(["mpjpe"], pred, target, valid)["mpjpe"]


def pa_mpjpe(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes MPJPE after `align_similarity`: (N, J, 3) mm to (N,) mm."""
    return measure(["pa_mpjpe"], pred, target, valid)["pa_mpjpe"]


def pve(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes the mean per vertex error: (N, V, 3) mm to (N,) mm, of the points as they stand."""
    return measure(["pve"], pred, target, valid)["pve"]


def pa_pve(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes PVE after `align_similarity`: (N, V, 3) mm to (N,) mm."""
    return measure(["pa_pve"], pred, target, valid)["pa_pve"]


def pck(pred: Array, target: Array, valid: Mask = None, *, threshold: float = PCK_THRESHOLD) -> Array:
    """Computes the percentage of joints nearer than `threshold` mm: (N, J, 3) mm to (N,) %."""
    ours, theirs, mask = _checked(pred, target, valid)
    return _like(pred, _share_below(_distances(ours, theirs), mask, threshold))


def pa_pck(pred: Array, target: Array, valid: Mask = None, *, threshold: float = PCK_THRESHOLD) -> Array:
    """Computes PCK after `align_similarity`: (N, J, 3) mm to (N,) %."""
    ours, theirs, mask = _checked(pred, target, valid)
    distances = _distances(align_similarity(ours, theirs, mask), theirs)
    return _like(pred, _share_below(distances, mask, threshold))


def auc(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes the mean of PCK over the thresholds 0, 5, ... 150 mm: (N, J, 3) mm to (N,) %."""
    return measure(["auc"], pred, target, valid)["auc"]


def pa_auc(pred: Array, target: Array, valid: Mask = None) -> Array:
    """Computes AUC after `align_similarity`: (N, J, 3) mm to (N,) %."""
    return measure(["pa_auc"], pred, target, valid)["pa_auc"]


def accel_error(
    pred: Array,
    target: Array,
    valid: Mask = None,
    *,
    sequence: NDArray[Any] | None = None,
    frame: NDArray[Any] | None = None,
) -> Array:
    """Computes the error of the joints' acceleration x[t-1] - 2 x[t] + x[t+1], mm per frame² (Kanazawa, CVPR 2019).

    A row without a neighbour on either side is NaN; a joint must count in all three frames.

    Args:
        sequence: (N,) name or number of the sequence (of one person) that a row belongs to; otherwise all rows
            are one sequence.
        frame: (N,) frame numbers; otherwise rows are in order. Where frames are missing, their neighbours have
            no value: the step is the smallest one in the data.
    """
    ours, theirs, mask = _checked(pred, target, valid)
    neighbours = _with_neighbours(len(ours), sequence, frame)
    order, middle = (torch.from_numpy(each).to(ours.device) for each in neighbours)
    moves = (ours - theirs)[order]
    values = torch.linalg.vector_norm(moves[:-2] - 2 * moves[1:-1] + moves[2:], dim=-1)
    if mask is not None:
        mask = mask[order]
        mask = mask[:-2] & mask[1:-1] & mask[2:]
    found = ours.new_full((len(ours),), torch.nan)
    found[order[1:-1][middle]] = _mean(values, mask)[middle]
    return _like(pred, found)


def _with_neighbours(
    count: int, sequence: NDArray[Any] | None, frame: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Returns rows in order of sequence and frame (N,), and which inner ones have both neighbours (N - 2,)."""
    for name, ids in (("sequence", sequence), ("frame", frame)):
        if ids is not None and np.shape(ids) != (count,):
            raise BadInput(f"{name}: has shape {np.shape(ids)}, expected one value for each of {count} rows")
    same = np.zeros(count) if sequence is None else np.asarray(sequence)
    belongs = np.unique(same, return_inverse=True)[1].reshape(-1)
    time = np.arange(count) if frame is None else np.asarray(frame)
    if time.dtype.kind not in "iu":
        raise BadInput(f"frame: has type {time.dtype}, expected whole numbers")
    order = np.lexsort((time, belongs))
    steps = np.diff(time[order].astype(np.int64))
    within = np.diff(belongs[order]) == 0
    if (repeated := np.flatnonzero(within & (steps == 0))).size:
        raise BadInput(f"frame: row {order[repeated[0] + 1]} repeats a frame of its sequence")
    regular = within
    if frame is not None:
        regular = within & (steps == steps[within].min(initial=np.iinfo(np.int64).max))
    return order, regular[:-1] & regular[1:]


def _checked(pred: Array, target: Array, valid: Mask) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns both as float64 of one shape (N, P, 3), and the mask as bool; points that do not count are zero."""
    ours, theirs = _points(pred, "pred"), _points(target, "target")
    theirs = theirs.to(ours.device)
    if ours.shape != theirs.shape:
        raise BadInput(f"pred and target: shapes {tuple(ours.shape)} and {tuple(theirs.shape)} differ")
    mask = None
    if valid is not None:
        mask = torch.as_tensor(valid, device=ours.device).bool()
        if mask.shape != ours.shape[:2]:
            raise BadInput(f"valid: has shape {tuple(mask.shape)}, expected {tuple(ours.shape[:2])}")
        ours, theirs = (torch.where(mask[..., None], points, 0) for points in (ours, theirs))
    for name, points in (("pred", ours), ("target", theirs)):
        if torch.isfinite(points.sum()):  # one pass, where to look at each takes ten times as long
            continue
        wrong = ~torch.isfinite(points).flatten(1).all(1)
        if wrong.any():
            raise BadInput(f"{name}: row {int(wrong.nonzero()[0])} holds values that are not finite")
    return ours, theirs, mask


def _points(value: Tensor | NDArray[Any], name: str) -> Tensor:
    if not isinstance(value, Tensor):
        value = np.asarray(value)
        if value.dtype.kind not in "fiu":
            raise BadInput(f"{name}: has type {value.dtype}, expected numbers")
        value = torch.from_numpy(np.require(value, np.float64, ["C", "W"]))
    if value.device.type == "mps":  # which has no double precision
        value = value.cpu()
    if value.ndim != 3 or value.shape[2] != 3 or value.shape[1] == 0:
        raise BadInput(f"{name}: has shape {tuple(value.shape)}, expected (N, points, 3)")
    if value.is_complex() or value.dtype == torch.bool:
        raise BadInput(f"{name}: has type {value.dtype}, expected numbers")
    return value.double()


def _like(given: Array, result: Tensor) -> Array:
    return result if isinstance(given, Tensor) else result.numpy()
