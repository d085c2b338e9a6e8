"""A figure of points, curves and interval bands for a document. Needs matplotlib, imported when called."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from cvfp_cli.errors import WorkError, missing_extra
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.ticks import label_log_axes
from cvfp_cli.study.points import Points

FORMATS = (".png", ".svg", ".pdf")
# Sizes each curve and band is drawn at.
GRID = 48
# A panel a configuration up to this many; beyond, all share one.
MOST_PANELS = 12
# Okabe and Ito: told apart by all eyes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")


def plot_sizes(groups: Sequence[Points], predict: Sequence[float]) -> tuple[float, ...]:
    """Sizes to draw curves at: from the smallest measured one to the largest to predict, and at least twofold beyond."""
    low = min(float(points.x.min()) for points in groups)
    high = max(
        max(float(points.x.max()) for points in groups) * 2.0, *(x for x in predict if math.isfinite(x)), 0.0
    )
    return tuple(float(x) for x in np.geomspace(low, high, GRID))


def shows_bands(groups: Sequence[Points]) -> bool:
    """Whether each group has a panel of its own, where alone its bands can be told apart."""
    return len(groups) <= MOST_PANELS


def draw(
    groups: Sequence[Points],
    curves: Mapping[str, Mapping[str, Fit]],
    path: Path,
    *,
    joint: Sequence[Fit] = (),
) -> None:
    """Write the figure: log axes, points, each law's curve with its band, dashed beyond the data.

    Args:
        curves: for each group, by its label, one fit a law, with ``predictions`` on ``plot_sizes``.
        joint: drawn as measured against predicted, in a panel of their own.

    Raises:
        InputError: matplotlib is not installed. WorkError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("--plot", "plot") from None
    laws = tuple(dict.fromkeys(law for fits in curves.values() for law in fits))
    alone = shows_bands(groups)
    own = (len(groups) if alone else 1) if laws else 0
    panels = own + bool(joint)
    across = min(3, panels)
    down = math.ceil(panels / across)
    figure = Figure(figsize=(4.6 * across + 0.6, 3.4 * down + 0.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(down, across, i + 1) for i in range(panels)]
    if laws:
        for i, points in enumerate(groups):
            _panel(axes[i if alone else 0], points, curves.get(points.label, {}), laws, alone=alone)
        axes[0].legend(fontsize=7, frameon=False)
    if joint:
        _measured_against_predicted(axes[-1], joint)
    try:
        figure.savefig(path)
    except OSError as problem:
        raise WorkError(f"--plot: {path} cannot be written: {problem.strerror or problem}.") from None


def _panel(axis: Any, points: Points, fits: Mapping[str, Fit], laws: Sequence[str], *, alone: bool) -> None:
    for law, colour, style in zip(laws, cycle(COLOURS), cycle(STYLES), strict=False):
        fit = fits.get(law)
        if fit is None:
            continue
        x = np.array([p.x for p in fit.predictions])
        value = np.array([p.value for p in fit.predictions])
        low = np.array([np.nan if p.mean_low is None else p.mean_low for p in fit.predictions])
        high = np.array([np.nan if p.mean_high is None else p.mean_high for p in fit.predictions])
        inside = (x >= points.x.min() * 0.999) & (x <= points.x.max() * 1.001)
        beyond = x >= x[inside].max() if inside.any() else np.ones(len(x), dtype=bool)
        if alone:
            axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            x[inside],
            value[inside],
            color=colour,
            linestyle=style,
            linewidth=1.4,
            label=law if alone else None,
        )
        axis.plot(x[beyond], value[beyond], color=colour, linestyle=(0, (2, 2)), linewidth=1.0)
    axis.plot(
        points.x, points.y, "o", markersize=4, color="black", label="measured" if alone else points.label
    )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(points.x_name)
    axis.set_ylabel(points.y_name)
    # Bands of poorly determined laws may reach to 0 or far up; the points decide what is shown.
    axis.set_ylim(points.y.min() / 2.5, points.y.max() * 1.6)
    if alone:
        axis.set_title(points.label, fontsize=9)
    label_log_axes(axis)
    axis.grid(True, alpha=0.2, linewidth=0.5)
    axis.tick_params(labelsize=7)


def _measured_against_predicted(axis: Any, joint: Sequence[Fit]) -> None:
    points = [point for fit in joint for point in fit.fitted]
    several = len({fit.law for fit in joint}) > 1
    ends = [bound(value for p in points for value in (p.y, p.predicted)) for bound in (min, max)]
    axis.plot(ends, ends, color="grey", linewidth=0.8)
    for i, fit in enumerate(joint):
        predicted, measured = [p.predicted for p in fit.fitted], [p.y for p in fit.fitted]
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(
            predicted,
            measured,
            "o",
            markersize=4,
            color=colour,
            label=" ".join([fit.config, *([fit.law] if several else [])]),
        )
    if len(joint) > 1:
        axis.legend(fontsize=7, frameon=False)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_title(", ".join(dict.fromkeys(fit.law for fit in joint)), fontsize=9)
    axis.set_xlabel(f"{joint[0].y} by the joint law")
    axis.set_ylabel(f"{joint[0].y} measured")
    label_log_axes(axis)
    axis.grid(True, alpha=0.2, linewidth=0.5)
