"""Claims about effects as tests, so that the several claims of one report can be corrected together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log1p, sqrt
from typing import Literal

from scipy import special

from cvfp_cli.stats.estimate import Estimate

Verdict = Literal["supported", "contradicted"]
SAME = 1e-9  # logarithms of PPL that differ by less are one figure, but for rounding


@dataclass(frozen=True)
class Claim:
    """What the data lean to, and its p value.

    Attributes:
        leaning: what the figures say where they are decisive; None where they are exactly in between.
        p_value: twice that of the one-sided test of the leaning; None where there is nothing to test by.
        adjusted: the same after the correction over all claims of the report.
    """

    leaning: Verdict | None
    p_value: float | None
    adjusted: float | None = None

    def verdict(self, level: float) -> str:
        """``supported``, ``contradicted``, ``undecided`` or ``untested``."""
        if self.p_value is None:
            return "untested"
        p = self.p_value if self.adjusted is None else self.adjusted
        return self.leaning if self.leaning and p < 1.0 - level else "undecided"

    def corrected(self, adjusted: float | None) -> "Claim":
        """The same claim with its p value corrected."""
        return replace(self, adjusted=adjusted)


UNTESTED = Claim(None, None)


def falls(change: Estimate | None) -> Claim:
    """The claim that a change of ln PPL is below 0."""
    if change is None or change.se is None or change.df is None:
        return UNTESTED
    value = change.known
    if abs(value) <= SAME:
        return Claim(None, 1.0)
    return Claim("supported" if value < 0 else "contradicted", _twice(abs(value), change.se, change.df))


def rises(change: Estimate | None) -> Claim:
    """The claim that a change of ln PPL is above 0."""
    fall = falls(change)
    turned: dict[Verdict, Verdict] = {"supported": "contradicted", "contradicted": "supported"}
    return replace(fall, leaning=turned[fall.leaning]) if fall.leaning else fall


def any_falls(changes: Sequence[Estimate]) -> Claim:
    """The claim that one of these changes of ln PPL is below 0; contradicted where each of them is above.

    One of several may be below by chance, so its p value is Bonferroni's; that all are above takes every test.
    """
    tests = [falls(change) for change in changes]
    below = [test.p_value for test in tests if test.leaning == "supported" and test.p_value is not None]
    if below:
        return Claim("supported", min(1.0, len(tests) * min(below)))
    above = [test.p_value for test in tests]
    if not above or None in above:
        return UNTESTED
    return Claim("contradicted", max(p for p in above if p is not None))


def does_not_fall(change: Estimate | None, margin: float) -> Claim:
    """The claim that PPL does not fall by more than the share ``margin``; contradicted where it falls at all."""
    if change is None or change.se is None or change.df is None:
        return UNTESTED
    within = change.known - log1p(-margin)
    support = _twice(within, change.se, change.df) if within > 0 else 1.0
    against = _twice(-change.known, change.se, change.df) if change.known < -SAME else 1.0
    # A small but certain fall is both; the claim, which allows the margin, then stands.
    return Claim("supported", support) if support <= against else Claim("contradicted", against)


def smaller(first: Estimate | None, second: Estimate | None) -> Claim:
    """The claim that the first is smaller in size than the second, of two estimates that share no error.

    With errors of their own and degrees of freedom by Welch (1947). The smaller of the two stands for both signs.
    """
    if first is None or second is None or first.se is None or second.se is None:
        return UNTESTED
    gap = abs(second.known) - abs(first.known)
    variances = first.se**2, second.se**2
    total = sum(variances)
    parts = sum(v**2 / (e.df or inf) for v, e in zip(variances, (first, second), strict=True))
    p = _twice(abs(gap), sqrt(total), total**2 / parts if parts > 0 else inf)
    return Claim("supported" if gap > 0 else "contradicted", p)


def times(change: Estimate, factor: float) -> Estimate:
    """An estimate on another unit, its error with it."""
    scaled = change.map(lambda value: value * factor)
    return replace(scaled, se=None if change.se is None else change.se * abs(factor))


def _twice(value: float, se: float, df: float) -> float:
    """Twice the chance of a t value above value / se."""
    if se <= 0.0:
        return 0.0 if value > 0 else 1.0
    return float(2.0 * special.stdtr(min(df, 1e9), -value / se))
