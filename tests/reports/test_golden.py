"""Whole documents as they are written, so that no change of a figure or a sentence goes unseen.

``python tests/reports/test_golden.py`` writes them anew after a change that was meant.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from report_cases import (
    CONTEXT_DIM,
    MATRIX,
    SHALLOW_WIDE,
    full_summary,
    html,
    markdown,
    published,
    report,
    simulated,
    with_failures,
)

from cvfp_cli.reports.compare import build_comparison
from cvfp_cli.reports.model import Report
from cvfp_cli.reports.plain import render_plain
from cvfp_cli.reports.text import load_language

GOLDEN = Path(__file__).parent / "golden"


def matrix() -> Report:
    return report(published(MATRIX), earlier=published(SHALLOW_WIDE), earlier_name="shallow-wide.json")


def sweep() -> Report:
    return report(full_summary(with_failures(simulated(seeds=(0, 1, 2), token_effect=-0.3))))


def december() -> Report:
    return report(published(CONTEXT_DIM), laws_fitted=("power", "saturating"), sections=("summary", "laws"))


def comparison() -> str:
    made, _ = build_comparison(
        [published(CONTEXT_DIM)], names=["x"], law="saturating", objective="ppl", x="samples"
    )
    return render_plain(made, load_language("en"))


DOCUMENTS: dict[str, Callable[[], str]] = {
    "matrix.en.md": lambda: markdown(matrix(), "en"),
    "matrix.ja.md": lambda: markdown(matrix(), "ja"),
    "matrix.en.html": lambda: html(matrix(), "en"),
    "sweep.en.md": lambda: markdown(sweep(), "en"),
    "sweep.ja.md": lambda: markdown(sweep(), "ja"),
    "sweep.ja.html": lambda: html(sweep(), "ja"),
    "december.ja.md": lambda: markdown(december(), "ja"),
    "compare.en.txt": comparison,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_the_one_kept(name: str) -> None:
    kept = (GOLDEN / name).read_bytes().decode()
    assert DOCUMENTS[name]().splitlines() == kept.splitlines()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for file, write in DOCUMENTS.items():
        (GOLDEN / file).write_bytes(write().encode())
