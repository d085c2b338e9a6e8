"""Part of section 7: equal slopes? Equal levels? Which pairs differ, and which are as good as equal?"""

from collections.abc import Sequence

from cvfp_cli.reports.model import Block, Finding, Findings, Subheading
from cvfp_cli.reports.scope import Scope
from cvfp_cli.stats.comparison import MARGIN, Pair
from cvfp_cli.stats.regression import FTest

MOST_PAIRS = 2000  # pairs that are tested one by one; beyond, only the joint test is made
SHOWN_PAIRS = 10


def lines_tested(scope: Scope, *, margin: float | None) -> list[Block]:
    """Equal slopes? Equal levels? Which pairs? On common sizes, with size as a factor.

    Args:
        margin: within which pairs are called equal; None leaves that out.
    """
    if len(scope.groups) < 2:
        return []
    joint = scope.lines
    if joint is None or joint.slopes is None:
        exact = joint is not None and joint.df > 0  # freedom is left, but no residual
        code = "equal-lines-exact" if exact else "equal-lines-untested"
        return [Subheading("equal-lines"), Findings((Finding(code, {}, "note"),))]
    alpha = 1 - scope.level
    design = {"points": joint.points, "configurations": joint.curves, "sizes": joint.sizes}
    items = [Finding("paired-model", design, "note")]
    fair = scope.unequal
    if fair is not None:
        items.append(Finding("unequal-stands-out" if fair.stands_out else "unequal-allowed", {}, "note"))
    slopes = fair.slopes if fair is not None and fair.slopes is not None else joint.slopes
    items.append(_test_finding("equal-slopes", slopes, joint.slopes, alpha))
    count = len(scope.curves)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        compared = scope.pairs(margin or MARGIN)
        pairs = [pair for pair in compared if pair.slope is not None and pair.slope_holm is not None]
        apart = [pair for pair in pairs if (pair.slope_holm or 0.0) < alpha]
        if apart:
            names = tuple(f"{pair.first} / {pair.second}" for pair in apart[:SHOWN_PAIRS])
            values = {"count": len(apart), "pairs": len(pairs), "names": names}
            items.append(Finding("slope-pairs-differ", values))
        elif len(pairs) > 1:
            closest = min(pairs, key=lambda pair: pair.slope_holm or 0.0)
            values = {
                "pairs": len(pairs),
                "first": closest.first,
                "second": closest.second,
                "p": closest.slope_holm,
            }
            items.append(Finding("slope-pairs-none", values))
        levels = fair.levels if fair is not None and fair.levels is not None else joint.levels
        if levels is not None and joint.levels is not None:
            items.append(_test_finding("equal-levels", levels, joint.levels, alpha))
        if margin is not None:
            items += equal_findings(compared, margin, scope.level)
    return [Subheading("equal-lines"), Findings(tuple(items))]


def equal_findings(pairs: Sequence[Pair], margin: float, level: float) -> list[Finding]:
    """Which pairs are shown to be equal within a margin of PPL; nothing where no pair can be tested for it."""
    tested = [pair for pair in pairs if pair.paired and pair.equal_holm is not None]
    if not tested:
        return []
    equal = [pair for pair in tested if (pair.equal_holm or 0.0) < 1 - level]
    values: dict[str, object] = {"margin": margin, "pairs": len(tested)}
    if not equal:
        return [Finding("pairs-equal-none", values)]
    names = tuple(f"{pair.first} / {pair.second}" for pair in equal[:SHOWN_PAIRS])
    return [Finding("pairs-equal", {**values, "count": len(equal), "names": names})]


def _test_finding(code: str, test: FTest, pooled: FTest, alpha: float) -> Finding:
    """The verdict of one test, with that under one variance for all beside it."""
    verdict = "rejected" if test.p_value < alpha else "kept"
    return Finding(f"{code}-{verdict}", {**_values(test), **_values(pooled, "pooled_")})


def _values(test: FTest, before: str = "") -> dict[str, object]:
    # Degrees of freedom that are whole but for rounding are written so.
    df1, df2 = round(test.df1, 6), round(test.df2, 6)
    values = {"f": test.statistic, "df1": df1, "df2": df2, "p": test.p_value}
    return {f"{before}{name}": value for name, value in values.items()}
