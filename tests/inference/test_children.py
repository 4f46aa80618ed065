"""Who is taken for a child, with bodies whose age is known."""

from functools import cache

import numpy as np
import pytest
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.body.camera import project
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.landmarks import INDICES, attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.targets import Targets, usual_angles
from hmrcli.inference.children import (
    EVIDENT,
    EVIDENT_BUST,
    QUICK,
    YEARS,
    ages,
    beside_others,
    child,
    gains,
    is_bust,
)
from hmrcli.inference.children import told as told_of

FOCAL, CENTER = 1000.0, (500.0, 400.0)


@cache
def adult() -> BodyModel:
    return load_body("open")


def seen(years: list[float | None], transl: list[tuple[float, float, float]]) -> Targets:
    """What a perfect landmark network sees of people who stand with hanging arms before a level camera."""
    points2d = torch.zeros(len(years), 33, 2)
    points3d, confidence = torch.zeros(len(years), 33, 3), torch.zeros(len(years), 33)
    for i, (age, place) in enumerate(zip(years, transl)):
        body = adult() if age is None else child(adult(), age)
        rotmat = torch.eye(3, dtype=torch.float64).repeat(1, 24, 1, 1)
        rotmat[0, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        for joint, side in ((16, 1), (17, -1)):
            c, s = np.cos(side * -1.2), np.sin(side * -1.2)
            rotmat[0, joint] = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        state = BodyState(rotmat, torch.zeros(1, 10).double(), torch.zeros(1, 3).double())
        points = pose_points(body_points(body, attachments(body.size)), state).points[0]
        low = points[:, 1].max()
        placed = points + torch.tensor(place) - torch.tensor([0.0, float(low), 0.0])
        points2d[i, INDICES] = project(placed[None], torch.tensor([FOCAL]), torch.tensor([CENTER]))[0].float()
        points3d[i, INDICES] = (
            points / body.size
        ).float()  # the network gives everyone about the same height
        confidence[i, INDICES] = 1
    extent = (points2d[:, INDICES].amax(1) - points2d[:, INDICES].amin(1)).amax(1)
    count = len(years)
    return Targets(
        points2d,
        points3d,
        confidence,
        extent,
        torch.full((count,), FOCAL),
        torch.tensor([CENTER]).repeat(count, 1),
        torch.full((count, 33), 0.025),
        **usual_angles(count),
    )


def told(targets: Targets) -> dict[int, float]:
    body = adult()
    fits = fit_landmarks(body, targets)
    joints = body(fits.rotmat, fits.betas).joints
    return ages(body, targets, fits, joints, targets.confidence.numpy(), [len(joints)])


@pytest.mark.parametrize("years", [1.0, 3.0])
def test_a_small_child_has_its_own_proportions(years):
    found = told(seen([years, None], [(-0.5, 1.2, 4.0), (0.5, 1.2, 4.0)]))
    assert list(found) == [0] and found[0] <= years + 3


def test_grown_ups_are_not_children_wherever_they_stand():
    everywhere = [(-1.0, 1.4, 4.0), (0.0, 1.4, 7.0), (1.5, 1.4, 12.0)]
    assert told(seen([None] * 3, everywhere)) == {}
    on_a_roof = [(-0.5, 1.4, 5.0), (0.5, -1.0, 8.0)]
    assert told(seen([None] * 2, on_a_roof)) == {}


def test_height_beside_an_adult_tells_children_whose_proportions_do_not():
    beside, alone = [(-1.0, 1.4, 4.5), (1.0, 1.4, 4.5)], [(1.0, 1.4, 4.5)]
    assert told(seen([8.0], alone)) == {}
    found = told(seen([None, 8.0], beside))
    assert list(found) == [1] and 6 <= found[1] <= 10


def test_ages_are_tried_together_as_one_by_one():
    targets = seen([3.0, None], [(-0.5, 1.2, 4.0), (0.5, 1.2, 4.0)])
    each = [fit_landmarks(child(adult(), years), targets, iterations=QUICK).cost for years in (3, 8)]
    nothing = torch.zeros(2)  # a cost so low that gains are not toned down
    assert gains(adult(), targets, nothing, (3, 8)) == pytest.approx(-torch.stack(each, 1).numpy(), rel=1e-6)
    assert each[0][0] < 0.5 * each[1][0]


def test_people_are_measured_by_the_tallest_beside_them():
    nobody = [np.nan] * 3
    feet = np.array(
        [[0.0, 1.5, 5.0], [1.0, 2.4, 8.0], [2.0, 1.2, 8.0], [0.0, -1.0, 9.0], nobody, [1.0, 1.8, 6.0]]
    )
    assert beside_others(feet) == pytest.approx([1, 5 / 8, np.nan, np.nan, np.nan, 5 / 6], nan_ok=True)


def test_somebody_without_legs_in_sight_has_to_look_more_like_a_child():
    body, gain = adult(), np.full(len(YEARS), (EVIDENT + EVIDENT_BUST) / 2)
    assert told_of(body, gain, np.nan) is not None
    assert told_of(body, gain, np.nan, bust=True) is None
    assert told_of(body, gain + EVIDENT_BUST, np.nan, bust=True) is not None
    visibility = np.ones((2, 33))
    visibility[0, 25:] = 0.2  # knees and below
    assert is_bust(visibility).tolist() == [True, False]
