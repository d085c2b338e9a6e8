"""How often the intervals of ``cvfp_cli.stats`` hold the truth where errors are shared or unequal.

    python benchmarks/error_coverage.py [--sets 1000] [--seed 0] [--only joint,seeds,unequal,neighbours,stars]

Nominal 95 %. Each figure stands with its 99 % binomial interval (Clopper and Pearson); a cell passes if that meets
93-97 %. "none" is the share of sets without an interval, which count neither way. "width" is the median of the
interval, in units of what is estimated. Laws are fitted by least squares, or by Huber's loss as the joint law is, with
programs of their own, so that nothing but the errors is under test.

- joint: L = E + A/N^a + B/D^b on grids, errors of ln L at one D correlated (0, 0.5, 0.9), or neighbouring sizes too.
- seeds: one power law, several seeds for each size, and a miss of the law at each size.
- unequal: one power or saturating law, noise four times larger at one end, by three kinds of errors.
- neighbours: one power law, errors of neighbouring sizes correlated 0.5.
- stars: configurations in the same sizes, equal or one better: how often one is named the best.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from cvfp_cli.stats.best import best_of_differences
from cvfp_cli.stats.contrast_errors import ContrastErrors
from cvfp_cli.stats.error_model import fit_error_model
from cvfp_cli.stats.labels import Labels
from cvfp_cli.stats.size_errors import size_errors

Array = NDArray[Any]
Errors = Callable[[Array], ContrastErrors]  # from residuals
LEVEL = 0.95
THRESHOLD = 1e-3  # of Huber's loss


def binomial(held: int, sets: int, level: float = 0.99) -> tuple[float, float]:
    """The interval of Clopper and Pearson."""
    tail = (1.0 - level) / 2.0
    low = float(special.betaincinv(held, sets - held + 1, tail)) if held else 0.0
    high = float(special.betaincinv(held + 1, sets - held, 1.0 - tail)) if held < sets else 1.0
    return low, high


def show(case: str, figure: str, held: Array, width: Array) -> None:
    """One row of the table."""
    known = held[~np.isnan(held)]
    none = 1.0 - len(known) / len(held)
    if len(known) == 0:
        print(f"| {case} | {figure} | no interval | 100 % | |  |", flush=True)
        return
    low, high = binomial(int(known.sum()), len(known))
    verdict = "" if low <= 0.97 and high >= 0.93 else ("too wide" if low > 0.97 else "TOO SHORT")
    share = f"{100 * known.mean():.1f} ({100 * low:.1f}-{100 * high:.1f})"
    print(
        f"| {case} | {figure} | {share} | {100 * none:.0f} % | {np.nanmedian(width):.3g} | {verdict} |",
        flush=True,
    )


def inside(estimate: Array, truth: Array, errors: ContrastErrors) -> tuple[Array, Array]:
    """Whether each interval holds, NaN where there is none, and its half-width."""
    half = errors.half_widths(LEVEL)
    return np.where(np.isnan(half), np.nan, np.abs(estimate - truth) <= half), half


def collect(case: str, names: list[str], sets: Iterator[tuple[Array, Array]]) -> None:
    """Print what the sets of one case gave."""
    held, width = (np.array(part) for part in zip(*sets, strict=True))
    for i, name in enumerate(names):
        show(case, name, held[:, i], width[:, i])


def joint_law(theta: Array, n: Array, d: Array) -> tuple[Array, Array]:
    """ln L and its Jacobian by E, ln A, a, ln B, b; sizes relative to the grid's middle."""
    e, log_a, a, log_b, b = theta
    # A trial step of the search may go far.
    first, second = np.exp(np.minimum(log_a - a * n, 50.0)), np.exp(np.minimum(log_b - b * d, 50.0))
    total = np.maximum(e + first + second, 1e-9)
    columns = [np.ones_like(n), first, -first * n, second, -second * d]
    return np.log(total), np.column_stack(columns) / total[:, None]


