"""The rendered motion `open-motion`: short clips of a camera that stands still, with all that is known of the people.

One door: `write_clips`. Frames lie in `datasets/open-motion/CLIP/0000.jpg`, labels in HumanData beside those of the
other sets, a row for each person of each frame. Its `misc` says what HumanData has no place for: `clip`, `track_id`,
`frame` and `time` (seconds) of each row, `fps`, and the `floor` of each clip: normal (3) and offset, camera axes.
Poses are those of the test pools, which no training set of the open benchmark shows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.acting import Actor, perform, steps
from hmrcli.data.human_data import facts_of, write_human_data
from hmrcli.files import alone_in, whole_file
from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.backdrops import draw_backdrop, paint_backdrop
from hmrcli.scenes.dataset import annotations_of
from hmrcli.scenes.files import annotation_file, image_folder
from hmrcli.scenes.labels import Sample, exact_labels, jpeg
from hmrcli.scenes.looks import draw_look
from hmrcli.scenes.paint import paint_scene
from hmrcli.scenes.sample import draw_light, open_body, posed
from hmrcli.scenes.scene import Ground, Lens, Person, Scene
from hmrcli.scenes.subjects import draw_betas
from hmrcli.scenes.views import axis_angle, turn, upright_to_camera

NAME = "open-motion"
EDITION = 1
"""Changes whenever a frame changes."""
FPS = 30
SIZE, FOCAL = 512, 620.0
"""Pixels: side of the frames, and focal length; the principal point is in the middle."""


class Clip(NamedTuple):
    """What happens before a camera."""

    name: str
    seconds: float
    actors: tuple[Actor, ...]
    distance: float = 4.6
    """Metres along the floor from the camera to the middle of the scene."""
    height: float = 1.5
    """Metres of the camera above the floor."""
    pitch: float = 8.0
    """Degrees by which it looks down."""


CLIPS = (
    Clip("walk", 3.0, (Actor((-1.6, 0.0), ((0, 90),), steps("walk", 1.08, 3.2)),)),
    Clip("approach", 3.6, (Actor((0.7, -2.6), ((0, -8), (1.9, -8), (2.7, -100)), steps("walk", 1.16, 4)),)),
    Clip("cross", 3.4, (
        Actor((-1.7, 0.3), ((0, 90),), steps("walk", 1.12, 3.6)),
        Actor((1.7, -0.6), ((0, -90),), steps("walk", 1.04, 3.6)),
    ), 5.0),
    Clip("overtake", 2.0, (
        Actor((0.5, -1.8), ((0, -15),), steps("walk", 1.12, 3)),
        Actor((2.0, -0.2), ((0, -90),), steps("run", 0.8, 3)),
    ), 5.2, 1.7, 10.0),
    Clip("kicks", 3.2, (Actor((-0.2, -0.3), ((0, 45),), (
        (0, "idle"), (0.25, "idle"), (0.55, "crouch_ready"), (0.8, "front_kick"), (0.88, "front_kick"),
        (1.2, "crouch_ready"), (1.45, "~high_kick"), (1.52, "~high_kick"), (1.95, "idle"), (2.25, "side_kick"),
        (2.35, "side_kick"), (2.75, "idle"), (3.3, "idle"),
    )),), 4.2, 1.3, 5.0),
    Clip("throws", 3.6, (Actor((0.3, 0.0), ((0, -50), (1.6, -50), (2.0, 30)), (
        (0, "idle"), (0.3, "idle"), (0.8, "javelin"), (0.95, "javelin"), (1.15, "pitch_follow"),
        (1.35, "pitch_follow"), (1.9, "idle"), (2.3, "~javelin"), (2.5, "~pitch_follow"), (2.65, "~pitch_follow"),
        (3.0, "uppercut"), (3.4, "idle"), (3.7, "idle"),
    )),), 4.2, 1.5, 9.0),
    Clip("jumps", 3.4, (Actor((0.9, -0.2), ((0, -10), (1.5, -10), (1.9, -80)), (
        (0, "idle"), (0.2, "idle"), (0.55, "land_soft"), (0.8, "jump_star"), (0.95, "jump_star"), (1.22, "land_soft"),
        (1.6, "idle"), (2.05, "land_soft"), (2.32, "leap_stride"), (2.45, "leap_stride"), (2.72, "land_soft"),
        (3.1, "idle"), (3.5, "idle"),
    ), ((0.70, 1.14), (2.24, 2.62))),), 4.4, 1.4, 6.0),
    Clip("dance", 3.6, (Actor((0.0, 0.0), ((0, 20), (1.6, 20), (2.4, 380)), (
        (0, "disco_point"), (0.45, "~disco_point"), (0.9, "disco_point"), (1.3, "cheer"), (1.75, "pirouette"),
        (2.3, "pirouette"), (2.8, "ballet_attitude"), (3.0, "ballet_attitude"), (3.5, "bow"), (3.7, "bow"),
    )),), 4.2, 1.6, 10.0),
    Clip("pick_up", 3.4, (Actor((-0.3, 0.2), ((0, -35),), (
        (0, "idle"), (0.2, "idle"), (0.9, "tie_shoe"), (1.3, "tie_shoe"), (2.0, "carry_overhead"),
        (2.3, "carry_overhead"), (2.8, "sweep"), (3.1, "~sweep"), (3.5, "idle"),
    )),), 4.2, 1.5, 10.0),
)  # fmt: skip
"""All clips."""


class Frames(NamedTuple):
    """A clip that was rendered: F frames of N people."""

    samples: list[list[Sample]]
    """F lists of N; the people of a frame have its JPEG file."""
    floor: tuple[float, float, float, float]
    """Normal upwards and offset: points x with normal . x = offset, camera axes, metres."""


def write_clips(root: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Renders the clips to files, unless they are in place.

    Args:
        root: the data root.
        progress: called with frames done and all frames.

    Returns:
        the annotation file.

    Raises:
        BadInput: annotations in its place are damaged, or somebody else writes there.
    """
    path, images = annotation_file(root, NAME), image_folder(root, NAME)
    if path.is_file() and facts_of(path).get("edition") == EDITION:
        return path
    images.mkdir(parents=True, exist_ok=True)
    total, done = sum(round(FPS * clip.seconds) for clip in CLIPS), 0
    rows: list[tuple[str, str, int, int, Sample]] = []  # image, clip, track, frame, labels
    floors = {}
    with alone_in(images):
        for clip in CLIPS:
            rendered = render_clip(clip)
            floors[clip.name] = rendered.floor
            (images / clip.name).mkdir(exist_ok=True)
            for frame, people in enumerate(rendered.samples):
                image = f"{clip.name}/{frame:04d}.jpg"
                with whole_file(images / image) as temporary:
                    temporary.write_bytes(people[0].jpeg)
                rows += [(image, clip.name, track, frame, sample) for track, sample in enumerate(people, 1)]
            done += len(rendered.samples)
            progress(done, total)
        names, clips, tracks, frames, samples = zip(*rows)
        misc = {
            "edition": EDITION,
            "fps": FPS,
            "clip": np.array(clips),
            "track_id": np.array(tracks),
            "frame": np.array(frames),
            "time": np.array(frames) / FPS,
            "floor": floors,
        }
        write_human_data(path, annotations_of(NAME, names, samples), misc=misc)
    return path


