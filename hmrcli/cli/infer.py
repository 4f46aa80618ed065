"""`hmr infer`: images into overlays, meshes and numbers."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrcli.cli import options
from hmrcli.cli.console import complain, print_json, progress
from hmrcli.errors import BadInput, UsageError

if TYPE_CHECKING:
    from hmrcli.inference import Predictor

BATCH_BYTES = 100_000_000
"""Images read before their people go through the network together: sixteen photos of 2 megapixels."""

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
    recipe: options.Recipe = None,
    checkpoint: options.Checkpoint = None,
    body_model: Annotated[
        str | None,
        typer.Option(
            metavar="open|PATH",
            help="The body to pose: the bundled one, or an SMPL file. By default the recipe's, else the bundled one.",
        ),
    ] = None,
    bbox: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H", help="Box of a person in pixels; repeat it for more. Skips detection."
        ),
    ] = None,
    bbox_scale: Annotated[
        float | None,
        typer.Option(help="A network's crop, as a multiple of the box's longer side. By default 1.25."),
    ] = None,
    save: Annotated[str, typer.Option(help=f"What to write, of {','.join(SAVES)}.")] = "overlay,mesh,json",
    mesh_format: Annotated[MeshFormat, typer.Option(help="Kind of mesh file.")] = MeshFormat.glb,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if absent.")] = Path("hmr_out"),
    max_people: Annotated[
        int | None, typer.Option(min=1, help="Keep the best so many people of an image.")
    ] = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Recover the people of photos as posed 3D bodies.

    Needs no licensed file: small bundled networks find landmarks, and the open body is fitted to them. With a recipe
    and a checkpoint, a trained network regresses the bodies instead.
    """
    saves = _saves(save)
    boxes = [_box(text) for text in bbox] if bbox else None
    recipe, checkpoint = options.of_run(recipe, checkpoint)
    if (recipe is None) != (checkpoint is None):
        raise UsageError(
            "a network needs both --recipe and --checkpoint; without them the bundled default runs"
        )
    if bbox_scale is not None and not 0.1 <= bbox_scale <= 10:
        raise UsageError(f"--bbox-scale: {bbox_scale:g} is not between 0.1 and 10")
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

    from hmrcli.inference.save import document, save_image, targets

    predictor = _predictor(recipe, checkpoint, body_model, bbox_scale, device, data_root)
    entries: list[dict[str, Any]] = []
    batch: list[tuple[Path, Path, Any]] = []

    def finish() -> None:
        images = [image for _, _, image in batch]
        recovered = predictor.many(images, None if boxes is None else [boxes], max_people)
        for (path, target, image), people in zip(batch, recovered):
            entries.append(save_image(path, image, people, predictor, target, saves, mesh_format))
            if not as_json:
                _say(entries[-1], target if "json" in saves else None)
        batch.clear()

    for path, target in progress(zip(paths, targets(paths, out)), "images", len(paths)):
        try:
            batch.append((path, target, read_image(path)))
        except BadInput as error:
            complain("skipped:", error)
            failures += 1
        if sum(image.size for _, _, image in batch) > BATCH_BYTES:
            finish()
    if batch:
        finish()
    if as_json:
        print_json(document(entries, predictor))
    if failures:
        raise BadInput(
            f"{failures} of {len(entries) + failures} inputs could not be read; they are named above"
        )


def _predictor(
    recipe: str | None,
    checkpoint: Path | None,
    body_model: str | None,
    bbox_scale: float | None,
    device: str | None,
    root: Path | None,
) -> "Predictor":
    from hmrcli.assets.data_root import data_root
    from hmrcli.assets.registry import find_asset
    from hmrcli.body import load_body
    from hmrcli.inference.predictor import BBOX_SCALE, Predictor
    from hmrcli.recipe import load_recipe

    folder = data_root(root)
    resolved = None if recipe is None else load_recipe(recipe)
    if body_model is None:
        smpl = resolved is not None and resolved.body_model == "smpl"
        body_model = str(find_asset("SMPL_NEUTRAL.pkl", folder)) if smpl else "open"
    body = load_body(body_model, assets_dir=folder / "body_models")
    return Predictor(resolved, checkpoint, body=body, device=device, bbox_scale=bbox_scale or BBOX_SCALE)


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
