"""A document as plain text or Markdown, and a study as JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence

from cvfp_cli.layout import UNBOUNDED, Screen, bands, cells
from cvfp_cli.markdown import escape, pipe_table
from cvfp_cli.scaling.blocks import Block, Heading, Line, TextTable
from cvfp_cli.scaling.document import study_blocks
from cvfp_cli.scaling.figure_rows import HEADER, figure_rows
from cvfp_cli.scaling.study import Study


def to_text(study: Study, screen: Screen = UNBOUNDED) -> str:
    """Aligned columns and sentences, in lines that the screen holds; without one as wide as they are."""
    return blocks_text(study_blocks(study), screen)


def blocks_text(blocks: Sequence[Block], screen: Screen = UNBOUNDED) -> str:
    """The same of any blocks."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            rule = "=" if block.level == 1 else "-"
            parts += ["", *screen.lines(block.text), rule * min(cells(block.text), screen.width)]
        elif isinstance(block, TextTable):
            parts += _aligned(block, screen)
        else:
            parts += screen.lines(block.text)
    return "\n".join(parts).strip("\n") + "\n"


def to_markdown(study: Study) -> str:
    """For a document: headings, pipe tables, paragraphs."""
    return blocks_markdown(study_blocks(study))


def blocks_markdown(blocks: Sequence[Block]) -> str:
    """The same of any blocks."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * (block.level + 1)} {escape(block.text)}"
    if isinstance(block, Line):
        return escape(block.text)
    header, rows = _used(block)
    heads, *cells = [[escape(cell, cell=True) for cell in row] for row in (header, *rows)]
    return "\n".join(pipe_table(heads, cells, left=[i == 0 for i in range(len(heads))]))


def _used(table: TextTable) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table without columns that have neither a header nor a cell."""
    keep = [i for i, name in enumerate(table.header) if name or any(row[i] for row in table.rows)]
    return tuple(table.header[i] for i in keep), [tuple(row[i] for i in keep) for row in table.rows]


def _aligned(table: TextTable, screen: Screen) -> list[str]:
    header, rows = _used(table)
    lines: list[str] = []
    for i, band in enumerate(
        bands(header, rows, left=[i == 0 for i in range(len(header))], width=screen.width, indent="  ")
    ):
        lines += [*([""] if i else []), *band.header, *(line for row in band.rows for line in row)]
    return lines


def to_json(study: Study) -> str:
    """The documented shape; JSON has no NaN or infinity, so neither has this."""
    return json.dumps(study.to_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def to_csv(study: Study) -> str:
    """One line a figure, as ``figure_rows``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(figure_rows(study))
    return out.getvalue()
