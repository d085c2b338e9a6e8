"""What runs to come will cost, from the folder alone: as a dry run of them says."""

from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import VOCABULARY, FakeText, Recorder, plan_for, sweep_into, tiny_recipe

from cvfp_cli.results import read_results
from cvfp_cli.study.families import families_of
from cvfp_cli.sweeps.costs import costs_of
from cvfp_cli.sweeps.estimate import TimeEstimate, operations


class Text(FakeText):
    """Its description says how large the vocabulary is, as that of every text does."""

    def describe(self) -> dict[str, Any]:
        said: dict[str, Any] = super().describe()
        return {**said, "tokenizer": {**said["tokenizer"], "vocab_size": VOCABULARY}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sweep_into(tmp_path / "out", watcher=Recorder(), text=Text())
    return tmp_path / "out"


def test_costs_are_those_of_a_dry_run(folder: Path) -> None:
    results = read_results(folder)
    (family,) = families_of([results], ["out"])
    costs = costs_of([results], family.groups)
    planned, _ = plan_for(tiny_recipe(runs__samples=[2, 4, 8, 32]), folder, text=Text())
    times = TimeEstimate(planned.jobs, planned.remaining)
    assert len(planned.remaining) == 4
    for job in planned.remaining:
        group = next(group for group in family.groups if group.label == job.experiment.configuration.label)
        cost = costs(group, 32)
        assert cost.tokens == job.train_tokens
        assert cost.flops == pytest.approx(operations(job.stages, {"phase1": 3, "phase2": 2}))
        assert cost.seconds == pytest.approx(times.seconds(job), rel=0.02)


def test_without_the_recipe_costs_are_in_proportion_to_tokens(folder: Path) -> None:
    results = read_results(folder / "runs.csv") if (folder / "runs.csv").exists() else read_results(folder)
    for config in folder.glob("runs/*/config.toml"):
        config.unlink()
    (family,) = families_of([results], ["out"])
    costs = costs_of([results], family.groups)
    group = family.groups[0]
    assert costs.recipe is None
    run = group.cells[-1].runs[0]
    cost = costs(group, 4 * group.cells[-1].size)
    assert cost.seconds == pytest.approx(4 * (run.total_seconds or 0.0))
    assert cost.flops == pytest.approx(4 * (run.flops or 0.0))
