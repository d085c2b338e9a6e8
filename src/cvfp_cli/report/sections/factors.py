"""Section 8: what each factor does to the perplexity, which figures go together, and the studies' hypotheses.

A configuration is the unit of every comparison of architectures: its ln PPL is averaged over the sizes that all
configurations share, and the averages are fitted by ln PPL = layers + tokens + context_dim + the other axes. The residual is then
what these factors leave unexplained from configuration to configuration (their interaction included), so that
four sizes of one configuration do not count as four independent configurations.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, log10
from statistics import fmean

from cvfp_cli.report.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.report.scope import Scope
from cvfp_cli.stats.comparison import within_curves
from cvfp_cli.stats.effects import MainEffects, main_effects
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import correlation, determined, mean_of
from cvfp_cli.study.families import Group, varying

MARGIN = 0.02  # a change of PPL by less than this share counts as none in the hypotheses
SAME = 1e-9  # logarithms of PPL that differ by less are one figure, but for rounding
CONFOUNDED = 0.8  # correlation from which a factor and ER cannot be told apart
FACTORS = ("layers", "tokens", "context_dim")


def _of(placed: Sequence[Group]) -> tuple[str, ...]:
    """The factors of these configurations: the three, and all else that varies and that each of them has."""
    return (*FACTORS, *(name for name in varying(placed) if name not in FACTORS and _known(name, placed)))


def _known(factor: str, placed: Sequence[Group]) -> bool:
    return all(group.factor(factor) is not None for group in placed)


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Effects, correlations and hypotheses."""
    if not any(group.cells for group in scope.groups):
        return Finding("no-finished-runs", {}, "warning")
    effects, sizes, configurations = effects_of(scope)
    blocks = [*_effects_table(scope, effects, len(sizes), configurations), *_correlations(scope)]
    hypotheses = _hypotheses(scope, effects)
    if hypotheses:
        blocks += [
            Subheading("hypotheses"),
            Findings((*hypotheses, Finding("hypotheses-margin", {"margin": MARGIN}, "note"))),
        ]
    return tuple(blocks) if blocks else Finding("factors-nothing-varies", {}, "note")


def effects_of(scope: Scope) -> tuple[MainEffects, tuple[int, ...], int]:
    """The configurations' mean ln PPL on the factors that vary, the sizes it is over, and how many they are."""
    placed = [
        group for group in scope.groups if group.cells and all(group.factor(factor) for factor in FACTORS)
    ]
    shared = set(scope.family.sizes).intersection(*({cell.size for cell in group.cells} for group in placed))
    means = [
        fmean(log(cell.val_ppl) for cell in group.cells if cell.size in shared and cell.val_ppl)
        for group in placed
        if shared
    ]
    rows = [{factor: group.factor(factor) for factor in _of(placed)} for group in placed]
    return main_effects(rows, means, level=scope.level), tuple(sorted(shared)), len(placed)


def _effects_table(scope: Scope, effects: MainEffects, sizes: int, over: int) -> list[Block]:
    rows = [
        _row(factor, Finding(f"factor-step{plain}", {"from": low, "to": high}), change, over)
        for factor, levels in effects.levels.items()
        for plain in ("" if factor in FACTORS else "-plain",)
        for low, high in pairwise(levels)
        if (change := effects.contrast(factor, low, high)) is not None
    ]
    data, rank = _data_effect(scope), _rank_effect(scope)
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
    scaled = change.map(lambda shift: exp(min(700.0, shift * factor)) - 1.0)
    return Value.of(scaled if scaled.low is not None and scaled.high is not None else Estimate(scaled.value))


def _data_effect(scope: Scope) -> tuple[Estimate, int] | None:
    """Mean slope of ln PPL over ln n; its interval is over configurations, or the line's own where there is one."""
    slopes = [fit.parameters["alpha"] for group in scope.groups if (fit := scope.power(group)) is not None]
    known = [slope for slope in slopes if slope.value is not None]
    if not known:
        return None
    mean = known[0] if len(known) == 1 else mean_of([slope.known for slope in known], scope.level)
    return mean, len(known)


def _rank_points(scope: Scope) -> list[tuple[float, float]]:
    """(validation ER, ln PPL) of every configuration at the largest size."""
    return [
        (cell.val_er, log(cell.val_ppl))
        for _, cell in scope.at(scope.family.largest)
        if cell.val_er is not None and cell.val_ppl
    ]


