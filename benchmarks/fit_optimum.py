"""Does ``cvfp fit`` find the global optimum, and how fast? Against MINPACK from many random starts.

    python benchmarks/fit_optimum.py [--sets 500] [--starts 2000] [--seed 0]

Each random data set (4 to 8 sizes at random ratios, 0.1 to 10 % noise, a true curve of its own or none) is fitted by
one law on one objective, in turn. The generic optimiser is MINPACK's Levenberg-Marquardt (``scipy.optimize.leastsq``)
from starts drawn uniformly within the law's bounds, which it keeps by a sine transform of every coordinate. Reported:
the largest ratio of our sum of squares to the best it found, and both times. Set OMP_NUM_THREADS=1.
"""

import argparse
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq

from cvfp_cli.laws.base import Law
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.study.points import Points

Array = NDArray[Any]


def random_points(rng: np.random.Generator, least: int) -> Points:
    """One data set: a falling curve of a random kind with noise, or noise alone."""
    m = int(rng.integers(max(4, least), 9))
    x = 5e4 * np.cumprod(np.concatenate([[1.0], rng.uniform(1.3, 3.0, m - 1)]))
    kind = rng.integers(4)
    floor, a, c = rng.uniform(0.0, 200.0), rng.uniform(0.05, 1.5), rng.uniform(0.05, 1.5)
    z = np.log(x / x[0])
    shape = {0: np.exp(-a * z), 1: np.exp(-a * z), 2: np.exp(-a / c * np.expm1(c * z)), 3: np.zeros(m)}[
        int(kind)
    ]
    curve = (0.0 if kind == 0 else floor) + 500.0 * shape + (100.0 if kind == 3 else 0.0)
    noise = 10 ** rng.uniform(-3, -1)
    return Points(x=x, y=np.maximum(curve, 1e-3) * np.exp(noise * rng.standard_normal(m)))


def generic_best(
    law: Law,
    z: Array,
    target: Array,
    objective: str,
    low: Array,
    high: Array,
    starts: int,
    rng: np.random.Generator,
) -> float:
    """The least sum of squares that MINPACK reaches from ``starts`` random starts."""
    span = high - low

    def log_curve_plain(coordinates: Array) -> Array:
        if law.name == "power":
            return coordinates[0] + coordinates[1] * z
        a = np.exp(coordinates[2])
        c = coordinates[3] if law.name == "exp-decay" else 0.0
        h = a * (np.expm1(c * z) / c if c > 1e-9 else z)
        share = coordinates[1]
        return coordinates[0] + np.log(
            np.maximum(share + (1.0 - share) * np.exp(-np.clip(h, -600, 600)), 1e-280)
        )

    def residuals(free: Array) -> Array:
        log_f = log_curve_plain(low + span * (0.5 + 0.5 * np.sin(free)))
        return target - (log_f if objective == "log" else np.exp(np.minimum(log_f, 300.0)))

    def descend(start: Array, tolerance: float, most: int) -> tuple[float, Array]:
        free = leastsq(residuals, start, ftol=tolerance, xtol=tolerance, maxfev=most)[0]
        r = residuals(free)
        return float(r @ r), free

    # Every start to four digits, then the fifty best ends to the last one.
    ends = [descend(np.arcsin(2.0 * start - 1.0), 1e-5, 120) for start in rng.uniform(size=(starts, law.k))]
    ends.sort(key=lambda end: end[0])
    return min(descend(free, 1e-14, 3000)[0] for _, free in ends[:50])


def main() -> None:
    """Compare, and print the worst ratio and the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--starts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(arguments.seed)
    tasks = [(law, objective) for law in ("saturating", "exp-decay") for objective in ("log", "ppl")]
    tasks.append(("power", "ppl"))
    ratios, ours, generic = [], 0.0, 0.0
    for number in range(arguments.sets):
        name, objective = tasks[number % len(tasks)]
        law = LAWS[name]
        points = random_points(rng, law.k + 1)
        begin = time.perf_counter()
        batch = make_batch([points], objective)
        fits = fit_curves(law, batch.data, starts=24)
        ours += time.perf_counter() - begin
        low, high = (bound[0].copy() for bound in law.box(batch.data))
        # The level is free in the fit; here it gets a box that no optimum can leave.
        target = batch.data.target[0]
        middle = np.log(np.mean(target)) if objective == "ppl" else float(np.mean(target))
        low[0], high[0] = middle - 8.0, middle + 8.0
        begin = time.perf_counter()
        best = generic_best(law, batch.data.z[0], target, objective, low, high, arguments.starts, rng)
        generic += time.perf_counter() - begin
        ratios.append((float(fits.rss[0]) / best if best > 1e-20 else 1.0, name, objective, number))
        if (number + 1) % 25 == 0:
            print(f"{number + 1} data sets: largest ratio - 1 = {max(ratios)[0] - 1:.2e}", flush=True)
    above = [ratio for ratio in ratios if ratio[0] > 1.0 + 1e-6]
    better = sum(ratio[0] < 1.0 - 1e-6 for ratio in ratios)
    print(f"\n{arguments.sets} data sets, {arguments.starts} random starts each")
    print(f"our sum of squares is above (1 + 1e-6) times the best found: {len(above)} times {above[:5]}")
    print(f"and below (1 - 1e-6) times it: {better} times; largest ratio - 1: {max(ratios)[0] - 1:.2e}")
    print(
        f"time for one data set: ours {1e3 * ours / arguments.sets:.1f} ms, generic {generic / arguments.sets:.2f} s"
    )
    print(f"ratio {generic / ours:.0f}")


if __name__ == "__main__":
    main()
