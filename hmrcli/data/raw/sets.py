"""All official data sets that annotation files can be made of, and the state each is in."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hmrcli.assets.data_root import ANNOTATIONS, IMAGES
from hmrcli.assets.registry import load_registry
from hmrcli.data.human_data import facts_of
from hmrcli.data.raw.cmu_mosh import CMU_MOSH
from hmrcli.data.raw.coco import COCO
from hmrcli.data.raw.eft import EFT
from hmrcli.data.raw.human36m import HUMAN36M
from hmrcli.data.raw.lsp import LSP, LSPET
from hmrcli.data.raw.mpi_inf_3dhp import MPI_INF_3DHP
from hmrcli.data.raw.mpii import MPII
from hmrcli.data.raw.muco import MUCO
from hmrcli.data.raw.output import MADE_BY
from hmrcli.data.raw.pw3d import PW3D
from hmrcli.data.raw.tree import Product, RawSet, download_folders
from hmrcli.data.raw.up3d import UP3D
from hmrcli.errors import BadInput, UsageError
from hmrcli.recipe import Recipe, load_recipe, recipe_names

RAW_SETS = (HUMAN36M, MPI_INF_3DHP, MUCO, PW3D, COCO, LSP, LSPET, MPII, UP3D, EFT, CMU_MOSH)


def find_set(name: str) -> RawSet:
    """Finds the set of a name.

    Raises:
        UsageError: there is none.
    """
    by_name = {each.name: each for each in RAW_SETS}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(by_name)}"
        raise UsageError(f"no data set is called {name!r}; {hint}")
    return by_name[name]


def maker_of(file: str) -> RawSet | None:
    """Returns the set whose download an annotation file is made of; None for other files."""
    return next((each for each in RAW_SETS for product in each.products if product.file == file), None)


def files_of(recipe: Recipe) -> list[str]:
    """Lists annotation files that a recipe trains with and is measured by."""
    files = [dataset.annotations for dataset in recipe.data.mixture.values()]
    files.append(recipe.evaluation.annotations)
    if recipe.adversary is not None:
        files.append(recipe.adversary.annotations)
    return list(dict.fromkeys(files))


def recipes_by_file() -> dict[str, list[str]]:
    """Lists the bundled recipes that use each annotation file."""
    users: dict[str, list[str]] = {}
    for name in recipe_names():
        for file in files_of(load_recipe(name)):
            users.setdefault(file, []).append(name)
    return users


def mark_checked(path: Path) -> None:
    """Notes that an annotation file, as it is now, was found right."""
    _mark(path).write_text(str(path.stat().st_mtime_ns))


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def state_of(path: Path) -> str:
    """Returns missing, found, made (here), checked, or damaged, of an annotation file."""
    if not path.is_file():
        return "missing"
    mark = _mark(path)
    if mark.is_file() and mark.read_text() == str(path.stat().st_mtime_ns):
        return "checked"
    try:
        return "made" if MADE_BY in facts_of(path) else "found"
    except BadInput:
        return "damaged"


def describe(
    raw_set: RawSet, root: Path, users: dict[str, list[str]], only: Collection[str]
) -> dict[str, Any]:
    """Describes a set as `hmr data list --json` tells of it.

    Args:
        users: what `recipes_by_file` gives.
        only: tell of these annotation files alone; of all where it is empty.
    """
    folder = root / IMAGES / raw_set.name
    registry = load_registry()
    licence = registry.licences[registry.by_name[raw_set.products[0].file].licence]
    products = [p for p in raw_set.products if not only or p.file in only]
    files = [_describe(product, root, users) for product in products]
    filled = [each for each in download_folders(folder) if _has_files(each)]
    images = "none" if not raw_set.has_images else "found" if folder in filled else "missing"
    states = {file["state"] for file in files}
    if "missing" in states or "damaged" in states:
        step = f"run: hmr data make {raw_set.name}"
        if not filled:
            step = f"get the archives at {raw_set.page}, put them in {folder}, then {step}"
    elif states == {"checked"}:
        step = "nothing"
    else:
        step = f"run: hmr data check {raw_set.name}"
    return {
        "name": raw_set.name,
        "title": raw_set.title,
        "recipes": sorted({recipe for file in files for recipe in file["recipes"]}),
        "licence": licence.model_dump(),
        "page": raw_set.page,
        "archives": [archive._asdict() for archive in raw_set.archives],
        "tree": list(raw_set.tree),
        "images": {"path": str(folder), "state": images},
        "annotations": files,
        "next": step,
    }


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir())


def _describe(product: Product, root: Path, users: dict[str, list[str]]) -> dict[str, Any]:
    path = root / ANNOTATIONS / product.file
    state = state_of(path)
    facts = facts_of(path) if state in ("made", "checked") else {}
    return {
        "file": product.file,
        "about": product.about,
        "path": str(path),
        "state": state,
        "published_rows": product.rows,
        "recipes": users.get(product.file, []),
        "facts": {name: str(value) for name, value in facts.items()},
    }
