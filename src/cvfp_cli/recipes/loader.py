"""Find a recipe, read it, lay overrides over it, and report everything that is wrong with it at once."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from cvfp_cli.data.config import ValidationConfig
from cvfp_cli.errors import InputError
from cvfp_cli.recipes.checker import (
    MOST_PROBLEMS,
    TABLES,
    check_table,
    table_keys,
    unknown_key,
    unknown_table,
    value_from_text,
)
from cvfp_cli.recipes.recipe import GRID_KEYS, Configuration, GridConfig, Recipe, expand
from cvfp_cli.spelling import nearest

DEFAULT_RECIPE = "2025-11-30-matrix"
SIZE_LIMIT = 64 * 1024
MOST_CONFIGURATIONS = 10_000
DECIDES_TEXT = ("data", "validation", "tokenizer")


def list_recipes() -> dict[str, str]:
    """Names of the recipes that come with the package, each with the first line of its header."""
    return {
        name: _header(file.read_text(encoding="utf-8")).partition("\n")[0]
        for name, file in sorted(_packaged().items())
    }


def load_recipe(
    name_or_path: str | Path = DEFAULT_RECIPE, *, overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe of the package by name, or a TOML file.

    Args:
        overrides: ``table.key`` to value, laid over the file in this order. A value may be text, as from
            ``--set``: it is read as TOML, bare words standing for themselves.

    Raises:
        InputError: no such recipe, not TOML, or unknown keys and wrong values, the first 50 in one message.
    """
    where, name, text = _find(str(name_or_path))
    raw = _parse(text, where)
    problems: list[str] = []
    given = raw.pop("name", name)
    if not isinstance(given, str) or not given.isprintable() or not 0 < len(given) <= 100:
        problems.append("name must be one line of at most 100 characters")
        given = name
    for key in [key for key in raw if key not in TABLES and key != "configurations"]:
        if len(problems) < MOST_PROBLEMS:
            problems.append(unknown_table(key))
        del raw[key]
    _move_single_values(raw, problems)
    laid = _lay_over(raw, overrides or {}, problems)
    tables = {key: check_table(key, kind, raw.get(key, {}), problems) for key, kind in TABLES.items()}
    grid: GridConfig = tables.pop("grid")
    if "configurations" in raw:
        configurations = _configurations(raw["configurations"], problems)
        if "grid" in raw:
            problems.append("a recipe has either [grid] or [[configurations]], not both")
    elif len(grid.layers) * len(grid.context_dim) * len(grid.tokens) > MOST_CONFIGURATIONS:
        problems.append(f"the grid has more than {MOST_CONFIGURATIONS:,} configurations")
        configurations = ()
    else:
        configurations = expand(grid)
    tables["validation"] = _still_expected(tables["validation"], laid)
    first = configurations[0] if configurations else Configuration()
    tables["model"] = replace(
        tables["model"], layers=first.layers, context_dim=first.context_dim, tokens=first.tokens
    )
    recipe = Recipe(
        name=given,
        header=_header(text),
        grid=None if "configurations" in raw else grid,
        configurations=configurations,
        overrides=laid,
        **tables,
    )
    problems.extend(_contradictions(recipe))
    if problems:
        more = "; and perhaps more" if len(problems) >= MOST_PROBLEMS else ""
        raise InputError(f"{where}: {'; '.join(problems)}{more}.")
    return recipe


def _packaged() -> dict[str, Traversable]:
    folder = files("cvfp_cli.recipes")
    return {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}


