"""HMR's adversary as a least-squares GAN (Mao et al., ICCV 2017, eq. 9 with a = 0, b = c = 1)."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hmrcli.layers.prediction import full_precision


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Mean of (score - target)²."""
    return (scores - target).square().mean()


def discriminator_losses(
    discriminator: nn.Module, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """What the discriminator learns from: real bodies score 1, predicted ones 0.

    Args:
        discriminator: maps rotmat and betas to scores (B, 25); also wrapped for several processes, as it is
            called once.
        real: rotmat (R, 24, 3, 3) and betas (R, 10), drawn from motion capture.
        fake: the same of a prediction, (B, …); no gradient goes back to it.

    Returns:
        `real` and `fake`, scalars; their sum is to be minimised.
    """
    rotmat, betas = (torch.cat([a.float(), b.detach().float()]) for a, b in zip(real, fake))
    with full_precision(betas):
        scores = discriminator(rotmat, betas)
    count = len(real[0])
    return {"real": least_squares(scores[:count], 1.0), "fake": least_squares(scores[count:], 0.0)}


def generator_loss(discriminator: nn.Module, rotmat: Tensor, betas: Tensor) -> Tensor:
    """How far predicted bodies are from scoring 1; no gradient goes to the discriminator.

    Args:
        discriminator: not wrapped for several processes, which would wait for its gradients.
        rotmat: (B, 24, 3, 3).
        betas: (B, 10).
    """
    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    with full_precision(betas):
        return least_squares(functional_call(discriminator, fixed, (rotmat.float(), betas.float())), 1.0)
