"""Files that `hmr infer` leaves behind: an overlay, meshes, arrays and a JSON document for each image."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hmrcli import __version__
from hmrcli.body.about import about
from hmrcli.body.joints import SMPL_24
from hmrcli.body.texture import cut_mesh
from hmrcli.errors import UsageError
from hmrcli.export import KINDS, write_exports
from hmrcli.export.bvh import BvhNames
from hmrcli.export.skeleton import JOINT_NAMES
from hmrcli.export.write import COCO_END, KEYPOINTS_END, PERSON_KINDS, beside, person_end
from hmrcli.files import alone_in, sha256, whole_file, write_whole
from hmrcli.inference.floor import floor_of
from hmrcli.inference.person import People, png
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.task import Task
from hmrcli.render.mesh_files import FORMATS
from hmrcli.render.overlay import PALETTE
from hmrcli.render.scene_file import write_scene

_sha256 = cache(sha256)
_SCENE = "_scene.glb"


def document(images: Sequence[dict[str, Any]], predictor: Predictor) -> dict[str, Any]:
    """Makes the contract's JSON document."""
    return {"images": list(images)} | made_by(predictor)


def made_by(predictor: Predictor) -> dict[str, Any]:
    """Says in a document by what it was made; recipe and checkpoint are null for the bundled default."""
    body, checkpoint = predictor.body, predictor.checkpoint
    return {
        "joint_names": list(SMPL_24.names),
        "recipe": predictor.recipe and predictor.recipe.name,
        "checkpoint": checkpoint and {"path": str(checkpoint), "sha256": _sha256(checkpoint)},
        "body_model": {
            "name": body.name,
            "vertices": body.num_vertices,
            "sha256": body.sha256,
            "betas": about(body)["betas"],
        },
        "version": __version__,
    }


def write_document(target: Path, content: dict[str, Any]) -> None:
    """Writes a JSON document beside an image's or a clip's other files."""
    write_whole(beside(target, ".json"), json.dumps(content, allow_nan=False) + "\n")


def save_image(
    job: Task,
    people: People,
    predictor: Predictor,
    saves: Collection[str],
    mesh_format: str = "glb",
    bvh_names: BvhNames = "smpl",
) -> dict[str, Any]:
    """Writes the files of one image and gives its entry of the JSON document.

    Other files of the same image, which an earlier run left, are removed, unless its document has the same
    settings. Each file is whole or absent, the document comes last, and of several processes that write to
    one folder each writes an image alone.

    Returns:
        the entry; `files` and `vertices` name what was written.

    Raises:
        UsageError: files of poses are asked for, which the network does not give.
        OSError: a file cannot be written.
    """
    posed = [kind for kind in KINDS if kind in saves and kind != "mesh"]
    if posed and any(person.rotmat is None for person in people):
        raise UsageError(
            f"--save: {', '.join(posed)} need poses, and this network gives meshes alone; take mesh, npz and json"
        )
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(job.target.parent):
        stored = _stored(job.target)
        same = _same_settings(stored, job, predictor)
        files = _write(job.target, people, saves, mesh_format)
        exported = _export(job, people, posed, bvh_names, files)
        height, width = job.picture.pixels.shape[:2]
        entries = [
            person.as_json() | {"vertices": named.get("npz"), "files": named}
            for person, named in zip(people, files)
        ]
        entry = {"path": str(job.path), "width": width, "height": height, "people": entries}
        if "json" in saves:
            write_document(job.target, document([entry], predictor) | {"settings": job.settings})
        new = {*exported, *(Path(name) for named in files for name in named.values())}
        first = len(people) if same else 0
        for earlier in _files_of(job.target, first) - new:
            if earlier.suffix != ".json" or ("json" not in saves and _stored(job.target)):
                earlier.unlink(missing_ok=True)
        for earlier in set() if first else _keypoint_files_of(job.target, stored) - new:
            earlier.unlink(missing_ok=True)
    return entry


