"""What counts as noise, and that marks keep the error they promise."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from report_cases import findings, report, results, simulated, table

from cvfp_cli.reports.marks import marks
from cvfp_cli.results.schema import Run
from cvfp_cli.stats.noise import FigureNoise, accuracy_noise, ppl_lines, ppl_noise, seed_noise
from cvfp_cli.study.families import Family, gather
from cvfp_cli.study.groups import Source


def family(runs: list[Run]) -> Family:
    (only,) = gather([Source("x", runs)])
    return only


def at_largest(found: Family) -> list:
    return [group.cells[-1] for group in found.groups]


def noise_of(found: Family) -> FigureNoise | None:
    return ppl_noise(ppl_lines(found), [group.label for group in found.groups], found.largest)


def test_seeds_of_a_size_are_not_sizes() -> None:
    """Seeds of 1 %, configurations that stray by 5 % from size to size: the noise holds both."""
    generator = np.random.default_rng(8)
    strays = {}
    runs = []
    for run in simulated(seeds=(0, 1, 2), noise=0.01, token_effect=0.0):
        stray = strays.setdefault((run.config, run.samples), generator.normal(0, 0.05))
        runs.append(replace(run, val_ppl=(run.val_ppl or 0) * math.exp(stray)))
    noise = noise_of(family(runs))
    assert noise is not None
    assert noise.method == "lines"
    # Of lines by configurations in four sizes, whatever the number of seeds.
    assert noise.df == pytest.approx(6, abs=0.3)
    error = math.sqrt(noise.differences.variance[0, 1])
    assert 0.035 < error < 0.14
    assert noise.lines is not None
    assert noise.lines.variances.seed == pytest.approx(0.01**2, rel=0.6)


def test_without_seeds_what_the_lines_leave_serves() -> None:
    found = family(simulated(noise=0.05))
    noise = noise_of(found)
    assert noise is not None
    assert noise.method == "lines"
    logs = np.array([[math.log(cell.val_ppl or 0) for cell in group.cells] for group in found.groups])
    x = np.log([cell.train_tokens for cell in found.groups[0].cells])
    lines = np.array([np.polyval(np.polyfit(x, row, 1), x) for row in logs])
    residual = logs - lines - (logs - lines).mean(axis=0)
    assert noise.df == pytest.approx(6)
    assert noise.differences.variance[0, 1] == pytest.approx(2 * np.sum(residual**2) / 6)


def test_two_sizes_leave_the_residual_of_size_and_configuration() -> None:
    found = family(simulated(samples=(100, 200), noise=0.05))
    noise = noise_of(found)
    assert noise is not None
    assert noise.method == "two-way"
    steps = [math.log((g.cells[1].val_ppl or 0) / (g.cells[0].val_ppl or 1)) for g in found.groups]
    assert noise.df == pytest.approx(3)
    assert noise.differences.variance[0, 1] == pytest.approx(np.var(steps, ddof=1))


def test_one_size_rests_on_seeds_and_says_what_it_takes_as_nothing() -> None:
    found = family(simulated(samples=(100,), seeds=(0, 1, 2), noise=0.05))
    noise = noise_of(found)
    assert noise is not None
    assert noise.method == "seeds"
    logs = [[math.log(run.val_ppl or 0) for run in cell.runs] for cell in found.cells]
    assert noise.df == pytest.approx(8)
    assert noise.differences.variance[0, 1] == pytest.approx(
        2 * np.mean([np.var(values, ddof=1) for values in logs]) / 3
    )
    made = findings(report(results(simulated(samples=(100,), seeds=(0, 1, 2)))))
    assert made["error-parts-unseen"].values["unseen"] == ("size", "data-seed", "configuration-size")
    told = findings(report(results(simulated())))["error-parts"].values["seen"]
    assert told == ("size+data-seed", "configuration-size+seed")


def test_the_losses_of_the_samples_are_no_noise_of_a_perplexity() -> None:
    """One seed at one size: the samples tell of the text and not of the seeds, so nothing is the best."""
    source = random.Random(5)
    shared = [source.gauss(5, 1) for _ in range(30)]
    runs = []
    for i, run in enumerate(simulated(samples=(100,))):
        own = [loss + 0.1 * i + source.gauss(0, 0.02) for loss in shared]
        ppl = math.exp(sum(own) / 30)
        runs.append(replace(run, sample_losses=tuple(own), sample_targets=(10,) * 30, val_ppl=ppl))
    assert noise_of(family(runs)) is None


def test_one_size_one_seed_and_no_samples_leave_no_estimate() -> None:
    found = family(simulated(samples=(100,)))
    assert noise_of(found) is None
    made = report(results(simulated(samples=(100,))))
    assert findings(made)["lowest-ppl-unknown"]
    assert not any(row["best_ppl"].mark for row in table(made, "summary"))


def test_accuracy_uses_its_clustered_error_and_iterations_only_seeds() -> None:
    found = family(simulated())
    noise = accuracy_noise(found, at_largest(found))
    assert noise is not None
    assert noise.method == "clustered"
    assert noise.differences.variance[0, 1] == pytest.approx(2 * 0.0004**2)
    assert seed_noise(found, at_largest(found), lambda cell: cell.iterations) is None


def test_a_star_is_given_by_chance_no_more_often_than_promised() -> None:
    generator = np.random.default_rng(3)
    stars = 0
    for _ in range(400):
        values = generator.normal(0, 0.1, 5)
        spread = 0.01 * generator.chisquare(12) / 12
        stars += "best" in marks(list(values), FigureNoise.of_variances("seeds", np.full(5, spread), 12))
    assert stars / 400 <= 0.07


def test_a_clear_best_is_starred_and_a_close_one_is_not() -> None:
    clear = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.2, layer_effect=0.2, noise=0.01)))
    assert [row["best_ppl"].mark for row in table(clear, "summary")] == ["", "best", "", ""]
    close = report(results(simulated(seeds=(0, 1, 2), token_effect=0.0, layer_effect=0.0, noise=0.02)))
    marked = [row["best_ppl"].mark for row in table(close, "summary")]
    assert marked.count("tied") > 1
    assert "best" not in marked


def test_missing_and_infinite_figures_take_no_part() -> None:
    noise = FigureNoise.of_variances("seeds", np.full(4, 0.01), 10)
    assert marks([None, 5.0, float("inf"), 1.0], noise) == ("", "", "", "best")
    assert marks([None, 1.0], noise.of([0, 1])) == ("", "")
    assert marks([1.0, 2.0], None) == ("", "")
