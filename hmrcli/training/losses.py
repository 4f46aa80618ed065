"""From a prediction and a batch's labels to the weighted terms of a recipe's loss."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hmrcli.algorithms import code_of
from hmrcli.algorithms.targets import Counts, make_targets
from hmrcli.body.model import BodyModel
from hmrcli.layers.constants import constant
from hmrcli.layers.crops import Crops
from hmrcli.layers.prediction import full_precision
from hmrcli.recipe import Recipe
from hmrcli.training.adversary import generator_loss

if TYPE_CHECKING:
    from hmrcli.algorithms import Code


def training_losses(
    recipe: Recipe,
    prediction: Any,
    labels: Mapping[str, Tensor],
    crops: Crops,
    body: BodyModel,
    discriminator: nn.Module | None = None,
    counts: Counts | None = None,
    code: "Code | None" = None,
) -> dict[str, Tensor]:
    """Computes the weighted terms of `recipe.losses`, in float32 also under autocast; `total` adds them.

    Args:
        recipe: names terms, kinds and weights, joint set and camera.
        prediction: a `Prediction` of the recipe's network for B crops, or heatmaps.
        labels: of these crops, as `make_targets` has them. SPIN puts its fits into them.
        body: makes joints and true meshes; the one that the network was built on.
        discriminator: of recipes with an adversary; it gets no gradient.
        counts: what means divide by; by default this batch's own.
        code: of the recipe's algorithm, where it was looked up before; the compiler knows no imports.

    Returns:
        Scalars in the order of the recipe; 0, connected to the prediction, where a term has no labels.
    """
    with full_precision(labels["keypoints2d"]):
        prediction = prediction.float()
        targets = make_targets(recipe, labels, crops, body, counts)
        terms = (code or code_of(recipe)).losses(prediction, targets, body, recipe)
        if discriminator is not None:
            terms["adversarial"] = generator_loss(discriminator, prediction.rotmat, prediction.betas)
        weights = constant(
            tuple(loss.weight for loss in recipe.losses.values()), labels["keypoints2d"].device
        )
        weighted = torch.stack([terms[name] for name in recipe.losses]) * weights
        return dict(zip(recipe.losses, weighted.unbind()))


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Adds named scalars, whose sum training minimises."""
    return torch.stack(list(terms.values())).sum()
