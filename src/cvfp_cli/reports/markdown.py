"""A report as GitHub Markdown: never wrapped, never coloured, every figure from the report's data."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cvfp_cli.markdown import escape, fenced, pipe_table
from cvfp_cli.reports.boxes import SIGNS, box_lines
from cvfp_cli.reports.model import (
    Block,
    Chart,
    Commands,
    Finding,
    Findings,
    Heatmap,
    Location,
    Picture,
    Report,
    Statement,
    Statements,
    Subheading,
    Table,
    Value,
    walked,
)
from cvfp_cli.reports.text import Language

if TYPE_CHECKING:
    from cvfp_cli.reports.figures import PictureFiles


def render_markdown(report: Report, language: Language, figures: "PictureFiles | None" = None) -> str:
    """The whole document, ending in a newline; with ``figures`` it shows them, in place of boxes."""
    title = report.title or language.label(f"title.{report.kind}", report.title_values)
    lines = [f"# {escape(title)}", ""]
    anchors = _anchors(report, language, title, boxes=figures is None)
    for section in report.sections:
        lines += [f"## {_numbered(report, section.key, language)}", ""]
        if section.omitted is not None:
            lines += [escape(language.label("omitted", {"reason": section.omitted})), ""]
        for block in section.blocks:
            if isinstance(block, Statements):
                lines += [*(_statement(item, report, anchors, language) for item in block.items), ""]
            else:
                lines += _block(block, language, figures)
    return "\n".join(lines).rstrip("\n") + "\n"


def section_title(report: Report, key: str, language: Language) -> str:
    """``3. Heatmaps``; ``Appendix A. …`` for what nothing else rests on."""
    number, section = next(
        pair for pair in zip(report.numbers, report.sections, strict=True) if pair[1].key == key
    )
    form = "appendix" if section.appendix else "numbered"
    return language.label(form, {"number": number, "title": language.label(f"section.{key}")})


def _anchors(report: Report, language: Language, title: str, *, boxes: bool) -> dict[Location, str]:
    """Where each heading is found: by its words as GitHub links them, counted where they come again."""
    used = Counter([_slug(title)])
    anchors: dict[Location, str] = {}

    def take(target: Location, heading: str) -> None:
        slug = _slug(heading)
        anchors.setdefault(target, f"{slug}-{used[slug]}" if used[slug] else slug)
        used[slug] += 1

    for section in report.sections:
        take(Location(section.key), section_title(report, section.key, language))
        for block, target in walked(section):
            if isinstance(block, Subheading):
                take(target, subheading(block, language))
            elif isinstance(block, Picture) and block.box is not None and boxes:
                take(Location(section.key, "picture"), heatmap_title(block.box, language))
            elif isinstance(block, Heatmap):
                take(target, heatmap_title(block, language))
    return anchors


def _slug(heading: str) -> str:
    kept = (letter for letter in heading.lower() if letter.isalnum() or letter in "-_ ")
    return "".join("-" if letter == " " else letter for letter in kept)


def _statement(item: Statement, report: Report, anchors: Mapping[Location, str], language: Language) -> str:
    text = f"- {_prefixed(item.finding, language)}"
    anchor = anchors.get(item.target) if item.target is not None else None
    if item.target is None or anchor is None:
        return text
    return f"{text} [→ {_numbered(report, item.target.section, language)}](#{anchor})"


def _numbered(report: Report, key: str, language: Language) -> str:
    """The same, without a backslash behind its number: after a sign that begins a line no number makes a list."""
    return escape(section_title(report, key, language)).replace("\\.", ".", 1)


def _block(block: Block, language: Language, figures: "PictureFiles | None") -> list[str]:
    picture = figures.link(block) if figures is not None else None
    if picture is not None:
        if not isinstance(block, Heatmap):
            return [picture, ""]
        return [_heading(block, language), "", picture, "", *_notes(block.notes, language)]
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
    if isinstance(block, Picture):
        return _heatmap(block.box, language) if block.box is not None else []
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
    return [
        _heading(heatmap, language),
        "",
        "```text",
        *box_lines(heatmap),
        "```",
        "",
        *_notes(heatmap.notes, language),
    ]


def _heading(heatmap: Heatmap, language: Language) -> str:
    return f"### {escape(heatmap_title(heatmap, language))}"


def _notes(notes: tuple[Finding, ...], language: Language) -> list[str]:
    """How to read a table: quoted, to be told from what it shows."""
    return [*(f"> - {_prefixed(note, language)}" for note in notes), ""] if notes else []
