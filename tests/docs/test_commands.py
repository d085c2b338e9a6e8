"""Every command that the documentation shows can be typed: its options exist and its values are accepted.

A ``bash`` block holds commands that work; a ``console`` block shows commands after ``$`` with what they answer, which
may be an error. Commands of a ``bash`` block run up to where they would read text or results, or train.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from cvfp_cli.cli import app
from cvfp_cli.cli.choices import FACTORS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.exists()),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHELL_WORDS = {"do", "then", "else", "time", "nice", "!"}
OPTION = re.compile(r"--[a-z]")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block."""
    for _, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        yield language, text


def commands(block: str) -> list[list[str]]:
    """The programs that a shell would start for a block, each as its list of words, without redirections.

    Of a loop, the first round.
    """
    found: list[list[str]] = []
    variables: dict[str, str] = {}
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in [*lexer, ";"]:
            if skip:
                skip = False
            elif set(word) <= set("<>"):
                skip = True
            elif set(word) <= set("|;&()"):
                if words[:1] == ["for"]:
                    variables["$" + words[1]] = words[3]
                elif words:
                    found.append([variables.get(each, each) for each in words])
                words = []
            elif words or word not in SHELL_WORDS:
                words.append(word)
    return found


def shown(language: str) -> list[tuple[str, list[str]]]:
    """(page, words) of every command in blocks of a language."""
    return [
        (page.name, words)
        for page in PAGES
        for found, text in blocks(page)
        if found == language
        for words in commands(prompted(text) if language == "console" else text)
    ]


def prompted(text: str) -> str:
    """What was typed in a session: the lines after a ``$``."""
    return "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))


def cvfp(language: str) -> list[Any]:
    """cvfp's command lines; an ellipsis stands for more of the same."""
    lines = [
        (page, [word for word in words[1:] if word != "…"])
        for page, words in shown(language)
        if words[0] == "cvfp"
    ]
    return [pytest.param(words, id=f"{page}: {' '.join(words)}") for page, words in lines]


class Reached(typer.Exit):
    """A command line was accepted: the work would begin here."""


@pytest.fixture
def nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace what a command does once its options are read; in a folder with the recipes that pages name."""

    from cvfp_cli.study.sources import Inputs

    def reached(*_: Any, **__: Any) -> Any:
        raise Reached(0)

    def groups(*_: Any, **__: Any) -> Any:
        from cvfp_cli.study.points import Points

        sizes = np.array([1e4, 2e4, 4e4, 8e4, 1.6e5])
        y, models = 100 + 1e5 * sizes**-0.6, np.array([1e6, 4e6, 1e6, 2e6, 4e6])
        return (Points(x=sizes, y=y, label="1L_8d_1tok", x_name="train_tokens", parameters=models),), ()

    monkeypatch.setattr("cvfp_cli.cli.study.checked_plan", reached)
    monkeypatch.setattr("cvfp_cli.study.sources.read_inputs", lambda *_, recover: Inputs((), (), ()))
    monkeypatch.setattr("cvfp_cli.study.sources.points_of", groups)
    monkeypatch.setattr("cvfp_cli.study.sources.pick", lambda found, _: found)
    monkeypatch.setattr("cvfp_cli.results.weights.read_model_config", reached)
    monkeypatch.setattr("cvfp_cli.sweeps.export.export_run", reached)
    for module in (
        "compare",
        "fit",
        "writing",
        "evaluate",
        "generate",
        "export",
    ):  # pages name files that a reader has and this folder has not
        monkeypatch.setattr(f"cvfp_cli.cli.{module}.check_there", lambda paths: None)
    monkeypatch.setattr("cvfp_cli.cli.writing.read_all", lambda paths, recover: [None for _ in paths])
    monkeypatch.setattr("cvfp_cli.reports.compare.build_comparison", reached)
    monkeypatch.setattr("cvfp_cli.reports.compare.factors_of", lambda results: FACTORS)
    monkeypatch.setattr("cvfp_cli.reports.build.build_report", reached)
    monkeypatch.setattr("cvfp_cli.study.families.families_of", reached)
    monkeypatch.setattr("cvfp_cli.reports.diff.build_difference", reached)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/summary.json").touch()
    demo = (ROOT / "src/cvfp_cli/recipes/demo.toml").read_text(encoding="utf-8")
    for _, words in shown("bash"):
        for name in (word for word in words if word.endswith(".toml")):
            assert (tmp_path / name).resolve().is_relative_to(tmp_path.resolve()), (
                f"a path of one machine: {name}"
            )
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(demo, encoding="utf-8")
    own = [text for language, text in blocks(ROOT / "docs/recipes.md") if language == "toml"]
    (tmp_path / "tickets.toml").write_text(own[0], encoding="utf-8")


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize("words", cvfp("bash"))
def test_a_command_is_accepted(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(words) == 0, capsys.readouterr().err


@pytest.mark.parametrize("words", cvfp("console"))
def test_the_options_of_a_session_exist(words: list[str]) -> None:
    command: Any = typer.main.get_command(app.app)
    for word in words[: 1 + (words[0] in app.GROUPS)]:
        command = command.get_command(None, word)
    known = {name for param in command.get_params(typer.Context(command)) for name in param.opts}
    assert {word for word in words if OPTION.match(word)} <= known | {"--debug"}


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize(
    "line",
    [
        "cvfp sweep --layer 1-3",
        "cvfp sweep --recipe demo --layers 3-1",
        "cvfp sweep --recipe demmo",
        "cvfp train --recipe demo --set phase2.epoch=3",
        "cvfp train --recipe demo --set phase2.epochs=many",
        "cvfp fit results/summary.json --model exp_decay",
        "cvfp fit results/summary.json --level high",
        "cvfp compare results --by depth",
        "cvfp report results --lang fr",
    ],
)
def test_a_wrong_command_is_not(line: str) -> None:
    assert app.run(commands(line)[0][1:]) == 2


def test_commands_of_a_shell_are_found() -> None:
    block = (
        "for p in a b; do cvfp sweep \\\n  --out $p; done  # note\ncvfp report | jq '.a | .b' > x.md && ls"
    )
    assert commands(block) == [
        ["cvfp", "sweep", "--out", "a"],
        ["done"],
        ["cvfp", "report"],
        ["jq", ".a | .b"],
        ["ls"],
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_its_language(page: Path) -> None:
    assert [text[:60] for language, text in blocks(page) if not language] == []


def test_the_programs_of_the_repository_exist() -> None:
    named = [word for _, words in shown("bash") for word in words if re.fullmatch(r"[\w/]+\.py", word)]
    assert "dev.py" in named
    assert [name for name in named if not (ROOT / name).is_file()] == []
