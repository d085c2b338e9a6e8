"""The grid of a recipe: its kinds of model, its axes, and the configurations that they make."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.learners import DecidesAxes, get_learner, learners
from cvfp_cli.learners.base import AxisValue
from cvfp_cli.recipes.checker import (
    MOST_PROBLEMS,
    all_tables,
    axis_for_field,
    axis_key,
    axis_names,
    check_value,
    table_keys,
    unknown_key,
    unknown_table,
)
from cvfp_cli.recipes.recipe import (
    BASE_TABLES,
    DEFAULT_KIND,
    Configuration,
    has_field,
)

MOST_CONFIGURATIONS = 10_000
Lists = dict[str, tuple[AxisValue, ...]]


def kinds_of(raw: dict[str, Any], problems: list[str]) -> tuple[str, ...]:
    """The kinds of model that the recipe trains: ``kind``, or an axis of the grid of that name."""
    grid, listed = raw.get("grid"), raw.get("configurations")
    value = raw.pop("kind", DEFAULT_KIND)
    if isinstance(grid, dict) and "kind" in grid:
        value = grid.pop("kind")
    if isinstance(listed, list):
        value = [item.get("kind", value) for item in listed if isinstance(item, dict)] or value
    found = list(dict.fromkeys(map(str, value if isinstance(value, list | tuple) else str(value).split(","))))
    good = []
    for kind in found:
        try:
            good.append(get_learner(kind).kind)
        except InputError as problem:
            problems.append(f"kind: {problem.message.rstrip('.')} ({problem.hint.rstrip('.')})")
    return tuple(good) or (DEFAULT_KIND,)


def grid_lists(raw: Any, kinds: tuple[str, ...], problems: list[str]) -> Lists:
    """The lists of ``[grid]``, by axis; ``phase1.noise`` may be written as a key or as a table in it."""
    if not isinstance(raw, dict):
        problems.append(f"grid must be a table, not {raw!r:.60}")
        return {}
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        flat |= (
            {f"{key}.{inner}": item for inner, item in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    found: Lists = {}
    for key, value in flat.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        name = axis_for_field(key, kinds) or key
        known = axis_key(name, kinds)
        if known is None:
            problems.append(unknown_axis(key, kinds))
        elif name in found:
            problems.append(f"grid.{name} is given twice")
        elif (values := check_value(f"grid.{name}", known, value, problems)) is not None:
            found[name] = values
    return found


def unknown_axis(key: str, kinds: tuple[str, ...]) -> str:
    table, dot, name = key.partition(".")
    if key in axis_names():
        return f"grid.{key} is an axis of another kind than {', '.join(kinds)}"
    if not dot:
        return unknown_key("grid", key, axis_names())
    tables = all_tables()
    if table in tables and name in table_keys(tables[table]):
        if axis_for_field(key, learners()) or table not in (*BASE_TABLES, "runs"):
            return f"grid.{key} is a field of another kind than {', '.join(kinds)}"
        return f"grid.{key} cannot be an axis (sizes and seeds are lists of [data] and [runs])"
    return unknown_key(table, name, table_keys(tables[table])) if table in tables else unknown_table(table)


def whole_grid(grid: Lists, configurations: tuple[Configuration, ...], kinds: tuple[str, ...]) -> Lists:
    """The grid with the axes that it did not name, each of one value, and with its kinds."""
    whole: Lists = {} if kinds == (DEFAULT_KIND,) else {"kind": kinds}
    for item in configurations:
        for key, value in item.axes.items():
            whole.setdefault(key, grid.get(key, (value,)))
    return whole


def move_single_values(raw: dict[str, Any], kinds: tuple[str, ...], problems: list[str]) -> None:
    """``[model] layers = 3`` is a grid of one value: move it to where the lists are."""
    for axis in (axis for kind in kinds for axis in get_learner(kind).axes):
        table, _, name = axis.field.partition(".")
        if not isinstance(raw.get(table), dict) or name not in raw[table]:
            continue
        value = raw[table].pop(name)
        grid = raw.setdefault("grid", {}) if "configurations" not in raw else None
        if grid is None or (isinstance(grid, dict) and axis.name in grid):
            problems.append(f"{name} is given in [{table}] and in the list of configurations")
        elif isinstance(grid, dict):
            grid[axis.name] = value


def take_axes_from_tables(
    raw: dict[str, Any], kinds: tuple[str, ...], set_now: Mapping[str, Any], problems: list[str]
) -> None:
    """Give an axis the value that a learner's other keys decide: D of several blocks.

    Args:
        set_now: what was laid over the file: keys set now replace an axis's list in the file.
    """
    for learner in map(get_learner, kinds):
        decided = learner.decided_axes(raw) if isinstance(learner, DecidesAxes) else {}
        for name, (value, key) in decided.items():
            listed = raw.get("configurations")
            for place in listed if isinstance(listed, list) else [raw.setdefault("grid", {})]:
                if not isinstance(place, dict):
                    continue
                given = place.get(name, value)
                if given not in (value, [value], (value,)) and key not in set_now:
                    problems.append(f"{name} is {value} by {key}: leave it out")
                place[name] = value if isinstance(listed, list) else [value]


def shown_as_tables_say(
    configurations: tuple[Configuration, ...], tables: Mapping[str, Any]
) -> tuple[Configuration, ...]:
    """The configurations with their learners' own way to write a value in a name."""
    return tuple(
        replace(item, shown=item.learner.shown_axes(tables))
        if isinstance(item.learner, DecidesAxes)
        else item
        for item in configurations
    )


