"""The grid of a recipe: its kinds of model, its axes, and the configurations that they make."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.learners import DecidesAxes, get_learner
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
    Recipe,
    has_field,
)
from cvfp_cli.results.identity import flat
from cvfp_cli.results.store import folder_word

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


def grid_lists(raw: Any, kinds: tuple[str, ...], problems: list[str], *, single: bool = False) -> Lists:
    """The lists of ``[grid]``, by axis; ``phase1.noise`` may be written as a key or as a table in it.

    Args:
        single: each is one value and no list of values, as in ``[[configurations]]``.
    """
    if not isinstance(raw, dict):
        problems.append(f"grid must be a table, not {raw!r:.60}")
        return {}
    found: Lists = {}
    for key, value in flat(raw).items():
        if len(problems) >= MOST_PROBLEMS:
            break
        name = axis_for_field(key, kinds) or key
        known = axis_key(name, kinds)
        if known is None:
            problems.append(unknown_axis(key, kinds))
        elif name in found:
            problems.append(f"grid.{name} is given twice")
        elif (
            values := check_value(
                f"grid.{name}", known, [value] if single and known.lists else value, problems
            )
        ) is not None:
            found[name] = values
    return found


def same_names(configurations: tuple[Configuration, ...]) -> list[str]:
    """What is wrong where two configurations have one name, which would be one folder."""
    different = {(item.kind, *item.axes.items()): item.label for item in configurations}
    times = Counter(map(folder_word, different.values()))
    twice = (label for label in different.values() if times[folder_word(label)] > 1)
    return [f"two configurations would have the folder of {label}" for label in [*twice][:1]]


def unknown_axis(key: str, kinds: tuple[str, ...]) -> str:
    """What is wrong with an axis that a study of these kinds cannot have."""
    table, dot, name = key.partition(".")
    if key in axis_names():
        return f"grid.{key} is an axis of another kind than {', '.join(kinds)}"
    if not dot:
        return unknown_key("grid", key, axis_names())
    tables = all_tables()
    if table not in tables:
        return unknown_table(table)
    known = table_keys(tables[table])
    if name not in known:
        return unknown_key(table, name, known)
    if reason := known[name].no_axis:
        return f"grid.{key} cannot be an axis: {reason}"
    return f"grid.{key} is a field of another kind than {', '.join(kinds)}"


def whole_grid(grid: Lists, configurations: tuple[Configuration, ...], kinds: tuple[str, ...]) -> Lists:
    """The grid with the axes that it did not name, and with its kinds; of each axis the values that are in use."""
    whole: Lists = {} if kinds == (DEFAULT_KIND,) else {"kind": kinds}
    for key in dict.fromkeys(key for item in configurations for key in item.axes):
        used = dict.fromkeys(item.axes[key] for item in configurations if key in item.axes)
        whole[key] = tuple(value for value in grid.get(key, ()) if value in used) or tuple(used)
    return whole


def unused_values(
    grid: Lists, configurations: tuple[Configuration, ...], set_now: Mapping[str, Any]
) -> list[str]:
    """What is wrong with values that no configuration has, since another axis decides there: D beside lists of blocks.

    Args:
        set_now: what was laid over the file: an axis set now replaces what the file says of one that it decides.
    """
    said = []
    for name, values in grid.items():
        found = [_decided(item.kind, item.axes) for item in configurations]
        deciding = {decided[name][1] for decided in found if name in decided}
        unused = [value for value in values if all(item.axes.get(name) != value for item in configurations)]
        replaced = f"grid.{name}" not in set_now and any(f"grid.{key}" in set_now for key in deciding)
        if deciding and unused and not replaced:
            said.append(
                f"{name} {unused[0]} is in no configuration, since {deciding.pop()} decides it: leave it out"
            )
    return said


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
                if key in flat(place):
                    continue  # which decides in place of the table's
                given = place.get(name, value)
                if given not in (value, [value], (value,)) and key not in set_now:
                    problems.append(f"{name} is {value} by {key}: leave it out")
                place[name] = value if isinstance(listed, list) else [value]


def shown_as_tables_say(recipe: Recipe) -> Recipe:
    """The recipe with its configurations' values written in names as their learners write them."""
    shown = tuple(
        replace(item, shown=item.learner.shown_axes(recipe.at(item).tables))
        if isinstance(item.learner, DecidesAxes)
        else item
        for item in recipe.configurations
    )
    return replace(recipe, configurations=shown)


def _decided(kind: str, axes: Mapping[str, AxisValue]) -> Mapping[str, tuple[AxisValue, str]]:
    """What a configuration's further axes decide of its learner's own: the value, and the axis that decides it."""
    learner = get_learner(kind)
    if not isinstance(learner, DecidesAxes):
        return {}
    tables: dict[str, dict[str, AxisValue]] = {}
    for key, value in axes.items():
        table, dot, name = key.partition(".")
        if dot:
            tables.setdefault(table, {})[name] = value
    return learner.decided_axes(tables)


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
            axes |= {name: value for name, (value, _) in _decided(kind, axes).items()}
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
    if len({(item.kind, *item.axes.items()) for item in found}) < len(found):
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
    lists = grid_lists(given, (kind,), said, single=True)
    problems.extend(text.replace("grid.", f"{path}.").replace("a list, each ", "") for text in said)
    for key, values in lists.items():
        if len(values) != 1:
            problems.append(f"{path}.{key} takes one value")
    if len(problems) > before:
        return None
    defaults = {axis.name: _default(axis.field) for axis in get_learner(kind).axes}
    axes = {key: values[0] for key, values in lists.items()}
    decided = _decided(kind, axes)
    problems += [
        f"{path}.{axis} is {value} by {key}: leave it out"
        for axis, (value, key) in decided.items()
        if axes.get(axis, value) != value
    ]
    return Configuration(defaults | axes | {axis: value for axis, (value, _) in decided.items()}, kind, name)


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
