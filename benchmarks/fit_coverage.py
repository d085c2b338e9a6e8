"""How often the intervals of ``cvfp fit`` hold the truth, on simulated data sets, one cell for each way to depart from
the textbook.

    python benchmarks/fit_coverage.py [--sets 1000] [--only REGEX] [--jobs 2] [--json FILE]

From a base (six sizes, each twice the one before, 2 % normal noise on ln y, one seed) one thing changes at a time. Every
data set draws its own true parameters in the range of the published studies. An open end reaches to infinity, so such an
interval holds; a figure without an interval counts as neither, and its share is given. A cell passes where the 99 %
binomial interval of its share meets 93 to 97 %; "narrow" and "wide" name the others. ``law 10x`` and ``run 10x`` are
the law and a new run at ten times the largest size, those of bnsl at the second largest and at four times the largest;
"width" is the median of ln(high / low), or of high - low for an exponent. Cells in which each fit takes long (joint, shared, bnsl, bootstrap) have a fifth of the sets.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.forecasts import forecasts
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.result import Prediction
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.study.points import Points

Array = NDArray[Any]
Curve = Callable[[Array], Array]
SMALLEST = 60_000.0  # tokens
AHEAD = 10.0
EXPONENTS = ("alpha", "a", "c", "beta")
SLOW = 5  # cells with long fits have a fifth of the sets
NEAR_AHEAD = 4.0  # and how far ahead of them bnsl is asked
JOINT_TRUTH = {"E": 1.8, "A": 400.0, "alpha": 0.34, "B": 410.0, "beta": 0.28}
# What the other laws of model and data size add, and how often the data are read.
ADDED = {"joint": {}, "joint-coupled": {"k": 0.5}, "joint-epochs": {"R": 12.0}}
PASSES = {"joint-epochs": (1.0, 3.0, 12.0)}


@dataclass(frozen=True)
class Cell:
    """One departure: ``lack`` is an error that seeds of a size share, ``trend`` the power of n in the noise's sd,
    ``near`` the correlation of neighbouring sizes, ``common`` the share of the variance that configurations share."""

    law: str
    truth: str = ""
    sizes: int = 6
    seeds: int = 1
    noise: float = 0.02
    lack: float = 0.0
    trend: float = 0.0
    near: float = 0.0
    common: float = 0.0
    grid: tuple[int, int] = (0, 0)
    objective: str = "log"
    bootstrap: str = ""

    @property
    def name(self) -> str:
        """What differs from the base, in words."""
        if self.grid[0]:
            passes = f" x {len(PASSES[self.law])} passes" if self.law in PASSES else ""
            noise = f", noise {100 * self.noise:g} %" * (self.noise != 0.02)
            return (
                f"{self.law}, {self.grid[0]} models x {self.grid[1]} data sizes{passes}, {self.common:g} common to a size"
                f"{noise}"
            )
        parts = [self.law + (f", truth {self.truth}" if self.truth not in ("", self.law) else "")]
        parts += [f"{self.sizes} sizes"] * (self.sizes != 6) + [f"noise {100 * self.noise:g} %"] * (
            self.noise != 0.02
        )
        parts += [f"{self.seeds} seeds of {100 * self.noise:g} %, lack of fit {100 * self.lack:g} %"] * (
            self.seeds > 1
        )
        parts += [f"sd ~ n^{self.trend:g}"] * bool(self.trend) + [
            f"neighbours correlated {self.near:g}"
        ] * bool(self.near)
        parts += [f"{self.common:g} common to three configurations"] * (self.law == "shared")
        parts += ["objective ppl"] * (self.objective == "ppl") + [f"{self.bootstrap} bootstrap"] * bool(
            self.bootstrap
        )
        return ", ".join(parts)

    @property
    def slow(self) -> bool:
        """Whether each fit takes long."""
        return bool(self.grid[0]) or self.law in ("shared", "bnsl") or bool(self.bootstrap)


def cells() -> list[Cell]:
    """All cells."""
    singles = ("power", "saturating", "exp-decay")
    made = [Cell(law) for law in singles]
    made += [
        Cell(law, sizes=m) for law in singles for m in (4, 5, 8, 12) if not (law == "exp-decay" and m == 4)
    ]
    made += [Cell(law, noise=noise) for law in singles for noise in (0.005, 0.05, 0.10)]
    made += [Cell(law, seeds=3, noise=0.01, lack=lack) for law in singles for lack in (0.0, 0.01, 0.02)]
    made += [Cell("power", sizes=3, seeds=5, noise=0.01, lack=lack) for lack in (0.0, 0.01)]
    made += [Cell("saturating", sizes=3, seeds=3, noise=0.006, lack=0.03)]
    made += [Cell("exp-decay", sizes=4, seeds=3, noise=0.006, lack=0.03)]
    made += [Cell(law, sizes=m, trend=trend) for law in singles for m in (6, 8) for trend in (0.5, -0.5)]
    made += [Cell(law, near=0.5) for law in ("power", "saturating")]
    made += [Cell(law, objective="ppl") for law in ("saturating", "exp-decay")]
    made += [Cell("shared", common=common) for common in (0.0, 0.76, 0.96)]
    grids = ((6, 6), (9, 5), (9, 4), (4, 5), (5, 4))
    made += [Cell("joint", grid=grid, common=common) for grid in grids for common in (0.0, 0.5, 0.9)]
    made += [Cell(law, grid=(5, 5), noise=0.005) for law in ADDED if ADDED[law]]
    aimed = (((6, 6), 0.0), ((6, 6), 0.9), ((9, 5), 0.5), ((9, 4), 0.9))
    made += [Cell("target", grid=grid, common=common) for grid, common in aimed]
    truths = (*singles, "broken")
    made += [Cell("power", truth=truth) for truth in truths[1:]]
    made += [Cell("mixture", truth=truth, sizes=m) for truth in truths for m in (4, 5, 6, 8)]
    made += [Cell("bnsl", truth=truth, sizes=m) for truth in ("saturating", "broken") for m in (8, 12)]
    made += [
        Cell("power", sizes=4, bootstrap="residual"),
        Cell("power", sizes=5, seeds=3, bootstrap="residual"),
    ]
    return made


def draw_truth(truth: str, rng: np.random.Generator) -> tuple[dict[str, float], Curve]:
    """True parameters and the curve, in the range of the published studies: y from about 700 down to about 130."""
    first = rng.uniform(300.0, 800.0)
    if truth == "power":
        alpha = rng.uniform(-0.6, -0.3)
        return {"A": first * SMALLEST**-alpha, "alpha": alpha}, lambda n: first * (n / SMALLEST) ** alpha
    if truth == "broken":
        early, late, at = rng.uniform(0.25, 0.4), rng.uniform(0.1, 0.2), 8.0 * SMALLEST
        bend = lambda n: (1.0 + (n / at) ** 2) / (1.0 + (SMALLEST / at) ** 2)  # noqa: E731
        return {}, lambda n: first * (n / SMALLEST) ** -(early + late) * bend(n) ** (late / 2.0)
    floor = rng.uniform(60.0, 140.0)
    if truth == "saturating":
        a = rng.uniform(0.35, 0.8)
        amplitude = (first - floor) * SMALLEST**a
        return {"ppl_min": floor, "A": amplitude, "a": a}, lambda n: floor + amplitude * n**-a
    c, slope = rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.9)  # slope: local exponent at the smallest size
    b, amplitude = slope / c * SMALLEST**-c, (first - floor) * np.exp(slope / c)
    values = {"ppl_min": floor, "A": float(amplitude), "b": b, "c": c}
    return values, lambda n: floor + amplitude * np.exp(-b * n**c)


def errors(cell: Cell, x: Array, rng: np.random.Generator) -> tuple[Array, float]:
    """Errors of ln y at every run of the sizes ``x``, and the standard deviation of a new run far beyond them."""
    z = np.log(x / np.exp(np.log(x).mean()))
    sd = cell.noise * np.exp(cell.trend * z)
    own = rng.standard_normal((len(x), cell.seeds))
    shared = rng.standard_normal(len(x))
    if cell.near:
        gap = np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
        own = np.linalg.cholesky(cell.near**gap) @ own
    e = sd[:, None] * own + cell.lack * shared[:, None]
    return e.ravel(), float(np.hypot(cell.noise * np.exp(cell.trend * (z[-1] + np.log(AHEAD))), cell.lack))


Held = dict[str, list[tuple[bool | None, float]]]


def note(
    held: Held, name: str, low: float | None, high: float | None, truth: float, *, none: bool = False
) -> None:
    """Whether one interval holds the truth, and its width; None where there is no interval."""
    if none:
        held.setdefault(name, []).append((None, np.nan))
        return
    inside = (low is None or low <= truth * (1 + 1e-9)) and (high is None or truth <= high * (1 + 1e-9))
    width = np.inf
    if low is not None and high is not None:
        width = (
            high - low
            if name.split()[-1] in EXPONENTS
            else float(np.log(max(high, 1e-300) / max(low, 1e-300)))
        )
    held.setdefault(name, []).append((inside, width))


def note_prediction(held: Held, p: Prediction, law: float, run: float) -> None:
    """The law and a new run at the size asked for."""
    none = p.low is None and p.high is None and p.mean_low is None and p.mean_high is None
    note(held, "law 10x", p.mean_low, p.mean_high, law, none=none)
    note(held, "run 10x", p.low, p.high, run, none=none)


Simulated = tuple[list[Points], list[dict[str, float]], list[float], list[float]]


def simulate(cell: Cell, sets: int, rng: np.random.Generator) -> Simulated:
    """Data sets of a law of one variable, the true parameters, the law and a new run at ``AHEAD`` times the largest size."""
    x = SMALLEST * 2.0 ** np.arange(cell.sizes)
    runs = np.repeat(x, cell.seeds)
    groups, truths, laws, news = [], [], [], []
    for i in range(sets):
        truth, curve = draw_truth(cell.truth or cell.law, rng)
        e, sd = errors(cell, x, rng)
        groups.append(Points(x=runs, y=curve(runs) * np.exp(e), label=str(i), sizes=runs))
        truths.append(truth)
        laws.append(float(curve(np.array([AHEAD * float(x[-1])]))[0]))
        news.append(laws[-1] * float(np.exp(sd * rng.standard_normal())))
    return groups, truths, laws, news


def single(cell: Cell, sets: int, rng: np.random.Generator) -> Held:
    """Laws of one variable, the mixture, and the bootstrap."""
    groups, truths, laws, news = simulate(cell, sets, rng)
    far = AHEAD * float(groups[0].x[-1])
    options = FitOptions(objective=cell.objective, predict=(far,), starts=8, hold_out=False)
    held: Held = {}
    if cell.law == "mixture":
        for one, law, new in zip(forecasts(groups, options, {}, mixed=True), laws, news, strict=True):
            note_prediction(held, one.predictions[0], law, new)
        return held
    if cell.bootstrap:
        fits = bootstrap_groups(groups, cell.law, options, replicates=400, seed=0, kind=cell.bootstrap)
    else:
        fits = fit_groups(groups, cell.law, options)
    for fit, truth, law, new in zip(fits, truths, laws, news, strict=True):
        for name, estimate in fit.parameters.items():
            if name in truth:
                ends = (estimate.low, estimate.high)
                none = ends == (None, None) or (estimate.value is None and not estimate.at_bound)
                note(held, name, estimate.low, estimate.high, truth[name], none=none)
        note_prediction(held, fit.predictions[0], law, new)
    return held


def broken(cell: Cell, sets: int, rng: np.random.Generator) -> Held:
    """The law with six parameters, at its second largest size and at ``NEAR_AHEAD`` times the largest."""
    x = SMALLEST * 2.0 ** np.arange(cell.sizes)
    asked = {"measured": float(x[-2]), f"{NEAR_AHEAD:g}x": NEAR_AHEAD * float(x[-1])}
    curves = [draw_truth(cell.truth, rng)[1] for _ in range(sets)]
    groups = [
        Points(x=x, y=curve(x) * np.exp(errors(cell, x, rng)[0]), label=str(i))
        for i, curve in enumerate(curves)
    ]
    held: Held = {}
    options = FitOptions(predict=tuple(asked.values()), starts=8, hold_out=False)
    for fit, curve in zip(fit_groups(groups, cell.law, options), curves, strict=True):
        for where, p in zip(asked, fit.predictions, strict=True):
            law = float(curve(np.array([p.x]))[0])
            note(held, f"law {where}", p.mean_low, p.mean_high, law)
            note(held, f"run {where}", p.low, p.high, law * float(np.exp(cell.noise * rng.standard_normal())))
    return held


def shared(cell: Cell, sets: int, rng: np.random.Generator) -> Held:
    """One exponent of three configurations whose errors share a part at each size."""
    x = SMALLEST * 2.0 ** np.arange(cell.sizes)
    held: Held = {}
    for _ in range(sets):
        alpha, common = rng.uniform(-0.6, -0.3), rng.standard_normal(cell.sizes)
        groups = []
        for g in range(3):
            own = rng.standard_normal(cell.sizes)
            e = cell.noise * (np.sqrt(cell.common) * common + np.sqrt(1.0 - cell.common) * own)
            groups.append(
                Points(x=x, y=rng.uniform(300, 800) * (x / SMALLEST) ** alpha * np.exp(e), label=str(g))
            )
        fits = fit_constrained(groups, "power", Constraint(shared=("alpha",)), FitOptions(hold_out=False))
        estimate = fits[0].parameters["alpha"]
        note(
            held,
            "alpha",
            estimate.low,
            estimate.high,
            alpha,
            none=estimate.low is None and estimate.high is None,
        )
    return held


JOINT_FAR = (1e8, 1e10)
TARGET = 3.0  # loss
BUDGET = 6.0 * JOINT_FAR[0] * JOINT_FAR[1]  # operations, to be split between model and data


def joint_loss(n: Array, d: Array, law: str = "joint", over: Array | float = 1.0) -> Array:
    """The true law of model and data size, of data that are passed over that often."""
    truth = JOINT_TRUTH | ADDED[law]
    k, most = truth.get("k", 1.0), truth.get("R", 0.0)
    reach = d * (1.0 + most * (1.0 - np.exp(-(over - 1.0) / most))) if most else d
    a, b = truth["A"] * n ** -truth["alpha"], truth["B"] * reach ** -truth["beta"]
    return np.asarray(truth["E"] + (a ** (1.0 / k) + b ** (1.0 / k)) ** k)


def joint_there(law: str) -> float:
    """The true loss at ``JOINT_FAR``, at the middle number of passes."""
    n, d = (np.array(part) for part in JOINT_FAR)
    return float(joint_loss(n, d, law, float(np.median(PASSES.get(law, (1.0,))))))


def joint_split(law: str) -> float:
    """The model size with the least true loss that ``BUDGET`` pays for, found by trying."""
    over = float(np.median(PASSES.get(law, (1.0,))))

    def cost(log_n: float) -> float:
        n = np.exp(log_n)
        return float(joint_loss(np.array(n), np.array(BUDGET / (6.0 * over * n)), law, over))

    return float(np.exp(optimize.minimize_scalar(cost, (np.log(1e6), np.log(1e8)), tol=1e-10).x))


def simulate_joint(cell: Cell, sets: int, rng: np.random.Generator) -> Iterator[tuple[Points, float]]:
    """A grid of models and data sizes, whose errors at one data size share a part, and a new run at ``JOINT_FAR``."""
    models, sizes = cell.grid
    # Data sizes come first, so that the runs of one follow each other.
    d, n, over = (
        part.ravel()
        for part in np.meshgrid(
            np.geomspace(1e7, 1e9, sizes),
            np.geomspace(1e6, 1e8, models),
            PASSES.get(cell.law, (1.0,)),
            indexing="ij",
        )
    )
    there = joint_there(cell.law if cell.law in ADDED else "joint")
    for _ in range(sets):
        common = np.repeat(rng.standard_normal(sizes), len(d) // sizes)
        e = cell.noise * (
            np.sqrt(cell.common) * common + np.sqrt(1.0 - cell.common) * rng.standard_normal(len(d))
        )
        y = joint_loss(n, d, cell.law if cell.law in ADDED else "joint", over) * np.exp(e)
        points = Points(x=d, y=y, parameters=n, passes=over, y_name="loss")
        yield points, there * float(np.exp(cell.noise * rng.standard_normal()))


def joint(cell: Cell, sets: int, rng: np.random.Generator) -> Held:
    """A law of model and data size."""
    truth, there = JOINT_TRUTH | ADDED[cell.law], joint_there(cell.law)
    held: Held = {}
    for points, new in simulate_joint(cell, sets, rng):
        options = FitOptions(pairs=(JOINT_FAR,), budgets=(BUDGET,), hold_out=False)
        fit = fit_joint_groups([points], options, law=cell.law)
        for name, estimate in fit.parameters.items():
            none = estimate.value is None or (estimate.low is None and estimate.high is None)
            note(held, name, estimate.low, estimate.high, truth[name], none=none)
        note_prediction(held, fit.predictions[0], there, new)
        splits = fit.compute.splits if fit.compute else ()
        exponent, best = truth["beta"] / (truth["alpha"] + truth["beta"]), joint_split(cell.law)
        told = (fit.compute.model_size, exponent) if fit.compute else (None, exponent)
        for name, (found, true) in (
            ("split a", told),
            ("split N", (splits[0].model_size if splits else None, best)),
        ):
            ends = (found.low, found.high) if found else (None, None)
            note(held, name, *ends, true, none=ends == (None, None))
    return held


def target(cell: Cell, sets: int, rng: np.random.Generator) -> Held:
    """What reaches a target by the joint law: D for the largest model, and the pair with the least product N D."""
    largest, best = 1e8, cheapest_truth()
    truth = {"D": (JOINT_TRUTH["B"] / excess(np.log(largest))) ** (1.0 / JOINT_TRUTH["beta"])} | best
    held: Held = {}
    for points, _ in simulate_joint(cell, sets, rng):
        fit = fit_joint_groups([points], FitOptions(targets=(TARGET,), hold_out=False), law="joint")
        reached, least = fit.targets[-1], fit.cheapest[0]
        found = {"D": (reached.low, reached.high)} | {
            name: (part.low, part.high) if part else (None, None)
            for name, part in (
                ("least N", least.model_size),
                ("least D", least.x),
                ("least N D", least.product),
            )
        }
        # A target that the fit does not reach has a reason in place of an interval.
        for name, ends in found.items():
            note(held, name, *ends, truth[name], none=ends == (None, None))
    return held


def excess(log_n: float) -> float:
    """What is left of ``TARGET`` for too few data at a model size."""
    left = TARGET - JOINT_TRUTH["E"] - JOINT_TRUTH["A"] * np.exp(-JOINT_TRUTH["alpha"] * log_n)
    return float(max(left, 1e-300))


def cheapest_truth() -> dict[str, float]:
    """The true pair that reaches ``TARGET`` with the least product, found by trying."""

    def log_d(log_n: float) -> float:
        return float(np.log(JOINT_TRUTH["B"] / excess(log_n)) / JOINT_TRUTH["beta"])

    bounds = (np.log(1e7), np.log(1e10))
    found = optimize.minimize_scalar(
        lambda x: x + log_d(x), bounds=bounds, method="bounded", options={"xatol": 1e-9}
    ).x
    n, d = float(np.exp(found)), float(np.exp(log_d(found)))
    return {"least N": n, "least D": d, "least N D": n * d}


def measure(task: tuple[Cell, int, int]) -> dict[str, Any]:
    """One cell: its name, seconds, and for each figure the share held, its interval, the verdict and the width."""
    cell, sets, seed = task
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    count = max(sets // SLOW, 3) if cell.slow else sets
    made = {**dict.fromkeys(ADDED, joint), "shared": shared, "target": target, "bnsl": broken}.get(
        cell.law, single
    )(cell, count, rng)
    figures = []
    for name, found in made.items():
        known = [inside for inside, _ in found if inside is not None]
        widths = [width for inside, width in found if inside is not None]
        row: dict[str, Any] = {"figure": name, "none": 1.0 - len(known) / len(found), "sets": len(known)}
        if known:
            low, high = stats.binomtest(sum(known), len(known)).proportion_ci(0.99, "exact")
            verdict = "narrow" if high < 0.93 else "wide" if low > 0.97 else "passes"
            width = float(np.median(widths))
            row |= {"held": float(np.mean(known)), "low": low, "high": high, "verdict": verdict}
            row["width"] = width if np.isfinite(width) else None
        figures.append(row)
    return {"cell": cell.name, "seconds": time.perf_counter() - began, "figures": figures}


def table(results: Sequence[dict[str, Any]]) -> str:
    """All cells as one Markdown table, and how many pass."""
    lines = [
        "| cell | figure | held | 99 % interval | | width | no interval |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    passed = total = 0
    for result in results:
        for row in result["figures"]:
            if "held" not in row:
                lines.append(
                    f"| {result['cell']} | {row['figure']} | | | none | | {100 * row['none']:.0f} % |"
                )
                continue
            total += 1
            passed += row["verdict"] == "passes"
            width = "open" if row["width"] is None else f"{row['width']:.3g}"
            lines.append(
                f"| {result['cell']} | {row['figure']} | {100 * row['held']:.1f} % | "
                f"{100 * row['low']:.1f}-{100 * row['high']:.1f} | {row['verdict']} | {width} | {100 * row['none']:.0f} % |"
            )
    lines.append(f"\n{passed} of {total} figures in {len(results)} cells pass.")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a regular expression on the cells' names")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    tasks = [(cell, given.sets, given.seed) for cell in cells() if re.search(given.only, cell.name)]
    # The longest first, so that none is left at the end alone.
    tasks.sort(key=lambda task: (not task[0].slow, task[0].law not in ("exp-decay", "mixture")))
    began = time.perf_counter()
    if given.jobs > 1:
        with Pool(given.jobs) as pool:
            results = list(pool.imap(measure, tasks, chunksize=1))
    else:
        results = [measure(task) for task in tasks]
    print(table(results))
    print(f"\n{given.sets} sets a cell, {time.perf_counter() - began:.0f} s")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
