"""How often the report's marks err and find, and its effects, means and tests hold, on simulated studies.

    python benchmarks/mark_coverage.py [--sets 1000] [--seed 0] [--only stars,slopes,means,tests,equal,claims,worth]

Configurations are trained in the same sizes; ln PPL = level + slope ln n + size (shared by all) + configuration×size +
seed, with the standard deviations named. The functions are those that ``cvfp report`` and ``cvfp compare`` call.

- stars: a false ★ names one where all are equal; found is the share in which the better one is named, by ``best_by``
  and by Holm's correction over all pairs with the same errors.
- slopes: the same for α.
- means: whether 95 % intervals of the mean slope over three, and over all configurations hold the truth, and whether t
  intervals over the configurations' slopes do.
- tests: how often equal slopes and levels are rejected, pooled and with a variance for each configuration, and any pair
  of slopes is said to differ, where one configuration is noisier; and how often a difference of slopes is found.
- equal: how often a pair is called equal within 2 % that differs by just that, and one that does not differ at all.
- worth: how often the interval of what the data of one configuration are worth against another's holds the truth at
  the PPL that is named, and how often it rules out equality.
- claims: how often any of a report's claims is decided where there is no effect, each by itself and all corrected.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cvfp_cli.stats.claims import does_not_fall, falls
from cvfp_cli.stats.comparison import Curve, after_joint, compare_pairs, joint_test, unequal_tests
from cvfp_cli.stats.contrasts import holm
from cvfp_cli.stats.effects import main_effects
from cvfp_cli.stats.lines import Lines, RunPoint, fit_lines
from cvfp_cli.stats.noise import FigureNoise, best_by, slope_noise
from cvfp_cli.stats.worth import worth

Array = NDArray[np.float64]
SHARED = 0.05  # standard deviation of what a size adds to all configurations
LEVEL = 0.95


def study(
    rng: np.random.Generator,
    count: int,
    sizes: int,
    seeds: int,
    cell: float,
    seed: float,
    *,
    levels: Array | None = None,
    slopes: Array | None = None,
    noisy: float = 1.0,
) -> list[RunPoint]:
    """One simulated study; the first configuration has ``noisy`` times the others' error."""
    x = np.log(50_000.0) + np.log(2.0) * np.arange(sizes)
    shared = SHARED * rng.standard_normal(sizes)
    points = []
    for i in range(count):
        level = 0.0 if levels is None else levels[i]
        slope = -0.5 + (0.0 if slopes is None else slopes[i])
        more = noisy if i == 0 else 1.0
        for j in range(sizes):
            stray = more * cell * rng.standard_normal()
            for _ in range(seeds):
                y = (
                    level
                    + slope * (x[j] - x.mean())
                    + shared[j]
                    + stray
                    + more * seed * rng.standard_normal()
                )
                points.append(RunPoint(f"c{i}", float(j), None, float(x[j]), float(y)))
    return points


def curves_of(points: list[RunPoint]) -> list[Curve]:
    """The same runs as curves of means."""
    found = []
    for label in dict.fromkeys(point.configuration for point in points):
        own = [point for point in points if point.configuration == label]
        sizes = sorted({point.size for point in own})
        mean = {size: np.mean([p.y for p in own if p.size == size]) for size in sizes}
        x = {point.size: point.x for point in own}
        found.append(
            Curve(label, tuple(sizes), tuple(x[s] for s in sizes), tuple(float(mean[s]) for s in sizes))
        )
    return found


def named(values: list[float], noise: FigureNoise | None) -> tuple[int, int]:
    """Which figure is named the best, by itself and by Holm over all pairs; -1: none."""
    found = best_by(values, noise, level=LEVEL)
    if found is None or noise is None:
        return -1, -1
    rows, columns = np.triu_indices(len(values), 1)
    y = np.array(values)
    t = np.abs(y[rows] - y[columns]) / np.sqrt(noise.differences.variance[rows, columns])
    p = holm(list(2.0 * special.stdtr(noise.differences.df[rows, columns], -t)))
    with_best = [q for q, i, j in zip(p, rows, columns, strict=True) if found.best in (i, j)]
    every = all(q is not None and q < 1 - LEVEL for q in with_best)
    return found.best if found.decided else -1, found.best if every else -1


