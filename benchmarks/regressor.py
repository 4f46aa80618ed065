"""The fit alone, the regressor alone, and the fit started from the regressor: on the open tests and on real frames.

    python benchmarks/regressor.py [--rows 300] [--only open|real|cameras]

Every method sees the same boxes and landmarks. On the open tests it is given the picture's camera, which is that of
a piece cut from a larger photo; on real frames no method is told the camera. Scores of real frames are those of
`infer.py`, whose 3D distance goes to what the landmark network says. So there is a second one, of one person before
four calibrated cameras (Pose2Sim's demo): the distance of 12 limb joints to what the four cameras' 2D landmarks
triangulate to, which agree to about 10 pixels or 2 cm.
"""

import argparse
import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import torch
from frames import found_boxes, frames, load, match, member
from infer import LIMBS, WANTED, scores

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation.alignment import align_similarity
from hmrcli.evaluation.interval import aggregate
from hmrcli.evaluation.protocols import Mesh, Target, points, score
from hmrcli.fitting.fit import ITERATIONS, Fit, fit_landmarks
from hmrcli.fitting.landmarks import INDICES, attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.regressor import regress
from hmrcli.fitting.targets import Targets
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.photo import Photo
from hmrcli.people import Landmarks, body_landmarks, detect_people
from hmrcli.recipe.protocols import PROTOCOLS
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
LAB = "Pose2Sim/Demo_SinglePerson"
MISS = 15.0
"""Pixels: landmarks that miss the others by more are taken for wrong."""


def bodies(body: BodyModel, method: Method, found: Landmarks, targets: Targets) -> Fit:
    start = regress(found, targets) if method.regressor else None
    return fit_landmarks(body, targets, iterations=method.iterations, start=start)


def seen(sample: Sample) -> tuple[Landmarks, Targets]:
    image = np.asarray(cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
    boxes = sample.bbox_xywh[None].astype(float)
    found = body_landmarks(np.ascontiguousarray(image), boxes)
    camera = torch.from_numpy(sample.intrinsics)[None]
    targets = landmark_targets(found, boxes, Photo(image))
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
    for _, load_frame, people in frames():
        image = load_frame()
        detections = detect_people(image)
        found = body_landmarks(image, detections)
        matched = match(found_boxes(found), people)
        full = [i for i, person in enumerate(matched) if person >= 0 and people[person].visible == "full"]
        if full:
            boxes = np.array([d.bbox_xywh for d in detections])[found.source]
            yield found, landmark_targets(found, boxes, Photo(image)), full, image.shape[:2]


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


class View(NamedTuple):
    """A calibrated camera; a point X of the room lies at rotation X + shift in its axes, metres."""

    focal_length: float
    principal_point: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) to focal length 1 and principal point 0; the lens's distortion is below a pixel."""
        return (pixels - self.principal_point) / self.focal_length


