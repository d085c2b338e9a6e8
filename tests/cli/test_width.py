"""What is printed on terminals of 80 and 120 columns, and in a pipe: every figure, no line too long, none broken."""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cli_fakes import shown_job
from rich.console import Console

from cvfp_cli.cli import app
from cvfp_cli.cli.progress import NOTEBOOK_VARIABLES, Bars, progress_for
from cvfp_cli.cli.summary import print_run, print_summary
from cvfp_cli.cli.terminal import screen, shown
from cvfp_cli.core.result import Advance, Epoch, Iteration
from cvfp_cli.layout import cells
from cvfp_cli.results import Run, Seconds
from cvfp_cli.scaling import summary_fits
from cvfp_cli.sweeps.estimate import TimeEstimate

TESTS = Path(__file__).parents[1]
PUBLISHED = json.loads((TESTS / "published_results.json").read_text(encoding="utf-8"))["runs"]
STUDIES = sorted({run["study"] for run in PUBLISHED})
FIGURE = re.compile(r"[-+]?\d[\d,.]*(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|e-?\d+)?%?")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def written(path: Path, *studies: str, **changes: object) -> Path:
    runs = [{**run, **changes} for run in PUBLISHED if run["study"] in studies]
    path.write_text(json.dumps({"runs": runs}, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(params=["one study", "three studies", "wide letters", "legacy", "all layers"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Result files with short and long labels, East Asian letters, and an old script's."""
    file = tmp_path / "summary.json"
    match request.param:
        case "one study":
            return written(file, "2025-11-30-matrix")
        case "three studies":
            return written(
                file, "2025-11-29-shallow-wide", "2025-12-03-context-dim", "2025-11-29-effective-rank"
            )
        case "wide letters":
            runs = [
                {**run, "config": f"{run['config']}_層と入力トークンの実験"}
                for run in PUBLISHED
                if run["study"] == "2025-12-03-context-dim"
            ]
            file.write_text(json.dumps({"runs": runs}), encoding="utf-8")
            return file
        case "legacy":
            return TESTS / "results" / "legacy" / "detailed_results.json"
    return written(file, "2025-11-29-architectures")


def printed(
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    width: int | None,
    *words: str,
) -> str:
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert app.run([*words]) == 0
    return capsysbinary.readouterr().out.decode()


@pytest.mark.parametrize(
    "command", [("compare", "--lang", "en"), ("compare", "--lang", "ja"), ("fit", "--model", "power")]
)
def test_answers_fit_and_hold_every_figure(
    command: tuple[str, ...],
    results: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, *options = command
    pipe = printed(capsysbinary, monkeypatch, None, name, str(results), *options)
    known = set(FIGURE.findall(pipe))
    for width in (80, 120):
        text = printed(capsysbinary, monkeypatch, width, name, str(results), *options)
        text = text.split(" both logarithmic")[0]
        assert max(map(cells, text.splitlines())) <= width
        assert known <= set(FIGURE.findall(text))


def test_tables_in_a_pipe_take_120_columns_and_sentences_one_line(
    results: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(capsysbinary, monkeypatch, None, "compare", str(results), "--lang", "en")
    rules = [line for line in text.splitlines() if set(line) == {"-"}]
    assert rules
    assert max(map(len, rules)) <= 120
    assert re.search(r"^  Intervals of α and A: .* grow or shrink with the size\.$", text, re.MULTILINE)


def runs_of(study: str, config: str = "{}") -> list[Run]:
    found = [Run(**run) for run in PUBLISHED if run["study"] == study]
    return [
        replace(run, config=config.format(run.config), seconds=Seconds(61.0, 2.0, 3700.0)) for run in found
    ]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "config", ["{}", "{}_with_a_name_longer_than_any_table_has_room_for", "{}_層と入力の実験"]
)
def test_the_summary_of_a_sweep_fits(config: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(width))
    runs = runs_of("2025-11-30-matrix", config)
    runs += [
        replace(run, tokens=token, config=f"{run.config}{token}")
        for run in runs[:4]
        for token in range(4, 20)
    ]
    file = Terminal()
    print_summary(runs, summary_fits(runs), file)
    lines = file.getvalue().splitlines()
    assert max(map(cells, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for figure in (
        "-0.5461",
        "-0.756 to -0.336",
        "2.675e+05",
        "0.984",
        "198.2",
        "22.6%",
        "40*",
        "78.6%",
        "19 tok",
    ):
        assert figure in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_figures_of_one_run_fit(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(width))
    file = Terminal()
    failed = replace(runs_of("2025-11-30-matrix")[0], status="failed", reason="out of memory " * 12)
    print_run(failed, file)
    text = file.getvalue()
    assert max(map(cells, text.splitlines())) <= width
    assert " ".join(text.split()).count("out of memory") == 12
    assert not re.search(r"\d\n *(s|min)\b", text)


EVENTS = [
    Advance("phase1", 2, 40, 400, 1000),
    Iteration(2, -0.25, 0.1, -0.3, 0.75, 0.1),
    Advance("phase2", 1, 10, 1000, 1000),
    Epoch(9, 5.0, 148.41, 6.0, 403.43, 0.171, 0.3),
]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("large", [False, True])
def test_bars_keep_run_phase_epoch_and_time(width: int, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    for variable in NOTEBOOK_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    layers, wide, tokens, samples = (12, 12_288, 16, 1_000_000) if large else (2, 768, 2, 50)
    jobs = [
        shown_job(
            run_id,
            layers=layers,
            context_dim=wide,
            tokens=tokens,
            samples=samples,
            data_seed=123_456 if large else None,
        )
        for run_id in ("a", "b")
    ]
    times = TimeEstimate(jobs, jobs)
    progress = progress_for(times, total=2, quiet=False)
    assert isinstance(progress, Bars)
    monkeypatch.setattr(times, "left", lambda: 7_384.0)
    clock = iter(range(1000))
    monkeypatch.setattr("cvfp_cli.cli.progress.time.monotonic", lambda: float(next(clock)))
    progress.started(jobs[0], 1, 2)
    for event in EVENTS:
        progress.advanced(jobs[0], event)
    file = io.StringIO()
    Console(file=file, width=width).print(progress._progress.get_renderable())
    runs, phase = file.getvalue().splitlines()
    assert max(cells(runs), cells(phase)) <= width
    assert "1/2" in runs
    assert "about 2 h 03 min left" in runs
    assert ("12L_12288d_16tok" if large else "2L_768d_2tok, 50 samples, seed 42") in runs
    assert re.search(r"^phase 2 .* 10/10 at most \d.* s .*val PPL 403\.4, accuracy 17\.1%", phase)


def test_messages_are_folded_on_a_terminal_alone_and_commands_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "the run took 5.9 s and left a long trace of words. To go on:\n  cvfp sweep --recipe demo --out a/long/folder"
    assert shown(text, io.StringIO()) == text
    lines = shown(text, Terminal()).splitlines()
    assert lines[-1] == "  cvfp sweep --recipe demo --out a/long/folder"
    assert all(len(line) <= 40 for line in lines[:-1])
    assert " ".join(line.strip() for line in lines[:-1]) == text.split("\n")[0]
    behind_bars = io.StringIO()
    behind_bars.rich_proxied_file = Terminal()  # type: ignore[attr-defined]
    assert screen(behind_bars).folds
