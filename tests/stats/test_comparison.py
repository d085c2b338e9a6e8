"""Paired comparison of scaling curves: published figures, brute force and simulation are the truth."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.stats.comparison import Curve, common_sizes, compare_pairs, joint_test, unequal_tests
from cvfp_cli.stats.contrasts import holm
from cvfp_cli.study.points import Points

PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text(encoding="utf-8"))


def study_curves(study: str, x: str = "train_tokens") -> list[Curve]:
    rows = [run for run in PUBLISHED["runs"] if run["study"] == study]
    return [
        Curve.from_points(
            Points(
                x=np.array([run[x] for run in rows if run["config"] == config]),
                y=np.array([run["val_ppl"] for run in rows if run["config"] == config]),
                label=config,
            )
        )
        for config in dict.fromkeys(run["config"] for run in rows)
    ]


@pytest.mark.parametrize("gap", [0.02, 1e-9, 0.0])
def test_curves_that_differ_by_rounding_alone_are_tested_against_no_noise(gap: float) -> None:
    """The same draw in all and levels exactly apart: equal levels were rejected with p = 1e-125."""
    rng = np.random.default_rng(0)
    x = 10.0 + np.log(2.0) * np.arange(5)
    y = 8.0 - 0.3 * x + 0.03 * rng.standard_normal(5)
    curves = [Curve(f"c{i}", tuple(range(5)), tuple(x), tuple(y + i * gap)) for i in range(3)]
    joint, unequal = joint_test(curves), unequal_tests(curves)
    assert joint is not None
    assert joint.df > 0
    assert (joint.slopes, joint.levels, joint.lines) == (None, None, None)
    assert unequal is not None
    assert (unequal.slopes, unequal.levels) == (None, None)
    for pair in (*compare_pairs(curves, joint), *compare_pairs(curves)):
        assert pair.lines is None
        assert pair.slope is not None
        assert (pair.slope.p_value, pair.slope_holm, pair.equal) == (None, None, None)
        assert pair.ratio.low is not None
        assert pair.ratio.high is not None
        assert 1e-7 < pair.ratio.high - pair.ratio.low < 1e-4


@pytest.mark.parametrize("independent", [False, True])
def test_exact_lines_have_intervals_and_no_test(*, independent: bool) -> None:
    """Slopes of -0.25, -0.27, -0.29 without noise were told apart with p = 4e-26."""
    x = 10.0 + np.log(2.0) * np.arange(5)
    curves = [
        Curve(f"c{i}", tuple(range(5)), tuple(x), tuple(8.0 - slope * x))
        for i, slope in enumerate((0.25, 0.27, 0.29))
    ]
    joint = None if independent else joint_test(curves)
    for pair in compare_pairs(curves, joint, independent=independent):
        assert pair.slope is not None
        assert pair.slope.low is not None
        assert (pair.slope.p_value, pair.slope_holm) == (None, None)
        assert (pair.lines, pair.lines_holm, pair.equal, pair.equal_holm) == (None, None, None, None)


def random_curves(
    rng: np.random.Generator, count: int = 5, sizes: int = 5, drop: float = 0.0, noise: float = 0.03
) -> list[Curve]:
    x = np.sort(rng.uniform(10, 14, sizes))
    common = rng.normal(0, 0.1, sizes)
    curves = []
    for i in range(count):
        keep = rng.uniform(size=sizes) >= drop
        keep[:2] = True
        y = 10 - 0.5 * x + rng.normal(0, 0.2) + common + rng.normal(0, noise, sizes)
        curves.append(
            Curve(
                f"c{i}",
                tuple(np.arange(sizes, dtype=float)[keep]),
                tuple(x[keep]),
                tuple(y[keep]),
            )
        )
    return curves


def dense_residual(curves: list[Curve], terms: int) -> tuple[float, int]:
    """The same models with every dummy column written out."""
    sizes = sorted({size for curve in curves for size in curve.sizes})
    rows, y = [], []
    for i, curve in enumerate(curves):
        for size, x, value in zip(curve.sizes, curve.x, curve.y, strict=True):
            row = np.zeros(len(sizes) + 2 * len(curves))
            row[sizes.index(size)] = 1
            if terms >= 1:
                row[len(sizes) + i] = 1
            if terms == 2:
                row[len(sizes) + len(curves) + i] = x - 12
            rows.append(row)
            y.append(value)
    matrix, target = np.array(rows), np.array(y)
    solution, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=1e-11)
    return float(np.sum((target - matrix @ solution) ** 2)), len(y) - rank


def test_the_matrix_study_has_unequal_slopes_but_no_pair_survives_holm() -> None:
    curves = study_curves("2025-11-30-matrix")
    joint = joint_test(curves)
    assert joint is not None
    assert joint.slopes is not None
    assert (joint.slopes.df1, joint.slopes.df2) == (8, 16)
    assert joint.slopes.statistic == pytest.approx(2.65, abs=0.005)
    assert joint.slopes.p_value == pytest.approx(0.046, abs=0.0005)
    assert joint.levels is not None
    assert joint.levels.p_value < 1e-6
    pairs = compare_pairs(curves, joint)
    assert len(pairs) == 36
    smallest = min(pairs, key=lambda pair: pair.slope_holm)
    assert (smallest.first, smallest.second) == ("1L_768d_1tok", "2L_768d_1tok")
    assert smallest.slope_holm == pytest.approx(0.07, abs=0.005)


@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_the_joint_test_equals_the_dense_design(seed: int, drop: float) -> None:
    rng = np.random.default_rng(seed)
    curves = random_curves(rng, drop=drop)
    joint = joint_test(curves)
    assert joint is not None
    fits = {terms: dense_residual(curves, terms) for terms in (0, 1, 2)}
    assert joint.df == fits[2][1]
    assert joint.variance == pytest.approx(fits[2][0] / fits[2][1])
    assert joint.two_way_variance == pytest.approx(fits[1][0] / fits[1][1])
    for test, small, large in ((joint.slopes, 1, 2), (joint.levels, 0, 1), (joint.lines, 0, 2)):
        assert test is not None
        df1 = fits[small][1] - fits[large][1]
        assert test.df1 == df1
        assert test.statistic == pytest.approx(
            (fits[small][0] - fits[large][0]) / df1 / (fits[large][0] / fits[large][1])
        )


def test_a_true_difference_is_covered_and_its_absence_is_rejected_at_the_stated_rate() -> None:
    rng = np.random.default_rng(7)
    rejected = covered = 0
    trials = 400
    for _ in range(trials):
        curves = random_curves(rng, count=4)
        joint = joint_test(curves)
        assert joint is not None
        assert joint.slopes is not None
        rejected += joint.slopes.p_value < 0.05
        slope = compare_pairs(curves, joint, pairs=[(0, 1)])[0].slope
        assert slope is not None
        covered += slope.low <= 0 <= slope.high
    assert 0.02 < rejected / trials < 0.09
    assert 0.92 < covered / trials < 0.98


def test_pairing_uses_what_the_curves_share() -> None:
    rng = np.random.default_rng(3)
    curves = random_curves(rng, count=2, noise=0.005)
    paired = compare_pairs(curves)[0]
    apart = compare_pairs(curves, independent=True)[0]
    assert paired.paired
    assert not apart.paired
    assert paired.slope is not None
    assert apart.slope is not None
    assert paired.slope.value == pytest.approx(apart.slope.value)
    assert paired.slope.high - paired.slope.low < (apart.slope.high - apart.slope.low) / 3


def test_independent_lines_agree_with_two_separate_fits() -> None:
    first, second = random_curves(np.random.default_rng(5), count=2)
    second = Curve(
        "other",
        tuple(s + 100 for s in second.sizes),
        tuple(x + 1 for x in second.x),
        tuple(y - 0.1 * x for x, y in zip(second.x, second.y, strict=True)),
    )
    assert common_sizes(first, second) == ()
    pair = compare_pairs([first, second])[0]
    assert not pair.paired
    line1, line2 = np.polyfit(first.x, first.y, 1), np.polyfit(second.x, second.y, 1)
    assert pair.slope is not None
    assert pair.slope.value == pytest.approx(line2[0] - line1[0])
    n = 3e6
    expected = np.exp(np.polyval(line2, np.log(n)) - np.polyval(line1, np.log(n)))
    assert pair.line is not None
    assert pair.line.ratio(n).value == pytest.approx(expected)
    crossing = pair.line.crossing()
    assert np.log(crossing.value) == pytest.approx((line2[1] - line1[1]) / (line1[0] - line2[0]))


def test_the_december_differences_are_the_published_ones() -> None:
    small, wide = study_curves("2025-12-03-context-dim", "samples")
    differences = [100 * (np.exp(b - a) - 1) for a, b in zip(small.y, wide.y, strict=True)]
    assert np.round(differences, 1).tolist() == [-0.5, -1.2, 1.6, 0.1, -1.6]
    pair = compare_pairs([small, wide])[0]
    assert 100 * (pair.ratio.value - 1) == pytest.approx(-0.3, abs=0.05)
    assert pair.ratio.low < 1 < pair.ratio.high


def test_the_crossing_interval_holds_the_sizes_where_the_lines_cannot_be_told_apart() -> None:
    x = np.log([1e5, 2e5, 4e5, 8e5, 16e5])
    rng = np.random.default_rng(11)
    noise = rng.normal(0, 0.004, 5)
    first = Curve("a", tuple(range(5)), tuple(x), tuple(10 - 0.5 * x))
    second = Curve("b", tuple(range(5)), tuple(x), tuple(10 - 0.4 * x - 0.1 * np.log(5e5) + noise))
    pair = compare_pairs([first, second])[0]
    assert pair.line is not None
    crossing = pair.line.crossing()
    assert not crossing.outside
    assert crossing.low < 5e5 < crossing.high
    assert pair.line.ratio(crossing.low).high == pytest.approx(1.0)
    assert pair.line.ratio(crossing.high).low == pytest.approx(1.0)
    level = Curve("c", tuple(range(5)), tuple(x), tuple(10.3 - 0.5 * x + noise))
    parallel = compare_pairs([first, level])[0]
    assert parallel.line is not None
    apart = parallel.line.crossing()
    assert apart.outside or (apart.low is None and apart.high is None)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_never_lowers_keeps_the_order_and_bounds_by_bonferroni(values: list[float | None]) -> None:
    adjusted = holm(values)
    known = [(p, q) for p, q in zip(values, adjusted, strict=True) if p is not None and q is not None]
    assert [q is None for q in adjusted] == [p is None for p in values]
    for p, q in known:
        assert p <= q <= min(1.0, p * len(known)) + 1e-12
    for (p1, q1), (p2, q2) in combinations(known, 2):
        assert (p1 - p2) * (q1 - q2) >= 0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_curves_that_share_no_size_have_no_joint_test() -> None:
    a = Curve("a", (1.0, 2.0), (1.0, 2.0), (3.0, 2.0))
    b = Curve("b", (3.0, 4.0), (3.0, 4.0), (3.0, 2.0))
    assert joint_test([a, b]) is None
    assert joint_test([a]) is None


def test_one_common_size_gives_a_ratio_without_a_slope() -> None:
    a = Curve("a", (1.0,), (1.0,), (3.0,))
    b = Curve("b", (1.0,), (1.0,), (3.5,))
    pair = compare_pairs([a, b])[0]
    assert pair.paired
    assert pair.slope is None
    assert pair.ratio.value == pytest.approx(np.exp(0.5))
    assert pair.ratio.low is None


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_crossing_and_ratio_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    x = np.log(np.array([50, 100, 200, 400]) * 1200.0)
    crossings = ratios = 0
    trials = 1000
    for _ in range(trials):
        curves = [
            Curve(
                str(i),
                (1.0, 2.0, 3.0, 4.0),
                tuple(x),
                tuple(11 + 1.2 * i - (0.5 + 0.1 * i) * x + rng.normal(0, 0.001, 4)),
            )
            for i in (0, 1)
        ]
        line = compare_pairs(curves, joint_test(curves))[0].line
        assert line is not None
        crossing, ratio = line.crossing(), line.ratio(1e6)
        crossings += crossing.low < np.exp(12) < crossing.high
        ratios += ratio.low < np.exp(1.2 - 0.1 * np.log(1e6)) < ratio.high
    assert 0.93 < crossings / trials < 0.97
    assert 0.93 < ratios / trials < 0.97