def render_clip(clip: Clip) -> Frames:
    """Renders a clip: the backdrop once, people in every frame."""
    random = np.random.default_rng(list(clip.name.encode()))
    rotation, eye = (
        upright_to_camera(np.radians(clip.pitch), 0.0),
        np.array([0.0, clip.height, clip.distance]),
    )
    camera, up = Camera(FOCAL, (SIZE / 2, SIZE / 2)), rotation @ (0, 1, 0)
    ground = Ground(tuple(up.tolist()), -clip.height)
    backdrop = draw_backdrop(random, "test", ground)
    while backdrop.kind == "photograph":  # its floor is elsewhere
        backdrop = draw_backdrop(random, "test", ground)
    behind, light = paint_backdrop(backdrop, SIZE, camera, ground), draw_light(1.0, rotation, random)
    cast = []
    for actor in clip.actors:
        betas = draw_betas(random)
        act, look = perform(actor, betas, clip.seconds, FPS), draw_look(random, betas)
        (rest,) = posed(np.zeros((1, 72), np.float32), betas[None])[1][
            :, 0
        ]  # the pelvis, about which bodies turn
        turned = [axis_angle(rotation @ turn(pose[:3])) for pose in act.pose]
        pose = np.concatenate([turned, act.pose[:, 3:]], 1).astype(np.float32)
        transl = ((act.pelvis - eye) @ rotation.T - rest).astype(np.float32)
        cast.append([Person(*moment, look) for moment in zip(pose, [betas] * len(pose), transl)])
    lens = Lens(motion=(0.0, 0.0), defocus=0.3, noise=2.0, jpeg_quality=92)
    frames = []
    for number, people in enumerate(zip(*cast)):
        scene = Scene(SIZE, camera, people, light, ground, backdrop, (), lens, number)
        painting = paint_scene(scene, open_body(), behind)
        content = jpeg(painting.image, lens.jpeg_quality)
        frames.append([exact_labels(scene, painting, content, i) for i in range(len(people))])
    x, y, z = ground.normal
    return Frames(frames, (x, y, z, ground.offset))
