"""No message says "1 runs": a count and its noun come from ``counted``, everywhere."""

import re
from pathlib import Path

import pytest

from cvfp_cli.counting import agreeing, counted

SOURCE = Path(__file__).parents[1] / "src/cvfp_cli"
NOUNS = (
    "cells|characters|checkpoints|coefficients|columns|configurations|docstrings|epochs|files|fits|iterations|lines|"
    "pairs|parameters|points|replicates|rows|runs|samples|seeds|sizes|starts|studies|tokens|values"
)
BARE = re.compile(rf"\{{([^{{}}]+)\}} (?:complete |finished |validation |training )?(?:{NOUNS})\b")
# Where there are always several: a constant of the program, or what is only said of many.
SEVERAL = re.compile(
    r"[A-Z_]{4,}(?::,)?|k \+ 1|len\((?:value|chosen|groups|tables|columns|found|self)\)(?::,)?|fits\.tried"
    r"|part|blocks"  # no counts: the range "5-1" runs downwards; 1,000 + 2,000 parameters
)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1000, "1,000 runs"), (11, "11 runs")]
)
def test_a_count_and_its_noun(count: int, said: str) -> None:
    assert counted(count, "run") == said


def test_what_takes_no_s_and_what_has_a_verb() -> None:
    assert [counted(n, "study", "studies") for n in (1, 2)] == ["1 study", "2 studies"]
    assert [counted(n, "run is", "runs are") for n in (1, 2)] == ["1 run is", "2 runs are"]
    assert [agreeing(n, "epoch") for n in (0, 1)] == ["epochs", "epoch"]


@pytest.mark.pinned_only("about the project's own files")
def test_no_message_puts_a_plural_after_a_bare_count() -> None:
    """Sentences of the report have their own forms for one and for many, and so are left out."""
    found = [
        f"{path.relative_to(SOURCE)}: {match[0]}"
        for path in sorted(SOURCE.rglob("*.py"))
        if "reports/text" not in path.as_posix()
        for match in BARE.finditer(path.read_text(encoding="utf-8"))
        if not SEVERAL.fullmatch(match[1])
    ]
    assert found == []
