"""sweep.log and metrics.jsonl: a line an event, whole lines only, no NaN."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import plan_for, tiny_recipe

from cvfp_cli.core.result import Advance, Epoch, Iteration
from cvfp_cli.results import Run
from cvfp_cli.sweeps.journal import Metrics, SweepLog
from cvfp_cli.sweeps.plan import Job

EVENTS = [
    Iteration(1, None, None, None, None, 0.5),
    Advance("phase1", 2, 40, 10, 20),
    Iteration(2, -0.25, 0.125, -0.5, 0.75, 0.5),
    Iteration(3, -0.5, 0.1, -0.75, 0.995, 0.5),
    Epoch(1, 5.0, math.exp(5.0), 6.0, math.exp(6.0), 0.171, 1.5),
    Epoch(2, 4.0, math.exp(4.0), math.nan, math.inf, 0.2, 1.5),
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    plan, _ = plan_for(tiny_recipe(runs__samples=[2]), tmp_path / "out")
    plan.jobs[0].folder.mkdir(parents=True)
    return plan.jobs[0]


def read(job: Job) -> list[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    lines = (job.folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def test_metrics_hold_one_object_an_iteration_and_epoch(job: Job) -> None:
    metrics = Metrics()
    metrics.started(job, 1, 1)
    for event in EVENTS:
        metrics.advanced(job, event)
    lines = read(job)
    assert [(line["phase"], line.get("iteration", line.get("epoch"))) for line in lines] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
    ]
    assert lines[1]["loss"] == -0.25
    assert lines[4]["val_loss"] is None
    assert lines[4]["val_ppl"] is None


@pytest.mark.parametrize("broken_after", range(1, 6))
def test_a_resumed_run_leaves_the_file_of_an_unbroken_one(job: Job, broken_after: int) -> None:
    events = [event for event in EVENTS if not isinstance(event, Advance)]
    first = Metrics()
    first.started(job, 1, 1)
    for event in events[:broken_after]:
        first.advanced(job, event)
    with (job.folder / "metrics.jsonl").open("a") as file:
        file.write('{"phase": 1, "iter')  # the line that the kill cut
    resumed_from = broken_after // 2  # the checkpoint is older than the last line
    second = Metrics()
    second.started(job, 1, 1)
    for event in events[resumed_from:]:
        second.advanced(job, event)
    assert [line.get("iteration", line.get("epoch")) for line in read(job)] == [1, 2, 3, 1, 2]


def test_the_log_has_one_line_an_iteration_and_epoch(job: Job, tmp_path: Path) -> None:
    log = SweepLog(tmp_path / "sweep.log")
    log.started(job, 3, 12)
    for event in EVENTS:
        log.advanced(job, event)
    log.finished(
        job,
        Run(
            "c",
            1,
            8,
            1,
            2,
            24,
            phase1_iterations=40,
            phase1_converged=False,
            val_ppl=403.4,
            val_accuracy=0.171,
        ),
    )
    text = (tmp_path / "sweep.log").read_text()
    lines = [line.split(" ", 2)[2] for line in text.splitlines()]
    assert len(lines) == 7
    assert lines[0].startswith("[3/12] 1L_8d_1tok_s2_seed42 24 tokens")
    assert "iteration 2/6 loss -0.250000 mse 0.125000 diversity -0.500000 converged 75.0%" in lines[2]
    assert "epoch 1/2 train loss 5.0000 ppl 148.4 val loss 6.0000 ppl 403.4 accuracy 17.1%" in lines[4]
    assert "P1 iter 40* val ppl 403.4 accuracy 17.1%" in lines[6]


def test_a_line_that_a_kill_cut_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "sweep.log"
    path.write_bytes(b"2025-11-30 10:00:00 cut off he")
    SweepLog(path).line("next\nline")
    assert path.read_text().splitlines()[1].endswith("next line")