def _find(wanted: str) -> tuple[str, str, str]:
    """Where the recipe is (for messages), its name, and its text."""
    packaged = _packaged()
    if wanted in packaged:
        return f"recipe {wanted}", wanted, packaged[wanted].read_text(encoding="utf-8")
    path = Path(wanted)
    shown = wanted if wanted.isprintable() and len(wanted) <= 200 else ascii(wanted)[1:-1][:200]
    try:
        if path.is_file():
            with path.open("rb") as file:
                data = file.read(SIZE_LIMIT + 1)
            if len(data) > SIZE_LIMIT:
                raise InputError(f"{shown} is larger than {SIZE_LIMIT // 1024} kB, the most a recipe can be.")
            return shown, path.stem, data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{shown}: byte {problem.start} is not UTF-8 text.") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise InputError(f"{shown} cannot be read: {reason}.") from None
    near = nearest(wanted.removesuffix(".toml"), packaged)
    raise InputError(
        f"no recipe and no file '{shown}'.",
        hint=f"Did you mean {near}?" if near else f"There are {', '.join(sorted(packaged))}.",
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


def _move_single_values(raw: dict[str, Any], problems: list[str]) -> None:
    """``[model] layers = 3`` is a grid of one value: move it to where the lists are."""
    model = raw.get("model")
    if not isinstance(model, dict):
        return
    for key in [key for key in GRID_KEYS if key in model]:
        value = model.pop(key)
        if "configurations" in raw or key in _table(raw, "grid"):
            problems.append(f"{key} is given in [model] and in the list of configurations")
        elif isinstance(raw.setdefault("grid", {}), dict):
            raw["grid"][key] = value


def _lay_over(raw: dict[str, Any], overrides: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Set each override in ``raw``; returns what was set, values read from text."""
    laid: dict[str, Any] = {}
    for path, value in overrides.items():
        table, _, key = path.partition(".")
        if table not in TABLES:
            problems.append(unknown_key("", table) if not key else unknown_table(table))
            continue
        known = table_keys(TABLES[table])
        if key not in known:
            problems.append(unknown_key(table, key, known))
            continue
        if isinstance(value, str):
            value = value_from_text(value, known[key])
        laid[path] = list(value) if isinstance(value, tuple) else value
        if table == "model" and key in GRID_KEYS:
            table = "grid"
        if table == "grid":
            _replace_configurations(raw)
        if isinstance(raw.setdefault(table, {}), dict):
            raw[table][key] = value
    return laid


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
        raw["grid"] = {key: listed[0][key] for key in GRID_KEYS if key in listed[0]}


def _configurations(value: Any, problems: list[str]) -> tuple[Configuration, ...]:
    if not isinstance(value, list) or not value or len(value) > MOST_CONFIGURATIONS:
        problems.append(f"[[configurations]] must list 1 to {MOST_CONFIGURATIONS:,} tables")
        return ()
    found = []
    for index, item in enumerate(value):
        before = len(problems)
        if before >= MOST_PROBLEMS:
            break
        configuration = check_table(f"configurations[{index}]", Configuration, item, problems)
        if not configuration.name.isprintable() or len(configuration.name) > 100:
            problems.append(f"configurations[{index}].name must be one line of at most 100 characters")
        if len(problems) == before:
            found.append(configuration)
    shapes = [(item.layers, item.context_dim, item.tokens) for item in found]
    if len(set(shapes)) < len(shapes):
        problems.append("[[configurations]] has the same layers, context_dim and tokens twice")
    names = [item.name for item in found if item.name]
    if len(set(names)) < len(names):
        problems.append("[[configurations]] has the same name twice")
    return tuple(found)


def _contradictions(recipe: Recipe) -> list[str]:
    """What no single key shows."""
    problems = []
    phase1, head = recipe.phase1, recipe.head
    if phase1.min_iterations > phase1.max_iterations:
        problems.append(
            f"phase1.min_iterations ({phase1.min_iterations}) is above "
            f"phase1.max_iterations ({phase1.max_iterations})"
        )
    if head.weights == "untied" and head.table == "trained":
        problems.append("head.table is the copy of a tied table: an untied head is always trained")
    if head.weights == "tied" and head.start == "uniform":
        problems.append("head.start is that of an untied head: a tied one starts as the table")
    return problems


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}
