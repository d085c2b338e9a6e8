"""Another kind of model over a recipe: what of the file stays, what the new kind takes over, what is left out."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from cvfp_cli.learners import get_learner, learners
from cvfp_cli.recipes.checker import all_tables, axis_key, table_keys
from cvfp_cli.recipes.recipe import BASE_TABLES, DEFAULT_KIND


def choose_kinds(raw: dict[str, Any], value: object) -> list[str]:
    """Set the kinds that a recipe, as TOML gave it, trains; listed configurations of others go.

    Returns:
        What was taken out of it.
    """
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    kinds = [str(word).strip() for word in words]
    grid, listed = raw.get("grid"), raw.get("configurations")
    before = raw.get("kind", DEFAULT_KIND)
    if isinstance(grid, dict):
        before = grid.pop("kind", before)
    raw["kind"] = kinds
    if not isinstance(listed, list):
        return []
    first = before[0] if isinstance(before, list) and before else before
    kept = [
        {**item, "kind": item.get("kind", first)}
        for item in listed
        if isinstance(item, dict) and item.get("kind", first) in kinds
    ]
    there = {item["kind"] for item in kept}
    if kept:
        raw["configurations"] = [*kept, *({"kind": kind} for kind in kinds if kind not in there)]
    else:
        del raw["configurations"]
    return ["configurations"] if len(kept) < len(listed) else []


def kinds_in(raw: dict[str, Any]) -> list[str]:
    """The known kinds that a recipe, as TOML gave it, names at its top; the default where it names none."""
    value = raw.get("kind", DEFAULT_KIND)
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    return [word for word in words if isinstance(word, str) and word in learners()] or [DEFAULT_KIND]


def hand_on_stopping(raw: dict[str, Any], kinds: Iterable[str]) -> dict[str, list[str]]:
    """Give tables of the kinds the stopping rule that another table of the file has, where they have none themselves.

    Returns:
        Which keys were handed on, by the table that they come from.
    """
    own = {name for kind in kinds for name in get_learner(kind).tables}
    handed: dict[str, list[str]] = {}
    for source, key in _stopping():
        there = raw.get(source)
        if not isinstance(there, dict) or key not in there:
            continue
        for name in sorted(own - {source}):
            table = raw.setdefault(name, {}) if (name, key) in _stopping() else None
            if isinstance(table, dict) and key not in table:
                table[key] = there[key]
                if key not in handed.setdefault(source, []):
                    handed[source].append(key)
    return handed


def leave_out_axes(raw: dict[str, Any], kinds: tuple[str, ...], set_now: Mapping[str, Any]) -> list[str]:
    """Take out of the file's grid what belongs to kinds of model that are not run, unless it was asked for now."""
    grid = raw.get("grid")
    if not isinstance(grid, dict):
        return []
    others = [learner for kind, learner in learners().items() if kind not in kinds]
    fields_of = {axis.name: axis.field for learner in others for axis in learner.axes}
    own = {name for kind in kinds for name in get_learner(kind).tables}
    foreign = {name for learner in others for name in learner.tables} - own - set(BASE_TABLES)
    left_out = []
    for key in [*grid]:
        table = key.partition(".")[0]
        is_foreign = (key in fields_of and axis_key(key, kinds) is None) or table in foreign
        asked = {f"grid.{key}", fields_of.get(key, "")} | {
            f"grid.{table}.{inner}" for inner in (grid[key] if isinstance(grid[key], dict) else ())
        }
        if is_foreign and not asked & set_now.keys():
            del grid[key]
            left_out.append(f"grid.{key}")
    return left_out


def left_out_tables(names: Iterable[str], handed: Mapping[str, list[str]]) -> list[str]:
    """The tables that are not used, each with what of it is used all the same."""
    return [f"{name} (but for {', '.join(handed[name])})" if name in handed else name for name in names]


def _stopping() -> list[tuple[str, str]]:
    """Every table and key that is part of a stopping rule."""
    return [
        (name, item.name)
        for name, table in all_tables().items()
        for item in fields(table)
        if item.metadata.get("stopping") and item.name in table_keys(table)
    ]
