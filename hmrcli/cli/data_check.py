"""`hmr data check`: whether annotation files and their images are right."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from hmrcli.assets.data_root import ANNOTATIONS, BODY_MODELS, FITS, IMAGES
from hmrcli.assets.data_root import data_root as find_data_root
from hmrcli.cli.console import bar, note, print_json, print_line
from hmrcli.cli.options import AsJson, DataRoot
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.files import writable_folder

if TYPE_CHECKING:
    from hmrcli.body import BodyModel
    from hmrcli.data.check_sets import Report
    from hmrcli.recipe import Recipe


class _Target(NamedTuple):
    path: Path
    images: Path | None
    """Their folder; None for files of poses alone."""
    rows: int | None = None
    """That the published file has."""
    fits: Path | None = None
    """SPIN's, a row for each."""


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE...", help="Sets as `hmr data list` names them, or annotation files."
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="All files that this recipe uses.")] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Decode every image, instead of looking whether it is there.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Folder of the images of a FILE of your own.")] = None,
    sheets: Annotated[
        Path | None, typer.Option(help="Folder of the pictures of samples; else checks/ below the data root.")
    ] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Check annotation files and images, and draw samples to look at.

    Looks at units, axes and sides; 16 samples are drawn with their labels.

    Takes HumanData and SPIN files, also your own. Exits with 4 where something is wrong, and names row and field.
    """
    from hmrcli.data.raw.sets import mark_checked
    from hmrcli.recipe import load_recipe

    if bool(names) == bool(recipe):
        raise UsageError("say what to check: sets, annotation files, or --recipe R")
    root = find_data_root(data_root)
    targets = list(_of_recipe(load_recipe(recipe), root)) if recipe else []
    for name in names or ():
        targets += _named(name, root, folder)
    lacking = [target.path.name for target in targets if not target.path.is_file()]
    if recipe and lacking:
        raise MissingFile(
            f"{len(lacking)} of {len(targets)} annotation files of {recipe} are missing: {', '.join(lacking)}; "
            f"how to get each: hmr data list --recipe {recipe}"
        )
    sheets = writable_folder(sheets or root / "checks", "--sheets")
    from hmrcli.body import load_body  # brings torch

    load, reports = cache(load_body), []  # a body is that of many files
    for target in targets:
        report = _look_through(target, root, load, images, sheets)
        _compare_fits(target, report)
        reports.append(report)
        if not as_json:
            _print(report)
        if not report.problems and target.path.parent == root / ANNOTATIONS:
            mark_checked(target.path)
    if as_json:
        print_json({"data_root": str(root), "files": [report.as_dict() for report in reports]})
    wrong = [report for report in reports if report.problems]
    if wrong:
        count = sum(len(report.problems) for report in wrong)
        raise BadInput(
            f"{wrong[0].file}: {wrong[0].problems[0]} ({count} findings in {len(wrong)} files in all)"
        )


def _named(name: str, root: Path, folder: Path | None) -> list[_Target]:
    """Finds the files that a name stands for: a file, one below `preprocessed_datasets/`, or those made of a set.

    Raises:
        MissingFile: there are none.
        UsageError: it is neither a set nor a file.
    """
    from hmrcli.data.raw.sets import RAW_SETS, find_set

    paths = [Path(name), *(root / ANNOTATIONS / f"{name}{suffix}" for suffix in ("", ".npz"))]
    path = next((path for path in paths if path.is_file()), None)
    if path is not None:
        return [_file(path, root, folder)]
    if name not in [each.name for each in RAW_SETS] and (Path(name).suffix or "/" in name):
        raise MissingFile(f"{name}: no such file, also not below {root / ANNOTATIONS}; see hmr data list")
    made = [root / ANNOTATIONS / product.file for product in find_set(name).products]
    if found := [_file(path, root, folder) for path in made if path.is_file()]:
        return found
    raise MissingFile(f"{made[0]} is not there; run: hmr data make {name}")


def _file(path: Path, root: Path, folder: Path | None, dataset: str | None = None) -> _Target:
    from hmrcli.data.annotation_npz import AnnotationNpz
    from hmrcli.data.raw.sets import maker_of

    maker = maker_of(path.name)
    rows = next((each.rows for each in maker.products if each.file == path.name), None) if maker else None
    if maker is not None and not maker.has_images:
        return _Target(path, None, rows)
    dataset = dataset or (maker.images_of(path.name) if maker else None)
    if dataset is None and folder is None and path.suffix == ".npz":
        with AnnotationNpz(path) as stored:
            dataset = str(stored.scalar("config", "")) if "config" in stored else None
    below = root / IMAGES / dataset if dataset else path.parent
    return _Target(path, folder or (below if below.is_dir() or maker else path.parent), rows)


def _of_recipe(recipe: "Recipe", root: Path) -> Iterator[_Target]:
    from hmrcli.assets.open_sets import OPEN_SETS
    from hmrcli.data.needed import locate

    sets = [(name, each.annotations, each.fits) for name, each in recipe.data.mixture.items()]
    sets.append((recipe.evaluation.dataset, recipe.evaluation.annotations, None))
    for name, file, fits in sets:
        path = locate(ANNOTATIONS, file, root)
        if path.stem in OPEN_SETS and not path.is_file():
            note(f"{file} is rendered while training; there is nothing to check")
            continue
        target = _file(path, root, None, name)
        yield target._replace(fits=locate(FITS, fits, root)) if fits else target
    if recipe.adversary is not None and Path(recipe.adversary.annotations).stem not in OPEN_SETS:
        yield _Target(locate(ANNOTATIONS, recipe.adversary.annotations, root), None)


def _look_through(
    target: _Target, root: Path, load: Callable[..., "BodyModel"], decode: bool, sheets: Path
) -> "Report":
    from hmrcli.data.check_sets import check_file

    if target.images is None:
        return _poses(target)
    with bar(target.path.name) as update:
        return check_file(
            target.path,
            target.images,
            _bodies(target.path, root, load),
            published_rows=target.rows,
            decode=decode,
            workers=os.cpu_count() or 1,
            sheet=sheets / f"{target.path.stem}.png",
            progress=lambda what, done, total: update(done, total),
        )


def _poses(target: _Target) -> "Report":
    from hmrcli.data.body_parameters import read_poses
    from hmrcli.data.check_sets import Problem, Report

    report = Report(str(target.path), "", published_rows=target.rows)
    try:
        pose, betas = read_poses(target.path)
    except BadInput as error:
        report.problems.append(Problem("smpl", None, str(error).removeprefix(f"{target.path}: ")))
        return report
    report.rows = len(pose)
    report.labelled = {"bodies": len(pose)}
    for field, values, most in (("smpl.body_pose", pose, 12.6), ("smpl.betas", betas, 100.0)):
        if (wrong := abs(values).max(1, initial=0) > most).any():
            text = f"{wrong.sum():,} rows have numbers above {most:g}: expected radians, and SMPL's shape numbers"
            report.problems.append(Problem(field, int(wrong.argmax()), text))
    return report


def _compare_fits(target: _Target, report: "Report") -> None:
    from hmrcli.data.body_parameters import read_fits
    from hmrcli.data.check_sets import Problem

    if target.fits is None:
        return
    try:
        count = len(read_fits(target.fits)[0])
        if count == report.rows:
            return
        text = f"{target.fits} has {count:,} rows, expected {report.rows:,}, one for each row"
    except (BadInput, MissingFile) as error:
        text = f"fits: {error}"
    report.problems.append(Problem("", None, text))


def _bodies(path: Path, root: Path, load: Callable[..., "BodyModel"]) -> dict[str, "BodyModel"]:
    """Loads SMPL by gender as far as it is at hand, else the open body, which is also that of the open sets."""
    from hmrcli.assets.open_sets import OPEN_SETS
    from hmrcli.assets.registry import load_registry

    registry, bodies = load_registry(), {}
    if path.stem not in OPEN_SETS:
        for gender, name in (("n", "NEUTRAL"), ("m", "MALE"), ("f", "FEMALE")):
            found = registry.by_name[f"SMPL_{name}.pkl"].present(root)
            if found is not None:
                bodies[gender] = load(found, assets_dir=root / BODY_MODELS)
    return bodies if "n" in bodies else {"n": load("open")}


def _print(report: "Report") -> None:
    published = "" if report.published_rows is None else f" (published {report.published_rows:,})"
    labelled = ", ".join(f"{count:,} with {kind}" for kind, count in report.labelled.items())
    print_line(f"{report.file}  {report.rows:,} rows{published}, {labelled}")
    if report.pictures:
        decoded = "" if report.decoded is None else f", {report.decoded:,} decoded"
        there = report.pictures - report.missing
        print_line(f"  images: {there:,} of {report.pictures:,} are there{decoded}, below {report.images}")
    if (found := report.projection) is not None:
        camera = "the file's camera" if found.camera == "file" else "a camera fitted to each row"
        print_line(
            f"  {found.body} body by {camera}, against {found.target}: median {found.median_pixels:.1f} pixels, "
            f"{found.median_share:.3f} of the box; worst {found.worst_share:.2f} of the box, row {found.worst_row}"
        )
    for text in report.notes:
        print_line(f"  note: {text}")
    for problem in report.problems:
        print_line(f"  wrong: {problem}")
    if report.sheet:
        print_line(f"  samples to look at: {report.sheet}")
    if not report.problems:
        print_line("  nothing wrong was found")
