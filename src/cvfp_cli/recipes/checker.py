"""Check a recipe's tables against the dataclasses they fill: types, ranges, choices, and the nearest right name."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from cvfp_cli.errors import one_line
from cvfp_cli.learners import get_learner, learners
from cvfp_cli.recipes.old_names import OLD_NAMES
from cvfp_cli.recipes.recipe import BASE_TABLES, DEFAULT_KIND, RunsConfig, field_of, has_field
from cvfp_cli.spelling import nearest

MOST_VALUES = 1000  # in one list
MOST_KEYS = 6  # of a table, named where none is near
JOINED = {int: "256+128", str: "a.txt+b.txt"}  # how a list is written as one word
MOST_PROBLEMS = 50  # told at once; a file with more is looked at no further
_LARGEST = 2**63 - 1

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """What one key of a table may hold, from its dataclass field.

    Attributes:
        kind: ``int``, ``float``, ``bool`` or ``str``.
        many: whether it is a list of them.
        choices: the words allowed; empty for any.
        low, high, above: bounds; ``above`` is open.
        default: the value where a recipe says nothing.
        doc: one clause for people.
        repeats: whether a list may hold a value twice.
        no_axis: why a study cannot vary it; empty where it can.
        lists: whether it is a list of such lists, as of an axis whose field is a list.
    """

    kind: type[Any]
    many: bool
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    above: float | None
    default: Any
    doc: str
    repeats: bool = False
    no_axis: str = ""
    lists: bool = False

    @property
    def wanted(self) -> str:
        """What the key takes, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[self.kind]
        bounds = [
            f"at least {self.low:g}" if self.low is not None else "",
            f"above {self.above:g}" if self.above is not None else "",
            f"at most {self.high:g}" if self.high is not None else "",
        ]
        words = " ".join([words, " and ".join(bound for bound in bounds if bound)]).strip()
        if self.lists:
            words = f"a list such as {JOINED[self.kind]}, each {words}"
        return f"a list, each {words}" if self.many else words


def all_tables() -> dict[str, type[Any]]:
    """Every table that a recipe may have but the grid, in order: the data's, every learner's, the runs'."""
    own = {name: table for learner in learners().values() for name, table in learner.tables.items()}
    return {**BASE_TABLES, **own, "runs": RunsConfig}


