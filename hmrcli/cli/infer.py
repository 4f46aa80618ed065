"""`hmr infer`: images into overlays, meshes and numbers."""

import difflib
import hashlib
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrcli.cli import options
from hmrcli.cli.console import bar, complain, in_words, note, print_json, print_line
from hmrcli.environment import chosen_device
from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError
from hmrcli.files import did_you_mean, writable_folder

if TYPE_CHECKING:
    from hmrcli.inference.images import Picture
    from hmrcli.inference.predictor import Predictor
    from hmrcli.recipe import Recipe

BATCH, BATCH_BYTES = 8, 100_000_000
"""Images whose people go through a trained network together, at most, and their bytes: seconds of work."""

SAVES = ("overlay", "mesh", "json", "npz")


class MeshFormat(StrEnum):
    """Kinds of mesh file."""

    glb = "glb"
    obj = "obj"
    ply = "ply"


def infer(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Images, folders of images, or quoted patterns.")
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
    focal: Annotated[
        str | None,
        typer.Option(
            metavar="PIXELS|35mm=MM",
            help="Focal length. By default what EXIF says, else the length of the image's diagonal.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip images whose files are there, of the same settings.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Read the images of folders below folders, too.")
    ] = False,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Recover the people of photos as posed 3D bodies.

    Needs no licensed file: small bundled networks find landmarks, and the open body is fitted to them. With a recipe
    and a checkpoint, a trained network regresses the bodies instead.
    """
    saves = _saves(save)
    if resume and "json" not in saves:
        raise UsageError("--resume: what is done is told by the JSON files, so --save needs json")
    boxes = [_box(text) for text in bbox] if bbox else None
    given_focal = _focal(focal)
    if bbox_scale is not None and not 0.1 <= bbox_scale <= 10:
        raise UsageError(f"--bbox-scale: {bbox_scale:g} is not between 0.1 and 10")
    recipe, checkpoint = options.of_run(recipe, checkpoint)
    if (recipe is None) != (checkpoint is None):
        raise UsageError(
            "a network needs both --recipe and --checkpoint; without them the bundled default runs"
        )
    resolved, body = _recipe_and_body(recipe, body_model, data_root)
    from hmrcli.inference.images import expand_inputs, read_picture, targets

    paths: dict[Path, Path] = {}
    failures: list[HmrError] = []

    def skip(name: str | Path, error: Exception) -> None:
        known = in_words(error)
        if len(inputs) == 1 and len(paths) < 2:
            raise known from error
        if str(name) not in str(known):
            known = type(known)(f"{name}: {known}")
        complain("skipped:", known)
        failures.append(known)

    for text in inputs:
        try:
            for path in expand_inputs([text], recursive, note, out):
                paths.setdefault(path.resolve(), path)
        except BadInput as error:
            skip(text, error)
    if boxes and len(paths) > 1:
        raise UsageError(f"--bbox speaks of one image, the inputs are {len(paths)}: run it image by image")
    writable_folder(out)
    if device is not None:
        chosen_device(device)

    entries: dict[Path, dict[str, Any]] = {}
    batch: list[tuple[Path, Path, Picture, dict[str, Any]]] = []

    def finish(predictor: "Predictor") -> None:
        from hmrcli.inference.save import save_image

        try:
            recovered = predictor.many(
                [picture.pixels for _, _, picture, _ in batch],
                None if boxes is None else [boxes],
                max_people,
                [settings["focal_length"] for *_, settings in batch],
            )
        except UsageError:  # of a box that does not fit the image
            raise
        except Exception as error:
            for path, *_ in batch:
                skip(path, error)
            recovered = []
        for (path, target, picture, settings), people in zip(batch, recovered):
            try:
                entry = save_image(
                    path, picture.pixels, people, predictor, target, saves, mesh_format,
                    focal_source=settings["focal_source"], settings=settings,
                )  # fmt: skip
            except Exception as error:
                skip(path, error)
                continue
            entries[path] = entry
            if not as_json:
                _say(entry, target if "json" in saves else None)
        batch.clear()

    predictor: Predictor | None = None
    skipped = 0
    try:
        with bar("images", shown=len(paths) > 1) as progress:
            for path, target in zip(paths.values(), targets(paths.values(), out)):
                progress(len(entries) + len(failures), len(paths))
                try:
                    picture = read_picture(path)
                    settings = _settings(path, picture, given_focal, boxes, bbox_scale, max_people)
                except UsageError:
                    raise
                except Exception as error:
                    skip(path, error)
                    continue
                for text in picture.notes:
                    note(text)
                predictor = predictor or _predictor(resolved, checkpoint, body, bbox_scale, device, data_root)
                from hmrcli.inference.save import saved_entry

                if resume and (done := saved_entry(target, predictor, settings, saves, mesh_format)):
                    entries[path] = done | {"path": str(path)}
                    skipped += 1
                    continue
                batch.append((path, target, picture, settings))
                size = sum(picture.pixels.size for _, _, picture, _ in batch)
                if resolved is None or len(batch) == BATCH or size > BATCH_BYTES:
                    finish(predictor)
            if predictor and batch:
                finish(predictor)
    except KeyboardInterrupt:
        on = "; the same command with --resume goes on" if "json" in saves else ""
        note(f"interrupted: {len(entries)} of {len(paths)} images are done{on}")
        raise typer.Exit(130) from None
    if skipped:
        note(f"{skipped} of {len(paths)} images were done before and are skipped")
    if as_json and predictor:
        from hmrcli.inference.save import document

        print_json(document([entries[path] for path in paths.values() if path in entries], predictor))
    if failures:
        worst = min(failures, key=lambda error: error.exit_code)
        total = len(entries) + len(failures)
        raise type(worst)(f"{len(failures)} of {total} inputs could not be done; they are named above")


def _recipe_and_body(
    recipe: str | None, body_model: str | None, root: Path | None
) -> tuple["Recipe | None", str]:
    """The recipe as resolved, and the body's name or file; says at once what is not there."""
    if recipe is None and body_model in (None, "open"):
        return None, "open"
    from hmrcli.assets.data_root import data_root
    from hmrcli.assets.registry import find_asset, load_registry
    from hmrcli.recipe import load_recipe

    resolved = None if recipe is None else load_recipe(recipe)
    if body_model is None:
        smpl = resolved is not None and resolved.body_model == "smpl"
        body_model = str(find_asset("SMPL_NEUTRAL.pkl", data_root(root))) if smpl else "open"
    if body_model != "open" and not Path(body_model).is_file():
        registry = load_registry()
        why = f"is not at {body_model}{did_you_mean(body_model)}"
        raise MissingFile(
            f"--body-model: {registry.how_to_get(registry.by_name['SMPL_NEUTRAL.pkl'], why)} "
            "(--body-model open needs no licence)"
        )
    return resolved, body_model


def _settings(
    path: Path,
    picture: "Picture",
    focal: tuple[str, float] | None,
    boxes: list[tuple[float, float, float, float]] | None,
    bbox_scale: float | None,
    max_people: int | None,
) -> dict[str, Any]:
    """What the result of one image depends on, beside the predictor: the image's hash, its focal length, options."""
    from hmrcli.inference.images import focal_of_film

    height, width = picture.pixels.shape[:2]
    length, source = picture.focal_length, "diagonal" if picture.focal_length is None else "exif"
    if focal is not None:
        unit, value = focal
        length, source = value if unit == "px" else focal_of_film(value, width, height), "given"
        if not 0.1 < length / math.hypot(width, height) < 100:
            raise UsageError(
                f"--focal: {length:.0f} pixels cannot be of an image of {width}x{height}, {path}"
            )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "image_sha256": sha256,
        "focal_length": length,
        "focal_source": source,
        "boxes": boxes,
        "bbox_scale": bbox_scale,
        "max_people": max_people,
    }


