"""--report-to: what a tracker is told, in order, and that none can slow or break a run."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import plan_for, tiny_recipe

from cvfp_cli.core.result import Epoch, Event, Iteration
from cvfp_cli.errors import InputError
from cvfp_cli.results import Run
from cvfp_cli.results.codec import to_json
from cvfp_cli.sweeps import trackers
from cvfp_cli.sweeps.journal import Metrics
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.trackers import Apart, Known, Told, Tracker, check_tracker, told_apart
from cvfp_cli.sweeps.watch import Watcher

EVENTS: list[Event] = [
    Iteration(1, None, None, None, None, 0.5),
    Iteration(2, -0.25, 0.125, -0.5, 0.75, 0.5),
    Epoch(1, 5.0, 148.4, 6.0, 403.4, 0.171, 1.5),
    Epoch(2, 4.0, 54.6, float("nan"), float("inf"), 0.2, 1.5),
]


class Kept(Tracker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("study")
        self.told: list[tuple[Any, ...]] = []

    def begin(self, known: Known) -> Any:
        self.told.append(("begin", known.id, known.settings["samples"]))
        return known.id

    def log(self, run: Any, figures: Mapping[str, float], step: int) -> None:
        self.told.append(("log", step, dict(figures)))

    def end(self, run: Any, figures: Mapping[str, float], status: str) -> None:
        self.told.append(("end", status, dict(figures)))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    plan, _ = plan_for(tiny_recipe(runs__samples=[2]), tmp_path / "out")
    plan.jobs[0].folder.mkdir(parents=True)
    return plan.jobs[0]


def done(job: Job) -> Run:
    return Run(
        config="1L_8d_1tok",
        layers=1,
        context_dim=8,
        tokens=1,
        samples=2,
        train_tokens=24,
        run_id=job.run_id,
        val_ppl=403.4,
        phase1_converged=True,
    )


def tell(watcher: Watcher, job: Job, events: list[Event]) -> None:
    """As a sweep does: first the file, then the tracker."""
    metrics = Metrics()
    metrics.started(job, 1, 1)
    watcher.started(job, 1, 1)
    for event in events:
        metrics.advanced(job, event)
        watcher.advanced(job, event)


def test_a_tracker_is_told_finite_figures_in_the_order_of_metrics(job: Job) -> None:
    kept = Kept()
    told = Told(kept)
    tell(told, job, EVENTS)
    told.finished(job, done(job))
    assert kept.told[0] == ("begin", job.run_id, 2)
    assert [(item[1], sorted(item[2])) for item in kept.told if item[0] == "log"] == [
        (2, ["phase1/diversity", "phase1/loss", "phase1/mse", "phase1/rate"]),
        (
            3,
            [
                "phase2/train_loss",
                "phase2/train_ppl",
                "phase2/val_accuracy",
                "phase2/val_loss",
                "phase2/val_ppl",
            ],
        ),
        (4, ["phase2/train_loss", "phase2/train_ppl", "phase2/val_accuracy"]),
    ]
    assert kept.told[-1] == ("end", "done", {"train_tokens": 24, "val_ppl": 403.4})


@pytest.mark.parametrize("broken_after", [1, 2, 3])
def test_a_run_that_goes_on_continues_there_with_the_steps_of_an_unbroken_one(
    job: Job, broken_after: int
) -> None:
    whole, first, second = Kept(), Kept(), Kept()
    tell(Told(whole), job, EVENTS)
    (job.folder / "metrics.jsonl").unlink()
    tell(Told(first), job, EVENTS[:broken_after])
    tell(Told(second), job, EVENTS[broken_after:])
    assert second.told[0] == first.told[0] == whole.told[0]
    assert [*first.told[1:], *second.told[1:]] == whole.told[1:]


def test_a_folder_told_afterwards_is_as_one_told_at_once(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    live, later = Kept(), Kept()
    told = Told(live)
    tell(told, job, EVENTS)
    told.finished(job, done(job))
    record = {"schema": "cvfp-run/2", "run": to_json(done(job))}
    (job.folder / "result.json").write_text(json.dumps(record))
    monkeypatch.setitem(trackers._TOLD, "wandb", lambda study: later)
    assert trackers.tell_results("wandb", "study", tmp_path / "out") == 1
    assert later.told == live.told
    with pytest.raises(InputError, match="no runs"):
        trackers.tell_results("wandb", "study", tmp_path)


class Broken(Watcher):
    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        raise OSError("no key\nfor this service")


def test_a_tracker_that_fails_is_said_once_and_costs_nothing(job: Job) -> None:
    said: list[str] = []
    aside = Apart("wandb", Broken(), said.append)
    aside.started(job, 1, 1)
    while not aside._problem:
        time.sleep(0.001)
    for event in EVENTS:
        aside.advanced(job, event)
    aside.close()
    assert said == [
        "wandb stopped taking figures (OSError: no key for this service). The runs go on without it."
    ]


class Slow(Watcher):
    def __init__(self) -> None:
        self.go_on = threading.Event()

    def advanced(self, job: Job, event: Event) -> None:
        self.go_on.wait(60)


def test_a_slow_tracker_holds_nothing_up(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "MOST_WAITING", 3)
    said: list[str] = []
    slow = Slow()
    aside = Apart("mlflow", slow, said.append)
    for _ in range(10):
        aside.advanced(job, EVENTS[1])  # returns although nothing is taken
    slow.go_on.set()
    aside.close()
    # One may be under way and three wait; the others found no room.
    assert said in (
        ["mlflow was too slow: 6 events did not get there."],
        ["mlflow was too slow: 7 events did not get there."],
    )


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_cli.sweeps.trackers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'cvfp-cli\[mlflow\]'"):
        check_tracker("mlflow")


@contextmanager
def told_for_real(word: str, job: Job) -> Iterator[None]:
    """A run told to the real package twice, as after a kill; no warning may come."""
    said: list[str] = []
    for events in (EVENTS[:2], EVENTS[2:]):
        with told_apart([word], "study", job.folder, said.append) as (aside,):
            tell(aside, job, events)
            if events[-1] is EVENTS[-1]:
                aside.finished(job, done(job))
    assert said == []
    yield


def test_mlflow_has_one_run_with_every_step(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    with told_for_real("mlflow", job):
        client = mlflow.MlflowClient()
        (run,) = client.search_runs([client.get_experiment_by_name("study").experiment_id])
        assert run.info.status == "FINISHED"
        assert run.data.metrics["val_ppl"] == 403.4
        assert run.data.params["samples"] == "2"
        history = client.get_metric_history(run.info.run_id, "phase2/train_loss")
        assert [(item.step, item.value) for item in history] == [(3, 5.0), (4, 4.0)]


def test_wandb_offline_takes_everything(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    with told_for_real("wandb", job):
        wandb.teardown()  # writes what is buffered, as the end of the process does
        written = list((tmp_path / "wandb").glob(f"offline-run-*-{job.run_id}/*.wandb"))
        assert written
        assert any(b"phase2/val_ppl" in file.read_bytes() for file in written)


def test_trackio_has_one_run_and_prints_nothing(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    with told_for_real("trackio", job):
        assert capsys.readouterr().out == ""
        (file,) = (tmp_path / "trackio").glob("*.db")
        with sqlite3.connect(file) as base:
            rows = base.execute("select run_name, step, metrics from metrics order by step").fetchall()
        assert len({name for name, _, _ in rows}) == 1
        assert json.loads(rows[1][2])["phase2/val_ppl"] == 403.4


def test_export_tells_a_tracker_of_a_study(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cvfp: Any
) -> None:
    (job.folder / "result.json").write_text(json.dumps({"schema": "cvfp-run/2", "run": to_json(done(job))}))
    told: list[tuple[str, Kept]] = []

    def kept(study: str) -> Kept:
        told.append((study, Kept()))
        return told[-1][1]

    monkeypatch.setitem(trackers._TOLD, "mlflow", kept)
    monkeypatch.setattr("cvfp_cli.sweeps.trackers.find_spec", lambda name: True)
    answer = cvfp("export", tmp_path / "out", "--to", "mlflow")
    assert (answer.code, answer.out) == (0, "")
    assert "mlflow: 1 run told." in answer.err
    assert [item[0] for item in told[0][1].told] == ["begin", "end"]
    assert "Leave it out" in cvfp("export", tmp_path / "out", tmp_path / "x", "--to", "mlflow").err
    assert "FOLDER is missing" in cvfp("export", tmp_path / "out").err
