"""The charts of a report as pictures; matplotlib is imported only here."""

from io import BytesIO
from pathlib import Path
from typing import Any

from cvfp_cli.errors import InputError, missing_extra
from cvfp_cli.reports.boxes import SIGNS, cell_text
from cvfp_cli.reports.charts import (
    ACROSS,
    EvenScale,
    caption_of,
    colours,
    few,
    mixed,
    parted,
    scales,
    shows,
    tick_names,
    warmth,
)
from cvfp_cli.reports.model import Chart, Heatmap, Report, Series
from cvfp_cli.reports.pictures import MOST_SERIES
from cvfp_cli.reports.text import Language, load_language

FORMATS = ("png", "svg", "pdf")
JAPANESE_FONTS = ("Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "IPAexGothic")
MARKERS = ("o", "s", "^", "D", "P", "v")


def plot_format(path: Path) -> str:
    """``png``, ``svg`` or ``pdf`` by the name of the file.

    Raises:
        InputError: another one.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise InputError(
            f"--plot: {path.name} is no picture this can draw.", hint="Name a .png, .svg or .pdf file."
        )
    return form


def render_plot(report: Report, language: Language, form: str) -> bytes:
    """The report's chart of PPL over sizes, with logarithmic axes and extrapolation dashed.

    Raises:
        InputError: matplotlib is not installed, or the report has no such chart.
    """
    charts = [block for section in report.sections for block in section.blocks if isinstance(block, Chart)]
    if not charts:
        raise InputError("--plot: there is nothing to draw.", hint="A line needs at least two sizes.")
    return render_picture(charts[0], language, form, option="--plot")


def render_picture(block: Chart | Heatmap, language: Language, form: str, *, option: str) -> bytes:
    """A chart or a heatmap as a file of a format that matplotlib writes; without a Japanese font it is English.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra(option, "plot") from None
    fonts = ["DejaVu Sans", *_japanese_fonts()]
    words = language if language.code == "en" or len(fonts) > 1 else load_language("en")
    with mpl.rc_context({"svg.hashsalt": "cvfp", "font.family": fonts}):
        if isinstance(block, Heatmap):
            size = (max(4.5, 1.5 + 1.1 * len(block.tokens)), 1.4 + 0.5 * len(block.layers))
            figure = Figure(figsize=size, layout="constrained")
            _heatmap(figure.subplots(), block, words)
        elif block.panels:
            across = min(ACROSS, len(block.series))
            down = -(-len(block.series) // across)
            figure = Figure(figsize=(8.0, 0.9 + 1.9 * down), layout="constrained")
            _panels(figure, block, words, across, down)
        else:
            figure = Figure(figsize=(8.0, 5.5), layout="constrained")
            _chart(figure.subplots(), block, words)
        out = BytesIO()
        metadata = {"Date": None} if form == "svg" else {"CreationDate": None} if form == "pdf" else {}
        figure.savefig(out, format=form, dpi=150, metadata=metadata)
    return out.getvalue()


def _chart(axes: Any, chart: Chart, words: Language) -> None:
    """All series on the same axes, with a legend beside them."""
    soft = colours()["soft"]
    for series in chart.series:
        _series(axes, series, chart)
    if rest := sum(series.place is None for series in chart.series):
        axes.plot([], [], MARKERS[0], color=soft, label=words.label("chart.rest", {"count": rest}))
    _scale(axes, chart)
    if chart.level is not None:
        axes.axhline(chart.level, color=soft, linestyle=":", linewidth=1.0)
    if chart.diagonal:
        axes.axline((1.0, 1.0), (10.0, 10.0), color=soft, linestyle=":", linewidth=1.0)
    axes.set_xlabel(words.label(f"chart.{chart.key}.x", chart.values))
    axes.set_ylabel(words.label(f"chart.{chart.key}.y", chart.values))
    axes.set_title(caption_of(chart, words), fontsize="medium", wrap=True)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _panels(figure: Any, chart: Chart, words: Language, across: int, down: int) -> None:
    """Each series on axes of its own, named at its head."""
    every = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, series in zip(every, chart.series, strict=False):
        _series(axes, series, chart)
        _scale(axes, chart)
        axes.set_title(series.label, fontsize="small")
        axes.tick_params(labelsize="small")
    for axes in every[len(chart.series) :]:
        axes.set_visible(False)
    figure.supxlabel(words.label(f"chart.{chart.key}.x", chart.values), fontsize="medium")
    figure.supylabel(words.label(f"chart.{chart.key}.y", chart.values), fontsize="medium")
    figure.suptitle(caption_of(chart, words), fontsize="medium", wrap=True)


def _series(axes: Any, series: Series, chart: Chart) -> None:
    """Band, curve (dashed beyond what is measured) and points."""
    palette, place = colours(), series.place
    colour = palette["soft"] if place is None else palette[f"s{place % MOST_SERIES}"]
    if len(series.band) > 1:
        axes.fill_between(*zip(*series.band, strict=True), color=colour, alpha=0.15, linewidth=0)
    for path, kind in parted(series, chart.measured_to):
        axes.plot(*zip(*path, strict=True), "-" if kind == "line" else "--", linewidth=1.2, color=colour)
    if shown := [point for point in series.points if shows(chart, point)]:
        marker = MARKERS[(place or 0) % len(MARKERS)]
        name = None if place is None else series.label
        axes.plot(*zip(*shown, strict=True), marker, label=name, color=colour, markersize=6)


def _scale(axes: Any, chart: Chart) -> None:
    """Both axes with the limits and ticks that the page has."""
    both = scales(chart)
    assert both is not None
    limits = (axes.set_xlim, axes.set_ylim), (axes.xaxis, axes.yaxis), (axes.set_xscale, axes.set_yscale)
    for scale, kind, limit, axis, form in zip(both, chart.kinds, *limits, strict=True):
        even = isinstance(scale, EvenScale)
        form("linear" if even else "log")
        limit(*((scale.low, scale.high) if even else (10.0**scale.low, 10.0**scale.high)))
        ticks = few(scale.ticks()) if chart.panels else scale.ticks()
        axis.set_ticks(ticks, labels=tick_names(ticks, kind))
        axis.set_ticks([], minor=True)
    axes.grid(visible=True, alpha=0.25)


def _heatmap(axes: Any, heatmap: Heatmap, words: Language) -> None:
    """Cells in colour with their figures and marks."""
    rows = zip(heatmap.cells, warmth(heatmap), strict=True)
    for j, (values, shares) in enumerate(rows):
        for i, (value, share) in enumerate(zip(values, shares, strict=True)):
            axes.fill_between([i + 0.02, i + 0.98], j + 0.03, j + 0.97, color=mixed(share), linewidth=0)
            mark = f" {SIGNS[value.mark]}" if value.mark else ""
            weight = "bold" if value.mark == "best" else "normal"
            axes.text(
                i + 0.5, j + 0.5, cell_text(value, heatmap) + mark, ha="center", va="center", weight=weight
            )
    axes.set_xlim(0, len(heatmap.tokens))
    axes.set_ylim(len(heatmap.layers), 0)
    axes.set_xticks([i + 0.5 for i in range(len(heatmap.tokens))], [str(n) for n in heatmap.tokens])
    axes.set_yticks([j + 0.5 for j in range(len(heatmap.layers))], [str(n) for n in heatmap.layers])
    axes.set_xlabel(words.term("tokens"))
    axes.set_ylabel(words.term("layers"))
    axes.set_title(caption_of(heatmap, words), fontsize="medium", wrap=True)
    axes.tick_params(length=0)
    axes.set_frame_on(False)


def _japanese_fonts() -> list[str]:
    """Fonts of this machine that hold Japanese; without one the labels are English."""
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    return [name for name in JAPANESE_FONTS if name in there][:1]
