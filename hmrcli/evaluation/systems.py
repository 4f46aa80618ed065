"""Results of other systems as the arrays that are scored: whose file it is, is told by what it holds.

PHALP and 4D-Humans, WHAM and the systems that store people as VIBE did, GVHMR, TRAM, and motions in the layout of
AMASS; docs/outputs.md has the table. Nothing in a file is run.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.assets.checkpoints import Checkpoint
from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput
from hmrcli.files import damage

Arrays = Mapping[str, Any]
_DAMAGED = (
    "is cut off, damaged or of no known kind ({}); expected .npz, or results of a system as it stored them"
)
_LAYOUTS = (
    "PHALP and 4D-Humans (frames with smpl and tid), WHAM and VIBE (people with pose and betas), GVHMR "
    "(smpl_params_incam), TRAM (pred_rotmat, pred_shape), AMASS (poses, trans, betas)"
)
NATIVE = ("joints3d", "vertices", "pose")
"""Keys of which a file of ours has at least one."""
_BODIES = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X", "open": "the open body"}


class Found(NamedTuple):
    """Arrays under the names of `array_files.KEYS`, and what is to be known about them."""

    arrays: Arrays
    body: str = ""
    """That pose and betas belong to: `smpl`, `smplh`, `smplx`, `open`; empty where the file does not say."""
    notes: tuple[str, ...] = ()


def read_results(path: Path) -> Found:
    """Reads a file of arrays, or of a system's results.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, or has none of the known layouts.
    """
    if path.suffix.lower() == ".npz":
        stored = read_npz(path)
        return _of_arrays(stored, path) or Found(stored)
    with Checkpoint(path, _DAMAGED) as file, damage(f"{path}: {_DAMAGED}"):
        return _of_root(_mapping(file.root, file), file)


def other_body(path: Path, body: str, posed: str) -> list[str]:
    """Returns what is to be said where a file's pose and betas are `body`'s, and the protocol poses another."""
    if body in ("", posed):
        return []
    theirs, ours = (_BODIES.get(name, name) for name in (body, posed))
    return [
        f"{path.name} has pose and betas of {theirs}, posed on {ours} here: shapes of the two are not the same"
    ]


def _of_root(root: Mapping[Any, Any], file: Checkpoint) -> Found:
    if "smpl_params_incam" in root:
        return _gvhmr(_mapping(root["smpl_params_incam"], file), file)
    named = {name: value for name, value in root.items() if isinstance(name, str)}
    if any(file.shape(value) is not None for value in named.values()):
        arrays = {name: _plain(value, file) for name, value in named.items()}
        if found := _of_arrays(arrays, file.path):
            return found
    entries = [(name, _mapping(value, file)) for name, value in root.items()]
    if entries and all("smpl" in entry and "tid" in entry for _, entry in entries):
        return _phalp(entries, file)
    if entries and all("pose" in entry and "betas" in entry for _, entry in entries):
        return _people(entries, file)
    has = ", ".join(sorted(str(name)[:40] for name in list(root)[:12])) or "none"
    raise BadInput(f"{file.path}: is none of the known layouts: {_LAYOUTS}; it has the names {has}")


def _of_arrays(stored: Arrays, path: Path) -> Found | None:
    """Returns what arrays in a known layout hold, ours or another's; None for any other."""
    if any(name in stored for name in NATIVE):
        return Found(stored)
    if all(name in stored for name in ("pred_rotmat", "pred_shape")):
        pose, betas = _axis_angle(stored["pred_rotmat"]), _floats(stored["pred_shape"])
        frame = stored["frame"] if "frame" in stored else np.arange(len(pose))
        return Found({"pose": pose, "betas": betas[:, :10], "frame": np.asarray(frame, int)}, "smpl")
    if all(name in stored for name in ("poses", "betas")):
        return _amass(stored, path)
    return None


def _amass(stored: Arrays, path: Path) -> Found:
    poses = _floats(stored["poses"])
    if poses.ndim != 2 or poses.shape[1] < 66:
        raise BadInput(f"{path}: key poses has shape {poses.shape}, expected (F, 66 or more) as AMASS has it")
    count, notes = len(poses), []
    if "pose_smpl" in stored:
        pose = _floats(stored["pose_smpl"])
    elif poses.shape[1] == 72:
        pose = poses
    else:  # other bodies have other joints in the place of SMPL's hands
        pose = np.concatenate([poses[:, :66], np.zeros((count, 6))], 1)
    if "rotation_from_source" in stored:  # a file of ours: back to the motion's axes
        turn = torch.from_numpy(_floats(stored["rotation_from_source"])).mT
        root = turn @ roma.rotvec_to_rotmat(torch.from_numpy(pose[:, :3]))
        pose[:, :3] = roma.rotmat_to_rotvec(root).numpy()
    if str(stored.get("source_up_axis", "y")) != "-y":
        notes.append(
            f"{path.name} is in a world of its own, as AMASS has it: only PA errors compare with targets in a camera"
        )
    if "age" in stored:
        notes.append(f"{path.name} has the body of {stored['age']}; it is posed on the protocol's own here")
    betas = _rows_of(stored["betas"], count)
    arrays = {"pose": pose, "betas": betas, "frame": np.arange(count)}
    gender = str(stored["gender"]) if "gender" in stored and np.ndim(stored["gender"]) == 0 else "neutral"
    if gender not in ("neutral", "n"):
        notes.append(f"{path.name} has betas of a {gender} body; predictions are posed on the neutral one")
        arrays["gender"] = np.full(count, gender)
    columns = {156: "smplh", 165: "smplx", 72: "smpl"}.get(poses.shape[1], "")
    body = str(stored["surface_model_type"]) if "surface_model_type" in stored else columns
    return Found(arrays, body, tuple(notes))


