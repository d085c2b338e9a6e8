"""The pair of sizes that reaches a target with the least product N D, of which training compute is a multiple.

Its sizes run away as the target nears E, and so does the first order of their errors. Each interval therefore turns a test
around: it holds every size at which the loss of the cheapest pair of that size may be the target, by the errors of that
loss, as they are elsewhere of a law's loss (Fieller's way). An end is open where that loss may stay above the target.
"""

from collections.abc import Callable

import numpy as np

from cvfp_cli.scaling.joint_profile import SAME, held_figure, walk
from cvfp_cli.scaling.joint_questions import AskedFit, bounded_exp, percentiles
from cvfp_cli.scaling.result import Cheapest, Estimate
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.solver import Array


def cheapest(law: AskedFit, target: float) -> Cheapest:
    """The pair, each size and their product with its interval, or why there is none."""
    loss = law.loss(target)
    if law.undetermined:
        return Cheapest(target, None, None, None, True, "the runs leave parameters of the law undetermined")
    there = _least(law, law.fit.theta[None], loss)[:, 0]
    if not np.all(np.isfinite(there)):
        floor = float(law.to_y(law.fit.theta[0]))
        reason = f"out of reach at any size: the fitted law falls to {floor:.4g}"
        return Cheapest(target, None, None, None, True, reason)
    centres = _centres(law)
    sizes = {of: float(bounded_exp(there[i], centre)) for i, (of, centre) in enumerate(centres.items())}
    if not all(0.0 < size < np.inf for size in sizes.values()):
        return Cheapest(target, None, None, None, True, "only at sizes far beyond any data")
    drawn = None if law.draws is None else _least(law, law.draws, loss)
    n, d = sizes["n"], sizes["d"]
    outside = not (law.n.min() <= n <= law.n.max() and law.d.min() <= d <= law.d.max())
    if reason := _unknown(law, there, float(np.log(loss))):
        bare = {of: Estimate(size, reason=reason) for of, size in sizes.items()}
        return Cheapest(target, bare["n"], bare["d"], bare["product"], outside, reason)
    found = {}
    for i, (of, centre) in enumerate(centres.items()):
        if drawn is not None:
            ends = percentiles(law, bounded_exp(drawn[i], centre))
        else:
            ends = _ends(law, of, float(there[i]) - centre, float(np.log(loss)), centre)
        found[of] = Estimate(sizes[of], *ends)
    return Cheapest(target, found["n"], found["d"], found["product"], outside)


def _centres(law: AskedFit) -> dict[str, float]:
    """The middle of the data, in ln, of what is asked."""
    n, d = law.data.centre_n, law.data.centre_d
    return {"n": n, "d": d, "product": n + d}


def _unknown(law: AskedFit, there: Array, log_target: float) -> str:
    """Why none of the three has an interval: their loss hangs on what the runs do not tell."""
    rows = (
        _fitted(law, of, float(at) - centre, log_target)[1]
        for at, (of, centre) in zip(there, _centres(law).items(), strict=True)
    )
    return next(filter(None, map(law.unknown, rows)), "")


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _least(law: AskedFit, theta: Array, loss: float) -> Array:
    """ln N, ln D and ln N D with the least product at a loss, (3, P); infinite where a law never falls so far."""
    log_n, log_d = law.data.law.least_product(theta, loss, law.passes)
    found = np.stack([log_n + law.data.centre_n, log_d + law.data.centre_d])
    found = np.where(np.isfinite(found), found, np.inf)
    return np.concatenate([found, found.sum(axis=0, keepdims=True)])


def _ends(
    law: AskedFit, of: str, there: float, log_target: float, centre: float
) -> tuple[float | None, float | None]:
    """Ends of one size, which is ``there`` from its centre in ln."""
    test = _test(law, of, log_target)
    if test is None:
        return None, None
    low, high = (walk(test, there, sign, 1.0) for sign in (-1.0, 1.0))
    return tuple(None if end is None else float(np.exp(end + centre)) for end in (low, high))  # type: ignore[return-value]


def _test(law: AskedFit, of: str, log_target: float) -> Callable[[float], float] | None:
    """How far the data are from a law whose cheapest pair of a size has the target's loss, over what is allowed."""
    errors, data, level = law.errors, law.data, law.level
    if errors is None:
        return None

    if law.profiled:
        held = held_figure(data, law.fit)

        def risen(size: float) -> float:
            def off(theta: Array) -> tuple[Array, Array]:
                value, gradient = data.law.least_at(theta, size, law.passes, of)
                return value - log_target, gradient

            missed, row = _fitted(law, of, size, log_target)
            return held(off, ROUNDING + SAME * abs(missed)) / errors.allowed(row, level)

        return risen

    def squared(size: float) -> float:
        missed, row = _fitted(law, of, size, log_target)
        return (missed / errors.half_width(row, level)) ** 2

    return squared


def _fitted(law: AskedFit, of: str, size: float, log_target: float) -> tuple[float, Array]:
    """By how much the fit misses the target there, and the gradient of ln L by E and the other coordinates, (k,)."""
    value, gradient = law.data.law.least_at(law.fit.theta[None], size, law.passes, of)
    row = gradient[0].copy()
    row[0] = np.exp(-value[0])
    return float(value[0]) - log_target, row
