"""Fuzz the reader of plain tables with atheris (``pip install atheris``; no part of the test run)::

    python tests/study/fuzz.py -timeout=5 -runs=1000000 WORK_FOLDER tests/study/corpus

Any exception but InputError, a refusal of more than one line, points that are no numbers, a label that is no one
printable line, or an input that takes over 5 s stops it.
"""

import math
import sys

import atheris

with atheris.instrument_imports(
    include=[
        "cvfp_cli.study.tables",
        "cvfp_cli.study.table_points",
        "cvfp_cli.results.jsontext",
        "csv",
        "json",
    ]
):
    from cvfp_cli.errors import InputError
    from cvfp_cli.study.table_points import Columns, table_groups
    from cvfp_cli.study.tables import read_table


def one_input(data: bytes) -> None:
    """Read the bytes as a table, and its points with and without groups and parameters."""
    try:
        rows = read_table(data, "table")
        for group, parameters in (((), ""), (("g",), ""), ((), "n")):
            found, _ = table_groups(rows, "table", Columns("x", "y", group, parameters))
            for points in found:
                if not points.label.isprintable():
                    raise RuntimeError(f"a label that is no printable line: {points.label!r}")
                if any(math.isnan(value) for value in (*points.x, *points.y)):
                    raise RuntimeError("a point that is no number")
    except InputError as refusal:
        if "\n" in str(refusal):
            raise RuntimeError(f"a refusal of two lines: {refusal!r}") from refusal


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
