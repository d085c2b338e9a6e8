"""``cvfp fit`` beside ``chinchilla``, ``simple-scaling-laws`` and ``scaling-audit`` (all on PyPI), on the same data.

    python benchmarks/fit_rivals.py [--sets 200] [--draws 500] [--joint-runs 245]

Install the three beside cvfp-cli in an environment of their own; what is not installed is left out.

1. One answer each for data sets 1L_256d_1tok and 1L_320d_1tok of the published December study.
2. How often the 95 % intervals of ``simple-scaling-laws`` hold the truth, on the simulated saturating data sets of
   ``fit_coverage.py`` (the only one of the three that gives intervals for such a law), and ours on the same sets.
3. The joint law on simulated runs: ours, and ``chinchilla`` from the 5^5 starts of its README.
"""

import argparse
import importlib.util
import os
import tempfile
import time
from typing import Any

import numpy as np

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
    x: Any, y: Any, draws: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]], tuple[float, ...]]:
    """``simple-scaling-laws``: parameters, their 95 % intervals, and the law at ``AHEAD`` times the largest size."""
    import polars
    from simple_scaling_laws import fit

    frame = polars.DataFrame(
        {
            "training_run_id": [f"r{i}" for i in range(len(x))],
            "dataset_size__n": x,
            "test_loss__y": y,
        }
    )
    model = fit(frame, law="separable-power", n_draws=draws, seed=0)
    target = model.primary_target
    at = model.predict(polars.DataFrame({"dataset_size__n": [AHEAD * x[-1]]}), quantiles=[0.025, 0.5, 0.975])
    row = at.row(0, named=True)
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
            values, theirs, predicted = simple_fit(SAMPLES, y, draws)
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


def coverage(sets: int, draws: int) -> None:
    """Part 2."""
    if not installed("simple_scaling_laws"):
        return
    from fit_coverage import simulate

    rng = np.random.default_rng(0)
    groups, truth, ahead, _ = simulate("saturating", sets, rng)
    held: dict[str, list[bool]] = {name: [] for name in ("ppl_min", "a", "law ahead")}
    theirs: dict[str, list[bool]] = {name: [] for name in held}
    begin = time.perf_counter()
    for i, points in enumerate(groups):
        _, ends, predicted = simple_fit(points.x, points.y, draws)
        theirs["ppl_min"].append(ends["E"][0] <= truth["ppl_min"][i] <= ends["E"][1])
        theirs["a"].append(ends["beta"][0] <= truth["a"][i] <= ends["beta"][1])
        theirs["law ahead"].append(predicted[0] <= ahead[i] <= predicted[2])
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    for i, points in enumerate(groups):
        fit = fit_groups([points], "saturating", FitOptions(predict=(AHEAD * float(points.x[-1]),)))[0]
        for name in ("ppl_min", "a"):
            e = fit.parameters[name]
            held[name].append((e.low or 0.0) <= truth[name][i] <= (np.inf if e.high is None else e.high))
        p = fit.predictions[0]
        held["law ahead"].append((p.mean_low or 0.0) <= ahead[i] <= (p.mean_high or np.inf))
    print(f"\n{sets} simulated saturating data sets, one process\n")
    print("| figure | cvfp fit | simple-scaling-laws |\n| --- | ---: | ---: |")
    for name in held:
        print(f"| {name} | {100 * np.mean(held[name]):.1f} % | {100 * np.mean(theirs[name]):.1f} % |")
    print(f"| seconds a data set | {(time.perf_counter() - begin) / sets:.2f} | {seconds / sets:.2f} |")


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
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--joint-runs", type=int, default=245)
    arguments = parser.parse_args()
    one_answer_each(arguments.draws)
    coverage(arguments.sets, arguments.draws)
    joint(arguments.joint_runs)


if __name__ == "__main__":
    main()
