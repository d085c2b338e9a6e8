"""Recipes: one TOML file a study, and the loader that checks it."""

from cvfp_cli.recipes.checker import field_defaults, fields_called
from cvfp_cli.recipes.loader import DEFAULT_RECIPE, list_recipes, load_recipe, recipe_text
from cvfp_cli.recipes.recipe import Configuration, Recipe, RunsConfig

__all__ = [
    "DEFAULT_RECIPE",
    "Configuration",
    "Recipe",
    "RunsConfig",
    "field_defaults",
    "fields_called",
    "list_recipes",
    "load_recipe",
    "recipe_text",
]
