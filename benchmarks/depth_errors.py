"""How the landmark network errs about depth, by joint and view, and what the lifter leaves of it; docs/accuracy.md.

    python benchmarks/depth_errors.py

On the cases of `accuracy.py`: people before four calibrated cameras, and rendered ones that move. Depth is along the
ray to the person, from the middle of the 12 limb points, after the scale that fits best across the view. People are not
turned to fit: a lean counts.

bias     how much too far away a joint is said to be, mm; also of people who face the camera, and who face away
spread   deviation of these errors, mm
slope    how much of a joint's true depth is seen: 1 is all, 0 nothing
bend     likewise of how far knees and elbows lie off the line between their neighbours, along the ray: mean size,
         slope, and deviation of what that line does not explain
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from accuracy import Case, camera_cases, motion_rows, rendered_cases
from cameras import TRIALS
from infer import LIMBS
from torch import Tensor

from hmrcli.body import load_body
from hmrcli.fitting.landmarks import INDICES, NAMES
from hmrcli.fitting.lifting import lift
from hmrcli.fitting.targets import Targets, view_rotation

JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
CHAINS = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}
_LIMB_NAMES = [NAMES[k] for k in LIMBS]


class Depths(NamedTuple):
    """N people in axes of a camera that looks at them, metres from the middle of their limbs."""

    said: Tensor
    lifted: Tensor
    true: Tensor
    """(N, 12, 3)"""


def depths(cases: Iterator[Case]) -> Depths:
    """Gathers what is said and true of the cases."""
    several = list(cases)
    targets = Targets(*map(torch.cat, zip(*(case.targets for case in several))))
    targets = Targets(*(value.double() for value in targets))
    true = torch.cat([case.limbs for case in several]).double() @ view_rotation(targets)
    true = true - true.mean(1, keepdim=True)
    said, lifted = (
        scaled(each.points3d[:, INDICES][:, LIMBS].double(), true) for each in (targets, lift(targets))
    )
    return Depths(said, lifted, true)


def scaled(points: Tensor, true: Tensor) -> Tensor:
    """Centers points (N, 12, 3) and brings them to the truth's size across the view."""
    points = points - points.mean(1, keepdim=True)
    across, true_across = points[..., :2], true[..., :2]
    return points * ((across * true_across).sum((1, 2)) / across.square().sum((1, 2)))[:, None, None]


def away(people: Tensor) -> Tensor:
    """Tells who faces away from the camera, (N,) bool."""
    side = {name: people[:, k] for k, name in enumerate(_LIMB_NAMES)}
    across = side["left_shoulder"] - side["right_shoulder"] + side["left_hip"] - side["right_hip"]
    up = side["left_shoulder"] + side["right_shoulder"] - side["left_hip"] - side["right_hip"]
    return torch.linalg.cross(across, up)[:, 2] > 0


def both_sides(points: Tensor, joint: str) -> Tensor:
    """Returns depths (N, 2) of a joint left and right, mm."""
    return 1000 * points[:, [_LIMB_NAMES.index(f"{side}_{joint}") for side in ("left", "right")], 2]


def line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Returns the slope of y over x, and the deviation of what is left of y."""
    off_x, off_y = x.flatten() - x.mean(), y.flatten() - y.mean()
    slope = (off_x * off_y).sum() / off_x.square().sum()
    return slope.item(), (off_y - slope * off_x).std().item()


def print_joints(people: Depths) -> None:
    print(
        "\n| joint | bias | facing | away | spread | slope | lifted: bias | spread | slope |\n|" + "---|" * 9
    )
    behind = away(people.true)
    for joint in JOINTS:
        said, lifted, true = (both_sides(points, joint) for points in people)
        cells = [f"{(said - true)[rows].mean():+.0f}" for rows in (slice(None), ~behind, behind)]
        cells += [
            f"{(said - true).std():.0f}",
            f"{line(true, said)[0]:.2f}",
            f"{(lifted - true).mean():+.0f}",
        ]
        cells += [f"{(lifted - true).std():.0f}", f"{line(true, lifted)[0]:.2f}"]
        print(f"| {joint} | {' | '.join(cells)} |")


def print_bends(people: Depths) -> None:
    print("\n| bend | mean size | slope | rest | lifted: slope | rest |\n|" + "---|" * 6)
    for joint, (near, middle, far) in CHAINS.items():
        said, lifted, true = (
            both_sides(points, middle) - (both_sides(points, near) + both_sides(points, far)) / 2
            for points in people
        )
        cells = [f"{true.abs().mean():.0f}"]
        for each in (said, lifted):
            slope, rest = line(true, each)
            cells += [f"{slope:.2f}", f"{rest:.0f}"]
        print(f"| {joint} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    groups = {f"cameras, {trial}": camera_cases(trial) for trial in TRIALS}
    groups["open-motion, every 8th frame"] = rendered_cases(load_body("open"), motion_rows())
    for name, cases in groups.items():
        people = depths(cases)
        print(f"\n**{name}**, {len(people.true)} people", flush=True)
        print_joints(people)
        print_bends(people)


if __name__ == "__main__":
    main()
