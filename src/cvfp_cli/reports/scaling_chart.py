"""The chart of PPL over sizes: measured points and fitted curves."""

from collections.abc import Sequence
from math import inf, isfinite

from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.model import Chart, Series
from cvfp_cli.reports.scope import Scope
from cvfp_cli.scaling.predictions import fitted_line
from cvfp_cli.scaling.result import Fit
from cvfp_cli.study.families import Group

CURVE_STEPS = 24
MOST_SERIES = 12  # lines in one chart


def scaling_chart(shown: Sequence[tuple[Scope, Group]]) -> Chart | None:
    """Points and fitted lines over the sizes; of very many, those with the lowest PPL at their largest size."""
    drawn = [(scope, group, fit) for scope, group in shown if (fit := _first_fit(scope, group)) is not None]
    if not drawn:
        return None
    lowest = sorted(
        drawn, key=lambda item: item[1].last.val_ppl if item[1].last and item[1].last.val_ppl else inf
    )
    kept = {id(group) for _, group, _ in lowest[:MOST_SERIES]}
    series = []
    for _, group, fit in drawn:
        if id(group) in kept:
            points = tuple((point.x, point.y) for point in fit.fitted)
            until = max([x for x, _ in points] + [item.x for item in fit.predictions if isfinite(item.x)])
            ends = (min(x for x, _ in points), max(x for x, _ in points), until)
            series.append(Series(group.label, points, _curve(fit, ends)))
    scope = drawn[0][0]
    values = {"unit": scope.family.x, "shown": len(series), "of": len(drawn)}
    return Chart(
        "scaling" if len(series) == len(drawn) else "scaling-some",
        tuple(series),
        measured_to=max(item.measured_to for item, _, _ in drawn),
        values=values,
    )


def _first_fit(scope: Scope, group: Group) -> Fit | None:
    shown = (MAIN,) if MAIN in scope.laws else scope.laws
    fits = (scope.fits.get((group.label, law)) for law in shown)
    return next((fit for fit in fits if fit is not None), None)


def _curve(fit: Fit, ends: tuple[float, float, float]) -> tuple[tuple[float, float], ...]:
    """The fitted law from the smallest size over the largest (both are points of it) to the last prediction, evenly
    on a logarithmic axis; nothing where a parameter has no value, or the curve leaves what a chart can show."""
    low, middle, high = ends
    sizes = [low * (high / low) ** (step / CURVE_STEPS) for step in range(CURVE_STEPS + 1)]
    x = sorted({*sizes, middle})
    y = fitted_line(fit, x)
    shown = bool(y) and all(isfinite(value) and value > 0.0 for value in y)
    return tuple(zip(x, y, strict=True)) if shown else ()
