"""A test set and what a network answers to it: crops made by several processes, batch by batch."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from hmrcli.algorithms.predict import predict, prediction_precision
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import crop_people
from hmrcli.data.images import missing_images, read_bgr
from hmrcli.data.workers import start_worker
from hmrcli.errors import BadInput, MissingFile
from hmrcli.evaluation.targets import Scorable, check_targets
from hmrcli.layers import Crops
from hmrcli.recipe.algorithms import CropShape
from hmrcli.recipe.protocols import Protocol


class Samples(NamedTuple):
    """Samples to evaluate on."""

    annotations: Annotations
    folder: Path
    """Of the images."""
    crop_shape: CropShape
    """Of the pictures that a network sees."""


class Output(NamedTuple):
    """A network's answer to a batch of rows, on its device: a `Prediction`, or heatmaps."""

    rows: NDArray[np.int64]
    answer: Any


def open_samples(path: Path, images: Path, protocol: Protocol, shape: CropShape) -> tuple[Samples, Scorable]:
    """Opens a test set, and finds what of it can be scored under a protocol.

    Raises:
        MissingFile: the annotations or images are not there.
        BadInput: the annotations cannot be read, or lack what the protocol compares with.
    """
    annotations = read_annotations(path, "h36m" if protocol.targets == "joints3d" else "evaluation_14")
    scorable = check_targets(annotations, protocol, path)
    samples = Samples(annotations, images, shape)
    check_images(samples)
    return samples, scorable


def check_images(samples: Samples) -> None:
    """Raises MissingFile where images are not there, before anything is computed."""
    paths = samples.annotations.image_path
    if missing := missing_images(samples.folder, paths):
        raise MissingFile(
            f"{len(missing)} of {len(np.unique(paths))} images are missing in {samples.folder}, first {missing[0]}. "
            f"Unpack the data set's images there, or name their folder with --images"
        )


def sample_crop(samples: Samples, row: int) -> Crops:
    """Cuts out a row's person: the box as stored, its padding is in the annotations.

    Fields are without their first axis; the picture is (height, width, 3) RGB, uint8.

    Raises:
        BadInput: the image is missing or cannot be decoded.
    """
    path = samples.folder / str(samples.annotations.image_path[row])
    boxes = samples.annotations.bbox_xywh[row : row + 1]
    crops = Crops(*(values[0] for values in crop_people(read_bgr(path), boxes, 1.0, samples.crop_shape)))
    return crops._replace(images=crops.images.flip(-1))


def _batch(samples: Samples, rows: Sequence[int]) -> Any:
    """Makes crops of rows; an image that cannot be read gives its error, which a worker would wrap in a traceback."""
    try:
        return default_collate([(sample_crop(samples, row), row) for row in rows])
    except BadInput as error:
        return error


def outputs(
    network: nn.Module, samples: Samples, rows: Sequence[int], batch_size: int = 64, workers: int = 0
) -> Iterator[Output]:
    """Yields what a network, in evaluation mode on its device, makes of rows.

    Args:
        workers: processes that read images; 0 reads them here.

    Raises:
        BadInput: an image is missing or cannot be decoded.
    """
    device = next(network.parameters()).device
    dataset: Any = rows  # what has a length and items is one
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=min(workers, max(1, len(rows) // batch_size)) if workers else 0,
        collate_fn=partial(_batch, samples),
        worker_init_fn=start_worker,
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        if isinstance(batch, BadInput):
            raise batch
        crops, numbers = batch
        with torch.inference_mode(), prediction_precision(device):
            answer = predict(network, crops.to(device))
        yield Output(numbers.numpy(), answer)


def check_finite_rows(output: Tensor, targets: Annotations) -> None:
    """Raises BadInput where a network's answers (B, ...) are not finite."""
    wrong = ~torch.isfinite(output).flatten(1).all(1)
    if wrong.any():
        image = targets.image_path[int(wrong.nonzero()[0])]
        raise BadInput(
            f"the network's answer to {image} holds values that are not finite: its weights are "
            "damaged, or training diverged; use an earlier checkpoint, or train with a lower optimizer.lr"
        )
