"""A lifter: where landmarks lie in depth, by their places in the image and the landmark network's own opinion.

It has seen many poses from many sides, and how the landmark network errs about their depth (`data/fitting/lifter.md`).
It reads landmarks alone, no picture, so it serves photos and tracks of clips alike.
"""

from functools import cache
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hmrcli.assets.bundled import bundled
from hmrcli.fitting.landmarks import INDICES, NAMES, TRUST
from hmrcli.fitting.targets import Targets, view_rotation
from hmrcli.people.skeleton import LANDMARK_MIRROR

POINTS = len(NAMES)
WIDTH, BLOCKS = 320, 2
INPUTS = 4 * POINTS + 1
FARTHEST = 3.0
"""Places are held within so many units of their center: beyond, they say no more."""
SURE = 0.02
"""Metres: no deviation is smaller."""

_MIRROR = [INDICES.index(LANDMARK_MIRROR[index]) for index in INDICES]


class Sighting(NamedTuple):
    """What the lifter reads of N people, in axes of a camera that looks at the person."""

    places: Tensor
    """(N, 27, 2) where the fitted landmarks are seen, as slopes of their rays."""
    points3d: Tensor
    """(N, 27, 3) metres, the landmark network's opinion; the origin does not matter."""
    confidence: Tensor
    """(N, 27) in [0, 1]."""


class Lifted(NamedTuple):
    """Landmarks of N people, in axes of a camera that looks at the person."""

    points3d: Tensor
    """(N, 27, 3) metres; the origin does not matter."""
    deviation: Tensor
    """(N, 27) metres, of one coordinate."""


class Lifter(nn.Module):
    """A residual network (Martinez et al., ICCV 2017) that corrects the 3D landmarks and says how far it is off."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(INPUTS, WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH))
            for _ in range(BLOCKS)
        )
        self.leave = nn.Linear(WIDTH, 4 * POINTS)
        nn.init.zeros_(self.leave.weight)  # so that training starts from the landmark network's opinion
        nn.init.zeros_(self.leave.bias)

    def forward(self, seen: Sighting) -> Lifted:
        """Takes N people."""
        share = shares(seen.confidence)[..., None]
        places, points = (value - (share * value).sum(1, keepdim=True) for value in seen[:2])
        spread = (share * places.square()).sum((1, 2), keepdim=True).clamp(min=1e-8)
        # Across the view, places say more than the network's metres, whose scale they take.
        scale = (share * places * points[..., :2]).sum((1, 2), keepdim=True) / spread
        points = torch.cat([scale * places, points[..., 2:]], 2)
        near = (places / spread.sqrt()).clamp(-FARTHEST, FARTHEST)
        read = [near.flatten(1), points[..., 2], seen.confidence, spread[:, 0].log() / 2]
        x = nn.functional.gelu(self.enter(torch.cat(read, 1)))
        for block in self.blocks:
            x = x + block(x)
        found = self.leave(x).unflatten(1, (POINTS, 4))
        return Lifted(points + 0.1 * found[..., :3], SURE + 0.1 * nn.functional.softplus(found[..., 3]))


def shares(confidence: Tensor) -> Tensor:
    """Returns what each landmark counts in means, (N, 27); hidden ones a little."""
    weight = (confidence + 0.01) * torch.tensor(TRUST).to(confidence)
    return weight / weight.sum(1, keepdim=True)


def centered(points: Tensor, confidence: Tensor) -> Tensor:
    """Moves points (N, 27, C) so that their weighted mean is the origin."""
    return points - (shares(confidence)[..., None] * points).sum(1, keepdim=True)


@cache
def lifter() -> Lifter:
    """Loads the bundled one."""
    network = Lifter()
    stored = load_file(bundled("fitting/lifter.safetensors"))
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    return network.eval()


def sighting(targets: Targets) -> Sighting:
    """Takes what the lifter reads from landmarks, float32."""
    targets = Targets(*(value.double() for value in targets))
    slope = (targets.points2d - targets.principal_point[:, None]) / targets.focal_length[:, None, None]
    rays = torch.cat([slope, torch.ones_like(slope[..., :1])], 2) @ view_rotation(targets)
    places = (rays[..., :2] / rays[..., 2:].clamp(min=0.1))[:, INDICES]
    return Sighting(
        places.float(), targets.points3d[:, INDICES].float(), targets.confidence[:, INDICES].float()
    )


def lift(targets: Targets) -> Targets:
    """Replaces the landmark network's 3D opinion by what the lifter makes of it, with its deviation."""
    with torch.no_grad():
        found = looks(lifter(), sighting(targets))
    points3d, deviation = targets.points3d.clone(), targets.deviation3d.clone()
    points3d[:, INDICES] = found.points3d.to(points3d)
    deviation[:, INDICES] = found.deviation.to(deviation)
    return targets._replace(points3d=points3d, deviation3d=deviation)


def looks(network: Lifter, seen: Sighting) -> Lifted:
    """Averages what a network says of people and of their mirror images."""
    plain, mirrored = network(seen), network(flipped(seen))
    points = (plain.points3d + _flip(mirrored.points3d)) / 2
    return Lifted(points, (plain.deviation + mirrored.deviation[:, _MIRROR]) / 2)


def flipped(seen: Sighting) -> Sighting:
    """Mirrors people, left and right exchanged."""
    return Sighting(_flip(seen.places), _flip(seen.points3d), seen.confidence[:, _MIRROR])


def _flip(points: Tensor) -> Tensor:
    return points[:, _MIRROR] * torch.tensor([-1.0, 1.0, 1.0])[: points.shape[-1]].to(points)
