"""Losses of the five algorithms: a recipe's named terms times their weights."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M, JOINT_SETS
from hmrcli.body.model import BodyModel, BodyOutput
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.recipe import Recipe
from hmrcli.training.adversary import generator_loss
from hmrcli.training.terms import Counts, camera_prior, orthographic2d, part_map_loss, perspective2d
from hmrcli.training.truth import Terms, Truth, true_labels

_PELVIS = H36M.names.index("pelvis")


def training_losses(
    recipe: Recipe,
    prediction: Prediction,
    labels: Mapping[str, Tensor],
    body: BodyModel,
    discriminator: nn.Module | None = None,
    counts: Counts | None = None,
) -> dict[str, Tensor]:
    """The weighted terms of a recipe's `losses`, in float32 also under autocast; `total` adds them.

    Args:
        recipe: names terms, kinds and weights, joint set and camera.
        prediction: of the recipe's network for B crops.
        labels: in the frame of the crops, after augmentation: keypoints2d (B, J, 3) pixels of the crop and
            confidence, keypoints3d (B, J, 4) metres and confidence, pose (B, 72) radians, betas (B, 10), and
            has_keypoints2d, has_keypoints3d, has_smpl (B,) bool or 0 and 1. What is unknown is finite. SPIN
            puts its fits into pose, betas and has_smpl. With an optional fit_transl (B, 3), metres, the true
            vertices keep the fitted translation, as in the benchmark's code.
        body: makes joints and true meshes; the one that the network was built on.
        discriminator: of recipes with an adversary; it gets no gradient.
        counts: what the means divide by; by default this batch's own. For a batch in parts, the average of
            the parts' `count_labels`.

    Returns:
        Scalars in the order of the recipe; 0, connected to the prediction, where a term has no labels.

    Raises:
        ValueError: a label is missing or has a wrong shape, the prediction lacks a field, or there is no
            discriminator for an adversarial term.
    """
    with full_precision(prediction.cam):
        prediction = _single_precision(prediction)
        truth = true_labels(recipe, labels, len(prediction.cam), counts)
        terms = dict(TERMS[recipe.algorithm](recipe, prediction, truth, body))
        if "adversarial" in recipe.losses:
            judge = _present(discriminator, "discriminator", recipe)
            rotmat, betas = _parameters(recipe, prediction)
            terms["adversarial"] = lambda loss: generator_loss(judge, rotmat, betas)
        return {name: loss.weight * terms[name](loss) for name, loss in recipe.losses.items()}


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of named scalars, which training minimises."""
    return torch.stack(list(terms.values())).sum()


def parametric_terms(recipe: Recipe, prediction: Prediction, truth: Truth, body: BodyModel) -> Terms:
    """HMR (Kanazawa et al. 2018), SPIN (Kolotouros et al., ICCV 2019), PARE (Kocabas et al. 2021)."""
    rotmat, betas = _parameters(recipe, prediction)
    # The joints of the kinematic tree, which cannot be had from the predicted vertices.
    joints = body.smpl_54_joints(body(rotmat, betas))
    joints3d = joints[:, list(JOINT_SETS[recipe.data.joints].from_54)]
    camera = _present(recipe.camera, "camera", recipe)
    focal_length = _present(camera.focal_length, "camera.focal_length", recipe)
    joints2d = perspective2d(joints3d, prediction.cam, focal_length)
    return {
        **truth.keypoint_terms("", joints3d, joints2d),
        **truth.parameter_terms(rotmat, betas),
        "local_keypoints3d": lambda loss: truth.local_keypoints(joints3d, rotmat, loss),
        "vertices": lambda loss: truth.mean(prediction.vertices, truth.vertices(body), loss),
        "camera_prior": lambda loss: camera_prior(prediction.cam),
        "part_maps": lambda loss: part_map_loss(
            _present(prediction.part_maps, "part_maps", recipe), truth.keypoints2d
        ),
    }


