"""Jobs in several processes: the same figures, whatever becomes of a process, and none left behind."""

import multiprocessing
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faulty_runs import broken_run, faulty_run, slow_run
from sweep_fakes import Recorder, sweep_into, tiny_recipe, without_times

from cvfp_cli.sweeps.executors.processes import ProcessExecutor

pytestmark = pytest.mark.pinned_only("processes are the standard library's, and each takes its time to start")
TWO = partial(ProcessExecutor, devices=("cpu", "cpu"))


def test_every_fault_of_a_worker_costs_at_most_its_run(tmp_path: Path) -> None:
    watcher = Recorder()
    recipe = tiny_recipe()
    faulty = partial(ProcessExecutor, devices=("cpu", "cpu"), run_timeout=10.0)
    ended = sweep_into(tmp_path / "out", recipe, run=faulty_run, watcher=watcher, executor=faulty)
    reasons = {run.config: run.reason for run in ended.unfinished}
    assert reasons == {
        "1L_8d_1tok": "3 workers were lost with it, the last one killed by SIGKILL, perhaps since memory ran out",
        "2L_8d_2tok": "the device is full",
    }
    # On a slow machine a worker that starts again can be taken for a hung one: it is lost once more, and so is no run.
    lost = Counter(name for what, name in watcher.seen if what == "lost")
    faults = ["1L_8d_1tok_s2_seed42"] * 2 + ["1L_8d_2tok_s2_seed42", "2L_8d_1tok_s2_seed42"]
    assert lost >= Counter(faults)
    whole = sweep_into(tmp_path / "serial", recipe)
    done = {run.run_id: without_times(run) for run in whole.runs}
    found = [without_times(run) for run in ended.runs if run.status == "done"]
    assert len(found) == 10
    assert found == [done[run.run_id] for run in found]
    assert multiprocessing.active_children() == []


def test_an_interrupt_ends_the_processes(tmp_path: Path) -> None:
    class Interrupting(Recorder):
        def advanced(self, job: Any, event: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_into(tmp_path / "out", run=slow_run, watcher=Interrupting(), executor=TWO)
    assert multiprocessing.active_children() == []


def test_a_bug_in_a_worker_is_shown_as_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)broken_run.*KeyError: 'no such thing'"):
        sweep_into(tmp_path / "out", run=broken_run, executor=TWO)
    assert multiprocessing.active_children() == []
