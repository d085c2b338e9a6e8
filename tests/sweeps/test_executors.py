"""What every executor promises: order, cancelling, and jobs, results and errors that survive pickling."""

import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import FakeText, fake_run, plan_for, tiny_recipe

from cvfp_cli.cli.shared import Machine
from cvfp_cli.cli.study import resolve
from cvfp_cli.core.config import Execution
from cvfp_cli.core.result import Advance, Epoch, ExperimentData, Iteration
from cvfp_cli.data.hub import HubUnreachableError
from cvfp_cli.errors import CvfpError, InputError, WorkError
from cvfp_cli.results.atomic import WriteError
from cvfp_cli.sweeps.executors.serial import SerialExecutor
from cvfp_cli.sweeps.plan import Job, Plan
from cvfp_cli.sweeps.work import JobResult, Worker


class Told:
    """Reports that remember, and may do something at an event."""

    def __init__(self, at_event: Callable[[Job, Any], None] = lambda job, event: None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.results: list[JobResult] = []
        self._at_event = at_event

    def started(self, job: Job, worker: str = "") -> bool:
        job.folder.mkdir(parents=True, exist_ok=True)
        self.seen.append(("started", job.name))
        return True

    def advanced(self, job: Job, event: Any) -> None:
        self._at_event(job, event)

    def warned(self, job: Job, text: str) -> None:
        self.seen.append(("warned", text))

    def lost(self, job: Job, reason: str) -> None:
        self.seen.append(("lost", job.name))

    def ended(self, job: Job, result: JobResult) -> None:
        self.seen.append(("ended", job.name))
        self.results.append(result)


def executor(run: Callable[..., Any] = fake_run) -> SerialExecutor:
    text: Any = defaultdict(FakeText)  # for any data tables
    return SerialExecutor(Worker({}, run=run), text)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_for(tiny_recipe(), tmp_path / "out")[0]


def test_jobs_end_in_order_each_before_the_next_begins(plan: Plan) -> None:
    told = Told()
    executor().execute(plan.jobs, told)
    assert told.seen == [(what, job.name) for job in plan.jobs for what in ("started", "ended")]
    assert [result.run_id for result in told.results] == [job.run_id for job in plan.jobs]
    assert all(result.execution == job.execution for result, job in zip(told.results, plan.jobs, strict=True))


def test_cancelled_work_stops_at_the_next_step_and_begins_nothing_more(plan: Plan) -> None:
    events = 0

    def cancel_in_the_second_job(job: Job, event: Any) -> None:
        nonlocal events
        if job is plan.jobs[1]:
            events += 1
            chosen.cancel()

    chosen, told = executor(), Told(cancel_in_the_second_job)
    chosen.execute(plan.jobs, told)
    first, second = plan.jobs[0].name, plan.jobs[1].name
    assert told.seen == [("started", first), ("ended", first), ("started", second)]
    assert events == 1


def test_a_worker_writes_its_job_s_checkpoint_and_nothing_else(plan: Plan, tmp_path: Path) -> None:
    def saving(*arguments: Any, checkpoint: Any, **named: Any) -> Any:
        checkpoint._between = 0.0
        checkpoint.save({"iteration": 1})
        return fake_run(*arguments, **named)

    job = plan.jobs[0]
    executor(saving).execute([job], Told())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [job.checkpoint]


def test_a_failure_is_a_result_with_its_reason_and_a_full_disk_is_none(plan: Plan) -> None:
    def failing(error: BaseException) -> Callable[..., Any]:
        def run(*_: Any, **__: Any) -> Any:
            raise error

        return run

    told = Told()
    executor(failing(WorkError("the device is full"))).execute(plan.jobs[:1], told)
    assert (told.results[0].figures, told.results[0].reason) == (None, "the device is full")
    with pytest.raises(WriteError):
        executor(failing(WriteError("the disk is full"))).execute(plan.jobs[1:2], Told())


def test_jobs_events_and_results_survive_pickling(plan: Plan) -> None:
    told: list[Any] = []
    reports = Told(lambda job, event: told.append(event))
    executor().execute(plan.jobs[:1], reports)
    assert {type(event) for event in told} == {Advance, Iteration, Epoch}
    for value in (*plan.jobs, *told, *reports.results):
        assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad.csv, line 3: 4 cells.", hint="Remove one."),
        WorkError("out of memory"),
        WriteError("disk full", hint="Free some."),
        HubUnreachableError(["data set 'a/b'"], "an endpoint"),
    ],
)
def test_errors_come_back_as_themselves(error: CvfpError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), vars(back), back.exit_code) == (str(error), vars(error), error.exit_code)


def test_a_job_names_its_device_and_threads(tmp_path: Path) -> None:
    execution, environment, _ = resolve(Machine(device="auto", threads=1), quiet=True)
    assert execution.device != "auto"
    assert execution.threads == environment["threads"] == 1
    job = replace(plan_for(tiny_recipe(), tmp_path / "out")[0].jobs[0], execution=execution)
    seen: list[Execution] = []

    def looking(config: Any, data: ExperimentData, given: Execution, **_: Any) -> Any:
        seen.append(given)
        return fake_run(config, data, given, progress=lambda event: None)

    told = Told()
    executor(looking).execute([job], told)
    assert seen == [execution] == [told.results[0].execution]
