"""Recipes: a YAML file that names everything a training needs, read into a frozen `Recipe`.

Names are looked up on first use, so that the data here, of algorithms and protocols, costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmrcli.recipe.load import load_recipe as load_recipe
    from hmrcli.recipe.load import recipe_names as recipe_names
    from hmrcli.recipe.load import recipe_titles as recipe_titles
    from hmrcli.recipe.load import source_of as source_of
    from hmrcli.recipe.recipe import Recipe as Recipe

_HOMES = {
    "Recipe": "recipe",
    **dict.fromkeys(("load_recipe", "recipe_names", "recipe_titles", "source_of"), "load"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
