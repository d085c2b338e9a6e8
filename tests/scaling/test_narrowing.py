"""What to run next: goals, refusals, and that the runs do to the interval what was said."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.results import Run
from cvfp_cli.scaling.narrowing import Cost, Goal, intervals_now, next_runs, parse_goal, sizes_to_try
from cvfp_cli.study.families import Family, Group, gather
from cvfp_cli.study.groups import Source

TOKENS = 600


def family(sizes: tuple[int, ...], seeds: int = 2, floor: float = 0.0, **other: Any) -> Family:
    """Two configurations on lines (above a floor), with errors of sizes and seeds of 1 %."""
    rng = np.random.default_rng(0)
    runs = []
    for size in sizes:
        shared = 0.01 * rng.normal()
        for i, name in enumerate("ab"):
            for seed in range(seeds):
                log_ppl = np.log(floor + np.exp(7.0 - (0.22 + 0.02 * i) * np.log(size * TOKENS)))
                error = shared + 0.01 * rng.normal()
                runs.append(Run(name, None, None, None, size, size * TOKENS, seed=seed, kind="made", **other))
                object.__setattr__(runs[-1], "val_ppl", float(np.exp(log_ppl + error)))
    return gather([Source("", runs)])[0]


def cost(group: Group, size: int) -> Cost:
    return Cost(None, float(size * TOKENS), None)


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("alpha", Goal("alpha")),
        ("asymptote", Goal("asymptote")),
        ("ppl@1e6", Goal("ppl", 1e6)),
        ("difference:a,b", Goal("difference", None, ("a", "b"))),
        ("difference:a,b@5000", Goal("difference", 5000.0, ("a", "b"))),
    ],
)
def test_goals_are_read(text: str, goal: Goal) -> None:
    assert parse_goal(text) == goal


@pytest.mark.parametrize(
    "text", ["", "ppl", "ppl@x", "ppl@-1", "ppl@inf", "alpha@3", "difference:a", "difference:a,a", "beta"]
)
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--goal"):
        parse_goal(text)


def test_sizes_to_try_are_no_nearer_than_sizes_that_count_as_two() -> None:
    sizes = sizes_to_try(family((100, 200, 400)))
    assert {100, 200, 400} <= set(sizes)
    assert sizes[0] == 100
    assert sizes[-1] <= 3200
    assert all(high / low > 1.3 for low, high in pairwise(sizes))


@pytest.mark.parametrize("goal", ["alpha", "ppl@2e6", "difference:a,b", "asymptote"])
def test_a_plan_keeps_to_its_budget_and_narrows(goal: str) -> None:
    there = family((100, 200, 400, 800, 1600), floor=20.0 if goal == "asymptote" else 0.0)
    answer = next_runs(there, parse_goal(goal), cost, ("tokens", 4e6))
    assert sum(item.seeds * item.cost.tokens for item in answer.runs) <= 4e6
    now = intervals_now(there, parse_goal(goal))
    assert [item.before for item in answer.intervals] == pytest.approx([item.before for item in now])
    assert all(item.after < item.before for item in answer.intervals)


def test_only_what_is_allowed_is_proposed() -> None:
    answer = next_runs(
        family((100, 200, 400)),
        Goal("alpha"),
        cost,
        ("tokens", 3e6),
        configurations=("a",),
        sizes=(50, 900),
    )
    assert {item.configuration for item in answer.runs} == {"a"}
    assert {item.size for item in answer.runs} <= {50, 900}
    assert [item.name for item in answer.intervals] == ["a"]


@pytest.mark.parametrize(
    ("there", "goal", "budget", "says"),
    [
        (family((100, 200)), "alpha", ("tokens", 1e7), "too small to estimate its noise"),
        (family((100,)), "alpha", ("tokens", 1e7), "1 of the 2 sizes"),
        (family((100, 200)), "asymptote", ("tokens", 1e7), "2 of the 3 sizes"),
        (family((100, 200, 400)), "difference:a,c", ("tokens", 1e7), "no configuration 'c'"),
        (family((100, 200, 400)), "alpha", ("tokens", 10.0), "the cheapest run takes 6e\\+04"),
        (family((100, 200, 400)), "alpha", ("seconds", 10.0), "do not say how many seconds"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_would_help(
    there: Family, goal: str, budget: tuple[str, float], says: str
) -> None:
    with pytest.raises(InputError, match=says) as refused:
        next_runs(there, parse_goal(goal), cost, budget)
    assert refused.value.hint


def test_with_one_seed_a_cell_no_seeds_are_proposed_for_their_own_sake() -> None:
    answer = next_runs(family((100, 200, 400, 800), seeds=1), Goal("alpha"), cost, ("tokens", 2e6))
    assert answer.together
    assert all(item.seeds == 1 for item in answer.runs if item.size not in (100, 200, 400, 800))
