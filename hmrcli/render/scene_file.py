"""Everyone of a photo in one glb: people, the floor they stand on, and the camera."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmrcli.body.texture import CutMesh
from hmrcli.camera import Camera
from hmrcli.files import whole_file
from hmrcli.render.glb import INDICES, VERTICES, Glb
from hmrcli.render.mesh_files import VIEWERS
from hmrcli.render.overlay import PALETTE
from hmrcli.render.rasteriser import Array

_FLOOR = np.array([0.80, 0.80, 0.78])
_AROUND, _LEAST = 0.6, 2.0
"""Metres of floor around people, and its least side."""


class Floor(NamedTuple):
    """A plane on which people stand: radians by which the camera looks down, and metres down to the plane."""

    pitch: float
    below: float

    def level(self) -> Array:
        """Returns (4, 4), from the viewers' axes of the camera to those with the floor at y = 0 and y up."""
        sine, cosine = math.sin(self.pitch), math.cos(self.pitch)
        return np.array([[1, 0, 0, 0], [0, cosine, sine, self.below], [0, -sine, cosine, 0], [0, 0, 0, 1.0]])


def write_scene(
    path: Path,
    people: Sequence[Array],
    mesh: CutMesh,
    camera: Camera,
    floor: Floor | None,
    about: Mapping[str, str],
) -> Path:
    """Writes all people in their places as `person_0`, `person_1`, …, in the colours of the overlay.

    With a floor, the scene is level: y up, the floor at y = 0. Without, it has the axes of the camera, as mesh files
    of single people have; in both, these are the axes of the node `photo`, whose children people and camera are.

    Args:
        path: of the glb, which is returned.
        people: (V, 3) of each, camera coordinates in metres.
        mesh: faces and texture coordinates of everyone.
        camera: glTF's looks at the middle of its picture and does not distort.
        floor: where people stand; None where that is not known.
        about: sentences on the content.
    """
    glb, children = Glb(about), []
    for index, placed in enumerate(people):
        name = f"person_{index}"
        material = glb.material(name, PALETTE[index % len(PALETTE)])
        primitive = glb.skin(placed * VIEWERS, mesh, material)
        skin = glb.add("meshes", {"name": name, "primitives": [primitive]})
        children.append(glb.add("nodes", {"name": name, "mesh": skin}))
    children.append(glb.add("nodes", {"name": "camera", "camera": _camera(glb, camera)}))
    photo = {"name": "photo", "children": children}
    if floor is None:
        glb.add_to_scene(photo)
    else:
        level = floor.level()
        glb.add_to_scene(photo | {"matrix": level.T.ravel().tolist()})
        places = np.concatenate([body * VIEWERS @ level[:3, :3].T for body in people])[:, [0, 2]]
        low, high = places.min(0), places.max(0)
        reach = np.maximum((high - low) / 2 + _AROUND, _LEAST / 2)
        glb.add_to_scene({"name": "floor", "mesh": _floor(glb, (low + high) / 2, reach)})
    with whole_file(path) as temporary:
        temporary.write_bytes(glb.content())
    return path


def _camera(glb: Glb, camera: Camera) -> int:
    focal_y = camera.focal_length_y or camera.focal_length
    perspective = {
        "yfov": 2 * math.atan(camera.height / 2 / focal_y),
        "aspectRatio": camera.width / camera.height * focal_y / camera.focal_length,
        "znear": 0.05,
    }
    exact = {name: camera.as_json()[name] for name in ("K", "distortion")}
    size = {"width": camera.width, "height": camera.height}
    return glb.add("cameras", {"type": "perspective", "perspective": perspective, "extras": exact | size})


def _floor(glb: Glb, middle: Array, reach: Array) -> int:
    """Adds a rectangle at y = 0 around a middle (x, z), with its texture coordinates."""
    corners = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    places = np.insert(middle + corners * reach, 1, 0.0, axis=1).astype(np.float32)
    attributes = {
        "POSITION": glb.accessor(places, VERTICES, limits=True),
        "NORMAL": glb.accessor(np.tile(np.array([0, 1, 0], np.float32), (4, 1)), VERTICES),
        "TEXCOORD_0": glb.accessor(((corners + 1) / 2).astype(np.float32), VERTICES),
    }
    indices = glb.accessor(np.array([0, 1, 2, 0, 2, 3], np.uint16), INDICES)
    material = glb.material("floor", _FLOOR, both_sides=True)
    primitive = {"attributes": attributes, "indices": indices, "material": material}
    return glb.add("meshes", {"name": "floor", "primitives": [primitive]})
