"""Remakes `data/scenes/poses.npz`: the bank of poses that the open data set mixes, and spheres that stand for the body.

Most poses are written by hand in `key_poses.yaml`. The others are fits of the open body to people in the demo footage
of Sports2D and Pose2Sim (BSD-3-Clause), to frames at least ten away from every frame of `benchmarks/frames.yaml`.
Ranges of joints are those of `data/fitting/pose_prior.json`.

    python data/build/scene_poses.py      # after pose_prior.py
"""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from hmrcli.body import load_body
from hmrcli.body.joints import PARENTS
from hmrcli.fitting.priors import JOINTS, pose_prior
from hmrcli.people.skeleton import LANDMARK_INDEX
from hmrcli.scenes.poses import PART, Spheres, collides, sphere_places
from hmrcli.scenes.posing_kernels import rotation_matrix

Array = NDArray[Any]

TABLE = Path(__file__).with_name("key_poses.yaml")
TARGET = Path(__file__).parents[1] / "scenes" / "poses.npz"
MEASURED = Path(__file__).parents[2] / "benchmarks" / "frames.yaml"

LEFT = {"hip": 1, "knee": 4, "ankle": 7, "collar": 13, "shoulder": 16, "elbow": 18}
SPINE, NECK = (3, 6, 9), (12, 15)
UPPER_ARM, FOREARM = 0.257, 0.229  # metres, of the mean open body

HANGING = [10, 15, 0, 12, 0]
STANDING = [1, 5, 6, 3]

FOOTAGE = {
    ("sports2d", "Sports2D/Demo/demo.mp4"): (15, 45, 70, 90, 110, 130, 150, 170, 190, 210),
    ("pose2sim", "Pose2Sim/Demo_SinglePerson/videos/cam01.mp4"): (15, 45, 75),
    ("pose2sim", "Pose2Sim/Demo_SinglePerson/videos/cam03.mp4"): (15, 45, 75),
    ("pose2sim", "Pose2Sim/Demo_MultiPerson/videos/cam01.mp4"): (15, 45, 75),
    ("pose2sim", "Pose2Sim/Demo_MultiPerson/videos/cam03.mp4"): (15, 45, 75),
}
FRAMES_APART = 10
SPREAD = {
    "hip": (0.4425, 0.2322, 0.2052),
    "knee": (0.453, 0.0646, 0.0658),
    "ankle": (0.234, 0.1646, 0.1126),
    "foot": (0.1312, 0.0498, 0.0495),
    "spine": (0.1217, 0.0969, 0.0907),
    "neck": (0.1986, 0.1983, 0.1311),
    "collar": (0.0749, 0.1812, 0.1926),
    "shoulder": (0.5423, 0.5079, 0.5679),
    "elbow": (0.4121, 0.6558, 0.1032),
    "wrist": (0.1901, 0.1364, 0.2805),
    "hand": (0.0495, 0.0497, 0.1516),
}
"""Radians about x, y, z by which joints are usually turned in the open data set; another table is another edition."""
SEEN = [
    LANDMARK_INDEX[f"{side}_{name}"]
    for side in ("left", "right")
    for name in ("shoulder", "elbow", "wrist", "knee", "ankle")
]
"""Landmarks that are seen of people whose pose is taken."""

SLICES = {  # spheres along, and across, the part that follows a joint
    **dict.fromkeys((0, 3, 6, 9), (1, 3)),
    **dict.fromkeys((1, 2, 4, 5), (4, 1)),
    **dict.fromkeys((16, 17, 18, 19), (3, 1)),
    **dict.fromkeys((7, 8, 15, 20, 21, 22, 23), (2, 1)),
}
SOFT = 0.8
"""Share of two radii at which flesh is held to pass through flesh, not to touch it."""


def from_vector(vector: Array) -> Array:
    out = np.empty((3, 3))
    rotation_matrix(np.asarray(vector, np.float64), out)
    return out


def rotation(axis: str, degrees: float) -> Array:
    return from_vector(np.radians(degrees) * np.eye(3)["xyz".index(axis)])


def rotation_vector(rotmat: Array) -> Array:
    """(3, 3) to axis-angle (3,)."""
    import cv2

    return np.asarray(cv2.Rodrigues(np.ascontiguousarray(rotmat))[0], np.float64)[:, 0]


def unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def swing(start: Array, end: Array) -> Array:
    """The shortest rotation from one unit vector to another."""
    axis = np.cross(start, end)
    length = np.linalg.norm(axis)
    return from_vector(axis / max(length, 1e-9) * np.arctan2(length, start @ end))


