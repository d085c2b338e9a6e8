"""Any CSV or JSON table with named columns into labelled groups of points."""

import csv
import difflib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results.jsontext import decode, parse
from cvfp_cli.scaling.points import Points

# Characters; set on each reading, since the csv module keeps one limit for the whole process.
_LONGEST_CELL = 2**17
# Columns of a table of runs that say what its configuration is called.
NAME_COLUMNS = ("config", "config_name", "label", "name")


def read_table(data: bytes, where: str) -> list[dict[str, Any]]:
    """Rows of a CSV with a header line, of a JSON list of objects, or of a JSON object of equally long lists.

    Raises:
        InputError: neither; a row whose cells do not match the header; not UTF-8.
    """
    text = decode(data, where)
    if not text.strip():
        raise InputError(f"{where} is empty.", hint="A table needs a header line and rows.")
    if text.lstrip()[0] in "[{":
        return _json_rows(parse(text, where), where)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = _csv_rows(reader, where)
    except csv.Error as problem:
        raise InputError(f"{where}, line {reader.line_num}: not CSV ({problem}).") from None
    finally:
        csv.field_size_limit(before)
    if not rows:
        raise InputError(f"{where} has a header line and no rows.")
    return rows


def _csv_rows(reader: Any, where: str) -> list[dict[str, Any]]:
    header = [name.strip() for name in next(reader)]
    if len(set(header)) < len(header) or not all(header):
        raise InputError(f"{where}: the header line needs a different name for every column.")
    rows: list[dict[str, Any]] = []
    for cells in reader:
        if not cells or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{where}, line {reader.line_num}: {counted(len(cells), 'cell')}, but {counted(len(header), 'column')}."
            )
        rows.append({name: cell.strip() for name, cell in zip(header, cells, strict=True)})
    return rows


def _delimiter(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0]
    return max((",", "\t", ";"), key=first.count)


def _json_rows(value: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        lists = {key: part for key, part in value.items() if isinstance(part, list)}
        for key in ("rows", "runs", "data"):
            if key in lists:
                value = lists[key]
                break
        else:
            lengths = {len(part) for part in lists.values()}
            if len(lists) < 2 or len(lengths) != 1:
                raise InputError(
                    f"{where} is neither a list of objects nor an object of equally long lists.",
                    hint="Write rows as a CSV or a JSON list.",
                )
            value = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        raise InputError(
            f"{where} holds no table.", hint="A JSON table is a list of objects with named values."
        )
    return value


def table_groups(
    rows: Sequence[dict[str, Any]],
    where: str,
    *,
    x: str,
    y: str,
    group: Sequence[str] = (),
    parameters: str = "",
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """One group for each different combination of the ``group`` columns, in the order of their first row.

    Without ``group`` the configuration's name column makes the groups, if there is one. Replicates are rows of one
    group with the same ``samples``, or where there is no such column the same x.

    Raises:
        InputError: a missing column, or a cell that is not a number.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for option, name in (("--x", x), ("--y", y), *(("--group", name) for name in group)):
        require_column(columns, name, option, where)
    if parameters:
        require_column(columns, parameters, "--parameters", where)
    by = list(group) or [name for name in NAME_COLUMNS if name in columns][:1]
    gathered: dict[tuple[str, ...], list[tuple[float, float, float, float]]] = {}
    left_out = 0
    for number, row in enumerate(rows, start=1):
        values = [_number(row.get(name), name, where, number) for name in (x, y)]
        if values[0] is None or values[1] is None:
            left_out += 1
            continue
        size = _number(row.get("samples"), "samples", where, number) if "samples" in columns else None
        count = _number(row.get(parameters), parameters, where, number) if parameters else None
        key = tuple(_one_line(str(row.get(name, ""))) for name in by)
        gathered.setdefault(key, []).append(
            (values[0], values[1], values[0] if size is None else size, math.nan if count is None else count)
        )
    notes = []
    if left_out:
        notes.append(
            Note("rows-left-out", f"{where}: {counted(left_out, 'row')} without {x} or {y} left out.")
        )
    if not gathered:
        raise InputError(f"{where}: no row has both {x} and {y}.")
    result = []
    for key, cells in gathered.items():
        array = np.array(cells)
        known = bool(parameters) and bool(np.all(np.isfinite(array[:, 3])))
        result.append(
            Points(
                x=array[:, 0],
                y=array[:, 1],
                label=" ".join(part for part in key if part) or where,
                sizes=array[:, 2],
                parameters=array[:, 3] if known else None,
                x_name=x,
                y_name=y,
            )
        )
    return tuple(result), tuple(notes)


def _one_line(text: str) -> str:
    """A cell as it can stand in a label: line ends, terminal controls and the like as escapes."""
    return text if text.isprintable() else repr(text)[1:-1]


def require_column(columns: Sequence[str], name: str, option: str, where: str) -> None:
    """Check that a table has a column.

    Raises:
        InputError: it has not; the nearest name, or all names, are given.
    """
    if name in columns:
        return
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
    there = ", ".join(_one_line(column)[:80] for column in columns[:20])
    hint = f"Did you mean {_one_line(near[0])}?" if near else f"There are {there}."
    raise InputError(f"{where} has no column {name!r} ({option}).", hint=hint)


def _number(value: Any, name: str, where: str, row: int) -> float | None:
    """A cell as a number; None where it is empty, null or NaN.

    Raises:
        InputError: it is something else.
    """
    if value is None or (
        isinstance(value, str) and value.strip().lower() in ("", "null", "none", "nan", "na")
    ):
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # the last: an integer that no float holds
        raise InputError(f"{where}, row {row}: {name} is {str(value)[:40]!r}, not a number.") from None
    return None if math.isnan(number) else number
