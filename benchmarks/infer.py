"""The bundled default on real frames: how well the fitted bodies agree with what was seen, and how long it takes.

    python benchmarks/infer.py [--draw FOLDER] [--times-only] [--folder N]

Scored are people who are fully visible by a human eye (`frames.yaml`). Distances go to the 12 limb landmarks seen
with a visibility above 0.5: from the landmark's place on the body, and from SMPL's own joint beside it.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import roma
import torch
from frames import found_boxes, frames, match

from hmrcli.body import BodyModel, load_body
from hmrcli.files import sha256
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.landmarks import INDICES, NAMES, anchors, attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.targets import Targets
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.images import read_picture
from hmrcli.inference.photo import Photo, find_landmarks
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.recover import recover_images
from hmrcli.inference.save import save_image
from hmrcli.inference.task import Asked, Task
from hmrcli.people import Landmarks, body_landmarks, detect_people
from hmrcli.render.overlay import overlay
from hmrcli.render.rasteriser import Camera, rasterise

ENDS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = [k for k, name in enumerate(NAMES) if name.endswith(ENDS)]
WANTED = {"2d_joint_%": 2.5, "iou": 0.70, "3d_mm": 45.0}


def scores(
    body: BodyModel, found: Landmarks, targets: Targets, fits: Fit, size: tuple[int, int]
) -> list[dict[str, float]]:
    state = BodyState(fits.rotmat.double(), fits.betas.double(), fits.transl.double())
    on_body = pose_points(body_points(body, attachments()), state).points.numpy()
    joints = pose_points(body_points(body, anchors()), state).points.numpy()
    with torch.inference_mode():
        vertices = body(fits.rotmat, fits.betas, fits.transl).vertices.numpy()
    focal, center = float(targets.focal_length[0]), tuple(targets.principal_point[0].tolist())
    result = []
    for i in range(len(found)):
        seen = [k for k in LIMBS if found.visibility[i, INDICES[k]] > 0.5]
        marks = found.points2d[i, INDICES][seen]
        side = float(targets.extent[i])

        def distance(points: np.ndarray, marks: np.ndarray = marks, side: float = side) -> float:
            pixels = focal * points[:, :2] / points[:, 2:] + center
            return 100 * float(np.linalg.norm(pixels - marks, axis=1).mean()) / side

        height, width = size
        face = rasterise(vertices[i], body.faces.numpy(), Camera(focal, center), (0, 0, width, height)).face
        mask, drawn = found.image_mask(i, height, width) > 0.5, face >= 0
        source = torch.from_numpy(on_body[i][seen])[None]
        target = torch.from_numpy(found.points3d[i, INDICES][seen])[None].double()
        rotation, shift, scale = roma.rigid_points_registration(source, target, compute_scaling=True)
        aligned = scale[:, None, None] * source @ rotation.mT + shift[:, None]
        result.append(
            {
                "2d_%": distance(on_body[i][seen]),
                "2d_joint_%": distance(joints[i][seen]),
                "iou": float((mask & drawn).sum() / (mask | drawn).sum()),
                "3d_mm": 1000 * float((aligned - target).norm(dim=-1).mean()),
            }
        )
    return result


def accuracy(body: BodyModel, draw: Path | None) -> None:
    rows: list[dict[str, float]] = []
    visible = missed = frame_count = 0
    for name, load, people in frames():
        image = load()
        found, boxes = find_landmarks(image, None, None)
        full = [k for k, person in enumerate(people) if person.visible == "full"]
        frame_count += bool(people)
        visible += len(full)
        matched = match(found_boxes(found), people)
        missed += len(set(full) - set(matched))
        if not len(found):
            continue
        targets = landmark_targets(found, boxes, Photo(image))
        fits = fit_landmarks(body, targets)
        scored = scores(body, found, targets, fits, image.shape[:2])
        for index, person in enumerate(matched):
            if person in full:
                rows.append(scored[index])
                print(
                    f"{name:28} " + "  ".join(f"{key} {value:6.2f}" for key, value in scored[index].items())
                )
        if draw:
            placed = list(body(fits.rotmat, fits.betas, fits.transl).vertices.numpy())
            picture = overlay(image, placed, body.faces.numpy(), Photo(image).camera)
            draw.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(draw / f"{name}.jpg"), picture[..., ::-1])
    share = 100 * (1 - missed / visible)
    print(f"\n{frame_count} frames with people, {visible} fully visible; found {share:.1f} % (want 95)")
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        wanted = f"  (want {WANTED[key]})" if key in WANTED else ""
        summary = (
            f"mean {values.mean():6.2f}  median {np.median(values):6.2f}  worst {_worst(key, values):6.2f}"
        )
        print(f"{key:11} {summary}{wanted}")


def _worst(key: str, values: np.ndarray) -> float:
    return float(values.min() if key == "iou" else values.max())


def median_seconds(call: Callable[[], object], repeats: int = 9) -> float:
    call()
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


def times(body: BodyModel) -> None:
    torch.set_num_threads(2)
    load = next(load for _, load, people in frames() if len(people) == 1 and people[0].visible == "full")
    image = load()
    detections = detect_people(image)
    one = landmark_targets(*find_landmarks(image, None, 1), Photo(image))
    # Eight different people: their landmarks come from eight frames.
    eight = Targets(*(torch.cat(parts) for parts in zip(*_some_targets(8))))
    singles = [Targets(*(value[i : i + 1] for value in eight)) for i in range(8)]
    find = median_seconds(lambda: detect_people(image))
    mark = median_seconds(lambda: body_landmarks(image, detections))
    fit = median_seconds(lambda: fit_landmarks(body, one))
    print(f"\none person, {image.shape[1]}x{image.shape[0]}, 2 threads, without start-up")
    print(f"  find {find:.3f} s + landmarks {mark:.3f} s + fit {fit:.3f} s = {find + mark + fit:.3f} s")
    print("  (want 1.0, fit 0.3)")
    batch = median_seconds(lambda: fit_landmarks(body, eight))
    alone = median_seconds(lambda: [fit_landmarks(body, single) for single in singles]) / 8
    print(
        f"  fit of 8 people {batch:.3f} s = {batch / alone:.2f} x the mean of each alone, {alone:.3f} s (want 3)"
    )


def folder(body: BodyModel, count: int) -> None:
    """Compares a folder of photos with as many calls of a predictor that is loaded, files written by both."""
    predictor = Predictor(body=body)
    asked = Asked({"overlay", "mesh", "json"})
    originals = [load() for _, load, people in frames() if people][:10]
    with TemporaryDirectory() as place:
        paths = [Path(place) / f"{number:03}.jpg" for number in range(count)]
        for number, path in enumerate(paths):
            cv2.imwrite(str(path), originals[number % len(originals)][..., ::-1])
        for _ in recover_images(paths[:1], Path(place) / "first", lambda: predictor, asked):
            pass  # what is compiled and loaded at first
        start = time.perf_counter()
        for path in paths:
            picture = read_picture(path)
            task = Task(
                path,
                Path(place) / "calls" / path.stem,
                picture,
                picture.camera,
                {"image_sha256": sha256(path)},
            )
            save_image(task, predictor(path), predictor, asked.saves)
        calls = time.perf_counter() - start
        start = time.perf_counter()
        assert len(list(recover_images(paths, Path(place) / "folder", lambda: predictor, asked))) == count
        stages = time.perf_counter() - start
        for path in paths:
            one, other = (
                json.loads((Path(place) / kind / f"{path.stem}.json").read_text())["images"][0]["people"]
                for kind in ("calls", "folder")
            )
            numbers = [[person | {"files": None} for person in people] for people in (one, other)]
            assert numbers[0] == numbers[1], f"{path.stem}: a folder gives other numbers than a call"
    print(f"\n{count} photos, overlay, mesh and json: {calls:.1f} s in calls, {stages:.1f} s as a folder")
    print(f"  a folder is {calls / stages:.2f} times as fast (want 2), with equal numbers")


def _some_targets(count: int) -> list[Targets]:
    result: list[Targets] = []
    for _, load, people in frames():
        if any(person.visible == "full" for person in people):
            image = load()
            found, boxes = find_landmarks(image, None, 1)
            if len(found):
                result.append(landmark_targets(found, boxes, Photo(image)))
        if len(result) == count:
            break
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draw", type=Path, help="write an overlay of each frame to this folder")
    parser.add_argument("--times-only", action="store_true")
    parser.add_argument(
        "--folder", type=int, metavar="N", help="compare N photos as a folder with N calls alone"
    )
    arguments = parser.parse_args()
    model = load_body("open")
    if arguments.folder:
        folder(model, arguments.folder)
    else:
        if not arguments.times_only:
            accuracy(model, arguments.draw)
        times(model)
