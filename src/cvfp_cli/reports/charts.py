"""Charts as inline SVG: colours from the page's style sheet, a shape a series so that colour is never needed."""

from collections.abc import Sequence
from html import escape
from math import log10

from cvfp_cli.reports.model import Chart, Series
from cvfp_cli.reports.text import Language
from cvfp_cli.scaling.ticks import log_ticks, tick_labels

WIDTH, HEIGHT = 440.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 10.0, 44.0
COLOURS = 12
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")


class LogScale:
    """One logarithmic axis: data to drawing units."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = log10(min(values)), log10(max(values))
        pad = (high - low) * 0.06 or 0.5
        self.low, self.high = low - pad, high + pad
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        """Where a value lies on the drawing."""
        return self.start + (log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the axis: ones, twos and fives; on a short axis evenly spaced ones."""
        return log_ticks(self.low, self.high)


def draw(chart: Chart, language: Language, identifier: str) -> str:
    """The figure with its caption, drawing and legend."""
    title = language.label(f"chart.{chart.key}", chart.values)
    points = [point for series in chart.series for point in (*series.points, *series.curve)]
    usable = [(x, y) for x, y in points if x > 0 and y > 0]
    if not usable:
        return ""
    x = LogScale([point[0] for point in usable], LEFT, WIDTH - RIGHT)
    y = LogScale([point[1] for point in usable], HEIGHT - BOTTOM, TOP)
    beyond = chart.measured_to is not None and any(at > chart.measured_to for at, _ in usable)
    caption = f"{title} ({language.label('chart.extrapolation')})" if beyond else title
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-labelledby="{identifier}">',
        f'<title id="{identifier}">{escape(title)}</title>',
        *_axes(chart, language, x, y),
    ]
    for i, series in enumerate(chart.series):
        parts += _series(series, i, x, y, chart.measured_to)
    parts.append("</svg>")
    legend = "".join(
        f'<li><svg viewBox="0 0 12 12" aria-hidden="true">{_shape(i, 6, 6, 4)}</svg>{escape(series.label)}</li>'
        for i, series in enumerate(chart.series)
    )
    return f'<figure><figcaption>{escape(caption)}</figcaption>{"".join(parts)}<ul class="legend">{legend}</ul></figure>'


def _axes(chart: Chart, language: Language, x: LogScale, y: LogScale) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for tick, name in _named(x):
        at = x.at(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP:g}V{bottom:g}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15:g}" text-anchor="middle">{name}</text>')
    for tick, name in _named(y):
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT:g} {at:.1f}H{WIDTH - RIGHT:g}"/>')
        parts.append(f'<text x="{LEFT - 6:g}" y="{at + 4:.1f}" text-anchor="end">{name}</text>')
    parts.append(f'<path class="axis" d="M{LEFT:g} {TOP:g}V{bottom:g}H{WIDTH - RIGHT:g}"/>')
    x_name = escape(language.label(f"chart.{chart.key}.x", chart.values))
    y_name = escape(language.label(f"chart.{chart.key}.y", chart.values))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8:g}" text-anchor="middle">{x_name}</text>'
    )
    parts.append(
        f'<text x="12" y="{middle:g}" text-anchor="middle" transform="rotate(-90 12 {middle:g})">{y_name}</text>'
    )
    return parts


def _named(scale: LogScale) -> list[tuple[float, str]]:
    ticks = scale.ticks()
    return list(zip(ticks, tick_labels(ticks), strict=True))


def _series(series: Series, index: int, x: LogScale, y: LogScale, measured_to: float | None) -> list[str]:
    parts = []
    inside = [point for point in series.curve if measured_to is None or point[0] <= measured_to]
    outside = [point for point in series.curve if measured_to is not None and point[0] > measured_to]
    for path, kind in ((inside, "line"), (([*inside[-1:], *outside] if outside else []), "line beyond")):
        if len(path) > 1:
            line = "L".join(f"{x.at(px):.1f} {y.at(py):.1f}" for px, py in path if py > 0)
            parts.append(f'<path class="{kind}" style="stroke:var(--s{index % COLOURS})" d="M{line}"/>')
    parts += [_shape(index, x.at(px), y.at(py), 4) for px, py in series.points if px > 0 and py > 0]
    return parts


def _shape(index: int, x: float, y: float, r: float) -> str:
    """A mark whose shape and colour both tell the series."""
    shape = SHAPES[index % len(SHAPES)]
    paths = {
        "circle": f"M{x - r:.1f} {y:.1f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z",
        "square": f"M{x - r:.1f} {y - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}Z",
        "triangle": f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y + r:.1f}L{x - r:.1f} {y + r:.1f}Z",
        "diamond": f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}L{x - r:.1f} {y:.1f}Z",
        "cross": f"M{x - r / 3:.1f} {y - r:.1f}h{r / 1.5:.2f}v{r / 1.5:.2f}h{r / 1.5:.2f}v{r / 1.5:.2f}h{-r / 1.5:.2f}"
        f"v{r / 1.5:.2f}h{-r / 1.5:.2f}v{-r / 1.5:.2f}h{-r / 1.5:.2f}v{-r / 1.5:.2f}h{r / 1.5:.2f}Z",
        "bar": f"M{x - r:.1f} {y - r / 2:.1f}h{2 * r:g}v{r:g}h{-2 * r:g}Z",
    }
    return f'<path class="dot" style="fill:var(--s{index % COLOURS})" d="{paths[shape]}"/>'