def views() -> dict[str, View]:
    """Cameras by name, from a Qualisys file: 64ths of pixels, millimetres, and axes y up, z backwards."""
    found = {}
    for camera in ElementTree.fromstring(member("pose2sim", f"{LAB}/calibration/Calib.qca.txt")).iter(
        "camera"
    ):
        inner, outer = camera.find("intrinsic"), camera.find("transform")
        assert inner is not None and outer is not None
        rows = [[float(outer.attrib[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)]
        rotation = np.diag([1.0, -1.0, -1.0]) @ np.array(rows)
        place = np.array([float(outer.attrib[axis]) for axis in "xyz"]) / 1000
        center = np.array([float(inner.attrib[f"centerPoint{axis}"]) for axis in "UV"]) / 64
        focal = float(inner.attrib["focalLengthU"]) / 64
        found[camera.attrib["serial"]] = View(focal, center, rotation, -rotation @ place)
    return found


def triangulated(
    cameras: list[View], pixels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (J, 3) of the room and how far they are from their rays (C, J), pixels; rays that miss count less.

    Args:
        cameras: C of them.
        pixels: (C, J, 2)
        weights: (C, J)
    """
    matrices = np.stack([np.c_[camera.rotation, camera.shift] for camera in cameras])
    rays = np.stack([camera.rays(seen) for camera, seen in zip(cameras, pixels)])
    trust = weights
    for _ in range(6):
        rows = trust[..., None, None] * (
            rays[..., None] * matrices[:, None, 2:] - matrices[:, None, :2]
        )  # (C, J, 2, 4)
        homogeneous = np.linalg.svd(rows.transpose(1, 0, 2, 3).reshape(rows.shape[1], -1, 4))[2][:, -1]
        points = homogeneous[:, :3] / homogeneous[:, 3:]
        seen = np.einsum("cxy,jy->cjx", matrices[..., :3], points) + matrices[:, None, :, 3]
        focal = np.array([camera.focal_length for camera in cameras])[:, None]
        misses = focal * np.linalg.norm(seen[..., :2] / seen[..., 2:] - rays, axis=-1)
        trust = weights / (1 + (misses / MISS) ** 2)
    return points, misses


def print_cameras(body: BodyModel) -> None:
    cameras = views()
    model = body_points(body, attachments())
    limbs = [INDICES[k] for k in LIMBS]
    errors: dict[str, list[float]] = {name: [] for name in ("landmarks", *METHODS)}
    misses = []
    for number in (0, 30, 60, 90):
        seen = []
        for name in cameras:
            image = load("pose2sim", f"{LAB}/videos/{name}.mp4", number)
            detections = detect_people(image)
            found = body_landmarks(image, detections)
            seen.append((found, np.array([d.bbox_xywh for d in detections])[found.source], Photo(image)))
        best: tuple[np.ndarray, np.ndarray] | None = None
        # A second person is in some pictures: the people who agree best are the same one.
        for chosen in product(*(range(len(found)) for found, _, _ in seen)):
            pixels = np.stack([found.points2d[i, limbs] for i, (found, _, _) in zip(chosen, seen)])
            weights = np.stack([found.visibility[i, limbs] for i, (found, _, _) in zip(chosen, seen)])
            points, apart = triangulated(list(cameras.values()), pixels, weights + 0.02)
            if best is None or np.median(apart) < np.median(best[1]):
                best, who = (points, apart), chosen
        assert best is not None
        misses.append(float(np.median(best[1])))
        for i, camera, (found, boxes, photo) in zip(who, cameras.values(), seen):
            one = found[[i]]
            targets = landmark_targets(one, boxes[[i]], photo)
            truth = torch.from_numpy(best[0] @ camera.rotation.T)[None]
            answers = {"landmarks": torch.from_numpy(one.points3d[:, limbs]).double()}
            for name, method in METHODS.items():
                fit = bodies(body, method, one, targets)
                state = BodyState(fit.rotmat.double(), fit.betas.double(), fit.transl.double())
                answers[name] = pose_points(model, state).points[:, LIMBS]
            for name, points3d in answers.items():
                errors[name] += (
                    1000 * (align_similarity(points3d, truth) - truth).norm(dim=-1).mean(1)
                ).tolist()
    print(
        f"\nfour cameras, {len(errors['fit'])} views; the cameras' landmarks agree to {np.mean(misses):.0f} pixels"
    )
    for name, values in errors.items():
        instants = np.arange(len(values)) // len(cameras)  # whose views are of one pose
        mean = aggregate(np.array(values), instants)
        difference = aggregate(np.array(values) - errors["fit"], instants)
        print(
            f"{name:18} PA {mean.mean:.1f} mm [{mean.low:.1f}, {mean.high:.1f}]"
            f" {difference.mean:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300, help="of each open test")
    parser.add_argument("--only", choices=["open", "real", "cameras"])
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    body = load_body("open")
    if arguments.only in (None, "open"):
        for split in ("open-test", "open-wild"):
            print_open(body, split, arguments.rows)
    if arguments.only in (None, "real"):
        print_real(body)
    if arguments.only in (None, "cameras"):
        print_cameras(body)


if __name__ == "__main__":
    main()
