"""Pictures as SVG: within the page, with its style sheet's colours, and as files of their own.

A shape a series, so that colour is never needed. A series under the pointer or the keyboard's focus shows its figures
above the drawing, by the style sheet alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from math import isfinite, log10
from re import findall, sub

from cvfp_cli.layout import cells, fold
from cvfp_cli.reports.boxes import SIGNS, cell_text
from cvfp_cli.reports.format import number
from cvfp_cli.reports.markdown import heatmap_title
from cvfp_cli.reports.model import Chart, Heatmap, Series
from cvfp_cli.reports.pictures import MOST_SERIES, heatmap_finding
from cvfp_cli.reports.text import Language
from cvfp_cli.scaling.ticks import compact, even_ticks, log_ticks, tick_labels

WIDTH, HEIGHT = 440.0, 310.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 8.0, 46.0
LINE = 13.0  # from one line of text to the next
CELL = 7.2  # width of one column of a terminal, in the largest print that these have
SHOWN_LINES = 3
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")
ACROSS, PANEL = 3, 96.0  # panels beside each other, and the height of one
PANEL_TICKS = 3
LONGEST = 34  # columns of a name in a legend that is drawn
WARMEST = 40  # percent of the accent colour in the best cell of a heatmap: text stays readable on it


class LogScale:
    """One logarithmic axis: data to drawing units."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        places = [self.place(value) for value in values]
        low, high = min(places), max(places)
        pad = (high - low) * 0.06 or self.margin(high)
        self.low, self.high = low - pad, high + pad
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        """Where a value lies on an even axis."""
        return log10(value)

    def margin(self, _: float) -> float:
        """How far the axis goes beyond a single value."""
        return 0.5

    def drawn(self, value: float) -> bool:
        """Whether the axis can show it."""
        return isfinite(value) and value > 0

    def at(self, value: float) -> float:
        """Where a value lies on the drawing."""
        return self.start + (self.place(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def held(self, value: float) -> float:
        """The same, at the edge for what lies beyond it."""
        if not self.drawn(value) or self.place(value) <= self.low:
            return self.start
        return self.end if self.place(value) >= self.high else self.at(value)

    def ticks(self) -> list[float]:
        """Round values within the axis: ones, twos and fives; on a short axis evenly spaced ones."""
        return log_ticks(self.low, self.high)


class EvenScale(LogScale):
    """One axis with equal steps."""

    def place(self, value: float) -> float:
        return value

    def margin(self, value: float) -> float:
        return abs(value) * 0.1 or 0.5

    def drawn(self, value: float) -> bool:
        return isfinite(value)

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        return even_ticks(self.low, self.high)


@dataclass(frozen=True)
class Frame:
    """Where axes stand in a drawing."""

    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def scales(chart: Chart, frame: Frame = Frame()) -> tuple[LogScale, LogScale] | None:
    """The axes, wide enough for all points and curves; None where there is nothing to show."""
    kinds = [EvenScale if name in chart.linear else LogScale for name in "xy"]
    points = [point for series in chart.series for point in (*series.points, *series.curve)]
    shown = [point for point in points if shows(chart, point)]
    if not shown:
        return None
    y = [point[1] for point in shown] + ([] if chart.level is None else [chart.level])
    x = [point[0] for point in shown]
    return kinds[0](x, frame.left, frame.right), kinds[1](y, frame.bottom, frame.top)


def shows(chart: Chart, point: tuple[float, float]) -> bool:
    """Whether the axes can show a point."""
    return all(
        isfinite(value) and (name in chart.linear or value > 0)
        for name, value in zip("xy", point, strict=True)
    )


def few(ticks: list[float]) -> list[float]:
    """As many of them as a panel has room for."""
    return ticks[:: -(-len(ticks) // PANEL_TICKS)]


def tick_names(ticks: Sequence[float], kind: str) -> list[str]:
    """What an axis' ticks are called; shares in percent."""
    if kind == "share":
        return [f"{name}%" for name in tick_labels([100.0 * tick for tick in ticks])]
    return tick_labels(ticks)


def title_of(block: Chart | Heatmap, language: Language) -> str:
    """What a picture is of, without how to read it."""
    if isinstance(block, Heatmap):
        return heatmap_title(block, language)
    return language.label(f"chart.{block.key}", block.values)


def caption_of(block: Chart | Heatmap, language: Language) -> str:
    """The same with what dashes and shades are."""
    title = title_of(block, language)
    if isinstance(block, Heatmap):
        return title
    limit = block.measured_to
    marks = []
    if limit is not None and any(x > limit for series in block.series for x, _ in series.curve):
        marks.append(language.label("chart.extrapolation"))
    if any(series.band for series in block.series):
        marks.append(language.label("chart.band"))
    return f"{title} ({'; '.join(marks)})" if marks else title


def alternative(block: Chart | Heatmap, language: Language) -> str:
    """What a picture says, for whoever does not see it."""
    finding = heatmap_finding(block) if isinstance(block, Heatmap) else block.finding
    title = title_of(block, language)
    if finding is None:
        return title
    return language.label("chart.alternative", {"title": title, "finding": finding})


def draw(chart: Chart, language: Language, identifier: str) -> str:
    """The figure with its caption, drawing and legend, as a part of the page."""
    if scales(chart) is None:
        return ""
    strip = LINE * max(len(_readout(series, chart)) for series in chart.series) + 4.0
    body, height = _plot(chart, language, alive=True)
    title, says = title_of(chart, language), alternative(chart, language)
    parts = [
        f'<svg class="chart" viewBox="0 {-strip:g} {WIDTH:g} {height + strip:g}" role="group" '
        f'aria-labelledby="{identifier}" aria-describedby="{identifier}-d">',
        f'<title id="{identifier}">{_text(title)}</title><desc id="{identifier}-d">{_text(says)}</desc>',
        *body,
        "</svg>",
    ]
    legend = "".join(
        f'<li><svg viewBox="0 0 12 12" aria-hidden="true">{shape}</svg>{_text(name)}</li>'
        for shape, name in _legend(chart, language)
    )
    caption = _text(caption_of(chart, language))
    return (
        f'<figure><figcaption>{caption}</figcaption>{"".join(parts)}<ul class="legend">{legend}</ul></figure>'
    )


def picture_file(block: Chart | Heatmap, language: Language) -> str | None:
    """A picture as an SVG document of its own, on white whatever the reader's colours; None where nothing shows."""
    if isinstance(block, Heatmap):
        width, height, body = _heatmap(block, language)
    elif scales(block) is not None:
        body, tall = _plot(block, language, alive=False)
        lines, below = _legend_lines(block, language)
        body.append(f'<g transform="translate(0 {tall:g})">{"".join(lines)}</g>')
        width, height = WIDTH, tall + below
    else:
        return None
    heads = fold(caption_of(block, language), int((width - 12) / CELL))
    head = len(heads) * LINE + 10.0
    style = files("cvfp_cli.reports").joinpath("assets/pictures.css").read_text(encoding="utf-8")
    rules = "".join(line for line in style.splitlines(keepends=True) if line.startswith("svg "))
    rules += "".join(line for line in style.splitlines(keepends=True) if line.startswith("svg.chart ."))
    font = (
        'font-family="system-ui, Segoe UI, Roboto, Noto Sans CJK JP, Noto Sans JP, Hiragino Sans, sans-serif"'
    )
    document = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width:g} {height + head:g}" '
        f'width="{width * 1.5:g}" height="{(height + head) * 1.5:g}" role="img" aria-labelledby="t d" '
        f'font-size="11px" {font}>',
        f'<title id="t">{_text(title_of(block, language))}</title>',
        f'<desc id="d">{_text(alternative(block, language))}</desc>',
        f"<style>{rules}</style>",
        '<rect width="100%" height="100%" style="fill:var(--bg)"/>',
        *(
            f'<text class="strong" x="6" y="{14 + i * LINE:g}">{_text(line)}</text>'
            for i, line in enumerate(heads)
        ),
        f'<g transform="translate(0 {head:g})">',
        *body,
        "</g></svg>\n",
    ]
    light = colours()
    return sub(r"var\(--(\w+)\)", lambda found: light[found[1]], "".join(document))


@cache
def colours() -> dict[str, str]:
    """The style sheet's colours on white, by name; ``s0`` to ``s11`` are the series'."""
    style = files("cvfp_cli.reports").joinpath("assets/pictures.css").read_text(encoding="utf-8")
    return dict(findall(r"--(\w+): (#[0-9a-f]{6})", style.partition("}")[0]))


def warmth(heatmap: Heatmap) -> list[list[float]]:
    """Percent of the accent colour for each cell: most for the lowest figure, or the highest effective rank."""
    numbers = [value.value for row in heatmap.cells for value in row if isinstance(value.value, int | float)]
    low, high = min(numbers), max(numbers)
    higher_is_better = heatmap.kind == "share"

    def share(value: object) -> float:
        if not isinstance(value, int | float) or high == low:
            return 0.0
        position = (value - low) / (high - low)
        return WARMEST * (position if higher_is_better else 1 - position)

    return [[share(value.value) for value in row] for row in heatmap.cells]


def mixed(percent: float) -> str:
    """So much of the accent colour on white."""
    accent = colours()["accent"]
    parts = (int(accent[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * percent / 100):02x}" for part in parts)


def _text(text: str) -> str:
    """Text as SVG and HTML show it, control characters taken out."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _colour(series: Series) -> str:
    return "var(--soft)" if series.place is None else f"var(--s{series.place % MOST_SERIES})"


def _plot(chart: Chart, language: Language, *, alive: bool) -> tuple[list[str], float]:
    """Axes, guides and every series, and the height; ``alive``: with figures that pointer and keyboard bring up."""
    if chart.panels:
        return _panels(chart, language, alive=alive)
    frame = Frame()
    axes = scales(chart, frame)
    assert axes is not None
    parts = ['<g aria-hidden="true">', *_grid(chart, *axes, frame), *_names(chart, language, frame), "</g>"]
    parts += _guides(chart, *axes)
    rest = [series for series in chart.series if series.place is None]
    if rest:
        name = _text(language.label("chart.rest", {"count": len(rest)}))
        parts.append(f'<g class="rest" role="img" aria-label="{name}">' if alive else '<g class="rest">')
        parts += [
            f"<g><title>{_text(_figures(series, chart))}</title>{''.join(_marks(series, chart, *axes))}</g>"
            for series in rest
        ]
        parts.append("</g>")
    named = (series for series in chart.series if series.place is not None)
    return [*parts, *(part for one in named for part in _series(one, chart, axes, alive=alive))], HEIGHT


def _panels(chart: Chart, language: Language, *, alive: bool) -> tuple[list[str], float]:
    """The same with axes for each series, named at its head."""
    across = min(ACROSS, len(chart.series))
    down = -(-len(chart.series) // across)
    wide = (WIDTH - LEFT - RIGHT) / across
    parts: list[str] = []
    for i, series in enumerate(chart.series):
        left, top = LEFT + i % across * wide, TOP + LINE + i // across * (PANEL + LINE + 6)
        frame = Frame(left, left + wide - 8, top, top + PANEL)
        axes = scales(chart, frame)
        assert axes is not None
        lowest = i + across >= len(chart.series)
        parts += [
            '<g aria-hidden="true">',
            *_grid(chart, *axes, frame, x_names=lowest, y_names=i % across == 0),
        ]
        name = _text(_cut(series.label, int(wide / CELL) - 1))
        parts.append(f'<text x="{left:g}" y="{top - 3:g}">{name}</text></g>')
        parts += _series(series, chart, axes, alive=alive)
    height = TOP + down * (PANEL + LINE + 6) - 6 + BOTTOM
    whole = Frame(bottom=height - BOTTOM)
    return ['<g aria-hidden="true">', *_names(chart, language, whole), "</g>", *parts], height


def _series(series: Series, chart: Chart, axes: tuple[LogScale, LogScale], *, alive: bool) -> list[str]:
    marks = _marks(series, chart, *axes)
    if not alive:
        return ["<g>", *marks, "</g>"]
    label = _text(_figures(series, chart))
    opened = f'<g class="series" tabindex="0" role="img" aria-label="{label}">'
    lines = _readout(series, chart)
    rows = "".join(
        f'<tspan x="4" y="{LINE * (i - len(lines)) + 6:g}">{_text(line)}</tspan>'
        for i, line in enumerate(lines)
    )
    return [opened, *marks, f'<text class="readout" aria-hidden="true">{rows}</text></g>']


def _grid(
    chart: Chart, x: LogScale, y: LogScale, frame: Frame, *, x_names: bool = True, y_names: bool = True
) -> list[str]:
    """Both axes with their ticks, fewer in a panel."""
    ticks = [scale.ticks() for scale in (x, y)]
    if chart.panels:
        ticks = [few(found) for found in ticks]
    parts = []
    for tick, name in zip(ticks[0], tick_names(ticks[0], chart.kinds[0]), strict=True):
        at = x.at(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {frame.top:g}V{frame.bottom:g}"/>')
        if x_names:
            parts.append(f'<text x="{at:.1f}" y="{frame.bottom + 16:g}" text-anchor="middle">{name}</text>')
    for tick, name in zip(ticks[1], tick_names(ticks[1], chart.kinds[1]), strict=True):
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{frame.left:g} {at:.1f}H{frame.right:g}"/>')
        if y_names:
            parts.append(f'<text x="{frame.left - 6:g}" y="{at + 4:.1f}" text-anchor="end">{name}</text>')
    return [
        *parts,
        f'<path class="axis" d="M{frame.left:g} {frame.top:g}V{frame.bottom:g}H{frame.right:g}"/>',
    ]


def _names(chart: Chart, language: Language, frame: Frame) -> list[str]:
    """What the axes are."""
    x_name, y_name = (_text(language.label(f"chart.{chart.key}.{axis}", chart.values)) for axis in "xy")
    across, middle = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
    return [
        f'<text x="{across:g}" y="{frame.bottom + 36:g}" text-anchor="middle">{x_name}</text>',
        f'<text x="12" y="{middle:g}" text-anchor="middle" transform="rotate(-90 12 {middle:g})">{y_name}</text>',
    ]


def _guides(chart: Chart, x: LogScale, y: LogScale) -> list[str]:
    """A level, and the diagonal as far as both axes hold it."""
    parts = []
    if chart.level is not None:
        parts.append(f'<path class="guide" d="M{LEFT:g} {y.at(chart.level):.1f}H{WIDTH - RIGHT:g}"/>')
    low, high = max(x.low, y.low), min(x.high, y.high)
    if chart.diagonal and low < high:
        ends = [10.0**end for end in (low, high)]
        line = "L".join(f"{x.at(end):.1f} {y.at(end):.1f}" for end in ends)
        parts.append(f'<path class="guide" d="M{line}"/>')
    return parts


def _marks(series: Series, chart: Chart, x: LogScale, y: LogScale) -> list[str]:
    """Band, curve (dashed beyond what is measured) and points."""
    colour = _colour(series)
    parts = []
    if len(series.band) > 1:
        low = [f"{x.held(at):.1f} {y.held(end):.1f}" for at, end, _ in series.band]
        high = [f"{x.held(at):.1f} {y.held(end):.1f}" for at, _, end in reversed(series.band)]
        parts.append(f'<path class="band" style="fill:{colour}" d="M{"L".join([*low, *high])}Z"/>')
    for path, kind in parted(series, chart.measured_to):
        line = "L".join(f"{x.at(px):.1f} {y.at(py):.1f}" for px, py in path)
        parts.append(f'<path class="{kind}" style="stroke:{colour}" d="M{line}"/>')
    shown = (point for point in series.points if shows(chart, point))
    return [*parts, *(_shape(series, x.at(px), y.at(py), 4) for px, py in shown)]


def parted(series: Series, measured_to: float | None) -> list[tuple[Sequence[tuple[float, float]], str]]:
    """A curve as far as it was measured, and beyond, with the names of their lines."""
    limit = float("inf") if measured_to is None else measured_to
    curve = [point for point in series.curve if point[1] > 0]
    inside = [point for point in curve if point[0] <= limit]
    beyond = [*inside[-1:], *(point for point in curve if point[0] > limit)]
    return [(path, kind) for path, kind in ((inside, "line"), (beyond, "line beyond")) if len(path) > 1]


def _figures(series: Series, chart: Chart) -> str:
    """A series' name and all its figures, as they are written in tables."""
    shown = "; ".join(
        ": ".join(number(value, kind) for value, kind in zip(point, chart.kinds, strict=True))
        for point in series.points
    )
    return f"{series.label}: {shown}"


def _readout(series: Series, chart: Chart) -> list[str]:
    """The same as it stands above the drawing, in a few lines; what they do not hold is left to the tables."""
    short = [
        f"{compact(x) if chart.kinds[0] == 'int' else number(x, chart.kinds[0])}: {number(y, chart.kinds[1])}"
        for x, y in series.points
    ]
    name = _cut(series.label, int(WIDTH / CELL))
    lines = [name]
    for item in short:
        if lines[-1] is not name and cells(lines[-1]) + len(item) + 3 <= WIDTH / CELL:
            lines[-1] += f" · {item}"
        else:
            lines.append(item)
    if len(lines) > SHOWN_LINES:
        lines = [*lines[: SHOWN_LINES - 1], f"{lines[SHOWN_LINES - 1]} …"]
    return lines


def _cut(name: str, columns: int) -> str:
    """A name that fits, its end replaced by an ellipsis."""
    if cells(name) <= columns:
        return name
    while cells(name) >= columns:
        name = name[:-1]
    return f"{name}…"


def _legend(chart: Chart, language: Language) -> list[tuple[str, str]]:
    """A mark and a name for each series, and one for all that are drawn grey; none where panels have names."""
    if chart.panels:
        return []
    entries = [(_shape(series, 6, 6, 4), series.label) for series in chart.series if series.place is not None]
    rest = [series for series in chart.series if series.place is None]
    if rest:
        entries.append((_shape(rest[0], 6, 6, 4), language.label("chart.rest", {"count": len(rest)})))
    return entries


def _legend_lines(chart: Chart, language: Language) -> tuple[list[str], float]:
    """The legend as a drawing of its own, in columns, and its height."""
    entries = [(shape, _cut(name, LONGEST)) for shape, name in _legend(chart, language)]
    widest = max((cells(name) for _, name in entries), default=0) * CELL + 26.0
    across = max(1, int((WIDTH - 8) / widest))
    parts = []
    for i, (shape, name) in enumerate(entries):
        left, top = 6 + i % across * widest, i // across * (LINE + 3)
        parts.append(f'<g transform="translate({left:g} {top:g})">{shape}')
        parts.append(f'<text x="16" y="10">{_text(name)}</text></g>')
    return parts, -(-len(entries) // across) * (LINE + 3) + 8


def _shape(series: Series, x: float, y: float, r: float) -> str:
    """A mark whose shape and colour both tell the series."""
    shape = SHAPES[(series.place or 0) % len(SHAPES)]
    paths = {
        "circle": f"M{x - r:.1f} {y:.1f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z",
        "square": f"M{x - r:.1f} {y - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}Z",
        "triangle": f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y + r:.1f}L{x - r:.1f} {y + r:.1f}Z",
        "diamond": f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}L{x - r:.1f} {y:.1f}Z",
        "cross": f"M{x - r / 3:.1f} {y - r:.1f}h{r / 1.5:.2f}v{r / 1.5:.2f}h{r / 1.5:.2f}v{r / 1.5:.2f}h{-r / 1.5:.2f}"
        f"v{r / 1.5:.2f}h{-r / 1.5:.2f}v{-r / 1.5:.2f}h{-r / 1.5:.2f}v{-r / 1.5:.2f}h{r / 1.5:.2f}Z",
        "bar": f"M{x - r:.1f} {y - r / 2:.1f}h{2 * r:g}v{r:g}h{-2 * r:g}Z",
    }
    return f'<path class="dot" style="fill:{_colour(series)}" d="{paths[shape]}"/>'


def _heatmap(heatmap: Heatmap, language: Language) -> tuple[float, float, list[str]]:
    """Cells in colour with their figures and marks; width, height, drawing."""
    texts = [
        [cell_text(value, heatmap) + (f" {SIGNS[value.mark]}" if value.mark else "") for value in row]
        for row in heatmap.cells
    ]
    wide = max(58.0, max(cells(text) for row in texts for text in row) * CELL + 16.0)
    tall, left, top = 30.0, 62.0, 36.0
    columns = len(heatmap.tokens)
    width, height = max(left + columns * wide + 14.0, 260.0), top + len(heatmap.layers) * tall + 12.0
    middle = left + columns * wide / 2
    tokens, layers = (_text(language.term(axis)) for axis in ("tokens", "layers"))
    parts = [f'<text x="{middle:g}" y="10" text-anchor="middle">{tokens}</text>']
    parts.append(f'<text x="6" y="{top - 8:g}">{layers}</text>')
    for i, token in enumerate(heatmap.tokens):
        at = left + (i + 0.5) * wide
        parts.append(f'<text x="{at:g}" y="{top - 8:g}" text-anchor="middle">{token}</text>')
    rows = zip(heatmap.layers, heatmap.cells, texts, warmth(heatmap), strict=True)
    for j, (layer, values, shown, shares) in enumerate(rows):
        y = top + j * tall
        parts.append(f'<text x="{left - 10:g}" y="{y + 19:g}" text-anchor="end">{layer}</text>')
        for i, (value, text, share) in enumerate(zip(values, shown, shares, strict=True)):
            x, strong = left + i * wide, ' class="strong"' if value.mark == "best" else ""
            parts.append(
                f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{wide - 2:g}" height="{tall - 2:g}" fill="{mixed(share)}"/>'
                f'<text{strong} x="{x + wide / 2:g}" y="{y + 19:g}" text-anchor="middle">{_text(text)}</text>'
            )
    return width, height, parts
