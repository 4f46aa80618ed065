"""Measures a network on a test set while it trains: processes share the rows, the first has the figures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from hmrcli.assets.data_root import ANNOTATIONS, IMAGES
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.needed import find_test_file, locate
from hmrcli.distributed import gathered, made_everywhere, rank_and_size
from hmrcli.evaluation import METRICS, PROTOCOLS, load_bodies
from hmrcli.evaluation.evaluate import Samples, check_images, evaluate, open_samples
from hmrcli.evaluation.keypoints import check_labels, keypoint_errors, keypoint_metrics
from hmrcli.recipe import Recipe
from hmrcli.training.start import mean_pose_errors

Figures = Mapping[str, float]
"""By name and unit, such as `pa_mpjpe_mm`; none on all processes but the first."""


class Validation(NamedTuple):
    """Functions that all processes of a run call together."""

    measure: Callable[[nn.Module], Figures]
    mean_pose: Callable[[], Figures] = dict
    """Measures the best answer that does not look at the picture, to compare with."""


def open_validation(
    recipe: Recipe,
    root: Path,
    device: torch.device,
    workers: int,
    say: Callable[[str], None] = lambda text: None,
) -> Validation:
    """Opens the test set of a recipe.

    Raises:
        MissingFile: the test set or a body of the protocol is not there.
        BadInput: the test set lacks what the protocol compares with.
    """
    folder = root / IMAGES / recipe.evaluation.dataset
    if not recipe.rules.makes_bodies:
        return _of_keypoints(recipe, root, folder, workers)
    protocol = PROTOCOLS[recipe.evaluation.protocol]
    samples, scorable = open_samples(find_test_file(recipe, root), folder, protocol, recipe.crop_shape)
    for text in scorable.notes:
        say(f"validation: {text}")
    bodies = load_bodies(protocol, root, device)
    surface = (recipe.evaluation.meshes or (None,))[0]
    rank, size = rank_and_size()
    rows = scorable.rows[rank::size]

    def own_errors(network: nn.Module) -> dict[str, Any]:
        _, (errors,) = evaluate(
            network, samples, protocol, bodies, (surface,), workers=workers, rows=rows.tolist()
        )
        return {f"{name}_mm": v for name, v in errors.metrics.items() if METRICS[name].unit == "mm"}

    def measure(network: nn.Module) -> Figures:
        parts = _of_all(lambda: own_errors(network))
        return {name: _mean([part[name] for part in parts]) for name in (parts[0] if parts else ())}

    def mean_pose() -> Figures:
        parts = _of_all(lambda: mean_pose_errors(recipe, root, samples.annotations[rows], protocol, bodies))
        known = [part for part in parts if part is not None]
        return {"pa_mpjpe_mm": _mean(known)} if known else {}

    return Validation(measure, mean_pose)


def _of_keypoints(recipe: Recipe, root: Path, folder: Path, workers: int) -> Validation:
    path = locate(ANNOTATIONS, recipe.evaluation.annotations, root)
    annotations = read_annotations(path, recipe.data.joints)
    check_labels(annotations, path)
    samples = Samples(annotations, folder, recipe.crop_shape)
    check_images(samples)
    rank, size = rank_and_size()
    rows = range(rank, len(annotations), size)

    def measure(network: nn.Module) -> Figures:
        parts = _of_all(lambda: keypoint_errors(network, samples, rows, workers))
        return keypoint_metrics(np.concatenate(parts)) if parts else {}

    return Validation(measure)


def _of_all(own: Callable[[], Any]) -> list[Any]:
    """Gathers what all processes make, on the first; where one of them cannot have its part, all end."""
    return gathered(made_everywhere(own)) or []


def _mean(parts: Sequence[Any]) -> float:
    return float(np.concatenate(parts).mean())
