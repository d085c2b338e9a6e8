"""The reference part of ``docs/recipes.md``, from the dataclasses: ``python -m cvfp_cli.recipes.reference``."""

import json
from collections.abc import Mapping

from cvfp_cli.recipes.checker import TABLES, Key, table_keys
from cvfp_cli.recipes.recipe import GRID_KEYS, Configuration


def reference() -> str:
    """A Markdown table for each table of a recipe: key, what it takes, default, meaning."""
    tables = {**TABLES, "[configurations]": Configuration}
    return "\n".join(_section(name, table_keys(kind)) for name, kind in tables.items())


def _section(name: str, keys: Mapping[str, Key]) -> str:
    rows = [
        f"| `{key}` | {entry.wanted} | `{_toml(entry.default)}` | {entry.doc} |"
        for key, entry in keys.items()
        if not (name == "model" and key in GRID_KEYS)
    ]
    return "\n".join(
        [f"### `[{name}]`", "", "| key | takes | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    print(reference())
