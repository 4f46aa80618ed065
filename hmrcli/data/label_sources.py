"""Finds where the labels come from that a recipe's figure depends on, for files that say so."""

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel

from hmrcli.assets.data_root import ANNOTATIONS, FITS
from hmrcli.data.human_data import facts_of
from hmrcli.data.needed import kept_sets, locate
from hmrcli.files import read_record, sha256
from hmrcli.recipe import Recipe


class _Made(BaseModel):
    """Facts beside fits that `hmr data make spin-fits` made."""

    fits_sha256: str
    method: str
    pose_prior: str
    made_by: str


def smpl_labels(recipe: Recipe, root: Path, without: Collection[str] = ()) -> dict[str, str]:
    """Returns where the SMPL labels of training sets come from, for files that say so, as those of `hmr data make`."""
    told = {}
    for name in kept_sets(recipe, without):
        path = locate(ANNOTATIONS, recipe.data.mixture[name].annotations, root)
        if path.suffix == ".npz" and path.is_file() and (source := facts_of(path).get("smpl_labels")):
            told[name] = str(source)
    return told


def static_fits(recipe: Recipe, root: Path, without: Collection[str] = ()) -> dict[str, str]:
    """Returns how SPIN's static fits of training sets were made, for those of `hmr data make spin-fits`."""
    told = {}
    for name in kept_sets(recipe, without):
        if (fits := recipe.data.mixture[name].fits) is None:
            continue
        path = locate(FITS, fits, root)
        stated = path.with_suffix(".json")
        if not (path.is_file() and stated.is_file()):
            continue
        made = read_record(stated, _Made, "delete it, or run: hmr data make spin-fits")
        if made.fits_sha256 == sha256(path):  # else others have taken their place
            told[name] = f"{made.method}, {made.pose_prior} prior, {made.made_by}"
    return told
