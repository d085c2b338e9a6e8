"""The reference part of ``docs/recipes.md``, from the dataclasses: ``python -m cvfp_cli.recipes.reference``."""

import json
from collections.abc import Mapping

from cvfp_cli.learners import learners
from cvfp_cli.recipes.checker import Key, all_tables, axis_key, table_keys

NAME = Key(str, False, (), None, None, None, "", "the study's own name for the configuration")


def reference() -> str:
    """A Markdown table for each table of a recipe: key, what it takes, default, meaning."""
    axes = {axis.name: axis.field for learner in learners().values() for axis in learner.axes}
    sections = [
        _section(
            name,
            {key: entry for key, entry in table_keys(kind).items() if f"{name}.{key}" not in axes.values()},
        )
        for name, kind in all_tables().items()
    ]
    lists = {name: key for name in axes if (key := axis_key(name, learners())) is not None}
    singles = {"name": NAME} | {
        name: table_keys(all_tables()[path.split(".")[0]])[path.split(".")[1]] for name, path in axes.items()
    }
    return "\n".join([*sections, _section("grid", lists), _section("[configurations]", singles)])


def _section(name: str, keys: Mapping[str, Key]) -> str:
    rows = [
        f"| `{key}` | {entry.wanted} | `{_toml(entry.default)}` | {entry.doc} |"
        for key, entry in keys.items()
    ]
    return "\n".join(
        [f"### `[{name}]`", "", "| key | takes | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    print(reference())
