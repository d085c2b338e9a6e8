"""Lines of configurations that share sizes: intervals and marks hold where their errors are shared."""

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.lines import ENOUGH_FREEDOM, MOST_RUNS, Lines, RunPoint, fit_lines
from cvfp_cli.stats.noise import best_by, line_noise, mean_slope_noise, ppl_noise, slope_noise

SHARED = 0.05


def study(
    rng, count=4, sizes=5, seeds=1, cell=0.0, seed=0.01, lead=0.0, slope_lead=0.0, noisy=1.0
) -> list[RunPoint]:
    """ln y of configurations with the slope -0.5; the last one leads, the first one is noisier."""
    x = np.log(2.0) * np.arange(sizes)
    shared = SHARED * rng.standard_normal(sizes)
    points = []
    for i in range(count):
        ahead, more = float(i == count - 1), noisy if i == 0 else 1.0
        for j in range(sizes):
            level = shared[j] - lead * ahead + more * cell * rng.standard_normal()
            level -= (0.5 + slope_lead * ahead) * (x[j] - x.mean())
            points += [
                RunPoint(f"c{i}", float(j), None, x[j], level + more * seed * rng.standard_normal())
                for _ in range(seeds)
            ]
    return points


def fitted(points: list[RunPoint], *, own: bool = False) -> Lines:
    lines = fit_lines(points, own=own)
    assert lines is not None
    return lines


def means_at(points: list[RunPoint], labels: tuple[str, ...], size: float) -> list[float]:
    return [
        float(np.mean([p.y for p in points if (p.configuration, p.size) == (label, size)]))
        for label in labels
    ]


def test_the_slopes_are_least_squares_of_each_configuration_alone():
    points = study(np.random.default_rng(0), seeds=2, cell=0.03)
    points = points[:7] + points[9:]  # not all have the same sizes and seeds
    lines = fitted(points, own=True)
    for label, slope in zip(lines.labels, lines.values(lines.slopes(lines.labels)), strict=True):
        own = [point for point in points if point.configuration == label]
        assert slope == pytest.approx(stats.linregress([p.x for p in own], [p.y for p in own]).slope)


@pytest.mark.parametrize(("seeds", "cell"), [(1, 0.0), (3, 0.02)])
def test_a_mean_slope_holds_the_truth_where_sizes_are_shared(seeds, cell):
    """The t interval over configurations holds 10-40 %: sizes that rise together tilt all slopes alike."""
    rng = np.random.default_rng(1)
    held = over = 0
    for _ in range(300):
        lines = fitted(study(rng, 6, 5, seeds, cell), own=True)
        rows = lines.slopes(lines.labels)
        mean = lines.mean(rows, 0.95)
        held += mean.low <= -0.5 <= mean.high
        slopes = np.array(lines.values(rows))
        over += abs(slopes.mean() + 0.5) <= stats.t.ppf(0.975, 5) * slopes.std(ddof=1) / np.sqrt(6)
    assert 0.91 < held / 300 < 0.985
    assert over / 300 < 0.6


def test_two_sizes_say_nothing_of_a_mean_slope_and_say_so():
    assert fit_lines(study(np.random.default_rng(2), sizes=2), own=True) is None  # on their points exactly
    lines = fitted(study(np.random.default_rng(2), sizes=2, seeds=3), own=True)
    mean = lines.mean(lines.slopes(lines.labels), 0.95)
    assert (mean.low, mean.high, mean.reason) == (None, None, "no-freedom")
    assert slope_noise(lines, lines.labels) is None


@pytest.mark.parametrize(
    ("count", "sizes", "seeds", "cell", "noisy"),
    [(4, 5, 3, 0.02, 1.0), (2, 5, 1, 0.0, 1.0), (4, 3, 1, 0.0, 1.0), (4, 6, 1, 0.0, 4.0)],
)
def test_stars_on_equal_configurations_are_rare(count, sizes, seeds, cell, noisy):
    rng = np.random.default_rng(3)
    false = [0, 0]
    for _ in range(300):
        points = study(rng, count, sizes, seeds, cell, noisy=noisy)
        lines = fitted(points)
        last = sizes - 1.0
        noise = ppl_noise(lines, lines.labels, last)
        false[0] += best_by(means_at(points, lines.labels, last), noise).decided
        steep = fitted(points, own=True)
        values = steep.values(steep.slopes(steep.labels))
        false[1] += best_by(values, slope_noise(steep, steep.labels)).decided
    assert max(false) / 300 < 0.08


def test_a_better_configuration_is_found_more_often_than_by_all_pairs():
    rng = np.random.default_rng(4)
    right = pairs = 0
    for _ in range(150):
        points = study(rng, 6, 6, 3, 0.02, 0.01, lead=0.08)
        lines = fitted(points)
        noise = ppl_noise(lines, lines.labels, 5.0)
        values = np.array(means_at(points, lines.labels, 5.0))
        found = best_by(values.tolist(), noise)
        right += found.decided and found.best == 5
        t = (np.delete(values, 5) - values[5]) / np.sqrt(noise.differences.variance[0, 1])
        pairs += bool(np.all(2 * stats.t.sf(t, noise.df) * 15 < 0.05))
    assert right / 150 > 0.4
    assert right > 1.3 * pairs


