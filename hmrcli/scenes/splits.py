"""The sets of the open benchmark: who and what their pictures show, how hard they are, and what labels are worth."""

from dataclasses import dataclass
from typing import Literal

EDITION = 3
"""Changes whenever a sample changes; files of another edition are made anew."""

SIZE = 256
"""Side of the pictures, pixels."""

Labels = Literal["exact", "fitted", "keypoints"]
"""Labels of a person: everything; a body fitted to keypoints, which errs; keypoints alone, as annotators err."""

Pool = Literal["studio", "train", "test", "wild"]
"""Sources of poses and backdrops; no two pools share any."""


@dataclass(frozen=True)
class Split:
    """Contents of a set of `OPEN_SETS`. Pairs of numbers are ranges that are drawn from evenly."""

    name: str
    stream: int
    """Of random numbers: no two parts share one, so none shares a body, a place or a picture."""
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


SPLITS = {
    "open-studio": Split(
        "open-studio", stream=1, pool="studio", labels="exact", subjects=8, cameras=4, others=(1.0,), occluders=(1.0,),
        truncated=0.0, motion=(0.0, 0.0), dim=(0.95, 1.05), noise=(0.5, 1.5), quality=(90, 95),
    ),
    "open-fitted": Split("open-fitted", stream=2, pool="train", labels="fitted"),
    "open-keypoints": Split("open-keypoints", stream=3, pool="train", labels="keypoints"),
    "open-test": Split("open-test", stream=4, pool="test", labels="exact"),
    "open-wild": Split(
        "open-wild", stream=5, pool="wild", labels="exact", elevation=(-45.0, 75.0, 12.0, 32.0),
        others=(0.3, 0.25, 0.25, 0.2), covered=0.6, occluders=(0.25, 0.4, 0.35), truncated=0.35, motion=(0.4, 9.0),
        dim=(0.2, 1.1), noise=(1.0, 12.0), quality=(30, 85),
    ),
}  # fmt: skip
"""All sets by name."""
