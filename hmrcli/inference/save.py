"""What `hmr infer` leaves behind: an overlay, meshes, arrays and a JSON document for each image."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.body.joints import SMPL_24_NAMES
from hmrcli.files import whole_file
from hmrcli.inference.person import Person, camera_pitch
from hmrcli.inference.predictor import Predictor
from hmrcli.render.mesh_files import write_mesh
from hmrcli.render.overlay import PALETTE, overlay


def document(images: Sequence[dict[str, Any]], predictor: Predictor) -> dict[str, Any]:
    """The contract's JSON document for some images; recipe and checkpoint are null for the bundled default."""
    body, checkpoint = predictor.body, predictor.checkpoint
    return {
        "images": list(images),
        "joint_names": list(SMPL_24_NAMES),
        "recipe": None if predictor.recipe is None else predictor.recipe.name,
        "checkpoint": None
        if checkpoint is None
        else {"path": str(checkpoint), "sha256": _sha256(checkpoint)},
        "body_model": {"name": body.name, "vertices": body.num_vertices, "sha256": body.sha256},
        "version": __version__,
    }


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_image(
    path: Path,
    image: NDArray[np.uint8],
    people: Sequence[Person],
    predictor: Predictor,
    target: Path,
    saves: Collection[str],
    mesh_format: str = "glb",
) -> dict[str, Any]:
    """Writes the files of one image and gives its entry of the JSON document.

    Args:
        path: of the image, as the user named it.
        image: (H, W, 3) RGB.
        people: what was found in it.
        predictor: that found them.
        target: folder and stem of the files: `target_overlay.png`, `target_0.glb`, `target_0.npz`, `target.json`.
        saves: of `overlay`, `mesh`, `npz`, `json`.
        mesh_format: suffix of mesh files.

    Returns:
        the entry; `files` and `vertices` name what was written.
    """
    faces = predictor.body.faces.cpu().numpy()
    placed = [person.vertices + person.transl for person in people]
    files: list[dict[str, str]] = [{} for _ in people]
    if people and "overlay" in saves:
        overlay_path = target.with_name(f"{target.name}_overlay.png")
        centre = people[0].principal_point
        drawn = overlay(
            image,
            placed,
            faces,
            people[0].focal_length,
            (float(centre[0]), float(centre[1])),
            pitch=camera_pitch(people),
        )
        with whole_file(overlay_path) as temporary:
            written, content = cv2.imencode(".png", drawn[..., ::-1])
            assert written, "OpenCV could not encode the overlay"
            temporary.write_bytes(content.tobytes())
        for named in files:
            named["overlay"] = str(overlay_path)
    for index, (person, vertices, named) in enumerate(zip(people, placed, files)):
        name = f"{target.name}_{index}"
        if "mesh" in saves:
            mesh_path = target.with_name(f"{name}.{mesh_format}")
            write_mesh(mesh_path, vertices, faces, names=[name], colours=PALETTE[index % len(PALETTE)])
            named["mesh"] = str(mesh_path)
        if "npz" in saves:
            npz_path = target.with_name(f"{name}.npz")
            with whole_file(npz_path) as temporary:
                arrays: dict[str, Any] = person.arrays() | {"faces": faces}
                np.savez_compressed(temporary, **arrays)
            named["npz"] = str(npz_path)
    entry = {
        "path": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "people": [
            person.as_json() | {"vertices": named.get("npz"), "files": named}
            for person, named in zip(people, files)
        ],
    }
    if "json" in saves:
        with whole_file(target.with_name(f"{target.name}.json")) as temporary:
            temporary.write_text(json.dumps(document([entry], predictor), allow_nan=False) + "\n")
    return entry


def targets(paths: Iterable[Path], out: Path) -> Iterator[Path]:
    """Folder and stem of each image's files; images of one name get a number, so that none replaces another's."""
    used: set[str] = set()
    for path in paths:
        stem, number = path.stem, 2
        while stem in used:
            stem, number = f"{path.stem}-{number}", number + 1
        used.add(stem)
        yield out / stem
