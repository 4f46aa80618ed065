"""The weighted terms of a recipe's loss, and HMR's adversary, which has its own.

The adversary is a least-squares GAN (Mao et al., ICCV 2017, eq. 9 with a = 0, b = c = 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hmrcli.algorithms import code_of
from hmrcli.algorithms.targets import Counts, make_targets
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.sets import Bodies
from hmrcli.distributed import averaged, on_device, rank_and_size
from hmrcli.layers.constants import constant
from hmrcli.layers.crops import Crops
from hmrcli.layers.prediction import full_precision
from hmrcli.recipe import Recipe

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
        weights = tuple(loss.weight for loss in recipe.losses.values())
        chosen = torch.stack([terms[name] for name in recipe.losses])
        weighted = chosen * constant(weights, labels["keypoints2d"].device)
        return dict(zip(recipe.losses, weighted.unbind()))


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Adds named scalars, whose sum training minimises."""
    return torch.stack(list(terms.values())).sum()


class RotationsAndShape(NamedTuple):
    """B bodies: rotmat (B, 24, 3, 3) and betas (B, 10)."""

    rotmat: Tensor
    betas: Tensor


@dataclass(frozen=True)
class Adversary:
    """A discriminator of real bodies from predicted ones, and what it learns from."""

    discriminator: nn.Module
    optimizer: torch.optim.Optimizer
    real: Bodies
    """Drawn from motion capture."""
    seed: int

    def learn(self, predicted: Sequence[RotationsAndShape], step: int) -> dict[str, Tensor]:
        """Takes a step of the discriminator on predictions and as many real bodies; returns its losses.

        Args:
            predicted: bodies of this process's micro-batches; no gradient goes back to them.
            step: of the run, by which the real bodies are drawn.
        """
        fake = RotationsAndShape(*(torch.cat(parts) for parts in zip(*predicted)))
        device, count = fake.betas.device, len(fake.betas)
        rank, processes = rank_and_size()
        drawn = self.real.draw(self.seed, step, count * processes)
        own = slice(rank * count, (rank + 1) * count)
        numbers = torch.from_numpy(np.concatenate([drawn.pose[own], drawn.betas[own]], 1))
        pose, betas = on_device(numbers, device).split([72, 10], 1)
        real = RotationsAndShape(rotmat_from_pose(pose), betas)
        losses = discriminator_losses(self.discriminator, real, fake)
        self.optimizer.zero_grad(set_to_none=True)
        total(losses).backward()
        if processes > 1:
            gradients = [p.grad for p in self.discriminator.parameters() if p.grad is not None]
            block = averaged(torch.cat([gradient.flatten() for gradient in gradients]))
            torch._foreach_copy_(gradients, blocks_like(gradients, block))
        self.optimizer.step()
        return {f"discriminator_{name}": value for name, value in losses.items()}

    def changes(self) -> list[Tensor]:
        """Returns the tensors that `learn` changes."""
        tensors = [parameter.detach() for parameter in self.discriminator.parameters()]
        return tensors + [v for state in self.optimizer.state.values() for v in state.values()]

    def state(self) -> Mapping[str, Any]:
        """Returns what a checkpoint keeps."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "discriminator_optimizer": self.optimizer.state_dict(),
        }


def blocks_like(tensors: Sequence[Tensor], block: Tensor) -> list[Tensor]:
    """Cuts a block (N,) into parts of the shapes of tensors, whose numbers it holds one after another."""
    parts = block.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors)]


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Averages (score - target)²."""
    return (scores - target).square().mean()


def discriminator_losses(
    discriminator: nn.Module, real: RotationsAndShape, fake: RotationsAndShape
) -> dict[str, Tensor]:
    """Compares scores of real bodies with 1, of predicted ones with 0: `real` and `fake`, whose sum is to be minimised.

    No gradient goes back to the prediction.
    """
    rotmat = torch.cat([real.rotmat.float(), fake.rotmat.detach().float()])
    betas = torch.cat([real.betas.float(), fake.betas.detach().float()])
    with full_precision(betas):
        scores = discriminator(rotmat, betas)
    of_real, of_fake = scores.split([len(real.betas), len(fake.betas)])
    return {"real": least_squares(of_real, 1.0), "fake": least_squares(of_fake, 0.0)}


def generator_loss(discriminator: nn.Module, rotmat: Tensor, betas: Tensor) -> Tensor:
    """Tells how far predicted bodies are from scoring 1; no gradient goes to the discriminator.

    It is not to be wrapped for several processes, which would wait for its gradients.
    """
    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    with full_precision(betas):
        scores = functional_call(discriminator, fixed, (rotmat.float(), betas.float()))
        return least_squares(scores, 1.0)
