"""``cvfp fit`` beside ``chinchilla``, ``simple-scaling-laws`` and ``scaling-audit`` (all on PyPI), on the same data.

    python benchmarks/fit_rivals.py [--sets 100] [--draws 200] [--joint-runs 245] [--only REGEX]

Install the three beside cvfp-cli in an environment of their own; what is not installed is left out.

1. One answer each for data sets 1L_256d_1tok and 1L_320d_1tok of the published December study.
2. How often the 95 % intervals of ``simple-scaling-laws`` hold the truth, on simulated data sets of some cells of
   ``fit_coverage.py`` (the only one of the three that gives intervals), and ours on the same sets. Joint cells have a fifth
   of the sets.
3. The joint law on simulated runs: ours, and ``chinchilla`` from the 5^5 starts of its README.
"""

import argparse
import importlib.util
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from fit_coverage import AHEAD as SIMULATED_AHEAD
from fit_coverage import JOINT_FAR, JOINT_TRUTH, SLOW, Cell, joint_loss, simulate, simulate_joint

from cvfp_cli.scaling.fits import FitOptions, fit_groups, fit_law
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.numbers import ends, figure
from cvfp_cli.study.points import Points

SAMPLES = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])
DECEMBER = {
    "1L_256d_1tok": np.array([321.4, 253.1, 186.0, 155.8, 134.7]),
    "1L_320d_1tok": np.array([319.9, 250.1, 189.0, 156.0, 132.6]),
}
AHEAD = 4.0


def installed(name: str) -> bool:
    """Whether a package can be imported; says so if not."""
    there = importlib.util.find_spec(name) is not None
    if not there:
        print(f"{name} is not installed: left out")
    return there


