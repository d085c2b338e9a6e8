"""The reference part of each command's page is its ``--help-all``.

``python tests/cli/test_help.py`` writes it anew into every page that has the mark.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cvfp_cli.cli.app import PAGES

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(?<=<!-- reference -->\n)```text\n.*?```\n", re.DOTALL)


def reference(name: str) -> str:
    """The fenced block that a page holds after its mark."""
    shown = subprocess.run(
        [sys.executable, "-m", "cvfp_cli", *name.split(), "--help-all"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        check=True,
    )
    return f"```text\n{shown.stdout}```\n"


def pages() -> list[str]:
    """Commands that have a page with the mark."""
    return [name for name in PAGES if "<!-- reference -->" in page(name)]


def file(name: str) -> Path:
    """The page of a command, or of the group that it stands in."""
    return DOCS / f"{name.split()[0]}.md"


def page(name: str) -> str:
    """A command's page; empty where there is none."""
    path = file(name)
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.parametrize("name", pages())
def test_a_page_s_reference_is_the_help(name: str) -> None:
    assert BLOCK.findall(page(name)) == [reference(name)]


def test_every_command_has_its_page() -> None:
    assert pages() == list(PAGES)


@pytest.mark.parametrize("name", pages())
def test_every_option_of_a_page_s_examples_exists(name: str) -> None:
    known = set(re.findall(r"--[a-z][a-z-]*", reference(name)))
    for line in re.findall(rf"^cvfp {name} (.*)$", page(name), re.MULTILINE):
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= known


if __name__ == "__main__":
    for command in pages():
        text = BLOCK.sub(lambda _, command=command: reference(command), page(command))  # type: ignore[misc]
        file(command).write_text(text, encoding="utf-8")