def joint(sets: int, rng: np.random.Generator) -> None:
    """The joint law on grids."""
    for (wide, deep), common, neighbours, loss in [
        ((6, 6), 0.0, 0.0, "linear"),
        ((6, 6), 0.5, 0.0, "linear"),
        ((6, 6), 0.9, 0.0, "linear"),
        ((6, 6), 0.9, 0.0, "huber"),
        ((9, 5), 0.0, 0.0, "linear"),
        ((9, 5), 0.9, 0.0, "linear"),
        ((9, 5), 0.9, 0.0, "huber"),
        ((6, 6), 0.9, 0.5, "linear"),
    ]:
        kind = {"linear": "least squares", "huber": "Huber"}[loss]
        near = f", neighbours {neighbours:g}" if neighbours else ""
        case = f"joint {wide}x{deep}, common {common:g}{near}, {kind}"
        names = ["E", "alpha", "beta", "law at 4N, 4D", "new run at 4N, 4D"]
        collect(case, names, joint_sets(sets, rng, wide, deep, common, neighbours, loss))


def joint_sets(
    sets: int, rng: np.random.Generator, wide: int, deep: int, common: float, neighbours: float, loss: str
) -> Iterator[tuple[Array, Array]]:
    """Fits of simulated grids."""
    step_n, step_d = (
        np.log(2.0) * (np.arange(wide) - (wide - 1) / 2),
        np.log(2.0) * (np.arange(deep) - (deep - 1) / 2),
    )
    n, d = (part.ravel() for part in np.meshgrid(step_n, step_d))
    size = np.repeat(np.arange(deep), wide)
    sd, along = (
        0.01,
        np.linalg.cholesky(neighbours ** np.abs(np.subtract.outer(np.arange(deep), np.arange(deep)))),
    )
    far_n, far_d = np.array([step_n[-1] + np.log(4.0)]), np.array([step_d[-1] + np.log(4.0)])
    for _ in range(sets):
        # About the middle of a grid from 1M parameters and 20M tokens on: both terms near E.
        truth = np.array(
            [1.7, np.log(rng.uniform(1.5, 3.0)), rng.uniform(0.28, 0.4), np.log(rng.uniform(1.0, 2.5)), 0]
        )
        truth[4] = rng.uniform(0.25, 0.35)
        shared = along @ rng.standard_normal(deep)
        noise = sd * (np.sqrt(common) * shared[size] + np.sqrt(1.0 - common) * rng.standard_normal(len(n)))
        y = joint_law(truth, n, d)[0] + noise
        fit = optimize.least_squares(
            lambda theta, seen: joint_law(theta, n, d)[0] - seen,
            truth,
            jac=lambda theta, _: joint_law(theta, n, d)[1],
            loss=loss,
            f_scale=THRESHOLD if loss == "huber" else 1.0,
            x_scale="jac",
            xtol=1e-10,
            ftol=1e-12,
            args=(y,),
        )
        value, jacobian = joint_law(fit.x, n, d)
        r = y - value
        if loss == "huber":
            r = np.clip(r, -THRESHOLD, THRESHOLD) / slope_of_huber(r, 5)
        model = fit_error_model(r, jacobian, Labels.of(size, n))
        at, row = joint_law(fit.x, far_n, far_d)
        expected = joint_law(truth, far_n, far_d)[0]
        rows = np.vstack([np.eye(5)[[0, 2, 4]], row])
        held, half = inside(
            np.append(fit.x[[0, 2, 4]], at), np.append(truth[[0, 2, 4]], expected), model.contrasts(rows)
        )
        new = inside(at, expected + sd * rng.standard_normal(), model.of_new_runs(row))
        yield np.append(held, new[0]), np.append(half, new[1])


