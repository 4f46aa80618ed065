"""The floor, by bodies that stand on one of known pitch and height."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.inference.floor import floor_of

PITCH, BELOW = 0.25, 1.6


@pytest.fixture(scope="module")
def standing():
    """A function that stands the open body, T-posed, on a floor seen from above; leaning and raised as told."""
    body = load_body("open")
    with torch.no_grad():
        posed = body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    vertices, joints = posed.vertices[0].numpy(), posed.joints[0].numpy()
    sole = vertices[:, 1].min()

    def stand(x, z, lean=0.0, raised=0.0, seen=1.0):
        turn = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
        level = [
            ((points - [0, sole, 0]) @ turn.T) + [x, raised - BELOW, -z] for points in (vertices, joints)
        ]
        sine, cosine = np.sin(PITCH), np.cos(PITCH)
        camera = np.array([[1, 0, 0], [0, -cosine, sine], [0, -sine, -cosine]])  # from level, y up, to y down
        placed = [points @ camera.T for points in level]
        return SimpleNamespace(
            placed=placed[0], joints3d=placed[1], joints_visibility=np.full(24, seen), body=body
        )

    return stand


def test_one_person_tells_the_floor(standing):
    floor = floor_of([standing(0.3, 4.0)])
    assert floor.pitch == pytest.approx(PITCH, abs=0.03)  # a neck is a little before the ankles
    soles = standing(0.3, 4.0).placed @ [0, np.cos(floor.pitch), np.sin(floor.pitch)]
    assert floor.below == pytest.approx(soles.max())


def test_several_people_s_soles_tell_the_pitch_better_than_their_leans(standing):
    people = [standing(x, z, lean) for x, z, lean in ((-1, 3, 0.15), (0, 6, 0.12), (1, 9, 0.18))]
    floor = floor_of(people)
    assert floor.pitch == pytest.approx(PITCH, abs=0.03)
    down = np.array([0, np.cos(floor.pitch), np.sin(floor.pitch)])
    assert all(abs((person.placed @ down).max() - floor.below) < 0.1 for person in people)
    assert abs(np.median([0.15, 0.12, 0.18])) > 0.1  # which their leans alone would miss


def test_someone_on_a_roof_does_not_tilt_the_floor(standing):
    for people in (
        [standing(0, 4.0), standing(1, 7.0, raised=2.0)],
        [standing(1, 7.0, raised=2.0), standing(0, 4.0)],
    ):
        floor = floor_of(people)
        assert floor.pitch == pytest.approx(PITCH, abs=0.04) and floor.below == pytest.approx(BELOW, abs=0.15)


def test_nobody_who_is_seen_to_stand_tells_no_floor(standing):
    assert floor_of([]) is None and floor_of([standing(0, 4.0, seen=0.1)]) is None
    assert floor_of([standing(0, 4.0, lean=2.2)]) is None
