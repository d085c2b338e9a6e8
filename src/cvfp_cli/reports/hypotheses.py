"""What one report tests of its studies: effects and claims, all corrected together.

A configuration is the unit of every comparison of architectures: its ln PPL is averaged over the sizes that all
configurations share, and the averages are fitted by ln PPL = layers + tokens + context_dim + the other axes. The
residual is then what these factors leave unexplained from configuration to configuration (their interaction included),
so that four sizes of one configuration do not count as four independent configurations. What sizes share is in every
configuration alike and cancels. In the effect of data it does not: its error is that of the lines (``stats/lines.py``).
"""

from collections.abc import Sequence
from math import log
from statistics import fmean

from cvfp_cli.reports.scope import Scope, rank
from cvfp_cli.stats.claims import UNTESTED, Claim, any_falls, does_not_fall, falls, rises, smaller, times
from cvfp_cli.stats.contrasts import holm
from cvfp_cli.stats.effects import MainEffects, main_effects
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.noise import best_by, line_noise
from cvfp_cli.stats.paired import ArmsCompared
from cvfp_cli.stats.regression import determined
from cvfp_cli.study.families import Group, varying

MARGIN = 0.02  # a change of PPL by less than this share counts as none in the hypotheses
LARGE = 10  # "large data" is this many times the largest measured size
FACTORS = ("layers", "tokens", "context_dim")


def claims_of(scope: Scope) -> dict[str, Claim]:
    """Every claim that this family is asked about, with Holm's correction over those that can be tested.

    Keys are ``depth``, ``richer-input``, ``third-token``, ``rank``; what parts are worth: ``context``, ``phase1``,
    ``phases``, ``ngram``; and of being the best for a purpose ``alpha``, ``small``, ``large`` (absolute performance, at
    the largest size) and ``beyond`` (at ten times that).
    """
    if not scope.claims:
        effects = effects_of(scope)[0]
        found = {
            **_effect_claims(effects),
            **_rank_claim(scope),
            **_part_claims(scope),
            **_best_claims(scope),
        }
        adjusted = holm([claim.p_value for claim in found.values()])
        scope.claims.update(
            {key: claim.corrected(p) for (key, claim), p in zip(found.items(), adjusted, strict=True)}
        )
    return scope.claims


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


def data_effect(scope: Scope) -> tuple[Estimate, int] | None:
    """Mean slope of ln PPL over ln n, with the error that configurations in the same sizes share.

    One configuration has its line's own interval.
    """
    fits = [(group.label, fit) for group in scope.groups if (fit := scope.power(group)) is not None]
    known = [(label, fit.parameters["alpha"]) for label, fit in fits]
    known = [(label, slope) for label, slope in known if slope.value is not None]
    if not known:
        return None
    if len(known) == 1:
        return known[0][1], 1
    return mean_slope(scope, [label for label, _ in known]), len(known)


def mean_slope(scope: Scope, labels: Sequence[str]) -> Estimate:
    """The mean of these configurations' slopes."""
    lines = scope.slope_lines
    if lines is None or not lines.own:
        slopes = [slope for label in labels if (slope := scope.alpha_of(label)) is not None]
        return Estimate(fmean(slopes))
    return lines.mean(lines.slopes(labels), scope.level)


def rank_points(scope: Scope) -> list[tuple[float, float]]:
    """(validation ER, ln PPL) of every configuration at the largest size."""
    return [
        (cell.val_er, log(cell.val_ppl))
        for _, cell in scope.at(scope.family.largest)
        if cell.val_er is not None and cell.val_ppl
    ]


def rank_effect(scope: Scope) -> tuple[Estimate, int] | None:
    """Slope of ln PPL over effective rank across configurations, all at the largest size."""
    points = rank_points(scope)
    if len(points) < 3:
        return None
    columns = [[1.0, rank] for rank, _ in points]
    line = determined(columns, [y for _, y in points], names=("constant", "rank"), level=scope.level)
    return (line["rank"], len(points)) if line else None


def data_range(scope: Scope) -> tuple[float, float] | None:
    """The smallest and the largest size; None with fewer than two."""
    tokens = scope.family.x == "train_tokens"
    sizes = [
        float(size) for cell in scope.family.cells if (size := cell.train_tokens if tokens else cell.size)
    ]
    return (min(sizes), max(sizes)) if len(set(sizes)) > 1 else None


def _of(placed: Sequence[Group]) -> tuple[str, ...]:
    """The factors of these configurations: the three, and all else that varies and that each of them has."""
    return (*FACTORS, *(name for name in varying(placed) if name not in FACTORS and _known(name, placed)))


def _known(factor: str, placed: Sequence[Group]) -> bool:
    return all(group.factor(factor) is not None for group in placed)


def _effect_claims(effects: MainEffects) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    layers, tokens = effects.levels.get("layers", ()), effects.levels.get("tokens", ())
    if layers:
        found["depth"] = does_not_fall(effects.contrast("layers", layers[0], layers[-1]), MARGIN)
    if {1, 2} <= set(tokens):
        found["richer-input"] = falls(effects.contrast("tokens", 1, 2))
    if {2, 3} <= set(tokens):
        found["third-token"] = does_not_fall(effects.contrast("tokens", 2, 3), MARGIN)
    return found


def _rank_claim(scope: Scope) -> dict[str, Claim]:
    """Over their observed ranges, effective rank changes PPL less than the amount of data does."""
    data, ends = data_effect(scope), data_range(scope)
    if data is None or ends is None:
        return {}
    found = rank_effect(scope)
    if found is None:
        return {"rank": UNTESTED}
    ranks = [point for point, _ in rank_points(scope)]
    by_rank = times(found[0], max(ranks) - min(ranks))
    return {"rank": smaller(by_rank, times(data[0], log(ends[1] / ends[0])))}


def with_part(scope: Scope, part: str) -> list[ArmsCompared]:
    """The arms that differ in a part and compare, those first that a study lists first."""
    return [item for item in scope.arms if item.arms.part == part and not item.arms.unfair]


def _part_claims(scope: Scope) -> dict[str, Claim]:
    """What the context, phase 1 and separate phases do, each by the first two arms; is any model better than counting?"""
    tests = {"context": rises, "phase1": rises, "phases": falls}
    found = {part: test(arms[0].mean) for part, test in tests.items() if (arms := with_part(scope, part))}
    if counted := with_part(scope, "ngram"):
        found["ngram"] = any_falls([item.mean for item in counted])
    return found


def _best_claims(scope: Scope) -> dict[str, Claim]:
    """Of each purpose: its best is better than every other."""
    labels = [group.label for group in scope.groups if scope.alpha(group) is not None]
    found = {"alpha": best_by([scope.alpha_of(x) for x in labels], scope.alpha_noise[1], level=scope.level)}
    for key, size in (("small", scope.family.smallest), ("large", scope.family.largest)):
        if key == "large" or size != scope.family.largest:
            found[key] = rank(scope, size, "val_ppl").tested(scope.level)
    lines = scope.slope_lines
    if len(labels) > 1 and lines is not None:
        at = log(LARGE * scope.measured_to)
        noise = line_noise(lines, labels, at)
        values = lines.values(lines.at(labels, at)) if noise is not None else []
        found["beyond"] = best_by(values, noise, level=scope.level)
    return {
        key: UNTESTED if best is None or best.p_value is None else Claim("supported", best.p_value)
        for key, best in found.items()
    }
