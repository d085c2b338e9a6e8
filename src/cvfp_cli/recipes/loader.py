"""Find a recipe, read it, lay overrides over it, and report everything that is wrong with it at once."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from math import prod
from pathlib import Path
from typing import Any

from cvfp_cli.data.config import ValidationConfig
from cvfp_cli.errors import InputError, one_line
from cvfp_cli.learners import get_learner, learners
from cvfp_cli.recipes.checker import (
    MOST_PROBLEMS,
    Key,
    all_tables,
    axis_for_field,
    axis_key,
    check_table,
    table_keys,
    unknown_key,
    unknown_table,
    value_from_text,
)
from cvfp_cli.recipes.grid import (
    MOST_CONFIGURATIONS,
    expand,
    grid_lists,
    kinds_of,
    listed_configurations,
    move_single_values,
    same_names,
    shown_as_tables_say,
    take_axes_from_tables,
    unknown_axis,
    unused_values,
    whole_grid,
)
from cvfp_cli.recipes.kinds import choose_kinds, hand_on_stopping, kinds_in, leave_out_axes, left_out_tables
from cvfp_cli.recipes.paths import read_beside
from cvfp_cli.recipes.recipe import BASE_TABLES, Recipe
from cvfp_cli.spelling import advice

DEFAULT_RECIPE = "2025-11-30-matrix"
SIZE_LIMIT = 64 * 1024
MOST_NAMED = 8  # recipes in one message; --list-recipes has them all
DECIDES_TEXT = ("data", "validation", "tokenizer")


def list_recipes() -> dict[str, str]:
    """Names of the recipes that come with the package, each with the first line of its header."""
    return {
        name: _header(file.read_text(encoding="utf-8")).partition("\n")[0]
        for name, file in sorted(_packaged().items())
    }


def recipe_text(name: str) -> str:
    """The file of a recipe that comes with the package, comments and all.

    Raises:
        InputError: there is none of this name.
    """
    packaged = _packaged()
    if name not in packaged:
        raise _unknown(f"no recipe '{one_line(name, 200)}' comes with cvfp", name, packaged)
    return packaged[name].read_text(encoding="utf-8")


def load_recipe(
    name_or_path: str | Path = DEFAULT_RECIPE, *, overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe of the package by name, or a TOML file, whose paths are relative to its own folder.

    Args:
        overrides: ``table.key`` to value, laid over the file in this order. A value may be text, as from
            ``--set``: it is read as TOML, bare words standing for themselves.

    Raises:
        InputError: no such recipe, not TOML, or unknown keys and wrong values, the first 50 in one message.
    """
    where, name, text, folder = _find(str(name_or_path))
    raw = _parse(text, where)
    if folder is not None:
        read_beside(raw, folder)
    problems: list[str] = []
    given = raw.pop("name", name)
    if not isinstance(given, str) or not given.isprintable() or not 0 < len(given) <= 100:
        problems.append("name must be one line of at most 100 characters")
        given = name
    unused: list[str] = []
    laid = _lay_over(raw, overrides or {}, problems, unused)
    kinds = kinds_of(raw, problems)
    for key in [key for key in raw if key not in (*all_tables(), "grid", "configurations")]:
        if len(problems) < MOST_PROBLEMS:
            problems.append(unknown_table(key))
        del raw[key]
    unused += leave_out_axes(raw, kinds, laid)
    move_single_values(raw, kinds, problems)
    handed = hand_on_stopping(raw, kinds)
    take_axes_from_tables(raw, kinds, laid, problems)
    wanted = {name: table for kind in kinds for name, table in get_learner(kind).tables.items()}
    tables = {
        key: check_table(key, kind, raw.get(key, {}), problems)
        for key, kind in all_tables().items()
        if key in raw or key in wanted or key in (*BASE_TABLES, "runs")
    }
    grid = None if "configurations" in raw else grid_lists(raw.get("grid", {}), kinds, problems)
    if "configurations" in raw:
        configurations = listed_configurations(raw["configurations"], kinds, tables, problems)
        if "grid" in raw:
            problems.append("a recipe has either [grid] or [[configurations]], not both")
    elif prod(map(len, (grid or {}).values())) * len(kinds) > MOST_CONFIGURATIONS:
        problems.append(f"the grid has more than {MOST_CONFIGURATIONS:,} configurations")
        configurations = ()
    else:
        configurations = expand(grid or {}, kinds, tables)
    tables["validation"] = _still_expected(tables["validation"], laid)
    own = {name: tables.pop(name) for name in [*tables] if name not in (*BASE_TABLES, "runs")}
    recipe = Recipe(
        name=given,
        header=_header(text),
        grid=None if grid is None else whole_grid(grid, configurations, kinds),
        configurations=configurations,
        overrides=laid,
        tables={name: table for name, table in own.items() if name in wanted},
        left_out=(*left_out_tables((name for name in own if name not in wanted), handed), *unused),
        **tables,
    )
    if configurations:
        recipe = replace(recipe, tables=recipe.at(configurations[0]).tables)
        recipe = shown_as_tables_say(recipe)
    problems += unused_values(grid or {}, configurations, laid)
    problems += same_names(recipe.configurations)
    problems.extend(_contradictions(recipe))
    if problems:
        more = "; and perhaps more" if len(problems) >= MOST_PROBLEMS else ""
        raise InputError(f"{where}: {'; '.join(problems)}{more}.")
    return recipe


