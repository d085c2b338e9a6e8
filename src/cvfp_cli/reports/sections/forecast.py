"""The forecast of section 7: what a mixture of laws says of larger sizes, before what each law says by itself."""

from math import isfinite

from cvfp_cli.laws.names import MIXED
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.scaling.forecasts import Forecast
from cvfp_cli.stats.curvature import CURVED, STRAIGHT


def forecast(scope: Scope) -> list[Block]:
    """Predictions and asymptotes of every group, whether its line bends, and whether the law is decided."""
    made = [one for one in scope.forecasts if one.weights]
    if not made:
        return []
    columns = [Column("config")]
    for i, prediction in enumerate(made[0].predictions):
        beyond = any(one.predictions[i].extrapolated for one in made)
        values = {"size": prediction.x, "unit": scope.family.x}
        columns.append(Column("predicted-beyond" if beyond else "predicted-within", "ppl", values))
    columns += [Column("asymptote", "ppl"), Column("bends")]
    rows = tuple(_row(one) for one in made)
    note = Finding("forecast-method", {"level": scope.level}, "note")
    return [
        Subheading("forecast"),
        Table("forecast", tuple(columns), rows, (note,)),
        Findings((_decided(made),)),
    ]


def _row(one: Forecast) -> tuple[Value, ...]:
    figures = [
        Value(item.value, item.low, item.high, bounded=item.low is not None or item.high is not None)
        for item in one.predictions
    ]
    verdict = one.curvature.verdict
    word = verdict if verdict in (CURVED, STRAIGHT) else "untold"
    return (Value(one.config), *figures, Value.of(one.asymptote), Value(Finding(f"line-{word}", {}, "note")))


def _decided(made: list[Forecast]) -> Finding:
    """Which law has nearly all of the weight, or that none has, and how far that reaches."""
    settled = sorted({one.decided for one in made if one.decided})
    farthest = max((d for one in made for d in one.distances if isfinite(d)), default=0.0)
    values = {
        "laws": tuple(settled),
        "count": sum(bool(one.decided) for one in made),
        "of": len(made),
        "sizes": min(one.sizes for one in made),
        "distance": farthest,
        "mixed": MIXED,
    }
    return Finding(
        "forecast-decided" if len(settled) == 1 and all(o.decided for o in made) else "forecast-undecided",
        values,
    )
