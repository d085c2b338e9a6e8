"""The bytes of any table into rows by column name: CSV, JSON of every usual shape, JSON lines, Parquet."""

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from cvfp_cli.errors import InputError, first_line, one_line
from cvfp_cli.results.jsontext import decode, parse
from cvfp_cli.study.cells import comma_style, is_empty, with_point
from cvfp_cli.tabular import check_cells, check_names, is_index, separator_of

Row = dict[str, Any]
# Characters; set on each reading, since the csv module keeps one limit for the whole process.
_LONGEST_CELL = 2**17
# Keys of a JSON object under which its rows stand.
_ROW_KEYS = ("rows", "runs", "data", "records", "results")
# Statistics that W&B writes beside each run's values.
_STATISTICS = ("__MIN", "__MAX")
_RUN_AND_METRIC = " - "


def read_table(data: bytes, where: str) -> list[Row]:
    """Rows of a table; nested values get names with dots (``config.lr``), an index column is left out.

    CSV with a header line; JSON lines; a JSON list of objects, object of lists, or one object, which is one row; what
    pandas' ``to_json`` writes; Parquet.

    Raises:
        InputError: none of these; a row whose cells do not match the header; text that is not UTF-8.
    """
    if data[:4] == b"PAR1":
        rows = _parquet_rows(data, where)
    elif data[:4] == b"PK\x03\x04":
        raise InputError(f"{where} is a workbook or an archive, not a table.", hint="Save the sheet as CSV.")
    else:
        text = (
            data.decode("utf-16", "replace")
            if data[:2] in (b"\xff\xfe", b"\xfe\xff")
            else decode(data, where)
        )
        if not text.strip():
            raise InputError(f"{where} is empty.", hint="A table needs a header line and rows.")
        rows = _json_rows(text, where) if text.lstrip()[0] in "[{" else _csv_rows(text, where)
    return _flattened(rows)


def complete_lines(data: bytes) -> list[Row]:
    """The lines of damaged JSON lines that are whole objects; empty where it is no JSON lines. Never raises."""
    found: list[Row] = []
    for line in data.decode("utf-8-sig", "replace").splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return _flattened(found)


def unfold_runs(rows: list[Row], y: str) -> list[Row]:
    """A chart's export with one column a run, ``RUN - METRIC``, as one row a run and step; other tables as they are.

    The run becomes the column ``config``: every run is a curve of its own.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    ending = f"{_RUN_AND_METRIC}{y}"
    runs = [name[: -len(ending)] for name in columns if name.endswith(ending)]
    if y in columns or not runs:
        return rows
    marks = tuple(f"{run}{_RUN_AND_METRIC}" for run in runs)
    unfolded = []
    for run, mark in zip(runs, marks, strict=True):
        for row in rows:
            if is_empty(row.get(f"{mark}{y}")):
                continue
            own = {
                name.removeprefix(mark): cell
                for name, cell in row.items()
                if name.startswith(mark) or not name.startswith(marks)
            }
            unfolded.append(
                {name: cell for name, cell in own.items() if not name.endswith(_STATISTICS)} | {"config": run}
            )
    return unfolded


def _csv_rows(text: str, where: str) -> list[Row]:
    given = re.match(r"\s*sep=(.)\r?\n", text)  # Excel's own first line
    delimiter = given[1] if given else separator_of(text.lstrip().split("\n", 1)[0])
    reader = csv.reader(io.StringIO(text[given.end() :] if given else text, newline=""), delimiter=delimiter)
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as problem:
        raise InputError(f"{where}, line {reader.line_num}: not CSV ({problem}).") from None
    finally:
        csv.field_size_limit(before)
    header, lines = [name.strip() for name in lines[0][1]], lines[1:]
    if not lines:
        raise InputError(f"{where} has a header line and no rows.")
    if _row_numbers([cells for _, cells in lines], len(header) + 1):
        header = ["", *header]  # as R writes them, without a name
    header, kept = _named(header, [cells for _, cells in lines], where)
    rows = []
    for line, cells in lines:
        while len(cells) > kept and not cells[-1].strip():
            cells = cells[:-1]  # commas at the end of a line
        check_cells(len(cells), kept, f"{where}, line {line}", delimiter)
        rows.append({name: cell.strip() for name, cell in zip(header, cells, strict=True) if name})
    return rows if delimiter == "," else _with_points(rows, where)


def _with_points(rows: list[Row], where: str) -> list[Row]:
    """Rows with decimal points where the file has decimal commas, as a spreadsheet writes them in many countries.

    Raises:
        InputError: commas that may be decimal or stand between thousands, in a file that does not say which.
    """
    styles = {name: comma_style(row[name] for row in rows) for name in rows[0]}
    unclear = [name for name, style in styles.items() if style == "unclear"]
    if unclear and not {"decimal", "thousands"} & set(styles.values()):
        cell = next(row[unclear[0]] for row in rows if "," in row[unclear[0]])
        raise InputError(
            f"{where}: {one_line(unclear[0])} holds {cell!r}: is that a decimal comma, or one between thousands?",
            hint="Write numbers with a decimal point and without separators.",
        )
    decimal = {name for name, style in styles.items() if style == "decimal"}
    if decimal:
        decimal |= set(unclear)
    return [
        {name: with_point(cell) if name in decimal else cell for name, cell in row.items()} for row in rows
    ]


def _row_numbers(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the first of ``width`` cells counts the rows, of which there are several."""
    if len(rows) < 2 or any(len(row) != width for row in rows):
        return False
    return [row[0].strip() for row in rows] in (
        [str(at + first) for at in range(len(rows))] for first in (0, 1)
    )


