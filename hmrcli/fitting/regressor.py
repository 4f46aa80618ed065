"""A regressor on the landmark network: pose and shape of people at a glance (`data/fitting/regressor.md`).

It reads the last features of the landmark network, which has seen many real people, and corrects what the
landmarks say in closed form; all in the axes of the landmark network's upright crop. So it knows nothing of the
person's place and size in the image, and speaks of the body as a camera that looks straight at the person sees it.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.body.joints import SMPL_24
from hmrcli.body.rotations import rotmat_from_6d, sixd_from_rotmat
from hmrcli.fitting.fit import Start
from hmrcli.fitting.initial import guessed_rotations
from hmrcli.fitting.landmarks import INDICES, attachments
from hmrcli.fitting.points import BodyPoints, body_points
from hmrcli.fitting.priors import pose_prior
from hmrcli.fitting.targets import Targets, view_rotation
from hmrcli.people import Landmarks
from hmrcli.people.blazepose import CROP_SIZE, FEATURES
from hmrcli.people.crops import turn_of
from hmrcli.people.skeleton import LANDMARK_MIRROR, LANDMARKS

MARKS = 7 * len(LANDMARKS)
"""Numbers about the landmarks: two in the crop, three in metres, visibility and presence of each."""
WIDTH, BLOCKS = 384, 2
_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


class Regressed(NamedTuple):
    """N bodies, in crop axes."""

    rotmat: Tensor
    """(N, 24, 3, 3) float32."""
    betas: Tensor
    """(N, 10) of the open body."""


class Evidence(NamedTuple):
    """Evidence of N people, or of each in two looks: the crop and its mirror image, (N, 2, ...)."""

    features: Tensor
    """(N, 1152) of the landmark network."""
    marks: Tensor
    """(N, 231) places, metres, visibility and presence of the landmarks in crop axes."""
    guess: Tensor
    """(N, 24, 3, 3) rotations that the landmarks say, in crop axes."""


class Block(nn.Module):
    """A residual layer of two (He et al., ECCV 2016)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Takes and returns (N, width)."""
        return x + self.layers(x)


class Regressor(nn.Module):
    """Pose and shape in the axes of the crop, from one look at it.

    Attributes:
        pose_spread: (23, 3) radians, how far axis-angles below the root were off on pictures not trained on.
        shape_spread: (10,) how far betas were off there.
    """

    pose_spread: Tensor
    shape_spread: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        """Takes the dropout of training: a share of the features, and of the inner units."""
        super().__init__()
        self.features = nn.Sequential(nn.Dropout(dropout), nn.Linear(FEATURES, WIDTH))
        self.marks, self.guess = nn.Linear(MARKS, WIDTH), nn.Linear(24 * 6, WIDTH)
        self.blocks = nn.Sequential(*(Block(WIDTH, dropout) for _ in range(BLOCKS)), nn.LayerNorm(WIDTH))
        self.pose, self.shape = nn.Linear(WIDTH, 24 * 6), nn.Linear(WIDTH, 10)
        self.register_buffer("pose_spread", torch.ones(23, 3))
        self.register_buffer("shape_spread", torch.ones(10))
        nn.init.zeros_(self.pose.weight)  # so that training starts from the guess
        nn.init.zeros_(self.pose.bias)

    def forward(self, seen: Evidence) -> Regressed:
        """Takes N looks."""
        guess = sixd_from_rotmat(seen.guess)
        x = self.features(seen.features) + self.marks(seen.marks) + self.guess(guess.flatten(1))
        x = self.blocks(x)
        return Regressed(rotmat_from_6d(guess + self.pose(x).unflatten(1, (24, 6))), self.shape(x))


@cache
def regressor() -> Regressor:
    """Loads the bundled one, for use."""
    network = Regressor()
    stored = load_file(bundled("fitting/regressor.safetensors"))
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    return network.eval()


def regress(landmarks: Landmarks, targets: Targets) -> Start:
    """Regresses bodies of N people, in the axes of the photo's camera: the mean of two looks at a crop.

    Args:
        landmarks: what the landmark network found.
        targets: the same people in the same order, for the camera.
    """
    network = regressor()
    with torch.no_grad():
        rotmat, betas = both_looks(network, evidence(landmarks))
        rotmat[:, 0] = crop_axes(landmarks, targets) @ rotmat[:, 0]
    return Start(rotmat, betas, network.pose_spread, network.shape_spread)


def both_looks(network: Regressor, seen: Evidence) -> Regressed:
    """Averages what a network says of N crops and of their mirror images."""
    looks = network(Evidence(*(value.flatten(0, 1) for value in seen)))
    plain, mirrored = looks.rotmat.unflatten(0, (-1, 2)).unbind(1)
    rotmat = rotmat_from_6d(sixd_from_rotmat(plain) + sixd_from_rotmat(mirrored_rotations(mirrored)))
    return Regressed(rotmat, looks.betas.unflatten(0, (-1, 2)).mean(1))


def evidence(landmarks: Landmarks) -> Evidence:
    """Gathers what the regressor reads of N people, in both looks, float32."""
    crops = landmarks.crop_to_image
    inverse = np.linalg.inv(crops[:, :, :2]).transpose(0, 2, 1)
    pixels = (landmarks.points2d - crops[:, None, :, 2]) @ inverse
    across = landmarks.points3d[..., :2] @ turn_of(crops)
    seen = np.stack([landmarks.visibility, landmarks.presence], 2)
    half = (CROP_SIZE - 1) / 2
    # Far outside the crop a place says no more than just outside it.
    places = np.clip((pixels - half) / half, -2, 2)
    plain = np.concatenate([places, across, landmarks.points3d[..., 2:], seen], 2)
    mirrored = plain[:, list(LANDMARK_MIRROR)] * np.array([-1, 1, -1, 1, 1, 1, 1])
    marks = torch.from_numpy(np.stack([plain, mirrored], 1)).float()
    points3d = marks[:, :, INDICES, 2:5].double().flatten(0, 1)
    # Hidden limbs are guessed like others: the network is told what is hidden.
    guess = guessed_rotations(_open_points(), pose_prior(), points3d, points3d[..., 0].isfinite())
    features = torch.from_numpy(landmarks.features).float()
    return Evidence(features, marks.flatten(2), guess.float().unflatten(0, (-1, 2)))


@cache
def _open_points() -> BodyPoints:
    return body_points(load_body("open"), attachments())


def crop_axes(landmarks: Landmarks, targets: Targets) -> Tensor:
    """Returns rotations (N, 3, 3) from crop axes to the axes of the photo's camera."""
    roll = torch.eye(3).repeat(len(landmarks), 1, 1)
    roll[:, :2, :2] = torch.from_numpy(turn_of(landmarks.crop_to_image)).float()
    return view_rotation(Targets(*(value.float() for value in targets))) @ roll


def mirrored_rotations(rotmat: Tensor) -> Tensor:
    """Returns the rotations (N, 24, 3, 3) of the mirrored body."""
    return _MIRROR[:, None] * rotmat[:, list(SMPL_24.flip)] * _MIRROR