def collar_rotation(direction: Array) -> Array:
    """The shoulder blade follows an upper arm that points in a direction of the chest: up when it rises, forward."""
    lift = np.degrees(np.arccos(np.clip(-direction[1], -1, 1)))
    return from_vector(np.radians([0, -14 * direction[2], 30 * np.clip((lift - 30) / 150, 0, 1)]))


def arm_joints(lift: float, to: float, turn: float, bend: float, roll: float) -> dict[str, Array]:
    """Joints of the left arm by angles, as the table describes them."""
    lift, to = np.radians([lift, to])
    direction = np.array([np.sin(lift) * np.cos(to), -np.cos(lift), np.sin(lift) * np.sin(to)])
    collar = collar_rotation(direction)
    shoulder = swing(np.array([1.0, 0, 0]), collar.T @ direction) @ rotation("x", -turn)
    return arm_vectors(collar, shoulder, bend, roll)


def hand_joints(*numbers: float) -> dict[str, Array]:
    """Joints of the left arm with the wrist at a place: the elbow in the plane of its direction (two-bone reach)."""
    place, elbow = np.array(numbers[:3]), np.array(numbers[3:])
    away = np.clip(np.linalg.norm(place), 0.10, UPPER_ARM + FOREARM - 0.004)
    towards = unit(place)
    aside = unit(elbow - (elbow @ towards) * towards)
    cosine = (UPPER_ARM**2 + away**2 - FOREARM**2) / (2 * UPPER_ARM * away)
    upper = cosine * towards + np.sqrt(1 - cosine**2) * aside
    fore = unit(away * towards - UPPER_ARM * upper)
    hinge = unit(fore - (fore @ upper) * upper)
    collar = collar_rotation(upper)
    shoulder = collar.T @ np.stack([upper, np.cross(hinge, upper), hinge], axis=1)
    return arm_vectors(collar, shoulder, np.degrees(np.arccos(fore @ upper)), 0)


def arm_vectors(collar: Array, shoulder: Array, bend: float, roll: float) -> dict[str, Array]:
    elbow = rotation("y", -bend) @ rotation("x", -roll)
    return {
        "collar": rotation_vector(collar),
        "shoulder": rotation_vector(shoulder),
        "elbow": rotation_vector(elbow),
    }


def leg_joints(
    lean: float, flex: float, out: float, turn: float, knee: float, *ankle: float
) -> dict[str, Array]:
    """Joints of the left leg, as the table describes them."""
    hip = from_vector(np.radians([-flex, 0, out])) @ rotation("y", turn)
    level = flex - knee - lean if abs(lean) < 60 else 25
    return {
        "hip": rotation_vector(hip),
        "knee": np.radians([knee, 0, 0]),
        "ankle": np.radians([ankle[0] if ankle else level, 0, 0]),
    }


def key_pose(entry: dict[str, Any]) -> Array:
    """(24, 3) axis-angle of an entry of the table, not yet held within the ranges of joints."""
    pose = np.zeros((24, 3))
    lean, roll = entry.get("body", (0, 0))
    pose[0] = rotation_vector(rotation("z", -roll) @ rotation("x", lean))
    for name, joints in (("spine", SPINE), ("head", NECK)):
        forward, turn, side = entry.get(name, (0, 0, 0))
        pose[list(joints)] = np.radians([forward, turn, -side]) / len(joints)
    for side in ("left", "right"):
        hand = entry.get(f"{side}_hand", entry.get("hands"))
        arm = entry.get(f"{side}_arm", entry.get("arms"))
        if f"{side}_arm" in entry:  # an arm named outright wins over hands
            hand = None
        found = arm_joints(*(arm or HANGING)) if hand is None else hand_joints(*hand)
        found |= leg_joints(lean, *entry.get(f"{side}_leg", entry.get("legs", STANDING)))
        for name, vector in found.items():
            pose[LEFT[name] + (side == "right")] = vector * (1 if side == "left" else [1, -1, -1])
    return pose


def key_poses() -> dict[str, list[tuple[str, Array, bool]]]:
    """Of each section the names, poses (24, 3) and whether they float, as the table has them."""
    table = yaml.safe_load(TABLE.read_text())
    return {
        section: [(name, key_pose(entry), entry.get("floating", False)) for name, entry in entries.items()]
        for section, entries in table.items()
    }