def _predictor(
    recipe: "Recipe | None",
    checkpoint: Path | None,
    body_model: str,
    bbox_scale: float | None,
    device: str | None,
    root: Path | None,
) -> "Predictor":
    from hmrcli.assets.data_root import data_root
    from hmrcli.body import load_body
    from hmrcli.inference.predictor import BBOX_SCALE, Predictor

    body = load_body(body_model, assets_dir=data_root(root) / "body_models")
    return Predictor(recipe, checkpoint, body=body, device=device, bbox_scale=bbox_scale or BBOX_SCALE)


def _say(entry: dict[str, Any], target: Path | None) -> None:
    people = entry["people"]
    found = "nobody found" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    lines = [f"{entry['path']}: {found}"]
    files: dict[str, list[str]] = {}
    for person in people:
        for kind, path in person["files"].items():
            files.setdefault(kind, [])
            if path not in files[kind]:
                files[kind].append(path)
    if target:
        files["json"] = [f"{target}.json"]
    lines += [f"  {kind:8}{'  '.join(names)}" for kind, names in files.items()]
    print_line("\n".join(lines))


def _saves(text: str) -> set[str]:
    saves = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := sorted(saves - set(SAVES)):
        near = difflib.get_close_matches(unknown[0], SAVES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"--save: '{unknown[0]}' is not one of {', '.join(SAVES)}{hint}")
    if not saves:
        raise UsageError(f"--save: names nothing to write, expected some of {', '.join(SAVES)}")
    return saves


def _focal(text: str | None) -> tuple[str, float] | None:
    """The unit and value of --focal: `px`, or `mm` on 35 mm film."""
    if text is None:
        return None
    unit = "mm" if text.startswith("35mm=") else "px"
    try:
        value = float(text.removeprefix("35mm=").removesuffix(unit))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"--focal: '{text}' is no length, expected pixels (1500) or 35mm=MM (35mm=28)")
    return unit, value


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        x = y = width = height = math.nan
    if not all(map(math.isfinite, (x, y, width, height))):
        raise UsageError(f"--bbox: '{text}' is not four numbers x,y,w,h in pixels")
    if width <= 0 or height <= 0:
        raise UsageError(f"--bbox: '{text}' needs a width and a height above 0")
    return x, y, width, height
