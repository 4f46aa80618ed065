"""One recovered person, in the terms of the JSON contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.about import about
from hmrcli.body.texture import cut_mesh
from hmrcli.camera import Camera
from hmrcli.export.gltf import write_glb
from hmrcli.motion import Motion
from hmrcli.render.mesh_files import write_mesh
from hmrcli.render.overlay import overlay

Array = NDArray[np.float32]
Image = NDArray[np.uint8]

PHOTO_FPS = 30.0
"""Frame rate that files of motions state for a photo, their one frame."""


@dataclass(frozen=True, eq=False)
class Person:
    """A body placed in the full image; camera x right, y down, z forward. A notebook shows it drawn over the image.

    Attributes:
        bbox_xywh: (4,) pixels.
        score: in [0, 1], how well body, landmarks and mask agree (`fitting.agreement`); for a network's body in a
            given box, of which no landmarks are read, whether it lies in the box.
        method: how it was found: `regression` by a network, `fit` to landmarks.
        rotmat: (24, 3, 3) joint rotations in their parent's frame, the root's in the camera's; None where a network
            gives a mesh without parameters.
        betas: (10,) shape; None likewise.
        cam: (3,) weak-perspective camera (s, tx, ty) in the person's square crop: x = s (X + tx) in [-1, 1].
        transl: (3,) metres; `vertices + transl` lie in camera space.
        camera: of the image; `focal_length` and `principal_point` are its.
        vertices: (V, 3) metres.
        joints3d: (24, 3) metres, with the same origin as `vertices`.
        joints2d: (24, 2) pixels.
        joints_visibility: (24,) in [0, 1], how far each joint was seen: 0 outside the picture, low where something
            hides it. For a network's body in a given box: whether it lies in the picture.
        body: the body model that was posed; a child's has an age.
        image: (H, W, 3) uint8 RGB, in which the person was found.
    """

    bbox_xywh: Array
    score: float
    method: str
    rotmat: Array | None
    betas: Array | None
    cam: Array
    transl: Array
    camera: Camera
    vertices: Array = field(repr=False)
    joints3d: Array
    joints2d: Array
    joints_visibility: Array
    body: BodyModel = field(repr=False)
    image: Image = field(repr=False)

    @property
    def focal_length(self) -> float:
        """Pixels."""
        return self.camera.focal_length

    @property
    def principal_point(self) -> Array:
        """(2,) pixels."""
        return np.array(self.camera.principal_point, np.float32)

    @property
    def age(self) -> float | None:
        """Returns the years of the child whose body was posed; None for an adult's."""
        return self.body.age

    @property
    def pose(self) -> Array | None:
        """(72,) axis-angle of the 24 joints, radians; None without `rotmat`."""
        if self.rotmat is None:
            return None
        return roma.rotmat_to_rotvec(torch.from_numpy(self.rotmat)).flatten().numpy()

    @property
    def placed(self) -> Array:
        """(V, 3) vertices in camera space, metres."""
        return self.vertices + self.transl

    def save(self, path: str | Path, colour: Array | None = None) -> Path:
        """Writes the mesh, placed before the camera, to a .glb, .obj or .ply file; light grey without a colour.

        A .glb file also has the skeleton, bound in this pose, where the person has `rotmat` and `betas`.
        """
        path = Path(path)
        if path.suffix.lower() == ".glb" and self.rotmat is not None:
            return write_glb(self.motion(), path, colour)
        return write_mesh(path, self.placed, cut_mesh(self.body), colour, about(self.body))

    def motion(self, number: int = 0) -> Motion:
        """Returns the motion of one frame that exports take; only for a person with `rotmat` and `betas`.

        The `number` of the person in the photo is from 0.
        """
        assert self.rotmat is not None and self.betas is not None
        return Motion(
            track_id=number,
            frames=np.zeros(1, np.int64),
            times=np.zeros(1),
            fps=PHOTO_FPS,
            rotmat=self.rotmat[None],
            betas=self.betas,
            transl=self.transl[None],
            bbox_xywh=self.bbox_xywh[None],
            scores=np.array([self.score], np.float32),
            joints_visibility=self.joints_visibility[None],
            camera=self.camera,
            body=self.body,
        )

    def arrays(self) -> dict[str, Array]:
        """Returns what the `npz` file holds, by the names of the contract."""
        values = {name: getattr(self, name) for name in (*_NUMBERS, "age", "vertices")}
        numbers = {name: np.asarray(value, np.float32) for name, value in values.items() if value is not None}
        return numbers | self.camera.arrays()

    def as_json(self) -> dict[str, Any]:
        """Returns the person in the contract's JSON, without its files."""
        numbers = {name: _rounded(getattr(self, name)) for name in _NUMBERS}
        first = {"bbox_xywh": numbers["bbox_xywh"], "score": numbers["score"], "method": self.method}
        return first | {"age": self.age} | numbers | self.camera.as_json()

    def _repr_png_(self) -> bytes:
        """Draws the person for a notebook."""
        return png(People([self]).drawn())


class People(list[Person]):
    """The people of one image; `notes` are sentences about the image and about those of whom there is no body."""

    def __init__(self, people: Iterable[Person] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(people)
        self.notes = list(notes)

    def drawn(self) -> Image:
        """Draws everyone, at least one, with their index over the image and beside it from the side."""
        body, parts = self[0].body, self[0].body.parts.cpu().numpy()
        return overlay(
            self[0].image,
            [person.placed for person in self],
            body.faces.cpu().numpy(),
            self[0].camera,
            numbers=range(len(self)),
            seen=[person.joints_visibility[parts] for person in self],
            pitch=camera_pitch(self),
        )


def png(image: Image) -> bytes:
    """Encodes RGB as a PNG file."""
    written, content = cv2.imencode(".png", image[..., ::-1])
    assert written, "OpenCV could not encode the picture"
    return content.tobytes()


def camera_pitch(people: Sequence[Person]) -> float:
    """Estimates how far the camera looks down, in radians, by the median of what people who stand lean towards it.

    0 where nobody is seen to stand.
    """
    leans = [angle for person in people if (angle := lean(person)) is not None]
    return float(np.median(leans)) if leans else 0.0


def lean(person: Person) -> float | None:
    """Returns how far somebody leans towards the camera, radians, from the ankles to the neck.

    None for people who are not seen to stand: upright in the picture, with straight knees and hips.
    """
    ankles, knees, hips, neck = (person.joints3d[i].mean(0) for i in ([7, 8], [4, 5], [1, 2], [12]))
    body = neck - ankles
    parts = (knees - ankles, hips - knees, neck - hips)
    bones = [part / max(float(np.linalg.norm(part)), 1e-9) for part in parts]
    straight = min(bones[0] @ bones[1], bones[1] @ bones[2]) > 0.85
    upright = person.joints_visibility[[7, 8]].max() >= 0.5 and -body[1] > abs(body[0])
    return float(np.arctan2(-body[2], -body[1])) if straight and upright else None


_NUMBERS = (
    *("bbox_xywh", "score", "rotmat", "pose", "betas", "cam", "transl"),
    *("joints3d", "joints2d", "joints_visibility"),
)


def _rounded(value: Any) -> Any:
    """Returns plain numbers to a micrometre, a microradian or a millionth of a pixel: beyond is rounding noise."""
    return None if value is None else np.asarray(value, np.float64).round(6).tolist()
