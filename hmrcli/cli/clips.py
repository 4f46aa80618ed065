"""Clips of `hmr infer`: which inputs are clips, and each one's way from frames to files, told to a person."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrcli.cli.console import log, note, print_line
from hmrcli.errors import UsageError

if TYPE_CHECKING:
    from hmrcli.fitting.motion import Smooth
    from hmrcli.inference.clip_files import ClipTask
    from hmrcli.inference.clip_state import Seen
    from hmrcli.inference.predictor import Predictor
    from hmrcli.inference.task import Asked
    from hmrcli.inference.video import Clip, Progress

_STAGES = {"people": "following people", "motion": "fitting motions", "overlay": "drawing"}


class ClipInput(NamedTuple):
    """A clip that was asked for."""

    name: str
    """As the user typed it."""
    paths: tuple[Path, ...]
    """The video alone, or images in order."""
    fps: float | None
    """Frames a second of images; None for a video."""

    @property
    def stem(self) -> str:
        """Name of its files: that of the video, or of the folder of the images."""
        return self.paths[0].name if self.fps is None else f"{self.paths[0].resolve().parent.name}.frames"

    def opened(self) -> "Clip":
        """Opens the clip; its first frame is read."""
        from hmrcli.inference.video import open_images, open_video

        if self.fps is None:
            return open_video(self.paths[0], note)
        return open_images(self.paths, self.fps, note)


def clip_inputs(
    inputs: Sequence[str], paths: Sequence[Path], fps: float | None, expand: Callable[[str], list[Path]]
) -> tuple[list[ClipInput], list[Path]]:
    """Tells clips from images.

    Args:
        inputs: as the user typed them.
        paths: of all of them.
        fps: given, then the images of each input, which `expand` finds, are a clip.

    Returns:
        the clips, and the images that are none.

    Raises:
        UsageError: frames a second are given for a video, or make no sense.
    """
    from hmrcli.inference.formats import is_video

    if fps is None:
        videos = [path for path in paths if is_video(path)]
        return [ClipInput(str(path), (path,), None) for path in videos], [p for p in paths if p not in videos]
    if not 0 < fps <= 1000:
        raise UsageError(f"--fps: {fps:g} is not between 0 and 1000")
    series = [ClipInput(text, tuple(expand(text)), fps) for text in inputs]
    for one in series:
        if videos := [path for path in one.paths if is_video(path)]:
            raise UsageError(f"--fps: speaks of images; {videos[0]} has times of its own, leave --fps away")
    return [one for one in series if one.paths], []


class ClipWork(NamedTuple):
    """Work on clips, the same for each."""

    predictor: Callable[[], "Predictor"]
    asked: "Asked"
    smooth: "Smooth"
    world: bool
    as_json: bool


def recover_clip(one: ClipInput, clip: "Clip", target: Path, work: ClipWork) -> None:
    """Recovers the people of a clip, writes its files, and says what was done."""
    from hmrcli.export.write import beside
    from hmrcli.inference.clip import see_clip
    from hmrcli.inference.clip_files import done_before

    task, predictor = _task(one, clip, target, work), _ready(work)
    if work.asked.resume and done_before(task, predictor):
        note(f"{one.name}: was done before and is skipped")
        if work.as_json:
            for line in beside(target, ".jsonl").read_text(encoding="utf-8").splitlines():
                print_line(line)
        return
    state, began = beside(target, "_state.npz"), monotonic()
    told: tuple[str, int, int | None] = ("people", 0, None)
    with _progress(one.name) as show:

        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal told
            told = (stage, done, total)
            show(stage, done, total)

        try:
            settings = {name: task.settings[name] for name in ("source", "max_people", "boxes")}
            asked = work.asked
            seen = see_clip(clip, asked.max_people, progress, state, settings, asked.resume, asked.boxes)
            _finish(one.name, task, seen, work, progress, began)
        except KeyboardInterrupt:
            stage, done, total = told
            of = f" of {total}" if total else ""
            what = f"interrupted while {_STAGES[stage]}, {done}{of} frames are done"
            note(f"{one.name}: {what}; the same command with --resume goes on")
            raise
    state.unlink(missing_ok=True)


def recover_camera(number: int, out: Path, work: ClipWork) -> None:
    """Records a camera until Ctrl-C, then recovers the people and writes the files as of any clip."""
    from hmrcli.inference.video import open_video
    from hmrcli.inference.webcam import record

    _ready(work)
    used = (out / f"camera{number}{end}.mp4" for end in ("", *(f"-{k}" for k in range(2, 10_000))))
    path = next(path for path in used if not path.exists())
    note(f"camera {number}: recording to {path}; Ctrl-C ends it")
    began = monotonic()
    with _progress(f"camera {number}") as progress:
        seen = record(number, path, work.asked.max_people, progress)
        if not seen.numbers:
            return
        one = ClipInput(str(path), (path,), None)
        task = _task(one, open_video(path), path.with_suffix(""), work)
        try:
            _finish(one.name, task, seen, work, progress, began)
        except KeyboardInterrupt:
            note(f"interrupted; the recording is whole: hmr infer {path}")
            raise


def _ready(work: ClipWork) -> "Predictor":
    """Loads networks and body, and looks before the long work for what it needs of them."""
    from hmrcli.export.write import prepare

    predictor = work.predictor()
    predictor.method.require_rotations()
    prepare(predictor.body, work.asked.saves)
    return predictor


def _task(one: ClipInput, clip: "Clip", target: Path, work: ClipWork) -> "ClipTask":
    from hmrcli.inference.clip import source_of
    from hmrcli.inference.clip_files import ClipTask
    from hmrcli.inference.task import camera_of

    asked, camera = work.asked, camera_of(clip.camera, work.asked)
    settings = {
        "source": source_of(one.paths, one.fps),
        "camera": camera.as_json(),
        "bbox_scale": asked.bbox_scale,
        "max_people": asked.max_people,
        "boxes": asked.boxes,
        "smooth": work.smooth,
        "world": work.world,
        "bvh_names": asked.bvh_names,
        "correctives": asked.correctives,
    }
    return ClipTask(clip, camera, target, asked.saves, settings, asked.bvh_names, asked.correctives)


def _finish(
    name: str, task: "ClipTask", seen: "Seen", work: ClipWork, progress: "Progress", began: float
) -> None:
    """Recovers the motions, writes the files, and prints the summary."""
    from hmrcli.inference.clip import recover
    from hmrcli.inference.clip_files import save_clip

    predictor = work.predictor()
    recovered = recover(predictor, task.clip, seen, task.camera, work.smooth, work.world, progress)
    for text in recovered.world.notes if recovered.world else ():
        note(f"{name}: {text}")
    entry = save_clip(task, recovered, predictor, progress, print_line if work.as_json else None)
    if not work.as_json:
        print_line(_summary(name, entry, monotonic() - began))


def _summary(name: str, entry: dict[str, Any], seconds: float) -> str:
    """Says who was found in a clip, and which files were written."""
    people, frames = entry["people"], entry["frames"]
    who = "nobody" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    lines = [f"{name}: {who} in {frames} frames, {frames / max(seconds, 1e-3):.1f} frames a second"]
    files = {kind: [path] for kind, path in entry["files"].items()}
    for person in people:
        for kind, path in person["files"].items():
            files.setdefault(kind, []).append(path)
    return "\n".join([*lines, *(f"  {kind:9}{'  '.join(paths)}" for kind, paths in files.items())])


@contextmanager
def _progress(name: str) -> Iterator["Progress"]:
    """Shows the stages of a clip, with frames a second and the time left, to a person who is watching."""
    from rich import progress as rich
    from rich.text import Text

    class Rate(rich.ProgressColumn):
        """Frames a second."""

        def render(self, task: rich.Task) -> Text:
            """Writes the rate, where it is known."""
            return Text(f"{task.speed:.1f} frames/s" if task.speed else "")

    description = rich.TextColumn("{task.description}", markup=False)
    columns = (description, rich.BarColumn(), rich.MofNCompleteColumn(), Rate(), rich.TimeRemainingColumn())
    hidden = not log.is_terminal
    with rich.Progress(
        *columns, console=log, disable=hidden, transient=True, redirect_stdout=False
    ) as progress:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    progress.stop_task(earlier)
                tasks[stage] = progress.add_task(f"{name}: {_STAGES[stage]}", total=total, completed=done)
            progress.update(tasks[stage], completed=done, total=max(total, done) if total else None)

        yield show
