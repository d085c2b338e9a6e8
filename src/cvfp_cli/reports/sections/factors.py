"""Section 8: what each factor does to the perplexity, which figures go together, and the studies' hypotheses.

How effects are estimated and claims tested stands in ``report/hypotheses.py``.
"""

from itertools import pairwise
from math import exp, log, log10

from cvfp_cli.reports.hypotheses import (
    FACTORS,
    MARGIN,
    claims_of,
    data_effect,
    data_range,
    effects_of,
    rank_effect,
    rank_points,
)
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.pictures import rank_chart
from cvfp_cli.reports.scope import Scope
from cvfp_cli.stats.claims import times
from cvfp_cli.stats.comparison import within_curves
from cvfp_cli.stats.effects import MainEffects
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import correlation

CONFOUNDED = 0.8  # correlation from which a factor and ER cannot be told apart


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Effects, correlations and hypotheses."""
    if not any(group.cells for group in scope.groups):
        return Finding("no-finished-runs", {}, "warning")
    effects, sizes, configurations = effects_of(scope)
    blocks = [*_effects_table(scope, effects, len(sizes), configurations), *_correlations(scope)]
    hypotheses = _hypotheses(scope, effects)
    if hypotheses:
        tested = sum(claim.p_value is not None for claim in claims_of(scope).values())
        notes = (
            Finding("hypotheses-margin", {"margin": MARGIN}, "note"),
            Finding("claims-corrected", {"count": tested, "level": scope.level}, "note"),
        )
        blocks += [Subheading("hypotheses"), Findings((*hypotheses, *notes))]
    return tuple(blocks) if blocks else Finding("factors-nothing-varies", {}, "note")


def _effects_table(scope: Scope, effects: MainEffects, sizes: int, over: int) -> list[Block]:
    rows = [
        _row(factor, Finding(f"factor-step{plain}", {"from": low, "to": high}), change, over)
        for factor, levels in effects.levels.items()
        for plain in ("" if factor in FACTORS else "-plain",)
        for low, high in pairwise(levels)
        if (change := effects.contrast(factor, low, high)) is not None
    ]
    data, rank = data_effect(scope), rank_effect(scope)
    if data is not None:
        rows.append(_row(scope.family.x, Finding("factor-doubling"), *data, log(2)))
    if rank is not None:
        rows.append(_row("val_er", Finding("factor-ten-points", {"points": 0.1}), *rank, 0.1))
    if not rows:
        return []
    columns = (
        Column("factor", "term"),
        Column("step", "finding"),
        Column("ppl_change", "change"),
        Column("p_value", "p"),
        Column("configurations", "int"),
    )
    notes = []
    if effects.fit is not None:
        notes.append(Finding("factors-method-architecture", {"sizes": sizes}, "note"))
    if data is not None:
        notes.append(Finding("factors-method-data", {}, "note"))
    if rank is not None:
        values = {"size": scope.family.largest, "unit": scope.family.size_kind}
        notes.append(Finding("factors-method-rank", values, "note"))
    notes.append(Finding("factors-method-intervals", {"level": scope.level}, "note"))
    if effects.levels and effects.fit is None:
        code = "factors-not-separable" if len(effects.levels) > 1 else "factors-no-freedom"
        notes.append(Finding(code, {"factors": tuple(effects.levels)}, "note"))
    return [Subheading("effects"), Table("factors", columns, tuple(rows), tuple(notes))]


def _row(factor: str, step: Finding, change: Estimate, over: int, times: float = 1.0) -> tuple[Value, ...]:
    """One effect; ``change`` is of ln PPL and is taken ``times``."""
    return Value(factor), Value(step), _ratio(change, times), Value(change.p_value), Value(over)


def _ratio(change: Estimate, factor: float = 1.0) -> Value:
    """A change of ln PPL, ``factor`` times, as a share of PPL."""
    scaled = times(change, factor).map(lambda shift: exp(min(700.0, shift)) - 1.0)
    return Value.of(scaled if scaled.low is not None and scaled.high is not None else Estimate(scaled.value))


def _correlations(scope: Scope) -> list[Block]:
    """Each correlation with its two variables named."""
    size = scope.family.largest
    here = scope.at(size)
    pairs: list[tuple[str, str, str, list[tuple[float, float]]]] = []
    for factor in ("tokens", "layers"):
        points = [
            (float(group.factor(factor)), cell.val_er)
            for group, cell in here
            if group.factor(factor) and cell.val_er is not None
        ]
        pairs.append((factor, "val_er", "at-size", points))
    pairs.append(("log_n", "log_ppl", "within", within_curves(list(scope.curves.values()))))
    ranks = rank_points(scope)
    pairs.append(("val_er", "log_ppl", "at-size", ranks))
    rows: list[tuple[Value, ...]] = []
    for first, second, where, points in pairs:
        means = len(scope.curves) if where == "within" else 1
        found = correlation(points, scope.level, means=means)
        if found is not None:
            condition = Finding(f"correlation-{where}", {"size": size, "unit": scope.family.size_kind})
            rows.append((Value(first), Value(second), Value(condition), Value.of(found), Value(len(points))))
    if not rows:
        return []
    columns = (
        Column("first_variable", "term"),
        Column("second_variable", "term"),
        Column("condition", "finding"),
        Column("correlation", "correlation"),
        Column("points", "int"),
    )
    notes = (Finding("correlation-method", {"level": scope.level}, "note"),)
    blocks: list[Block] = [Subheading("correlations"), Table("correlations", columns, tuple(rows), notes)]
    if (chart := rank_chart(scope, correlation(ranks, scope.level))) is not None:
        blocks.append(chart)
    together = [
        Finding("rank-confounded", {"factor": row[0].value, "correlation": row[3].value}, "warning")
        for row in rows
        if row[0].value in FACTORS and isinstance(row[3].value, float) and abs(row[3].value) >= CONFOUNDED
    ]
    return [*blocks, Findings(tuple(together))] if together else blocks


def _hypotheses(scope: Scope, effects: MainEffects) -> list[Finding]:
    claims = claims_of(scope)
    layers = effects.levels.get("layers", ())
    steps = {
        "depth": ("layers", *(layers[:1] + layers[-1:])),
        "richer-input": ("tokens", 1, 2),
        "third-token": ("tokens", 2, 3),
    }
    found = []
    for code, step in steps.items():
        if code not in claims:
            continue
        factor, low, high = step
        values: dict[str, object] = {"from": low, "to": high}
        if code != "richer-input":
            values["margin"] = MARGIN
        change, verdict = effects.contrast(factor, low, high), claims[code].verdict(scope.level)
        if verdict != "untested" and change is not None:
            values |= {"change": _ratio(change), "p": claims[code].adjusted}
        found.append(Finding(f"hypothesis-{code}-{verdict}", values))
    if "rank" in claims:
        found.append(_rank_against_data(scope, claims["rank"].verdict(scope.level)))
    return found


def _rank_against_data(scope: Scope, verdict: str) -> Finding:
    """Claim: over their observed ranges, effective rank changes PPL less than the amount of data does."""
    data, rank, ends = data_effect(scope), rank_effect(scope), data_range(scope)
    assert data is not None
    assert ends is not None
    span = log(ends[1] / ends[0])
    values: dict[str, object] = {
        "tenfold": log10(ends[1] / ends[0]),
        "from": ends[0],
        "to": ends[1],
        "unit": scope.family.x,
        "data_change": _ratio(data[0], span),
    }
    ranks = [point for point, _ in rank_points(scope)]
    if rank is None:
        if len(ranks) > 1 and max(ranks) == min(ranks):
            return Finding("hypothesis-rank-same", {**values, "rank": ranks[0]})
        return Finding("hypothesis-rank-untested", values)
    width = max(ranks) - min(ranks)
    values |= {"rank_low": min(ranks), "rank_high": max(ranks), "rank_change": _ratio(rank[0], width)}
    return Finding(f"hypothesis-rank-{verdict}", values)