def _packaged() -> dict[str, Traversable]:
    folder = files("cvfp_cli.recipes")
    return {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}


def _find(wanted: str) -> tuple[str, str, str, Path | None]:
    """Where the recipe is (for messages), its name, its text, and the folder of a file."""
    packaged = _packaged()
    if wanted in packaged:
        return f"recipe {wanted}", wanted, packaged[wanted].read_text(encoding="utf-8"), None
    path = Path(wanted)
    shown = one_line(wanted, 200)
    try:
        if path.is_file():
            with path.open("rb") as file:
                data = file.read(SIZE_LIMIT + 1)
            if len(data) > SIZE_LIMIT:
                raise InputError(f"{shown} is larger than {SIZE_LIMIT // 1024} kB, the most a recipe can be.")
            return shown, path.stem, data.decode("utf-8-sig"), path.parent
    except UnicodeDecodeError as problem:
        raise InputError(f"{shown}: byte {problem.start} is not UTF-8 text.") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise InputError(f"{shown} cannot be read: {reason}.") from None
    raise _unknown(f"no recipe and no file '{shown}'", wanted, packaged)


def _unknown(message: str, wanted: str, packaged: Iterable[str]) -> InputError:
    return InputError(
        f"{message}.", hint=advice(wanted.removesuffix(".toml"), sorted(packaged), most=MOST_NAMED)
    )


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"{where} is not TOML: {problem}.") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be a recipe.") from None
    except ValueError:  # the interpreter's bound on the digits of an integer
        raise InputError(f"{where} holds a number of more than 4,300 digits.") from None


def _header(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" ").rstrip())
    return "\n".join(lines).strip("\n")


def _lay_over(
    raw: dict[str, Any], overrides: Mapping[str, Any], problems: list[str], unused: list[str]
) -> dict[str, Any]:
    """Set each override in ``raw``; returns what was set, values read from text.

    Args:
        unused: what another kind leaves out of the file's configurations is added to it.
    """
    laid: dict[str, Any] = {}
    if "data.source" in overrides and isinstance(raw.get("data"), dict):
        raw["data"].pop("also", None)  # another source stands for all that the recipe reads
    for path, value in overrides.items():
        table, _, key = path.partition(".")
        if path in ("kind", "grid.kind"):
            laid[path] = list(value) if isinstance(value, tuple) else value
            unused += choose_kinds(raw, value)
            continue
        known = _key_of(table, key)
        if known is None:
            problems.append(_unknown_setting(table, key, kinds_in(raw)))
            continue
        if isinstance(value, str):
            value = value_from_text(value, known)
        laid[path] = list(value) if isinstance(value, tuple) else value
        axis = axis_for_field(key if table == "grid" else path, learners())
        if axis is not None:
            table, key = "grid", axis
        if table == "grid":
            _replace_configurations(raw)
        _forget_axis(raw, key if table == "grid" else path)
        if isinstance(raw.setdefault(table, {}), dict):
            raw[table][key] = value
    return laid


def _key_of(table: str, key: str) -> Key | None:
    """What a setting takes; None where there is no such setting."""
    if table == "grid":
        return axis_key(key, learners())
    kind = all_tables().get(table)
    return None if kind is None else table_keys(kind).get(key)


def _unknown_setting(table: str, key: str, kinds: Iterable[str]) -> str:
    if table == "grid":
        return unknown_axis(key, tuple(learners()))
    tables = all_tables()
    if table not in tables:
        return unknown_key("", table, kinds=kinds) if not key else unknown_table(table)
    return unknown_key(table, key, table_keys(tables[table]), kinds)


def _forget_axis(raw: dict[str, Any], key: str) -> None:
    """Take an axis out of the grid and the listed configurations, however it is written: a setting replaces it."""
    listed = raw.get("configurations")
    for lists in [raw.get("grid"), *(listed if isinstance(listed, list) else [])]:
        if isinstance(lists, dict):
            lists.pop(key, None)
            table, _, name = key.partition(".")
            if isinstance(lists.get(table), dict):
                lists[table].pop(name, None)


def _still_expected(validation: ValidationConfig, laid: Mapping[str, Any]) -> ValidationConfig:
    """Without the count of tokens that a recipe expects where another text or tokenizer was laid over it."""
    other_text = any(path.partition(".")[0] in DECIDES_TEXT for path in laid)
    if other_text and "validation.expected_tokens" not in laid:
        return replace(validation, expected_tokens=0)
    return validation


def _replace_configurations(raw: dict[str, Any]) -> None:
    """A grid set on top of listed configurations replaces them; what it leaves open comes from the first."""
    listed = raw.pop("configurations", None)
    if isinstance(listed, list) and listed and isinstance(listed[0], dict):
        raw["grid"] = {key: value for key, value in listed[0].items() if key != "name"}


def _contradictions(recipe: Recipe) -> list[str]:
    """What no single key shows."""
    varied = any("." in key for item in recipe.configurations for key in item.axes)
    chosen = (
        recipe.configurations
        if varied
        else [next(item for item in recipe.configurations if item.kind == kind) for kind in recipe.kinds]
    )
    found = (problem for item in chosen for problem in item.learner.contradictions(recipe.at(item).tables))
    return list(dict.fromkeys(found))