def _gvhmr(parameters: Mapping[Any, Any], file: Checkpoint) -> Found:
    names = ("global_orient", "body_pose", "betas")
    root, body, betas = (_floats(_plain(parameters[name], file)) for name in names)
    count = len(root)
    pose = np.concatenate([root.reshape(count, 3), body.reshape(count, 63), np.zeros((count, 6))], 1)
    return Found({"pose": pose, "betas": betas[:, :10], "frame": np.arange(count)}, "smplx")


def _people(people: Iterable[tuple[Any, Mapping[Any, Any]]], file: Checkpoint) -> Found:
    """Returns the rows of people by their number: pose (F, 72), betas (F, 10) and frame_ids (F,) each."""
    poses, betas, frames, who = [], [], [], []
    for name, person in people:
        poses.append(_floats(_plain(person["pose"], file)).reshape(-1, 72))
        count = len(poses[-1])
        betas.append(_rows_of(_plain(person["betas"], file), count))
        ids = person.get("frame_ids", person.get("frame_id"))
        frames.append(np.arange(count) if ids is None else np.asarray(_plain(ids, file), int).reshape(-1))
        who += [str(_plain(name, file))] * count
    return _rows(np.concatenate(poses), np.concatenate(betas), np.concatenate(frames), who)


def _phalp(frames: Iterable[tuple[Any, Mapping[Any, Any]]], file: Checkpoint) -> Found:
    """Returns the rows of frames by their path; people whom the tracker only expects in a frame are left out."""
    rotmats, betas, numbers, who, images = [], [], [], [], []
    for place, (name, frame) in enumerate(frames):
        unseen = frame.get("tracked_time", [0] * len(frame["tid"]))
        for track, parameters, since in zip(frame["tid"], frame["smpl"], unseen):
            if int(_plain(since, file)) != 0:
                continue
            values = {key: _floats(_plain(value, file)) for key, value in _mapping(parameters, file).items()}
            turns = [values[name].reshape(-1, 3, 3) for name in ("global_orient", "body_pose")]
            rotmats.append(np.concatenate(turns))
            betas.append(values["betas"].reshape(-1)[:10])
            numbers.append(int(_plain(frame.get("time", place), file)))
            who.append(str(_plain(track, file)))
            images.append(str(name).replace("\\", "/").rpartition("/")[2])
    if not rotmats:
        raise BadInput(f"{file.path}: no frame shows anybody")
    found = _rows(_axis_angle(np.stack(rotmats)), np.stack(betas), np.array(numbers), who)
    return found._replace(arrays={**found.arrays, "image": np.array(images)})


def _rows(pose: NDArray[Any], betas: NDArray[Any], frame: NDArray[Any], who: list[str]) -> Found:
    """Returns rows of SMPL bodies; their people are named where there are several."""
    arrays = {"pose": pose, "betas": betas, "frame": frame}
    return Found(arrays | ({"id": np.array(who)} if len(set(who)) > 1 else {}), "smpl")


def _mapping(value: Any, file: Checkpoint) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else file.entries(value)


def _plain(value: Any, file: Checkpoint) -> Any:
    """Returns a number, text or array that a value stands for."""
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, list):
        return [_plain(item, file) for item in value]
    tensor = file.tensor(value)
    return value if tensor is None else tensor.numpy()


def _rows_of(betas: Any, count: int) -> NDArray[np.float64]:
    """Returns the first ten betas for each of some frames (count, 10), where they may be those of all."""
    return np.broadcast_to(_floats(betas)[..., :10], (count, 10)).copy()


def _floats(value: Any) -> NDArray[np.float64]:
    return np.array(value, np.float64)


def _axis_angle(rotmat: Any) -> NDArray[np.float64]:
    """Turns (F, 24, 3, 3) into (F, 72)."""
    turns = torch.from_numpy(_floats(rotmat)).reshape(-1, 24, 3, 3)
    return roma.rotmat_to_rotvec(turns).flatten(1).numpy()
