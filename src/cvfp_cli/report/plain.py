"""A report as plain text for the terminal, and its tables as tidy CSV."""

import csv
import io

from wcwidth import wcswidth

from cvfp_cli.report.boxes import SIGNS, box_lines
from cvfp_cli.report.markdown import heatmap_title, is_text, subheading
from cvfp_cli.report.model import (
    Block,
    Column,
    Commands,
    Finding,
    Findings,
    Heatmap,
    Report,
    Subheading,
    Table,
    Value,
)
from cvfp_cli.report.text import Language

GAP = "  "
WIDEST = 48  # columns that hold words are folded beyond this


def render_plain(report: Report, language: Language) -> str:
    """The whole document with aligned tables, never wrapped."""
    lines: list[str] = []
    for section in report.sections:
        if lines:
            lines.append("")
        title = printable(language.label(f"section.{section.key}"))
        lines += [title, "=" * max(1, wcswidth(title))]
        if section.omitted is not None:
            lines.append(printable(language.label("omitted", {"reason": section.omitted})))
        for block in section.blocks:
            lines += _block(block, language)
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """Text without control characters, so that data cannot steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _block(block: Block, language: Language) -> list[str]:
    if isinstance(block, Subheading):
        return ["", printable(subheading(block, language))]
    if isinstance(block, Findings):
        return [f"- {_sentence(item, language)}" for item in block.items]
    if isinstance(block, Table):
        return _table(block, language)
    if isinstance(block, Heatmap):
        return [
            "",
            printable(heatmap_title(block, language)),
            *box_lines(block),
            *_notes(block.notes, language),
        ]
    if isinstance(block, Commands):
        return [f"    {printable(line)}" for line in block.lines]
    return []


def _sentence(finding: Finding, language: Language) -> str:
    sign = "! " if finding.severity == "warning" else ""
    return sign + printable(language.sentence(finding))


def _notes(notes: tuple[Finding, ...], language: Language) -> list[str]:
    return [f"  {_sentence(note, language)}" for note in notes]


def _table(table: Table, language: Language) -> list[str]:
    texts = [[printable(language.heading(column)) for column in table.columns]]
    for row in table.rows:
        texts.append(
            [_cell(value, column, language) for value, column in zip(row, table.columns, strict=True)]
        )
    widths = [max(wcswidth(line[i]) for line in texts) for i in range(len(table.columns))]
    lines = [""]
    for line in texts:
        cells = [
            _padded(text, min(width, WIDEST) if is_text(column.kind) else width, left=is_text(column.kind))
            for text, width, column in zip(line, widths, table.columns, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
        if len(lines) == 2:
            lines.append("-" * max(1, wcswidth(lines[1])))
    return [*lines, *_notes(table.notes, language)]


def _padded(text: str, width: int, *, left: bool) -> str:
    space = " " * max(0, width - wcswidth(text))
    return text + space if left else space + text


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
