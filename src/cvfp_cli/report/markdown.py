"""A report as GitHub Markdown: never wrapped, never coloured, every figure from the report's data."""

from cvfp_cli.markdown import escape, fenced, pipe_table
from cvfp_cli.report.boxes import SIGNS, box_lines
from cvfp_cli.report.model import (
    Block,
    Chart,
    Commands,
    Finding,
    Findings,
    Heatmap,
    Report,
    Section,
    Subheading,
    Table,
    Value,
)
from cvfp_cli.report.text import Language


def render_markdown(report: Report, language: Language) -> str:
    """The whole document, ending in a newline."""
    title = report.title or language.label(f"title.{report.kind}", report.title_values)
    lines = [f"# {escape(title)}", ""]
    for number, section in enumerate(report.sections, 1):
        lines += [f"## {number}. {escape(language.label(f'section.{section.key}'))}", ""]
        lines += _section(section, language)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(section: Section, language: Language) -> list[str]:
    if section.omitted is not None:
        return [escape(language.label("omitted", {"reason": section.omitted})), ""]
    lines: list[str] = []
    for block in section.blocks:
        lines += _block(block, language)
    return lines


def _block(block: Block, language: Language) -> list[str]:
    if isinstance(block, Subheading):
        return [f"### {escape(subheading(block, language))}", ""]
    if isinstance(block, Findings):
        return [*(f"- {_prefixed(item, language)}" for item in block.items), ""] if block.items else []
    if isinstance(block, Table):
        return _table(block, language)
    if isinstance(block, Heatmap):
        return _heatmap(block, language)
    if isinstance(block, Commands):
        return ["```bash", *(fenced(line) for line in block.lines), "```", ""]
    assert isinstance(block, Chart)
    return []


def subheading(block: Subheading, language: Language) -> str:
    """A subheading's text; a configuration's own name in the recipe stands in brackets."""
    key = f"heading.{block.key}"
    if block.values.get("alias"):
        key += "-alias"
    return language.label(key, block.values)


def heatmap_title(block: Heatmap, language: Language) -> str:
    """What a box shows, and the unit of its figures."""
    return language.label(f"heatmap.{block.key}{'-unit' if block.unit else ''}", block.values)


def _prefixed(finding: Finding, language: Language) -> str:
    text = escape(language.sentence(finding))
    return f"⚠ {text}" if finding.severity == "warning" else text


def _table(table: Table, language: Language) -> list[str]:
    heads = [escape(language.heading(column), cell=True) for column in table.columns]
    rows = [
        [_cell(value, column.kind, language) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    left = [is_text(column.kind) for column in table.columns]
    return [*pipe_table(heads, rows, left=left), "", *_notes(table.notes, language)]


def is_text(kind: str) -> bool:
    """Whether a column holds words rather than figures."""
    return kind in ("text", "term", "finding", "mixed")


def _cell(value: Value, kind: str, language: Language) -> str:
    text = escape(language.figure(value, kind), cell=True)
    if value.mark == "best":
        return f"**{text}** {SIGNS['best']}"
    return f"{text} {SIGNS['tied']}" if value.mark == "tied" else text


def _heatmap(heatmap: Heatmap, language: Language) -> list[str]:
    title = escape(heatmap_title(heatmap, language))
    return [f"### {title}", "", "```", *box_lines(heatmap), "```", "", *_notes(heatmap.notes, language)]


def _notes(notes: tuple[Finding, ...], language: Language) -> list[str]:
    """How to read a table: quoted, to be told from what it shows."""
    return [*(f"> - {_prefixed(note, language)}" for note in notes), ""] if notes else []
