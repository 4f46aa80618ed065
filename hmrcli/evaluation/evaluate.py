"""A network over a test set: crops by several processes, errors by the protocol, resumable, on one process or many."""

import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hmrcli.algorithms.predict import predict, prediction_precision
from hmrcli.body import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import crop_people
from hmrcli.data.images import missing_images, read_bgr
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation.metrics import align_similarity
from hmrcli.evaluation.protocols import SCORED, Surface, Target, mesh_of, points, score
from hmrcli.evaluation.targets import Scorable, check_targets, hints, labelled_joints
from hmrcli.files import whole_file
from hmrcli.layers import Crops, Prediction
from hmrcli.recipe.algorithms import CropShape
from hmrcli.recipe.protocols import Protocol

SAVE_EVERY = 30.0
"""Seconds between saves of what is done so far."""
_LOOKED_AT = 32
"""Rows that are looked at for wrong conventions."""


class Samples(NamedTuple):
    """Samples to evaluate on."""

    annotations: Annotations
    folder: Path
    """Of the images."""
    crop_shape: CropShape
    """Of the pictures that a network sees."""


class Errors(NamedTuple):
    """Errors of N samples for one mesh of a network."""

    surface: Surface | None
    """Mesh in question, where a network has two."""
    metrics: dict[str, NDArray[np.float64]]
    """metric -> (N,)"""
    joints: NDArray[np.float32]
    """(N, 14) mm from the target joints, both from the pelvis; NaN where the target has none."""
    joints_aligned: NDArray[np.float32]
    """(N, 14) mm after one similarity per sample."""


class Evaluated(NamedTuple):
    """Some rows of a test set, in order, and their errors for each mesh."""

    rows: NDArray[np.int64]
    errors: list[Errors]


class _Crops(Dataset[tuple[Crops, int]]):
    def __init__(self, samples: Samples, rows: Sequence[int]) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Crops, int]:
        row = self.rows[index]
        try:
            return sample_crop(self.samples, row), row
        except BadInput:  # a worker would wrap it into a traceback; the main process meets it again
            width, height = self.samples.crop_shape
            blank = torch.zeros(height, width, 3, dtype=torch.uint8)
            return Crops(blank, torch.zeros(2, 3), torch.zeros(3), torch.zeros(2)), -1 - row


def sample_crop(samples: Samples, row: int) -> Crops:
    """Cuts out a row's person: the box as stored, its padding is in the annotations.

    Returns:
        the fields of `Crops` without their first axis; the picture is (height, width, 3) RGB, uint8.

    Raises:
        BadInput: the image is missing or cannot be decoded.
    """
    path = samples.folder / str(samples.annotations.image_path[row])
    boxes = samples.annotations.bbox_xywh[row : row + 1]
    crops = Crops(*(values[0] for values in crop_people(read_bgr(path), boxes, 1.0, samples.crop_shape)))
    return crops._replace(images=crops.images.flip(-1))


def check_images(samples: Samples) -> None:
    """Raises MissingFile where images are not there, before anything is computed."""
    paths = samples.annotations.image_path
    if missing := missing_images(samples.folder, paths):
        raise MissingFile(
            f"{len(missing)} of {len(np.unique(paths))} images are missing in {samples.folder}, first {missing[0]}. "
            f"Unpack the data set's images there, or name their folder with --images"
        )


def open_samples(path: Path, images: Path, protocol: Protocol, shape: CropShape) -> tuple[Samples, Scorable]:
    """Opens a test set, and finds what of it can be scored under a protocol.

    Args:
        path: of the annotations.
        images: their folder.
        shape: of the pictures that a network sees.

    Raises:
        MissingFile: the annotations or images are not there.
        BadInput: the annotations cannot be read, or lack what the protocol compares with.
    """
    annotations = read_annotations(path, "h36m" if protocol.targets == "joints3d" else "evaluation_14")
    scorable = check_targets(annotations, protocol, path)
    samples = Samples(annotations, images, shape)
    check_images(samples)
    return samples, scorable


