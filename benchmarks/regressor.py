"""The fit alone, the regressor alone, and the fit started from the regressor: on the open tests and on real frames.

    python benchmarks/regressor.py [--rows 300] [--only open|real]

Every method sees the same boxes and landmarks. On the open tests it is given the picture's camera, which is that of
a piece cut from a larger photo; on real frames nobody knows the camera. Scores of real frames are those of
`infer.py`; none of these frames is among what the regressor was trained on.
"""

import argparse
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import torch
from frames import found_boxes, frames, match
from infer import WANTED, scores

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation.interval import aggregate
from hmrcli.evaluation.protocols import PROTOCOLS, Mesh, Target, points, score
from hmrcli.fitting.fit import ITERATIONS, Fit, fit_landmarks
from hmrcli.fitting.regressor import regress
from hmrcli.fitting.targets import Targets
from hmrcli.inference.predictor import landmark_targets
from hmrcli.people import Landmarks, body_landmarks, detect_people
from hmrcli.scenes.labels import Sample, render_sample


class Method(NamedTuple):
    """A way from landmarks to bodies."""

    regressor: bool
    iterations: int


METHODS = {
    "fit": Method(False, ITERATIONS),
    "regressor": Method(True, 0),
    "fit from regressor": Method(True, ITERATIONS),
}
OPEN = PROTOCOLS["open"]


def bodies(body: BodyModel, method: Method, found: Landmarks, targets: Targets) -> Fit:
    start = regress(found, targets) if method.regressor else None
    return fit_landmarks(body, targets, iterations=method.iterations, start=start)


def seen(sample: Sample) -> tuple[Landmarks, Targets]:
    image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    boxes = sample.bbox_xywh[None].astype(float)
    found = body_landmarks(np.ascontiguousarray(image), boxes)
    camera = torch.from_numpy(sample.intrinsics)[None]
    targets = landmark_targets(found, boxes, image.shape)
    return found, targets._replace(focal_length=camera[:, 0, 0], principal_point=camera[:, :2, 2])


def open_errors(body: BodyModel, split: str, rows: int) -> dict[str, dict[str, np.ndarray]]:
    """For each method, millimetres of each row by metric."""
    errors: dict[str, dict[str, list[float]]] = {name: {} for name in METHODS}
    for index in range(rows):
        sample = render_sample(split, index)
        found, targets = seen(sample)
        rotmat, betas = (
            rotmat_from_pose(torch.from_numpy(sample.pose)[None]),
            torch.from_numpy(sample.betas)[None],
        )
        truth = Target(rotmat, betas)
        for name, method in METHODS.items():
            fit = bodies(body, method, found, targets)
            with torch.inference_mode():
                mesh = Mesh(body(fit.rotmat, fit.betas).vertices, fit.rotmat, fit.betas)
                row = score(OPEN, points(OPEN, {"neutral": body}, mesh, truth))
            for metric, value in row.items():
                errors[name].setdefault(metric, []).append(float(value))
    return {name: {k: np.array(v) for k, v in rows.items()} for name, rows in errors.items()}


def print_open(body: BodyModel, split: str, rows: int) -> None:
    errors = open_errors(body, split, rows)
    print(
        f"\n{split}, rows 0 to {rows - 1}, mm with 95 % intervals; differences to the fit alone, row by row"
    )
    for name, values in errors.items():
        cells = []
        for metric in ("pa_mpjpe", "mpjpe", "pve"):
            mean, apart = aggregate(values[metric]), aggregate(values[metric] - errors["fit"][metric])
            cells.append(f"{metric} {mean.mean:6.1f} [{mean.low:.1f}, {mean.high:.1f}]")
            if name != "fit":
                cells[-1] += f" {apart.mean:+.1f} [{apart.low:+.1f}, {apart.high:+.1f}]"
        print(f"{name:18} " + "   ".join(cells), flush=True)


def real_people() -> Iterator[tuple[Landmarks, Targets, list[int], tuple[int, int]]]:
    """What is found in each frame, which of these people are fully visible, and the size of the image."""
    for _, load, people in frames():
        image = load()
        detections = detect_people(image)
        found = body_landmarks(image, detections)
        matched = match(found_boxes(found), people)
        full = [i for i, person in enumerate(matched) if person >= 0 and people[person].visible == "full"]
        if full:
            boxes = np.array([d.bbox_xywh for d in detections])[found.source]
            yield found, landmark_targets(found, boxes, image.shape), full, image.shape[:2]


def print_real(body: BodyModel) -> None:
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    spent: dict[str, list[float]] = {name: [] for name in METHODS}
    for found, targets, full, size in real_people():
        for name, method in METHODS.items():
            start = time.process_time()
            fits = bodies(body, method, found, targets)
            spent[name].append(time.process_time() - start)
            scored = scores(body, found, targets, fits, size)
            rows[name] += [scored[i] for i in full]
    print(
        f"\nreal frames, {len(rows['fit'])} fully visible people; differences to the fit alone, person by person"
    )
    for name, people in rows.items():
        cells = []
        for key in people[0]:
            values = np.array([person[key] for person in people])
            apart = aggregate(values - [person[key] for person in rows["fit"]])
            wanted = f" (want {WANTED[key]})" if key in WANTED else ""
            worst = values.min() if key == "iou" else values.max()
            cells.append(f"{key} {values.mean():.3f}, worst {worst:.2f}{wanted}")
            if name != "fit":
                cells[-1] += f" {apart.mean:+.3f} [{apart.low:+.3f}, {apart.high:+.3f}]"
        print(f"{name:18} " + "   ".join(cells) + f"   {1000 * np.median(spent[name]):.0f} ms of CPU a frame")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300, help="of each open test")
    parser.add_argument("--only", choices=["open", "real"])
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    body = load_body("open")
    if arguments.only != "real":
        for split in ("open-test", "open-wild"):
            print_open(body, split, arguments.rows)
    if arguments.only != "open":
        print_real(body)


if __name__ == "__main__":
    main()
