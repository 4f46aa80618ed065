"""Recipes: a YAML file that names everything a training needs, read into a frozen `Recipe`."""

from hmrcli.recipe.load import load_recipe, recipe_names, recipe_titles, source_of
from hmrcli.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_names", "recipe_titles", "source_of"]
