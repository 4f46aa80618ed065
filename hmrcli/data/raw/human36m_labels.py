"""SMPL labels of Human3.6M, from what a user has: MoSh, else NeuralAnnot, else I2L-MeshNet's fits.

The benchmark trained with MoSh's, which were withdrawn. With others figures differ, so files say which they have.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.pickles import read_pickle
from hmrcli.assets.registry import load_registry
from hmrcli.data.body_parameters import BodyParameters, unknown_bodies
from hmrcli.data.raw.documents import read_json, reading
from hmrcli.data.raw.human36m_cameras import CAMERAS, Recording, View, Views
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.rows import Floats, moved, root_rotations, turned
from hmrcli.data.raw.tree import Tree

Frames = NDArray[np.int64]

_ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether"),
)
"""From number 2 on."""
_SPELLINGS = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
_EXCEPTIONS = {
    1: {"Eating": "2-", "Sitting": "12", "SittingDown": "2-"},
    5: {
        **{"Directions": "12", "Discussion": "23", "Greeting": "12", "SittingDown": "-1"},
        **{"Photo": "-2", "Waiting": "12"},
    },
    6: {"Eating": "12", "Posing": "2-", "Sitting": "12", "Photo": "-1", "Waiting": "3-"},
    7: {"Phoning": "2-", "SittingDown": "-1", "Photo": "-1", "Waiting": "12", "Walking": "12"},
    8: {"SittingDown": "-1", "WalkTogether": "12"},
    9: {"Discussion": "12", "SittingDown": "-1"},
    11: {"Discussion": "12", "Greeting": "2-", "Phoning": "32", "SittingDown": "-1", "Smoking": "2-"},
}
"""Numbers in the file names of subactions 1 and 2 (`-` for none), where they are not `1-`: metadata.xml."""
_LARGEST_ERROR = 25.0
"""Millimetres of I2L-MeshNet's fits; worse ones are left out, as its authors do."""
_LARGEST_BETA = 3.0
"""Shapes beyond it become the mean shape, likewise."""
_HIPS, _TRUNK, _PELVIS = 40.0, 75.0, 0.6
"""Degrees between a label's root and the joints' hips and trunk, and metres between pelvises, in the median of a
sequence. Wrong conventions and wrong sequences are beyond."""


class LabelSource(NamedTuple):
    """Source of labels."""

    name: str
    read: Callable[[Recording, Frames, Floats], tuple[BodyParameters, Floats | None]]
    """Gives bodies of some frames, and the pelvis (n, 3) in metres in the camera, about where the labels have it."""
    out: Output

    def of(self, recording: Recording, frames: Frames, joints: Floats) -> BodyParameters | None:
        """Returns bodies of some frames, in the camera; None where no frame has one.

        They are left out, too, where their roots contradict the joints (n, 17, 3) in millimetres.
        """
        bodies, pelvis = self.read(recording, frames, joints)
        known = bodies.has_smpl
        if not known.any():
            return None
        axes, own = root_rotations(bodies.pose[known]).numpy(), joints[known]
        hips = _degrees(axes[:, :, 0], own[:, 1] - own[:, 4])  # SMPL's x points to the left hip,
        trunk = _degrees(axes[:, :, 1], own[:, 8] - own[:, 0])  # its y to the neck
        distance = 0.0
        if pelvis is not None:
            distance = float(np.median(np.linalg.norm(pelvis[known] - own[:, 0] / 1000, axis=1)))
        if hips > _HIPS or trunk > _TRUNK or distance > _PELVIS:
            reason = f"labels of {self.name} contradict the joints"
            self.out.note(
                f"Human3.6M: S{recording.subject} {recording.sequence} {recording.camera}: {reason} (hips "
                f"{hips:.0f}°, trunk {trunk:.0f}°, pelvis {distance:.2f} m apart): the sequence is left out"
            )
            self.out.drop(f"whose {reason}", known.sum())
            return None
        return bodies


def find_labels(tree: Tree, out: Output, views: Views) -> LabelSource | None:
    """Finds the best source of labels that the tree has.

    Raises:
        MissingFile: labels are there that need cameras, and cameras are not.
    """
    if files := tree.find("S*/*_cam?_aligned.pkl"):
        pickles = {(path.parent.name, path.name): path for path in files}
        return LabelSource("MoSh", partial(_read_mosh, pickles, out), out)
    for name, pattern, correct in (
        ("NeuralAnnot", "Human36M_subject*_SMPL_NeuralAnnot.json", False),
        ("I2L-MeshNet (SMPLify-X)", "Human36M_subject*_smpl_param.json", True),
    ):
        if files := tree.find(pattern):
            if not views:
                raise tree.missing(f"labels of {name} in the world, but neither metadata.xml nor camera.json")
            return LabelSource(name, _World(name, files, out, views, correct).read, out)
    return None


