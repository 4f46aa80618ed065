"""How far recovered motion is from the truth over time, photo by photo and as clips, with every smoothing.

    python benchmarks/motion.py [--only rendered|cameras] [--clips NAME ...] [--methods photo none light strong]

rendered  the clips of `open-motion`, 30 frames a second, with their camera: 24 joints, truth exact
cameras   Pose2Sim's people before four calibrated cameras, each camera a clip of 30 frames a second, camera not told:
          12 limb points, triangulated and filtered (Butterworth, 4th order, 6 Hz, forwards and backwards, as is usual
          for such footage), since triangulation alone jitters more than people do

`photo` is the baseline: each frame as a photo of its own, told from others by where the truth is. The others follow
people through the clip by the tracker, and fit each one's motion with `--smooth` none, light or strong.

Errors are of joints relative to the pelvis, in the camera's axes, over the frames in which somebody was found:
PA-MPJPE and MPJPE in mm; acceleration error in mm/frame² at 30 frames a second (times 0.9 for m/s²), the mean length of
the difference of second differences, with the pelvis's own in the room beside it; peak, the speed of wrists and ankles
around the fastest moment of the truth's as a share of it, where that is above 1.5 m/s; sliding, the way of ankles in
the room between frames, mm, where the truth's stand still.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from motion_scores import Found, Result, matched, measures
from readings import landmarks_of
from shots import FRAME_RATE, Shot, camera_shots, rendered_shots

from hmrcli.body import BodyModel, load_body
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.motion import Smooth, fit_track
from hmrcli.fitting.points import BodyState
from hmrcli.inference.clip import tracks_of
from hmrcli.inference.clip_state import Seen
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.photo import Photo
from hmrcli.motion import Track
from hmrcli.people.tracking import Tracker

SMOOTH: dict[str, Smooth] = {"none": "none", "light": "light", "strong": "strong"}
METHODS = ("photo", *SMOOTH)


def photo_by_photo(body: BodyModel, shot: Shot) -> Result:
    result = []
    for image in shot.images():
        found, boxes = landmarks_of(image)
        if not len(found):
            result.append(Found(np.empty((0, len(shot.kind.names), 3)), ()))
            continue
        targets = landmark_targets(found, boxes, Photo(image, seen_by=shot.camera))
        fit = fit_landmarks(body, targets)
        state = BodyState(fit.rotmat.double(), fit.betas.double(), fit.transl.double())
        result.append(Found(shot.kind.points(body, state), (0,) * len(found)))
    return result


def tracks(shot: Shot) -> list[Track]:
    seen = Seen(Tracker(), [], [])
    for number, image in enumerate(shot.images()):
        seen.tracker.see(image, number, number / FRAME_RATE)
    return tracks_of(seen)


def as_clip(body: BodyModel, shot: Shot, seen: list[Track], smooth: Smooth) -> Result:
    length = len(shot.people[0])
    people: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(length)]
    for track in seen:
        motion = fit_track(body, track, shot.camera, smooth)
        count = len(motion.frames)
        betas = torch.from_numpy(np.asarray(motion.betas)).double().expand(count, -1)
        rotmat, transl = (torch.from_numpy(np.asarray(v)).double() for v in (motion.rotmat, motion.transl))
        for frame, points in zip(motion.frames, shot.kind.points(body, BodyState(rotmat, betas, transl))):
            people[int(frame)].append((track.track_id, points))
    shape = (-1, len(shot.kind.names), 3)
    return [
        Found(np.reshape([points for _, points in each], shape), tuple(i for i, _ in each)) for each in people
    ]


COLUMNS = {
    "pa_mpjpe": "PA-MPJPE", "mpjpe": "MPJPE", "acceleration": "acceleration", "root acceleration": "of the pelvis",
    "peak": "peak", "sliding": "sliding", "missed": "missed, %", "switches": "id switches",
}  # fmt: skip


def print_row(name: str, method: str, values: dict[str, list[float]]) -> None:
    cells = []
    for key in COLUMNS:
        each = values.get(key, [])
        if key == "switches":
            cells.append(f"{sum(each):.0f}" if each else "")
        else:
            cells.append(f"{np.mean(each):.{2 if key == 'peak' else 1}f}" if each else "")
    print(f"| {name} | {method} | {' | '.join(cells)} |", flush=True)


def add(total: dict[str, list[float]], values: dict[str, list[float]]) -> None:
    for key, each in values.items():
        total.setdefault(key, []).extend(each)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["rendered", "cameras"])
    parser.add_argument("--clips", nargs="+", metavar="NAME")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    body = load_body("open")
    sources = {
        "rendered": lambda: rendered_shots(body, arguments.clips),
        "cameras": lambda: camera_shots(arguments.clips),
    }
    print(f"| clip | method | {' | '.join(COLUMNS.values())} |\n|---|---|{'---|' * len(COLUMNS)}")
    for source, shots in sources.items():
        if arguments.only not in (None, source):
            continue
        totals: dict[str, dict[str, list[float]]] = {method: {} for method in arguments.methods}
        for shot in shots():
            seen = tracks(shot) if set(arguments.methods) - {"photo"} else []
            for method, total in totals.items():
                result = (
                    photo_by_photo(body, shot)
                    if method == "photo"
                    else as_clip(body, shot, seen, SMOOTH[method])
                )
                whole: dict[str, list[float]] = {}
                for truth, found in zip(shot.people, matched(shot, result)):
                    add(whole, measures(shot.kind, truth, found))
                add(total, whole)
                print_row(shot.name, method, whole)
        for method, total in totals.items():
            print_row(f"**all {source}**", method, total)


if __name__ == "__main__":
    main()
