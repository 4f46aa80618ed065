"""One image of many."""

from pathlib import Path
from typing import Any, NamedTuple

from hmrcli.camera import Camera
from hmrcli.inference.images import Picture


class Task(NamedTuple):
    """An image and where its files go."""

    path: Path
    """Of the image, as the user named it."""
    target: Path
    """Folder and stem of the files: `target_overlay.png`, `target_0.glb`, `target_0.npz`, `target.json`."""
    picture: Picture
    camera: Camera
    settings: dict[str, Any]
    """Settings that results depend on beside the predictor, kept in the document."""
