"""The chart of ``cvfp compare --plot`` as a picture; matplotlib is imported only here."""

from io import BytesIO
from pathlib import Path

from cvfp_cli.errors import InputError, missing_extra
from cvfp_cli.reports.charts import COLOURS
from cvfp_cli.reports.model import Chart, Report
from cvfp_cli.reports.text import Language, load_language
from cvfp_cli.scaling.ticks import label_log_axes

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
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("--plot", "plot") from None
    chart = charts[0]
    fonts = ["DejaVu Sans", *_japanese_fonts()]
    words = language if language.code == "en" or len(fonts) > 1 else load_language("en")
    with mpl.rc_context({"svg.hashsalt": "cvfp", "font.family": fonts}):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["tab20" if len(chart.series) > 10 else "tab10"]
        for i, series in enumerate(chart.series):
            colour = colours(i % COLOURS)
            axes.plot(
                *zip(*series.points, strict=True), MARKERS[i % len(MARKERS)], label=series.label, color=colour
            )
            limit = chart.measured_to or float("inf")
            inside = [point for point in series.curve if point[0] <= limit]
            beyond = [*inside[-1:], *(point for point in series.curve if point[0] > limit)]
            if inside:
                axes.plot(*zip(*inside, strict=True), "-", linewidth=1.2, color=colour)
            if len(beyond) > 1:
                axes.plot(*zip(*beyond, strict=True), "--", linewidth=1.0, color=colour)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(words.label(f"chart.{chart.key}.x", chart.values))
        axes.set_ylabel(words.label(f"chart.{chart.key}.y", chart.values))
        label_log_axes(axes)
        axes.grid(visible=True, alpha=0.25)
        axes.legend(fontsize="small")
        out = BytesIO()
        metadata = {"Date": None} if form == "svg" else {"CreationDate": None} if form == "pdf" else {}
        figure.savefig(out, format=form, dpi=150, metadata=metadata)
    return out.getvalue()


def _japanese_fonts() -> list[str]:
    """Fonts of this machine that hold Japanese; without one the labels are English."""
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    return [name for name in JAPANESE_FONTS if name in there][:1]
