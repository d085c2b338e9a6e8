"""A grid's way through the executor: order, resuming, failing, interrupting, refusing."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import (
    FakeOutcome,
    FakeText,
    Recorder,
    fake_run,
    plan_for,
    result_of,
    sweep_into,
    tiny_recipe,
    without_times,
)

from cvfp_cli.errors import InputError, WorkError
from cvfp_cli.recipes import load_recipe
from cvfp_cli.results import read_results
from cvfp_cli.sweeps.grid import experiments


def test_grid_is_every_combination_once_and_smallest_first() -> None:
    recipe = tiny_recipe(runs__seeds=[0, 1], runs__data_seeds=[3, 4])
    points = experiments(recipe)
    assert len(points) == len({point.name for point in points}) == 2 * 2 * 3 * 2 * 2
    assert [point.samples for point in points] == sorted(point.samples for point in points)
    assert points[0].name == "1L_8d_1tok_s2_seed0_data3"
    assert {point.config.seed for point in points} == {0, 1}


def test_a_sweep_writes_every_run_and_a_complete_summary(tmp_path: Path) -> None:
    watcher = Recorder()
    ended = sweep_into(tmp_path / "out", watcher=watcher)
    assert len(watcher.names()) == len(ended.here) == 12
    assert ended.unfinished == ()
    summary = read_results(tmp_path / "out").summary
    assert summary is not None
    assert summary.complete
    assert summary.recipe["name"] == "demo"
    assert len(summary.fits) == 4
    assert [run.run_id for run in summary.runs] == [run.run_id for run in ended.runs]
    folder = tmp_path / "out" / "runs" / "2L_8d_1tok_s4_seed42"
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml", "result.json"]


def test_a_run_s_config_is_a_recipe_that_makes_the_same_run(tmp_path: Path) -> None:
    sweep_into(tmp_path / "out")
    again = load_recipe(tmp_path / "out" / "runs" / "2L_8d_1tok_s4_seed42" / "config.toml")
    plan, _ = plan_for(again, tmp_path / "out")
    assert [job.name for job in plan.jobs] == ["2L_8d_1tok_s4_seed42"]
    assert plan.remaining == ()


def test_every_result_is_on_disk_before_the_next_run_begins(tmp_path: Path) -> None:
    results = tmp_path / "out" / "runs"
    found: list[int] = []

    def counting(*arguments: Any, **named: Any) -> Any:
        found.append(len(list(results.glob("*/result.json"))))
        return fake_run(*arguments, **named)

    sweep_into(tmp_path / "out", run=counting)
    assert found == list(range(12))


def test_the_same_command_again_runs_nothing_and_changes_no_figure(tmp_path: Path) -> None:
    first = sweep_into(tmp_path / "out")
    watcher = Recorder()
    second = sweep_into(tmp_path / "out", watcher=watcher)
    assert watcher.names() == []
    assert second.runs == first.runs
    assert second.fits == first.fits


@pytest.mark.parametrize(
    "more",
    [
        {"grid__layers": [1, 2, 3]},
        {"grid__tokens": [1, 2, 3]},
        {"grid__context_dim": [8, 16]},
        {"runs__samples": [2]},
        {"runs__seeds": [42, 43]},
        {"runs__data_seeds": [1]},
    ],
)
def test_other_layers_tokens_samples_or_seeds_add_runs(tmp_path: Path, more: dict[str, Any]) -> None:
    sweep_into(tmp_path / "out", tiny_recipe(runs__samples=[4, 8]))
    watcher = Recorder()
    ended = sweep_into(tmp_path / "out", tiny_recipe(**{"runs__samples": [4, 8], **more}), watcher=watcher)
    assert len(watcher.names()) > 0
    assert len(ended.runs) == 8 + len(watcher.names())
    summary = read_results(tmp_path / "out").summary
    assert summary is not None
    assert len(summary.runs) == len(ended.runs)


@pytest.mark.parametrize(
    ("recipe", "text", "named"),
    [
        (tiny_recipe(phase2__epochs=3), FakeText(), "phase2.epochs"),
        (tiny_recipe(model__token_input="first_layer"), FakeText(), "token_input"),
        (tiny_recipe(), FakeText("other"), "tokenizer"),
    ],
)
def test_another_study_is_refused_with_the_difference(
    tmp_path: Path, recipe: Any, text: FakeText, named: str
) -> None:
    sweep_into(tmp_path / "out", tiny_recipe(runs__samples=[2]))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json")}
    with pytest.raises(InputError, match=named):
        sweep_into(tmp_path / "out", recipe, text=text)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json")} == before


def test_fresh_starts_over_even_with_another_study(tmp_path: Path) -> None:
    sweep_into(tmp_path / "out")
    watcher = Recorder()
    ended = sweep_into(
        tmp_path / "out", tiny_recipe(phase2__epochs=3, runs__samples=[2]), fresh=True, watcher=watcher
    )
    assert len(watcher.names()) == len(ended.runs) == 4
    assert len(read_results(tmp_path / "out" / "old-1").runs) == 12
    assert len(read_results(tmp_path / "out").runs) == 4


def test_again_sets_the_plan_s_own_runs_aside(tmp_path: Path) -> None:
    sweep_into(tmp_path / "out")
    kept = (tmp_path / "out" / "runs" / "1L_8d_1tok_s8_seed42" / "result.json").read_bytes()
    watcher = Recorder()
    ended = sweep_into(tmp_path / "out", tiny_recipe(runs__samples=[2]), again=True, watcher=watcher)
    assert len(watcher.names()) == 4
    assert len(ended.runs) == 12
    assert (tmp_path / "out" / "runs" / "1L_8d_1tok_s8_seed42" / "result.json").read_bytes() == kept
    assert len(list((tmp_path / "out" / "old-1" / "runs").iterdir())) == 4


def failing_at(name: str, error: BaseException | None) -> Any:
    """Training in which one configuration raises, or diverges where there is no error."""

    def run(config: Any, data: Any, *rest: Any, **named: Any) -> Any:
        if config.model.name == name and len(data.train_ids) == 48:
            if error is not None:
                raise error
            return FakeOutcome(result_of(config, data, None))
        return fake_run(config, data, *rest, **named)

    return run


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (WorkError("cuda ran out of memory.", hint="Less."), "failed", "cuda ran out of memory. Less."),
        (MemoryError(), "failed", "out of memory"),
        (None, "diverged", "the loss of phase 2 was not finite in epoch 2"),
    ],
)
def test_a_run_that_fails_is_recorded_with_its_reason_and_the_sweep_goes_on(
    tmp_path: Path, error: BaseException | None, status: str, reason: str
) -> None:
    ended = sweep_into(tmp_path / "out", run=failing_at("1L_8d_2tok", error))
    assert [(run.config, run.samples, run.status, run.reason) for run in ended.unfinished] == [
        ("1L_8d_2tok", 4, status, reason)
    ]
    assert sum(run.status == "done" for run in ended.runs) == 11
    text = (tmp_path / "out" / "summary.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text


def test_failed_runs_are_tried_again_and_diverged_ones_are_not(tmp_path: Path) -> None:
    sweep_into(tmp_path / "failed", run=failing_at("1L_8d_2tok", MemoryError()))
    watcher = Recorder()
    assert sweep_into(tmp_path / "failed", watcher=watcher).unfinished == ()
    assert watcher.names() == ["1L_8d_2tok_s4_seed42"]
    sweep_into(tmp_path / "diverged", run=failing_at("1L_8d_2tok", None))
    watcher = Recorder()
    assert len(sweep_into(tmp_path / "diverged", watcher=watcher).unfinished) == 1
    assert watcher.names() == []


@pytest.mark.parametrize("stop_at", [0, 1, 6, 11])
def test_an_interrupted_sweep_resumes_to_the_same_summary(tmp_path: Path, stop_at: int) -> None:
    whole = sweep_into(tmp_path / "whole")
    count = 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        if count == stop_at:
            raise KeyboardInterrupt
        count += 1
        return fake_run(*arguments, **named)

    with pytest.raises(KeyboardInterrupt):
        sweep_into(tmp_path / "broken", run=interrupted)
    summary = read_results(tmp_path / "broken").summary
    assert summary is not None
    assert not summary.complete
    assert len(summary.runs) == stop_at
    resumed = sweep_into(tmp_path / "broken")
    assert [without_times(run) for run in resumed.runs] == [without_times(run) for run in whole.runs]
    assert resumed.fits == whole.fits
    assert figures_in(tmp_path / "broken") == figures_in(tmp_path / "whole")


def figures_in(folder: Path) -> Any:
    """summary.json less what says when and how fast."""
    value = json.loads((folder / "summary.json").read_text())
    del value["created"]
    for run in value["runs"]:
        del run["seconds"], run["stages"], run["peak_memory_bytes"]
    return value


def test_a_full_disk_ends_the_sweep_and_loses_nothing_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvfp_cli.results import store

    write, left = store.write_atomic, 5

    def full(path: Path, data: bytes) -> None:
        nonlocal left
        if path.name == "result.json":
            left -= 1
            if left < 0:
                raise WorkError(f"{path} could not be written: the disk is full.")
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_atomic", full)
        with pytest.raises(WorkError, match="disk is full"):
            sweep_into(tmp_path / "out")
    watcher = Recorder()
    sweep_into(tmp_path / "out", watcher=watcher)
    assert len(watcher.names()) == 7


def test_a_second_sweep_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []

    def second(*arguments: Any, **named: Any) -> Any:
        if not refused:
            with pytest.raises(WorkError) as caught:
                sweep_into(tmp_path / "out")
            refused.append(str(caught.value))
        return fake_run(*arguments, **named)

    assert sweep_into(tmp_path / "out", run=second).unfinished == ()
    assert "in use" in refused[0]


def test_config_toml_is_written_before_the_run_begins(tmp_path: Path) -> None:
    def looking(config: Any, *rest: Any, **named: Any) -> Any:
        written = sorted(
            (tmp_path / "out" / "runs").glob("*/config.toml"), key=lambda path: path.stat().st_mtime_ns
        )
        assert tomllib.loads(written[-1].read_text())["runs"]["seeds"] == [config.seed]
        return fake_run(config, *rest, **named)

    sweep_into(tmp_path / "out", tiny_recipe(runs__seeds=[5, 6], runs__samples=[2]), run=looking)
