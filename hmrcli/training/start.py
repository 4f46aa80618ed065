"""What a run starts from: body, network with its first weights, optimisers, SPIN's fitter."""

from pathlib import Path

import torch
from torch import nn

from hmrcli.assets.registry import find_asset
from hmrcli.body import BodyModel, load_body
from hmrcli.datasets.needed import BODY_MODELS, CHECKPOINTS, locate
from hmrcli.datasets.sets import load_real_bodies
from hmrcli.networks import build_network, load_backbone, load_mean_parameters, load_weights
from hmrcli.recipe import Recipe
from hmrcli.training.engine import Learner, Precision, make_learner
from hmrcli.training.fits import FitStore
from hmrcli.training.in_the_loop import Fitter


def prepare(
    recipe: Recipe,
    root: Path,
    device: torch.device,
    precision: Precision = "fp32",
    weights: Path | None = None,
    store: FitStore | None = None,
    open_prior: bool = False,
) -> Learner:
    """The learner of a recipe before its first step.

    Args:
        root: the data root.
        weights: to go on with; by default those that the recipe starts from.
        store: of the fits, for SPIN.
        open_prior: SPIN fits with the bundled pose prior instead of the recipe's.

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
    )


def load_training_body(recipe: Recipe, root: Path) -> BodyModel:
    """The body that a recipe trains with.

    Raises:
        MissingFile: SMPL is not there.
    """
    source = "open" if recipe.body_model == "open" else find_asset("SMPL_NEUTRAL.pkl", root)
    return load_body(source, assets_dir=root / BODY_MODELS)


def build_start(recipe: Recipe, body: BodyModel, root: Path, initialise: bool = True) -> nn.Module:
    """The network of a recipe with the weights where training starts.

    Raises:
        MissingFile, BadInput: the weights or the mean parameters cannot be read.
    """
    start, mean = recipe.network.initialisation, recipe.network.mean_parameters
    means = None if mean is None else load_mean_parameters(locate(BODY_MODELS, mean, root))
    network = build_network(recipe, body, means)
    if initialise and start is not None and start.backbone is not None:
        load_backbone(network, locate(CHECKPOINTS, start.backbone, root))
    if initialise and start is not None and start.network is not None:
        load_weights(network, locate(CHECKPOINTS, start.network, root))
    return network