def simple_fit(
    points: Points, at: tuple[float, ...], draws: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]], tuple[float, ...]]:
    """``simple-scaling-laws``: parameters, their 95 % intervals, and the law at a size, or at a model and data size."""
    import polars
    from simple_scaling_laws import fit

    sizes = {"dataset_size__n": points.x}
    if points.parameters is not None:
        sizes = {"model_size__n": points.parameters, **sizes}
    runs = [f"r{i}" for i in range(len(points))]
    frame = polars.DataFrame({"training_run_id": runs, **sizes, "test_loss__y": points.y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a prediction is an extrapolation, once a data set
        model = fit(frame, law="separable-power", n_draws=draws, seed=0)
        target = model.primary_target
        place = polars.DataFrame({name: [value] for name, value in zip(sizes, at, strict=True)})
        row = model.predict(place, quantiles=[0.025, 0.5, 0.975]).row(0, named=True)
    predicted = tuple(row[f"{target}__{end}"] for end in ("q025", "median", "q975"))
    return model.params(target), model.conf_int(target, level=0.95), predicted


def one_answer_each(draws: int) -> None:
    """Part 1."""
    for name, y in DECEMBER.items():
        print(f"\n{name}: PPL over samples, saturating law, prediction at {AHEAD * SAMPLES[-1]:g} samples\n")
        ours = fit_law(Points(SAMPLES, y), "saturating", predict=(AHEAD * SAMPLES[-1],))
        p = ours.predictions[0]
        cells = [f"{key} {figure(e.value)} ({ends(e, True)})" for key, e in ours.parameters.items()]
        print(
            f"cvfp fit: {', '.join(cells)}; predicted {p.value:.1f}, law {p.mean_low:.1f} .. {p.mean_high:.1f}"
        )
        if installed("simple_scaling_laws"):
            values, theirs, predicted = simple_fit(Points(SAMPLES, y), (AHEAD * SAMPLES[-1],), draws)
            cells = [
                f"{key} {value:.4g} ({theirs[key][0]:.4g} .. {theirs[key][1]:.4g})"
                for key, value in values.items()
            ]
            print(
                f"simple-scaling-laws: {', '.join(cells)}; predicted {predicted[1]:.1f}, "
                f"{predicted[0]:.1f} .. {predicted[2]:.1f}"
            )
        if installed("scaling_audit"):
            print(f"scaling-audit: {audit(y)}")
    if installed("chinchilla"):
        print("chinchilla: no law of one variable")


def audit(y: Any) -> str:
    """``scaling-audit`` audits estimators, it has no laws: the log-log line, the largest size predicted."""
    import pandas
    from scaling_audit import audit_groups
    from sklearn.linear_model import LinearRegression

    frame = pandas.DataFrame({"log_n": np.log(SAMPLES), "log_y": np.log(y), "size": SAMPLES})
    report = audit_groups(frame[["log_n"]], frame["log_y"], frame["size"], {"line": LinearRegression()})
    errors = ", ".join(f"{float(e):.3f}" for e in report["score"])
    return f"log-log line, each size left out in turn, error in ln y: {errors}; no parameters, no intervals"


# Cells in which both have the law, by the name of their parameters there.
CELLS = (
    Cell("saturating"),
    Cell("saturating", sizes=4),
    Cell("saturating", seeds=3, noise=0.01, lack=0.02),
    Cell("saturating", trend=0.5),
    Cell("saturating", near=0.5),
    Cell("joint", grid=(6, 6)),
    Cell("joint", grid=(6, 6), common=0.9),
)
THEIRS = {"saturating": {"ppl_min": "E", "a": "beta"}, "joint": {"E": "E", "alpha": "alpha", "beta": "beta"}}


def simulated(cell: Cell, sets: int) -> Iterator[tuple[Points, dict[str, float], tuple[float, ...], float]]:
    """Data sets of a cell with their true parameters, where to predict, and the law there."""
    rng = np.random.default_rng(0)
    if cell.law == "joint":
        for points, _ in simulate_joint(cell, max(sets // SLOW, 3), rng):
            yield points, JOINT_TRUTH, JOINT_FAR, float(joint_loss(*(np.array(part) for part in JOINT_FAR)))
        return
    groups, truths, laws, _ = simulate(cell, sets, rng)
    for points, truth, law in zip(groups, truths, laws, strict=True):
        yield points, truth, (SIMULATED_AHEAD * float(points.x[-1]),), law


def coverage(sets: int, draws: int, only: str) -> None:
    """Part 2."""
    if not installed("simple_scaling_laws"):
        return
    print(f"\n{sets} simulated data sets a cell, {draws} draws, one process; held in %\n")
    print("| cell | cvfp fit | simple-scaling-laws | seconds each |\n| --- | --- | --- | ---: |")
    for cell in CELLS:
        if not re.search(only, cell.name):
            continue
        held: dict[str, list[bool | None]] = {}
        theirs: dict[str, list[bool | None]] = {}
        seconds = [0.0, 0.0]
        for points, truth, at, law in simulated(cell, sets):
            begin = time.perf_counter()
            options = FitOptions(pairs=(at,)) if len(at) == 2 else FitOptions(predict=at)  # type: ignore[arg-type]
            fit = (
                fit_joint_groups([points], options)
                if len(at) == 2
                else fit_groups([points], cell.law, options)[0]
            )
            middle = time.perf_counter()
            _, intervals, predicted = simple_fit(points, at, draws)
            for name, called in THEIRS[cell.law].items():
                e = fit.parameters[name]
                held.setdefault(name, []).append(inside(e.low, e.high, truth[name]))
                theirs.setdefault(name, []).append(inside(*intervals[called], truth[name]))
            p = fit.predictions[0]
            held.setdefault("law 10x", []).append(inside(p.mean_low, p.mean_high, law))
            theirs.setdefault("law 10x", []).append(inside(predicted[0], predicted[2], law))
            seconds = [seconds[0] + middle - begin, seconds[1] + time.perf_counter() - middle]
        count = len(held["law 10x"])
        times = " / ".join(f"{total / count:.2f}" for total in seconds)
        print(f"| {cell.name} | {shares(held)} | {shares(theirs)} | {times} |", flush=True)


def inside(low: float | None, high: float | None, truth: float) -> bool | None:
    """Whether an interval holds the truth; None where there is none. An open end reaches to infinity."""
    if low is None and high is None:
        return None
    return (low is None or low <= truth) and (high is None or truth <= high)


def shares(held: dict[str, list[bool | None]]) -> str:
    """The share of each figure's intervals that held, in percent, and that of none."""
    parts = []
    for name, found in held.items():
        known = [one for one in found if one is not None]
        none = f" (none: {100 * (1 - len(known) / len(found)):.0f})" if len(known) < len(found) else ""
        parts.append(f"{name} {100 * np.mean(known):.0f}{none}" if known else f"{name} none")
    return ", ".join(parts)


def joint(runs: int) -> None:
    """Part 3."""
    rng = np.random.default_rng(0)
    n = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), runs))
    d = np.exp(rng.uniform(np.log(5e9), np.log(5e11), runs))
    loss = (1.82 + 482.0 / n**0.3478 + 2085.4 / d**0.3658) * np.exp(0.02 * rng.standard_normal(runs))
    points = [Points(d, loss, parameters=n, y_name="val_loss")]
    print(f"\njoint law, {runs} simulated runs; truth E 1.82, A 482, alpha 0.3478, B 2085.4, beta 0.3658\n")
    for replicates in (0, 1000):
        begin = time.perf_counter()
        fit = fit_joint_groups(points, replicates=replicates)
        cells = [f"{key} {figure(e.value)} ({ends(e, True)})" for key, e in fit.parameters.items()]
        print(f"cvfp fit, bootstrap {replicates}: {', '.join(cells)}; {time.perf_counter() - begin:.2f} s")
    if not installed("chinchilla"):
        return
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    grid = {name: np.linspace(1, 10, 5) for name in ("a", "b")}
    with tempfile.TemporaryDirectory() as folder:
        theirs = Chinchilla(
            folder,
            param_grid={
                "E": np.linspace(1, 2, 5),
                **grid,
                "alpha": np.linspace(0.1, 0.7, 5),
                "beta": np.linspace(0.1, 0.7, 5),
            },
            loss_fn=log_huber,
            log_level=40,
        )
        for row in zip(n, d, loss, strict=True):
            theirs.database.append(N=row[0], D=row[1], loss=row[2])
        begin = time.perf_counter()
        theirs.fit()
        cells = [f"{key} {float(value):.4g}" for key, value in theirs.get_params().items()]
        print(
            f"chinchilla: {', '.join(cells)}; {time.perf_counter() - begin:.0f} s on {os.cpu_count()} cores"
        )


def main() -> None:
    """All three parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--joint-runs", type=int, default=245)
    parser.add_argument(
        "--only", default="", help="a regular expression on the names of part 2's cells; leaves out the rest"
    )
    arguments = parser.parse_args()
    if not arguments.only:
        one_answer_each(arguments.draws)
    coverage(arguments.sets, arguments.draws, arguments.only)
    if not arguments.only:
        joint(arguments.joint_runs)


if __name__ == "__main__":
    main()
