"""`hmr infer`: images into overlays, meshes and numbers."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrcli.cli.console import complain, print_json, progress
from hmrcli.errors import BadInput, UsageError

SAVES = ("overlay", "mesh", "json", "npz")


class MeshFormat(StrEnum):
    """Kinds of mesh file."""

    glb = "glb"
    obj = "obj"
    ply = "ply"


def infer(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images, folders of images, or quoted patterns.")
    ],
    body_model: Annotated[
        str, typer.Option(metavar="open|PATH", help="The body to pose: the bundled one, or an SMPL file.")
    ] = "open",
    bbox: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H", help="Box of a person in pixels; repeat it for more. Skips detection."
        ),
    ] = None,
    save: Annotated[str, typer.Option(help=f"What to write, of {','.join(SAVES)}.")] = "overlay,mesh,json",
    mesh_format: Annotated[MeshFormat, typer.Option(help="Kind of mesh file.")] = MeshFormat.glb,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if absent.")] = Path("hmr_out"),
    max_people: Annotated[
        int | None, typer.Option(min=1, help="Keep the best so many people of an image.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Recover the people of photos as posed 3D bodies.

    Needs no licensed file: small bundled networks find landmarks, and the open body is fitted to them.
    """
    saves = _saves(save)
    boxes = [_box(text) for text in bbox] if bbox else None
    from hmrcli.inference.images import expand_inputs, read_image

    failures = 0
    paths: dict[Path, None] = {}
    for text in inputs:
        try:
            paths |= dict.fromkeys(expand_inputs([text]))
        except BadInput as error:
            complain("skipped:", error)
            failures += 1
    if boxes and len(paths) > 1:
        raise UsageError(f"--bbox speaks of one image, the inputs are {len(paths)}: run it image by image")

    from hmrcli.body import load_body
    from hmrcli.inference.predictor import Predictor
    from hmrcli.inference.save import document, save_image, targets

    body = load_body(body_model)
    predictor = Predictor.from_default(body)
    entries: list[dict[str, Any]] = []
    for path, target in progress(zip(paths, targets(paths, out)), "people", len(paths)):
        try:
            image = read_image(path)
            people = predictor(image, boxes, max_people)
        except BadInput as error:
            complain("skipped:", error)
            failures += 1
            continue
        entries.append(save_image(path, image, people, body, target, saves, mesh_format))
        if not as_json:
            _say(entries[-1], target if "json" in saves else None)
    if as_json:
        print_json(document(entries, body))
    if failures:
        raise BadInput(
            f"{failures} of {len(entries) + failures} inputs could not be read; they are named above"
        )


def _say(entry: dict[str, Any], target: Path | None) -> None:
    people = entry["people"]
    found = "nobody found" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    print(f"{entry['path']}: {found}")
    files: dict[str, list[str]] = {}
    for person in people:
        for kind, path in person["files"].items():
            files.setdefault(kind, [])
            if path not in files[kind]:
                files[kind].append(path)
    if target:
        files["json"] = [f"{target}.json"]
    for kind, names in files.items():
        print(f"  {kind:8}{'  '.join(names)}")


def _saves(text: str) -> set[str]:
    saves = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := sorted(saves - set(SAVES)):
        raise UsageError(f"--save: '{unknown[0]}' is not one of {', '.join(SAVES)}")
    return saves


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bbox: '{text}' is not four numbers x,y,w,h in pixels") from None
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise UsageError(f"--bbox: '{text}' needs a width and a height above 0")
    return x, y, width, height
