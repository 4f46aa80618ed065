"""The open data set's parts: who and what is in their pictures, how hard these are, and what their labels are worth."""

from dataclasses import dataclass
from typing import Literal

EDITION = 2
"""Changes whenever a sample changes; files of another edition are made anew."""

SIZE = 256
"""Side of the pictures, pixels."""

ROW_BYTES, ROW_SECONDS = 11_000, 0.02
"""Of a picture with its labels, on average, and of making one on one core of a server of 2023."""

Labels = Literal["exact", "fitted", "keypoints"]
"""What is known of a person: everything; a body fitted to keypoints, which errs; keypoints alone, as annotators err."""

Pool = Literal["studio", "train", "test", "wild"]
"""Where poses and backdrops come from; no two pools share any."""


@dataclass(frozen=True)
class Split:
    """A part of the data set. Pairs of numbers are ranges that are drawn from evenly."""

    name: str
    about: str
    stream: int
    """Of random numbers: no two parts share one, so none shares a body, a place or a picture."""
    rows: int
    training: bool
    pool: Pool
    labels: Labels
    subjects: int | None = None
    """Persons with a body and a look each; None: somebody else in every row."""
    cameras: int | None = None
    """In fixed places around a room; None: somewhere else for every row."""
    elevation: tuple[float, float, float, float] = (-22.0, 50.0, 7.0, 11.0)
    """Degrees by which cameras look down on people: least, most, mean and deviation."""
    others: tuple[float, ...] = (0.55, 0.25, 0.13, 0.07)
    """Probability of 0, 1, … further people."""
    covered: float = 0.4
    """Largest share of the person's joints that one other may stand before."""
    occluders: tuple[float, ...] = (0.6, 0.3, 0.1)
    """Probability of 0, 1, … things before the person."""
    truncated: float = 0.15
    """Share of pictures whose border cuts the person."""
    motion: tuple[float, float] = (0.15, 4.0)
    """Share of pictures with motion blur, and its largest length, pixels."""
    dim: tuple[float, float] = (0.7, 1.2)
    """Factor on all light."""
    noise: tuple[float, float] = (0.5, 5.0)
    """Of the sensor, grey levels."""
    quality: tuple[int, int] = (55, 95)
    """Of the JPEG file."""


_TRAINING_ROWS, _TEST_ROWS = 20_000, 2_000

SPLITS = {
    split.name: split
    for split in (
        Split(
            "open-studio",
            "8 people before 4 fixed cameras, exact labels",
            stream=1,
            rows=_TRAINING_ROWS,
            training=True,
            pool="studio",
            labels="exact",
            subjects=8,
            cameras=4,
            others=(1.0,),
            occluders=(1.0,),
            truncated=0.0,
            motion=(0.0, 0.0),
            dim=(0.95, 1.05),
            noise=(0.5, 1.5),
            quality=(90, 95),
        ),
        Split(
            "open-fitted",
            "varied pictures, bodies as fitted to keypoints",
            stream=2,
            rows=_TRAINING_ROWS,
            training=True,
            pool="train",
            labels="fitted",
        ),
        Split(
            "open-keypoints",
            "varied pictures, 17 keypoints each",
            stream=3,
            rows=_TRAINING_ROWS,
            training=True,
            pool="train",
            labels="keypoints",
        ),
        Split(
            "open-test",
            "test: varied pictures of unseen people, poses and places, exact labels",
            stream=4,
            rows=_TEST_ROWS,
            training=False,
            pool="test",
            labels="exact",
        ),
        Split(
            "open-wild",
            "harder test: rare poses and views, crowds, occlusion, blur, low light",
            stream=5,
            rows=_TEST_ROWS,
            training=False,
            pool="wild",
            labels="exact",
            elevation=(-45.0, 75.0, 12.0, 32.0),
            others=(0.3, 0.25, 0.25, 0.2),
            covered=0.6,
            occluders=(0.25, 0.4, 0.35),
            truncated=0.35,
            motion=(0.4, 9.0),
            dim=(0.2, 1.1),
            noise=(1.0, 12.0),
            quality=(30, 85),
        ),
    )
}
"""All parts by name."""


def row_count(split_name: str, rows: int | None = None) -> int:
    """How many rows of a part are meant, which are all of them unless fewer are asked for."""
    own = SPLITS[split_name].rows
    return own if rows is None else min(rows, own)
