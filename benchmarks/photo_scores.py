"""Bodies beside the real frames they come from: overlap with the mask, projected joints, lean, and seconds a person."""

import re
import time
from typing import NamedTuple

import numpy as np
import torch
from cameras import views
from frames import found_boxes, frames, match
from infer import scores
from methods import DAGGER, Methods
from readings import landmarks_of

from hmrcli.body import BodyModel
from hmrcli.fitting.fit import Fit
from hmrcli.fitting.targets import Targets, seen_targets, view_rotation
from hmrcli.inference.photo import Photo
from hmrcli.people import LANDMARK_INDEX, Landmarks


def leans(body: BodyModel, found: Landmarks, targets: Targets, fit: Fit | None) -> dict[str, np.ndarray]:
    """Returns degrees (N,) by which people lean towards the camera, from ankles to head and from pelvis to neck.

    They are angles in the plane of the camera's y and z axes, from -y.
    """
    if fit is None:
        turned = (
            view_rotation(targets).double()[:, None] @ torch.from_numpy(found.points3d).double()[..., None]
        )
        marks = {
            name: turned[:, [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right")], :, 0].mean(1)
            for name in ("ankle", "ear", "hip", "shoulder")
        }
        ends = {"lean": (marks["ankle"], marks["ear"]), "trunk": (marks["hip"], marks["shoulder"])}
    else:
        with torch.inference_mode():
            joints = body(fit.rotmat, fit.betas).joints
        ends = {"lean": (joints[:, [7, 8]].mean(1), joints[:, 15]), "trunk": (joints[:, 0], joints[:, 12])}
    return {name: tilt((high - low).numpy()) for name, (low, high) in ends.items()}


def tilt(upwards: np.ndarray) -> np.ndarray:
    """Returns degrees by which directions (..., 3) lean towards the camera, as its side view shows them."""
    return np.degrees(np.arctan2(-upwards[..., 2], -upwards[..., 1]))


def vertical(frame: str) -> float | None:
    """Returns what the vertical itself leans towards the camera of a frame, degrees; None for unknown cameras.

    A camera that looks down at somebody who stands straight sees the head nearer than the feet.
    """
    if not (lab := re.match(r"lab_(one|two)_(cam)(\d)_", frame)):
        return None
    (camera,) = [camera for camera in views(lab[1]) if camera.name == f"cam0{lab[3]}"]
    return float(tilt(camera.rotation @ (0, 0, 1)))


class Seen(NamedTuple):
    """What people of photos look like beside their pictures."""

    values: dict[str, list[float]]
    """Of each fully visible person, by name."""
    seconds: list[float]
    """Of one core, for a person alone, without landmarks."""


def photo_rows(body: BodyModel, methods: Methods) -> dict[str, Seen]:
    result = {name: Seen({}, []) for name in methods}
    for frame, load, people in frames():
        image = load()
        found, boxes = landmarks_of(image)
        matched = match(found_boxes(found), people)
        full = [i for i, k in enumerate(matched) if k >= 0 and people[k].visible == "full"]
        if not full:
            continue
        targets, straight = seen_targets(found, boxes, Photo(image).camera), vertical(frame)
        known = "level" if straight is None else "plumb"
        for name, (bodies, _) in methods.items():
            fit = None if bodies is None else bodies(body, found, targets)
            rows = [{}] * len(found) if fit is None else scores(body, found, targets, fit, image.shape[:2])
            lean = leans(body, found, targets, fit)
            if bodies is not None:
                one, start = [full[0]], time.process_time()
                bodies(body, found[one], Targets(*(value[one] for value in targets)))
                result[name].seconds.append(time.process_time() - start)
            for i in full:
                seen = dict(rows[i])
                if people[matched[i]].upright:
                    seen |= {f"{k} {known}": float(v[i]) - (straight or 0.0) for k, v in lean.items()}
                for key, value in seen.items():
                    result[name].values.setdefault(key, []).append(value)
    return result


PHOTO_COLUMNS = {
    "iou": "mask overlap",
    "2d_joint_%": "projected joints, % of box",
    "lean plumb": "lean from plumb",
    "trunk plumb": "trunk from plumb",
    "lean level": "lean, camera unknown",
    "trunk level": "trunk likewise",
}


def print_photos(rows: dict[str, Seen], methods: Methods) -> None:
    counts = {key: len(seen.values[key]) for seen in rows.values() for key in seen.values}
    print(
        f"\n**photos**: {max(counts.values())} fully visible people of real frames. Lean of those who stand upright,"
        f" degrees towards the camera: median of sizes, and median. {counts['lean plumb']} before cameras whose"
        f" plumb line is known, {counts['lean level']} before others, where it is counted from the picture's vertical\n"
    )
    print(
        f"| method | {' | '.join(PHOTO_COLUMNS.values())} | CPU s a person |\n|---{'|---' * len(PHOTO_COLUMNS)}|---|"
    )
    for name, (values, seconds) in rows.items():
        mark, cells = f" {DAGGER}" if methods[name].learned_from else "", []
        for key in PHOTO_COLUMNS:
            each = np.array(values.get(key, []))
            if not len(each):
                cells.append("")
            elif key in ("iou", "2d_joint_%"):
                cells.append(f"{each.mean():.3f}{mark}")
            else:
                cells.append(f"{np.median(np.abs(each)):.1f}, {np.median(each):+.1f}{mark}")
        print(f"| {name} | {' | '.join(cells)} | {np.median(seconds) if seconds else 0:.2f} |", flush=True)
