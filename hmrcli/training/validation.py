"""Measures a network on a test set while it trains: processes share the rows, the first has the figures."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hmrcli.assets.data_root import ANNOTATIONS, BODY_MODELS, IMAGES
from hmrcli.body import BodyModel
from hmrcli.body.rotations import rotmat_from_6d
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.needed import find_test_file, locate
from hmrcli.distributed import gathered, made_everywhere, rank_and_size
from hmrcli.evaluation import METRICS, load_bodies, pa_mpjpe
from hmrcli.evaluation.evaluate import check_labels, evaluate, keypoint_errors, keypoint_metrics, target_of
from hmrcli.evaluation.protocols import scored_joints, target_vertices
from hmrcli.evaluation.samples import Samples, check_images, open_samples
from hmrcli.layers import MeanParameters, load_mean_parameters
from hmrcli.recipe import Recipe
from hmrcli.recipe.protocols import PROTOCOLS, Protocol
from hmrcli.training.settings import Figures, Validation
from hmrcli.training.start import open_mean_parameters


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
    samples, (rows, notes) = open_samples(find_test_file(recipe, root), folder, protocol, recipe.crop_shape)
    for text in notes:
        say(f"validation: {text}")
    bodies = load_bodies(protocol, root, device)
    surfaces = (recipe.evaluation.meshes or (None,))[:1]

    def measure(network: nn.Module) -> Figures:
        done = evaluate(network, samples, protocol, bodies, surfaces, workers=workers, rows=rows)
        errors = {} if done is None else done.errors[0].metrics
        means = {METRICS[name]: float(values.mean()) for name, values in errors.items()}
        return {metric.key: mean for metric, mean in means.items() if metric.unit == "mm"}

    def mean_pose() -> Figures:
        mean = _known_mean(recipe, root)
        if mean is None or protocol.targets != "parameters":
            return {}
        rank, size = rank_and_size()
        truth = samples.annotations[rows[rank::size]]
        parts = gathered(made_everywhere(lambda: _mean_pose_errors(mean, truth, protocol, bodies)))
        return {} if parts is None else {"pa_mpjpe_mm": float(np.concatenate(parts).mean())}

    return Validation(measure, mean_pose)


def _known_mean(recipe: Recipe, root: Path) -> MeanParameters | None:
    """Reads mean pose and shape of the recipe's body; None where their file is not there."""
    if recipe.body_model == "open":
        return open_mean_parameters()
    path = locate(BODY_MODELS, "smpl_mean_params.npz", root)
    return load_mean_parameters(path) if path.is_file() else None


@torch.no_grad()
def _mean_pose_errors(
    mean: MeanParameters, truth: Annotations, protocol: Protocol, bodies: Mapping[str, BodyModel]
) -> NDArray[np.float64]:
    """Measures PA-MPJPE (N,) in mm of the mean pose and shape, the best answer that does not look at the picture."""
    body = bodies["neutral"]
    device = body.v_template.device
    rotmat = rotmat_from_6d(mean.pose.unflatten(1, (24, 6))).to(device)
    guess = scored_joints(bodies, body(rotmat, mean.shape.to(device)).vertices)
    errors = [np.empty(0)]
    for begin in range(0, len(truth), 64):
        target = target_of(truth[begin : begin + 64], protocol, device)
        vertices = target_vertices(protocol, bodies, target)
        assert vertices is not None  # of parameters
        joints = scored_joints(bodies, vertices)
        errors.append(pa_mpjpe(guess.expand_as(joints), joints).double().cpu().numpy())
    return np.concatenate(errors)


def _of_keypoints(recipe: Recipe, root: Path, folder: Path, workers: int) -> Validation:
    path = locate(ANNOTATIONS, recipe.evaluation.annotations, root)
    annotations = read_annotations(path, recipe.data.joints)
    check_labels(annotations, path)
    samples = Samples(annotations, folder, recipe.crop_shape)
    check_images(samples)
    rank, size = rank_and_size()
    rows = range(rank, len(annotations), size)

    def measure(network: nn.Module) -> Figures:
        parts = gathered(made_everywhere(lambda: keypoint_errors(network, samples, rows, workers)))
        return {} if parts is None else keypoint_metrics(np.concatenate(parts))

    return Validation(measure)
