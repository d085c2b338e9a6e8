"""A small log-log plot of points and curves in text, for a terminal."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.laws.names import JOINTS
from cvfp_cli.layout import fold
from cvfp_cli.scaling.numbers import figure, size
from cvfp_cli.scaling.result import Fit

LEAST_COLUMNS, LEAST_ROWS = 60, 24
HEIGHT = 14
MARKS = "oxv+*#@%&abcdefghijklmnpqrstuwyz"


def terminal_plot(fits: Sequence[Fit], columns: int, rows: int) -> str:
    """Measured points (one mark a configuration) and the first law's curve (dots), or nothing if space is short.

    The curve joins the fitted points; between them it is drawn straight in logarithms.
    """
    drawn = [fit for fit in fits if fit.law not in JOINTS]
    if not drawn or columns < LEAST_COLUMNS or rows < LEAST_ROWS:
        return ""
    first_law = drawn[0].law
    drawn = [fit for fit in drawn if fit.law == first_law][: len(MARKS)]
    xs = np.log([point.x for fit in drawn for point in fit.fitted])
    ys = np.log([value for fit in drawn for point in fit.fitted for value in (point.y, point.predicted)])
    left, right, bottom, top = xs.min(), xs.max(), ys.min(), ys.max()
    if right == left or top == bottom:
        return ""
    margin = max(len(figure(float(np.exp(end)), 3)) for end in (bottom, top)) + 1
    width = min(columns, 100) - margin - 3
    canvas = [[" "] * width for _ in range(HEIGHT)]

    def cell(x: float, y: float) -> tuple[int, int]:
        across = round((x - left) / (right - left) * (width - 1))
        down = round((top - y) / (top - bottom) * (HEIGHT - 1))
        return min(max(down, 0), HEIGHT - 1), min(max(across, 0), width - 1)

    for fit in drawn:
        knots = sorted({(np.log(point.x), np.log(point.predicted)) for point in fit.fitted})
        line_x = np.linspace(knots[0][0], knots[-1][0], 2 * width)
        for x, y in zip(
            line_x, np.interp(line_x, [knot[0] for knot in knots], [knot[1] for knot in knots]), strict=True
        ):
            row, column = cell(float(x), float(y))
            canvas[row][column] = "."
    for fit, mark in zip(drawn, MARKS, strict=False):
        for point in fit.fitted:
            row, column = cell(float(np.log(point.x)), float(np.log(point.y)))
            canvas[row][column] = mark
    lines = []
    for i, drawn_row in enumerate(canvas):
        label = (
            figure(float(np.exp(top)), 3)
            if i == 0
            else figure(float(np.exp(bottom)), 3)
            if i == HEIGHT - 1
            else ""
        )
        lines.append(f"{label:>{margin}} |{''.join(drawn_row)}".rstrip())
    ends = size(round(float(np.exp(left)))), size(round(float(np.exp(right))))
    lines.append(" " * margin + " +" + "-" * width)
    lines.append(" " * (margin + 2) + ends[0] + ends[1].rjust(width - len(ends[0])))
    key = [f"{mark} {fit.config or 'points'}" for fit, mark in zip(drawn, MARKS, strict=False)]
    lines += fold(
        f"{drawn[0].y} over {drawn[0].x}, both logarithmic; dots: {first_law}; {', '.join(key)}", columns
    )
    return "\n".join(lines) + "\n"
