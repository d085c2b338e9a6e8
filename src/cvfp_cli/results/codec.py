"""Runs and summaries to plain JSON values and back, checked by the dataclasses' own type hints.

Reading never stops at the first problem: all of them are collected with their paths (``runs[3].val_ppl``).
A key the schema does not have is no error, since a later minor version may add one; it is left out and
reported as a note together with the nearest right key.
"""

import difflib
import json
import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cvfp_cli.errors import one_line
from cvfp_cli.notes import Note

LARGEST_INTEGER = 2**63 - 1
_SHOWN = 5  # problems or unknown keys spelt out in one message

T = TypeVar("T")


@dataclass
class ReadingLog:
    """What a reader met on its way: problems refuse the file, the rest becomes notes.

    Attributes:
        problems: one clause each, starting with the path.
        unknown: paths of keys that the schema does not have, with the nearest one it has.
        not_finite: paths of NaN or infinite figures, read as missing.
    """

    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    def notes(self) -> list[Note]:
        """The findings that do not refuse the file."""
        notes = []
        if self.unknown:
            notes.append(
                Note("unknown-key", f"Not in the schema, so left out: {listed(self.unknown)}.", "warning")
            )
        if self.not_finite:
            notes.append(
                Note(
                    "non-finite-read-as-missing",
                    f"NaN or infinite, so read as missing: {listed(self.not_finite)}.",
                    "warning",
                )
            )
        return notes


def listed(items: list[str]) -> str:
    """The first few items and how many more there are."""
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def to_json(value: Any) -> Any:
    """A JSON value of a dataclass, tuple, dict or scalar: every key, full precision, non-finite as None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):  # half a surrogate pair, as in a file name that is not UTF-8, has no JSON
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        plan = _plan(type(value))
        return {name: _field_to_json(item, getattr(value, name)) for name, item in plan.items()}
    raise TypeError(f"{type(value).__name__} has no place in a results file")


def dump_json(value: Any, *, indent: int | None = 1) -> bytes:
    """UTF-8 JSON of ``to_json(value)``, ending in a newline. ASCII only, so no reader can trip over it."""
    return (json.dumps(to_json(value), indent=indent, allow_nan=False) + "\n").encode("ascii")


def from_json(kind: Callable[..., T], value: Any, path: str, findings: ReadingLog) -> T | None:
    """Build the dataclass ``kind`` from a JSON value, or add to ``findings.problems`` and return None.

    Args:
        path: what the value is called in messages, such as ``runs[3]``.
    """
    if not isinstance(value, dict):
        findings.problems.append(f"{path} must be an object, not {_named(value)}")
        return None
    plan = _plan(kind)
    before = len(findings.problems)
    arguments: dict[str, Any] = {}
    for key, item in value.items():
        known = plan.get(key)
        if known is None:
            where = f"{path}.{key}" if path else key
            # Only what a message spells out is compared with every key of the schema.
            shown = len(findings.unknown) < _SHOWN
            findings.unknown.append(_unknown(where, key, plan) if shown else where)
            continue
        arguments[key] = known.read(item, f"{path}.{key}" if path else key, findings)
    absent = [name for name, known in plan.items() if known.no_default and name not in arguments]
    missing = [name for name in absent if not plan[name].nullable]
    if missing:
        findings.problems.append(f"{path or 'the file'} lacks {', '.join(missing)}")
    if len(findings.problems) > before:
        return None
    return kind(**dict.fromkeys(absent), **arguments)


Reader = Callable[[Any, str, ReadingLog], Any]


@dataclass(frozen=True)
class _Key:
    """One field: how to read it, and whether a file must have it (``no_default`` and not ``nullable``)."""

    read: Reader
    no_default: bool
    nullable: bool
    floats_only: bool  # a tuple[float, ...], which cannot hold a null


@cache
def _plan(kind: Any) -> dict[str, _Key]:
    hints = get_type_hints(kind)
    return {
        item.name: _Key(
            read=_reader(hints[item.name], dict(item.metadata)),
            no_default=item.default is MISSING and item.default_factory is MISSING,
            nullable=_optional(hints[item.name]),
            floats_only=tuple[float, ...] in (hints[item.name], *get_args(hints[item.name])),
        )
        for item in fields(kind)
    }


def _field_to_json(key: _Key, value: Any) -> Any:
    if key.floats_only and value is not None and not all(math.isfinite(item) for item in value):
        return None
    return to_json(value)


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)


def _reader(hint: Any, limits: dict[str, Any]) -> Reader:
    """A function that reads one value of this type hint."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (item for item in get_args(hint) if item is not type(None))
        read_inner = _reader(inner, limits)
        return lambda value, path, found: None if value is None else read_inner(value, path, found)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return _asking(lambda value: value in choices, f"one of {', '.join(map(str, choices))}")
    if get_origin(hint) is tuple:
        return _tuple_reader(get_args(hint)[0], limits)
    if hint is dict or get_origin(hint) is dict:
        return _scalars if limits.get("scalars") else _object
    if is_dataclass(hint):
        kind: Any = hint
        return lambda value, path, found: from_json(kind, value, path, found)
    readers: dict[Any, Reader] = {
        bool: _bool,
        int: _number_reader(limits, integer=True),
        float: _number_reader(limits, integer=False),
        str: _text if not limits.get("line") else _line_or_empty if limits.get("empty") else _line,
    }
    return readers[hint]


