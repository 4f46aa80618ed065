"""How far recovered people are from the truth, for every method in one run; docs/accuracy.md has the table.

    python benchmarks/accuracy.py [--rows 150] [--only cameras|open|motion|photos] [--methods NAME ...]

Every method gets the same boxes and landmarks (kept on disk between runs, see readings.py). To compare another one, add
it to `METHODS` in methods.py. Truth comes from nothing that a method says:

cameras  people of Pose2Sim's demo before four calibrated cameras, every 5th frame: 12 limb points, triangulated. No
         method is told the camera.
open     rows of `open-test` and `open-wild`, with the pictures' cameras
motion   every 8th frame of `open-motion`, with its camera
photos   fully visible people of `frames.yaml`, by what is seen: overlap of body and mask, projected joints, and the
         lean of those who stand upright by a human eye

PA-MPJPE is of 12 limb points everywhere, and for bodies before truth also of the protocol `open`. Intervals hold 95 %
(bootstrap over instants, rows and clips). Scores on footage that a method learned from are marked with a dagger.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import torch
from cameras import FPS, SEEN, TRIALS, USABLE, instants, views
from clips import clip_frames
from infer import LIMBS
from methods import DAGGER, DEFAULT, METHODS, Methods, limbs_of
from photo_scores import photo_rows, print_photos
from readings import landmarks_of
from torch import Tensor

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation.alignment import align_similarity
from hmrcli.evaluation.interval import aggregate
from hmrcli.evaluation.protocols import Mesh, Target, points, score
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.targets import Targets, seen_targets
from hmrcli.inference.photo import Photo
from hmrcli.people import Landmarks
from hmrcli.people.sightings import joined
from hmrcli.recipe.protocols import PROTOCOLS
from hmrcli.scenes.labels import render_sample

EVERY_INSTANT, EVERY_FRAME = 5, 8
BATCH = 32
OPEN = PROTOCOLS["open"]


class Case(NamedTuple):
    """A person whose truth is known."""

    group: str
    """Cases of one group are drawn together."""
    found: Landmarks
    targets: Targets
    limbs: Tensor
    """(1, 12, 3) metres, float64, in any axes."""
    body: tuple[Tensor, Tensor] | None = None
    """(1, 24, 3, 3) rotations and (1, 10) betas."""


Errors = dict[str, dict[str, np.ndarray]]
"""By method and metric, (N,) millimetres."""


def camera_cases(trial: str) -> Iterator[Case]:
    cameras = views(trial)
    for instant in instants(trial, EVERY_INSTANT):
        for person in instant.people:
            for k, camera in enumerate(cameras):
                if person.apart[k] > USABLE:
                    continue
                reading, one = instant.readings[k], [person.who[k]]
                found, photo = reading.found[one], Photo(instant.images[k])
                limbs = torch.from_numpy(person.points @ camera.rotation.T)[None]
                yield Case(
                    str(instant.number), found, seen_targets(found, reading.boxes[one], photo.camera), limbs
                )


class Labels(NamedTuple):
    """A person of a rendered picture."""

    group: str
    image: np.ndarray
    bbox_xywh: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    intrinsics: np.ndarray


def open_rows(split: str, rows: int) -> Iterator[Labels]:
    for index in range(rows):
        sample = render_sample(split, index)
        bgr = np.asarray(cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR))
        yield Labels(
            str(index), bgr[..., ::-1], sample.bbox_xywh, sample.pose, sample.betas, sample.intrinsics
        )


def motion_rows() -> Iterator[Labels]:
    for frame in clip_frames(EVERY_FRAME):
        for row in frame.rows:
            labels = frame.labels
            assert labels.intrinsics is not None
            yield Labels(
                frame.clip, frame.image, labels.bbox_xywh[row], labels.pose[row], labels.betas[row],
                labels.intrinsics[row],
            )  # fmt: skip


def rendered_cases(body: BodyModel, rows: Iterable[Labels]) -> Iterator[Case]:
    model = body_points(body, attachments())
    for row in rows:
        found, boxes = landmarks_of(row.image, row.bbox_xywh[None].astype(float))
        camera = torch.from_numpy(row.intrinsics)[None]
        targets = seen_targets(found, boxes, Photo(row.image).camera)._replace(
            focal_length=camera[:, 0, 0], principal_point=camera[:, :2, 2]
        )
        rotmat = rotmat_from_pose(torch.from_numpy(row.pose)[None])
        betas = torch.from_numpy(row.betas)[None]
        state = BodyState(rotmat.double(), betas.double(), torch.zeros(1, 3).double())
        limbs = pose_points(model, state).points[:, LIMBS]
        yield Case(row.group, found, targets, limbs, (rotmat, betas))


def errors_of(body: BodyModel, methods: Methods, cases: Iterator[Case]) -> tuple[Errors, list[str]]:
    """Scores methods on the same cases; returns what they are off and the cases' groups."""
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in methods}
    groups: list[str] = []
    while part := list(islice(cases, BATCH)):
        found, targets = (
            joined([case.found for case in part]),
            Targets(*map(torch.cat, zip(*(c.targets for c in part)))),
        )
        limbs = torch.cat([case.limbs for case in part])
        groups += [case.group for case in part]
        for name, method in methods.items():
            fit = None if method.bodies is None else method.bodies(body, found, targets)
            own = torch.from_numpy(found.points3d[:, SEEN]).double() if fit is None else limbs_of(body, fit)
            apart = 1000 * (align_similarity(own, limbs) - limbs).norm(dim=-1).mean(1)
            rows[name].setdefault("limbs", []).extend(apart.tolist())
            truths = [case.body for case in part if case.body is not None]
            if fit is not None and truths:
                rotmat, betas = map(torch.cat, zip(*truths))
                truth = Target(rotmat, betas)
                with torch.inference_mode():
                    mesh = Mesh(body(fit.rotmat, fit.betas).vertices, fit.rotmat, fit.betas)
                    scored = score(OPEN, points(OPEN, {"neutral": body}, mesh, truth))
                for metric in ("pa_mpjpe", "mpjpe"):
                    rows[name].setdefault(metric, []).extend(scored[metric].tolist())
    return {name: {k: np.array(v) for k, v in each.items()} for name, each in rows.items()}, groups