def evaluate(
    network: nn.Module,
    samples: Samples,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    surfaces: Sequence[Surface | None] = (None,),
    *,
    batch_size: int = 64,
    workers: int = 0,
    rows: Sequence[int] | None = None,
    saved: Path | None = None,
    signature: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluated:
    """Computes the errors of a network's bodies on some rows of a test set.

    Args:
        network: in evaluation mode, on its device.
        bodies: of the protocol, on the same device.
        surfaces: the meshes to score.
        rows: to evaluate; all of them when not given.
        saved: file in which finished rows are kept, and from which an interrupted evaluation goes on.
        signature: of everything the errors depend on; saved rows of another are not used.
        progress: called with the number of rows that are newly done.
    """
    annotations = samples.annotations
    wanted = np.arange(len(annotations)) if rows is None else np.asarray(sorted(rows), np.int64)
    done = _load(saved, signature) if saved else {}
    table = {row: values for row, values in done.items() if row in set(wanted.tolist())}
    progress(len(table))
    left = [int(row) for row in wanted if row not in table]
    last = time.monotonic()
    try:
        for numbers, prediction in outputs(network, samples, left, batch_size, workers):
            targets = annotations[numbers]
            check_finite_rows(prediction.vertices, targets)
            with torch.inference_mode():
                values = _errors(prediction, targets, protocol, bodies, surfaces)
            table |= zip(numbers.tolist(), values)
            progress(len(numbers))
            if saved and time.monotonic() - last > SAVE_EVERY:
                _save(saved, signature, table)
                last = time.monotonic()
    finally:  # what is done is kept, whatever ended it
        if saved and table:
            _save(saved, signature, table)
    names = protocol.network_metrics
    shape = (len(wanted), len(surfaces), len(names) + 2 * len(SCORED))
    values = np.array([table[int(row)] for row in wanted]).reshape(shape)  # of no rows, too
    return Evaluated(wanted, [_unpacked(surface, values[:, i], names) for i, surface in enumerate(surfaces)])


def outputs(
    network: nn.Module, samples: Samples, rows: Sequence[int], batch_size: int = 64, workers: int = 0
) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """Yields what a network makes of rows: a batch's rows, and the output for them on the network's device.

    Args:
        network: in evaluation mode, on its device.
        workers: processes that read images; 0 reads them here.

    Raises:
        BadInput: an image is missing or cannot be decoded.
    """
    device = next(network.parameters()).device
    loader = DataLoader(
        _Crops(samples, rows),
        batch_size=batch_size,
        num_workers=min(workers, max(1, len(rows) // batch_size)) if workers else 0,
        worker_init_fn=_one_thread,
        pin_memory=device.type == "cuda",
    )
    for crops, numbers in loader:
        for unreadable in numbers[numbers < 0].tolist():
            sample_crop(samples, -1 - unreadable)
        with torch.inference_mode(), prediction_precision(device):
            output = predict(network, crops.to(device))
        yield numbers.numpy(), output


def check_finite_rows(output: Tensor, targets: Annotations) -> None:
    """Raises BadInput where a network's answers (B, ...) are not finite."""
    finite = torch.isfinite(output).flatten(1).all(1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise BadInput(
            f"the network's answer to {targets.image_path[row]} holds values that are not finite: its weights are "
            "damaged, or training diverged; use an earlier checkpoint, or train with a lower optimizer.lr"
        )


def seen_wrong(
    network: nn.Module,
    samples: Samples,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    rows: NDArray[np.int64],
    surface: Surface | None = None,
) -> list[str]:
    """Returns notes on joints that another convention would fit much better, from a few of the rows (see `hints`)."""
    few = rows[np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).astype(int))]
    numbers, prediction = next(outputs(network, samples, few.tolist(), _LOOKED_AT))
    with torch.inference_mode():
        target = _target(samples.annotations[numbers], protocol, prediction.vertices.device)
        compared = points(protocol, bodies, mesh_of(prediction, surface), target)
    return hints(compared.joints, compared.target_joints, compared.valid)


def _errors(
    prediction: Prediction,
    targets: Annotations,
    protocol: Protocol,
    bodies: Mapping[str, BodyModel],
    surfaces: Sequence[Surface | None],
) -> NDArray[np.float64]:
    """Returns (B, surfaces, metrics + 2 * joints): each metric, then each joint's distance as it is and aligned."""
    target = _target(targets, protocol, prediction.vertices.device)
    parts = []
    for surface in surfaces:
        compared = points(protocol, bodies, mesh_of(prediction, surface), target)
        metrics = score(protocol, compared)
        aligned = align_similarity(compared.joints, compared.target_joints, compared.valid)
        absent = torch.zeros(()) if compared.valid is None else torch.where(compared.valid, 0, torch.nan)
        distances = [
            ((joints - compared.target_joints).norm(dim=-1) + absent).double().cpu()
            for joints in (compared.joints, aligned)
        ]
        means = torch.stack([metrics[name] for name in protocol.network_metrics], 1)
        parts.append(torch.cat([means, *distances], 1))
    return torch.stack(parts, 1).numpy()


def _target(targets: Annotations, protocol: Protocol, device: torch.device) -> Target:
    if protocol.targets == "joints3d":
        keypoints = targets.select("h36m").keypoints3d
        assert keypoints is not None  # checked before anything was computed
        valid = torch.from_numpy(labelled_joints(keypoints)).to(device)
        return Target(joints3d=torch.from_numpy(keypoints[..., :3].copy()).to(device), valid=valid)
    pose, betas = (torch.from_numpy(np.asarray(v)).to(device) for v in (targets.pose, targets.betas))
    return Target(rotmat_from_pose(pose), betas, gender=targets.gender.tolist())


def _unpacked(surface: Surface | None, values: NDArray[np.float64], names: Sequence[str]) -> Errors:
    metrics = {name: values[:, k] for k, name in enumerate(names)}
    joints, aligned = np.split(values[:, len(names) :].astype(np.float32), 2, axis=1)
    return Errors(surface, metrics, joints, aligned)


def merged(parts: Sequence[Evaluated]) -> Evaluated:
    """Joins the rows of all processes, in order."""
    order = np.argsort(np.concatenate([part.rows for part in parts]))

    def joined(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(list(arrays))[order]

    errors = [
        Errors(
            same[0].surface,
            {name: joined(each.metrics[name] for each in same) for name in same[0].metrics},
            joined(each.joints for each in same),
            joined(each.joints_aligned for each in same),
        )
        for same in zip(*(part.errors for part in parts))
    ]
    return Evaluated(joined(part.rows for part in parts), errors)


def _one_thread(worker: int) -> None:
    """Workers are processes; threads inside them would only get in each other's way."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _load(saved: Path, signature: str) -> dict[int, NDArray[np.float64]]:
    try:
        with np.load(saved, allow_pickle=False) as stored:
            if str(stored["signature"]) == signature:
                return dict(zip(stored["rows"].tolist(), stored["values"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # absent or damaged: begin anew
        pass
    return {}


def _save(saved: Path, signature: str, table: Mapping[int, NDArray[np.float64]]) -> None:
    content: dict[str, Any] = {
        "signature": np.array(signature),
        "rows": np.array(list(table)),
        "values": np.array(list(table.values())),
    }
    with whole_file(saved) as temporary:
        np.savez(temporary, **content)
