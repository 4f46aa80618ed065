"""A lifter: depth of landmarks and the likely pose, by their places in the image and the landmark network's opinion.

It has seen many poses from many sides, and how the landmark network errs about their depth (`data/fitting/lifter.md`).
It reads landmarks alone, no picture, so it serves photos and tracks of clips alike.
"""

from functools import cache
from typing import NamedTuple

import roma
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hmrcli.assets.bundled import bundled
from hmrcli.body.joints import SMPL_24
from hmrcli.body.rotations import rotmat_from_6d, sixd_from_rotmat
from hmrcli.fitting.landmarks import INDICES, NAMES, TRUST
from hmrcli.fitting.targets import Targets, view_rotation
from hmrcli.people.skeleton import LANDMARK_MIRROR

POINTS = len(NAMES)
WIDTH, BLOCKS = 384, 3
BELOW_ROOT = 23
INPUTS = 4 * POINTS + 1
FARTHEST = 3.0
"""Places are held within so many units of their center: beyond, they say no more."""
SURE, SURE_ANGLE = 0.02, 0.03
"""Metres and radians: no deviation is smaller."""

_MIRROR = [INDICES.index(LANDMARK_MIRROR[index]) for index in INDICES]
_MIRROR_JOINTS = [joint - 1 for joint in SMPL_24.flip[1:]]


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
    rotmat: Tensor
    """(N, 23, 3, 3) of the joints below the root."""
    angle_spread: Tensor
    """(N, 23, 3) radians: deviation of their axis-angles."""


class Lifter(nn.Module):
    """A residual network (Martinez et al., ICCV 2017) that corrects the 3D landmarks and says how far it is off.

    Attributes:
        point_factor: what the deviation of landmarks was too small by on people not trained on.
        angle_factor: likewise the spread of angles.
    """

    point_factor: Tensor
    angle_factor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(INPUTS, WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH))
            for _ in range(BLOCKS)
        )
        self.points, self.pose = nn.Linear(WIDTH, 4 * POINTS), nn.Linear(WIDTH, 9 * BELOW_ROOT)
        # Training starts from the landmark network's opinion, and from rest.
        for head in (self.points, self.pose):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.register_buffer("point_factor", torch.ones(()))
        self.register_buffer("angle_factor", torch.ones(()))

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
        moved, deviation = self.points(x).unflatten(1, (POINTS, 4)).split([3, 1], 2)
        turned, angle_spread = self.pose(x).unflatten(1, (BELOW_ROOT, 9)).split([6, 3], 2)
        return Lifted(
            points + 0.1 * moved,
            self.point_factor * (SURE + 0.1 * nn.functional.softplus(deviation[..., 0])),
            rotmat_from_6d(sixd_from_rotmat(torch.eye(3).to(turned)) + turned),
            self.angle_factor * (SURE_ANGLE + 0.3 * nn.functional.softplus(angle_spread)),
        )


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
    points3d, confidence = targets.points3d[:, INDICES], targets.confidence[:, INDICES]
    return Sighting(places.float(), points3d.float(), confidence.float())


def lift(targets: Targets) -> Targets:
    """Replaces the landmark network's 3D opinion, and the usual pose, by what the lifter makes of it."""
    with torch.no_grad():
        found = looks(lifter(), sighting(targets))
    points3d, deviation = targets.points3d.clone(), targets.deviation3d.clone()
    points3d[:, INDICES] = found.points3d.to(points3d)
    deviation[:, INDICES] = found.deviation.to(deviation)
    return targets._replace(
        points3d=points3d,
        deviation3d=deviation,
        angles=roma.rotmat_to_rotvec(found.rotmat.to(points3d)),
        angle_spread=found.angle_spread.to(points3d),
    )


def looks(network: Lifter, seen: Sighting) -> Lifted:
    """Averages what a network says of people and of their mirror images."""
    plain, mirrored = network(seen), network(flipped(seen))
    turned = sixd_from_rotmat(plain.rotmat) + sixd_from_rotmat(mirrored_joints(mirrored.rotmat))
    return Lifted(
        (plain.points3d + _flip(mirrored.points3d)) / 2,
        (plain.deviation + mirrored.deviation[:, _MIRROR]) / 2,
        rotmat_from_6d(turned),
        (plain.angle_spread + mirrored.angle_spread[:, _MIRROR_JOINTS]) / 2,
    )


def mirrored_joints(rotmat: Tensor) -> Tensor:
    """Returns the rotations (N, 23, 3, 3) of the mirrored body's joints below the root."""
    sign = torch.tensor([-1.0, 1.0, 1.0]).to(rotmat)
    return sign[:, None] * rotmat[:, _MIRROR_JOINTS] * sign


def flipped(seen: Sighting) -> Sighting:
    """Mirrors people, left and right exchanged."""
    return Sighting(_flip(seen.places), _flip(seen.points3d), seen.confidence[:, _MIRROR])


def _flip(points: Tensor) -> Tensor:
    return points[:, _MIRROR] * torch.tensor([-1.0, 1.0, 1.0])[: points.shape[-1]].to(points)
