"""Which law predicts best, and what the data cannot decide.

Laws are ranked by how well they predict the next larger size from the smaller ones (rolling origins), over all groups,
on the tests that every ranked law can take. AIC and Akaike weights stand beside it, for what they are worth with few
points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvfp_cli.counting import agreeing, counted
from cvfp_cli.scaling.held_out import Origin
from cvfp_cli.scaling.result import Fit

# Fewer different held-out sizes than this decide nothing, whatever the spread.
ENOUGH_SIZES = 3
# A curve that meets the mean of every size misses them by this share of the seeds' own squares at most: where it stops.
MET = 1e-9


@dataclass(frozen=True)
class LawScore:
    """One law's place.

    Attributes:
        law: its name. rank: 1 is best; None where it cannot be tested with these sizes.
        mean_error: mean |ln(predicted / measured)| over the common tests. spread: its standard deviation over them.
        tests: how many: origins times groups. held_out_sizes: different sizes predicted.
        decided: clearly worse than the first, beyond the spread (for the first: clearly better than the second).
        mean_aic: mean over groups of the published AIC. akaike_weight: from the means of the sizes and the objective's
            own RSS, summed over groups; None where it does not exist.
        reason: why it is not ranked, or empty.
        bend_p: of the test of a bend that it cannot follow, which rules it out whatever it predicts; else None.
    """

    law: str
    rank: int | None
    mean_error: float | None
    spread: float | None
    tests: int
    held_out_sizes: int
    decided: bool
    mean_aic: float | None
    akaike_weight: float | None
    mean_loo: float | None
    reason: str = ""
    bend_p: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Selection:
    """All laws, ranked ones first, and one sentence that says what the data can and cannot decide."""

    laws: tuple[LawScore, ...]
    sentence: str


def select(
    fits: Mapping[str, Sequence[Fit]],
    origins: Mapping[str, Sequence[Origin]],
    bends: Mapping[str, float] | None = None,
) -> Selection:
    """Rank laws that were fitted to the same groups with one objective.

    Args:
        fits: each law's fits, one a group, in one order of groups.
        origins: each law's rolling-origin tests. bends: p of the test of a bend that a law cannot follow, by its name.
    """
    weights = akaike_weights(fits)
    testable = {law: {(o.group, o.sizes): o.error for o in tests} for law, tests in origins.items() if tests}
    common = set.intersection(*(set(tests) for tests in testable.values())) if testable else set()
    scores = []
    for law, tests in testable.items():
        errors = np.array([tests[key] for key in sorted(common)])
        if errors.size:
            spread = float(errors.std(ddof=1)) if errors.size > 1 else None
            scores.append((law, float(errors.mean()), spread))
    scores.sort(key=lambda score: score[1])
    sizes = len({size for _, size in common})
    decided = _decided(scores, sizes)
    ranked = [
        LawScore(
            law=law,
            rank=place + 1,
            mean_error=error,
            spread=spread,
            tests=len(common),
            held_out_sizes=sizes,
            decided=decided[place],
            mean_aic=_mean(fit.aic for fit in fits[law]),
            akaike_weight=weights.get(law),
            mean_loo=_mean(fit.loo_error for fit in fits[law]),
            bend_p=(bends or {}).get(law),
        )
        for place, (law, error, spread) in enumerate(scores)
    ]
    names = {score.law for score in ranked}
    rest = [
        LawScore(
            law=law,
            rank=None,
            mean_error=None,
            spread=None,
            tests=0,
            held_out_sizes=0,
            decided=False,
            mean_aic=_mean(fit.aic for fit in fits[law]),
            akaike_weight=weights.get(law),
            mean_loo=_mean(fit.loo_error for fit in fits[law]),
            reason=_untestable(fits[law]),
        )
        for law in fits
        if law not in names
    ]
    return Selection((*ranked, *rest), _sentence(ranked, rest))


def _decided(scores: Sequence[tuple[str, float, float | None]], sizes: int) -> list[bool]:
    """For each place: whether it differs from the best (the best: from the second) by more than the spread."""
    if len(scores) < 2:
        return [False] * len(scores)
    result = []
    for place in range(len(scores)):
        other = scores[0] if place else scores[1]
        spreads = [spread for spread in (scores[place][2], other[2]) if spread is not None]
        gap = abs(scores[place][1] - other[1])
        result.append(sizes >= ENOUGH_SIZES and len(spreads) == 2 and gap > max(spreads))
    return result


def akaike_weights(fits: Mapping[str, Sequence[Fit]]) -> dict[str, float]:
    """Akaike weights from m ln(RSS / m) + 2k of the objective's own RSS, summed over groups.

    m are the sizes and RSS is that of their means, since seeds of a size share its samples; of a joint law they are runs.
    Empty where a law meets all means of some group, or its AIC does not belong to the group alone (shared parameters).
    """
    totals = {}
    for law, members in fits.items():
        total = 0.0
        for fit in members:
            whole = fit.rss_log if fit.objective == "log" else fit.rss_ppl
            m, rss = (fit.means.sizes, fit.means.rss(fit.objective)) if fit.means else (fit.points, whole)
            evidence = fit.means.evidence(fit.objective) if fit.means else whole
            scale = 1.0 if fit.objective == "log" else float(np.mean([point.y**2 for point in fit.fitted]))
            met = rss <= max(1e-20 * scale * m, MET * whole)
            if met or any(p.shared for p in fit.parameters.values()):
                return {}
            total += m * float(np.log(evidence / m)) + 2 * fit.k
        totals[law] = total
    best = min(totals.values(), default=0.0)
    likelihood = {law: float(np.exp(-0.5 * (total - best))) for law, total in totals.items()}
    return {law: value / sum(likelihood.values()) for law, value in likelihood.items()}


def _mean(values: Any) -> float | None:
    known = list(values)
    return float(np.mean(known)) if known and all(value is not None for value in known) else None


def _untestable(fits: Sequence[Fit]) -> str:
    k = fits[0].k if fits else 0
    return f"cannot be tested with these sizes: {counted(k, 'parameter needs', 'parameters need')} at least {k + 1} sizes"


def laws_left(scores: Sequence[LawScore]) -> list[str]:
    """The ranked laws that may be the right one: no bend rules them out, nor are they clearly worse than the first.

    Where the first itself is ruled out, to predict worse than it rules out none of the others.
    """
    standing = [score for score in scores if score.rank is not None and score.bend_p is None]
    first_stands = bool(standing) and standing[0].rank == 1
    return [score.law for score in standing if not first_stands or score.rank == 1 or not score.decided]


def _sentence(ranked: Sequence[LawScore], rest: Sequence[LawScore]) -> str:
    """What the data can and cannot decide, in one sentence."""
    untested = f"; {', '.join(score.law for score in rest)} cannot be tested with these sizes" if rest else ""
    if not ranked:
        return f"Not decided: these sizes leave nothing to predict{untested}."
    best = ranked[0]
    held = f"{counted(best.tests, 'prediction')} of {counted(best.held_out_sizes, 'held-out size')}"
    if len(ranked) == 1:
        return f"Nothing to choose: {best.law} alone could be tested ({held}){untested}."
    second = ranked[1]
    smallest = (
        f"{best.law} has the smallest error on {held} "
        f"({100 * (best.mean_error or 0.0):.1f} % against {100 * (second.mean_error or 0.0):.1f} %)"
    )
    bending = {score.law: score.bend_p for score in ranked if score.bend_p is not None}
    bent = ""
    if bending:
        are, they = ("is", "it") if len(bending) == 1 else ("are", "they")
        bent = (
            f"; {' and '.join(bending)} {are} ruled out, since {they} cannot follow a log-log line that bends "
            f"(p = {max(bending.values()):.2g})"
        )
    left = laws_left(ranked)
    if not left:
        return f"Not decided: {smallest}{bent}, and no other law was tested{untested}."
    if left == [best.law] and best.decided:
        return f"{best.law} predicts larger sizes best, beyond the spread ({held}){bent}{untested}."
    if len(left) == 1:
        return f"{smallest}{bent}; {left[0]} alone is left{untested}."
    loo = min(ranked, key=lambda score: score.mean_loo if score.mean_loo is not None else float("inf"))
    other = (
        f", and leaving out one point at a time ranks {loo.law} first"
        if loo.mean_loo is not None and loo.law != best.law
        else ""
    )
    clear = [score.law for score in ranked[1:] if score.law not in left and score.bend_p is None]
    worse = (
        f"; {', '.join(clear)} {agreeing(len(clear), 'predicts', 'predict')} clearly worse" if clear else ""
    )
    few = (
        f"fewer than {ENOUGH_SIZES} held-out sizes cannot decide"
        if best.held_out_sizes < ENOUGH_SIZES
        else "the difference is within the spread"
    )
    return f"Not decided between {', '.join(left)}: {smallest}, but {few}{other}{worse}{bent}{untested}."