def slope_of_huber(r: Array, k: int) -> float:
    """Mean of psi': the errors' density at 0 by a normal kernel (Silverman's width), over the width of the threshold."""
    scale = float(np.median(np.abs(r[np.argsort(np.abs(r))[k:]]))) / float(special.ndtri(0.75))
    width = 0.9 * scale * len(r) ** -0.2 + THRESHOLD
    density = np.mean(special.ndtr((r + THRESHOLD) / width) - special.ndtr((r - THRESHOLD) / width))
    return float(density)


def doubling(sizes: int) -> Array:
    """ln n of sizes that double, from 0."""
    return np.log(2.0) * np.arange(sizes)


def seeds(sets: int, rng: np.random.Generator) -> None:
    """A power law with several seeds for each size."""
    for sizes, each, lack, own in [
        (5, 3, 0.0, 0.02),
        (5, 3, 0.01, 0.02),
        (5, 3, 0.03, 0.006),
        (3, 5, 0.02, 0.02),
        (4, 3, 0.02, 0.02),
        (8, 3, 0.02, 0.01),
        (2, 5, 0.03, 0.006),
    ]:
        case = f"{sizes} sizes x {each} seeds, lack of fit {100 * lack:g} %, seeds {100 * own:g} %"
        names = ["alpha", "law at 10x", "new run at 10x"]
        collect(case, names, seed_sets(sets, rng, sizes, each, lack, own))


def seed_sets(
    sets: int, rng: np.random.Generator, sizes: int, each: int, lack: float, own: float
) -> Iterator[tuple[Array, Array]]:
    """Lines through simulated seeds; the truth is 0 everywhere."""
    size = np.repeat(np.arange(sizes), each)
    x = np.column_stack([np.ones(len(size)), doubling(sizes)[size]])
    row = np.array([1.0, doubling(sizes)[-1] + np.log(10.0)])
    rows, inverse, labels = np.vstack([[0.0, 1.0], row]), np.linalg.pinv(x), Labels.of(size)
    for _ in range(sets):
        y = lack * rng.standard_normal(sizes)[size] + own * rng.standard_normal(len(size))
        b = inverse @ y
        model = fit_error_model(y - x @ b, x, labels)
        held, half = inside(rows @ b, np.zeros(2), model.contrasts(rows))
        new = lack * rng.standard_normal() + own * rng.standard_normal()
        run = inside(rows[1:] @ b, np.array([new]), model.of_new_runs(row))
        yield np.append(held, run[0]), np.append(half, run[1])


def designs(sizes: int) -> Iterator[tuple[str, Array, Array]]:
    """Power and saturating laws, linear about the truth: name, design, and rows for a parameter and for 10x."""
    z = doubling(sizes)
    far = z[-1] + np.log(10.0)
    yield "power", np.column_stack([np.ones(sizes), z]), np.array([[0.0, 1.0], [1.0, far]])

    def row(at: Array) -> Array:
        excess = 400.0 * np.exp(-0.5 * at)
        return np.column_stack([np.ones_like(at), excess, -excess * at]) / (100.0 + excess)[:, None]

    yield "saturating", row(z), np.vstack([[1.0, 0.0, 0.0], row(np.array([far]))])


def unequal(sets: int, rng: np.random.Generator) -> None:
    """Noise that follows n."""
    for sizes in (5, 6, 8, 12):
        for name, x, rows in designs(sizes):
            for ratio in (1.0, 4.0, 0.25):
                for kind, found in unequal_sets(sets, rng, x, rows, ratio).items():
                    case = f"{name}, {sizes} sizes, noise x{ratio:g}, {kind}"
                    collect(case, ["parameter", "law at 10x"], iter(found))


