"""The queue that executors with several workers share: its order, and what a lost worker costs."""

from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import plan_for, tiny_recipe

from cvfp_cli.sweeps.executors import dispatch as module
from cvfp_cli.sweeps.executors.dispatch import Dispatch
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.work import JobResult


class Told:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any]] = []

    def started(self, job: Job, worker: str = "") -> bool:
        self.seen.append(("started", job.name, worker))
        return True

    def lost(self, job: Job, reason: str) -> None:
        self.seen.append(("lost", job.name, reason))

    def ended(self, job: Job, result: JobResult) -> None:
        self.seen.append(("ended", job.name, result.reason))

    def advanced(self, job: Job, event: Any) -> None:
        self.seen.append(("advanced", job.name, event))

    def warned(self, job: Job, text: str) -> None:
        self.seen.append(("warned", job.name, text))


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[Job, ...]:
    return plan_for(tiny_recipe(grid__tokens=[1]), tmp_path / "out")[0].jobs


def test_the_longest_job_is_handed_out_first(jobs: tuple[Job, ...]) -> None:
    told = Told()
    queue = Dispatch(jobs, told)
    handed = []
    while (job := queue.next("a")) is not None:
        handed.append(job)
        queue.done("a", JobResult(job.run_id, job.execution, None))
    assert queue.ended
    assert {job.run_id for job in handed} == {job.run_id for job in jobs}
    # More text and more layers are more work.
    assert (handed[0].name, handed[-1].name) == ("2L_8d_1tok_s8_seed42", "1L_8d_1tok_s2_seed42")
    tokens = [(job.train_tokens, job.parameters.total) for job in handed if job.experiment.samples != 4]
    assert tokens == sorted(tokens, reverse=True)


def test_a_lost_worker_s_job_is_next_again_twice_and_then_failed(jobs: tuple[Job, ...]) -> None:
    told = Told()
    queue = Dispatch(jobs[:2], told)
    first = queue.next("a")
    other = queue.next("b")
    assert first is not None
    for worker in ("a", "c"):
        queue.lost(worker, "killed")
        assert queue.waiting == [first]
        assert queue.next("c") is first
    queue.lost("c", "killed by SIGKILL")
    assert queue.waiting == []
    assert not queue.ended
    assert [what for what, name, _ in told.seen if name == first.name] == [
        *("started", "lost") * 2,
        "started",
        "ended",
    ]
    assert told.seen[-1][2] == "3 workers were lost with it, the last one killed by SIGKILL"
    assert other is not None
    queue.done("b", JobResult(other.run_id, other.execution, None))
    assert queue.ended


def test_a_worker_that_had_no_job_costs_none(jobs: tuple[Job, ...]) -> None:
    told = Told()
    queue = Dispatch(jobs, told)
    queue.lost("a", "killed")
    assert told.seen == []
    assert len(queue.waiting) == len(jobs)


def test_who_shows_no_step_for_the_timeout_hangs(
    jobs: tuple[Job, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    queue = Dispatch(jobs, Told(), run_timeout=10.0)
    queue.next("a")
    queue.next("b")
    now = 9.0
    queue.advanced("b", "a step")  # type: ignore[arg-type]
    assert queue.hanging() == []
    now = 12.0
    assert queue.hanging() == ["a"]
    assert Dispatch(jobs, Told()).hanging() == []