def print_errors(
    title: str, errors: Errors, groups: list[str], footage: str | None, methods: Methods
) -> None:
    metrics = list(dict.fromkeys(metric for each in errors.values() for metric in each))
    labels = {"limbs": "PA, 12 limb points", "pa_mpjpe": "PA-MPJPE", "mpjpe": "MPJPE"}
    print(f"\n**{title}**, {len(groups)} people of {len(set(groups))} groups, mm\n")
    heads = [head for metric in metrics for head in (labels[metric], f"against {DEFAULT}")]
    print(f"| method | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    units = np.array(groups)
    for name, values in errors.items():
        mark = f" {DAGGER}" if footage in methods[name].learned_from else ""
        cells = []
        for metric in metrics:
            if metric not in values:
                cells += ["", ""]
                continue
            cells.append(interval(values[metric], units) + mark)
            base = errors.get(DEFAULT, {}).get(metric)
            apart = name != DEFAULT and base is not None
            cells.append(interval(values[metric] - base, units, "+") if apart else "")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def interval(values: np.ndarray, groups: np.ndarray | None = None, sign: str = "") -> str:
    mean = aggregate(values, groups)
    return f"{mean.mean:{sign}.1f} [{mean.low:{sign}.1f}, {mean.high:{sign}.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=150, help="of each open test, from the first")
    parser.add_argument("--only", nargs="+", choices=["cameras", "open", "motion", "photos"])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    wanted = arguments.only or ["cameras", "open", "motion", "photos"]
    methods, body = {name: METHODS[name] for name in arguments.methods}, load_body("open")
    if "cameras" in wanted:
        for trial in TRIALS:
            title = f"cameras, {trial} of Pose2Sim's people, an instant each {EVERY_INSTANT / FPS:.2f} s"
            print_errors(title, *errors_of(body, methods, camera_cases(trial)), "pose2sim", methods)
    if "open" in wanted:
        for split in ("open-test", "open-wild"):
            cases = rendered_cases(body, open_rows(split, arguments.rows))
            print_errors(
                f"{split}, rows 0 to {arguments.rows - 1}", *errors_of(body, methods, cases), None, methods
            )
    if "motion" in wanted:
        cases = rendered_cases(body, motion_rows())
        print_errors(
            f"open-motion, each {EVERY_FRAME}th frame", *errors_of(body, methods, cases), None, methods
        )
    if "photos" in wanted:
        print_photos(photo_rows(body, methods), methods)


if __name__ == "__main__":
    main()