def unequal_sets(
    sets: int, rng: np.random.Generator, x: Array, rows: Array, ratio: float
) -> dict[str, list[tuple[Array, Array]]]:
    """What two kinds of errors give for the same sets; the truth is 0 everywhere."""
    z = doubling(len(x))
    noise, inverse, labels = ratio ** (z / z[-1]), np.linalg.pinv(x), Labels.of(z)
    kinds: dict[str, Errors] = {
        "textbook": lambda r: fit_error_model(r, x, labels).contrasts(rows),
        "CR2": lambda r: by_size(r, x, rows, z),
    }
    found: dict[str, list[tuple[Array, Array]]] = {kind: [] for kind in kinds}
    for _ in range(sets):
        y = noise * rng.standard_normal(len(x))
        b = inverse @ y
        for kind, errors in kinds.items():
            found[kind].append(inside(rows @ b, np.zeros(2), errors(y - x @ b)))
    return found


def by_size(r: Array, x: Array, rows: Array, z: Array) -> ContrastErrors:
    """Errors of the figures of one curve as ``cvfp fit`` has them, with a size a run."""
    errors = size_errors(r[None], x[None], np.ones((1, len(r))), np.arange(len(r))[None], z[None])
    variance, df = np.array([errors.variance(row[None])[1:] for row in rows])[:, :, 0].T
    return ContrastErrors(variance, df, np.full(len(rows), np.nan), ("",) * len(rows))


def neighbours(sets: int, rng: np.random.Generator) -> None:
    """Errors of neighbouring sizes correlated, which one run for each size cannot show."""
    for sizes in (6, 12):
        half = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(np.arange(sizes), np.arange(sizes))))
        x = np.column_stack([np.ones(sizes), doubling(sizes)])
        rows = np.array([[0.0, 1.0], [1.0, doubling(sizes)[-1] + np.log(10.0)]])
        inverse, found = np.linalg.pinv(x), []
        for _ in range(sets):
            y = half @ rng.standard_normal(sizes)
            b = inverse @ y
            model = fit_error_model(y - x @ b, x, Labels.of(range(sizes)))
            found.append(inside(rows @ b, np.zeros(2), model.contrasts(rows)))
        collect(f"power, {sizes} sizes, neighbours correlated 0.5", ["alpha", "law at 10x"], iter(found))


def stars(sets: int, rng: np.random.Generator) -> None:
    """How often one of several configurations is named the best."""
    print("\n| configurations | noise | true lead | named, right | named, wrong |\n|---|---|---|---|---|")
    for count, sizes, each, cell, own in [(4, 5, 3, 0.02, 0.01), (9, 6, 1, 0.01, 0.01), (2, 5, 1, 0.0, 0.02)]:
        s, c, _ = (
            part.ravel()
            for part in np.meshgrid(np.arange(sizes), np.arange(count), np.arange(each), indexing="ij")
        )
        x = np.column_stack([np.equal.outer(c, np.arange(count)), doubling(sizes)[s]]).astype(float)
        inverse, labels = np.linalg.pinv(x), Labels.of(s, c)
        for lead in (0.0, 0.03):
            right = wrong = 0
            for _ in range(sets):
                y = (
                    0.1 * rng.standard_normal(sizes)[s]
                    + cell * rng.standard_normal(sizes * count)[count * s + c]
                )
                y += own * rng.standard_normal(len(s)) - lead * (c == 0)
                b = inverse @ y
                model = fit_error_model(y - x @ b, x, labels)
                best = best_of_differences(b[:count], model.differences(np.eye(count, count + 1)))
                right += best.decided and lead > 0 and best.best == 0
                wrong += best.decided and not (lead > 0 and best.best == 0)
            noise = f"{sizes} sizes x {each}, cells {100 * cell:g} %, seeds {100 * own:g} %"
            print(
                f"| {count} | {noise} | {100 * lead:g} % | {right / sets:.1%} | {wrong / sets:.1%} |",
                flush=True,
            )


PARTS = {"joint": joint, "seeds": seeds, "unequal": unequal, "neighbours": neighbours, "stars": stars}


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    begun = time.perf_counter()
    print("| case | figure | held, % | none | width | |\n|---|---|---|---|---|---|")
    for name in arguments.only.split(","):
        PARTS[name](arguments.sets, np.random.default_rng(arguments.seed))
    print(f"\n{arguments.sets} sets for each case, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
