"""The page on file formats names every key and every note there is, and none that there is not."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.core.result import Epoch, Iteration
from cvfp_cli.results import Parameters, Run, Seconds, StageRecord, Summary

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")


def documented(heading: str) -> set[str]:
    """The keys in the first column of the first table below a line that starts with ``heading``."""
    after = PAGE[re.search(rf"^{re.escape(heading)}", PAGE, re.MULTILINE).start() :]  # type: ignore[union-attr]
    table = re.search(r"^\| .+\n\|[-|]+\n((?:\|.+\n)+)", after, re.MULTILINE)
    assert table is not None
    return {key for row in table[1].splitlines() for key in re.findall(r"`([a-z0-9_-]+)`", row.split("|")[1])}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## summary.json", Summary),
        ("### runs", Run),
        ("`parameters`:", Parameters),
        ("`seconds`, wall", Seconds),
        ("`stages`, one", StageRecord),
    ],
)
def test_every_key_of_the_schema_is_documented(heading: str, kind: type[Any]) -> None:
    assert documented(heading) == {item.name for item in fields(kind)}


def test_every_key_of_the_metrics_is_documented() -> None:
    assert documented("## metrics.jsonl") == {
        "phase",
        "stage",
        *(item.name for kind in (Iteration, Epoch) for item in fields(kind)),
    }


def codes_in_use() -> Iterator[str]:
    for path in (ROOT / "src" / "cvfp_cli" / "results").glob("*.py"):
        yield from re.findall(r'Note\(\s*"([a-z-]+)"', path.read_text(encoding="utf-8"))


def test_every_note_is_documented() -> None:
    assert documented("| note | severity") == set(codes_in_use())
