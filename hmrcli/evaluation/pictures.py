"""Pictures to look at after an evaluation: the best, middling and worst bodies, and errors joint by joint."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hmrcli.algorithms.predict import predict
from hmrcli.body.camera import CROP_FOCAL_LENGTH, CROP_SIZE, crop_translation
from hmrcli.evaluation.evaluate import Errors
from hmrcli.evaluation.protocols import SCORED_NAMES, mesh_of
from hmrcli.evaluation.samples import Samples, sample_crop
from hmrcli.files import whole_file
from hmrcli.layers import Crops
from hmrcli.render.overlay import PALETTE
from hmrcli.render.rasteriser import Camera, paint
from hmrcli.render.shading import shade
from hmrcli.render.sheet import Tile, write_sheet

EACH = 4
"""Samples of each kind on the sheet."""


def sheet(
    path: Path,
    network: nn.Module,
    samples: Samples,
    rows: NDArray[np.int64],
    errors: Errors,
    faces: NDArray[np.int64],
) -> None:
    """Writes crops with the predicted mesh beside them, of the least, middle and greatest PA-MPJPE."""
    values = errors.metrics["pa_mpjpe"]
    order = np.argsort(values, kind="stable")
    count = min(EACH, len(order))
    middle = (len(order) - count) // 2
    chosen = {"best": order[:count], "median": order[middle : middle + count], "worst": order[::-1][:count]}
    tiles = [
        Tile(f"{kind}: {values[index]:.1f} mm, row {rows[index]}", pair)
        for kind, picked in chosen.items()
        for index, pair in zip(picked, drawn(network, samples, rows[picked], errors, faces))
    ]
    write_sheet(path, tiles, columns=count)


def drawn(
    network: nn.Module, samples: Samples, rows: NDArray[np.int64], errors: Errors, faces: NDArray[np.int64]
) -> list[NDArray[np.uint8]]:
    """Draws crops (size, 2 size, 3): as the network saw them, and with the mesh that it predicted."""
    crops = Crops(*map(torch.stack, zip(*(sample_crop(samples, int(row)) for row in rows))))
    device = next(network.parameters()).device
    with torch.inference_mode():
        prediction = predict(network, crops.to(device))
        placed = mesh_of(prediction, errors.surface).vertices + crop_translation(prediction.cam)[:, None]
    width, height = samples.crop_shape
    # The crop's camera is given for 224 pixels; another size is the same view.
    camera = Camera(CROP_FOCAL_LENGTH * width / CROP_SIZE, (width / 2, height / 2))
    return [
        np.concatenate([crop, with_mesh(crop, vertices, faces, camera)], 1)
        for crop, vertices in zip(crops.images.numpy(), placed.float().cpu().numpy())
    ]


def with_mesh(
    crop: NDArray[np.uint8], vertices: NDArray[np.floating], faces: NDArray[np.int64], camera: Camera
) -> NDArray[np.uint8]:
    """Draws a mesh, in the camera's coordinates, over a copy of a crop; nothing where it is not finite."""
    picture = crop.copy()
    if np.isfinite(vertices).all():
        paint(picture, vertices, faces, shade(vertices, faces, PALETTE[0]), camera, opacity=0.9)
    return picture


def joint_means(errors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the mean of each joint's errors (N, J), over the rows that have it; NaN where none has."""
    known = np.isfinite(errors)
    if known.all():
        return errors.mean(0)
    with np.errstate(invalid="ignore"):
        return np.where(known, errors, 0).sum(0) / known.sum(0)


def joint_plot(path: Path, errors: Sequence[Errors]) -> None:
    """Writes bars of each joint's mean error, as it is and after the similarity."""
    from matplotlib.figure import Figure

    names = [name.replace("_", " ") for name in SCORED_NAMES]
    figure = Figure(figsize=(8, 3.6 * len(errors)), layout="constrained")
    for axis, one in zip(figure.subplots(len(errors), 1, squeeze=False)[:, 0], errors):
        place = np.arange(len(names))
        for shift, values, label in ((-0.2, one.joints, "MPJPE"), (0.2, one.joints_aligned, "PA-MPJPE")):
            axis.bar(place + shift, joint_means(values), 0.38, label=f"{label} {np.nanmean(values):.1f} mm")
        axis.set_xticks(place, names, rotation=40, ha="right", fontsize=8)
        axis.set_ylabel("mean error, mm")
        about = f"{len(one.joints)} samples" + (f", {one.surface} mesh" if one.surface else "")
        axis.set_title(about, fontsize=9, loc="left")
        axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
        axis.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
