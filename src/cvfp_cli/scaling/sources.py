"""Files, folders or standard input into groups of points: results of any age, or any table."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results import Results, parse_results, read_results
from cvfp_cli.results.jsontext import SIZE_LIMIT, read_bytes, salvage
from cvfp_cli.scaling.groups import Source, group_runs, numeric_columns
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.tables import NAME_COLUMNS, read_table, table_groups

STDIN = "-"


@dataclass(frozen=True)
class Columns:
    """Which columns to read.

    Attributes:
        x, y: of the points. group: columns that make a group; empty for the configuration.
        parameters: column of model sizes for the joint law; empty for the results' own counts.
    """

    x: str = "train_tokens"
    y: str = "val_ppl"
    group: tuple[str, ...] = ()
    parameters: str = ""


def load_points(
    inputs: Sequence[str], columns: Columns, *, recover: bool = False
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """Read every input, as results where it is one and as a plain table otherwise.

    Returns:
        groups of points, and notes on what was read.

    Raises:
        InputError: an input that cannot be read, or without these columns.
    """
    results: list[Results] = []
    groups: list[Points] = []
    notes: list[Note] = []
    known = numeric_columns()
    of_runs = columns.x in known and columns.y in known and not columns.group and not columns.parameters
    for name in inputs:
        data = _standard_input() if name == STDIN else None
        where = "standard input" if name == STDIN else name
        if (
            of_runs
            and not (data is None and _is_plain_table(name, columns))
            and not (data is not None and _plain(data, where, columns))
        ):
            results.append(
                read_results(name, recover=recover)
                if data is None
                else parse_results(data, Path("standard input"), recover=recover)
            )
            continue
        rows, recovered = _rows(_table_bytes(Path(name)) if data is None else data, where, recover=recover)
        notes += recovered
        found, said = table_groups(
            rows, where, x=columns.x, y=columns.y, group=columns.group, parameters=columns.parameters
        )
        groups += found
        notes += said
    if results:
        found, said = group_runs(
            [Source(str(result.path), result.runs) for result in results], x=columns.x, y=columns.y
        )
        groups = [*found, *groups]
        notes += [*(note for result in results for note in result.notes), *said]
    return tuple(groups), tuple(notes)


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
            near = difflib.get_close_matches(config, [*names, *names.values()], n=1, cutoff=0.5)
            there = ", ".join(list(names)[:12])
            raise InputError(
                f"--configs: there is no configuration {config!r}.",
                hint=f"Did you mean {near[0]}?" if near else f"There are {there}.",
            )
    return tuple(points for points in groups if points.label in configs or names[points.label] in configs)


def _rows(data: bytes, where: str, *, recover: bool) -> tuple[list[dict[str, Any]], tuple[Note, ...]]:
    """The rows of a table; of a damaged JSON file with ``recover`` its complete runs, and a note.

    Raises:
        InputError: as ``read_table``.
    """
    try:
        return read_table(data, where), ()
    except InputError as problem:
        found = salvage(data).rows if recover else []
        if not found:
            raise
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
    return data


def _table_bytes(path: Path) -> bytes:
    """The bytes of a table; a results folder or ``summary.json`` stands for its runs.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir():
        inside = path / "runs.csv"
        if inside.is_file():
            return read_bytes(inside)
        raise InputError(f"{path} is a folder without runs.csv.", hint="Name a table: a CSV or JSON file.")
    return read_bytes(path)


def _is_plain_table(name: str, columns: Columns) -> bool:
    path = Path(name)
    return (
        path.suffix.lower() in (".csv", ".tsv", ".txt")
        and path.is_file()
        and _plain(read_bytes(path), name, columns)
    )


def _plain(data: bytes, where: str, columns: Columns) -> bool:
    """Whether these bytes are a CSV with the wanted columns and no configuration: a table, not results."""
    first = data[:65536].lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    if first[:1] in (b"[", b"{", b""):
        return False
    header = [
        part.strip().strip('"')
        for part in first.decode("utf-8", "replace").replace("\t", ",").replace(";", ",").split(",")
    ]
    return {columns.x, columns.y} <= set(header) and NAME_COLUMNS[0] not in header