def cell_means(points: list[RunPoint], size: float) -> list[float]:
    """Mean ln PPL of every configuration at one size."""
    labels = dict.fromkeys(point.configuration for point in points)
    return [
        float(np.mean([p.y for p in points if p.configuration == label and p.size == size]))
        for label in labels
    ]


def share(names: list[int], right: int) -> float:
    """In %: the share in which ``right`` is named; any where it is -1."""
    return 100.0 * float(np.mean([name >= 0 if right < 0 else name == right for name in names]))


def stars(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """★ on PPL at the largest size."""
    yield "| configurations | sizes × seeds | cell, seed | lead | false ★ | by Holm | found | by Holm |"
    yield "|---|---|---|---|---:|---:|---:|---:|"
    for count, sizes, seeds, cell, own, noisy in [
        (4, 5, 3, 0.02, 0.01, 1.0),
        (9, 4, 3, 0.02, 0.01, 1.0),
        (9, 4, 1, 0.0, 0.01, 1.0),
        (4, 4, 1, 0.0, 0.02, 1.0),
        (2, 3, 1, 0.0, 0.02, 1.0),
        (4, 6, 1, 0.0, 0.01, 4.0),
        (9, 6, 1, 0.0, 0.01, 4.0),
    ]:
        lead = 4.0 * np.hypot(cell, own / np.sqrt(seeds))
        found = []
        for ahead in (0.0, lead):
            names = []
            for _ in range(sets):
                levels = np.zeros(count)
                levels[-1] = -ahead
                points = study(rng, count, sizes, seeds, cell, own, levels=levels, noisy=noisy)
                lines = fit_lines(points)
                noise = None
                if lines is not None:
                    noise = FigureNoise("lines", lines.at_size(lines.labels, sizes - 1.0), lines)
                names.append(named(cell_means(points, sizes - 1.0), noise))
            right = count - 1 if ahead else -1
            found += [share([a for a, _ in names], right), share([b for _, b in names], right)]
        noisier = f", one ×{noisy:g}" if noisy > 1 else ""
        yield (
            f"| {count}{noisier} | {sizes} × {seeds} | {100 * cell:g}, {100 * own:g} % | {100 * lead:.1f} % | "
            + " | ".join(f"{figure:.1f}" for figure in found)
            + " |"
        )


def slopes(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """★ on α."""
    yield "| configurations | sizes × seeds | cell, seed | lead of α | false ★ | by Holm | found | by Holm |"
    yield "|---|---|---|---|---:|---:|---:|---:|"
    for count, sizes, seeds, cell, own in [(4, 5, 3, 0.02, 0.01), (9, 4, 1, 0.0, 0.01), (4, 6, 1, 0.0, 0.02)]:
        spread = np.log(2.0) * np.sqrt(sizes * (sizes**2 - 1) / 12)
        lead = 4.0 * np.hypot(cell, own / np.sqrt(seeds)) / spread
        found = []
        for ahead in (0.0, lead):
            names = []
            for _ in range(sets):
                own_slopes = np.zeros(count)
                own_slopes[-1] = -ahead
                lines = fit_lines(study(rng, count, sizes, seeds, cell, own, slopes=own_slopes), own=True)
                assert lines is not None
                values = lines.values(lines.slopes(lines.labels))
                names.append(named(values, slope_noise(lines, lines.labels)))
            right = count - 1 if ahead else -1
            found += [share([a for a, _ in names], right), share([b for _, b in names], right)]
        yield (
            f"| {count} | {sizes} × {seeds} | {100 * cell:g}, {100 * own:g} % | {lead:.3f} | "
            + " | ".join(f"{figure:.1f}" for figure in found)
            + " |"
        )


def over_configurations(lines: Lines, chosen: int) -> bool:
    """Whether the t interval over the first slopes holds -0.5: what the report gave before."""
    own = np.array(lines.values(lines.slopes(lines.labels[:chosen])))
    half = special.stdtrit(chosen - 1, 0.975) * own.std(ddof=1) / np.sqrt(chosen)
    return bool(abs(own.mean() + 0.5) <= half)


def means(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """Intervals of mean slopes."""
    yield "| configurations | sizes × seeds | cell, seed | mean of 3 held | mean of all held | t over slopes: of 3 | of all |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for count, sizes, seeds, cell, own in [
        (9, 4, 1, 0.0, 0.01),
        (9, 4, 3, 0.02, 0.01),
        (9, 6, 1, 0.0, 0.02),
        (4, 5, 3, 0.02, 0.01),
    ]:
        held = []
        for _ in range(sets):
            lines = fit_lines(study(rng, count, sizes, seeds, cell, own), own=True)
            assert lines is not None
            row = []
            for chosen in (3, count):
                mean = lines.mean(lines.slopes(lines.labels[:chosen]), LEVEL)
                row.append(mean.low is not None and mean.high is not None and mean.low <= -0.5 <= mean.high)
            held.append([*row, over_configurations(lines, 3), over_configurations(lines, count)])
        figures = 100.0 * np.mean(held, axis=0)
        yield (
            f"| {count} | {sizes} × {seeds} | {100 * cell:g}, {100 * own:g} % | "
            + " | ".join(f"{figure:.1f}" for figure in figures)
            + " |"
        )


def tests(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """Equal slopes and levels where one configuration is noisier."""
    yield "| configurations | sizes × seeds | one is noisier | slopes differ | slopes, pooled | slopes | any pair | levels |"
    yield "|---|---|---|---|---:|---:|---:|---:|"
    for count, sizes, seeds in [(4, 6, 1), (9, 6, 1), (9, 5, 1), (9, 4, 1), (9, 4, 3), (4, 4, 1)]:
        spread = np.log(2.0) * np.sqrt(sizes * (sizes**2 - 1) / 12)
        for noisy, ahead in [(1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (10.0, 0.0), (1.0, 5.0)]:
            rejected = []
            for _ in range(sets):
                own = np.zeros(count)
                own[-1] = ahead * 0.01 / np.sqrt(seeds) / spread
                curves = curves_of(study(rng, count, sizes, seeds, 0.0, 0.01, slopes=own, noisy=noisy))
                pooled, fair = joint_test(curves), unequal_tests(curves)
                assert pooled is not None
                assert fair is not None
                p = [
                    1.0 if test is None else test.p_value
                    for test in (pooled.slopes, fair.slopes, fair.levels)
                ]
                least = p[1]
                if least < 1 - LEVEL:  # no pair is surer than all together
                    pairs = after_joint(compare_pairs(curves, None if fair.stands_out else pooled), fair)
                    least = min(1.0 if pair.slope_holm is None else pair.slope_holm for pair in pairs)
                rejected.append([each < 1 - LEVEL for each in (*p[:2], least, p[2])])
            differ = f"{ahead:g} sd" if ahead else "no"
            figures = 100.0 * np.mean(rejected, axis=0)
            yield (
                f"| {count} | {sizes} × {seeds} | ×{noisy:g} | {differ} | "
                + " | ".join(f"{figure:.1f}" for figure in figures)
                + " |"
            )


def equal(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """Equivalence within 2 %."""
    yield "| configurations | sizes | noise | a pair 2 % apart called equal | a pair 0 % apart |"
    yield "|---|---|---|---:|---:|"
    for count, sizes, noise in [(4, 4, 0.005), (4, 6, 0.01), (9, 6, 0.01)]:
        called = []
        for _ in range(sets):
            levels = np.zeros(count)
            levels[1] = np.log(1.02)
            curves = curves_of(study(rng, count, sizes, 1, 0.0, noise, levels=levels))
            found = compare_pairs(curves, joint_test(curves), pairs=[(0, 1), (0, 2)])
            called.append([pair.equal is not None and pair.equal < 1 - LEVEL for pair in found])
        apart, alike = 100.0 * np.mean(called, axis=0)
        yield f"| {count} | {sizes} | {100 * noise:g} % | {apart:.1f} | {alike:.1f} |"


def claims(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """A report's claims together, without effects: layers × tokens of 3 × 3 in 4 sizes."""
    yield "| claims | any decided, each by itself | any decided, corrected |"
    yield "|---|---:|---:|"
    rows = [{"layers": i // 3 + 1, "tokens": i % 3 + 1} for i in range(9)]
    single, joined = [], []
    for _ in range(sets):
        points = study(rng, 9, 4, 1, 0.0, 0.02, levels=0.05 * rng.standard_normal(9))
        means_of = [float(np.mean(curve.y)) for curve in curves_of(points)]
        effects = main_effects(rows, means_of, level=LEVEL)
        lines = fit_lines(points, own=True)
        assert lines is not None
        best = best_by(lines.values(lines.slopes(lines.labels)), slope_noise(lines, lines.labels))
        # Without a margin, a claim of no fall at no effect is as often wrong as one of a fall.
        made = [falls(effects.contrast("tokens", 1, 2)).p_value, best.p_value if best else None]
        made += [
            does_not_fall(effects.contrast(name, *ends), 0.0).p_value
            for name, ends in (("layers", (1, 3)), ("tokens", (2, 3)))
        ]
        single.append(any(p is not None and p < 1 - LEVEL for p in made))
        joined.append(any(p is not None and p < 1 - LEVEL for p in holm(made)))
    yield f"| 4 | {100 * np.mean(single):.1f} | {100 * np.mean(joined):.1f} |"


def worths(sets: int, rng: np.random.Generator) -> Iterator[str]:
    """What the last configuration's data are worth against the first's."""
    yield "| configurations | sizes × seeds | cell, seed | worth, slope | interval holds | width | equality ruled out |"
    yield "|---|---|---|---|---:|---:|---:|"
    for count, sizes, seeds, cell, own, times, apart in [
        (2, 4, 1, 0.0, 0.02, 1.0, 0.0),
        (2, 4, 1, 0.0, 0.02, 1.5, 0.0),
        (4, 4, 1, 0.0, 0.02, 1.5, 0.0),
        (4, 5, 3, 0.02, 0.01, 1.0, 0.0),
        (2, 5, 1, 0.0, 0.02, 1.5, 0.1),
        (9, 4, 1, 0.02, 0.01, 4.0, 0.05),
    ]:
        levels, slope = np.zeros(count), np.zeros(count)
        levels[-1], slope[-1] = -0.5 * np.log(times), -apart
        held, width, decided = [], [], []
        for _ in range(sets):
            lines = fit_lines(
                study(rng, count, sizes, seeds, cell, own, levels=levels, slopes=slope), own=True
            )
            assert lines is not None
            found = worth(lines, ["c0"], [f"c{count - 1}"], LEVEL)
            assert found is not None
            truth = np.exp(found.log_y / -0.5 - (found.log_y - levels[-1]) / (-0.5 - apart))
            low, high = found.times.low or 0.0, found.times.high or np.inf
            held.append(low <= truth <= high)
            width.append(high / low if low > 0.0 else np.inf)
            decided.append(found.decided)
        yield (
            f"| {count} | {sizes} × {seeds} | {100 * cell:g}, {100 * own:g} % | {times:g}, {-0.5 - apart:g} | "
            f"{100 * np.mean(held):.1f} | ×{np.median(width):.2f} | {100 * np.mean(decided):.1f} |"
        )


PARTS = {
    "stars": stars,
    "slopes": slopes,
    "means": means,
    "tests": tests,
    "equal": equal,
    "claims": claims,
    "worth": worths,
}


def main() -> None:
    """Print Markdown tables; all figures are in %."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    begun = time.perf_counter()
    for name in arguments.only.split(","):
        print(f"\n{name}:\n")
        for line in PARTS[name](arguments.sets, np.random.default_rng(arguments.seed)):
            print(line, flush=True)
    print(f"\n{arguments.sets} sets for each row, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