def _number_reader(limits: dict[str, Any], *, integer: bool) -> Reader:
    low, high, above = limits.get("min"), limits.get("max"), limits.get("above")
    wanted = "a whole number" if integer else "a number"
    bounds = " and ".join(
        [f"at least {low}"] * (low is not None)
        + [f"above {above}"] * (above is not None)
        + [f"at most {high}"] * (high is not None)
    )

    def read(value: Any, path: str, found: ReadingLog) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.problems.append(f"{path} must be {wanted}, not {_named(value)}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            found.not_finite.append(path)
            return None
        if integer and isinstance(value, float):  # pandas writes 50 as 50.0 in a column with gaps
            if not value.is_integer():
                found.problems.append(f"{path} must be a whole number, not {value!r}")
                return None
            value = int(value)
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            found.problems.append(f"{path} is larger than 2^63")
            return None
        if (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
        ):
            found.problems.append(f"{path} must be {bounds}, not {value!r}")
            return None
        return value if integer else float(value)

    return read


def _tuple_reader(item_hint: Any, limits: dict[str, Any]) -> Reader:
    read_item = _reader(item_hint, limits)
    null_allowed = _optional(item_hint)

    def read(value: Any, path: str, found: ReadingLog) -> Any:
        if not isinstance(value, list):
            found.problems.append(f"{path} must be a list, not {_named(value)}")
            return None
        before = len(found.not_finite)
        items = tuple(read_item(item, f"{path}[{index}]", found) for index, item in enumerate(value))
        # A list of figures that may not have gaps is missing as a whole when one of them is NaN.
        return items if null_allowed or len(found.not_finite) == before else None

    return read


def _asking(fits: Callable[[Any], bool], wanted: str) -> Reader:
    """Takes a value as it is, where it is what is wanted."""

    def read(value: Any, path: str, found: ReadingLog) -> Any:
        if fits(value):
            return value
        found.problems.append(f"{path} must be {wanted}, not {_named(value)}")
        return None

    return read


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


_bool = _asking(lambda value: isinstance(value, bool), "true or false")
_text = _asking(lambda value: isinstance(value, str), "text")
_object = _asking(lambda value: isinstance(value, dict), "an object")
_line_or_empty = _asking(_is_line, "one line of printable text")
_line = _asking(lambda value: _is_line(value) and value != "", "one line of printable text")


def _scalars(value: Any, path: str, found: ReadingLog) -> Any:
    """An object of numbers, words and truth values by name."""
    for key, item in (_object(value, path, found) or {}).items():
        if not key.isprintable():
            found.problems.append(f"{path} has a name that is not one line of printable text")
        elif not isinstance(item, bool | int | float | str) or not str(item).isprintable():
            found.problems.append(f"{path}.{key} must be a number, a word, true or false, not {_named(item)}")
    return value


def _named(value: Any) -> str:
    """A value as it can be quoted in a message: its kind, and itself when short."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _unknown(path: str, key: str, plan: dict[str, _Key]) -> str:
    shown = one_line(path, 100)
    near = difflib.get_close_matches(key, plan, n=1)
    return f"{shown} (did you mean {near[0]}?)" if near else shown
