"""A report as plain text for the terminal, and its tables as tidy CSV."""

import csv
import io

from cvfp_cli.layout import UNBOUNDED, Screen, bands, cells
from cvfp_cli.reports.boxes import SIGNS, box_lines
from cvfp_cli.reports.markdown import heatmap_title, is_text, subheading
from cvfp_cli.reports.model import (
    Block,
    Column,
    Commands,
    Finding,
    Findings,
    Heatmap,
    Report,
    Statements,
    Subheading,
    Table,
    Value,
)
from cvfp_cli.reports.text import Language

NAMES = ("config", "alias", "first", "second", "parameter")
"""Columns that name a table's rows, where they stand at its front."""


def render_plain(report: Report, language: Language, screen: Screen = UNBOUNDED) -> str:
    """The whole document with aligned tables, in lines that the screen holds; without one as wide as they are."""
    lines: list[str] = []
    for section in report.sections:
        if lines:
            lines.append("")
        title = printable(language.label(f"section.{section.key}"))
        lines += [*screen.lines(title), "=" * max(1, min(cells(title), screen.width))]
        if section.omitted is not None:
            lines += screen.lines(printable(language.label("omitted", {"reason": section.omitted})))
        for block in section.blocks:
            lines += _block(block, language, screen)
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """Text without control characters, so that data cannot steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _block(block: Block, language: Language, screen: Screen) -> list[str]:
    if isinstance(block, Subheading):
        return ["", *screen.lines(printable(subheading(block, language)))]
    if isinstance(block, Findings):
        return [line for item in block.items for line in screen.lines(_sentence(item, language), first="- ")]
    if isinstance(block, Statements):
        findings = tuple(item.finding for item in block.items)
        return _block(Findings(findings), language, screen)
    if isinstance(block, Table):
        return _table(block, language, screen)
    if isinstance(block, Heatmap):
        return [
            "",
            *screen.lines(printable(heatmap_title(block, language))),
            *box_lines(block),
            *_notes(block.notes, language, screen),
        ]
    if isinstance(block, Commands):
        return [f"    {printable(line)}" for line in block.lines]
    return []


def _sentence(finding: Finding, language: Language) -> str:
    sign = "! " if finding.severity == "warning" else ""
    return sign + printable(language.sentence(finding))


def _notes(notes: tuple[Finding, ...], language: Language, screen: Screen) -> list[str]:
    return [
        line for note in notes for line in screen.lines(_sentence(note, language), first="  ", then="    ")
    ]


def _table(table: Table, language: Language, screen: Screen) -> list[str]:
    rows = [
        [_cell(value, column, language) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    named = [column.key in NAMES for column in table.columns]
    lines = []
    for band in bands(
        [printable(language.heading(column)) for column in table.columns],
        rows,
        left=[is_text(column.kind) for column in table.columns],
        width=screen.width,
        heads=max(1, (*named, False).index(False)),
    ):
        lines += ["", *band.header, "-" * band.width, *(line for row in band.rows for line in row)]
    return [*lines, *_notes(table.notes, language, screen)]


def _cell(value: Value, column: Column, language: Language) -> str:
    text = printable(language.figure(value, column.kind))
    return f"{text} {SIGNS[value.mark]}" if value.mark else text


def render_csv(report: Report) -> str:
    """Every figure of every table in one tidy CSV: table, row, column, value, low, high, mark.

    A row is named by its cells of words; columns that repeat over sizes carry the size (``ppl@500``).
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("table", "row", "column", "value", "low", "high", "mark"))
    tables = [block for section in report.sections for block in section.blocks if isinstance(block, Table)]
    for table in tables:
        heads = [i for i, column in enumerate(table.columns) if column.kind == "text"]
        for row in table.rows:
            name = " / ".join(str(row[i].value) for i in heads if row[i].value is not None)
            for i, (column, value) in enumerate(zip(table.columns, row, strict=True)):
                if i in heads:
                    continue
                key = f"{column.key}@{column.values['size']:g}" if "size" in column.values else column.key
                for suffix, figure in _figures(value):
                    ends = ("" if end is None else repr(end) for end in (figure.low, figure.high))
                    shown = "" if figure.value is None else figure.value
                    writer.writerow((table.key, _safe(name), key + suffix, _safe(shown), *ends, value.mark))
    return out.getvalue()


def _figures(value: Value) -> list[tuple[str, Value]]:
    """A figure, or the figures of the finding that stands in its place."""
    if not isinstance(value.value, Finding):
        return [("", value)]
    found: list[tuple[str, Value]] = [("", Value(value.value.code))]
    for name, item in value.value.values.items():
        if isinstance(item, Value):
            found.append((f".{name}", item))
        elif isinstance(item, str | int | float) or item is None:
            found.append((f".{name}", Value(item)))
    return found


def _safe(value: object) -> object:
    """Text that a spreadsheet does not take for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
