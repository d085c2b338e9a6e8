"""Figures between 0 and 1, such as an accuracy: fitted as odds, which have no upper end, and told as themselves.

With o = (1 - y) / y for a figure that rises and y / (1 - y) for one that falls, least squares of ln o are those of the
logit of y. What a law says of o it says of y, and every interval of y lies between 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.forecasts import Forecast
from cvfp_cli.scaling.isoflops import IsoFlops
from cvfp_cli.scaling.result import Compute, Estimate, Fit, FittedPoint, Prediction, Target
from cvfp_cli.scaling.sensitivity import AT_SIZE, FOR_TARGET, Sensitivity
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import OTHER, YUnit, odds_of, share_of


def as_odds(
    groups: Sequence[Points], unit: YUnit, options: FitOptions
) -> tuple[tuple[Points, ...], FitOptions]:
    """The groups with the odds of y, and the targets of these.

    Raises:
        InputError: a y or target that is not between 0 and 1, or an objective that takes y as it is.
    """
    high = [float(points.y.max()) for points in groups if points.y.max() >= 1.0]
    if high:
        raise InputError(
            f"{groups[0].y_name} is {high[0]:g} somewhere, and {unit.name} lies between 0 and 1.",
            hint="Give shares, not percent, or say --y-unit other.",
        )
    if options.objective == "ppl":
        raise InputError(
            f"--objective ppl: {unit.name} is fitted on the logit scale.",
            hint="--y-unit other fits y as it is.",
        )
    for target in options.targets:
        if target >= 1.0:
            raise InputError(f"--target-ppl: {target:g} is not between 0 and 1, as {groups[0].y_name} is.")
    targets = tuple(float(odds_of(np.array(target), unit)) for target in options.targets)
    named = YUnit(OTHER, unit.source)
    return (
        tuple(replace(points, y=odds_of(points.y, unit), unit=named) for points in groups),
        replace(options, targets=targets),
    )


class ToldOfOdds:
    """What was fitted to odds, told of y again."""

    def __init__(self, unit: YUnit, y: str) -> None:
        self.unit, self.y = unit, y

    def fit(self, fit: Fit) -> Fit:
        """Points, predictions, targets and asymptote; parameters, falls and errors on logarithms stay those of odds."""
        fitted = tuple(map(self._point, fit.fitted))
        rss = float(sum((point.predicted - point.y) ** 2 for point in fitted))
        end = fit.asymptote and self._estimate(fit.asymptote)
        distance = None
        if end is not None and fit.asymptote is not None and fit.distance is not None:
            last = self._value((fit.asymptote.value or 0.0) + (fit.distance.value or 0.0))
            low, high = (None if at is None else last - at for at in (end.high, end.low))
            distance = Estimate(None if end.value is None else last - end.value, low, high, reason=end.reason)
        m = len(fitted)
        return replace(
            fit,
            y_unit=self.unit.name,
            fitted=fitted,
            held_out=tuple(map(self._point, fit.held_out)),
            rss_ppl=rss,
            aic=m * float(np.log(rss / m)) + 2 * fit.k if rss > 0.0 and fit.aic is not None else None,
            asymptote=end,
            distance=distance,
            predictions=tuple(map(self._prediction, fit.predictions)),
            targets=self._targets(fit.targets),
            cheapest=tuple(
                replace(least, ppl=self._value(least.ppl), reason=_short(least.reason))
                for least in fit.cheapest
            ),
            compute=fit.compute and self._compute(fit.compute),
        )

    def forecast(self, forecast: Forecast) -> Forecast:
        """The same of a mixture."""
        return replace(
            forecast,
            asymptote=forecast.asymptote and self._estimate(forecast.asymptote),
            predictions=tuple(map(self._prediction, forecast.predictions)),
            targets=self._targets(forecast.targets),
        )

    def sensitivity(self, moved: Sensitivity) -> Sensitivity:
        """The same of a fit's other choices."""
        choices = (
            replace(choice, figures=dict(self._figure(*item) for item in choice.figures.items()))
            for choice in moved.choices
        )
        return replace(moved, choices=tuple(choices))

    def _figure(self, name: str, figure: Estimate) -> tuple[str, Estimate]:
        if name.startswith(FOR_TARGET):
            target, at, model = name.removeprefix(f"{FOR_TARGET}{self.y} ").partition(" at ")
            return f"{FOR_TARGET}{self.y} {self._value(float(target)):.4g}{at}{model}", figure
        return name, self._estimate(figure) if name.startswith(AT_SIZE) else figure

    def isoflops(self, found: IsoFlops) -> IsoFlops:
        """The same of runs of equal compute."""
        profiles = (replace(one, y=None if one.y is None else self._value(one.y)) for one in found.profiles)
        return replace(found, profiles=tuple(profiles))

    def _value(self, odds: float) -> float:
        return float(share_of(np.array(odds), self.unit))

    def _ends(self, *ends: float | None) -> tuple[float | None, ...]:
        """The ends of an interval, in their order: the odds of what rises turn them over."""
        told = tuple(None if end is None else self._value(end) for end in ends)
        return told[::-1] if self.unit.rises else told

    def _estimate(self, odds: Estimate) -> Estimate:
        low, high = self._ends(odds.low, odds.high)
        value = None if odds.value is None else self._value(odds.value)
        return replace(odds, value=value, low=low, high=high, se=None)

    def _point(self, point: FittedPoint) -> FittedPoint:
        y, predicted = self._value(point.y), self._value(point.predicted)
        return replace(point, y=y, predicted=predicted, error=100.0 * (predicted / y - 1.0))

    def _prediction(self, made: Prediction) -> Prediction:
        low, high = self._ends(made.low, made.high)
        mean_low, mean_high = self._ends(made.mean_low, made.mean_high)
        value = None if made.value is None else self._value(made.value)
        return replace(made, value=value, low=low, high=high, mean_low=mean_low, mean_high=mean_high)

    def _targets(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        return tuple(
            replace(target, ppl=self._value(target.ppl), reason=_short(target.reason)) for target in targets
        )

    def _compute(self, compute: Compute) -> Compute:
        splits = tuple(
            replace(split, there=split.there and self._prediction(split.there)) for split in compute.splits
        )
        return replace(compute, splits=splits)


def _short(reason: str) -> str:
    """Without the odds that the law falls to; the asymptote says it."""
    return reason.split(": the fitted law falls")[0]
