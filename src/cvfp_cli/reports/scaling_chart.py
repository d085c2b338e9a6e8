"""The chart of PPL over sizes: measured points, fitted curves and their intervals."""

from collections.abc import Sequence
from math import isfinite

from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.model import Chart, Finding, Series
from cvfp_cli.reports.pictures import lowest, places
from cvfp_cli.reports.scope import Scope, rank
from cvfp_cli.scaling.predictions import fitted_line
from cvfp_cli.scaling.result import Fit
from cvfp_cli.study.families import Group

CURVE_STEPS = 24
MOST_BANDS = 3  # intervals that can be told apart on the same axes


def scaling_chart(shown: Sequence[tuple[Scope, Group]], *, panels: bool = False) -> Chart | None:
    """Points and fitted lines over the sizes; of very many, those with the lowest PPL at their largest size.

    Args:
        panels: whether each has axes of its own, where its interval can be told from the others'.
    """
    drawn = [(scope, group, fit) for scope, group in shown if (fit := _first_fit(scope, group)) is not None]
    if not drawn:
        return None
    kept = {id(group) for group in lowest([group for _, group, _ in drawn])}
    panels = panels and len(kept) > 1
    with_bands = panels or len(kept) <= MOST_BANDS
    at = places([group for _, group in shown])
    series = []
    for scope, group, fit in drawn:
        if id(group) in kept:
            points = tuple((point.x, point.y) for point in fit.fitted)
            until = max([x for x, _ in points] + [item.x for item in fit.predictions if isfinite(item.x)])
            ends = (min(x for x, _ in points), max(x for x, _ in points), until)
            band = scope.bands.get(group.label, ()) if fit.law == MAIN and with_bands else ()
            series.append(Series(group.label, points, _curve(fit, ends), band, at[id(group)]))
    scope = drawn[0][0]
    values = {"unit": scope.family.x, "shown": len(series), "of": len(drawn)}
    key = "laws" if panels else "scaling"
    return Chart(
        key if len(series) == len(drawn) else f"{key}-some",
        tuple(series),
        measured_to=max(item.measured_to for item, _, _ in drawn),
        values=values,
        finding=_finding(scope, drawn[0][2]),
        panels=panels,
    )


def _finding(scope: Scope, fit: Fit) -> Finding:
    """Who has the lowest PPL, as far as it is known; how one configuration alone changes with more data."""
    ranking = rank(scope, scope.family.largest, "val_ppl")
    here = {"size": scope.family.largest, "unit": scope.family.size_kind}
    found = ranking.finding("lowest-ppl", [cell.val_ppl for cell in ranking.cells], **here)
    if found is not None:
        return found
    first, last = min(fit.fitted, key=lambda point: point.x), max(fit.fitted, key=lambda point: point.x)
    ends = {"low": first.x, "high": last.x, "first": first.y, "last": last.y}
    return Finding("picture-one", {"config": fit.config, "unit": scope.family.x, **ends})


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