def _rank_effect(scope: Scope) -> tuple[Estimate, int] | None:
    """Slope of ln PPL over effective rank across configurations, all at the largest size."""
    points = _rank_points(scope)
    if len(points) < 3:
        return None
    columns = [[1.0, rank] for rank, _ in points]
    line = determined(columns, [y for _, y in points], names=("constant", "rank"), level=scope.level)
    return (line["rank"], len(points)) if line else None


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
    pairs.append(("val_er", "log_ppl", "at-size", _rank_points(scope)))
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
    together = [
        Finding("rank-confounded", {"factor": row[0].value, "correlation": row[3].value}, "warning")
        for row in rows
        if row[0].value in FACTORS and isinstance(row[3].value, float) and abs(row[3].value) >= CONFOUNDED
    ]
    return [*blocks, Findings(tuple(together))] if together else blocks


def _hypotheses(scope: Scope, effects: MainEffects) -> list[Finding]:
    found = []
    layers, tokens = effects.levels.get("layers"), effects.levels.get("tokens")
    if layers:
        found.append(_no_gain("depth", effects, "layers", layers[0], layers[-1]))
    if tokens and 1 in tokens and 2 in tokens:
        change = effects.contrast("tokens", 1, 2)
        found.append(_gain("richer-input", change, {"from": 1, "to": 2}))
    if tokens and 2 in tokens and 3 in tokens:
        found.append(_no_gain("third-token", effects, "tokens", 2, 3))
    rank = _rank_against_data(scope)
    if rank is not None:
        found.append(rank)
    return found


def _gain(code: str, change: Estimate | None, values: dict[str, object]) -> Finding:
    """Claim: PPL falls. Supported or contradicted only by an interval that lies on one side of 0."""
    if change is None or change.low is None or change.high is None:
        return Finding(f"hypothesis-{code}-untested", values)
    verdict = "supported" if change.high < -SAME else "contradicted" if change.low > SAME else "undecided"
    return Finding(f"hypothesis-{code}-{verdict}", {**values, "change": _ratio(change)})


def _no_gain(code: str, effects: MainEffects, factor: str, low: int, high: int) -> Finding:
    """Claim: PPL does not fall (by more than the margin)."""
    values: dict[str, object] = {"from": low, "to": high, "margin": MARGIN}
    change = effects.contrast(factor, low, high)
    if change is None or change.low is None or change.high is None:
        return Finding(f"hypothesis-{code}-untested", values)
    if change.low > log(1 - MARGIN):
        verdict = "supported"
    elif change.high < -SAME:
        verdict = "contradicted"
    else:
        verdict = "undecided"
    return Finding(f"hypothesis-{code}-{verdict}", {**values, "change": _ratio(change)})


def _rank_against_data(scope: Scope) -> Finding | None:
    """Claim: over their observed ranges, effective rank changes PPL less than the amount of data does."""
    data, rank = _data_effect(scope), _rank_effect(scope)
    sizes = [
        cell.train_tokens if scope.family.x == "train_tokens" else cell.size for cell in scope.family.cells
    ]
    known = [float(size) for size in sizes if size]
    if data is None or len(set(known)) < 2:
        return None
    span = log(max(known) / min(known))
    slope = data[0]
    values: dict[str, object] = {
        "tenfold": log10(max(known) / min(known)),
        "from": min(known),
        "to": max(known),
        "unit": scope.family.x,
    }
    values["data_change"] = _ratio(slope, span)
    if rank is None:
        measured = [point for point, _ in _rank_points(scope)]
        if len(measured) > 1 and max(measured) == min(measured):
            return Finding("hypothesis-rank-same", {**values, "rank": measured[0]})
        return Finding("hypothesis-rank-untested", values)
    ranks = [point for point, _ in _rank_points(scope)]
    width = max(ranks) - min(ranks)
    values |= {"rank_low": min(ranks), "rank_high": max(ranks), "rank_change": _ratio(rank[0], width)}
    by_data = slope.map(lambda value: value * span).magnitude()
    by_rank = rank[0].map(lambda value: value * width).magnitude()
    if by_data is None or by_rank is None:
        return Finding("hypothesis-rank-untested", values)
    verdict = (
        "supported" if by_rank[1] < by_data[0] else "contradicted" if by_rank[0] > by_data[1] else "undecided"
    )
    return Finding(f"hypothesis-rank-{verdict}", values)