def _write(target: Path, people: People, saves: Collection[str], mesh_format: str) -> list[dict[str, str]]:
    """Writes overlay, meshes and arrays; gives the files of each person by kind."""
    of_all: dict[str, str] = {}
    if people and "overlay" in saves:
        with whole_file(path := beside(target, "_overlay.png")) as temporary:
            temporary.write_bytes(png(people.drawn()))
        of_all["overlay"] = str(path)
    if people and "mesh" in saves and mesh_format == "glb":
        body, placed = people[0].body, [person.placed for person in people]
        scene, camera = beside(target, _SCENE), people[0].camera
        write_scene(scene, placed, cut_mesh(body), camera, floor_of(people), about(body))
        of_all["scene"] = str(scene)
    files = [dict(of_all) for _ in people]
    for index, (person, named) in enumerate(zip(people, files)):
        if "mesh" in saves:
            path = beside(target, f"_{index}.{mesh_format}")
            named["mesh"] = str(person.save(path, PALETTE[index % len(PALETTE)]))
        if "npz" in saves:
            faces, told = person.body.faces.cpu().numpy(), np.array(json.dumps(about(person.body)))
            arrays: dict[str, Any] = person.arrays() | {"faces": faces, "about": told}
            with whole_file(path := beside(target, f"_{index}.npz")) as temporary:
                np.savez_compressed(temporary, **arrays)
            named["npz"] = str(path)
    return files


def _export(
    job: Task, people: People, kinds: Collection[str], bvh_names: BvhNames, files: list[dict[str, str]]
) -> list[Path]:
    """Writes what other tools read, and adds it to the files of each person; gives the paths.

    Keypoints are written for a photo of nobody, too: tools that read a folder expect a file for each picture.
    """
    if not kinds:
        return []
    motions = [person.motion(index) for index, person in enumerate(people)]
    written = write_exports(motions, job.target, kinds, bvh_names=bvh_names)
    for kind, paths in written.items():
        for named, path in zip(files, paths if kind in PERSON_KINDS else paths * len(files)):
            named[kind] = str(path)
    return [path for paths in written.values() for path in paths]


def saved_entry(
    job: Task, predictor: Predictor, saves: Collection[str], mesh_format: str, bvh_names: str = "smpl"
) -> dict[str, Any] | None:
    """Returns the entry of an image whose files are all there, of the same settings; None where there is work."""
    stored = _stored(job.target)
    if stored is None or not _same_settings(stored, job, predictor):
        return None
    entry: dict[str, Any] = stored["images"][0]
    ends = {"overlay": "_overlay.png", "openpose": KEYPOINTS_END, "coco": COCO_END, "scene": _SCENE}
    wanted = set(saves) | ({"scene"} if "mesh" in saves and mesh_format == "glb" else set())
    for index, person in enumerate(entry["people"]):
        own = {"mesh": f".{mesh_format}", "npz": ".npz"}
        own |= {kind: person_end(kind, bvh_names) for kind in ("amass", "bvh")}
        ends |= {kind: f"_{index}{end}" for kind, end in own.items()}
        for kind in ends.keys() & wanted:
            name = Path(person["files"].get(kind, ""))
            if name.name != job.target.name + ends[kind] or not name.is_file():
                return None
    return entry | {"path": str(job.path)}


def _stored(target: Path) -> dict[str, Any] | None:
    """Reads the document of an earlier run; None where there is none, or one of another program."""
    try:
        stored: dict[str, Any] = json.loads(beside(target, ".json").read_text(encoding="utf-8"))
        (entry,) = stored["images"]
        mine = isinstance(stored["settings"], dict)
        return stored if mine and all(isinstance(p["files"], dict) for p in entry["people"]) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _same_settings(stored: dict[str, Any] | None, job: Task, predictor: Predictor) -> bool:
    """Tells whether a document has the settings of a job; the checkpoint may lie elsewhere."""

    def compared(one: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in one.items() if name != "images"}
        return rest | {"checkpoint": rest.get("checkpoint") and rest["checkpoint"].get("sha256")}

    own = json.loads(json.dumps(made_by(predictor) | {"settings": job.settings}))
    return stored is not None and compared(stored) == compared(own)


def _files_of(target: Path, first: int) -> set[Path]:
    """Finds files of an image by their names: of people from the `first` on, and of all of them where that is 0."""
    found = set() if first else {beside(target, end) for end in ("_overlay.png", _SCENE, ".json")}
    ends = [f".{suffix}" for suffix in (*FORMATS, "npz")]
    ends += [person_end("amass"), *(person_end("bvh", names) for names in JOINT_NAMES)]
    index = 0
    while people := {path for end in ends if (path := beside(target, f"_{index}{end}")).is_file()}:
        found |= people if index >= first else set()
        index += 1
    return found


def _keypoint_files_of(target: Path, stored: dict[str, Any] | None) -> set[Path]:
    """Finds files of keypoints that an image's document names; others of such names may be another program's."""
    named = {name for one in stored["images"][0]["people"] for name in one["files"]} if stored else set()
    ends = {"openpose": KEYPOINTS_END, "coco": COCO_END}
    return {beside(target, end) for kind, end in ends.items() if kind in named}
