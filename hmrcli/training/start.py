"""Start of a run: body, network with its first weights, optimisers, SPIN's fitter."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hmrcli.algorithms import build_network
from hmrcli.algorithms.spin import Fitter
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.assets.data_root import BODY_MODELS, CHECKPOINTS
from hmrcli.assets.registry import find_asset
from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_6d, rotmat_from_pose, sixd_from_rotmat
from hmrcli.data.annotations import Annotations
from hmrcli.data.needed import OPEN_MEAN, locate
from hmrcli.data.sets import load_real_bodies
from hmrcli.evaluation import Protocol, pa_mpjpe
from hmrcli.evaluation.protocols import Target, scored_joints, target_vertices
from hmrcli.layers import MeanParameters, load_backbone, load_mean_parameters, load_weights
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.recipe import Recipe
from hmrcli.scenes.subjects import true_bodies
from hmrcli.training.engine import Learner, Precision, make_learner


def prepare(
    recipe: Recipe,
    root: Path,
    device: torch.device,
    precision: Precision = "fp32",
    weights: Path | None = None,
    store: FitStore | None = None,
    open_prior: bool = False,
    compiled: bool = False,
) -> Learner:
    """Builds the learner of a recipe before its first step.

    Args:
        root: the data root.
        weights: to go on with; by default those that the recipe starts from.
        store: of the fits, for SPIN.
        open_prior: SPIN fits with the bundled pose prior instead of the recipe's.
        compiled: computes through `torch.compile`.

    Raises:
        MissingFile, BadInput: a file is not there or cannot be used.
    """
    body = load_training_body(recipe, root).to(device)
    torch.manual_seed(recipe.seed)
    network = build_start(recipe, body, root, initialise=weights is None)
    if weights is not None:
        load_weights(network, weights)
    fitter = None
    if recipe.in_the_loop is not None and store is not None:
        name = None if open_prior else recipe.in_the_loop.pose_prior
        prior = None if name is None else locate(BODY_MODELS, name, root)
        fitter = Fitter(recipe.in_the_loop, body, store, prior)
    return make_learner(
        recipe,
        network,
        body,
        device,
        real=load_real_bodies(recipe, root),
        relabel=fitter,
        precision=precision,
        compiled=compiled,
    )


def load_training_body(recipe: Recipe, root: Path) -> BodyModel:
    """Loads the body that a recipe trains with.

    Raises:
        MissingFile: SMPL is not there.
    """
    source = "open" if recipe.body_model == "open" else find_asset("SMPL_NEUTRAL.pkl", root)
    return load_body(source, assets_dir=root / BODY_MODELS)


def build_start(recipe: Recipe, body: BodyModel, root: Path, initialise: bool = True) -> nn.Module:
    """Builds the network of a recipe with the weights where training starts.

    Raises:
        MissingFile, BadInput: the weights or the mean parameters cannot be read.
    """
    network = build_network(recipe, body, mean_parameters(recipe.network.mean_parameters, root))
    start, path = recipe.network.initialisation, start_file(recipe, root)
    if initialise and start is not None and path is not None:
        load = load_weights if start.backbone is None else load_backbone
        load(network, path)
    return network


def start_file(recipe: Recipe, root: Path) -> Path | None:
    """Returns the weight file that training starts from; None where it starts from random weights."""
    start = recipe.network.initialisation
    if start is None:
        return None
    path = locate(CHECKPOINTS, start.backbone or start.network or "", root)
    return None if start.optional and not path.is_file() else path


def mean_parameters(name: str | None, root: Path) -> MeanParameters | None:
    """Loads the mean parameters that a recipe names; None where it names none.

    Raises:
        MissingFile, BadInput: as `load_mean_parameters`.
    """
    if name is None:
        return None
    if name == OPEN_MEAN:
        return open_mean_parameters()
    return load_mean_parameters(locate(BODY_MODELS, name, root))


def open_mean_parameters(bodies: int = 500) -> MeanParameters:
    """Computes the mean of the first open-studio poses and shapes, before the camera as `rest_parameters` are.

    Means of rotation matrices stand for means of rotations: what makes six numbers a rotation projects them
    (Hartley et al., IJCV 2013, section 5.3, up to the metric). People face anywhere, so the root has no mean.
    """
    pose, betas = (torch.from_numpy(values) for values in true_bodies("open-studio", bodies))
    rest = rest_parameters()
    mean = sixd_from_rotmat(rotmat_from_pose(pose).mean(dim=0)).reshape(1, 144)
    mean[:, :6] = rest.pose[:, :6]
    return MeanParameters(mean, betas.mean(dim=0, keepdim=True), rest.cam)


@torch.no_grad()
def mean_pose_errors(
    recipe: Recipe, root: Path, truth: Annotations, protocol: Protocol, bodies: Mapping[str, BodyModel]
) -> NDArray[np.float64] | None:
    """PA-MPJPE (N,) in mm of the mean pose and shape, the best answer that does not look at the picture.

    Args:
        truth: N rows of the test set.
        bodies: of the protocol.

    Returns:
        None where the protocol compares with joints, or the file of mean parameters is not there.
    """
    path = locate(BODY_MODELS, "smpl_mean_params.npz", root)
    if protocol.targets != "parameters" or not (recipe.body_model == "open" or path.is_file()):
        return None
    mean = open_mean_parameters() if recipe.body_model == "open" else load_mean_parameters(path)
    body = bodies["neutral"]
    device = body.v_template.device
    rotmat = rotmat_from_6d(mean.pose.unflatten(1, (24, 6))).to(device)
    guess = scored_joints(bodies, body(rotmat, mean.shape.to(device)).vertices)
    errors = [np.empty(0)]
    for begin in range(0, len(truth), 64):
        part = truth[np.arange(begin, min(begin + 64, len(truth)))]
        pose, betas = (torch.from_numpy(np.asarray(values)).to(device) for values in (part.pose, part.betas))
        target = Target(rotmat_from_pose(pose), betas, gender=part.gender.tolist())
        vertices = target_vertices(protocol, bodies, target)
        assert vertices is not None
        joints = scored_joints(bodies, vertices)
        errors.append(pa_mpjpe(guess.expand_as(joints), joints).double().cpu().numpy())
    return np.concatenate(errors)