def test_few_sizes_take_one_slope_and_one_size_what_the_seeds_say():
    rng = np.random.default_rng(5)
    assert fitted(study(rng, 4, 4)).own
    two = fitted(study(rng, 4, 2))
    assert not two.own
    assert two.spare < ENOUGH_FREEDOM
    assert two.assumed == ()
    one = fitted(study(rng, 4, 1, seeds=3))
    assert "configuration-size" in one.assumed
    assert one.variances.seed > 0
    assert fit_lines(study(rng, 4, 1)) is None
    assert fit_lines([]) is None
    assert slope_noise(two, two.labels) is None


def test_figures_on_the_lines_but_for_rounding_have_no_error():
    exact = [RunPoint(c, s, None, s, 3.0 - 0.1 * s) for c in "ab" for s in (1.0, 2.0, 3.0)]
    assert fit_lines(exact, own=True) is None


def test_the_variances_are_those_that_were_drawn():
    rng = np.random.default_rng(6)
    lines = fitted(study(rng, 12, 8, 3, cell=0.03, seed=0.01))
    assert lines.variances.cell == pytest.approx(0.03**2, rel=0.35)
    assert lines.variances.seed == pytest.approx(0.01**2, rel=0.25)
    single = fitted(study(rng, 12, 8, 1, cell=0.03, seed=0.01))
    assert single.variances.cell == 0.0  # one seed tells only the sum
    assert single.variances.seed == pytest.approx(0.03**2 + 0.01**2, rel=0.35)


def test_means_stand_for_many_runs_without_a_change():
    """With as many seeds everywhere the errors between configurations are those of the cells' means."""
    count = MOST_RUNS // 15 + 1
    points = study(np.random.default_rng(7), count, 5, 3, cell=0.02)
    assert len(points) > MOST_RUNS
    lines = fitted(points)
    few = [point for point in points if point.configuration in lines.labels[:4]]
    by_hand = fitted(few)
    assert len(lines.points) == 5 * count
    assert lines.values(lines.slopes(lines.labels[:4])) == pytest.approx(
        by_hand.values(by_hand.slopes(lines.labels[:4]))
    )
    assert lines.at_size(lines.labels[:2], 0.0).df[0, 1] == pytest.approx(3 * (count - 1), rel=0.02)


def test_lines_far_apart_are_told_beyond_the_data_and_near_ones_are_not():
    rng = np.random.default_rng(8)
    lines = fitted(study(rng, 4, 6, lead=0.3), own=True)
    at = 10.0
    noise = line_noise(lines, lines.labels, at)
    found = best_by(lines.values(lines.at(lines.labels, at)), noise)
    assert (found.best, found.decided) == (3, True)
    near = fitted(study(rng, 4, 6), own=True)
    assert not best_by(near.values(near.at(near.labels, at)), line_noise(near, near.labels, at)).decided


def test_the_noise_of_means_is_that_of_their_slopes():
    lines = fitted(study(np.random.default_rng(9)), own=True)
    each = slope_noise(lines, lines.labels).differences.variance[0, 1]
    pairs = mean_slope_noise(lines, [lines.labels[:2], lines.labels[2:]]).differences.variance[0, 1]
    assert pairs == pytest.approx(each / 2)


def test_a_noisier_configuration_gets_errors_of_its_own():
    rng = np.random.default_rng(10)
    points = study(rng, 5, 8, noisy=6.0)
    lines = fitted(points, own=True)
    assert lines.relative is not None
    variance = slope_noise(lines, lines.labels).differences.variance
    assert variance[0, 1:].min() > 3 * variance[1:, 1:].max()
    assert slope_noise(lines, lines.labels).df == 6
    assert fitted(study(rng, 5, 8), own=True).relative is None


def test_an_unfinished_sweep_whose_runs_agree_leaves_no_rounding_to_divide_by():
    """Two draws of the samples, four cells missing: LAPACK gave up on what rounding had left of a variance at its floor."""
    runs = [
        ("a", 0, 0, -0.0255), ("b", 0, 0, -0.0039), ("b", 0, 1, -0.0054),
        ("a", 1, 0, -0.2842), ("a", 1, 1, -0.2949), ("b", 1, 1, -0.2952),
        ("a", 2, 1, -0.5972), ("b", 2, 0, -0.5155), ("b", 2, 1, -0.5297),
        ("a", 3, 1, -0.8622), ("b", 3, 0, -0.8575), ("b", 3, 1, -0.8491),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    for shift in (0.0, *rng.normal(size=30)):
        moved = shift * 1e-9 * rng.normal(size=len(runs))
        lines = fit_lines(
            [
                RunPoint(name, float(size), draw, round(0.7 * size, 1), y + more)
                for (name, size, draw, y), more in zip(runs, moved, strict=True)
            ]
        )
        assert np.all(np.isfinite(lines.model.workings.inverse))