def expand(
    grid: Mapping[str, tuple[AxisValue, ...]], kinds: tuple[str, ...], defaults: Mapping[str, Any]
) -> tuple[Configuration, ...]:
    """The product of a grid's lists: kind by kind, then by each further axis as given, then by the learner's own.

    Of a learner's axes the first varies fastest, which is the studies' order: by width, then tokens, then layers. An
    axis that a kind does not have does not multiply its runs.

    Args:
        defaults: each table's dataclass, whose values stand for a learner's axes that the grid does not name.
    """
    found: dict[tuple[Any, ...], Configuration] = {}
    for kind in kinds:
        own = get_learner(kind).axes
        values: Lists = {key: grid[key] for key in grid if "." in key and has_field(key, kind)}
        for axis in reversed(own):
            table, _, name = axis.field.partition(".")
            values[axis.name] = grid.get(axis.name) or (getattr(defaults[table], name),)
        for point in product(*values.values()):
            axes = dict(zip(values, point, strict=True))
            ordered = {axis.name: axes.pop(axis.name) for axis in own} | axes
            found[kind, *ordered.items()] = Configuration(ordered, kind)
    return tuple(found.values())


def listed_configurations(
    value: Any, kinds: tuple[str, ...], tables: Mapping[str, Any], problems: list[str]
) -> tuple[Configuration, ...]:
    """What ``[[configurations]]`` lists; an axis of the learner's own that one leaves out has its field's default.

    Every one has a value on each axis that any of them names.
    """
    if not isinstance(value, list) or not value or len(value) > MOST_CONFIGURATIONS:
        problems.append(f"[[configurations]] must list 1 to {MOST_CONFIGURATIONS:,} tables")
        return ()
    found = []
    for index, item in enumerate(value):
        if len(problems) >= MOST_PROBLEMS:
            break
        configuration = _configuration(f"configurations[{index}]", item, kinds, tables, problems)
        if configuration is not None:
            found.append(configuration)
    shared = {key: None for item in found for key in item.axes if "." in key}
    found = [_on_every_axis(item, shared, tables) for item in found]
    labels = [item.label for item in found]
    if len(set(labels)) < len(labels):
        problems.append(f"[[configurations]] has the same {_axes_said(found)} twice")
    names = [item.name for item in found if item.name]
    if len(set(names)) < len(names):
        problems.append("[[configurations]] has the same name twice")
    return tuple(found)


def _configuration(
    path: str, item: Any, kinds: tuple[str, ...], tables: Mapping[str, Any], problems: list[str]
) -> Configuration | None:
    before = len(problems)
    if not isinstance(item, dict):
        problems.append(f"{path} must be a table, not {item!r:.60}")
        return None
    given = dict(item)
    name, kind = given.pop("name", ""), given.pop("kind", kinds[0])
    if not isinstance(name, str) or not name.isprintable() or len(name) > 100:
        problems.append(f"{path}.name must be one line of at most 100 characters")
    if kind not in kinds:
        return None  # said already
    said: list[str] = []
    lists = grid_lists(given, (kind,), said)
    problems.extend(text.replace("grid.", f"{path}.").replace("a list, each ", "") for text in said)
    for key, values in lists.items():
        if len(values) != 1:
            problems.append(f"{path}.{key} takes one value")
    if len(problems) > before:
        return None
    defaults = {axis.name: _default(axis.field) for axis in get_learner(kind).axes}
    return Configuration(defaults | {key: values[0] for key, values in lists.items()}, kind, name)


def _on_every_axis(item: Configuration, keys: Mapping[str, None], tables: Mapping[str, Any]) -> Configuration:
    missing = {}
    for key in keys:
        table, _, name = key.partition(".")
        if key not in item.axes and table in (*BASE_TABLES, *item.learner.tables):
            missing[key] = getattr(tables[table], name)
    return replace(item, axes={**item.axes, **missing})


def _default(path: str) -> AxisValue:
    table, _, name = path.partition(".")
    default: AxisValue = table_keys(all_tables()[table])[name].default
    return default


def _axes_said(items: list[Configuration]) -> str:
    names = list(dict.fromkeys(key for item in items for key in item.axes))
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
