"""A forecast as headings, tables and sentences: what is said first, before any single law."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.laws.names import MIXED
from cvfp_cli.scaling.blocks import Block, Heading, Line, TextTable
from cvfp_cli.scaling.forecasts import Forecast
from cvfp_cli.scaling.numbers import MISSING, NO_SLOPE, figure, interval, rounded_off, size
from cvfp_cli.stats.curvature import CURVED, STRAIGHT

VERDICTS = {CURVED: "bends", STRAIGHT: "straight"}
MOST_NAMED = 3
# With fewer sizes than this, what is forecast rests on the laws more than on the data.
FEW = 6


def forecast_blocks(forecasts: Sequence[Forecast]) -> list[Block]:
    """Predictions, targets and asymptotes of the mixture of laws, then whether each log-log line bends."""
    mixed = [one for one in forecasts if one.weights]
    blocks: list[Block] = []
    if mixed:
        level = f"{100 * mixed[0].level:g} %"
        blocks += [Heading("Forecast"), Line(_how(mixed))]
        if any(one.predictions for one in mixed):
            blocks.append(_predictions(mixed, level))
        targets = [_target(one, i) for one in mixed for i in range(len(one.targets))]
        blocks += [Line(text) for text in targets]
        blocks += [_laws(mixed, level), Line(_decided(mixed))]
    bends = [one for one in forecasts if one.curvature.p_value is not None]
    untold = [one for one in forecasts if one.curvature.p_value is None]
    if forecasts:
        blocks.append(Heading("Is the log-log line straight?"))
    if bends:
        blocks.append(_bends(bends))
    if untold:
        blocks.append(Line(_untold(untold, every=not bends)))
    return blocks


def _how(mixed: Sequence[Forecast]) -> str:
    laws = list(dict.fromkeys(law for one in mixed for law in one.weights))
    if len(laws) == 1:
        return f"By {laws[0]} alone: these sizes leave room for no other law."
    said = (
        f"From a mixture of {', '.join(laws[:-1])} and {laws[-1]}, weighted by AIC, since the law is not known; what each "
        "law says by itself stands with its fit."
    )
    untested = sorted({law for one in mixed for law in set(MIXED) - set(one.weights) - one.barred})
    if not untested:
        return said
    return (
        f"{said} Where the sizes are too few for {' and '.join(untested)}, the richest law that they can test has all the "
        "weight."
    )


def _predictions(mixed: Sequence[Forecast], level: str) -> TextTable:
    rows = [
        (
            one.config or "all points",
            size(p.x),
            figure(p.value),
            interval(p.mean_low, p.mean_high),
            interval(p.low, p.high),
            _distance(distance),
        )
        for one in mixed
        for p, distance in zip(one.predictions, one.distances, strict=True)
    ]
    header = (
        "",
        mixed[0].x,
        mixed[0].y,
        f"{level} for the law",
        f"{level} for a new run",
        "beyond, in ranges",
    )
    return TextTable(header, tuple(rows))


def _distance(distance: float) -> str:
    """How far beyond the data, in their range of ln n."""
    return "inf" if not np.isfinite(distance) else f"{distance:.2f}"


def _target(one: Forecast, i: int) -> str:
    target = one.targets[i]
    who = f"{one.config}: " if one.config else ""
    ends = f" ({interval(target.low, target.high)})"
    if target.x is None:
        known = "" if target.low is None and target.high is None else ends
        return f"{who}{one.y} {figure(target.ppl)}: {target.reason}{known}."
    return f"{who}{one.y} {figure(target.ppl)} is reached at {one.x} {size(target.x)}{ends}."


def _laws(mixed: Sequence[Forecast], level: str) -> TextTable:
    laws = list(dict.fromkeys(law for one in mixed for law in one.weights))
    rows = []
    for one in mixed:
        weights = (f"{100 * one.weights[law]:.0f} %" if law in one.weights else MISSING for law in laws)
        end = one.asymptote
        asymptote = (figure(end.value), interval(end.low, end.high)) if end else (MISSING, MISSING)
        rows.append((one.config or "all points", *weights, *asymptote))
    return TextTable(("weight of", *laws, "asymptote", f"{level} interval"), tuple(rows))


def _decided(mixed: Sequence[Forecast]) -> str:
    """Whether the data tell the laws apart, and how much that matters."""
    settled = [one for one in mixed if one.decided]
    few = min(one.sizes for one in mixed)
    sizes = (
        f"; with {counted(few, 'size')} a forecast far beyond them rests on the laws more than on the data"
    )
    if not settled:
        return f"Which law holds is not decided{sizes if few < FEW else ''}."
    laws = sorted({one.decided for one in settled})
    where = (
        "" if len(settled) == len(mixed) else f" for {len(settled)} of {counted(len(mixed), 'configuration')}"
    )
    return f"{' and '.join(laws)} {'has' if len(laws) == 1 else 'have'} nearly all of the weight{where}{sizes if few < FEW else ''}."


def _untold(forecasts: Sequence[Forecast], *, every: bool) -> str:
    """Why a bend of these has no test."""
    named = [one.config or "all points" for one in forecasts[:MOST_NAMED]]
    more = f" and {len(forecasts) - MOST_NAMED} more" if len(forecasts) > MOST_NAMED else ""
    who = "" if every else f" for {', '.join(named)}{more}"
    most = max(one.sizes for one in forecasts)
    return (
        f"Not told{who}: a test of a bend needs four sizes, since a line with a bend meets any three; "
        f"{'here' if every else 'there'} {'is' if most == 1 else 'are'} {counted(most, 'size')}."
    )


def _bends(forecasts: Sequence[Forecast]) -> TextTable:
    rows = []
    for one in forecasts:
        bend = one.curvature
        change = [rounded_off(value, NO_SLOPE) for value in (bend.change, bend.low, bend.high)]
        verdict = VERDICTS.get(bend.verdict, "not decided")
        rows.append(
            (
                one.config or "all points",
                figure(rounded_off(bend.slope, NO_SLOPE), 3),
                figure(change[0], 3),
                interval(*change[1:]),
                figure(bend.p_value, 2),
                verdict,
            )
        )
    return TextTable(("", "slope", "change", "95 % interval", "p", "line"), tuple(rows))
