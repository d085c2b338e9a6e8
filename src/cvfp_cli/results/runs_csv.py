"""``runs.csv``: one row a run, nested keys flattened with dots, for pandas and spreadsheets.

Missing figures are empty cells; lists and ``execution_path`` are JSON text in one cell. Plain ``csv``: no pandas.
"""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.results.codec import ReadingLog, from_json, listed, to_json
from cvfp_cli.results.schema import Run

_TRUTH = {"true": True, "True": True, "false": False, "False": False}
_LARGEST_CELL = 2**31 - 1


def columns() -> dict[str, Any]:
    """Column names in order, such as ``parameters.total``, each with the type hint of its figure."""
    named: dict[str, Any] = {}
    hints = get_type_hints(Run)
    for item in fields(Run):
        hint = hints[item.name]
        if is_dataclass(hint):
            inner = get_type_hints(hint)
            named.update({f"{item.name}.{part.name}": inner[part.name] for part in fields(hint)})
        else:
            named[item.name] = hint
    return named


def write_csv(runs: Iterable[Run]) -> bytes:
    """The whole ``runs.csv`` as UTF-8, floats in full precision."""
    names = list(columns())
    lines = [",".join(names)]
    for run in runs:
        flat: dict[str, Any] = {}
        for key, value in to_json(run).items():
            if key in ("parameters", "seconds"):
                flat.update({f"{key}.{part}": item for part, item in value.items()})
            else:
                flat[key] = value
        lines.append(",".join(_cell(flat[name]) for name in names))
    return ("\n".join(lines) + "\n").encode()


def read_csv(text: str, where: str, findings: ReadingLog) -> list[Run]:
    """Runs from the text of a ``runs.csv``, also one that pandas wrote or that has only some columns.

    Raises:
        InputError: no ``config`` column, a row of the wrong length, or a cell of the wrong type or range
            (all of them in one message, by line and column).
    """
    known = columns()
    before = csv.field_size_limit(min(_LARGEST_CELL, sys.maxsize))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        if "config" not in header:
            raise InputError(
                f"{where} has no column 'config'.", hint=f"Its first line reads {_shown(header)}."
            )
        repeated = sorted(name for name, count in Counter(header).items() if count > 1 and name)
        if repeated:
            raise InputError(f"{where} has the column {_shown(repeated)} twice.")
        findings.unknown.extend(name for name in header if name and name not in known)
        runs = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{where}, line {reader.line_num}: {counted(len(row), 'cell')} where the first line has {len(header)}."
                )
            runs.append(_row(dict(zip(header, row, strict=True)), known, f"line {reader.line_num}", findings))
    except csv.Error as problem:
        raise InputError(f"{where}, line {reader.line_num}: not CSV ({problem}).") from None
    finally:
        csv.field_size_limit(before)
    if findings.problems:
        raise InputError(f"{where}: {listed(findings.problems)}.")
    return [run for run in runs if run is not None]


def _row(cells: dict[str, str], known: dict[str, Any], line: str, findings: ReadingLog) -> Run | None:
    value: dict[str, Any] = {}
    for name, cell in cells.items():
        if name not in known or cell == "":
            continue
        target = value
        *outer, last = name.split(".")
        for part in outer:
            target = value.setdefault(part, {})
        target[last] = _value(cell, known[name])
    return from_json(Run, value, line, findings)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    text = json.dumps(value, allow_nan=False) if isinstance(value, dict | list) else str(value)
    # The csv module leaves a lone carriage return bare, which no reader takes back.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _value(cell: str, hint: Any) -> Any:
    """A cell as the JSON value its column wants; what does not convert stays text, for the schema to name."""
    wanted = str(hint)
    try:
        if "tuple" in wanted or "dict" in wanted:
            return json.loads(cell)
        if hint is str or "str" in wanted or "Literal" in wanted:
            return cell
        if "bool" in wanted:
            return _TRUTH.get(cell, cell)
        return int(cell) if cell.lstrip("+-").isdigit() else float(cell)
    except (ValueError, RecursionError):
        return cell


def _shown(names: list[str]) -> str:
    text = ", ".join(names)
    return repr(text if len(text) <= 80 else text[:77] + "...")
