"""Files that `hmr infer` leaves behind for a clip: an overlay video, JSON Lines, arrays and a document."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmrcli.files import whole_file
from hmrcli.inference.clip import Progress, Recovered
from hmrcli.inference.clip_people import Someone, arrays_of, people_at, people_of_frames
from hmrcli.inference.person import camera_pitch
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.save import document
from hmrcli.inference.video import Clip
from hmrcli.motion import Camera
from hmrcli.render.movie import movie
from hmrcli.render.rasteriser import Camera as DrawingCamera
from hmrcli.render.scene_view import Body, draw_frame, scene_view

OVERLAY_SIDE = 1280
"""Longer side of overlay videos, at most, pixels, without the panel."""


class ClipTask(NamedTuple):
    """A clip and where its files go."""

    clip: Clip
    camera: Camera
    target: Path
    """Folder and stem of the files: `target_overlay.mp4`, `target_1.npz`, `target.jsonl`, `target.json`."""
    settings: dict[str, Any]
    """Settings that results depend on beside the predictor, kept in the document."""
    bbox_scale: float


def save_clip(
    task: ClipTask,
    recovered: Recovered,
    predictor: Predictor,
    saves: Collection[str],
    progress: Progress,
    each_line: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Writes the files of a clip; the document comes last, and says that all is done.

    Args:
        task: the clip and where its files go.
        recovered: its people's motions.
        predictor: by which they were found.
        saves: of `overlay`, `json`, `npz`.
        progress: is told of frames drawn.
        each_line: is given each JSON line, without its end.

    Returns:
        the entry of the document.
    """
    target, clip = task.target, task.clip
    target.parent.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    of_person: list[dict[str, str]] = [{} for _ in recovered.motions]
    if "npz" in saves:
        for motion, named in zip(recovered.motions, of_person):
            with whole_file(path := beside(target, f"_{motion.track_id}.npz")) as temporary:
                np.savez_compressed(temporary, **arrays_of(motion, task.bbox_scale))
            named["npz"] = str(path)
    if "overlay" in saves and recovered.numbers:
        files["overlay"] = str(beside(target, "_overlay.mp4"))
    if "json" in saves or each_line:
        named_files = {motion.track_id: named | files for motion, named in zip(recovered.motions, of_person)}
        path = beside(target, ".jsonl")
        with whole_file(path) if "json" in saves else nullcontext() as temporary:
            _write_lines(temporary, _lines(task, recovered, named_files), each_line)
        if "json" in saves:
            files["json"] = str(path)
    if "overlay" in files:
        draw_clip(task, recovered, predictor, progress)
    entry = {
        "path": str(clip.path),
        "width": clip.width,
        "height": clip.height,
        "frames": len(recovered.numbers),
        "fps": recovered.motions[0].fps if recovered.motions else clip.fps,
        "files": files,
        "people": [
            {
                "track_id": motion.track_id,
                "first_frame": int(motion.frames[0]),
                "last_frame": int(motion.frames[-1]),
                "frames": len(motion.frames),
                "score": round(float(motion.scores.mean()), 6),
                "files": named,
            }
            for motion, named in zip(recovered.motions, of_person)
        ],
    }
    if "json" in saves:
        with whole_file(beside(target, ".json")) as temporary:
            content = clip_document(entry, predictor) | {"settings": task.settings}
            temporary.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    return entry


def clip_document(entry: dict[str, Any] | None, predictor: Predictor) -> dict[str, Any]:
    """Makes the document of a clip: as of images, with `videos` in their place."""
    rest = document([], predictor)
    del rest["images"]
    return {"videos": [] if entry is None else [entry], **rest}


