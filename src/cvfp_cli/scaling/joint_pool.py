"""Whether several groups share one joint law: the fit of all against one law for each.

The rise of the Huber loss from a law for each group to one law for all, per parameter less, over what the separate fits'
errors let expect (Schrader and Hettmansperger 1980): the F test of two nested least-squares fits, made robust. Its
threshold is that of an efficient fit, because near-absolute errors make such a test too ready with few runs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import special

from cvfp_cli.laws.surface import COMMON
from cvfp_cli.scaling.joint import (
    THRESHOLD,
    HeldCoordinates,
    JointData,
    JointFit,
    joint_starts,
    solve_joint,
)
from cvfp_cli.scaling.joint_profile import different
from cvfp_cli.scaling.result import PoolTest
from cvfp_cli.stats.regression import f_p_value
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array

# Huber's threshold, in standard deviations, that loses 5 % of efficiency to least squares under normal errors.
EFFICIENT = 1.345
FAR = 90.0  # how much further the amplitudes may go: far from the common centre they may be any number
STARTS = 4  # of each group's own fit, beside the common one
Runs = tuple[Array, Array, Array, Array]


def pool_test(groups: Sequence[Runs], data: JointData, fit: JointFit) -> PoolTest | None:
    """Test one law for all runs against one for each group (N, D, ln L and passes of its runs); None for a single group.

    A group of one model size or one data size has fewer parameters of its own: a level and what its sizes tell apart.
    """
    if len(groups) < 2:
        return None
    m = len(data.log_loss)
    own = sum(_parameters(n, d, data.held) for n, d, *_ in groups)
    all_n, all_d = (np.concatenate([runs[i] for runs in groups]) for i in (0, 1))
    df1, df2 = own - _parameters(all_n, all_d, data.held), m - own
    if df1 < 1 or df2 < 1:
        return PoolTest(len(groups), None, max(df1, 0), max(df2, 0), None)
    separate = _Separate(groups, data, fit)
    first = separate.fit(separate.starts, THRESHOLD)[1]
    # Fits of absolute errors pass through as many runs as there are parameters; the others tell the errors' size.
    scale = float(np.median(np.sort(np.abs(first))[own:]) / special.ndtri(0.75))
    threshold = max(EFFICIENT * scale, ROUNDING)
    loss, residuals = separate.fit(separate.starts, threshold)
    start = np.concatenate([fit.theta[None], joint_starts(data)[:STARTS]])
    _, common = solve_joint(data, start, np.ones((len(start), m)), threshold=threshold)
    psi = np.clip(residuals, -threshold, threshold)
    inside = float(np.mean(np.abs(residuals) <= threshold))
    unit = float(psi @ psi) / df2 / (2.0 * inside)
    f = max(float(common.min()) - loss, 0.0) / df1 / max(unit, 0.5 * ROUNDING**2)
    return PoolTest(len(groups), f, df1, df2, f_p_value(f, df1, df2))


def _parameters(n: Array, d: Array, held: HeldCoordinates) -> int:
    """How many parameters runs of these sizes can tell apart: a level and two a size, less where one is held."""
    pairs = len(np.unique(np.column_stack([n, d]), axis=0))
    by_n, by_d = (2 - int(fixed) for fixed in held.fixed[3:COMMON])
    further = int(np.sum(~held.fixed[COMMON:]))
    return min(pairs, held.k, 1 + further + min(by_n, different(n) - 1) + min(by_d, different(d) - 1))


class _Separate:
    """Every group's runs as rows of one batch, ``STARTS`` + 1 problems a group."""

    def __init__(self, groups: Sequence[Runs], data: JointData, fit: JointFit) -> None:
        longest = max(len(runs[0]) for runs in groups)
        self.each = STARTS + 1
        shape = (len(groups) * self.each, longest)
        u, v, log_loss, self.weight = (np.zeros(shape) for _ in range(4))
        passes = np.ones(shape)
        self.starts = np.empty((shape[0], data.law.k))
        for g, (n, d, y, p) in enumerate(groups):
            rows = slice(g * self.each, (g + 1) * self.each)
            own = replace(
                data, u=np.log(n) - data.centre_n, v=np.log(d) - data.centre_d, log_loss=y, passes=p
            )
            found = joint_starts(own)
            # With both exponents held there are fewer: they are repeated.
            self.starts[rows] = np.concatenate([fit.theta[None], found[np.arange(STARTS) % len(found)]])
            for whole, part in (
                (u, own.u),
                (v, own.v),
                (log_loss, y),
                (passes, p),
                (self.weight, np.ones(len(y))),
            ):
                whole[rows, : len(y)] = part
        self.data = replace(data, u=u, v=v, log_loss=log_loss, passes=passes)

    def fit(self, starts: Array, threshold: float) -> tuple[float, Array]:
        """The sum of the groups' least losses, and the residuals of all runs, (m,)."""
        data = self.data
        far = np.zeros(data.law.k)
        far[1:3] = FAR
        lower, upper = data.law.lower - far, data.law.upper + far
        theta, loss = solve_joint(data, starts, self.weight, lower=lower, upper=upper, threshold=threshold)
        groups = loss.reshape(-1, self.each)
        best = np.arange(len(groups)) * self.each + groups.argmin(axis=1)
        fitted = data.law.log_loss(theta[best], data.u[best], data.v[best], data.passes[best])[0]
        off = data.log_loss[best] - fitted
        return float(loss[best].sum()), off[self.weight[best] > 0.0]
