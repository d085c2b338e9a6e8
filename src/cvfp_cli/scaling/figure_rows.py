"""Every figure of a study as a line: whose it is, what it is, its value and interval, and why it has none."""

from collections.abc import Iterator
from typing import NamedTuple

from cvfp_cli.scaling.forecasts import Forecast
from cvfp_cli.scaling.isoflops import IsoFlops
from cvfp_cli.scaling.result import Compute, Estimate, Fit, Prediction
from cvfp_cli.scaling.sensitivity import Sensitivity
from cvfp_cli.scaling.study import Study

NOTHING = Estimate(None)
QUALITY = (
    "points",
    "k",
    "r_squared",
    "rss_ppl",
    "rss_log",
    "aic",
    "aicc",
    "bic",
    "loo_error",
    "forward_error",
)
DERIVED = ("per_doubling", "per_tenfold", "asymptote", "distance")


class FigureRow(NamedTuple):
    """One figure; ``x`` is the size it is of, or the choice that it was made under."""

    kind: str
    name: str
    x: object = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    model_size: float | None = None
    reason: str = ""

    @classmethod
    def of(cls, kind: str, name: str, figure: Estimate, x: object = None) -> "FigureRow":
        """An estimate's."""
        reason = figure.reason or ("fixed" if figure.fixed else "")
        return cls(kind, name, x, figure.value, figure.low, figure.high, None, reason)


HEADER = ("config", "law", *FigureRow._fields)


def figure_rows(study: Study) -> Iterator[tuple[object, ...]]:
    """The lines of a study, in the columns of ``HEADER``; empty cells are None."""
    for fit in study.fits:
        yield from ((fit.config, fit.law, *row) for row in _of_fit(fit))
    for one in study.forecasts:
        yield from ((one.config, "mixture", *row) for row in _of_forecast(one))
    for iso in study.isoflops:
        yield from ((iso.config, "isoflops", *row) for row in _of_isoflops(iso))
    for moved in study.sensitivity:
        yield from ((moved.config, moved.law, *row) for row in _of_sensitivity(moved))


def _of_fit(fit: Fit) -> Iterator[FigureRow]:
    for name, estimate in fit.parameters.items():
        yield FigureRow.of("parameter", name, estimate)
    for name in QUALITY:
        yield FigureRow("quality", name, value=getattr(fit, name))
    for name in DERIVED:
        if (derived := getattr(fit, name)) is not None:
            yield FigureRow.of("derived", name, derived)
    for point in fit.fitted:
        yield FigureRow("measured", fit.y, point.x, point.y, model_size=point.model_size)
        yield FigureRow("fitted", fit.y, point.x, point.predicted, model_size=point.model_size)
    for p in fit.predictions:
        yield from _of_prediction(fit.y, p)
    for t in fit.targets:
        yield FigureRow("target", f"{fit.y}={t.ppl:g}", None, t.x, t.low, t.high, t.model_size, t.reason)
    for least in fit.cheapest:
        for part in ("model_size", "x", "product"):
            found = getattr(least, part) or NOTHING
            row = FigureRow.of(f"cheapest_{part}", f"{fit.y}={least.ppl:g}", found)
            yield row._replace(reason=least.reason)
    if fit.compute:
        yield from _of_compute(fit.compute)
    if fit.pool:
        yield FigureRow("pool_test", "F", value=fit.pool.f)
        yield FigureRow("pool_test", "p", value=fit.pool.p)
    for window in fit.local_exponents:
        yield FigureRow.of("local_exponent", f"{window.x_low:g}-{window.x_high:g}", window.estimate)


def _of_prediction(y: str, p: Prediction) -> Iterator[FigureRow]:
    """A new run, and the law itself."""
    for kind, low, high in (("prediction", p.low, p.high), ("law", p.mean_low, p.mean_high)):
        reason = p.reason if low is None and high is None else ""
        yield FigureRow(kind, y, p.x, p.value, low, high, p.model_size, reason)


def _of_compute(compute: Compute) -> Iterator[FigureRow]:
    for part, grown in (("model_size", compute.model_size), ("x", compute.x)):
        yield FigureRow.of("compute", f"{part}_exponent", grown or Estimate(None, reason=compute.reason))
        for split in compute.splits:
            found = getattr(split, part) or Estimate(None, reason=split.reason)
            yield FigureRow.of(f"budget_{part}", f"C={split.budget:g}", found)
    for split in compute.splits:
        if (p := split.there) is not None:
            at = (p.value, p.low, p.high, p.model_size, p.reason)
            yield FigureRow("budget_prediction", f"C={split.budget:g}", p.x, *at)


def _of_forecast(one: Forecast) -> Iterator[FigureRow]:
    for p in one.predictions:
        yield from _of_prediction(one.y, p)
    for t in one.targets:
        yield FigureRow("target", f"{one.y}={t.ppl:g}", None, t.x, t.low, t.high, None, t.reason)
    if one.asymptote:
        yield FigureRow.of("derived", "asymptote", one.asymptote)


def _of_isoflops(iso: IsoFlops) -> Iterator[FigureRow]:
    exponents = (("model_size_exponent", iso.model_size), ("x_exponent", iso.x))
    sizes = [
        (f"{kind}_{part}", f"C={at.budget:g}", getattr(at, part))
        for kind, those in (("profile", iso.profiles), ("budget", iso.budgets))
        for at in those
        for part in ("model_size", "x")
    ]
    for kind, name, found in [*(("compute", name, found) for name, found in exponents), *sizes]:
        if found is not None:
            yield FigureRow.of(kind, name, found)


def _of_sensitivity(moved: Sensitivity) -> Iterator[FigureRow]:
    for choice in moved.choices:
        for name, found in choice.figures.items():
            yield FigureRow.of("sensitivity", name, found, choice.name)
