"""`hmr infer`: images and clips into overlays, meshes, motions and numbers."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrcli.cli import options
from hmrcli.cli.clips import ClipInput, ClipWork, clip_inputs, recover_camera, recover_clip
from hmrcli.cli.console import Failures, note, print_json
from hmrcli.cli.infer_options import SAVES, BvhNames, MeshFormat, Smooth, asked_of
from hmrcli.cli.photos import recover_photos
from hmrcli.environment import chosen_device, frugal_memory
from hmrcli.errors import HmrError, MissingFile, UsageError
from hmrcli.files import did_you_mean, near, writable_folder

if TYPE_CHECKING:
    from hmrcli.inference.predictor import Predictor
    from hmrcli.inference.task import Asked
    from hmrcli.inference.video import Clip
    from hmrcli.recipe import Recipe


def infer(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Images, folders of images, videos, or quoted patterns."),
    ] = None,
    camera: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Record the camera of this number until Ctrl-C.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Takes the images of each input as a clip of so many a second.")
    ] = None,
    smooth: Annotated[
        Smooth, typer.Option(help="How much of a clip's motion is taken for noise.")
    ] = Smooth.light,
    world: Annotated[
        bool, typer.Option("--world", help="Stand a still camera's clip on a floor: its mesh, bvh and amass.")
    ] = False,
    recipe: options.Recipe = None,
    open: options.Open = False,
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
            metavar="X,Y,W,H",
            help="Box of a person in pixels, of a clip in its first frame; repeat it for more. Skips detection.",
        ),
    ] = None,
    bbox_scale: Annotated[
        float | None,
        typer.Option(help="A network's crop, as a multiple of the box's longer side. By default 1.25."),
    ] = None,
    save: Annotated[str, typer.Option(help=f"What to write, of {','.join(SAVES)}.")] = "overlay,mesh,json",
    mesh_format: Annotated[MeshFormat, typer.Option(help="Kind of mesh file.")] = MeshFormat.glb,
    bvh_names: Annotated[
        BvhNames, typer.Option(help="Joint names in BVH files: SMPL's, or those of Mixamo's rigs.")
    ] = BvhNames.smpl,
    pose_correctives: Annotated[
        bool,
        typer.Option(
            "--pose-correctives", help="Put SMPL's pose correctives into a clip's glb: exact, larger."
        ),
    ] = False,
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
    calib: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:NAME]",
            help="The camera's calibration, with distortion: OpenCV's yml, xml or json, COLMAP's cameras.txt, or toml "
            "of Pose2Sim or anipose.",
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
    """Recover the people of photos and clips as posed 3D bodies.

    Needs no licensed file: small bundled networks find landmarks, and the open body is fitted to them. With a recipe
    and a checkpoint, a trained network regresses the bodies instead. Each image's files are written when it is done:
    Ctrl-C keeps them, and the same command with --resume goes on. In clips people are followed, each has one shape, and
    their motion is smooth.
    """
    frugal_memory()
    inputs = inputs or []
    if (camera is None) == (not inputs):
        raise UsageError("expected images, folders, videos or patterns, or else --camera N")
    asked = asked_of(save, mesh_format, bvh_names, bbox, bbox_scale, max_people, focal, calib, resume)
    recipe, checkpoint = options.of_run(recipe, checkpoint)
    asked = asked._replace(correctives=pose_correctives, network=checkpoint is not None)
    if (recipe is None) != (checkpoint is None):
        raise UsageError(
            "a network needs both --recipe and --checkpoint; without them the bundled default runs"
        )
    resolved, body = _recipe_and_body(recipe, open, body_model, data_root)
    from hmrcli.inference.inputs import expand_inputs

    failures = Failures()
    refused = failures if len(inputs) > 1 else None
    everything = expand_inputs(inputs, recursive, note, out, refused)
    clips, paths = clip_inputs(
        inputs, everything, fps, lambda text: expand_inputs([text], recursive, leave_out=out, refused=refused)
    )
    count = len(paths) + len(clips)
    if clips or camera is not None:
        _suits_clips(asked, camera is not None, as_json and bool(paths))
    elif world:
        raise UsageError("--world: speaks of clips; a photo has its floor in NAME_scene.glb")
    if bbox and count > 1:
        raise UsageError(f"--bbox speaks of one image or clip, the inputs are {count}: run them one by one")
    writable_folder(out)
    if device is not None:
        chosen_device(device)

    predictor = cache(lambda: _predictor(resolved, checkpoint, body, bbox_scale, device, data_root))
    work = ClipWork(predictor, asked, smooth.value, world, as_json)
    if camera is not None:
        return recover_camera(camera, out, work)
    failures.raises = len(inputs) == count == 1
    opened = _opened(
        clips, paths, out, failures
    )  # what is wrong with one is known before the long work on another
    done = recover_photos(paths, out, predictor, asked, failures, quiet=as_json)
    for one, clip, target in opened:
        try:
            recover_clip(one, clip, target, work)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            failures(one.name, error)
    if as_json and done:
        from hmrcli.inference.save import document

        done.sort(key=lambda result: paths.index(result.path))  # skipped ones came first
        print_json(document([result.entry for result in done], predictor()))
    if failures.errors:
        worst = min(failures.errors, key=lambda error: error.exit_code)
        total = len(done) + len(failures.errors)
        raise type(worst)(f"{len(failures.errors)} of {total} inputs could not be done; they are named above")


def _suits_clips(asked: "Asked", live: bool, mixed: bool) -> None:
    """Says what cannot be asked of clips."""
    if "mesh" in asked.saves and asked.mesh_format != "glb":
        raise UsageError(f"--mesh-format: {asked.mesh_format} holds no motion; clips' meshes are glb")
    if asked.boxes and live:
        raise UsageError(
            "--bbox: speaks of an image, or a clip's first frame; people before a camera are found"
        )
    if mixed:
        raise UsageError(
            "--json: images give one document and clips a line for each frame: name them in commands of their own"
        )


def _opened(
    clips: Sequence[ClipInput], paths: Sequence[Path], out: Path, failures: Failures
) -> list[tuple[ClipInput, "Clip", Path]]:
    """Opens clips, less those that cannot be; their files have names that the images leave."""
    from hmrcli.inference.inputs import output_stems

    opened = []
    stems = list(output_stems([*paths, *(Path(one.stem) for one in clips)], out))[len(paths) :]
    for one, target in zip(clips, stems):
        try:
            opened.append((one, one.opened(), target))
        except HmrError as error:
            failures(one.name, error)
    return opened


def _recipe_and_body(
    recipe: str | None, open: bool, body_model: str | None, root: Path | None
) -> tuple["Recipe | None", str]:
    """Resolves the recipe, and the body's name or file; says at once what is not there."""
    if recipe is None and body_model in (None, "open"):
        return None, "open"
    from hmrcli.assets.data_root import data_root
    from hmrcli.assets.registry import find_asset, load_registry
    from hmrcli.recipe import load_recipe

    resolved = None if recipe is None else load_recipe(recipe, open=open)
    if body_model is None:
        smpl = resolved is not None and resolved.body_model == "smpl"
        body_model = str(find_asset("SMPL_NEUTRAL.pkl", data_root(root))) if smpl else "open"
    if body_model != "open" and not Path(body_model).is_file():
        registry = load_registry()
        how = registry.how_to_get(registry.by_name["SMPL_NEUTRAL.pkl"], f"is not at {body_model}")
        hint = (
            near(body_model, ["open"]) or did_you_mean(body_model) or "; --body-model open needs no licence"
        )
        raise MissingFile(f"--body-model: {how}{hint}")
    return resolved, body_model


def _predictor(
    recipe: "Recipe | None",
    checkpoint: Path | None,
    body_model: str,
    bbox_scale: float | None,
    device: str | None,
    root: Path | None,
) -> "Predictor":
    from hmrcli.assets.data_root import BODY_MODELS, data_root
    from hmrcli.body import load_body
    from hmrcli.inference.fit import BBOX_SCALE
    from hmrcli.inference.predictor import Predictor

    body = load_body(body_model, assets_dir=data_root(root) / BODY_MODELS)
    return Predictor(recipe, checkpoint, body=body, device=device, bbox_scale=bbox_scale or BBOX_SCALE)
