"""What pages show of an output that can be made at once is what the program prints."""

import re
from pathlib import Path

import pytest

from cvfp_cli.cli import app, summary
from cvfp_cli.results import read_results
from cvfp_cli.scaling import summary_fits

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests/published_results.json"


def text_blocks(name: str) -> list[str]:
    """The ``text`` blocks of a page."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_summary_of_a_sweep(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "112")
    runs = [run for run in read_results(PUBLISHED).runs if run.study == "2025-11-30-matrix"]
    summary.print_summary(runs, summary_fits(runs))
    assert capsys.readouterr().out in text_blocks("sweep.md")


def test_the_heatmap_of_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["report", str(PUBLISHED), "--sections", "heatmaps", "--lang", "en"]) == 0
    printed = capsys.readouterr().out
    shown = [block for block in text_blocks("report.md") if "input_tokens" in block]
    assert shown
    assert [block for block in shown if block not in printed] == []


def test_a_key_that_is_not_a_recipe_s(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    (typed, answered) = re.findall(r"^```console\n\$ cvfp (.*)\n((?:.*\n)*?)```$", page, re.MULTILINE)[0]
    assert app.run(typed.split()) == 2
    assert " ".join(capsys.readouterr().err.split()) == " ".join(answered.split())
