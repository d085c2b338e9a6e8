"""One answer from several laws: weights by AIC, intervals from the mixture of their predictive distributions.

Nobody knows the law. A figure of the law that fits best, with the interval that this law gives it, is wrong as often
as the law is; a mixture counts that too (Burnham and Anderson 2002, chapter 4; Buckland, Burnham and Augustin 1997).
Laws are known here as numbers alone: what each answers, its interval, its sum of squares and its parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cvfp_cli.stats.components import Array
from cvfp_cli.stats.rounding import ROUNDING

STEPS = 200  # of the bisection, which ends at the last bit


@dataclass(frozen=True)
class Mixture:
    """Answers of the mixture to k questions.

    Attributes:
        value: the median, (k,).
        low, high: the interval with equal tails, (k,); infinite where a law with enough weight has an open end.
        between: share of the mixture's interval that comes from the laws' disagreement: 1 minus the weighted mean of
            the laws' own widths over the mixture's, 0 at least; NaN where a width is not finite, (k,).
        weights: of the laws, (laws,); their sum is 1.
    """

    value: Array
    low: Array
    high: Array
    between: Array
    weights: Array


def akaike_weights(rss: ArrayLike, parameters: ArrayLike, sizes: int, *, unit: float = 1.0) -> Array:
    """Weights exp(-AIC/2) of laws that were fitted to the same sizes on one scale.

    AIC = m ln(RSS / m) + 2 (k + 1), the one for the variance, with m the sizes and the RSS that of their means: seeds
    of a size share its samples, and do not speak for a law once more. A law takes part only with fewer parameters than sizes:
    with as many it passes through every mean, and its sum of squares says nothing. The correction for small
    samples (Hurvich and Tsai 1989) is left out on purpose: at 5 and 6 sizes it silences every law but that of two
    parameters, and the mixture then held 0-13 % at 10x the largest size where another law was true, against 90-98 %
    without it (200 sets each, noise 2 %).

    Where sizes are too few for one of the laws, the largest of the others takes all the weight: nothing in the data
    tests what they lack. At 4 sizes the mixture of the two smaller laws held 33-40 % at 10x where the largest was
    true, the larger one alone 94-96 %, and 94-100 % where another was.

    Args:
        rss: sums of squares of the sizes' means about each law (``SizeMeans.evidence``), all on one scale such as ln y, (laws,). Not finite: the
            law takes no part.
        parameters: k of each law, (laws,). sizes: m.
        unit: of the scale, of which ``ROUNDING`` is a share: 1 for ln y, a mean y for y.

    Returns:
        weights, (laws,), all 0 where no law can take part. Laws that leave nothing but rounding share the weight by
        their k.
    """
    squares, k = np.asarray(rss, dtype=float), np.asarray(parameters, dtype=float)
    fits = np.isfinite(squares) & (k < sizes)
    if not np.any(fits):
        return np.zeros(len(squares))
    if np.any(k >= sizes):
        fits &= k == np.max(k[fits])
    floor = max(float(np.min(squares[fits])), sizes * (ROUNDING * unit) ** 2)
    relative = np.where(fits, np.maximum(squares, floor) / floor, 1.0)
    score = sizes * np.log(relative) + 2.0 * (k + 1.0)
    weight = np.where(fits, np.exp(-0.5 * (score - np.min(score[fits]))), 0.0)
    return np.asarray(weight / weight.sum())


def mix(
    values: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    df: ArrayLike,
    weights: ArrayLike,
    *,
    level: float = 0.95,
) -> Mixture:
    """Median and interval of a weighted mixture of laws.

    Each law's answer is a t distribution of two pieces: its own ``low`` and ``high`` are its quantiles at ``level``, so
    that a profile's unequal arms stay unequal. Hand predictions in on the log scale, where they are closest to it.

    Args:
        values, low, high: each law's answers and its intervals at ``level``, (laws, k). An end may be infinite; an
            interval without width is a point mass, such as the asymptote 0 of a law that has none.
        df: degrees of freedom of each law, (laws,).
        weights: (laws,), from ``akaike_weights``. A law of weight 0 may hold NaN.
    """
    share = np.asarray(weights, dtype=float)
    kept = share > 0.0
    if not np.any(kept):
        missing = np.full(np.atleast_2d(np.asarray(values)).shape[1], np.nan)
        return Mixture(missing, missing, missing, missing, share)
    v, lo, hi = (np.atleast_2d(np.asarray(part, dtype=float))[kept] for part in (values, low, high))
    nu, part = np.asarray(df, dtype=float)[kept][:, None], share[kept] / share[kept].sum()
    t = special.stdtrit(nu, 0.5 + level / 2.0)
    arms = ((v - lo) / t, (hi - v) / t)  # standard errors below and above
    tail = 0.5 - level / 2.0
    ends = [_quantile(v, arms, nu, part, q) for q in (tail, 0.5, 1.0 - tail)]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = part @ (hi - lo)
        between = np.where(np.isfinite(own) & (ends[2] > ends[0]), 1.0 - own / (ends[2] - ends[0]), np.nan)
    return Mixture(ends[1], ends[0], ends[2], np.maximum(between, 0.0), share)


def extrapolation(new: ArrayLike, smallest: float, largest: float) -> Array:
    """How far a size lies outside the data, in ranges of the data: (ln n - ln n_max) / (ln n_max - ln n_min).

    0 within the data; at sizes below them ln n_min takes the place of ln n_max. 1 is as far beyond the data as they
    themselves reach.
    """
    at = np.log(np.asarray(new, dtype=float))
    first, last = float(np.log(smallest)), float(np.log(largest))
    outside = np.maximum(np.maximum(at - last, first - at), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(outside > 0.0, outside / (last - first), 0.0))


def _below(x: Array, v: Array, arms: tuple[Array, Array], df: Array, share: Array) -> Array:
    """Probability of the mixture up to and including x, (k,)."""
    distance = x - v
    arm = np.where(distance < 0.0, arms[0], arms[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(distance == 0.0, np.where(arms[1] > 0.0, 0.0, np.inf), distance / arm)
    return np.asarray(share @ special.stdtr(df, z))


def _quantile(v: Array, arms: tuple[Array, Array], df: Array, share: Array, q: float) -> Array:
    """Smallest x with a probability of at least q up to it, (k,).

    It lies between the smallest and the largest of the laws' own quantiles. A law with an open end has half its mass
    beyond every number on that side.
    """
    own = v + np.where(q < 0.5, arms[0], arms[1]) * special.stdtrit(df, q) if q != 0.5 else v
    low, high = own.min(axis=0), own.max(axis=0)
    open_low, open_high = ~np.isfinite(low), ~np.isfinite(high)
    # Beyond every finite law's far tail, for laws whose own quantile is no number.
    finite = [np.where(np.isfinite(arm), arm, 0.0) for arm in arms]
    far = 1e6 * (finite[0] + finite[1]).max(axis=0) + np.ptp(v, axis=0) + 1e-300
    low = np.where(open_low, v.min(axis=0) - far, low)
    high = np.where(open_high, v.max(axis=0) + far, high)
    lost_low = open_low & (_below(low, v, arms, df, share) >= q)
    lost_high = open_high & (_below(high, v, arms, df, share) < q)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        enough = _below(middle, v, arms, df, share) >= q
        settled = (middle <= low) | (middle >= high)
        if np.all(settled):
            break
        low, high = np.where(enough | settled, low, middle), np.where(enough & ~settled, middle, high)
    at_low = _below(low, v, arms, df, share) >= q  # a point mass that is the bracket's own end
    found = np.where(at_low, low, high)
    return np.asarray(np.where(lost_low, -np.inf, np.where(lost_high, np.inf, found)))
