"""The container of glTF 2.0: numbers in one buffer, found through accessors, and a JSON document before them."""

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERTICES, INDICES = 34962, 34963
"""Targets of buffer views: what a graphics card takes them for."""
_COMPONENTS = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
_KINDS = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class Buffer:
    """Numbers of a document, and what it says about them.

    Attributes:
        accessors: of the document.
        views: likewise.
    """

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self._content = bytearray()

    def add(self, values: NDArray[Any], target: int | None = None, bounds: bool = False) -> int:
        """Stores an array; returns the number of its accessor.

        Args:
            values: (N, ...) of a type that glTF has; matrices (N, 4, 4) are stored column by column.
            target: of the buffer view.
            bounds: True to state the least and greatest of each component, which places and times need.
        """
        kind = _KINDS[values.shape[1:]]
        stored = values.swapaxes(1, 2) if kind == "MAT4" else values
        return self._accessor(values, kind, bounds, {"bufferView": self._view(stored, target)})

    def add_sparse(self, values: NDArray[Any]) -> int:
        """Stores places (N, 3) of which most are zero."""
        rows = np.flatnonzero(values.any(1)) if values.any() else np.zeros(1, int)
        sparse = {
            "count": len(rows),
            "indices": {"bufferView": self._view(rows.astype(np.uint16)), "componentType": 5123},
            "values": {"bufferView": self._view(values[rows])},
        }
        return self._accessor(values, "VEC3", True, {"sparse": sparse})

    def _accessor(self, values: NDArray[Any], kind: str, bounds: bool, where: dict[str, Any]) -> int:
        entry = {"componentType": _COMPONENTS[values.dtype.name], "count": len(values), "type": kind} | where
        if bounds:
            flat = values.reshape(len(values), -1)
            entry |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def _view(self, values: NDArray[Any], target: int | None = None) -> int:
        content = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
        view = {"buffer": 0, "byteOffset": len(self._content), "byteLength": len(content)}
        self.views.append(view if target is None else view | {"target": target})
        self._content += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def packed(self, document: dict[str, Any]) -> bytes:
        """Puts the document, without what is told here, and the numbers into one glb file."""
        told = {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self._content)}],
        }
        text = json.dumps(document | told, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self._content), b"BIN\0") + bytes(self._content)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