def _read_mosh(
    files: dict[tuple[str, str], Path], out: Output, recording: Recording, frames: Frames, joints: Floats
) -> tuple[BodyParameters, None]:
    """Reads pickles of every fifth frame, in the camera, upside down."""
    camera = CAMERAS.index(recording.camera)
    path = files.get((f"S{recording.subject}", f"{recording.sequence}_cam{camera}_aligned.pkl"))
    if path is None:
        out.drop("without MoSh's labels", len(frames))
        return unknown_bodies(len(frames)), None
    stored = read_pickle(path)
    with reading(path):
        poses = np.asarray(stored["new_poses"], np.float32).reshape(-1, 72)
        betas = np.asarray(stored["betas"], np.float32).ravel()[:10].reshape(10)
    known = frames // 5 < len(poses)
    out.drop("without MoSh's labels", (~known).sum())
    pose = poses[np.minimum(frames // 5, len(poses) - 1)].copy()
    half_turn = np.diag([1.0, -1.0, -1.0])  # about x, applied first
    rotation = root_rotations(pose).numpy()
    pose = turned(pose, rotation @ half_turn @ rotation.transpose(0, 2, 1))
    return BodyParameters(pose, np.tile(betas, (len(frames), 1)), known), None


class _World:
    """Documents of a subject's frames in the world, by action, subaction and frame."""

    def __init__(self, name: str, files: list[Path], out: Output, views: Views, correct: bool) -> None:
        self._name, self._out, self._views, self._correct = name, out, views, correct
        self._files = {int(re.sub(r".*subject(\d+)_.*", r"\1", path.name)): path for path in files}
        self._document = lru_cache(1)(read_json)  # a subject's takes 100 MB and more
        self._rest = _rest_pelvis(out.root)
        if self._rest is None:
            out.note("Human3.6M: SMPL_NEUTRAL.pkl is not in place; bodies have no translation")

    def read(self, recording: Recording, frames: Frames, joints: Floats) -> tuple[BodyParameters, Floats]:
        view = self._views[recording.subject, recording.camera]
        numbers = action_numbers(recording)
        fits: dict[str, Any] = {}
        if recording.subject in self._files and numbers:
            document = self._document(self._files[recording.subject])
            fits = document.get(str(numbers[0]), {}).get(str(numbers[1]), {})
        count = len(frames)
        pose, betas, trans = np.zeros((count, 72)), np.zeros((count, 10)), np.zeros((count, 3))
        known = np.zeros(count, bool)
        for row, frame in enumerate(frames):
            if (fit := fits.get(str(frame))) is None:
                self._out.drop(f"without labels of {self._name}")
                continue
            with reading(self._files[recording.subject]):
                if self._correct and _error(fit, joints[row], view) > _LARGEST_ERROR:
                    self._out.drop(f"whose fit of {self._name} is off by more than {_LARGEST_ERROR:g} mm")
                    continue
                known[row] = True
                pose[row], betas[row] = np.ravel(fit["pose"]), np.ravel(fit["shape"])
                trans[row] = np.ravel(fit["trans"])
        if self._correct:
            betas[(np.abs(betas) > _LARGEST_BETA).any(1)] = 0
        transl = None
        if self._rest is not None:
            rest = self._rest(betas)
            transl = (moved(rest + trans, view.rotation, view.shift) - rest).astype(np.float32)
        bodies = BodyParameters(turned(pose, view.rotation), betas.astype(np.float32), known, transl)
        return bodies, moved(trans, view.rotation, view.shift)


def action_numbers(recording: Recording) -> tuple[int, int] | None:
    """Returns action (2 to 16) and subaction (1 or 2) of a sequence; None for names that metadata.xml does not list."""
    action, _, number = recording.sequence.partition(" ")
    action = _SPELLINGS.get(action, action)
    subactions = _EXCEPTIONS.get(recording.subject, {}).get(action, "1-")
    if action not in _ACTIONS or (number or "-") not in subactions:
        return None
    return _ACTIONS.index(action) + 2, subactions.index(number or "-") + 1


def _error(fit: dict[str, Any], joints: Floats, view: View) -> float:
    """Measures the mean distance in millimetres of a fit's joints from the true ones, both minus the pelvis.

    It is 0 where the file has no joints. That they are in the world and in millimetres or metres is inferred.
    """
    if "fitted_3d_pose" not in fit:
        return 0.0
    fitted = np.asarray(fit["fitted_3d_pose"], np.float64).reshape(17, 3)
    fitted = (fitted - fitted[0]) @ view.rotation.T
    fitted *= 1 if np.ptp(fitted, 0).max() > 10 else 1000
    return float(np.linalg.norm(fitted - (joints - joints[0]), axis=1).mean())


def _degrees(axes: Floats, other: Floats) -> float:
    """Measures the median angle between directions (n, 3)."""
    length = np.maximum(np.linalg.norm(other, axis=1), 1e-9)
    return float(np.median(np.degrees(np.arccos(np.clip((axes * other).sum(1) / length, -1, 1)))))


def _rest_pelvis(root: Path) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """Gives the pelvis (n, 3) of the neutral SMPL body at rest for shapes (n, 10); None where it is not in place."""
    path = load_registry().by_name["SMPL_NEUTRAL.pkl"].present(root)
    if path is None:
        return None
    from hmrcli.body import load_body

    body = load_body(path)
    weights = body.joint_regressor[0].double()
    middle = (weights @ body.v_template.double()).numpy()
    directions = (weights @ body.shapedirs.double().flatten(1)).reshape(3, -1).numpy()
    return lambda betas: middle + betas @ directions.T[:10]
