"""The scoring of photos: right bodies pass, and bodies wrong in one way each fail in that aspect."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from by_eye import Body, Truth, direction, facing, front_leg, joint_names, judged, paired, postures  # noqa: E402

from hmrcli.body.joints import SMPL_24  # noqa: E402

J = {name: i for i, name in enumerate(SMPL_24.names)}


def stick_figure() -> np.ndarray:
    """Somebody 1.7 m tall who stands with hanging arms and faces the camera: their left is the picture's right."""
    up = {"ankle": 0.1, "knee": 0.5, "hip": 0.9, "shoulder": 1.4, "elbow": 1.1, "wrist": 0.85, "foot": 0.0}
    out = {"ankle": 0.1, "knee": 0.1, "hip": 0.1, "shoulder": 0.2, "elbow": 0.25, "wrist": 0.25, "foot": 0.1}
    up |= {"pelvis": 0.95, "spine1": 1.0, "spine2": 1.15, "spine3": 1.3, "neck": 1.5, "head": 1.6}
    up |= {"collar": 1.45, "hand": 0.75}
    out |= {"collar": 0.08, "hand": 0.25}
    joints = np.zeros((24, 3))
    for name, i in J.items():
        side, _, part = name.rpartition("_")
        joints[i] = {"left": 1, "right": -1, "": 0}[side] * out.get(part, 0), -up[part], 0
    return joints