def done_before(task: ClipTask, predictor: Predictor, saves: Collection[str]) -> dict[str, Any] | None:
    """Returns the entry of a clip whose files are all there, of the same settings; None where there is work."""
    try:
        stored = json.loads(beside(task.target, ".json").read_text(encoding="utf-8"))
        (entry,) = stored.pop("videos")
        own = clip_document(None, predictor) | {"settings": task.settings}
        del own["videos"]
        if stored != json.loads(json.dumps(own)):
            return None
        there = all(Path(entry["files"][kind]).is_file() for kind in ("overlay", "json") if kind in saves)
        for person in entry["people"]:
            there = there and ("npz" not in saves or Path(person["files"]["npz"]).is_file())
        return dict(entry) if there else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def beside(target: Path, end: str) -> Path:
    """Names a file of a clip."""
    return target.with_name(target.name + end)


def _write_lines(path: Path | None, lines: Iterator[str], each_line: Callable[[str], None] | None) -> None:
    with path.open("w", encoding="utf-8") if path else nullcontext() as file:
        for line in lines:
            if file:
                file.write(line + "\n")
            if each_line:
                each_line(line)


def _lines(task: ClipTask, recovered: Recovered, files: dict[int, dict[str, str]]) -> Iterator[str]:
    """Gives a JSON document of one line for each frame."""
    clip, source = task.clip, {"focal_source": task.camera.source}
    everyone = people_of_frames(recovered.motions, recovered.numbers, task.bbox_scale)
    for (number, people), time in zip(everyone, recovered.times):
        entries = [
            {"track_id": track_id} | person.as_json() | source | {"vertices": None, "files": files[track_id]}
            for track_id, person in people
        ]
        head = {"path": str(clip.path), "frame": number, "time": round(time, 6)}
        yield json.dumps(
            head | {"width": clip.width, "height": clip.height, "people": entries}, allow_nan=False
        )


def draw_clip(task: ClipTask, recovered: Recovered, predictor: Predictor, progress: Progress) -> None:
    """Draws the overlay video, in a second reading of the clip."""
    clip, body = task.clip, predictor.body
    faces, parts = body.faces.cpu().numpy(), body.parts.cpu().numpy()
    scale = min(1.0, OVERLAY_SIDE / max(clip.width, clip.height))
    center_x, center_y = task.camera.principal_point
    camera = DrawingCamera(task.camera.focal_length * scale, (center_x * scale, center_y * scale))
    size = (max(round(clip.height * scale), 1), max(round(clip.width * scale), 1))
    some = _some_people(recovered, task.bbox_scale)
    places = [one.person.joints3d + one.person.transl for one in some]
    points = np.concatenate(places) if places else np.empty((0, 3))
    view = scene_view(points, camera, size, camera_pitch([one.person for one in some]))
    everyone = people_of_frames(recovered.motions, recovered.numbers, task.bbox_scale)
    times = dict(zip(recovered.numbers, recovered.times))
    total = len(recovered.numbers)
    fps = recovered.motions[0].fps if recovered.motions else clip.fps
    with movie(beside(task.target, "_overlay.mp4"), fps) as add:
        for done, (frame, (number, people)) in enumerate(
            zip((f for f in clip.frames(max_side=OVERLAY_SIDE) if f.number in times), everyone), 1
        ):
            assert frame.number == number, "a clip reads alike each time"
            bodies = [
                Body(track_id, person.placed, person.joints_visibility[parts]) for track_id, person in people
            ]
            add(draw_frame(frame.pixels, bodies, faces, view), times[number])
            progress("overlay", done, total)


def _some_people(recovered: Recovered, bbox_scale: float, about: int = 200) -> list[Someone]:
    """Poses each motion at about so many frames, evenly over the clip."""
    return [
        Someone(motion.track_id, person)
        for motion in recovered.motions
        for start in range(0, len(motion.frames), 32 * max(len(motion.frames) // about, 1))
        for person in people_at(
            motion,
            np.arange(start, min(start + 32 * max(len(motion.frames) // about, 1), len(motion.frames)))[
                :: max(len(motion.frames) // about, 1)
            ],
            bbox_scale,
        )
    ]
