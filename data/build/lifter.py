"""Remakes `data/fitting/lifter.safetensors`: trains on many poses from many sides, seen as the landmark network sees.

    python data/build/landmark_errors.py 0 1400
    python data/build/lifter.py

Poses are those written by hand, mixed as in the open data set, and those of two clips of motion capture; neither they
nor anything else here come from the people and pictures that the default is measured on. Seeds are fixed; floating
point differs between machines, and with it the weights a little.
"""

import argparse
from math import log, pi, radians
from pathlib import Path
from typing import NamedTuple

import numpy as np
import roma
import torch
from landmark_errors import WRITTEN, Read, Response, cached, measured, spread
from motion_capture import captured_poses
from safetensors.torch import save_file
from torch import Tensor

from hmrcli.body import load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation.metrics import pa_mpjpe
from hmrcli.fitting.landmarks import NAMES, TRUST, attachments
from hmrcli.fitting.lifting import Lifted, Lifter, Sighting, centered, looks
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.scenes.poses import POOLS, Mixture, draw_pose

TARGET = Path(__file__).resolve().parents[1] / "fitting" / "lifter.safetensors"
MIXTURE = Mixture(WRITTEN, mixing=0.25, between=0.5, turning=0.5)
WRITTEN_POSES, CAPTURED_COPIES, CAPTURED_SHARE = 30000, 10, 0.2
TURNED = 0.06
"""Radians by which the joints of captured poses are turned, each copy anew."""
LIMBS = [k for k, n in enumerate(NAMES) if n.endswith(("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))]
HELD_OUT = 10
"""Every so manieth rendered person tells nothing of errors: the network is scored on it."""

PITCH, WIDE_PITCH, WIDE = (5.0, 9.0), (-30.0, 50.0), 0.2
"""Degrees by which cameras look down on people: mean and deviation, or evenly, in this share."""
ROLL, ROLLED = 4.0, 0.07
"""Degrees, deviation; the share that is turned by anything."""
DISTANCE = (2.0, 10.0)
FOCAL = 0.2
"""Deviation of the logarithm of a camera's focal length, which is guessed."""

RESPONSE, FAULTLESS = (0.3, 1.0), 0.93
"""How far what is said of real people lies from what is said of rendered ones to what is true: renders are strange
to the networks. What is true is said in metres of their own."""
LOUDNESS, PLACES = (0.8, 1.6), 0.7
"""Of errors, of what they are on renders: louder than that came out better; of places, of that once more."""
CLEAR, HIDDEN = 0.5, 0.04
"""Share of people of whom all is seen but this share of landmarks."""
WILD = 0.03
"""Share of landmarks whose errors are three times as large."""

STEPS, BATCH, RATE, DECAY, LONGEST = 2000, 512, 2e-3, 0.02, 5.0
"""The last: length to which gradients are cut."""
LIKELIHOOD, POINTS, LIKELY_ANGLES = 0.03, 5.0, 0.05
"""Weights: of minus the logarithm of the landmarks' likelihood beside their distance in metres; of landmarks beside
rotations; of the angles' likelihood."""
EXTREMITIES, LITTLE = (10, 11, 22, 23), 0.3
"""Joints of feet and hands, whose turns are hardly seen, and what their rotations count."""


class Source(NamedTuple):
    """N people, and the share of the draws that come from them."""

    share: float
    points: Tensor
    """(N, 27, 3) landmarks around their middle, metres; y up."""
    rotmat: Tensor
    """(N, 23, 3, 3) of the joints below the root."""


def source(share: float, poses: np.ndarray) -> Source:
    """Takes poses (N, 72), and puts bodies of all shapes in them."""
    model, parts = body_points(load_body("open"), attachments(), torch.float32), []
    rotmat = rotmat_from_pose(torch.from_numpy(poses).float())
    for some in rotmat.split(500):
        betas = torch.randn(len(some), 10).clamp(-2.5, 2.5)
        parts.append(pose_points(model, BodyState(some, betas, torch.zeros(len(some), 3))).points)
    points = torch.cat(parts)
    middle = (points.amax(1, keepdim=True) + points.amin(1, keepdim=True)) / 2
    return Source(share, points - middle, rotmat[:, 1:])


def sources() -> list[Source]:
    """Poses written by hand and mixed, and captured ones."""
    POOLS["lifter"], random = MIXTURE, np.random.default_rng(0)
    written = np.stack([draw_pose(random, "lifter").pose for _ in range(WRITTEN_POSES)])
    captured = np.tile(captured_poses(), (CAPTURED_COPIES, 1))
    captured[:, 3:] += TURNED * random.standard_normal((len(captured), 69))
    return [source(1 - CAPTURED_SHARE, written), source(CAPTURED_SHARE, captured)]


def viewed(points: Tensor) -> Tensor:
    """People (N, 27, 3) in axes of cameras that look at them, metres from the camera."""
    count = len(points)
    near, far = WIDE_PITCH
    pitch = torch.where(
        torch.rand(count) < WIDE,
        near + (far - near) * torch.rand(count),
        PITCH[0] + PITCH[1] * torch.randn(count),
    )
    roll = torch.where(torch.rand(count) < ROLLED, 360 * torch.rand(count), ROLL * torch.randn(count))
    turns = [
        (2, roll * radians(1)),
        (0, pitch * radians(1)),
        (0, torch.full((count,), pi)),
        (1, 2 * pi * torch.rand(count)),
    ]
    rotation = torch.eye(3).expand(count, 3, 3)
    for axis, angle in turns:  # the half turn takes y up to y down
        rotation = rotation @ roma.rotvec_to_rotmat(angle[:, None] * torch.eye(3)[axis])
    nearest, farthest = DISTANCE
    distance = torch.exp(log(nearest) + log(farthest / nearest) * torch.rand(count))
    points = points @ rotation.mT
    distance = torch.maximum(distance, 0.6 - points[..., 2].amin(1))
    return points + distance[:, None, None] * torch.eye(3)[2]


def imitated(response: Response, truth: Tensor) -> Sighting:
    """What the landmark network may say of people (N, 27, 3) from real pictures."""
    count = len(truth)
    confidence = response.confidence[torch.randint(len(response.confidence), (count,))]
    clear = (torch.rand(count, 1) < CLEAR) & (torch.rand(confidence.shape) >= HIDDEN)
    confidence = torch.where(clear, 1.0, confidence)
    low, high = LOUDNESS
    loud = (low + (high - low) * torch.rand(count, 1, 1)) * torch.where(
        torch.rand(*confidence.shape, 1) < WILD, 3, 1
    )
    off3d, off2d = (loud * value for value in response.errors(confidence))
    low, high = RESPONSE
    true = low + (high - low) * torch.rand(count, 1, 1)
    said = true * FAULTLESS * centered(truth, confidence) + (1 - true) * response.said(truth, confidence)
    places = truth[..., :2] / truth[..., 2:]
    seen = places + PLACES * spread(places, confidence) * off2d
    focal = torch.exp(FOCAL * torch.randn(count, 1, 1))
    return Sighting(focal * centered(seen, confidence), said + off3d, confidence)


def draw(among: list[Source], response: Response, count: int) -> Read:
    """People of the sources, half of them mirrored."""
    which = torch.multinomial(torch.tensor([each.share for each in among]), count, replacement=True)
    rows = [torch.randint(len(each.points), (int((which == k).sum()),)) for k, each in enumerate(among)]
    truth = viewed(torch.cat([each.points[some] for each, some in zip(among, rows)]))
    rotmat = torch.cat([each.rotmat[some] for each, some in zip(among, rows)])
    people = Read(*imitated(response, truth), truth, rotmat)
    mirror = torch.rand(count) < 0.5
    return Read(
        *(torch.where(mirror.view(-1, *[1] * (a.dim() - 1)), b, a) for a, b in zip(people, people.mirrored()))
    )


def loss(found: Lifted, people: Read) -> Tensor:
    """Distances of landmarks and rotations, and likelihoods under Laplace distributions; by how they are believed."""
    off = found.points3d - centered(people.truth, people.confidence)
    unlikely = off.abs().sum(-1) / found.deviation + 3 * found.deviation.log()
    trust = torch.tensor(TRUST).clamp(min=0.2)
    points = (trust * (LIKELIHOOD * unlikely + off.norm(dim=-1))).mean()
    counts = torch.ones(24)
    counts[list(EXTREMITIES)] = LITTLE
    turns = (counts[1:] * (found.rotmat - people.rotmat).abs().mean((2, 3))).mean()
    angles = angles_off(found.rotmat.detach(), people.rotmat).clamp(max=2)  # near half a turn, angles jump
    return (
        POINTS * points
        + turns
        + LIKELY_ANGLES * (angles / found.angle_spread + found.angle_spread.log()).mean()
    )


def angles_off(found: Tensor, truth: Tensor) -> Tensor:
    """(N, 23, 3) radians between the axis-angles of rotations (N, 23, 3, 3)."""
    return (roma.rotmat_to_rotvec(found) - roma.rotmat_to_rotvec(truth)).abs()


def train(among: list[Source], response: Response, held_out: Read) -> Lifter:
    network = Lifter()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS, pct_start=0.1)
    for step in range(STEPS):
        people = draw(among, response, BATCH)
        value = loss(network(people.seen()), people)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST)
        optimiser.step()
        schedule.step()
        if (step + 1) % (STEPS // 10) == 0:
            print(f"{step + 1} loss {value.item():.4f}, {score(network, held_out)}", flush=True)
    return network


def calibrate(network: Lifter, held_out: Read) -> None:
    """Stores by how much people not trained on are farther off than is said.

    Of landmarks by the middle of their errors, for fits bear a few that are far off; of angles in the mean of squares.
    """
    with torch.no_grad():
        found, seen = looks(network, held_out.seen()), held_out.confidence[:, LIMBS] > 0.5
        off = (found.points3d - centered(held_out.truth, held_out.confidence))[:, LIMBS]
        points = (off / found.deviation[:, LIMBS, None])[seen]
        angles = angles_off(found.rotmat, held_out.rotmat) / found.angle_spread
    network.point_factor.copy_(1.4826 * points.abs().median())
    network.angle_factor.copy_(angles.square().mean().sqrt())
    print(
        f"farther off than said: landmarks {network.point_factor:.2f}, angles {network.angle_factor:.2f} times"
    )


def score(network: Lifter, people: Read) -> str:
    with torch.no_grad():
        found = looks(network, people.seen()).points3d
    limbs = [1000 * points[:, LIMBS] for points in (people.points3d, found, people.truth)]
    said, lifted = (pa_mpjpe(points, limbs[2]).mean() for points in limbs[:2])
    return f"limbs of rendered people {said:.1f} -> {lifted:.1f} mm"


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums depend on it, and weights drift apart with them
    people = cached()
    last = torch.arange(len(people.truth)) % HELD_OUT == 0
    held_out = people.rows(last)
    network = train(sources(), measured(people.rows(~last)), held_out)
    calibrate(network, held_out)
    part = TARGET.with_suffix(".part")
    save_file({name: value.half() for name, value in network.state_dict().items()}, part)
    part.chmod(0o644)
    part.replace(TARGET)


if __name__ == "__main__":
    main()