def graphcmr_terms(recipe: Recipe, prediction: Prediction, truth: Truth, body: BodyModel) -> Terms:
    """GraphCMR (Kolotouros et al., CVPR 2019): `free_*` the graph network's mesh, the others SMPL's.

    Joints of both are regressed from the mesh. The camera learns from the free mesh alone.
    """
    free = _present(prediction.mesh_levels, "mesh_levels", recipe)[-1]
    target = truth.vertices(body)

    def keypoints(prefix: str, vertices: Tensor, cam: Tensor) -> Terms:
        output = BodyOutput(vertices, body.joint_regressor @ vertices)
        joints3d = body.smpl_54_joints(output)[:, list(JOINT_SETS[recipe.data.joints].from_54)]
        return truth.keypoint_terms(prefix, joints3d, orthographic2d(joints3d, cam))

    return {
        **keypoints("", prediction.vertices, prediction.cam.detach()),
        **keypoints("free_", free, prediction.cam),
        **truth.parameter_terms(*_parameters(recipe, prediction)),
        "vertices": lambda loss: truth.mean(prediction.vertices, target, loss),
        "free_vertices": lambda loss: truth.mean(free, target, loss),
    }


def graphormer_terms(recipe: Recipe, prediction: Prediction, truth: Truth, body: BodyModel) -> Terms:
    """Graphormer (Lin et al. 2021): `token_*` the joints that it places, the others regressed from its mesh.

    True meshes have their pelvis at the origin; predicted ones are compared as they are and so learn to be there.
    """
    tokens = _present(prediction.joints3d, "joints3d", recipe)
    coarse, middle, full = _present(prediction.mesh_levels, "mesh_levels", recipe)
    regressed = body.h36m_joints(full)[:, list(EVALUATION_14_FROM_H36M)]
    true_full = truth.vertices(body)
    true_full = true_full - body.h36m_joints(true_full)[:, _PELVIS, None]
    true_middle = true_full[:, _kept_vertices(body, 1, full.device)]
    true_coarse = true_middle[:, _kept_vertices(body, 2, full.device)]
    return {
        **truth.keypoint_terms("", regressed, orthographic2d(regressed, prediction.cam)),
        **truth.keypoint_terms("token_", tokens, orthographic2d(tokens, prediction.cam)),
        "vertices": lambda loss: truth.mean(full, true_full, loss),
        "middle_vertices": lambda loss: truth.mean(middle, true_middle, loss),
        "coarse_vertices": lambda loss: truth.mean(coarse, true_coarse, loss),
    }


TERMS: dict[str, Callable[[Recipe, Prediction, Truth, BodyModel], Terms]] = {
    "hmr": parametric_terms,
    "spin": parametric_terms,
    "graphcmr": graphcmr_terms,
    "pare": parametric_terms,
    "graphormer": graphormer_terms,
}


def _single_precision(prediction: Prediction) -> Prediction:
    levels = prediction.mesh_levels
    tensors = {
        name: value.float() for name, value in prediction._asdict().items() if isinstance(value, Tensor)
    }
    return prediction._replace(
        **tensors, mesh_levels=None if levels is None else tuple(level.float() for level in levels)
    )


Value = TypeVar("Value")


def _present(value: Value | None, name: str, recipe: Recipe) -> Value:
    if value is None:
        raise ValueError(f"the losses of {recipe.name} need {name}")
    return value


def _parameters(recipe: Recipe, prediction: Prediction) -> tuple[Tensor, Tensor]:
    return _present(prediction.rotmat, "rotmat", recipe), _present(prediction.betas, "betas", recipe)


@lru_cache(maxsize=8)
def _kept_vertices(body: BodyModel, level: int, device: torch.device) -> Tensor:
    """Vertices of the level before that a level keeps; cached since SMPL's come from a file each time."""
    return torch.as_tensor(body.levels.down[level - 1], device=device)