def joint_ranges() -> tuple[Array, Array, Array]:
    """(24, 3) least, greatest and spread, radians; the root has no range and leans a little."""
    prior = pose_prior()
    root = (np.full((1, 3), -np.inf), np.full((1, 3), np.inf), np.radians([[5, 0, 4]]))
    turned = np.array([SPREAD[name.lstrip("-")] for name in JOINTS])
    rows = (prior.least.numpy(), prior.greatest.numpy(), turned)
    least, greatest, spread = (np.concatenate(pair) for pair in zip(root, rows, strict=True))
    return least.astype(np.float32), greatest.astype(np.float32), spread.astype(np.float32)


def body_spheres() -> Spheres:
    """Spheres fitted to slices of the mean body, and which pairs of them must keep apart."""
    body = load_body("open")
    vertices = body.v_template.numpy().astype(np.float64)
    joints = body.joint_regressor.numpy().astype(np.float64) @ vertices
    owner = body.weights.numpy().argmax(1)
    joint, centre, radius = [], [], []
    for part, (along, across) in SLICES.items():
        points = vertices[owner == part]
        axis = np.ptp(points, axis=0).argmax() if across == 1 else 0
        order = np.argsort(points[:, axis], kind="stable")
        low, high = points[order[0], axis], points[order[-1], axis]
        cuts = np.linspace(low, high + 1e-9, max(along, across) + 1)
        for start, end in pairwise(cuts):
            piece = points[(points[:, axis] >= start) & (points[:, axis] < end)]
            middle = (piece.min(0) + piece.max(0)) / 2
            joint.append(part)
            centre.append(middle - joints[part])
            radius.append(np.median(np.linalg.norm(piece - middle, axis=1)))
    owners, reach = np.array(joint), np.array(radius)
    parent = np.array(PARENTS)
    bones = joints - joints[np.maximum(parent, 0)]
    both = reach[:, None] + reach
    # Nobody passes through themselves at rest or with arms that hang, whatever spheres make of it.
    rest, hanging = (
        sphere_distances(bones, owners, np.array(centre), pose) for pose in (np.zeros((24, 3)), key_pose({}))
    )
    touching = rest < 1.5 * both
    gap = np.minimum(SOFT * both, 0.9 * hanging)
    kin = (
        (owners[:, None] == owners)
        | (parent[owners][:, None] == owners)
        | (parent[owners] == owners[:, None])
        | (np.isin(owners, (0, 3, 6, 9))[:, None] & np.isin(owners, (0, 3, 6, 9)))
    )
    return Spheres(bones, owners, np.array(centre), np.where(touching | kin, 0, gap) ** 2)


def joint_places(bones: Array, pose: Array) -> Array:
    """(24, 3) joints of a body in a pose (24, 3), its root at the origin."""
    return sphere_places(Spheres(bones, np.arange(24), np.zeros((24, 3)), np.empty(0)), pose)


def sphere_distances(bones: Array, joint: Array, centre: Array, pose: Array) -> Array:
    """(S, S) distances of the centres of spheres in a pose (24, 3)."""
    at = sphere_places(Spheres(bones, joint, centre, np.empty(0)), pose)
    return np.asarray(np.linalg.norm(at[:, None] - at, axis=-1))


def freed(spheres: Spheres, pose: Array, least: Array, greatest: Array) -> Array:
    """The pose (24, 3) near the given one, found by chance, in which the body does not pass through itself.

    Arms move more than legs, and the back hardly: hands that were placed a little too deep come out.
    """
    random = np.random.default_rng(20261122)
    ease = np.where(np.isin(PART, (2, 3)), 1.0, np.where(PART == 0, 0.4, 0.1))[:, None] * np.ones(3)
    ease[0] = 0
    best: Array | None = None
    for reach in (0.05, 0.1, 0.2, 0.3, 0.4):
        turns = reach * ease * random.standard_normal((1500, 24, 3)) * random.random((1500, 1, 1))
        best = nearest_free(spheres, pose, np.clip(pose + turns, least, greatest))
        if best is not None:
            break
    for _ in range(10):  # back towards what was meant, as far as it goes
        if best is None:
            return pose
        share = random.random((300, 24, 1)) * (random.random((300, 24, 1)) < 0.3)
        best = nearest_free(spheres, pose, np.concatenate([best[None], best + share * (pose - best)]))
    return pose if best is None else best


def nearest_free(spheres: Spheres, meant: Array, trials: Array) -> Array | None:
    """Of poses (N, 24, 3) the nearest to the one that is meant in which the body does not pass through itself."""
    for index in np.square(trials - meant).sum((1, 2)).argsort(kind="stable"):
        if not collides(spheres, trials[index]):
            return trials[index]
    return None