def field_defaults() -> dict[str, Any]:
    """Every ``table.key`` with the value, as JSON holds it, that it has where a study does not say."""
    found = {
        f"{name}.{item.name}": item.metadata.get("before", item.default)
        for name, kind in all_tables().items()
        for item in fields(kind)
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def axis_names() -> list[str]:
    """The learners' own axes, each once."""
    return list(dict.fromkeys(axis.name for learner in learners().values() for axis in learner.axes))


def axis_key(name: str, kinds: Iterable[str]) -> Key | None:
    """What a list of the grid may hold: an axis of one of the kinds, or any ``table.key`` that decides their runs."""
    for kind in kinds:
        table, _, field = field_of(name, kind).partition(".")
        if field and has_field(f"{table}.{field}", kind):
            key = table_keys(all_tables()[table]).get(field)
            if key is not None and not key.no_axis:
                return replace(key, many=True, lists=key.many, default=(key.default,))
    return None


def axis_for_field(path: str, kinds: Iterable[str]) -> str | None:
    """The name of the axis that ``table.key`` is to one of the kinds."""
    return next((axis.name for kind in kinds for axis in get_learner(kind).axes if axis.field == path), None)


_keys_of: dict[type[Any], Mapping[str, Key]] = {}


def table_keys(kind: type[Any]) -> Mapping[str, Key]:
    """The keys of a table, in order, by its dataclass."""
    if kind not in _keys_of:
        hints = get_type_hints(kind)
        _keys_of[kind] = {
            item.name: _key(hints[item.name], item.default, item.metadata) for item in fields(kind)
        }
    return _keys_of[kind]


def _key(hint: Any, default: Any, metadata: Mapping[str, Any]) -> Key:
    many = get_origin(hint) is tuple
    inner = get_args(hint)[0] if many else hint
    choices = get_args(inner) if get_origin(inner) is Literal else ()
    return Key(
        kind=str if choices else inner,
        many=many,
        choices=choices,
        low=metadata.get("min"),
        high=metadata.get("max"),
        above=metadata.get("above"),
        default=default,
        doc=metadata["doc"],
        repeats=metadata.get("repeats", False),
        no_axis=metadata.get("no_axis", ""),
    )


def check_table(name: str, kind: type[T], raw: Any, problems: list[str]) -> T:
    """The dataclass of a table; every problem is added to ``problems``, and its key keeps the default."""
    if not isinstance(raw, dict):
        problems.append(f"{name} must be a table, not {_quoted(raw)}")
        return kind()
    known = table_keys(kind)
    values: dict[str, Any] = {}
    for key, value in _flat(raw, known).items():
        if len(problems) >= MOST_PROBLEMS:
            break
        if key not in known:
            problems.append(unknown_key(name, key, known))
            continue
        checked = check_value(f"{name}.{key}", known[key], value, problems)
        if checked is not None:
            values[key] = checked
    return kind(**values)


def _flat(raw: dict[str, Any], known: Mapping[str, Key]) -> dict[str, Any]:
    """``past = {count = 2, interval = 1}`` as the keys ``past_count`` and ``past_interval``, where there are such."""
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        inner = {f"{key}_{name}": item for name, item in value.items()} if isinstance(value, dict) else {}
        flat |= inner if inner and inner.keys() <= known.keys() else {key: value}
    return flat


def check_value(path: str, key: Key, value: Any, problems: list[str]) -> Any:
    """The value in its field's type, or None after adding to ``problems``."""
    if not key.many:
        return _check_one(path, key, value, problems)
    if not isinstance(value, list | tuple):
        value = [value]  # one number where a list is wanted is a list of one
    if len(value) > MOST_VALUES:
        problems.append(f"{path} has {len(value):,} values; the most is {MOST_VALUES:,}")
        return None
    items = [_check_item(path, key, item, problems) for item in value]
    if any(item is None for item in items):
        return None
    if len(set(items)) < len(items) and (key.lists or not key.repeats):
        problems.append(f"{path} has a value twice: {_quoted(list(value))}")
        return None
    if not items and key.default != ():
        problems.append(f"{path} must not be empty")
        return None
    return tuple(items)


def _check_item(path: str, key: Key, item: Any, problems: list[str]) -> Any:
    """One item of a list; of a list of lists it is a list or a word such as ``256+128`` or ``none``."""
    if not key.lists:
        return _check_one(path, key, item, problems)
    if isinstance(item, str):
        words = [] if item in ("", "none") else item.split("+")
        item = [int(word) if key.kind is int and word.isdecimal() else word for word in words]
    elif not isinstance(item, list | tuple):
        problems.append(f"{path}: {_quoted(item)} must be a list or a word such as {JOINED[key.kind]}")
        return None
    return check_value(path, replace(key, lists=False, default=key.default[0]), item, problems)


def _check_one(path: str, key: Key, value: Any, problems: list[str]) -> Any:
    right_type = {
        int: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST,
        float: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        bool: isinstance(value, bool),
        str: isinstance(value, str) and (value.isprintable() or not key.choices),
    }[key.kind]
    in_range = (
        right_type
        and (key.low is None or value >= key.low)
        and (key.high is None or value <= key.high)
        and (key.above is None or value > key.above)
    )
    if in_range and (not key.choices or value in key.choices):
        return key.kind(value)
    near = nearest(value, key.choices) if key.choices and isinstance(value, str) else ""
    problems.append(
        f"{path} must be {key.wanted}, not {_quoted(value)}" + (f" (did you mean {near}?)" if near else "")
    )
    return None


def unknown_key(
    table: str, key: str, known: Iterable[str] = (), kinds: Iterable[str] = (DEFAULT_KIND,)
) -> str:
    """What is wrong with a key that its table does not have, and which one was probably meant.

    Args:
        known: the keys that the table has; empty for a key outside any table.
        kinds: whose tables it was probably meant for.
    """
    path = f"{table}.{key}" if table else key
    for name in (key, f"{table}_{key}"):
        if name in OLD_NAMES:
            return f"{one_line(path, 80)} is an old script's name: here it is {OLD_NAMES[name]}"
    if elsewhere := fields_called(key, kinds):
        return f"unknown key {one_line(path, 80)} (did you mean {' or '.join(elsewhere)}?)"
    if own := nearest(key, known):
        return f"unknown key {one_line(path, 80)} (did you mean {table}.{own}?)"
    everywhere = {
        name: f"{where}.{name}" for where, kind in all_tables().items() for name in table_keys(kind)
    }
    everywhere |= {name: f"grid.{name}" for name in axis_names()}
    if other := nearest(key, everywhere):
        return f"unknown key {one_line(path, 80)} (did you mean {everywhere[other]}?)"
    named = [*known]
    more = f" and {len(named) - MOST_KEYS} more" if len(named) > MOST_KEYS else ""
    there = f" ({table} has {', '.join(named[:MOST_KEYS])}{more})" if named else ""
    return f"unknown key {one_line(path, 80)}{there}"


def fields_called(key: str, kinds: Iterable[str] = (DEFAULT_KIND,)) -> list[str]:
    """``table.key`` for every table that has this key, such as ``phase2.epochs``: those of the kinds, or else of any."""
    found = [name for name, table in all_tables().items() if key in table_keys(table)]
    own = [name for name in found if any(has_field(f"{name}.{key}", kind) for kind in kinds)]
    return [f"{name}.{key}" for name in own or found] + [
        f"grid.{name}" for name in axis_names() if name == key
    ]


def unknown_table(name: str) -> str:
    """What is wrong with a table that no recipe has, and which one was probably meant."""
    if name in OLD_NAMES or any(name in table_keys(kind) for kind in all_tables().values()):
        return unknown_key("", name)
    near = nearest(name, [*all_tables(), "grid", "configurations"])
    return f"unknown table [{one_line(name, 80)}]" + (f" (did you mean [{near}]?)" if near else "")


def value_from_text(text: str, key: Key) -> Any:
    """The value of ``--set table.key=TEXT``: TOML, with bare words as text and ``1,2,3`` as a list."""
    text = text.strip()
    if key.kind is str and not key.many and text[:1] not in ("'", '"'):
        return text
    if (key.kind is str or key.lists) and text[:1] not in ("'", '"', "["):
        return [word.strip() for word in text.split(",")]
    for candidate in (text, f"[{text}]") if key.many else (text,):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except (ValueError, RecursionError):
            continue
    return text


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number beyond 2^63"
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
