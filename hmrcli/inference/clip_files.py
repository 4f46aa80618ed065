"""Files that `hmr infer` leaves behind for a clip: an overlay video, JSON Lines, arrays, exports and a document."""

import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmrcli.camera import Camera
from hmrcli.export import write_exports
from hmrcli.export.bvh import BvhNames
from hmrcli.export.write import PERSON_KINDS, beside
from hmrcli.files import whole_file
from hmrcli.inference.clip import Recovered
from hmrcli.inference.clip_people import arrays_of, draw_clip, people_of_frames
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.save import made_by, write_document
from hmrcli.inference.video import Clip, Progress
from hmrcli.motion.world import World


class ClipTask(NamedTuple):
    """A clip and where its files go."""

    clip: Clip
    camera: Camera
    target: Path
    """Folder and stem of the files: `target_overlay.mp4`, `target_1.npz`, `target.jsonl`, `target.json`."""
    saves: Collection[str]
    """Of `overlay`, `json`, `npz` and the kinds of `hmrcli.export`."""
    settings: dict[str, Any]
    """Settings that results depend on beside the predictor, kept in the document."""
    bvh_names: BvhNames = "smpl"
    correctives: bool = False


def save_clip(
    task: ClipTask,
    recovered: Recovered,
    predictor: Predictor,
    progress: Progress,
    each_line: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Writes the files of a clip; the document comes last, and says that all is done.

    Files that an earlier run of other settings left are removed. `each_line` is given each JSON line, without its end.

    Returns:
        the entry of the document.
    """
    task.target.parent.mkdir(parents=True, exist_ok=True)
    earlier = _stored(task.target)
    scale = predictor.method.bbox_scale
    files, of_person = _write_motions(task, recovered, scale)
    if "overlay" in task.saves and recovered.motions:
        path = beside(task.target, "_overlay.mp4")
        draw_clip(path, task.clip, task.camera, recovered, predictor.body, progress)
        files["overlay"] = str(path)
    lines = _lines(task, recovered, files, of_person, scale)
    if "json" in task.saves:
        path = beside(task.target, ".jsonl")
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                if each_line:
                    each_line(line)
        files["json"] = str(path)
    elif each_line:
        for line in lines:
            each_line(line)
    entry = _entry(task, recovered, files, of_person)
    if "json" in task.saves:
        made = made_by(predictor) | {"settings": task.settings}
        write_document(task.target, {"videos": [entry]} | made)
    if earlier and earlier["settings"] != json.loads(json.dumps(task.settings)):
        for path in _files_of(earlier["videos"][0]) - _files_of(entry):
            mine = path.parent == task.target.parent and path.name.startswith(task.target.name)
            if mine and path.is_file():
                path.unlink()
    return entry


def done_before(task: ClipTask, predictor: Predictor) -> dict[str, Any] | None:
    """Returns the entry of a clip whose files are all there, of the same settings; None where there is work."""
    stored = _stored(task.target)
    if stored is None:
        return None
    (entry,) = stored.pop("videos")
    same = stored == json.loads(json.dumps(made_by(predictor) | {"settings": task.settings}))
    there = all(path.exists() for path in _files_of(entry))
    return dict(entry) if same and there and set(task.saves) <= set(entry["saved"]) else None


def _stored(target: Path) -> dict[str, Any] | None:
    """Reads the document of an earlier run; None where there is none, or one of a photo or another program."""
    try:
        stored: dict[str, Any] = json.loads(beside(target, ".json").read_text(encoding="utf-8"))
        (entry,) = stored["videos"]
        mine = isinstance(stored["settings"], dict) and _files_of(entry) and entry["saved"]
        return stored if mine else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _files_of(entry: dict[str, Any]) -> set[Path]:
    named = [entry["files"], *(person["files"] for person in entry["people"])]
    return {Path(path) for files in named for path in files.values()}


def _write_motions(
    task: ClipTask, recovered: Recovered, bbox_scale: float
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Writes arrays and exports; gives the files of all people by kind, and those of each person."""
    motions, target = recovered.motions, task.target
    of_person: list[dict[str, str]] = [{} for _ in motions]
    if "npz" in task.saves:
        for motion, named in zip(motions, of_person):
            with whole_file(path := beside(target, f"_{motion.track_id}.npz")) as temporary:
                np.savez_compressed(temporary, **arrays_of(motion, bbox_scale))
            named["npz"] = str(path)
    export = partial(
        write_exports,
        target=target,
        frame_count=max(recovered.numbers, default=-1) + 1,
        bvh_names=task.bvh_names,
        correctives=task.correctives,
    )
    placed = recovered.world.motions if recovered.world else motions
    for kind, paths in export(placed, kinds={*task.saves} & {*PERSON_KINDS}).items():
        for named, path in zip(of_person, paths):
            named[kind] = str(path)
    written = export(motions, kinds={*task.saves} - {*PERSON_KINDS})
    files = {
        kind: str(paths[0] if kind == "coco" else paths[0].parent) for kind, paths in written.items() if paths
    }
    return files, of_person


def _lines(
    task: ClipTask,
    recovered: Recovered,
    files: dict[str, str],
    of_person: list[dict[str, str]],
    bbox_scale: float,
) -> Iterator[str]:
    """Gives a JSON document of one line for each frame."""
    clip = task.clip
    named = {motion.track_id: own | files for motion, own in zip(recovered.motions, of_person)}
    everyone = people_of_frames(recovered.motions, recovered.numbers, bbox_scale)
    for (number, people), time in zip(everyone, recovered.times):
        entries = [
            {"track_id": one} | person.as_json() | {"vertices": None, "files": named[one]}
            for one, person in people
        ]
        head = {"path": str(clip.path), "frame": number, "time": round(time, 6)}
        size = {"width": clip.width, "height": clip.height}
        yield json.dumps(head | size | {"people": entries}, allow_nan=False)


def _entry(
    task: ClipTask, recovered: Recovered, files: dict[str, str], of_person: list[dict[str, str]]
) -> dict[str, Any]:
    """Makes the clip's entry of the document."""
    people = [
        {
            "track_id": motion.track_id,
            "first_frame": int(motion.frames[0]),
            "last_frame": int(motion.frames[-1]),
            "frames": len(motion.frames),
            "age": motion.body.age,
            "score": round(float(motion.scores.mean()), 6),
            "files": named,
        }
        for motion, named in zip(recovered.motions, of_person)
    ]
    return {
        "path": str(task.clip.path),
        "width": task.clip.width,
        "height": task.clip.height,
        "frames": len(recovered.numbers),
        "fps": recovered.motions[0].fps if recovered.motions else task.clip.fps,
        "saved": sorted(task.saves),
        "files": files,
        "people": people,
        "world": recovered.world and _of_world(recovered.world),
    }


def _of_world(world: World) -> dict[str, Any]:
    """Gives the world's place in the camera's space, and how well feet stand in it; null for what is not known."""
    figures = {name: getattr(world, name) for name in ("sliding_before", "sliding_after", "unevenness")}
    return {
        "rotation": np.asarray(world.rotation).round(6).tolist(),
        "camera_place": np.asarray(world.camera_place).round(6).tolist(),
        **{name: round(float(value), 3) if np.isfinite(value) else None for name, value in figures.items()},
        "notes": list(world.notes),
    }
