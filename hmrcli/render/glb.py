"""Files of glTF 2.0 in one piece (glb): a JSON document and the numbers that it speaks of.

glTF has metres, x right, y up and z towards the viewer, and texture coordinates from the upper left corner.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from hmrcli.body.texture import CutMesh
from hmrcli.render.rasteriser import Array
from hmrcli.render.shading import vertex_normals

VERTICES, INDICES = 34962, 34963
"""Uses of a buffer view."""
_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}
_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class Glb:
    """A glb in the making; lists of the document grow by `add`, its numbers by `accessor`."""

    def __init__(self, about: Mapping[str, str]) -> None:
        """Takes what the file says of itself (`hmrcli.body.about`), which becomes `asset.extras`."""
        asset = {"version": "2.0", "generator": about.get("generator", "hmrcli"), "extras": dict(about)}
        self.document: dict[str, Any] = {"asset": asset, "scene": 0, "scenes": [{"nodes": []}]}
        self._numbers = bytearray()
        self._laid_out: dict[int, tuple[int, int]] = {}

    def add(self, kind: str, item: Mapping[str, Any]) -> int:
        """Appends to a list of the document, such as `nodes`; returns the item's index."""
        items = self.document.setdefault(kind, [])
        items.append(dict(item))
        return len(items) - 1

    def add_to_scene(self, node: Mapping[str, Any]) -> int:
        """Appends a node without a parent; returns its index."""
        index = self.add("nodes", node)
        self.document["scenes"][0]["nodes"].append(index)
        return index

    def accessor(self, values: Array, target: int | None = None, limits: bool = False) -> int:
        """Appends numbers, float32 or unsigned; returns the index of their accessor.

        They are (N,), (N, 2), (N, 3), (N, 4), or (N, 4, 4) by columns. The target is `VERTICES`, `INDICES`,
        or None for animations and matrices; `limits` tells least and greatest, as positions and times of keys
        must.
        """
        return self._accessor(values, {"bufferView": self._view(values, target)}, limits)

    def sparse_accessor(self, values: Array) -> int:
        """Appends (N, 3) float32 numbers of which most rows are zero, with limits; returns their accessor's index."""
        rows = np.flatnonzero(values.any(1)) if values.any() else np.zeros(1, np.int64)
        indices = {"bufferView": self._view(rows.astype(np.uint32)), "componentType": _COMPONENTS["uint32"]}
        sparse = {"count": len(rows), "indices": indices, "values": {"bufferView": self._view(values[rows])}}
        return self._accessor(values, {"sparse": sparse}, limits=True)

    def _accessor(self, values: Array, where: Mapping[str, Any], limits: bool) -> int:
        kind = {"componentType": _COMPONENTS[values.dtype.name], "count": len(values)}
        accessor = {**where, **kind, "type": _TYPES[values.shape[1:]]}
        if limits:
            rows = values.reshape(len(values), -1)
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return self.add("accessors", accessor)

    def _view(self, values: Array, target: int | None = None) -> int:
        values = np.ascontiguousarray(values)
        view = {"buffer": 0, "byteOffset": len(self._numbers), "byteLength": values.nbytes}
        self._numbers += values.tobytes() + bytes(-values.nbytes % 4)
        return self.add("bufferViews", view | ({} if target is None else {"target": target}))

    def material(self, name: str, colour: Array, both_sides: bool = False) -> int:
        """Appends a dull surface that is no metal, of a colour (3,) in [0, 1] sRGB; returns its index."""
        srgb = np.clip(np.asarray(colour, np.float64), 0, 1)
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        base = {"baseColorFactor": [*linear.round(6).tolist(), 1.0]}
        surface = base | {"metallicFactor": 0.0, "roughnessFactor": 0.8}
        sides = {"doubleSided": True} if both_sides else {}
        return self.add("materials", {"name": name, "pbrMetallicRoughness": surface} | sides)

    def skin(self, points: Array, mesh: CutMesh, material: int) -> dict[str, Any]:
        """Appends the numbers of a body's skin and returns its primitive, which joints and weights can be added to.

        Points are (V, 3) in glTF's axes; the mesh's `source` says how attributes of V vertices are laid out.
        """
        normals = vertex_normals(points, mesh.source[mesh.faces])
        normals[np.square(normals).sum(1) < 0.5] = (0, 1, 0)  # a vertex without a face has no normal
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        if id(mesh) not in self._laid_out:  # the same for everyone
            down = (mesh.coordinates * (1, -1) + (0, 1)).astype(np.float32)
            faces = self.accessor(mesh.faces.astype(np.uint32).ravel(), INDICES)
            self._laid_out[id(mesh)] = self.accessor(down, VERTICES), faces
        coordinates, indices = self._laid_out[id(mesh)]
        attributes = {
            "POSITION": self.accessor(points[mesh.source].astype(np.float32), VERTICES, limits=True),
            "NORMAL": self.accessor(normals[mesh.source].astype(np.float32), VERTICES),
            "TEXCOORD_0": coordinates,
        }
        return {"attributes": attributes, "indices": indices, "material": material}

    def content(self) -> bytes:
        """Returns the file."""
        self.document["buffers"] = [{"byteLength": len(self._numbers)}]
        text = json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self._numbers), b"BIN") + self._numbers
        return struct.pack("<4s2I", b"glTF", 2, 12 + len(chunks)) + chunks
