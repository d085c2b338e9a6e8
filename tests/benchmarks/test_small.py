"""Every program of benchmarks/ in its small form: that it works, never how long it takes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What the programs share.
PARTS = {name + ".py" for name in ("ceiling", "synthetic")}


def run(arguments: list[str], cache: Path) -> str:
    """What a program prints; it must end well."""
    environment = os.environ | {"CVFP_CACHE_DIR": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(BENCHMARKS / arguments[0]), *arguments[1:]]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cache)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty short samples, so that no program has to read the embedded text."""
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    lines = [" ".join(f"word{(i * j) % 37} of line {j}" for j in range(40)) for i in range(20)]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["training.py", "--small"], r"3L_32d_3tok: .* % of the ceiling"),
        (["memory.py", "--small"], r"20,000 +[0-9.]+ (.|\n)*of the host's memory"),
        (["recurrence.py", "--small"], r"3L_32d_3tok: .* times faster"),
        (["cached.py", "--small"], r"(.|\n)*3L_32d_3tok: .* times against the other"),
        (["end_to_end.py", "--small"], r"(.|\n)*GRU: (.|\n)* times the loop, [\d.]+ times the GRU"),
        (["arithmetic.py", "--small"], r"products: [\d.]+ s, \d+ %"),
        (["startup.py", "--small"], r"cvfp report: [\d.]+ s"),
        (
            ["error_coverage.py", "--sets", "3"],
            r"joint 6x6, common 0.9, Huber(.|\n)*alpha \| no interval \| 100 %(.|\n)*3 sets",
        ),
        (
            ["fit_coverage.py", "--sets", "5", "--only", "^(power|saturating, 4 sizes)$"],
            r"of \d+ figures in 2 cells",
        ),
        (
            ["mark_coverage.py", "--sets", "4"],
            r"\| 9 \| 4 × 1 \| 0, 1 % \| [\d.]+ \|(.|\n)*\| 9 \| 6 × 1 \| ×4 \| no \| [\d.]+ \|",
        ),
        (["plan_gain.py", "--sets", "2", "--only", "ppl@2e6"], r"\| ppl@2e6 \| 1 \|(.|\n)*2 sets"),
        (["fit_optimum.py", "--sets", "3", "--starts", "3"], r"3 data sets, 3 random starts each"),
        (["fit_rivals.py", "--sets", "3", "--draws", "5", "--joint-runs", "12"], r"bootstrap 0: E "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_program(arguments: list[str], shown: str, tmp_path: Path) -> None:
    assert re.search(shown, run(arguments, tmp_path))


def test_data_times(dialogues: Path, tmp_path: Path) -> None:
    options = ["--data", str(dialogues), "--validation", "last:4"]
    printed = run(["data_times.py", "--small", *options], tmp_path)
    assert printed.count("table ready") == 2


def test_matrix_and_precision(dialogues: Path, tmp_path: Path) -> None:
    """The same sweep cold and cached gives the same figures, which the other program confirms."""
    kept = tmp_path / "kept"
    printed = run(["matrix.py", "--small", "--data", str(dialogues), "--keep", str(kept)], tmp_path)
    assert re.search(r"cached: 4 runs in [\d.]+ s", printed)
    summaries = [str(kept / name / "summary.json") for name in ("cold", "cached")]
    verdict = run(["precision.py", *summaries], tmp_path)
    assert verdict.endswith("figures do not move\n")
    assert verdict.count("mean +0.00000 ± 0.00000 over 2 runs, kept") == 2


def test_cards(dialogues: Path, tmp_path: Path) -> None:
    """One run at a time and two give the same figures; the queue is simulated with their times."""
    kept = tmp_path / "kept"
    options = ["--small", "--warm", "--data", str(dialogues), "--jobs", "1,2", "--keep", str(kept)]
    printed = run(["cards.py", *options], tmp_path)
    assert re.search(r"2 at a time: 4 runs in [\d.]+ s, .* figures equal", printed)
    assert re.search(r"64 workers: the queue predicts", printed)
    alone = run(["cards.py", "--times", str(kept / "jobs-1"), "--jobs", "1,2"], tmp_path)
    assert "1 worker, 4 runs: the queue predicts" in alone
    assert "an efficiency of 100% (100% without" in alone


def test_every_program_is_tried() -> None:
    tried = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text()))
    assert {path.name for path in BENCHMARKS.glob("*.py")} == tried | PARTS
