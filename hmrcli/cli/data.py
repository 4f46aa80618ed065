"""`hmr data`: annotation files from the official downloads, and the state of all sets."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrcli.assets.data_root import FITS, IMAGES
from hmrcli.assets.data_root import data_root as find_data_root
from hmrcli.cli.console import bar, log, note, print_json, print_line
from hmrcli.cli.data_check import check
from hmrcli.cli.data_crops import crops
from hmrcli.cli.options import AsJson, DataRoot
from hmrcli.errors import MissingFile, UsageError
from hmrcli.files import did_you_mean, writable_folder

if TYPE_CHECKING:
    from hmrcli.data.raw.output import Output
    from hmrcli.data.raw.tree import RawSet

app = typer.Typer(help="Make annotation files from official downloads, and check them.", no_args_is_help=True)

app.command()(check)
app.command()(crops)


@app.command(name="list")
def list_sets(
    recipe: Annotated[str | None, typer.Option(help="Tell only of what this recipe uses.")] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Show every data set: its users, source, state and next step."""
    from hmrcli.data.raw.sets import RAW_SETS, describe, files_of, recipes_by_file
    from hmrcli.recipe import load_recipe

    root = find_data_root(data_root)
    only = files_of(load_recipe(recipe)) if recipe else []
    users = recipes_by_file()
    chosen = [s for s in RAW_SETS if not only or any(p.file in only for p in s.products)]
    documents = [describe(each, root, users, only) for each in chosen]
    if as_json:
        print_json({"data_root": str(root), "sets": documents})
    else:
        _print_sets(documents, root)


def _print_sets(documents: list[dict[str, Any]], root: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "annotation file", "state", "images", "recipes", "licence", "next"):
        table.add_column(column, overflow="fold")
    for document in documents:
        images, recipes = document["images"]["state"], str(len(document["recipes"]))
        name, of_set = document["name"], [images, recipes, document["licence"]["name"], document["next"]]
        for file in document["annotations"]:
            table.add_row(*map(Text, (name, file["file"], file["state"], *of_set)))
            name, of_set = "", [""] * 4  # once for all files of a set
    # Whoever reads from a pipe gets one whole line a file.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
    print(f"data root: {root}")


