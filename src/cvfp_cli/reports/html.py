"""A report as one self-contained HTML file: no scripts, no requests, light and dark, for screen, phone and paper."""

from html import escape as escape_html
from importlib.resources import files
from itertools import count

from cvfp_cli.reports.boxes import SIGNS, cell_text
from cvfp_cli.reports.charts import draw, warmth
from cvfp_cli.reports.format import interval, number
from cvfp_cli.reports.markdown import heatmap_title, is_text, section_title, subheading
from cvfp_cli.reports.model import (
    Block,
    Chart,
    Column,
    Commands,
    Finding,
    Findings,
    Heatmap,
    Location,
    Picture,
    Report,
    Section,
    Statements,
    Subheading,
    Table,
    Value,
    walked,
)
from cvfp_cli.reports.text import Language

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LONG = 16  # characters from which a cell of words may wrap


def render_html(report: Report, language: Language) -> str:
    """The whole page."""
    title = clean(report.title or language.label(f"title.{report.kind}", report.title_values))
    assets = files("cvfp_cli.reports").joinpath("assets")
    style = "".join(
        assets.joinpath(f"{name}.css").read_text(encoding="utf-8") for name in ("pictures", "report")
    )
    page = _Page(report, language)
    sections = [page.section(section) for section in report.sections]
    contents = "".join(
        f'<li><a href="#{section.key}">{clean(section_title(report, section.key, language))}</a></li>'
        for section in report.sections
    )
    name = clean(language.label("contents"))
    return (
        f'<!DOCTYPE html>\n<html lang="{language.code}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n</head>\n<body>\n'
        f'<header><h1>{title}</h1></header>\n<nav aria-label="{name}"><ul>{contents}</ul></nav>\n<main>\n'
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def clean(text: str) -> str:
    """Text as HTML shows it, control characters taken out."""
    return escape_html("".join(letter if letter.isprintable() else " " for letter in text))


class _Page:
    """Renders blocks; keeps the numbering of identifiers and the heading that a table stands under."""

    def __init__(self, report: Report, language: Language) -> None:
        self.report, self.language = report, language
        # The first heading of each target; identifiers are given once.
        self.targets = {target for section in report.sections for _, target in walked(section)}
        self.targets |= {Location(section.key) for section in report.sections}
        self.given: set[Location] = set()
        self.numbers = count(1)
        self.heading = ""

    def section(self, section: Section) -> str:
        self.heading = section_title(self.report, section.key, self.language)
        head = f'<section id="{section.key}" aria-labelledby="h-{section.key}"><h2 id="h-{section.key}">{clean(self.heading)}</h2>'
        if section.omitted is not None:
            reason = clean(self.language.label("omitted", {"reason": section.omitted}))
            return f"{head}<p>{reason}</p></section>"
        return head + "\n".join(self.block(block, target) for block, target in walked(section)) + "</section>"

    def identifier(self, target: Location) -> str:
        """The attribute of a heading that statements may point to."""
        if target in self.given or target == Location(target.section):
            return ""
        self.given.add(target)
        return f' id="{_named(target)}"'

    def block(self, block: Block, target: Location) -> str:
        if isinstance(block, Subheading):
            self.heading = subheading(block, self.language)
            return f"<h3{self.identifier(target)}>{clean(self.heading)}</h3>"
        if isinstance(block, Statements):
            return self.statements(block)
        if isinstance(block, Picture):
            shown = block.chart or block.box
            return self.block(shown, target) if shown is not None else ""
        if isinstance(block, Findings):
            return self.findings(block.items)
        if isinstance(block, Table):
            return self.table(block)
        if isinstance(block, Heatmap):
            return self.heatmap(block, target)
        if isinstance(block, Chart):
            return draw(block, self.language, f"chart{next(self.numbers)}")
        assert isinstance(block, Commands)
        lines = "\n".join(clean(line) for line in block.lines)
        return f'<pre tabindex="0"><code>{lines}</code></pre>'

    def statements(self, block: Statements) -> str:
        """Findings, each with a link to where its figures stand."""
        entries = []
        for item in block.items:
            text = self.entry(item.finding)
            if item.target in self.targets:
                assert item.target is not None
                name = clean(section_title(self.report, item.target.section, self.language))
                text = text.removesuffix("</li>") + f' <a href="#{_named(item.target)}">→ {name}</a></li>'
            entries.append(text)
        return f'<ul class="statements">{"".join(entries)}</ul>'

    def entry(self, item: Finding) -> str:
        """A finding as an item of a list."""
        text = clean(self.language.sentence(item))
        return f'<li class="warning">⚠ {text}</li>' if item.severity == "warning" else f"<li>{text}</li>"

    def findings(self, items: tuple[Finding, ...]) -> str:
        return f"<ul>{''.join(map(self.entry, items))}</ul>" if items else ""

    def notes(self, notes: tuple[Finding, ...]) -> str:
        return f'<div class="notes">{self.findings(notes)}</div>' if notes else ""

    def scroller(self, content: str) -> str:
        """A box that scrolls sideways, can be reached by keyboard, and has a name of its own."""
        name = f"{clean(self.heading)} ({next(self.numbers)})"
        return f'<div class="scroll" tabindex="0" role="group" aria-label="{name}">{content}</div>'

    def table(self, table: Table) -> str:
        heads = "".join(
            f'<th scope="col"{_class(column, head)}>{head}</th>'
            for column, head in ((column, clean(self.language.heading(column))) for column in table.columns)
        )
        rows = []
        for row in table.rows:
            cells = [
                self.cell(value, column, i == 0)
                for i, (value, column) in enumerate(zip(row, table.columns, strict=True))
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
        body = f"{_opened(len(table.columns))}<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return self.scroller(body) + self.notes(table.notes)

    def cell(self, value: Value, column: Column, heads_row: bool) -> str:
        if value.bounded and not is_text(column.kind):
            bare = Value(value.value, top=value.top, starred=value.starred)
            text = clean(self.language.figure(bare, column.kind))
            ends = clean(interval(value, column.kind, self.language.open_end))
            shown = f'{self.marked(text, value)} <span class="range">{ends}</span>'
        else:
            text = clean(self.language.figure(value, column.kind))
            shown = self.marked(text, value)
        if heads_row:
            return f'<th scope="row"{_class(column, text)}>{shown}</th>'
        return f"<td{_class(column, text)}>{shown}</td>"

    def marked(self, text: str, value: Value) -> str:
        if not value.mark:
            return text
        name = clean(self.language.label(f"mark.{value.mark}"))
        sign = f'<span role="img" aria-label="{name}" title="{name}">{SIGNS[value.mark]}</span>'
        return f"<strong>{text}</strong> {sign}" if value.mark == "best" else f"{text} {sign}"

    def heatmap(self, heatmap: Heatmap, target: Location) -> str:
        """The boxed heatmap as a table, warmer where the figure is better."""
        self.heading = heatmap_title(heatmap, self.language)
        tokens = clean(self.language.term("tokens"))
        layers = clean(self.language.term("layers"))
        heads = "".join(f'<th scope="col">{number(token, "plain")}</th>' for token in heatmap.tokens)
        rows = []
        for layer, row, shares in zip(heatmap.layers, heatmap.cells, warmth(heatmap), strict=True):
            cells = "".join(
                f'<td style="--heat:{share:.0f}%">{self.marked(clean(cell_text(value, heatmap)), value)}</td>'
                for value, share in zip(row, shares, strict=True)
            )
            rows.append(f'<tr><th scope="row">{number(layer, "plain")}</th>{cells}</tr>')
        table = (
            f'{_opened(len(heatmap.tokens) + 1, "heatmap")}<thead><tr><th scope="col">{layers} \\ {tokens}</th>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )
        head = f"<h3{self.identifier(target)}>{clean(self.heading)}</h3>"
        return f"{head}{self.scroller(table)}{self.notes(heatmap.notes)}"


def _named(target: Location) -> str:
    """A heading's identifier: a section's key, with the family's number and the heading's key where it is within."""
    at_start = target == Location(target.section)
    return target.section if at_start else f"{target.section}-{target.family}-{target.heading or 'family'}"


def _opened(columns: int, kind: str = "") -> str:
    """A table's tag; the style sheet sets print small enough for this many columns."""
    named = f' class="{kind}"' if kind else ""
    return f'<table{named} style="--columns:{columns}">'


def _class(column: Column, text: str) -> str:
    if not is_text(column.kind):
        return ' class="figure"'
    return ' class="long"' if len(text) > LONG else ""
