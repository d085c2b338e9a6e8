"""The change of PPL between two arms: against scipy's t tests, and its coverage where seeds and draws are crossed."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.results.schema import Run
from cvfp_cli.stats.paired import compare_arms, paired_difference
from cvfp_cli.study.arms import Arms
from cvfp_cli.study.families import Group, gather
from cvfp_cli.study.groups import Source

A, B = [6.1, 6.3, 6.0, 6.2], [6.0, 6.25, 5.9, 6.05]


def by_seed(values: list[float]) -> dict[tuple[object, object], float]:
    return {(seed, None): value for seed, value in enumerate(values)}


def group(ppl: dict[tuple[int, int], float], kind: str = "cvfp") -> Group:
    """One configuration with a PPL by (samples, seed)."""
    runs = [
        Run("c", 1, 8, 1, samples, samples * 10, seed=seed, val_ppl=value, data_fingerprint="x", kind=kind)
        for (samples, seed), value in ppl.items()
    ]
    return gather([Source("x", runs)])[0].groups[0]


def test_pairs_are_scipys_paired_t_test() -> None:
    found = paired_difference(by_seed(A), by_seed(B), 0.95)
    expected = stats.ttest_rel(B, A)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_other_seeds_are_scipys_welch_test() -> None:
    other = {(f"b{seed}", None): value for seed, value in enumerate(B[:3])}
    found = paired_difference(by_seed(A), other, 0.9)
    expected = stats.ttest_ind(B[:3], A, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.df == pytest.approx(expected.df)


def test_a_model_without_seeds_is_a_known_figure() -> None:
    found = paired_difference({(42, None): 5.5}, by_seed(B), 0.95, fixed=True)
    interval = stats.ttest_1samp(np.array(B) - 5.5, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_run_each_has_no_interval() -> None:
    found = paired_difference({(42, None): 6.0}, {(42, None): 6.1}, 0.95)
    assert (found.value, found.low, found.p_value) == (pytest.approx(0.1), None, None)
    assert paired_difference({(42, None): 6.0}, by_seed(A), 0.95).low is None


@pytest.mark.parametrize(("by_seed_sd", "by_draw_sd"), [(0.05, 0.0), (0.0, 0.05), (0.03, 0.03)])
def test_crossed_seeds_and_draws_are_covered_at_least_as_often_as_said(
    by_seed_sd: float, by_draw_sd: float
) -> None:
    source = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        seeds, draws = source.normal(0, by_seed_sd, 3), source.normal(0, by_draw_sd, 3)
        second = {(s, d): seeds[s] + draws[d] + source.normal(0, 0.02) for s in range(3) for d in range(3)}
        found = paired_difference(dict.fromkeys(second, 0.0), second, 0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low < 0.0 < found.high
    assert covered / 400 > 0.93


def test_two_arms_meet_at_their_common_sizes_and_on_average() -> None:
    base = group({(n, s): exp(A[s]) / n for n in (50, 100, 200) for s in range(3)})
    other = group({(n, s): exp(B[s]) / n * (1.1 if n == 200 else 1.0) for n in (100, 200) for s in range(4)})
    found = compare_arms(Arms("context", "phase2.context", base, other, "zero"), 0.95)
    assert found is not None
    assert found.sizes == (100, 200)
    gap = np.array(B[:3]) - np.array(A[:3])
    assert [change.value for change in found.changes] == pytest.approx([gap.mean(), gap.mean() + np.log(1.1)])
    interval = stats.ttest_1samp(gap + np.log(1.1) / 2, 0.0).confidence_interval(0.95)
    assert (found.mean.low, found.mean.high) == pytest.approx((interval.low, interval.high))
    assert (found.over, found.repeats) == ("seeds", 3)


def test_with_one_seed_sizes_give_the_interval_and_without_them_there_is_none() -> None:
    sizes, shift = (50, 100, 200), (0.1, 0.12, 0.2)
    base = group({(n, 1): 1000.0 / n for n in sizes})
    other = group({(n, 1): 1000.0 / n * exp(by) for n, by in zip(sizes, shift, strict=True)})
    arms = Arms("context", "phase2.context", base, other, "zero")
    found = compare_arms(arms, 0.95)
    assert found is not None
    interval = stats.ttest_1samp(shift, 0.0).confidence_interval(0.95)
    assert (found.mean.low, found.mean.high) == pytest.approx((interval.low, interval.high))
    assert found.over == "sizes"
    two = compare_arms(replace(arms, base=group({(n, 1): 1000.0 / n for n in sizes[:2]})), 0.95)
    assert two is not None
    assert (two.over, two.mean.low, two.mean.value) == ("", None, pytest.approx(0.11))
    assert compare_arms(replace(arms, base=group({(7, 1): 9.0})), 0.95) is None
