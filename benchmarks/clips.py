"""Frames of the rendered motion `open-motion` with their labels, for other benchmarks; rendered at first use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from frames import ROOT

from benchmarks.motion_set import NAME, write_clips
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import facts_of
from hmrcli.scenes.files import image_folder

DATA_ROOT = ROOT / "data"


class Clips(NamedTuple):
    """All clips."""

    labels: Annotations
    """A row for each person of each frame."""
    facts: dict[str, Any]
    """`clip`, `track_id`, `frame`, `time` of each row, `fps`, `floor` of each clip."""


class Frame(NamedTuple):
    """A frame of a clip."""

    clip: str
    number: int
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    labels: Annotations
    """Of all clips."""
    rows: np.ndarray
    """Its people among the labels."""


def clips() -> Clips:
    """Reads the clips' labels."""
    path = write_clips(DATA_ROOT, lambda done, total: print(f"\r{done} of {total} frames rendered", end=""))
    return Clips(read_annotations(path, "smpl_54", NAME, cameras=True), facts_of(path))


def image_of(labels: Annotations, row: int) -> np.ndarray:
    """Returns the picture of a row."""
    path = Path(image_folder(DATA_ROOT, NAME)) / str(labels.image_path[row])
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)))[..., ::-1])


def clip_frames(every: int) -> Iterator[Frame]:
    """Yields every so manieth frame of each clip."""
    labels, facts = clips()
    for image in dict.fromkeys(labels.image_path.tolist()):
        rows = np.flatnonzero(labels.image_path == image)
        number = int(facts["frame"][rows[0]])
        if number % every == 0:
            yield Frame(str(facts["clip"][rows[0]]), number, image_of(labels, int(rows[0])), labels, rows)
