"""What comes from elsewhere cannot steer a terminal, on stderr or in a table."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.cli import summary, writing
from cvfp_cli.cli.app import run
from cvfp_cli.cli.terminal import printable
from cvfp_cli.results.schema import Run

HOSTILE = "a\x1b[31mb\x07c\u202ed\u2066e\x85f\u2028g"


def test_what_a_terminal_acts_on_is_written_as_an_escape() -> None:
    assert printable(HOSTILE) == r"a\x1b[31mb\x07c\u202ed\u2066e\x85f\u2028g"
    for harmless in ("α = −0.52", "日本語\u3000の名", "two\nlines", "a\u00a0b"):
        assert printable(harmless) == harmless


@given(st.text())
def test_nothing_but_line_ends_and_spaces_remains(text: str) -> None:
    assert all(letter.isprintable() or letter.isspace() for letter in printable(text))
    assert "\x1b" not in printable(text)
    assert printable(printable(text)) == printable(text)


def test_a_path_in_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", f"/nowhere/{HOSTILE.replace('/', '')}.json"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert r"\x1b[31m" in said
    assert len(said.splitlines()) == 1


def test_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    writing.warn(HOSTILE)
    assert capsys.readouterr().err.isascii()


@pytest.mark.parametrize("reason", [HOSTILE, "[red]not markup[/]", "[/]", ":smile:"])
def test_the_reason_of_a_failed_run_stands_as_it_is(reason: str) -> None:
    shape: dict[str, Any] = {"config": "1L_8d_1tok", "layers": 1, "context_dim": 8, "tokens": 1}
    failed = Run(**shape, samples=5, train_tokens=90, status="failed", reason=reason)
    for show in (
        lambda out: summary.print_summary([failed], [], out),
        lambda out: summary.print_run(failed, out),
    ):
        out = io.StringIO()
        show(out)
        assert printable(reason) in out.getvalue()


def test_a_label_from_a_tables_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "x\x1b[2J|`<b>\n# http://y", "n": size, "loss": 9 / size} for size in (1, 2, 4, 8)]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows))
    command = ["fit", str(path), "--x", "n", "--y", "loss", "--group", "name", "--model", "power", "--quiet"]
    for form, shown in (
        ("table", r"x\x1b[2J|`<b>\n# http://y"),
        ("markdown", r"x\\x1b[2J|\`\<b>\\n# http\://y"),
    ):
        assert run([*command, "--format", form]) == 0
        out = capsys.readouterr().out
        assert shown in out
        assert "\x1b" not in out
