"""How often the intervals of ``cvfp fit`` hold the truth, on simulated data sets.

    python benchmarks/fit_coverage.py [--sets 2000] [--seed 0] [--level 0.95] [--laws power,saturating,exp-decay]

Every data set draws its own true parameters, its own number of sizes (5 to 8, each twice the one before) and its own
noise (1 to 3 % on ln y, normal). Every interval counts; an open end reaches to infinity. "closed" is the share of
intervals with two finite ends. Cases named "at ..." put the truth on a bound of the law.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cvfp_cli.scaling.laws import LAWS
from cvfp_cli.scaling.quantities import parameter_quantities
from cvfp_cli.stats.variance import error_variance
from numpy.typing import NDArray

from cvfp_cli.scaling.batch import Batch, make_batch
from cvfp_cli.scaling.derived import drop_quantity, observation_quantity, target_quantity, value_quantity
from cvfp_cli.scaling.global_fit import CurveFits, fit_curves
from cvfp_cli.scaling.predictions import solve_size
from cvfp_cli.scaling.profiles import Interval, intervals, linear_intervals
from cvfp_cli.study.points import Points

Array = NDArray[Any]
Curve = Callable[[Array], Array]
SMALLEST = 60_000.0  # tokens
AHEAD = 4.0  # predictions are at this many times the largest size


def draw_truth(case: str, rng: np.random.Generator) -> tuple[dict[str, float], Curve]:
    """True parameters and the curve, in the range of the published studies: y from about 700 down to about 130."""
    first = rng.uniform(300.0, 800.0)
    if case.startswith("power"):
        alpha = rng.uniform(-0.6, -0.3)
        return {"A": first * SMALLEST**-alpha, "alpha": alpha}, lambda n: first * (n / SMALLEST) ** alpha
    floor = 0.0 if "ppl_min" in case else rng.uniform(60.0, 140.0)
    if case.startswith("saturating"):
        a = rng.uniform(0.35, 0.8)
        amplitude = (first - floor) * SMALLEST**a
        return {"ppl_min": floor, "A": amplitude, "a": a}, lambda n: floor + amplitude * n**-a
    if "c = 0" in case:
        a = rng.uniform(0.35, 0.8)
        amplitude = (first - floor) * SMALLEST**a
        truth = {"ppl_min": floor, "A": np.inf, "b": np.inf, "c": 0.0}
        return truth, lambda n: floor + amplitude * n**-a
    c = rng.uniform(0.3, 0.8)
    slope = rng.uniform(0.5, 0.9)  # local exponent of the excess at the smallest size
    b = slope / c * SMALLEST**-c
    amplitude = (first - floor) * np.exp(slope / c)
    truth = {"ppl_min": floor, "A": amplitude, "b": b, "c": c}
    return truth, lambda n: floor + amplitude * np.exp(-b * n**c)


def simulate(
    case: str, sets: int, rng: np.random.Generator
) -> tuple[list[Points], dict[str, Array], Array, Array]:
    """Data sets, their true figures by name, the true value and one new measurement at ``AHEAD``."""
    groups, truths, ahead, new = [], [], [], []
    for _ in range(sets):
        truth, curve = draw_truth(case, rng)
        x = SMALLEST * 2.0 ** np.arange(rng.integers(5, 9))
        noise = rng.uniform(0.01, 0.03)
        y = curve(x) * np.exp(noise * rng.standard_normal(len(x)))
        groups.append(Points(x=x, y=y))
        far = float(curve(np.array([AHEAD * x[-1]]))[0])
        last = float(curve(x[-1:])[0])
        truth["fall per doubling"] = 100.0 * (1.0 - float(curve(2.0 * x[-1:])[0]) / last)
        truths.append(truth)
        ahead.append(far)
        new.append(far * np.exp(noise * rng.standard_normal()))
    named = {name: np.array([truth[name] for truth in truths]) for name in truths[0]}
    return groups, named, np.array(ahead), np.array(new)


def held(interval: Interval, truth: Array) -> tuple[float, float]:
    """Share of intervals that hold the truth, and share that are closed."""
    low = np.where(np.isnan(interval.low), -np.inf, interval.low)
    high = np.where(np.isnan(interval.high), np.inf, interval.high)
    # An end that is the truth itself (an edge such as 0) holds it, rounding aside.
    inside = (low <= truth * (1 + 1e-9) + 1e-12) & (truth <= high * (1 + 1e-9) + 1e-12)
    return float(inside.mean()), float(np.mean(np.isfinite(interval.low) & np.isfinite(interval.high)))


def measure(case: str, sets: int, seed: int, level: float) -> list[tuple[str, float, float]]:
    """Coverage and closed share of every figure of one case."""
    rng = np.random.default_rng(seed)
    law = LAWS[case.split(" ")[0]]
    groups, truth, ahead, new = simulate(case, sets, rng)
    batch = make_batch(groups, "log")
    fits = fit_curves(law, batch.data, starts=6)
    delta = error_variance(batch.residuals(law, fits.theta), batch.data.weight, batch.size, law.k).delta(
        level
    )
    last = np.array([np.log(points.x[-1]) for points in groups]) - batch.scale.origin
    z = last + np.log(AHEAD)
    quantities = [
        *parameter_quantities(law, batch.scale),
        value_quantity(law, batch.scale, z),
        observation_quantity(law, batch.scale, z, "log"),
    ]
    truths = [*(truth[name] for name in law.parameters), ahead, new]
    names = [*law.parameters, f"law at {AHEAD:g} x largest", f"new run at {AHEAD:g} x largest"]
    if law.name != "power":
        quantities.append(drop_quantity(law, last, 2.0))
        truths.append(truth["fall per doubling"])
        names.append("fall per doubling")
    linear = law.name == "power"
    found = (linear_intervals if linear else intervals)(fits, delta, quantities)
    rows = [
        (name, *held(interval, value)) for name, interval, value in zip(names, found, truths, strict=True)
    ]
    reachable, share = _target(law.name, fits, batch, delta, groups, ahead)
    if share is not None:
        rows.append((f"n for a target ({reachable} sets)", *share))
    return rows


def _target(
    law: str, fits: CurveFits, batch: Batch, delta: Array, groups: list[Points], ahead: Array
) -> tuple[int, tuple[float, float] | None]:
    """The n that reaches the true value at ``AHEAD``, for fits that reach it: the truth is that n."""
    log_target = np.log(ahead)
    z = np.array(
        [solve_size(LAWS[law], theta, target) for theta, target in zip(fits.theta, log_target, strict=True)]
    )
    rows = np.flatnonzero(np.isfinite(z))
    if rows.size == 0:
        return 0, None
    quantity = target_quantity(LAWS[law], z[rows], log_target[rows])
    found = intervals(fits.take(rows), delta[rows], [quantity])[0]
    truth = np.array([np.log(AHEAD * groups[row].x[-1]) for row in rows]) - batch.scale.origin[rows]
    return len(rows), held(found, truth)


def main() -> None:
    """Print one Markdown table a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", type=float, default=0.95)
    parser.add_argument("--laws", default="power,saturating,exp-decay")
    arguments = parser.parse_args()
    chosen = arguments.laws.split(",")
    cases = list(chosen)
    if "saturating" in chosen:
        cases.append("saturating at ppl_min = 0")
    if "exp-decay" in chosen:
        cases += ["exp-decay at ppl_min = 0", "exp-decay at c = 0"]
    for case in cases:
        begin = time.perf_counter()
        rows = measure(case, arguments.sets, arguments.seed, arguments.level)
        print(f"\n{case}: {arguments.sets} data sets, {time.perf_counter() - begin:.0f} s\n")
        print("| figure | held | closed |\n| --- | ---: | ---: |")
        for name, share, closed in rows:
            print(f"| {name} | {100 * share:.1f} % | {100 * closed:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
