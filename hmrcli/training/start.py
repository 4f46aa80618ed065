"""Start of a run: body, network with its first weights, optimisers, SPIN's fitter."""

from functools import cache
from pathlib import Path

import torch

from hmrcli.algorithms import build_network
from hmrcli.algorithms.spin import Fitter
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.assets.data_root import BODY_MODELS, CHECKPOINTS
from hmrcli.assets.registry import find_asset
from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose, sixd_from_rotmat
from hmrcli.data.needed import OPEN_MEAN, locate
from hmrcli.data.sets import load_real_bodies
from hmrcli.layers import MeanParameters, load_backbone, load_mean_parameters, load_weights
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.recipe import Recipe
from hmrcli.scenes.subjects import true_bodies
from hmrcli.training.learner import Learner, make_learner
from hmrcli.training.settings import Settings


def prepare(
    recipe: Recipe, settings: Settings, weights: Path | None = None, store: FitStore | None = None
) -> Learner:
    """Builds the learner of a recipe before its first step.

    Args:
        weights: to go on with; by default those that the recipe starts from.

    Raises:
        MissingFile, BadInput: a file is not there or cannot be used.
    """
    root, device = settings.root, settings.device
    body = load_training_body(recipe, root).to(device)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe, body, mean_parameters(recipe.network.mean_parameters, root))
    initial, path = recipe.network.initialisation, start_file(recipe, root)
    if weights is not None:
        load_weights(network, weights)
    elif initial is not None and path is not None:
        load = load_weights if initial.backbone is None else load_backbone
        load(network, path)
    fitter = None
    if recipe.in_the_loop is not None and store is not None:
        name = None if settings.open_prior else recipe.in_the_loop.pose_prior
        prior = None if name is None else locate(BODY_MODELS, name, root)
        fitter = Fitter(recipe.in_the_loop, body, store, prior)
    real = load_real_bodies(recipe, root)
    return make_learner(recipe, network, body, device, real, fitter, settings.precision, settings.compile)


def load_training_body(recipe: Recipe, root: Path) -> BodyModel:
    """Loads the body that a recipe trains with.

    Raises:
        MissingFile: SMPL is not there.
    """
    source = "open" if recipe.body_model == "open" else find_asset("SMPL_NEUTRAL.pkl", root)
    return load_body(source, assets_dir=root / BODY_MODELS)


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
    if name == OPEN_MEAN:
        return open_mean_parameters()
    return None if name is None else load_mean_parameters(locate(BODY_MODELS, name, root))


def open_mean_parameters(bodies: int = 500) -> MeanParameters:
    """Computes the mean of the first open-studio poses and shapes, before the camera as `rest_parameters` are.

    Means of rotation matrices stand for means of rotations: what makes six numbers a rotation projects them
    (Hartley et al., IJCV 2013, section 5.3, up to the metric). People face anywhere, so the root has no mean.
    """
    return MeanParameters(*(value.clone() for value in _open_mean(bodies)))


@cache
def _open_mean(bodies: int) -> MeanParameters:
    pose, betas = (torch.from_numpy(values) for values in true_bodies("open-studio", bodies))
    rest = rest_parameters()
    mean = sixd_from_rotmat(rotmat_from_pose(pose).mean(dim=0)).reshape(1, 144)
    mean[:, :6] = rest.pose[:, :6]
    return MeanParameters(mean, betas.mean(dim=0, keepdim=True), rest.cam)
