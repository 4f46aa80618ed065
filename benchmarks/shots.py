"""Clips whose people's motion is known: the rendered ones, and Pose2Sim's four cameras as a clip each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from cameras import FPS, TRIALS, instants, views
from clips import clips, image_of
from infer import LIMBS
from readings import video_frames
from scipy.signal import butter, sosfiltfilt

from hmrcli.body import BodyModel
from hmrcli.body.joints import SMPL_24
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.fitting.landmarks import NAMES, attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.motion import Camera

FRAME_RATE = 30
"""Of all clips; of the footage, which has 60 frames a second, every second one."""
CUTOFF = 6.0
"""Hz, of the filter over what is triangulated."""


class Kind(NamedTuple):
    """Joints that are compared; names as SMPL's."""

    names: tuple[str, ...]
    attached: bool
    """Whether they are the landmarks' places on the body rather than SMPL's joints."""

    def find(self, *names: str) -> list[int]:
        """Returns the places of joints."""
        return [self.names.index(f"{side}_{name}") for name in names for side in ("left", "right")]

    def points(self, body: BodyModel, state: BodyState) -> np.ndarray:
        """Returns the joints (F, J, 3) of bodies, metres in camera axes."""
        if self.attached:
            return pose_points(body_points(body, attachments()), state).points[:, LIMBS].numpy()
        with torch.inference_mode():
            posed = body(*(value.float() for value in state))
        return posed.joints.double().numpy()

    def root(self, points: np.ndarray) -> np.ndarray:
        """Returns the pelvis, or the middle of the hips, of joints (F, J, 3): (F, 1, 3)."""
        return points[:, self.find("hip")].mean(1, keepdims=True) if self.attached else points[:, :1]


JOINTS = Kind(SMPL_24.names, False)
LIMB_POINTS = Kind(tuple(NAMES[k] for k in LIMBS), True)


class Shot(NamedTuple):
    """A clip of a camera that stands still, with the truth."""

    name: str
    images: Callable[[], Iterator[np.ndarray]]
    """Opens it: F frames (H, W, 3) uint8 RGB."""
    camera: Camera
    """As methods are told."""
    kind: Kind
    people: list[np.ndarray]
    """(F, J, 3) of each, metres in camera axes."""
    places: list[np.ndarray]
    """(F, J, 2) their pixels."""


def rendered_shots(body: BodyModel, wanted: list[str] | None) -> Iterator[Shot]:
    labels, facts = clips()
    assert labels.intrinsics is not None and labels.transl is not None
    for name in dict.fromkeys(facts["clip"].tolist()):
        if wanted and name not in wanted:
            continue
        of_clip = facts["clip"] == name
        people, matrix = [], labels.intrinsics[of_clip][0]
        for track in np.unique(facts["track_id"][of_clip]):
            rows = np.flatnonzero(of_clip & (facts["track_id"] == track))
            rotmat = rotmat_from_pose(torch.from_numpy(labels.pose[rows]))
            betas, transl = (torch.from_numpy(each[rows]) for each in (labels.betas, labels.transl))
            people.append(JOINTS.points(body, BodyState(rotmat, betas, transl)))
        focal, (x, y) = float(matrix[0, 0]), matrix[:2, 2].tolist()
        camera = Camera(focal, (x, y), round(2 * x), round(2 * y), "given")

        def images(rows: np.ndarray = rows) -> Iterator[np.ndarray]:
            return (image_of(labels, int(row)) for row in rows)

        yield Shot(name, images, camera, JOINTS, people, [projected(each, camera) for each in people])


def camera_shots(wanted: list[str] | None) -> Iterator[Shot]:
    every = round(FPS / FRAME_RATE)
    for trial in TRIALS:
        cameras = views(trial)
        names = {f"{trial}_{view.name}": view for view in cameras}
        if wanted and not set(wanted) & set(names):
            continue
        rooms = followed([[shown.points for shown in one.people] for one in instants(trial, every)])
        for name, view in names.items():
            if wanted and name not in wanted:
                continue
            path = f"{TRIALS[trial]}/videos/{view.name}.mp4"

            def images(path: str = path) -> Iterator[np.ndarray]:
                return (image for _, image in video_frames("pose2sim", path, every))

            height, width = next(images()).shape[:2]
            told = Camera(float(np.hypot(height, width)), (width / 2, height / 2), width, height)
            people = [room @ view.rotation.T + view.shift for room in rooms]
            true = Camera(view.focal_length, tuple(view.principal_point.tolist()), width, height)
            yield Shot(name, images, told, LIMB_POINTS, people, [projected(each, true) for each in people])


def followed(instants: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Joins triangulated people (12, 3) of F frames to filtered motions (F, 12, 3), by the shortest way.

    Who is not seen by all cameras for some frames goes straight on between.
    """
    count = len(instants[0])
    motions = [np.full((len(instants), 12, 3), np.nan) for _ in range(count)]
    last = list(instants[0])
    for frame, people in enumerate(instants):
        left = list(range(count))
        for points in people:
            near = min(left, key=lambda k: float(np.linalg.norm(last[k] - points)))
            left.remove(near)
            motions[near][frame] = last[near] = points
    filtered = butter(4, CUTOFF, fs=FRAME_RATE, output="sos")
    result = []
    for motion in motions:
        flat, frames = motion.reshape(len(motion), -1), np.arange(len(motion))
        seen = np.isfinite(flat[:, 0])
        whole = np.stack([np.interp(frames, frames[seen], column[seen]) for column in flat.T], 1)
        result.append(sosfiltfilt(filtered, whole, axis=0).reshape(motion.shape))
    return result


def projected(points: np.ndarray, camera: Camera) -> np.ndarray:
    return camera.focal_length * points[..., :2] / points[..., 2:] + np.array(camera.principal_point)
