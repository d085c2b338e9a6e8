"""Parts of a grid, trained by commands beside each other: into one folder, or into several that are pooled."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import faulty_runs
import pytest
from sweep_fakes import Recorder, fake_run, plan_for, sweep_into, tiny_recipe, without_times

from cvfp_cli.cli import app
from cvfp_cli.errors import WorkError
from cvfp_cli.results import read_results
from cvfp_cli.sweeps.plan import Shard


def summary_of(out: Path) -> Any:
    found = read_results(out).summary
    assert found is not None
    return found


def test_shards_part_the_grid_by_what_runs_are_and_not_by_order(tmp_path: Path) -> None:
    jobs = plan_for(tiny_recipe(runs__seeds=list(range(40))), tmp_path / "out")[0].jobs
    parts = [[job.run_id for job in jobs if Shard(number, 4).has(job)] for number in (1, 2, 3, 4)]
    assert sorted(run for part in parts for run in part) == sorted(job.run_id for job in jobs)
    # Of 480 runs each has about 120: a binomial's standard deviation is 9.5.
    assert all(80 < len(part) < 160 for part in parts)
    fewer = plan_for(tiny_recipe(runs__seeds=[7], runs__samples=[8]), tmp_path / "other")[0].jobs
    assert {job.run_id for job in fewer if Shard(2, 4).has(job)} <= set(parts[1])


def test_shards_one_after_the_other_end_in_the_whole_summary(tmp_path: Path) -> None:
    whole = sweep_into(tmp_path / "whole")
    for number in (1, 2, 3):
        watcher = Recorder()
        ended = sweep_into(tmp_path / "out", shard=Shard(number, 3), watcher=watcher)
        assert sorted(run.run_id for run in ended.here) == sorted(
            run.run_id for run in whole.runs if int(run.run_id, 16) % 3 == number - 1
        )
        assert len(watcher.names()) == len(ended.here)
        assert summary_of(tmp_path / "out").complete == (number == 3)
    found = summary_of(tmp_path / "out")
    assert [without_times(run) for run in found.runs] == [without_times(run) for run in whole.runs]
    assert list(found.fits) == list(whole.fits)
    watcher = Recorder()
    sweep_into(tmp_path / "out", watcher=watcher)  # the whole command finds nothing left to do
    assert watcher.names() == []


@pytest.mark.pinned_only("locks are the system's, and processes take their time to start")
def test_shards_beside_each_other_train_every_run_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    spawn = multiprocessing.get_context("spawn")
    # The second shard twice, as when a scheduler starts a job again: each of its runs is trained by one of both.
    crew = [spawn.Process(target=faulty_runs.shard, args=(out, number, 2)) for number in (1, 2, 2)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(120)
    assert [process.exitcode for process in crew] == [0, 0, 0]
    whole = sweep_into(tmp_path / "whole")
    found = summary_of(out)
    assert found.complete
    assert [without_times(run) for run in found.runs] == [without_times(run) for run in whole.runs]
    trained = (tmp_path / "trained").read_text().splitlines()
    assert len(trained) == len(set(trained)) == 12
    assert list(out.rglob("*.tmp")) == []


def test_a_run_that_another_command_has_is_left_to_it(tmp_path: Path) -> None:
    def first(*arguments: Any, **named: Any) -> Any:
        first.names.append("first")  # type: ignore[attr-defined]
        if len(first.names) == 1:  # type: ignore[attr-defined]
            # While this run is under way, another command does all the others.
            other = sweep_into(tmp_path / "out", shard=Shard(1, 1), watcher=watcher)
            assert len(other.here) == 11
            with pytest.raises(WorkError, match=r"in use by a shard, which trains 1L_8d_1tok_s2_seed42"):
                sweep_into(tmp_path / "out")
        return fake_run(*arguments, **named)

    first.names = []  # type: ignore[attr-defined]
    watcher = Recorder()
    ended = sweep_into(tmp_path / "out", run=first, shard=Shard(1, 1))
    assert len(watcher.names()) == 11
    assert len(first.names) == 1  # type: ignore[attr-defined]
    assert len(ended.here) == 12
    assert summary_of(tmp_path / "out").complete


def test_shards_in_folders_of_their_own_are_pooled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_into(tmp_path / "whole")
    folders = [tmp_path / f"part{number}" for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        sweep_into(folder, shard=Shard(number, 3))
    answers = []
    for paths in ([tmp_path / "whole"], folders):
        assert app.run(["fit", *map(str, paths), "--format", "json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)["fits"])
    whole, pooled = ([{**fit, "source": ""} for fit in answer] for answer in answers)
    assert whole == pooled
    for command in ("compare", "report"):
        assert app.run([command, *map(str, folders)]) == 0
        assert "2L_8d_2tok" in capsys.readouterr().out
