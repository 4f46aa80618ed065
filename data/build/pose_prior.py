"""Remakes `data/fitting/pose_prior.json`: how far joints can turn, and how they usually do.

Limits are the averages that clinical goniometry gives (American Academy of Orthopaedic Surgeons, *Joint Motion*,
1965; Boone and Azen, J. Bone Joint Surg. 61-A, 1979), shared out over the joints of the body and turned into its
axes: x to the subject's left, y up, z to the front, arms sideways at rest. What is usual is half a guess within
these limits and half what everyday poses are: those written by hand for a studio (`key_poses.yaml`). Nothing comes
from SMPL, nor from footage that fits are measured on.

    python data/build/pose_prior.py
"""

import json
from pathlib import Path

import numpy as np
from scene_poses import key_poses

from hmrcli.fitting.priors import JOINTS, both_sides

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


def table_radians() -> dict[str, np.ndarray]:
    """Rows of the table as `both_sides` takes them."""
    return {
        name: np.radians([[*limits, *usual] for limits, usual in rows])  # least, greatest, usual, spread
        for name, rows in TABLE.items()
    }


def everyday_angles() -> np.ndarray:
    """(N, 23, 3) radians."""
    return np.stack([pose[1:] for _, pose, _ in key_poses()["studio"]])


def main() -> None:
    table = table_radians()
    guess, angles = both_sides(table), everyday_angles()
    least, greatest = guess.least.numpy(), guess.greatest.numpy()
    for name, values in table.items():
        samples = []
        for joint, label in enumerate(JOINTS):
            if label.lstrip("-") == name:
                mirror = [1, -1, -1] if label.startswith("-") else [1, 1, 1]
                samples.append(angles[:, joint] * mirror)
                if name in ("spine", "neck"):  # the middle is its own mirror image
                    samples.append(angles[:, joint] * [1, -1, -1])
        seen = np.concatenate(samples)
        mean, variance = seen.mean(0), seen.var(0)
        usual, spread = values[:, 2], values[:, 3]
        blended = (usual + mean) / 2
        values[:, 3] = np.sqrt((spread**2 + variance) / 2 + ((usual - mean) / 2) ** 2)
        values[:, 2] = blended
        print(
            f"{name:9} usual {np.degrees(blended).round()}, spread {np.degrees(values[:, 3]).round()} degrees"
        )
    beyond = ((angles < least - 0.05) | (angles > greatest + 0.05)).mean()
    print(f"{beyond:.1%} of the angles lie beyond their limits by more than 3 degrees")
    rounded = {name: values.round(4).tolist() for name, values in table.items()}
    rows = (f' "{name}": {json.dumps(values)}' for name, values in rounded.items())
    TARGET.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
