"""One person who is or was followed through a clip."""

from dataclasses import dataclass

import numpy as np

from hmrcli.people.association import Whereabouts, middle_of
from hmrcli.people.sightings import Sighting


@dataclass
class Follower:
    """One person who is or was followed.

    Attributes:
        sightings: in ascending order of frames; not empty.
        points: (35, 2) pixels, as last read.
        visibility: (33,) likewise.
        colours: usual ones; None where the person was never seen alone.
        lost: whether nobody was seen since the last of the sightings.
        doubts: looks of the detector in a row without the person.
        sure: how many of the sightings are before or at the last look of the detector with the person.
        depth: (33,) metres by which the mean depth of two networks was farther than one's when last asked; None before.
    """

    sightings: list[Sighting]
    points: np.ndarray
    visibility: np.ndarray
    colours: np.ndarray | None = None
    lost: bool = False
    doubts: int = 0
    sure: int = 1
    depth: np.ndarray | None = None

    @property
    def last(self) -> Sighting:
        """The last sighting."""
        return self.sightings[-1]

    def velocity(self, within: float = 0.25) -> np.ndarray:
        """Returns the velocity (2,) of the hips, pixels a second, over the last part of a second."""
        recent = [one for one in self.sightings[-16:] if one.time >= self.last.time - within]
        passed = recent[-1].time - recent[0].time
        way = middle_of(recent[-1].landmarks)[0] - middle_of(recent[0].landmarks)[0]
        return way / passed if passed > 0 else np.zeros(2)

    def whereabouts(self) -> Whereabouts:
        """Tells where the person was last seen."""
        middle, size = middle_of(self.last.landmarks)[0], float(self.last.box[2:].max())
        return Whereabouts(self.last.time, middle, self.velocity(), size, self.colours)