def _named(header: list[str], rows: Sequence[Sequence[str]], where: str) -> tuple[list[str], int]:
    """The header, an empty name for each column to leave out, and how many cells a row has.

    Raises:
        InputError: a name that stands twice, or a column of text or figures without one.
    """
    width = len(header)
    while width > 1 and not header[width - 1] and all(not "".join(row[width - 1 :]).strip() for row in rows):
        width -= 1  # a comma at the end of every line
    header = header[:width]
    check_names(header, where)
    for place, name in enumerate(header):
        blank = all(len(row) <= place or not row[place].strip() for row in rows)
        if not name and place > 0 and not blank:
            raise InputError(
                f"{where}: the header line needs a different name for every column; column {place + 1} has none."
            )
    return header, width


def _json_rows(text: str, where: str) -> list[Row]:
    first, _, rest = text.strip().partition("\n")
    if rest.strip() and first.lstrip()[0] == "{" and _is_object(first):
        return [_line(line, where, at) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    value = parse(text, where)
    rows = _object_rows(value) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"{where} holds no table.", hint="A JSON table is a list of objects with named values."
        )
    return rows


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _line(text: str, where: str, at: int) -> Row:
    value = parse(text, where, line=at)
    if not isinstance(value, dict):
        raise InputError(f"{where}, line {at} is no object with named values.")
    return value


def _object_rows(value: Row) -> Any:
    """The rows that one JSON object holds; the object itself where it is one."""
    for key in _ROW_KEYS:
        part = value.get(key)
        if not isinstance(part, list) or not part:
            continue
        if all(isinstance(row, dict) for row in part):
            return part
        names = value.get("columns")
        if isinstance(names, list) and all(isinstance(row, list) and len(row) == len(names) for row in part):
            return [dict(zip(map(str, names), row, strict=True)) for row in part]
    lists = {key: part for key, part in value.items() if isinstance(part, list)}
    if len(lists) >= 2 and len({len(part) for part in lists.values()}) == 1:
        same = {
            key: part for key, part in value.items() if key not in lists
        }  # a run's settings beside its curves
        return [same | dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    parts = list(value.values())
    alike = len(parts) > 1 and all(
        isinstance(part, dict) and part and part.keys() == parts[0].keys() for part in parts
    )
    if alike and not any(isinstance(cell, dict) for part in parts for cell in part.values()):
        if all(key.isdigit() for key in parts[0]):  # pandas: a column, then an index
            return [{name: part[key] for name, part in value.items()} for key in parts[0]]
        return [{"name": name} | part for name, part in value.items()]
    return [value] if any(isinstance(part, int | float | dict) for part in parts) else None


def _parquet_rows(data: bytes, where: str) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, ValueError, pa.ArrowException) as problem:
        raise InputError(f"{where} cannot be read as Parquet ({first_line(problem)}).") from None
    if not table.num_rows:
        raise InputError(f"{where} has no rows.")
    return list(table.to_pylist())


def _flattened(rows: Iterable[Row]) -> list[Row]:
    """Rows with nested values under names with dots, also where a cell holds them as text, and no index column."""
    result = []
    for row in rows:
        flat: Row = {}
        pending = [(key, value) for key, value in reversed(row.items())]
        while pending:
            key, value = pending.pop()
            inner = _unwrapped(value)
            if inner is not None:
                pending.extend((f"{key}.{name}", part) for name, part in reversed(inner.items()))
            elif not is_index(key, -1):
                flat[key] = value
        result.append(flat)
    return result


def _unwrapped(value: Any) -> dict[str, Any] | None:
    """A mapping, or the mapping that a cell holds as JSON or as Python prints it."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or value[:1] != "{" or value[-1:] != "}":
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(re.sub(r"(?<=: )(nan|inf|-inf)\b", "None", value))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return {str(key): part for key, part in found.items()} if isinstance(found, dict) else None
