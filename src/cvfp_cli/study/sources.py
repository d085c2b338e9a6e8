"""Files, folders or standard input into groups of points: results of any age, or any table."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results import Results, parse_results, read_results
from cvfp_cli.results.compressed import decompressed
from cvfp_cli.results.jsontext import SIZE_LIMIT, read_bytes, salvage, with_recovery
from cvfp_cli.results.reader import SUMMARY_FILE, is_results_folder
from cvfp_cli.spelling import nearest
from cvfp_cli.study.groups import Source, group_runs, numeric_columns, source_names
from cvfp_cli.study.points import Points
from cvfp_cli.study.table_points import GROUP_COLUMN, Columns, table_groups
from cvfp_cli.study.tables import Row, complete_lines, read_table
from cvfp_cli.study.units import unit_of
from cvfp_cli.tabular import separator_of

STDIN = "-"
_START = 65536
# A key of a run's object: its file holds results. In other files "config" is a run's settings, an object.
_RUN_KEY = re.compile(rb'"(?:schema|config_name|run_id)"\s*:|"config"\s*:\s*"')
_JSON_LINES = re.compile(rb"\{[^\n]*\}\s*\n\s*\{")
# Files of a folder with one file a run.
_RUN_FILES = ("*.json", "*/*.json")


@dataclass(frozen=True)
class ReadTable:
    """The rows of one table; ``places`` names each row's file where every row has its own."""

    where: str
    rows: list[Row]
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What was read: results, tables, and notes on the tables."""

    results: tuple[Results, ...]
    tables: tuple[ReadTable, ...]
    notes: tuple[Note, ...]


def load_points(
    inputs: Sequence[str], columns: Columns, *, recover: bool = False
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """Read every input, as results where it is one and as a plain table otherwise.

    Returns:
        groups of points, and notes on what was read.

    Raises:
        InputError: an input that cannot be read, or without these columns.
    """
    return points_of(read_inputs(inputs, columns, recover=recover), columns)


def read_inputs(inputs: Sequence[str], columns: Columns, *, recover: bool = False) -> Inputs:
    """Read every input; tables of one row each, such as one JSON file a run, make one table.

    Raises:
        InputError: an input that cannot be read.
    """
    results: list[Results] = []
    tables: list[ReadTable] = []
    notes: list[Note] = []
    known = numeric_columns()
    of_runs = columns.x in known and columns.y in known and not columns.of_a_table
    for name in inputs:
        where = "standard input" if name == STDIN else name
        if any(table.where == where for table in tables):
            raise InputError(
                f"{where} is named twice.", hint="Name each table once, or its runs count twice."
            )
        if name != STDIN and Path(name).is_dir():
            if of_runs and is_results_folder(Path(name)):
                results.append(read_results(name, recover=recover))
                continue
            found, said = _folder_tables(Path(name), recover=recover)
            tables += found
            notes += said
            continue
        data = _standard_input() if name == STDIN else read_bytes(Path(name))
        if of_runs and _holds_runs(data):
            results.append(parse_results(data, Path(where), recover=recover))
            continue
        rows, recovered = _rows(data, where, recover=recover)
        tables.append(ReadTable(where, rows))
        notes += recovered
    _require_once(tables)
    return Inputs(tuple(results), _pooled(tables), tuple(notes))


def _require_once(tables: Sequence[ReadTable]) -> None:
    """Refuse a table that was named twice, by whatever path or folder: its runs would count twice.

    Raises:
        InputError: there is one.
    """
    seen: dict[str, str] = {}
    for table in tables:
        place = "" if table.where == "standard input" else str(Path(table.where).resolve())
        if place in seen:
            other = seen[place]
            named = (
                f"{table.where} is named twice"
                if other == table.where
                else f"{other} and {table.where} are one file"
            )
            raise InputError(f"{named}.", hint="Name each table once, or its runs count twice.")
        seen[place] = table.where


def points_of(inputs: Inputs, columns: Columns) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """The groups of points of what was read, all with one unit of y, and the notes.

    Raises:
        InputError: as ``load_points``.
    """
    groups: list[Points] = []
    notes = list(inputs.notes)
    if inputs.results:
        called, pooled = source_names(inputs.results, [str(result.path) for result in inputs.results])
        notes += [*(note for result in inputs.results for note in result.notes), *pooled]
        sources = [Source(name, result.runs) for name, result in zip(called, inputs.results, strict=True)]
        found, said = group_runs(sources, x=columns.x, y=columns.y)
        groups += found
        notes += said
    for table in inputs.tables:
        found, said = table_groups(table.rows, table.where, columns, places=table.places)
        groups += _told_apart(found, table.where) if len(inputs.tables) + len(inputs.results) > 1 else found
        notes += said
    groups = _numbered(groups)
    unit = unit_of(columns.y, np.concatenate([points.y for points in groups]), columns.y_unit)
    if unit.name and (inputs.tables or unit.source == "option"):
        notes.append(unit.note(columns.y))
    return tuple(replace(points, unit=unit) for points in groups), tuple(notes)


def _numbered(groups: Sequence[Points]) -> list[Points]:
    """No two groups of one name: cells "a b" and "c" make the name that "a" and "b c" make, so a number goes behind it."""
    taken: set[str] = set()
    told = []
    for points in groups:
        label, number = points.label, 1
        while label in taken:
            number += 1
            label = f"{points.label} ({number})"
        taken.add(label)
        told.append(replace(points, label=label))
    return told


def _told_apart(groups: Sequence[Points], where: str) -> list[Points]:
    """Labels with their file: the same name in two tables need not mean the same."""
    return [
        points if points.label == where else replace(points, label=f"{points.label} ({where})")
        for points in groups
    ]


def pick(groups: Sequence[Points], configs: Sequence[str]) -> tuple[Points, ...]:
    """The groups whose label, or label without its study, was named; all without names.

    Raises:
        InputError: a name that no group has, with the nearest one.
    """
    if not configs:
        return tuple(groups)
    names = {points.label: points.label.split(" (")[0] for points in groups}
    for config in configs:
        if config not in names and config not in names.values():
            near = nearest(config, [*names, *names.values()], cutoff=0.5)
            there = ", ".join(list(names)[:12])
            raise InputError(
                f"--configs: there is no configuration {config!r}.",
                hint=f"Did you mean {near}?" if near else f"There are {there}.",
            )
    return tuple(points for points in groups if points.label in configs or names[points.label] in configs)


def _rows(data: bytes, where: str, *, recover: bool) -> tuple[list[Row], tuple[Note, ...]]:
    """The rows of a table; of a damaged JSON file with ``recover`` its complete runs or lines, and a note.

    Raises:
        InputError: as ``read_table``.
    """
    try:
        return read_table(data, where), ()
    except InputError as problem:
        found = complete_lines(data) or salvage(data).rows
        if not (recover and found):
            raise with_recovery(problem, possible=bool(found)) from None
        message = f"{problem.message} {counted(len(found), 'complete row was', 'complete rows were')} recovered from it."
        return found, (Note("recovered", message, "warning"),)


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        raise InputError(
            "- reads standard input, and nothing is piped in.", hint="Pipe a file in, or name one."
        )
    data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise InputError(f"Standard input is larger than {SIZE_LIMIT // 1024**2} MiB.")
    return decompressed(data, "Standard input", SIZE_LIMIT)


def _folder_tables(folder: Path, *, recover: bool) -> tuple[list[ReadTable], list[Note]]:
    """The table of a results folder, or the rows of a folder with one JSON file a run.

    Raises:
        InputError: there is neither, or a file cannot be read.
    """
    own = [folder / name for name in ("runs.csv", SUMMARY_FILE) if (folder / name).is_file()]
    every = (path for pattern in _RUN_FILES for path in sorted(folder.glob(pattern)))
    files = own[:1] or [path for path in every if not path.name.startswith(".")]
    if not files:
        raise InputError(
            f"{folder} is a folder without runs.csv or one JSON file a run.",
            hint="Name a table: a CSV, JSON or Parquet file.",
        )
    tables: list[ReadTable] = []
    notes: list[Note] = []
    for path in files:
        rows, said = _rows(read_bytes(path), str(path), recover=recover)
        tables.append(ReadTable(str(path), rows))
        notes += said
    return tables, notes


def _pooled(tables: Sequence[ReadTable]) -> tuple[ReadTable, ...]:
    """Several tables of one row each as one table; others as they are."""
    single = [table for table in tables if len(table.rows) == 1]
    if len(single) < 2:
        return tuple(tables)
    places = tuple(table.where for table in single)
    rows = [row for table in single for row in table.rows]
    return (
        ReadTable(counted(len(single), "file"), rows, places),
        *(table for table in tables if len(table.rows) != 1),
    )


def _holds_runs(data: bytes) -> bool:
    """Whether these bytes are results and not just a table: a CSV with configurations, or JSON with runs' keys."""
    start = data[:_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"[", b"{"):
        return bool(_RUN_KEY.search(start)) and not _JSON_LINES.match(start)
    first = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    return GROUP_COLUMN in [part.strip().strip('"') for part in first.split(separator_of(first))]
