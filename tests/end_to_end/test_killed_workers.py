"""A sweep in two processes, its workers and itself killed: it ends with the serial sweep's summary.

``python tests/end_to_end/kill_workers.py 40`` kills forty times, with real training.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from kill_workers import CODE_INTERRUPTED, Trials, assert_gone, workers_of

pytestmark = [
    pytest.mark.pinned_only("what a kill leaves is the project's own"),
    pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc"),
]


def wait_for_runs(out: Path, count: int) -> None:
    limit = time.monotonic() + 120
    while len(list(out.glob("runs/*/result.json"))) < count:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_four_workers_and_the_parent_killed(tmp_path: Path) -> None:
    trials, draw, out = Trials(tmp_path), random.Random(7), tmp_path / "out"
    parent = trials.start(out)
    for finished in (1, 3):
        wait_for_runs(out, finished)
        assert trials.kill_worker(parent, draw)
    wait_for_runs(out, 5)
    trials.kill_parent(parent)
    parent = trials.start(out)
    for finished in (6, 8):
        wait_for_runs(out, finished)
        assert trials.kill_worker(parent, draw)
    assert parent.wait(120) == 0
    assert trials.kills == {"worker": 4, "parent": 1}
    trials.compare(out)


def test_ctrl_c_leaves_no_worker_behind(tmp_path: Path) -> None:
    trials, out = Trials(tmp_path), tmp_path / "out"
    parent = trials.start(out)
    wait_for_runs(out, 1)
    workers = workers_of(parent.pid)
    assert len(workers) == 2
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
    assert parent.wait(60) == CODE_INTERRUPTED
    assert_gone(workers)
