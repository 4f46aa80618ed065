"""How fast clips are recovered, and how much memory they take: `hmr infer clip.mp4`, stage by stage.

    python benchmarks/video.py [--frames 60] [--memory 2000] [--clip FILE]

The clips are views of the bundled photo that move, 1920x1080 in H.264: of both people in it, and of one alone. The
baseline calls the photo's predictor on each frame, which knows nothing of the frame before. Seconds of the wall depend
on what else the machine does; seconds of a core do not, and give the frames a second of two idle cores.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import torch

from hmrcli.assets.bundled import bundled
from hmrcli.inference.clip import Recovered, see_clip, tracks_of
from hmrcli.inference.clip_files import ClipTask, save_clip
from hmrcli.inference.images import read_image
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.video import Clip, open_video
from hmrcli.render.movie import movie

WANTED = {1: 8, 2: 5}
"""Frames a second by the number of people."""
RATE = 30.0


def quiet(stage: str, done: int, total: int | None) -> None:
    """Says nothing."""


def moving_photo(path: Path, frames: int, people: int, size: tuple[int, int] = (1920, 1080)) -> Clip:
    """Writes views of the bundled photo that sway by a tenth: of the woman alone, or of the man on the roof, too."""
    photo = read_image(bundled("photos/walk.jpg"))
    zoom, left, top = (1.3, 500, 160) if people == 2 else (2.0, 700, 430)
    scale = zoom * size[0] / 1920
    with movie(path, RATE) as add:
        for k in range(frames):
            sway = 0.05 * size[0] * np.sin(2 * np.pi * k / 60)
            view = np.array([[scale, 0, sway - scale * left], [0, scale, -scale * top]])
            picture = cv2.warpAffine(photo, view, size, borderMode=cv2.BORDER_REPLICATE)
            add(np.asarray(picture, np.uint8), k / RATE)
    return open_video(path)


class Clock:
    """Seconds of the wall and of cores, by stage."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cores: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a block."""
        wall, cores = time.perf_counter(), time.process_time()
        yield
        self.wall[name], self.cores[name] = time.perf_counter() - wall, time.process_time() - cores


def speed(clip: Clip, predictor: Predictor, folder: Path, baseline_frames: int = 3) -> None:
    """Prints frames a second of each stage and of all, and of the baseline."""
    clock = Clock()
    with clock.stage("people"):
        seen = see_clip(clip, None, quiet)
    tracks = tracks_of(seen)
    with clock.stage("motion"):
        motions = predictor.method.motions(clip, tracks, clip.camera, "light", quiet)
    recovered = Recovered(motions, seen.times, seen.numbers)
    with clock.stage("json, npz"):
        save_clip(ClipTask(clip, clip.camera, folder / "a", {"json", "npz"}, {}), recovered, predictor, quiet)
    with clock.stage("overlay"):
        save_clip(ClipTask(clip, clip.camera, folder / "b", {"overlay"}, {}), recovered, predictor, quiet)
    count = len(seen.numbers)
    print(f"\n{clip.width}x{clip.height}, {count} frames, people {[len(track.frames) for track in tracks]}")
    for name, wall in clock.wall.items():
        print(_row(name, count, wall, clock.cores[name]))
    wanted = WANTED.get(len(tracks))
    without = [name for name in clock.wall if name != "overlay"]
    print(_row("without overlay", count, *(sum(t[n] for n in without) for t in (clock.wall, clock.cores))))
    print(
        _row("all", count, sum(clock.wall.values()), sum(clock.cores.values())),
        f"(want {wanted})" * bool(wanted),
    )
    few = [frame.pixels for frame, _ in zip(clip.frames(), range(baseline_frames))]
    with clock.stage("photo"):
        for pixels in few:
            predictor(pixels)
    print(_row("baseline: each frame a photo", len(few), clock.wall["photo"], clock.cores["photo"]))
    faster = (clock.cores["photo"] / len(few)) / ((clock.cores["people"] + clock.cores["motion"]) / count)
    print(f"  people and motion: {faster:.1f} times as fast as the baseline, by seconds of a core")


def _row(name: str, count: int, wall: float, cores: float) -> str:
    idle = 2 * count / max(cores, 1e-9)
    return (
        f"  {name:30}{count / wall:7.1f} frames/s here  {1000 * cores / count:7.0f} ms of a core a frame: "
        f"{idle:5.1f} frames/s of two idle cores"
    )


def memory(frames: int, predictor: Predictor, folder: Path) -> None:
    """Prints the memory after a tenth of a long clip, after all of it, and after its files."""
    clip = moving_photo(folder / "long.mp4", frames, 1, (640, 360))
    tenth: list[float] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if done == frames // 10 and not tenth:
            tenth.append(_megabytes())

    seen = see_clip(clip, None, progress)
    after = _megabytes()
    motions = predictor.method.motions(clip, tracks_of(seen), clip.camera, "light", quiet)
    fitted = _megabytes()
    recovered = Recovered(motions, seen.times, seen.numbers)
    task = ClipTask(clip, clip.camera, folder / "long", {"overlay", "json", "npz"}, {})
    save_clip(task, recovered, predictor, quiet)
    print(f"\nmost memory over {frames} frames of one person, MB")
    print(f"  after a tenth {tenth[0]:.0f}, after all {after:.0f} ({after / tenth[0]:.2f} times)")
    print(f"  after the motion {fitted:.0f}, after the files {_megabytes():.0f}")


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60, help="of the clips whose speed is measured")
    parser.add_argument("--memory", type=int, default=2000, help="frames of the long clip; 0 for none")
    parser.add_argument("--clip", type=Path, help="measure the speed on this video instead")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    predictor = Predictor.from_default()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        predictor(str(bundled("photos/walk.jpg")))  # what is compiled and loaded once
        if arguments.clip:
            speed(open_video(arguments.clip), predictor, folder)
        elif arguments.frames:
            for people in (1, 2):
                clip = moving_photo(folder / f"{people}.mp4", arguments.frames, people)
                speed(clip, predictor, folder)
        if arguments.memory:
            memory(arguments.memory, predictor, folder)


if __name__ == "__main__":
    main()
