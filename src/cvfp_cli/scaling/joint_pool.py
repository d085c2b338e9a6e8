"""Whether several groups share one joint law: the fit of all against one law for each.

The rise of the Huber loss from a law for each group to one law for all, per parameter less, over ``Noise.unit`` of the
separate fits: for a threshold far above the noise this is the F test of two nested least-squares fits, and for errors
of any size its robust form (Schrader and Hettmansperger 1980).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cvfp_cli.scaling.joint import (
    LOWER,
    UPPER,
    JointData,
    JointFit,
    joint_starts,
    log_loss_at,
    noise_of,
    solve_joint,
)
from cvfp_cli.scaling.joint_profile import ROUNDING, different
from cvfp_cli.scaling.regression import f_p_value
from cvfp_cli.scaling.result import PoolTest
from cvfp_cli.scaling.solver import Array

STARTS = 4  # of each group's own fit, beside the common one
Runs = tuple[Array, Array, Array]


def pool_test(groups: Sequence[Runs], data: JointData, fit: JointFit) -> PoolTest | None:
    """Test one law for all runs against one for each group (N, D and ln L of its runs); None for a single group.

    A group of one model size or one data size has fewer parameters of its own: a level and what its sizes tell apart.
    """
    if len(groups) < 2:
        return None
    m = len(data.log_loss)
    own = sum(_parameters(n, d) for n, d, _ in groups)
    all_runs = tuple(np.concatenate([runs[i] for runs in groups]) for i in (0, 1))
    df1, df2 = own - _parameters(*all_runs), m - own
    if df1 < 1 or df2 < 1:
        return PoolTest(len(groups), None, max(df1, 0), max(df2, 0), None)
    residuals, loss = _separate(groups, data, fit)
    noise = noise_of(residuals, own)
    unit = max(noise.unit if noise is not None else 0.0, 0.5 * ROUNDING**2)
    f = max(fit.loss - loss, 0.0) / df1 / unit
    return PoolTest(len(groups), float(f), df1, df2, f_p_value(f, df1, df2))


def _parameters(n: Array, d: Array) -> int:
    """How many parameters runs of these sizes can tell apart."""
    pairs = len(np.unique(np.column_stack([n, d]), axis=0))
    return min(pairs, 1 + min(2, different(n) - 1) + min(2, different(d) - 1))


def _separate(groups: Sequence[Runs], data: JointData, fit: JointFit) -> tuple[Array, float]:
    """Residuals of all groups' own fits, and the sum of their losses; all are fitted at once."""
    longest = max(len(runs[0]) for runs in groups)
    each = STARTS + 1
    shape = (len(groups) * each, longest)
    u, v, log_loss, weight = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    start = np.empty((shape[0], len(LOWER)))
    for g, (n, d, y) in enumerate(groups):
        rows = slice(g * each, (g + 1) * each)
        own = replace(data, u=np.log(n) - data.centre_n, v=np.log(d) - data.centre_d, log_loss=y)
        start[rows] = np.concatenate([fit.theta[None], joint_starts(own)[:STARTS]])
        for whole, part in ((u, own.u), (v, own.v), (log_loss, y), (weight, np.ones(len(y)))):
            whole[rows, : len(y)] = part
    # Far from the common centre an amplitude may be any number.
    lower, upper = LOWER - np.array([0.0, 90, 90, 0, 0]), UPPER + np.array([0.0, 90, 90, 0, 0])
    padded = replace(data, u=u, v=v, log_loss=log_loss)
    theta, loss = solve_joint(padded, start, weight, lower=lower, upper=upper)
    best = np.arange(len(groups)) * each + loss.reshape(len(groups), each).argmin(axis=1)
    off = log_loss[best] - log_loss_at(theta[best], u[best], v[best])[0]
    return off[weight[best] > 0.0], float(loss[best].sum())
