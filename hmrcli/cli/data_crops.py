"""`hmr data crops`: the crops of a recipe's training sets, cut once, which training reads in place of the images."""

import os
from typing import Annotated, Any

import typer

from hmrcli.assets.data_root import data_root as find_data_root
from hmrcli.cli.console import bar, note, print_json, print_line
from hmrcli.cli.options import AsJson, DataRoot
from hmrcli.errors import UsageError


def crops(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SET]...", help="Training sets of the recipe; all of them by default."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="Whose sets and augmentation the crops are for.")] = ...,  # type: ignore[assignment]
    open_: Annotated[bool, typer.Option("--open", help="As of `hmr train --open`.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores by default.")
    ] = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Cut people out of training images, which are then read faster.

    Training uses the crops by itself. A run that was stopped goes on where it was, and what changed is cut again. Rows
    that share image size and augmentation, as all twenty of the table do with others of their size, share the crops.
    """
    from hmrcli.data.crop_cache import CROPS, cache_folder, cache_settings
    from hmrcli.data.crop_making import make_cache
    from hmrcli.data.needed import ANNOTATIONS, kept_sets, locate
    from hmrcli.data.sets import load_sets
    from hmrcli.files import writable_folder
    from hmrcli.recipe import load_recipe

    resolved, root = load_recipe(recipe, open=open_), find_data_root(data_root)
    every = kept_sets(resolved, ())
    if unknown := sorted(set(names or ()) - set(every)):
        raise UsageError(f"{unknown[0]} is not a training set of {resolved.name}; it has {', '.join(every)}")
    without = [name for name in every if names and name not in names]
    sets = load_sets(resolved, root, without, note, cached=False)
    writable_folder(root / CROPS, "--data-root")
    documents: list[dict[str, Any]] = []
    for images in sets:
        annotations = locate(ANNOTATIONS, resolved.data.mixture[images.name].annotations, root)
        settings = cache_settings(resolved)
        folder = cache_folder(root, images.name, annotations, settings)
        with bar(f"crops of {images.name}") as update:
            made = make_cache(images, annotations, settings, folder, workers or os.cpu_count() or 1, update)
        documents.append({"set": images.name, "path": str(folder), **made._asdict()})
        if not as_json:
            cut = f"{made.cut:,} of them cut now" if made.cut else "as they were"
            print_line(f"{folder}  {made.rows:,} rows, {cut}, {made.bytes / 1e9:.2f} GB")
    if as_json:
        print_json({"data_root": str(root), "crops": documents})
