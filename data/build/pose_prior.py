"""Remakes `data/fitting/pose_prior.json`: how far joints can turn, and how they usually do.

Limits are the averages that clinical goniometry gives (American Academy of Orthopaedic Surgeons, *Joint Motion*,
1965; Boone and Azen, J. Bone Joint Surg. 61-A, 1979), shared out over the joints of the body and turned into its
axes: x to the subject's left, y up, z to the front, arms sideways at rest. What is usual is half a guess within
these limits and half what people do in the demo footage of Sports2D and Pose2Sim (BSD-3-Clause), to which the body
is fitted with the guess alone, held loosely. Nothing comes from SMPL or from motion capture of other licences.

    python data/build/pose_prior.py      # after landmark_offsets.py
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import roma
from packages import member

from hmrcli.body import load_body
from hmrcli.fitting.fit import Strengths, fit_landmarks
from hmrcli.fitting.priors import JOINTS, PosePrior, both_sides
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.photo import Photo
from hmrcli.people import LANDMARK_INDEX, body_landmarks, detect_people

TARGET = Path(__file__).parents[1] / "fitting" / "pose_prior.json"

# Degrees about x, y, z for the joints of the middle and of the left: (least, greatest), (usual, spread).
TABLE = {
    "hip": [((-120, 25), (-5, 30)), ((-40, 40), (0, 15)), ((-25, 45), (3, 12))],
    "knee": [((0, 150), (8, 30)), ((-12, 12), (0, 5)), ((-8, 8), (0, 4))],
    "ankle": [((-25, 50), (0, 15)), ((-20, 20), (0, 10)), ((-25, 25), (0, 8))],
    "foot": [((-45, 30), (0, 10)), ((-8, 8), (0, 4)), ((-8, 8), (0, 4))],
    "spine": [((-12, 30), (3, 9)), ((-16, 16), (0, 7)), ((-13, 13), (0, 6))],
    "neck": [((-30, 28), (2, 12)), ((-38, 38), (0, 14)), ((-22, 22), (0, 9))],
    "collar": [((-15, 15), (0, 6)), ((-25, 20), (-3, 8)), ((-12, 35), (0, 9))],
    "shoulder": [((-80, 90), (5, 35)), ((-130, 50), (-15, 35)), ((-100, 95), (-55, 40))],
    "elbow": [((-85, 85), (0, 30)), ((-150, 3), (-35, 40)), ((-12, 12), (0, 8))],
    "wrist": [((-45, 45), (0, 15)), ((-30, 25), (0, 10)), ((-75, 75), (0, 18))],
    "hand": [((-10, 10), (0, 4)), ((-10, 10), (0, 4)), ((-60, 20), (-10, 12))],
}
FOOTAGE = {
    ("sports2d", "Sports2D/Demo/demo.mp4"): 1,
    **{("pose2sim", f"Pose2Sim/Demo_SinglePerson/videos/cam0{camera}.mp4"): 4 for camera in (1, 2, 3, 4)},
    **{("pose2sim", f"Pose2Sim/Demo_MultiPerson/videos/cam0{camera}.mp4"): 4 for camera in (1, 2, 3, 4)},
}
"""Videos, and how many cameras look at the same people: each person counts once."""
EVERY, FIRST = 15, 7  # frames; the ones between those that benchmarks/infer.py looks at
LOOSE = Strengths(pose=0.1)
SEEN = [
    LANDMARK_INDEX[f"{s}_{n}"]
    for s in ("left", "right")
    for n in ("shoulder", "elbow", "wrist", "knee", "ankle")
]


def frames(package: str, path: str) -> Iterator[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        video.write_bytes(member(package, path))
        capture = cv2.VideoCapture(str(video))
        number = 0
        while True:
            found, bgr = capture.read()
            if not found:
                break
            if number % EVERY == FIRST:
                yield np.ascontiguousarray(bgr[..., ::-1])
            number += 1
        capture.release()


def footage_angles(prior: PosePrior) -> tuple[np.ndarray, np.ndarray]:
    """(N, 23, 3) radians of people whose limbs are seen, and (N,) how much each counts."""
    body, angles, weights = load_body("open"), [], []
    for (package, path), cameras in FOOTAGE.items():
        for image in frames(package, path):
            detections = detect_people(image)
            seen = body_landmarks(image, detections)
            seen = seen[np.flatnonzero((seen.visibility[:, SEEN] > 0.5).all(1))]
            if not len(seen):
                continue
            boxes = np.array([d.bbox_xywh for d in detections])[seen.source]
            fits = fit_landmarks(body, landmark_targets(seen, boxes, Photo(image)), LOOSE, prior=prior)
            angles.append(roma.rotmat_to_rotvec(fits.rotmat[:, 1:]).numpy())
            weights.append(np.full(len(seen), 1 / cameras))
    return np.concatenate(angles), np.concatenate(weights)


def table_radians() -> dict[str, np.ndarray]:
    """Rows of the table as `both_sides` takes them."""
    return {
        name: np.radians([[*limits, *usual] for limits, usual in rows])  # least, greatest, usual, spread
        for name, rows in TABLE.items()
    }


def main() -> None:
    table = table_radians()
    guess = both_sides(table)
    angles, weights = footage_angles(guess)
    print(f"{len(angles)} fits, worth {weights.sum():.0f} people")
    least, greatest = guess.least.numpy(), guess.greatest.numpy()
    for name, values in table.items():
        samples, shares = [], []
        for joint, label in enumerate(JOINTS):
            if label.lstrip("-") == name:
                mirror = [1, -1, -1] if label.startswith("-") else [1, 1, 1]
                samples.append(angles[:, joint] * mirror)
                shares.append(weights)
                if name in ("spine", "neck"):  # the middle is its own mirror image
                    samples.append(angles[:, joint] * [1, -1, -1])
                    shares.append(weights)
        seen, share = np.concatenate(samples), np.concatenate(shares)[:, None]
        mean = (share * seen).sum(0) / share.sum()
        variance = (share * (seen - mean) ** 2).sum(0) / share.sum()
        usual, spread = values[:, 2], values[:, 3]
        blended = (usual + mean) / 2
        values[:, 3] = np.sqrt((spread**2 + variance) / 2 + ((usual - mean) / 2) ** 2)
        values[:, 2] = blended
        print(
            f"{name:9} usual {np.degrees(blended).round()}, spread {np.degrees(values[:, 3]).round()} degrees"
        )
    beyond = ((angles < least - 0.05) | (angles > greatest + 0.05)).mean()
    print(f"{beyond:.1%} of the fitted angles lie beyond their limits by more than 3 degrees")
    rounded = {name: values.round(4).tolist() for name, values in table.items()}
    rows = (f' "{name}": {json.dumps(values)}' for name, values in rounded.items())
    TARGET.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
