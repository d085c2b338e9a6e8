"""The page on recipes: its reference is the generated one, its example loads, its table is the recipes'."""

import re
from pathlib import Path

from cvfp_cli.recipes import list_recipes, load_recipe
from cvfp_cli.recipes.reference import reference

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_reference_is_the_generated_one() -> None:
    assert PAGE.endswith("\n" + reference() + "\n")


def test_the_example_is_a_recipe(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "tickets.toml"
    path.write_text(example, encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.expected.startswith("val_ppl")
    assert len(recipe.configurations) == 4


def test_every_recipe_is_in_the_table_with_its_configurations() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z0-9-]+)`(?: \(the default\))? \|[^|]+\| ([^|]+) \|", PAGE, re.MULTILINE)
    )
    assert set(list_recipes()) <= rows.keys()
    for name in list_recipes():
        recipe = load_recipe(name)
        names = [item.label for item in recipe.configurations]
        assert rows[name] in (", ".join(names), "nine at D = 768", "seven with names")
