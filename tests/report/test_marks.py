"""What counts as noise, and that marks keep the error they promise."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import findings, report, results, simulated, table

from cvfp_cli.report.marks import marks
from cvfp_cli.results.schema import Run
from cvfp_cli.stats.contrasts import holm
from cvfp_cli.stats.noise import StandardErrors, accuracy_noise, ppl_noise, seed_noise
from cvfp_cli.stats.regression import t_p_value
from cvfp_cli.study.families import Family, gather
from cvfp_cli.study.groups import Source


def family(runs: list[Run]) -> Family:
    (only,) = gather([Source("x", runs)])
    return only


def at_largest(found: Family) -> list:
    return [group.cells[-1] for group in found.groups]


def test_the_spread_over_seeds_is_the_pooled_variance_within_cells() -> None:
    found = family(simulated(seeds=(0, 1, 2), noise=0.05))
    noise = ppl_noise(found, at_largest(found))
    assert noise is not None
    assert noise.method == "seeds"
    logs = [[math.log(run.val_ppl or 0) for run in cell.runs] for cell in found.cells]
    expected = np.mean([np.var(values, ddof=1) for values in logs])
    assert noise.df == 2 * len(logs)
    assert noise.variance == pytest.approx(expected / 3)


def test_without_seeds_the_two_way_residual_serves() -> None:
    found = family(simulated(noise=0.05))
    noise = ppl_noise(found, at_largest(found))
    assert noise is not None
    assert noise.method == "two-way"
    table_of_logs = np.array(
        [[math.log(cell.val_ppl or 0) for cell in group.cells] for group in found.groups]
    )
    residual = (
        table_of_logs
        - table_of_logs.mean(axis=0)
        - table_of_logs.mean(axis=1, keepdims=True)
        + table_of_logs.mean()
    )
    assert noise.df == 9
    assert noise.variance == pytest.approx(np.sum(residual**2) / 9)


def test_one_size_leaves_the_paired_losses_of_the_samples() -> None:
    source = random.Random(5)
    shared = [source.gauss(5, 1) for _ in range(30)]
    runs = []
    for i, run in enumerate(simulated(samples=(100,))):
        own = [loss + 0.1 * i + source.gauss(0, 0.02) for loss in shared]
        ppl = math.exp(sum(own) / 30)
        runs.append(
            replace(
                run, sample_losses=tuple(own), sample_targets=(10,) * 30, val_ppl=ppl, val_loss=math.log(ppl)
            )
        )
    found = family(runs)
    noise = ppl_noise(found, at_largest(found))
    assert noise is not None
    assert noise.method == "samples"
    assert noise.df == 29
    differences = np.array(runs[1].sample_losses) - np.array(runs[0].sample_losses)
    assert noise.difference_variance(0)[1] == pytest.approx(np.var(differences, ddof=1) / 30)
    assert marks([math.log(run.val_ppl or 0) for run in runs], noise)[0] == "best"


def test_one_size_one_seed_and_no_samples_leave_no_estimate() -> None:
    found = family(simulated(samples=(100,)))
    assert ppl_noise(found, at_largest(found)) is None
    made = report(results(simulated(samples=(100,))))
    assert findings(made)["lowest-ppl-unknown"]
    assert not any(row["best_ppl"].mark for row in table(made, "summary"))


def test_accuracy_uses_its_clustered_error_and_iterations_only_seeds() -> None:
    found = family(simulated())
    noise = accuracy_noise(found, at_largest(found))
    assert noise is not None
    assert noise.method == "clustered"
    assert noise.variance == pytest.approx(0.0004**2)
    assert seed_noise(found, at_largest(found), lambda cell: cell.iterations) is None


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(0.01, 3), st.integers(2, 40))
def test_marks_follow_holm_over_all_pairs(values: list[float], error: float, df: int) -> None:
    noise = StandardErrors("seeds", df, np.full(len(values), error**2 / 2))
    got = marks(values, noise)
    pairs = [(i, j) for i in range(len(values)) for j in range(i + 1, len(values))]
    adjusted = dict(
        zip(pairs, holm([t_p_value((values[i] - values[j]) / error, df) for i, j in pairs]), strict=True)
    )
    best = values.index(min(values))
    close = {
        i
        for i in range(len(values))
        if i == best or (adjusted[min(i, best), max(i, best)] or 0.0) >= 0.05 - 1e-12
    }
    expected = ["" if i not in close else "best" if len(close) == 1 else "tied" for i in range(len(values))]
    assert list(got) == expected


def test_many_figures_take_the_bound_that_holm_never_exceeds() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(0, 1, 400)
    values[7] = -20.0
    noise = StandardErrors("seeds", 30, np.full(400, 0.5))
    assert marks(list(values), noise)[7] == "best"
    assert marks(list(values[:200]), noise.of(range(200)))[7] == "best"


def test_a_star_is_given_by_chance_no_more_often_than_promised() -> None:
    generator = np.random.default_rng(3)
    stars = 0
    for _ in range(400):
        values = generator.normal(0, 0.1, 5)
        spread = 0.01 * generator.chisquare(12) / 12
        stars += "best" in marks(list(values), StandardErrors("seeds", 12, np.full(5, spread)))
    assert stars / 400 <= 0.07


def test_a_clear_best_is_starred_and_a_close_one_is_not() -> None:
    clear = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.2, layer_effect=0.2, noise=0.01)))
    assert [row["best_ppl"].mark for row in table(clear, "summary")] == ["", "best", "", ""]
    close = report(results(simulated(seeds=(0, 1, 2), token_effect=0.0, layer_effect=0.0, noise=0.02)))
    marked = [row["best_ppl"].mark for row in table(close, "summary")]
    assert marked.count("tied") > 1
    assert "best" not in marked


def test_missing_and_infinite_figures_take_no_part() -> None:
    noise = StandardErrors("seeds", 10, np.full(4, 0.01))
    assert marks([None, 5.0, float("inf"), 1.0], noise) == ("", "", "", "best")
    assert marks([None, 1.0], noise.of([0, 1])) == ("", "")
    assert marks([1.0, 2.0], None) == ("", "")
