"""Recordings of Human3.6M and their cameras: from metadata.xml of its code bundle, or camera.json files of mks0601."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.raw.documents import read_json, reading
from hmrcli.data.raw.tree import Tree

CAMERAS = (54138969, 55011271, 58860488, 60457274)
SUBJECTS = (1, 5, 6, 7, 8, 9, 11)


class Recording(NamedTuple):
    """A sequence as one camera saw it."""

    subject: int
    sequence: str
    """For example `Directions 1`."""
    camera: int
    points: Path
    joints: Path
    mask: Path
    video: Path | None

    @property
    def name(self) -> str:
        """Returns the name as its images have it."""
        return f"S{self.subject}_{self.sequence.replace(' ', '_')}.{self.camera}"

    def image(self, frame: int) -> str:
        """Returns the path of a frame's image, which counts from 1."""
        return f"S{self.subject}/images/{self.name}/{self.name}_{frame + 1:06d}.jpg"


class View(NamedTuple):
    """A camera as it stood for a subject."""

    rotation: NDArray[np.float64]
    """(3, 3) world to camera."""
    shift: NDArray[np.float64]
    """(3,) metres, after the rotation."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pixels, without distortion, which is a few pixels at the borders."""


Views = dict[tuple[int, int], View]
"""By subject and number of the camera."""


def read_views(tree: Tree) -> Views:
    """Reads cameras of all subjects that one of the files tells of; none where no file is there."""
    if found := tree.find("metadata.xml"):
        return _from_metadata(found[0])
    views = {}
    for subject in SUBJECTS:
        for path in tree.find(f"Human36M_subject{subject}_camera.json"):
            stored = read_json(path)
            with reading(path):
                for number, camera in enumerate(CAMERAS, 1):
                    own = stored[str(number)]
                    (fx, fy), (cx, cy) = own["f"], own["c"]
                    rotation = np.array(own["R"], np.float64).reshape(3, 3)
                    shift = np.array(own["t"], np.float64).reshape(3) / 1000
                    views[subject, camera] = View(rotation, shift, _matrix(fx, fy, cx, cy))
    return views


def _from_metadata(path: Path) -> Views:
    """Reads `w0`, 300 numbers: six for each of 11 subjects and 4 cameras, then nine for each camera."""
    with reading(path):
        text = path.read_text(encoding="utf-8", errors="replace")
        found = re.search(r"<w0>\s*\[?([^<\]]*)", text)
        numbers = [float(word) for word in re.split(r"[\s,;]+", found[1].strip())] if found else []
        if len(numbers) != 300:
            raise ValueError(f"w0 has {len(numbers)} numbers, expected 300")
    views = {}
    for index, camera in enumerate(CAMERAS):
        fx, fy, cx, cy = numbers[264 + 9 * index : 268 + 9 * index]
        for subject in SUBJECTS:
            at = 6 * (11 * index + subject - 1)
            rotation = rotation_of(*numbers[at : at + 3])
            center = np.array(numbers[at + 3 : at + 6]) / 1000
            views[subject, camera] = View(rotation, -rotation @ center, _matrix(fx, fy, cx, cy))
    return views


def rotation_of(a: float, b: float, c: float) -> NDArray[np.float64]:
    """Returns the rotation (3, 3), world to camera, that three numbers of metadata.xml stand for."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([-a, b, -c]), np.sin([-a, b, -c])
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def _matrix(fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float64]:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
