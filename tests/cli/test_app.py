"""The command line's door: help, version, wrong words, exit codes, and what is not imported on the way."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cvfp_cli import __version__
from cvfp_cli.cli import app as door
from cvfp_cli.cli.options import MORE
from cvfp_cli.errors import InputError, WorkError

HEAVY = ("torch", "transformers", "datasets", "pandas", "matplotlib", "scipy")


def cvfp(*arguments: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.run(
        [sys.executable, "-m", "cvfp_cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def imported_by(*arguments: str) -> set[str]:
    """Heavy modules in ``sys.modules`` of a fresh interpreter after one command line."""
    code = (
        "import sys\n"
        "from cvfp_cli.cli.app import run\n"
        f"code = run({list(arguments)!r})\n"
        f"print('HEAVY', code, *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code_word, *names = done.stdout.splitlines()[-1].split()[1:]
    assert code_word == "0", done.stderr
    return set(names)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *[[*name.split(), "--help"] for name in (*door.PAGES, *door.GROUPS)]],
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) == set()


SCREEN_ROWS = 48
"""A page on a screen of 50 rows, with the line that asked for it above and the prompt below."""


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize(
    "arguments", [["--help"], *[[*name.split(), "--help"] for name in (*door.PAGES, *door.GROUPS)]]
)
def test_help_fits_a_screen(arguments: list[str], columns: int) -> None:
    shown = cvfp(*arguments, columns=columns)
    lines = shown.stdout.splitlines()
    assert shown.returncode == 0
    assert len(lines) <= SCREEN_ROWS
    assert max(map(len, lines)) <= columns
    assert "\x1b" not in shown.stdout
    assert "\ncvfp " in shown.stdout


def command(name: str) -> Any:
    found: Any = typer.main.get_command(door.app)
    for word in name.split():
        found = found.get_command(None, word)
    return found


def first_sentence(name: str) -> str:
    """What the page above says about a command."""
    group, _, inner = name.rpartition(" ")
    return door.GROUPS[group][inner] if group else door.COMMANDS[name]


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", door.PAGES)
def test_every_option_appears_with_its_help_as_written(name: str) -> None:
    assert command(name).help.strip().startswith(first_sentence(name))
    page = squeezed(cvfp(*name.split(), "--help-all").stdout)
    for param in command(name).params:
        assert param.help
        if param.name != "help_all":
            assert squeezed(f"{param.metavar or ''} {param.help}") in page
            assert all(option in page for option in param.opts if option.startswith("-"))


@pytest.mark.parametrize("name", door.PAGES)
def test_help_names_what_only_help_all_explains(name: str) -> None:
    short, whole = (
        squeezed(cvfp(*name.split(), "--help").stdout),
        squeezed(cvfp(*name.split(), "--help-all").stdout),
    )
    rare = [param for param in command(name).params if getattr(param, "rich_help_panel", None) == MORE]
    assert rare
    for param in rare:
        assert param.opts[0] in short
        assert squeezed(param.help) not in short
        assert squeezed(param.help) in whole
    assert "--help-all" in short


def test_version_is_the_package_s() -> None:
    assert cvfp("--version").stdout == f"cvfp {__version__}\n"


@pytest.mark.parametrize("group", ["", *door.GROUPS])
def test_no_command_shows_the_help(group: str) -> None:
    shown = cvfp(*group.split())
    assert shown.returncode == 0
    assert shown.stdout == cvfp(*group.split(), "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["trian"], "cvfp train"),
        (["swep"], "cvfp sweep"),
        (["summary"], "cvfp report"),
        (["recipes"], "cvfp sweep --list-recipes"),
        (["zzz"], "train, sweep, fit, compare, report, plan, evaluate, generate, export, data"),
        (["data", "exprot"], "cvfp data export"),
        (["sample"], "cvfp generate"),
        (["train", "--layer", "3"], "--layers"),
        (["sweep", "--sample", "3"], "--samples"),
        (["sweep", "--recipy", "demo"], "--recipe"),
        (["--verson"], "--version"),
        (["train", "surplus"], "surplus"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line_with_the_right_one(arguments: list[str], answer: str) -> None:
    shown = cvfp(*arguments)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert answer in shown.stderr


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(door, "_invoke", fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("wrong.", hint="Do this."), 2, "cvfp: wrong. Do this.\n"),
        (InputError("first.\nsecond."), 2, "cvfp: first.\ncvfp: second.\n"),
        (WorkError("broken."), 1, "cvfp: broken.\n"),
        (
            OSError(28, "No space left on device", "/x/summary.json"),
            1,
            "cvfp: /x/summary.json: No space left on device\n",
        ),
        (MemoryError(), 1, "cvfp: out of memory.\n"),
        (KeyboardInterrupt(), 130, "cvfp: interrupted\n"),
    ],
)
def test_errors_become_lines_and_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    failing(monkeypatch, error)
    assert door.run([]) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(("more", "traceback"), [([], False), (["--debug"], True)])
def test_a_bug_is_shown_as_one_and_its_traceback_only_with_debug(more: list[str], traceback: bool) -> None:
    code = (
        "import sys\n"
        "from cvfp_cli.cli import app\n"
        f"sys.argv = ['cvfp', 'fit', *{more!r}]\n"
        "def fail(arguments):\n    raise ValueError('inside')\n"
        "app._invoke = fail\n"
        "app.main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stderr.splitlines()[-1].startswith("cvfp: bug in cvfp: ValueError: inside.")
    assert ("Traceback" in shown.stderr) == traceback
    assert ("--debug" in shown.stderr) != traceback


def test_a_user_s_error_shows_its_traceback_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, InputError("wrong."))
    assert door.run(["--debug"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "cvfp: wrong."


def test_a_reader_that_leaves_early_is_no_error_message() -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m cvfp_cli --help | head -1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cvfp s", ["sweep"]),
        ("cvfp train --lay", ["--layers"]),
        ("cvfp sweep --recipe 2025-12-03-c", ["2025-12-03-context-dim"]),
        ("cvfp train --device c", ["cpu", "cuda"]),
        ("cvfp train --precision t", ["tf32"]),
        ("cvfp sweep --recipe demo-d", ["demo-dual"]),
        ("cvfp fit --model e", ["exp-decay"]),
        ("cvfp fit --model power,s", ["power,saturating"]),
        ("cvfp fit --format j", ["json"]),
        ("cvfp report --lang j", ["ja"]),
        ("cvfp report --sections over", ["overview"]),
        ("cvfp compare --by context", ["context_dim"]),
        ("cvfp train --help-", ["--help-all"]),
    ],
)
def test_a_shell_is_offered_commands_options_and_their_words(typed: str, offered: list[str]) -> None:
    environment = {
        **os.environ,
        "_CVFP_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    code = "import sys; sys.argv = ['cvfp']; from cvfp_cli.cli.app import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert shown.stdout.split() == offered


def test_bash_completes_by_the_script_that_cvfp_shows(tmp_path: Path) -> None:
    program = tmp_path / "cvfp"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{COMPLETING}' \"$@\"\n")
    program.chmod(0o755)
    typing = """
        eval "$(_CVFP_COMPLETE=source_bash cvfp)"
        COMP_WORDS=(cvfp fit --model e) COMP_CWORD=3 COMPREPLY=()
        _cvfp_completion cvfp e --model
        echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    shown = subprocess.run(
        ["bash", "--norc", "-c", typing], capture_output=True, text=True, env=environment, check=False
    )
    assert shown.stdout == "exp-decay\n", shown.stderr


COMPLETING = 'import sys; sys.argv[0] = "cvfp"; from cvfp_cli.cli.app import main; main()'


@pytest.mark.parametrize("typed", ["cvfp fit --model e", "cvfp sweep --recipe d", "cvfp train --device c"])
def test_completion_imports_nothing_heavy(typed: str) -> None:
    code = (
        "import atexit, sys\n"
        "sys.argv = ['cvfp']\n"
        f"names = {(*HEAVY, 'numpy')!r}\n"
        "atexit.register(lambda: print('HEAVY', *[name for name in names if name in sys.modules]))\n"
        "from cvfp_cli.cli.app import main; main()\n"
    )
    environment = {**os.environ, "_CVFP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": "3"}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    words, heavy = shown.stdout.splitlines()[:-1], shown.stdout.splitlines()[-1]
    assert words
    assert heavy == "HEAVY"
