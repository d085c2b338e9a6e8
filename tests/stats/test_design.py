"""Expected widths against the formula written out, and the search against every set of runs."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from scipy import stats

from cvfp_cli.stats.design import Bundle, RunRow, Shares, cheapest_narrowing, expected_widths
from cvfp_cli.stats.error_model import fit_error_model
from cvfp_cli.stats.labels import Labels

SHARES = Shares(4.0, 0.0, 1.0, 2.0)
SLOPE = np.array([[0.0, 1.0]])


def line(sizes: list[float], seeds: int = 2, configuration: str = "a") -> list[RunRow]:
    return [
        RunRow(np.array([1.0, np.log(size)]), size, configuration) for size in sizes for _ in range(seeds)
    ]


def test_the_variance_is_that_of_least_squares_under_shared_errors() -> None:
    rows = [*line([1.0, 2.0, 4.0, 8.0]), *line([2.0, 16.0], 1)]
    x = np.array([row.x for row in rows])
    same = np.array([[a.size == b.size for b in rows] for a in rows], dtype=float)
    v = (SHARES.size + SHARES.cell) * same + SHARES.seed * np.eye(len(rows))
    bread = np.linalg.inv(x.T @ x)
    variance = (bread @ x.T @ v @ x @ bread)[1, 1]
    found = expected_widths(rows, SLOPE, SHARES, 0.95)
    assert found.half_width[0] == pytest.approx(stats.t.ppf(0.975, found.df[0]) * variance**0.5, rel=1e-9)


def test_a_balanced_design_has_the_degrees_of_freedom_of_its_analysis_of_variance() -> None:
    """A slope over sizes is judged by the mean square of sizes about the line: 6 sizes leave 4."""
    found = expected_widths(line([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], 3), SLOPE, SHARES, 0.95)
    assert found.df[0] == pytest.approx(4.0, rel=1e-6)


def test_without_anything_to_judge_by_there_is_no_width() -> None:
    assert np.isnan(expected_widths(line([1.0, 2.0], 1), SLOPE, SHARES, 0.95).half_width[0])
    assert np.isnan(expected_widths(line([2.0], 5), SLOPE, SHARES, 0.95).half_width[0])


@pytest.mark.parametrize("budget", [8.0, 20.0])
def test_the_search_finds_what_trying_every_set_finds(budget: float) -> None:
    made = line([1.0, 2.0, 4.0])
    bundles = [Bundle((row,), row.size) for row in line([1.0, 2.0, 4.0, 8.0, 16.0], 1)]

    def score(chosen: tuple[int, ...]) -> float:
        rows = [*made, *(row for i in chosen for row in bundles[i].rows)]
        return expected_widths(rows, SLOPE, SHARES, 0.95).score

    every = [
        chosen
        for count in range(1, 7)
        for chosen in combinations_with_replacement(range(len(bundles)), count)
        if sum(bundles[i].cost for i in chosen) <= budget
    ]
    found = cheapest_narrowing(made, bundles, SLOPE, SHARES, budget)
    assert sum(bundles[i].cost for i in found) <= budget
    assert score(found) <= min(map(score, every)) + 0.02


def test_three_sizes_are_not_taken_at_their_word_and_many_are() -> None:
    def shares(sizes: int) -> Shares:
        x = np.log(2.0) * np.repeat(np.arange(sizes), 2)
        seeds = np.tile([1.0, -1.0], sizes)  # all of the error is the seeds'
        design = np.stack([np.ones_like(x), x], axis=1)
        model = fit_error_model(seeds, design, Labels.of(x))
        return Shares.of(model, 1)

    few, many = shares(3), shares(40)
    assert few.cell > 0.25 * few.seed
    assert many.cell < 0.1 * many.seed
