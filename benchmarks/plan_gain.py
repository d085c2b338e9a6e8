"""How much narrower intervals get by ``cvfp plan`` than by a doubling grid of the same cost, and how often they hold.

    python benchmarks/plan_gain.py [--sets 200] [--seed 0] [--only alpha]

Each set is a study of 3 sizes (100, 200 and 400 samples) and 2 seeds, for 1 or 3 configurations, whose ln PPL is a law
plus errors of the size, of the configuration at the size, and of the seed. The doubling grid adds 800 samples, or 800 and
1600, with 2 seeds of every configuration. The plan has what that costs in training tokens. All errors are drawn anew, also
those that planning rests on; new seeds of a size share its own. "width" is the mean half-width of the intervals, "held" the
share that holds the truth, nominally 95 %; "expected" is what the plan said before, over what came of it.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.errors import InputError
from cvfp_cli.results import Run
from cvfp_cli.scaling.narrowing import Cost, Goal, intervals_now, next_runs, parse_goal
from cvfp_cli.study.families import Family, Group, gather
from cvfp_cli.study.groups import Source

TOKENS = 600  # of a sample
PILOT, SEEDS = (100, 200, 400), 2
Cells = dict[tuple[str, int], int]  # seeds of a configuration at a size


@dataclass(frozen=True)
class Case:
    """One study: its goal, configurations, sizes that the doubling grid adds, and errors of size, cell and seed."""

    goal: str
    configurations: int
    doublings: tuple[int, ...]
    errors: tuple[float, float, float]
    floor: float = 0.0

    def truth(self, configuration: str, tokens: float) -> float:
        """ln PPL."""
        i = ord(configuration) - ord("a")
        return float(np.log(self.floor + np.exp(7.0 - (0.22 + 0.02 * i) * np.log(tokens) + 0.2 * i)))

    def true_figure(self, goal: Goal, name: str) -> float:
        """What an interval has to hold, on the scale of its half-width."""
        if goal.kind == "alpha":
            return -(0.22 + 0.02 * (ord(name) - ord("a")))
        if goal.kind == "asymptote":
            return float(np.log(self.floor))
        assert goal.at is not None
        if goal.pair is not None:
            first, second = goal.pair
            return self.truth(second, goal.at) - self.truth(first, goal.at)
        return self.truth(name, goal.at)


CASES = (
    Case("alpha", 1, (800,), (0.01, 0.0, 0.01)),
    Case("alpha", 1, (800, 1600), (0.01, 0.0, 0.01)),
    Case("alpha", 1, (800,), (0.0, 0.0, 0.02)),
    Case("alpha", 3, (800,), (0.01, 0.005, 0.01)),
    Case("alpha", 3, (800, 1600), (0.01, 0.005, 0.01)),
    Case("ppl@2e6", 1, (800,), (0.01, 0.0, 0.01)),
    Case("ppl@2e6", 3, (800, 1600), (0.01, 0.005, 0.01)),
    Case("difference:a,b@240000", 3, (800,), (0.01, 0.005, 0.01)),
    Case("difference:a,b@240000", 3, (800, 1600), (0.01, 0.005, 0.01)),
)


class Study:
    """Runs of one set, drawn as they are asked for, so that every design sees the same errors."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self._case, self._rng = case, rng
        self._drawn: dict[tuple[str, ...], float] = {}

    def _error(self, part: int, *key: object) -> float:
        name = tuple(map(str, (part, *key)))
        if name not in self._drawn:
            self._drawn[name] = float(self._rng.normal()) * self._case.errors[part]
        return self._drawn[name]

    def family(self, cells: Cells) -> Family:
        """These runs, as they are read from results."""
        runs = [
            Run(
                config=name,
                layers=None,
                context_dim=None,
                tokens=None,
                samples=size,
                train_tokens=size * TOKENS,
                seed=seed,
                kind="simulated",
                val_ppl=float(
                    np.exp(
                        self._case.truth(name, size * TOKENS)
                        + self._error(0, size)
                        + self._error(1, name, size)
                        + self._error(2, name, size, seed)
                    )
                ),
            )
            for (name, size), count in cells.items()
            for seed in range(count)
        ]
        return gather([Source("", runs)])[0]


def cost(group: Group, size: int) -> Cost:
    """Training tokens."""
    return Cost(None, float(size * TOKENS), None)


def measured(family: Family, case: Case, goal: Goal) -> tuple[float, float]:
    """Mean half-width, and the share that holds."""
    found = intervals_now(family, goal)
    value = [item.value if goal.kind == "alpha" else np.log(item.value) for item in found]
    held = [
        abs(one - case.true_figure(goal, item.name)) <= item.before
        for one, item in zip(value, found, strict=True)
    ]
    return float(np.mean([item.before for item in found])), float(np.mean(held))


def one_set(case: Case, rng: np.random.Generator) -> list[float]:
    """Widths and shares held of pilot, doubling grid and plan, and the expected over the reached narrowing."""
    goal, study = parse_goal(case.goal), Study(case, rng)
    names = "abc"[: case.configurations]
    pilot: Cells = {(name, size): SEEDS for size in PILOT for name in names}
    grid = pilot | {(name, size): SEEDS for size in case.doublings for name in names}
    budget = float(sum(case.doublings) * SEEDS * len(names) * TOKENS)
    planned = dict(pilot)
    answer = next_runs(study.family(pilot), goal, cost, ("tokens", budget))
    for run in answer.runs:
        planned[run.configuration, run.size] = planned.get((run.configuration, run.size), 0) + run.seeds
    spent = sum(run.seeds * run.cost.tokens for run in answer.runs)
    assert spent <= budget * (1.0 + 1e-9)
    designs = (measured(study.family(cells), case, goal) for cells in (pilot, grid, planned))
    (before, held), (wide, wide_held), (narrow, narrow_held) = designs
    expected = answer.narrowing * before / narrow
    return [before, held, wide, wide_held, narrow, narrow_held, expected]


def summed(rows: list[list[float]]) -> NDArray[np.float64]:
    """Means, of the last column the median."""
    table = np.array(rows)
    return np.append(table[:, :-1].mean(axis=0), np.median(table[:, -1]))


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="goals that begin so")
    options = parser.parse_args()
    began = time.perf_counter()
    print(
        "| goal | configurations | doublings | errors | pilot | held | grid | held | plan | held | narrower | expected |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if not case.goal.startswith(options.only):
            continue
        rows, refused = [], 0
        for i in range(options.sets):
            try:
                rows.append(one_set(case, np.random.default_rng((options.seed, i))))
            except InputError:
                refused += 1
        before, held, wide, wide_held, narrow, narrow_held, expected = summed(rows)
        print(
            f"| {case.goal} | {case.configurations} | {'+'.join(map(str, case.doublings))} | {case.errors} "
            f"| {before:.3g} | {100 * held:.0f} % | {wide:.3g} | {100 * wide_held:.0f} % "
            f"| {narrow:.3g} | {100 * narrow_held:.0f} % | {100 * (1 - narrow / wide):.0f} % | {expected:.2f} |"
            + (f" {refused} refused" if refused else ""),
            flush=True,
        )
    print(f"{options.sets} sets, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