def footage_poses(bones: Array) -> list[tuple[str, Array, bool]]:
    """Names and poses (24, 3) of people whose limbs are seen in the footage."""
    import cv2
    import roma
    from packages import member

    from hmrcli.fitting.fit import fit_landmarks
    from hmrcli.inference.fit import landmark_targets
    from hmrcli.inference.photo import Photo
    from hmrcli.people import body_landmarks, detect_people

    measured = yaml.safe_load(MEASURED.read_text())
    body, found = load_body("open"), []
    for (package, path), numbers in FOOTAGE.items():
        looked_at = [row["frame"] for row in measured if row.get("member") == path]
        assert all(abs(a - b) >= FRAMES_APART for a in numbers for b in looked_at), path
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "video.mp4"
            video.write_bytes(member(package, path))
            capture = cv2.VideoCapture(str(video))
            for number in range(max(numbers) + 1):
                read, bgr = capture.read()
                if not read or number not in numbers:
                    continue
                image = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
                detections = detect_people(image)
                seen = body_landmarks(image, detections)
                seen = seen[np.flatnonzero((seen.visibility[:, SEEN] > 0.5).all(1))]
                if not len(seen):
                    continue
                boxes = np.array([d.bbox_xywh for d in detections])[seen.source]
                fits = fit_landmarks(body, landmark_targets(seen, boxes, Photo(np.asarray(image, np.uint8))))
                for person, pose in enumerate(roma.rotmat_to_rotvec(fits.rotmat.double()).numpy()):
                    name = f"{Path(path).parts[1].lower()}_{Path(path).stem}_{number:03}_{person}"
                    found.append((name, balanced(bones, pose), False))
            capture.release()
    return found


def balanced(bones: Array, pose: Array) -> Array:
    """The pose (24, 3) with a root that puts the body's middle over its feet: the tilt of the camera is not known."""
    joints = joint_places(bones, np.concatenate([np.zeros((1, 3)), pose[1:]]))
    upwards = unit(joints.mean(0) - joints[[7, 8, 10, 11]].mean(0))
    root = swing(upwards, np.array([0.0, 1.0, 0.0]))
    heading = np.degrees(np.arctan2(root[0, 2], root[2, 2]))
    return np.concatenate([rotation_vector(rotation("y", -heading) @ root)[None], pose[1:]])


def main() -> None:
    least, greatest, spread = joint_ranges()
    spheres = body_spheres()
    sections = key_poses() | {"footage": footage_poses(spheres.bones)}
    rows = [
        (name, section, pose, floats) for section, poses in sections.items() for name, pose, floats in poses
    ]
    pose = np.array([row[2] for row in rows])
    held = np.clip(pose, least, greatest)
    beyond = np.degrees(np.abs(pose - held).max((1, 2)))
    through = np.array([collides(spheres, each) for each in held])
    for index in np.flatnonzero(through):
        held[index] = freed(spheres, held[index], least, greatest)
    still = np.array([collides(spheres, each) for each in held])
    moved = np.degrees(np.abs(np.array(held) - np.clip(pose, least, greatest)).max((1, 2)))
    for (name, section, *_), degrees, came, hit in zip(rows, beyond, moved, still, strict=True):
        if hit or degrees > 15 or came > 20:
            fate = ", still passes through itself" if hit else ""
            print(f"{section}/{name}: {degrees:.0f} degrees out of range, freed by {came:.0f}{fate}")
    seen = np.array([section == "footage" for _, section, *_ in rows])
    keep = ~(seen & through)
    assert not still[keep].any(), "correct the table"
    print(f"{keep.sum()} poses, {(keep & seen).sum()} of them from footage; {len(spheres.joint)} spheres")
    TARGET.parent.mkdir(exist_ok=True)
    temporary = TARGET.with_suffix(".part.npz")
    np.savez_compressed(
        temporary,
        names=np.array([row[0] for row in rows])[keep],
        section=np.array([row[1] for row in rows])[keep],
        pose=held[keep].astype(np.float32),
        floating=np.array([row[3] for row in rows])[keep],
        least=least,
        greatest=greatest,
        spread=spread,
        bones=spheres.bones,
        joint=spheres.joint,
        centre=spheres.center,
        squared_gap=spheres.squared_gap,
    )
    temporary.replace(TARGET)


if __name__ == "__main__":
    main()