@app.command()
def make(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Sets; `hmr data list` shows them. `own`: your photos. `spin-fits`: what SPIN's fits start from.",
        ),
    ],
    raw: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the official download, packed or not; else datasets/NAME below the data root, and the one "
            "that was named the last time."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores by default.")
    ] = None,
    annotations_only: Annotated[
        bool, typer.Option("--annotations-only", help="Neither take frames from videos nor link images.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace annotation files that were not made here.")
    ] = False,
    images: Annotated[Path | None, typer.Option(help="own: folder of the photos.")] = None,
    keypoints: Annotated[
        Path | None,
        typer.Option(help="own: JSON of keypoints in COCO's layout; else the bundled networks look."),
    ] = None,
    called: Annotated[
        str, typer.Option("--name", help="own: of the annotation file and the folder of images.")
    ] = "own",
    recipe: Annotated[
        str, typer.Option(help="spin-fits: a recipe of SPIN, which names the annotations and the fits.")
    ] = "spin_l1",
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Make annotation files, and frames of videos, from a download.

    A run that was stopped goes on where it was. The same download gives the same bytes.
    """
    from hmrcli.data.raw.output import Output
    from hmrcli.data.raw.own import own_set
    from hmrcli.data.raw.sets import find_set
    from hmrcli.data.raw.tree import download_folders

    if len(names) > 1 and (alone := {"own", "spin-fits"} & set(names)):
        raise UsageError(f"{min(alone)} is made alone; name it without other sets")
    if names == ["spin-fits"]:
        _make_spin_fits(recipe, writable_folder(find_data_root(data_root), "--data-root"), replace, as_json)
        return
    if names == ["own"]:
        if images is None or not images.is_dir():
            raise UsageError("own: --images DIR is the folder of the photos")
        raw, sets = images, [own_set(called, keypoints)]
    else:
        sets = list(dict.fromkeys(find_set(name) for name in names))
    if raw is not None and len(sets) > 1:
        raise UsageError("--raw is the folder of one set; name one set")
    if raw is not None and raw.is_file():
        raise UsageError(f"--raw: {raw} is a file; name the folder in which it lies: --raw {raw.parent}")
    if raw is not None and not raw.is_dir():
        raise MissingFile(f"--raw: {raw} is no folder{did_you_mean(raw)}")
    for each in sets:
        _require_packages(each)
    root = writable_folder(find_data_root(data_root), "--data-root")
    documents = []
    for each in sets:
        out = Output(each, root, workers or os.cpu_count() or 1, not annotations_only, replace, say=note)
        _make(each, out, [raw] if raw else download_folders(out.images))
        documents.append(_report(out, as_json))
    if as_json:
        print_json({"data_root": str(root), "sets": documents})


def _make(raw_set: "RawSet", out: "Output", folders: list[Path]) -> None:
    from hmrcli.data.raw.tree import Tree, remember_download

    title = ""
    with bar(raw_set.title) as update:

        def progress(what: str, done: int, total: int) -> None:
            nonlocal title
            if what != title and not log.is_terminal:
                log.print(f"{raw_set.title}: {what}", markup=False)
            title = what
            update(done, total)

        out.progress = progress
        tree = Tree(raw_set, *folders, out.images)
        tree.unpack(out.images, progress)
        raw_set.make(tree, out)
        out.close()
    remember_download(out.images, folders[-1])


def _make_spin_fits(name: str, root: Path, replace: bool, as_json: bool) -> None:
    """Makes those fits of a recipe of SPIN that are not there."""
    import torch

    from hmrcli.data.needed import locate
    from hmrcli.recipe import load_recipe
    from hmrcli.training.static_fits import make_static_fits

    recipe = load_recipe(name)
    if recipe.in_the_loop is None:
        raise UsageError(f"--recipe: {name} fits nothing in the loop; name a recipe of SPIN")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    documents = []
    for dataset, settings in recipe.data.mixture.items():
        if settings.fits is None or (locate(FITS, settings.fits, root).is_file() and not replace):
            continue
        with bar(f"fits of {dataset}") as update:
            record = make_static_fits(recipe, dataset, root, device, update)
        documents.append({"set": dataset, "path": str(root / FITS / settings.fits), **record})
        if not as_json:
            rows = f"{record['rows']:,} rows, {record['fitted']:,} of them fitted"
            print_line(f"{root / FITS / settings.fits}  {rows}, prior {record['pose_prior']}")
    if as_json:
        print_json({"data_root": str(root), "fits": documents})
    elif not documents:
        note(f"all fits of {name} are there; --replace would make them anew")


def _report(out: "Output", as_json: bool) -> dict[str, Any]:
    """Says what became of a set, and gives it as a document."""
    if not as_json:
        for made in out.made:
            print_line(f"{made.path}  {made.rows:,} rows{' (kept as it was)' if made.kept else ''}")
    for reason, count in sorted(out.dropped.items()):
        note(f"{out.raw_set.title}: {count:,} rows not used: {reason}")
    for made in out.made:
        if made.missing_images:
            note(
                f"{made.file}: {made.missing_images:,} of its images are not there; {_way_to_images(out, made.file)}"
            )
    return {
        "name": out.raw_set.name,
        "files": [{**made._asdict(), "path": str(made.path)} for made in out.made],
        "dropped": dict(sorted(out.dropped.items())),
        "notes": out.notes,
    }


def _way_to_images(out: "Output", file: str) -> str:
    from hmrcli.data.raw.sets import RAW_SETS

    name = out.raw_set.images_of(file)
    owner = next((each for each in RAW_SETS if each.name == name), out.raw_set)
    archives = " or ".join(archive.pattern for archive in owner.archives)
    place = out.root / IMAGES / name
    if not archives:
        return f"put them below {place}"
    again = f"then run: hmr data make {out.raw_set.name}"
    return f"put {archives} of {owner.page}, packed or unpacked, into {place}, {again}"


def _require_packages(raw_set: "RawSet") -> None:
    """Raises MissingFile where a package is not installed that reads the files of a set."""
    lacking = [name for name in raw_set.packages if importlib.util.find_spec(name) is None]
    if lacking:
        raise MissingFile(
            f"{' and '.join(lacking)} read the files of {raw_set.title} and are not installed. They are free "
            "software (BSD, MIT). Run: pip install 'hmrcli[raw]'"
        )
