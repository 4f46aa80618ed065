"""Reads a skinned glb and poses it, written from the glTF 2.0 specification and sharing no code with the writer."""

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"SCALAR": (1,), "VEC2": (2,), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}
TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}


class Glb:
    """A glb file with one mesh and one skin."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length = struct.unpack("<4sII", content[:12])
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack("<I4s", content[12:20])
        assert kind == b"JSON"
        self.json: dict[str, Any] = json.loads(content[20 : 20 + size])
        assert content[24 + size : 28 + size] == b"BIN\0"
        self.binary = content[28 + size :]
        (self.mesh,) = self.json["meshes"]
        (self.primitive,) = self.mesh["primitives"]
        (self.skin,) = self.json["skins"]

    def _view(self, number: int, kind: str, shape: tuple[int, ...], count: int) -> np.ndarray:
        view = self.json["bufferViews"][number]
        bytes_ = self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        return np.frombuffer(bytes_, kind).reshape(count, *shape)

    @cache  # noqa: B019 (a file lives as long as a test)
    def accessor(self, number: int) -> np.ndarray:
        entry = self.json["accessors"][number]
        kind, shape, count = TYPES[entry["componentType"]], KINDS[entry["type"]], entry["count"]
        if "bufferView" in entry:
            values = self._view(entry["bufferView"], kind, shape, count)
        else:
            values = np.zeros((count, *shape), kind)
        if sparse := entry.get("sparse"):
            where, what = sparse["indices"], sparse["values"]
            rows = self._view(where["bufferView"], TYPES[where["componentType"]], (1,), sparse["count"])[:, 0]
            values[rows] = self._view(what["bufferView"], kind, shape, sparse["count"])
        if "min" in entry:
            assert np.allclose(values.min(0), entry["min"]) and np.allclose(values.max(0), entry["max"])
        return values.swapaxes(1, 2) if entry["type"] == "MAT4" else values

    def attribute(self, name: str) -> np.ndarray:
        return self.accessor(self.primitive["attributes"][name])

    @property
    def faces(self) -> np.ndarray:
        return self.accessor(self.primitive["indices"]).reshape(-1, 3)

    @property
    def times(self) -> np.ndarray:
        (animation,) = self.json["animations"]
        return self.accessor(animation["samplers"][0]["input"])[:, 0]

    def posed(self, key: int | None = None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Skinned vertices, and where each node stands, at a key of the animation; None for the nodes as they are."""
        nodes = [dict(node) for node in self.json["nodes"]]
        factors = np.array(self.mesh.get("weights", []))
        for channel in self.json["animations"][0]["channels"] if key is not None else []:
            sampler = self.json["animations"][0]["samplers"][channel["sampler"]]
            values = self.accessor(sampler["output"])
            if channel["target"]["path"] == "weights":
                factors = values.reshape(len(self.times), -1)[key]
            else:
                nodes[channel["target"]["node"]][channel["target"]["path"]] = values[key]
        world: dict[int, np.ndarray] = {}

        def place(number: int, above: np.ndarray) -> None:
            node = nodes[number]
            world[number] = above @ matrix(
                node.get("translation", [0, 0, 0]), node.get("rotation", [0, 0, 0, 1])
            )
            for child in node.get("children", []):
                place(child, world[number])

        for root in self.json["scenes"][self.json["scene"]]["nodes"]:
            place(root, np.eye(4))
        points = self.attribute("POSITION").astype(float)
        for factor, target in zip(factors, self.primitive.get("targets", [])):
            points = points + factor * self.accessor(target["POSITION"])
        inverse = self.accessor(self.skin["inverseBindMatrices"]).astype(float)
        moves = np.stack([world[joint] @ inverse[i] for i, joint in enumerate(self.skin["joints"])])
        joints, weights = self.attribute("JOINTS_0"), self.attribute("WEIGHTS_0")
        assert np.allclose(weights.sum(1), 1, atol=1e-6)
        homogeneous = np.append(points, np.ones((len(points), 1)), 1)
        skinned = sum(
            weights[:, k, None] * np.einsum("vij,vj->vi", moves[joints[:, k]], homogeneous) for k in range(4)
        )
        return skinned[:, :3], {nodes[i]["name"]: placed[:3, 3] for i, placed in world.items()}


def matrix(translation: Any, rotation: Any) -> np.ndarray:
    """Translation after rotation by a unit quaternion x, y, z, w."""
    x, y, z, w = np.asarray(rotation, float)
    assert abs(x * x + y * y + z * z + w * w - 1) < 1e-5
    result = np.eye(4)
    result[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result[:3, 3] = translation
    return result
