"""Heatmaps as boxed text, in the form of the studies.

Inside a box stand only ASCII digits, signs, ``%``, ``*`` and spaces: box lines, stars and Greek letters have no
agreed width in Japanese fonts, so everything else comes after the closing bar.
"""

from wcwidth import wcswidth

from cvfp_cli.reports.format import MISSING, number
from cvfp_cli.reports.model import Heatmap, Value

SIGNS = {"best": "★", "tied": "≈"}
HEAD = "layers"
TOP = "input_tokens"


def cell_text(value: Value, heatmap: Heatmap) -> str:
    """One figure as it stands in the box: ``198``, ``6-7``, ``40*``; ``-`` where it is missing."""
    if not isinstance(value.value, int | float):
        return MISSING
    kind = "ratio" if heatmap.unit else heatmap.kind
    text = number(value.value / 10.0**heatmap.unit, kind)
    if value.top is not None:
        text += f"-{number(value.top, kind)}"
    text = text.replace(",", "") + ("*" if value.starred else "")
    return text


def box_lines(heatmap: Heatmap) -> list[str]:
    """The box, line by line; marks follow the bar, named after their column."""
    cells = [[cell_text(value, heatmap) for value in row] for row in heatmap.cells]
    heads = [str(token) for token in heatmap.tokens]
    width = max(6, *(wcswidth(text) + 2 for row in [heads, *cells] for text in row))
    labels = [str(layer) for layer in heatmap.layers]
    margin = max(len(HEAD) + 2, *(len(label) + 5 for label in labels))
    inner = width * len(heads) + 1
    lines = [
        " " * (margin + 1) + TOP,
        " " * (margin + 1) + "".join(f"{head:>{width}}" for head in heads),
        f"{HEAD:<{margin}}┌{'─' * inner}┐",
    ]
    for label, row, values in zip(labels, cells, heatmap.cells, strict=True):
        text = "".join(f"{cell:>{width}}" for cell in row)
        lines.append(f"{label:^{margin}}│{text} │{_marks(values, heatmap)}".rstrip())
    lines.append(f"{' ' * margin}└{'─' * inner}┘")
    return lines


def _marks(values: tuple[Value, ...], heatmap: Heatmap) -> str:
    """``  ← ★ 2tok`` or ``  ← ≈ 1tok, 3tok``."""
    marked = [
        (SIGNS[value.mark], f"{token}tok")
        for value, token in zip(values, heatmap.tokens, strict=True)
        if value.mark
    ]
    if not marked:
        return ""
    return f"  ← {marked[0][0]} {', '.join(name for _, name in marked)}"
