"""What is shown while runs are under way: bars on a terminal, plain lines elsewhere, nothing when quiet."""

import io
import re
import sys
from dataclasses import replace

import pytest
from cli_fakes import shown_job

from cvfp_cli.cli.progress import NOTEBOOK_VARIABLES, Bars, PlainLines, Quiet, progress_for
from cvfp_cli.core.result import Advance, Epoch, Iteration
from cvfp_cli.results import Run, Seconds
from cvfp_cli.sweeps.estimate import TimeEstimate, makespan
from cvfp_cli.sweeps.plan import Job

EVENTS = [
    Iteration(1, None, None, None, None, 0.1),
    Advance("phase1", 2, 40, 600, 1000),
    Advance("phase1", 2, 40, 400, 1000),
    Iteration(2, -0.25, 0.1, -0.3, 0.75, 0.1),
    Advance("contexts", 0, 0, 500, 500),
    Advance("phase2", 1, 10, 1000, 1000),
    Epoch(1, 5.0, 148.41, 6.0, 403.43, 0.171, 0.3),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def job() -> Job:
    return shown_job()


@pytest.fixture
def run() -> Run:
    return Run(
        "2L_768d_2tok",
        2,
        768,
        2,
        50,
        62_891,
        phase1_iterations=8,
        phase1_converged=True,
        epochs=3,
        val_ppl=622.3,
        val_accuracy=0.173,
        seconds=Seconds(60.0, 1.0, 20.0),
    )


def shown(progress: Quiet | PlainLines | Bars, times: TimeEstimate, job: Job, run: Run, total: int) -> None:
    with progress:
        for number in range(1, total + 1):
            for watcher in (times, progress):
                watcher.started(job, number, total)
            for event in EVENTS:
                progress.advanced(job, event)
            for watcher in (times, progress):
                watcher.finished(job, run)
        progress.note("a remark with [brackets]")


def test_lines_elsewhere(job: Job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [replace(job, run_id="a"), replace(job, run_id="b")]
    times = TimeEstimate(jobs, jobs)
    progress = progress_for(times, total=2, quiet=False)
    assert isinstance(progress, PlainLines)
    shown(progress, times, jobs[0], run, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert err.splitlines()[:2] == [
        "[1/2] 2L_768d_2tok, 50 samples, seed 42: 62,891 tokens",
        "  P1 iter 8, val PPL 622.3, accuracy 17.3%, 1 min 21 s",
    ]
    assert re.search(r"\[2/2\] .* tokens, about 1 min 2[01] s left", err)
    assert err.splitlines()[-1] == "a remark with [brackets]"


def test_one_run_shows_every_iteration_and_epoch(
    job: Job, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    times = TimeEstimate([job], [job])
    shown(progress_for(times, total=1, quiet=False), times, job, run, 1)
    assert capsys.readouterr().err.splitlines()[1:4] == [
        "  phase 1 1/40 untrained start",
        "  phase 1 2/40 loss -0.2500, converged 75.0%",
        "  phase 2 1/10 train PPL 148.4, val PPL 403.4, accuracy 17.1%",
    ]


def test_quiet_is_quiet(job: Job, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    times = TimeEstimate([job], [job])
    shown(progress_for(times, total=1, quiet=True), times, job, run, 1)
    assert capsys.readouterr() == ("", "")


def test_bars_on_a_terminal(job: Job, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    for name in NOTEBOOK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    jobs = [replace(job, run_id="a"), replace(job, run_id="b")]
    times = TimeEstimate(jobs, jobs)
    progress = progress_for(times, total=2, quiet=False)
    assert isinstance(progress, Bars)
    with progress:
        progress.started(job, 1, 2)
        for event in EVENTS:
            progress.advanced(job, event)
        progress._progress.refresh()
        drawn = terminal.getvalue()
        progress.finished(job, run)
        progress.note("a remark with [brackets]")
    said = terminal.getvalue()
    assert "runs" in drawn
    assert "phase 2" in drawn
    assert "val PPL 403.4" in drawn
    assert "1/2" in drawn
    assert "2L_768d_2tok, 50 samples, seed 42: P1 iter 8, val PPL 622.3" in said
    assert "a remark with [brackets]" in said


@pytest.mark.parametrize("columns", [80, 120])
def test_a_bar_for_each_worker(job: Job, run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in NOTEBOOK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    jobs = [replace(job, run_id=name) for name in "abc"]
    times = TimeEstimate(jobs, jobs, rate=1e9, workers=2)
    with progress_for(times, total=3, workers=2, quiet=False) as progress:
        assert isinstance(progress, Bars)
        for number, (one, worker) in enumerate(zip(jobs, ("cuda:0", "cuda:1"), strict=False), 1):
            progress.started(one, number, 3, worker)
        progress.advanced(jobs[1], EVENTS[1])
        lines = _drawn(progress, terminal)
        assert [line.split()[0] for line in lines] == ["runs", "cuda:0", "cuda:1"]
        assert "0/3" in lines[0]
        assert "left" in lines[0]
        assert "2L_768d_2tok 50 samples, phase 1" in lines[2]
        assert all(len(line) <= columns for line in lines)
        progress.lost(jobs[0], "killed by SIGKILL")
        progress.finished(jobs[1], run)
        assert ["1/3" in line for line in _drawn(progress, terminal)] == [True]
    said = terminal.getvalue()
    assert "its worker is lost (killed by SIGKILL); the run is queued again" in re.sub(r"\s+", " ", said)


def _drawn(progress: Bars, terminal: Terminal) -> list[str]:
    """The bars as they stand now."""
    before = len(terminal.getvalue())
    progress._progress.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()[before:])
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]


def test_the_lines_of_several_workers_name_their_run(
    job: Job, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [replace(job, run_id="a"), replace(job, run_id="b")]
    progress = progress_for(TimeEstimate(jobs, jobs, workers=2), total=2, workers=2, quiet=False)
    with progress:
        progress.started(jobs[0], 1, 2, "cuda:0")
        progress.lost(jobs[0], "ended with code 3")
        progress.finished(jobs[0], run)
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] 2L_768d_2tok, 50 samples, seed 42 on cuda:0: 62,891 tokens",
        "2L_768d_2tok, 50 samples, seed 42: its worker is lost (ended with code 3); the run is queued again",
        "  2L_768d_2tok, 50 samples, seed 42: P1 iter 8, val PPL 622.3, accuracy 17.3%, 1 min 21 s",
    ]


def test_the_time_left_is_that_of_the_last_worker(job: Job) -> None:
    # By hand: 5 and 4; 3 after the 4, 3 after the 5, and the last 3 after 4 + 3.
    assert makespan([3.0, 3.0, 5.0, 3.0, 4.0], 2) == 10.0
    assert makespan([], 3) == 0.0
    jobs = [replace(job, run_id=name) for name in "abcd"]
    one, two = (TimeEstimate(jobs, jobs, rate=1e9, workers=workers) for workers in (1, 2))
    assert one.total(jobs) == pytest.approx(2 * (two.total(jobs) or 0.0))
    assert two.left() == pytest.approx(two.total(jobs), abs=0.1)


@pytest.mark.parametrize(
    "where",
    [
        {"TERM": "dumb"},
        {"JPY_PARENT_PID": "12"},  # a notebook's `!cvfp`
        {"COLAB_RELEASE_TAG": "x"},
        {"COLUMNS": "40"},
    ],
)
def test_lines_on_a_terminal_that_cannot_draw_bars(
    job: Job, monkeypatch: pytest.MonkeyPatch, where: dict[str, str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    for name in NOTEBOOK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm", "COLUMNS": "100"} | where).items():
        monkeypatch.setenv(name, value)
    times = TimeEstimate([job], [job])
    assert isinstance(progress_for(times, total=2, quiet=False), PlainLines)
    for name in where:
        monkeypatch.setenv(name, {"TERM": "xterm", "COLUMNS": "100"}.get(name, ""))
        if name in NOTEBOOK_VARIABLES:
            monkeypatch.delenv(name)
    assert isinstance(progress_for(times, total=2, quiet=False), Bars)


def test_a_run_without_figures_shows_its_reason(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    times = TimeEstimate([job], [job])
    failed = Run("c", 2, 768, 2, 50, 62_891, status="failed", reason="out of memory")
    shown(progress_for(times, total=1, quiet=False), times, job, failed, 1)
    assert "  failed: out of memory" in capsys.readouterr().err.splitlines()