def turned(joints: np.ndarray, axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return joints @ np.array(about[axis], float).T


def moved(joints: np.ndarray, **shifts: tuple[float, float, float]) -> np.ndarray:
    joints = joints.copy()
    for name, shift in shifts.items():
        joints[J[name]] += shift
    return joints


def sitting() -> np.ndarray:
    """Thighs towards the camera, shins hanging."""
    shifts = {}
    for side in ("left", "right"):
        shifts |= {f"{side}_knee": (0, -0.4, -0.4), f"{side}_ankle": (0, -0.4, -0.4)}
    return moved(stick_figure(), **shifts)


def bowing() -> np.ndarray:
    """From the hips down as before, the trunk turned about the hips by 90 degrees, chest down."""
    joints, legs = (
        stick_figure(),
        [J[f"{s}_{p}"] for s in ("left", "right") for p in ("hip", "knee", "ankle", "foot")],
    )
    pelvis = joints[J["pelvis"]]
    bent = turned(joints - pelvis, "x", 90) + pelvis
    bent[legs] = joints[legs]
    return bent


def as_body(joints: np.ndarray, pixels: float = 100, shift: tuple[float, float] = (200, 300)) -> Body:
    points = joints[:, :2] * pixels + shift
    box = np.concatenate([points.min(0), np.ptp(points, axis=0)])
    return Body(joints, points, np.ones(24), points[J["head"]], box)


POSED = {
    "standing": stick_figure(),
    "seated": sitting(),
    "bending": bowing(),
    "lying": turned(stick_figure(), "z", 90),
    "upside_down": turned(stick_figure(), "z", 180),
}


@pytest.mark.parametrize("posture", POSED)
def test_a_posture_passes_for_itself_alone(posture: str) -> None:
    assert postures(POSED[posture]) == {posture}
    assert posture in postures(turned(POSED[posture], "y", 130))  # seen from elsewhere


def test_lying_away_from_the_camera_is_lying() -> None:
    assert postures(turned(stick_figure(), "x", 90)) == {"lying"}


@pytest.mark.parametrize(
    ("degrees", "words"), [(0, "towards"), (90, "left"), (-90, "right"), (180, "away"), (45, "towards left")]
)
def test_facing(degrees: float, words: str) -> None:
    body = turned(stick_figure(), "y", degrees)
    np.testing.assert_allclose(facing(body), direction(words), atol=1e-6)
    person = Truth([0, 0, 100, 100], facing=words)
    assert judged(as_body(body), person)["facing"] == [True]
    assert judged(as_body(turned(body, "y", 50)), person)["facing"] == [True]
    for wrong in (90, 180, -90):
        assert judged(as_body(turned(body, "y", wrong)), person)["facing"] == [False]


def test_a_body_with_left_and_right_swapped_faces_the_other_way() -> None:
    swapped = stick_figure()[list(SMPL_24.flip)]
    assert judged(as_body(swapped), Truth([0, 0, 100, 100], facing="towards"))["facing"] == [False]


def test_front_leg() -> None:
    for degrees in (0, 90, 200):
        striding = moved(stick_figure(), left_ankle=(0, 0, -0.2), right_ankle=(0, 0, 0.2))
        assert front_leg(turned(striding, "y", degrees)) == "left"
        backwards = moved(stick_figure(), left_ankle=(0, 0, 0.2), right_ankle=(0, 0, -0.2))
        assert front_leg(turned(backwards, "y", degrees)) == "right"
    assert front_leg(stick_figure()) == ""  # legs side by side are neither


def test_joints_seen_unseen_and_their_places() -> None:
    body = as_body(stick_figure())
    hidden = body._replace(
        visibility=np.where(np.isin(np.arange(24), [J["left_knee"], J["right_knee"]]), 0.1, 1.0)
    )
    assert joint_names("knees left_wrist") == ["left_knee", "right_knee", "left_wrist"]
    assert judged(body, Truth([0, 0, 100, 100], unseen="knees"))["visible"] == [False, False]
    assert judged(hidden, Truth([0, 0, 100, 100], unseen="knees", seen="ankles"))["visible"] == [True] * 4
    assert judged(hidden, Truth([0, 0, 100, 100], seen="knees left_wrist"))["visible"] == [False, False, True]
    place = body.points[J["left_wrist"]]
    assert judged(body, Truth([0, 0, 100, 160], at={"left_wrist": place + 15}))["at"] == [False]
    assert judged(body, Truth([0, 0, 100, 160], at={"left_wrist": place + 10}))["at"] == [True]
    assert judged(body, Truth([0, 0, 100, 160], at={"right_wrist": place}))["at"] == [False]


def test_bodies_are_given_to_people_by_box_and_head() -> None:
    body = as_body(stick_figure())
    person = Truth(body.box.tolist(), head=body.head.tolist())
    beside = as_body(stick_figure(), shift=(600, 300))
    assert paired([beside, body], [person]) == ({0: 1}, {}, [0])
    assert paired([beside, body], [person], [beside.box]) == ({0: 1}, {}, [])
    assert paired([], [person]) == ({}, {}, [])
    upside_down = as_body(turned(stick_figure() + [0, 0.8, 0], "z", 180) - [0, 0.8, 0])
    assert paired([upside_down], [person]) == ({}, {0: 0}, [])
    small = as_body(stick_figure(), pixels=50, shift=(200, 220))
    assert not paired([small], [person]).found
    assert paired([body, body], [person]) == ({0: 0}, {}, [1])  # one person, two bodies


def test_of_two_people_each_gets_their_own_body() -> None:
    bodies = [as_body(stick_figure(), shift=(x, 300)) for x in (200, 215)]
    people = [Truth(b.box.tolist(), head=b.head.tolist()) for b in bodies]
    assert paired(bodies[::-1], people).found == {0: 1, 1: 0}


def test_the_list_of_photos_is_of_known_words() -> None:
    entries = yaml.safe_load((ROOT / "benchmarks" / "photos.yaml").read_text())
    assert len({(e["package"], e["member"], e.get("frame")) for e in entries}) >= 40
    assert len({e["name"] for e in entries}) == len(entries)
    for entry in entries:
        for person in (Truth(**one) for one in entry["people"]):
            assert len(person.box) == 4 and len(person.head) in (0, 2), entry["name"]
            assert not person.facing or np.linalg.norm(direction(person.facing)) == pytest.approx(1)
            assert person.posture in ("", *POSED) and person.front in ("", "left", "right")
            assert {*joint_names(person.seen), *joint_names(person.unseen), *person.at} <= {*SMPL_24.names}
