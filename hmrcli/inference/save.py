"""What `hmr infer` leaves behind: an overlay, meshes, arrays and a JSON document for each image."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.body.joints import SMPL_24
from hmrcli.files import alone_in, sha256, whole_file
from hmrcli.inference.person import Person, camera_pitch
from hmrcli.inference.predictor import Predictor
from hmrcli.render.mesh_files import write_mesh
from hmrcli.render.overlay import PALETTE, overlay

FILES = ("glb", "obj", "ply", "npz")
"""Suffixes of the files of one person."""


def document(images: Sequence[dict[str, Any]], predictor: Predictor) -> dict[str, Any]:
    """The contract's JSON document for some images; recipe and checkpoint are null for the bundled default."""
    return {"images": list(images)} | _provenance(predictor)


def _provenance(predictor: Predictor) -> dict[str, Any]:
    """What results were made with, as the document says it."""
    body, checkpoint = predictor.body, predictor.checkpoint
    return {
        "joint_names": list(SMPL_24.names),
        "recipe": None if predictor.recipe is None else predictor.recipe.name,
        "checkpoint": None
        if checkpoint is None
        else {"path": str(checkpoint), "sha256": _sha256(checkpoint)},
        "body_model": {"name": body.name, "vertices": body.num_vertices, "sha256": body.sha256},
        "version": __version__,
    }


@cache
def _sha256(path: Path) -> str:
    return sha256(path)


def save_image(
    path: Path,
    image: NDArray[np.uint8],
    people: Sequence[Person],
    predictor: Predictor,
    target: Path,
    saves: Collection[str],
    mesh_format: str = "glb",
    *,
    focal_source: str = "diagonal",
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the files of one image and gives its entry of the JSON document.

    Other files of the same image, which an earlier run left, are removed, unless its document has the same
    settings. Each file is whole or absent, the document comes last, and of several processes that write to
    one folder each writes an image alone.

    Args:
        path: of the image, as the user named it.
        image: (H, W, 3) RGB.
        people: what was found in it.
        predictor: that found them.
        target: folder and stem of the files: `target_overlay.png`, `target_0.glb`, `target_0.npz`, `target.json`.
        saves: of `overlay`, `mesh`, `npz`, `json`.
        mesh_format: suffix of mesh files.
        focal_source: where the focal length is from: `given`, `exif` or `diagonal`.
        settings: what else the results depend on, kept in the document for `saved_entry`.

    Returns:
        the entry; `files` and `vertices` name what was written.

    Raises:
        OSError: a file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(target.parent):
        same = _same_settings(_stored(target), predictor, settings)
        files = _write(image, people, predictor, target, saves, mesh_format)
        entry = {
            "path": str(path),
            "width": image.shape[1],
            "height": image.shape[0],
            "people": [
                person.as_json()
                | {"focal_source": focal_source, "vertices": named.get("npz"), "files": named}
                for person, named in zip(people, files)
            ],
        }
        if "json" in saves:
            written = document([entry], predictor) | ({} if settings is None else {"settings": settings})
            with whole_file(_beside(target, ".json")) as temporary:
                temporary.write_text(json.dumps(written, allow_nan=False) + "\n", encoding="utf-8")
        new = {Path(name) for named in files for name in named.values()}
        for earlier in _files_of(target, len(people) if same else 0) - new:
            if earlier.suffix != ".json" or ("json" not in saves and _stored(target)):
                earlier.unlink(missing_ok=True)
    return entry


def _write(
    image: NDArray[np.uint8],
    people: Sequence[Person],
    predictor: Predictor,
    target: Path,
    saves: Collection[str],
    mesh_format: str,
) -> list[dict[str, str]]:
    """Writes overlay, meshes and arrays; the files of each person by kind."""
    faces = predictor.body.faces.cpu().numpy()
    placed = [person.vertices + person.transl for person in people]
    files: list[dict[str, str]] = [{} for _ in people]
    if people and "overlay" in saves:
        overlay_path = _beside(target, "_overlay.png")
        centre = people[0].principal_point
        drawn = overlay(
            image,
            placed,
            faces,
            people[0].focal_length,
            (float(centre[0]), float(centre[1])),
            seen=[person.joints_visibility[predictor.body.parts.cpu().numpy()] for person in people],
            pitch=camera_pitch(people),
        )
        with whole_file(overlay_path) as temporary:
            written, content = cv2.imencode(".png", drawn[..., ::-1])
            assert written, "OpenCV could not encode the overlay"
            temporary.write_bytes(content.tobytes())
        for named in files:
            named["overlay"] = str(overlay_path)
    for index, (person, vertices, named) in enumerate(zip(people, placed, files)):
        if "mesh" in saves:
            mesh_path = _beside(target, f"_{index}.{mesh_format}")
            # A mesh file's text is UTF-8, which names of files need not be.
            name = mesh_path.stem.encode(errors="backslashreplace").decode()
            write_mesh(mesh_path, vertices, faces, names=[name], colours=PALETTE[index % len(PALETTE)])
            named["mesh"] = str(mesh_path)
        if "npz" in saves:
            npz_path = _beside(target, f"_{index}.npz")
            with whole_file(npz_path) as temporary:
                arrays: dict[str, Any] = person.arrays() | {"faces": faces}
                np.savez_compressed(temporary, **arrays)
            named["npz"] = str(npz_path)
    return files


def saved_entry(
    target: Path, predictor: Predictor, settings: dict[str, Any], saves: Collection[str], mesh_format: str
) -> dict[str, Any] | None:
    """The entry of an image whose files are all there, of the same settings; None where there is work to do."""
    stored = _stored(target)
    if stored is None or not _same_settings(stored, predictor, settings):
        return None
    entry: dict[str, Any] = stored["images"][0]
    suffixes = {"overlay": ".png", "mesh": f".{mesh_format}", "npz": ".npz"}
    for person in entry["people"]:
        for kind, suffix in suffixes.items():
            name = person["files"].get(kind, "")
            if kind in saves and not (name.endswith(suffix) and Path(name).is_file()):
                return None
    return entry


def _stored(target: Path) -> dict[str, Any] | None:
    """The document of an earlier run; None where there is none, or one of another program."""
    try:
        stored = json.loads(_beside(target, ".json").read_text(encoding="utf-8"))
        (entry,) = stored["images"]
        known = isinstance(stored["settings"], dict) and all(
            isinstance(p["files"], dict) for p in entry["people"]
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return stored if known else None


def _same_settings(
    stored: dict[str, Any] | None, predictor: Predictor, settings: dict[str, Any] | None
) -> bool:
    own = json.loads(json.dumps(_provenance(predictor) | {"settings": settings}))
    for one in (stored, own):
        if one and isinstance(one.get("checkpoint"), dict):
            one["checkpoint"] = one["checkpoint"].get("sha256")  # wherever it lay
    return stored is not None and all(stored.get(key) == value for key, value in own.items())


def _files_of(target: Path, first: int) -> set[Path]:
    """Files of an image by their names: of people from the `first` on, and of all of them where that is 0."""
    found = set() if first else {_beside(target, "_overlay.png"), _beside(target, ".json")}
    index = 0
    while people := {path for end in FILES if (path := _beside(target, f"_{index}.{end}")).is_file()}:
        found |= people if index >= first else set()
        index += 1
    return found


def _beside(target: Path, end: str) -> Path:
    return target.with_name(target.name + end)
