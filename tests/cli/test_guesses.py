"""A first wrong guess is answered in one line: what is wrong, where, and the right word; exit code 2."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from cvfp_cli.cli.guesses import COMMANDS, OPTIONS, VALUES
from cvfp_cli.cli.guesses import option_for as guessed
from cvfp_cli.spelling import like, nearest

Cvfp = Callable[..., Any]
PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text(encoding="utf-8"))

GUESSES = {
    # commands
    "run": "no command 'run'. Did you mean 'cvfp train'?",
    "Train": "'cvfp train'",
    "swep --layers 1": "'cvfp sweep'",
    "summary": "'cvfp report'",
    "help sweep": "'cvfp --help'",
    "version": "'cvfp --version'",
    "list": "'cvfp sweep --list-recipes'",
    "init": "Did you mean 'cvfp sweep --print-recipe demo'?",
    "cache": "Did you mean 'cvfp sweep --cache-dir FOLDER'?",
    "demo": "'cvfp sweep --recipe demo'",
    "zzz": "There are train, sweep, fit, compare, report, plan, evaluate, generate, export, data.",
    "perplexity": "Did you mean 'cvfp evaluate'?",
    "convert": "Did you mean 'cvfp export'?",
    "data exprot": "'cvfp data export'",
    "data zzz": "no command 'zzz'. There are export.",
    "data export pydocs x.jsonl --overwrite": "no option --overwrite. Did you mean --force?",
    "data export": "",
    "-V": "--version",
    "--layers 3 sweep": "stand behind it",
    # options
    "train --layer 3": "no option --layer. Did you mean --layers?",
    "sweep --sample 3": "no option --sample. Did you mean --samples?",
    "sweep --out_dir x": "Did you mean --out?",
    "sweep --output x": "Did you mean --out?",
    "sweep --context_dim 5": "Did you mean --context-dim?",
    "sweep --seed 3": "Did you mean --seeds?",
    "train --seeds 3": "Did you mean --seed?",
    "sweep --epochs 3": "Did you mean --set phase2.epochs=…?",
    "sweep --lr 0.1": "phase2.learning_rate",
    "sweep --batch-size 8": "phase2.batch_tokens",
    "sweep --dataset x": "Did you mean --data?",
    "sweep --gpu": "Did you mean --device cuda?",
    "sweep --force": "Did you mean --fresh?",
    "sweep --resume": "no option --resume. A sweep goes on by itself: give the same command again.",
    "sweep --continue": "A sweep goes on by itself",
    "train --continue": "Did you mean --resume?",
    "sweep --restart": "Did you mean --fresh?",
    "sweep --no_confirm": "Did you mean --yes?",
    "train --print-config demo": "Did you mean --print-recipe?",
    "report --language ja": "Did you mean --lang?",
    "report --html": "Did you mean --format html?",
    "fit --law power": "Did you mean --model?",
    "fit --ci 0.9": "Did you mean --level?",
    "compare --debugg": "no option --debugg. See 'cvfp compare --help'.",
    "sweep --recipe": "--recipe needs a value: NAME|FILE.",
    "sweep --layers 1 2 3": "unexpected: 2 3. A list is written with commas",
    "sweep --set phase2.epochs 3": "a setting with =",
    "train extra": "unexpected: extra.",
    # values
    "sweep --layers 1..3": "--layers: '1..3' is neither a whole number nor a range. Write 1-3.",
    "sweep --layers 1:3": "Write 1-3.",
    "sweep --samples 100:500:100": "Write 100-500:100.",
    "sweep --samples 100-500/100": "Write 100-500:100.",
    "sweep --samples 100-500:0": "--samples: the range 100-500:0 has no step.",
    "sweep --samples 500-100:100": "Write 100-500:100.",
    "sweep --samples 100-300": "is 201 sizes, each trained. In steps it is --samples 100-300:100. "
    "If it is meant, add --yes.",
    "sweep --seeds 1-100 --samples 50": "is 100 seeds, each trained. Ten are --seeds 1-10.",
    "sweep --context-dim 64-768": "is 705 values, each trained.",
    "sweep --samples 1-5000": "more than 1000 values. Give fewer, such as 1-5000:",
    "sweep --print-recipe matrix": "no recipe 'matrix' comes with cvfp. Did you mean 2025-11-30-matrix?",
    "train --print-recipe zzz": "There are 2025-11-27-3l",
    "sweep --layers 1,,3": "--layers: a comma in '1,,3' has no number beside it.",
    "sweep --layers '1 2'": "--layers: '1 2'",
    "sweep --samples 1k": "--samples: '1k'",
    "sweep --tokens 0": "--tokens: 0 is too small; the least is 1.",
    "sweep --recipe matrix": "Did you mean 2025-11-30-matrix?",
    "sweep --recipe 2025-11-30": "Did you mean 2025-11-30-matrix?",
    "train --recipe demo.toml": "Did you mean demo?",
    "sweep --device gpu": "--device: no 'gpu'. Did you mean cuda?",
    "sweep --device cuda:x": "Write cuda:0.",
    "sweep --precision fp16": "--precision: no 'fp16'. Did you mean bf16?",
    "sweep --precision fp32": "Did you mean float32?",
    "sweep --memory lots": "Write 2GB or 512MiB.",
    "sweep --threads two": "--threads: a whole number is wanted.",
    "sweep --set epochs=3": "did you mean phase2.epochs?",
    "sweep --set phase2.lr=3": "phase2.learning_rate",
    "sweep --set phase2.zzz=3": "phase2 has learning_rate, epochs",
    "fit --model exp_decay": "--model: no 'exp_decay'. Did you mean exp-decay?",
    "fit --model=power-law": "Did you mean power?",
    "fit --model exponential": "Did you mean exp-decay?",
    "fit --format jsn": "--format: no 'jsn'. Did you mean json?",
    "fit --format md": "Did you mean markdown?",
    "fit --level 95": "--level: 95 does not lie between 0 and 1. Did you mean 0.95?",
    "fit --level high": "--level: a number is wanted.",
    "fit --x sample": "Did you mean samples?",
    "fit --y ppl": "Did you mean val_ppl?",
    "fit --plot a.jpg": "--plot: a.jpg must end in .png, .svg or .pdf.",
    "fit --plot nope/a.png": "--plot: there is no folder nope.",
    "fit --predict 1X": "--predict: '1X' is not a number. Write 1e6",
    "fit --bootstrap-kind wild": "There are residual, parametric, case.",
    "fit --configs 1L_768d_9tok": "Did you mean 1L_768d_",
    "report --lang jp": "--lang: no 'jp'. Did you mean ja?",
    "report --format pdf": "There are markdown, html, json.",
    "report --sections law": "Did you mean laws?",
    "report --laws exp_decay": "Did you mean exp-decay?",
    "report -o a.pdf": "--out: a.pdf must end in .md",
    "report -o nope/a.md": "--out: there is no folder nope.",
    "report -o results": "--out: results is a folder.",
    "compare --by context-dim": "Did you mean context_dim?",
    "compare --x tokens": "Did you mean train_tokens?",
    "compare --level 2": "--level: 2",
    # files
    "fit summary": "summary: there is no such file. Did you mean results/summary.json?",
    "fit results/sumary.json": "Did you mean results/summary.json?",
    "report summary.json": "Did you mean results/summary.json?",
    "compare a": "a: there is no such file. Did you mean results/summary.json?",
    "report empty": "empty holds neither summary.json nor runs/.",
    "report --previous old.json": "old.json: there is no such file.",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study in results/ and an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CVFP_LANG", "en")
    runs = [run for run in PUBLISHED["runs"] if run["study"] == "2025-11-30-matrix"]
    (tmp_path / "results").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "results" / "summary.json").write_text(json.dumps({"runs": runs}))
    return tmp_path


@pytest.mark.parametrize("typed", GUESSES)
def test_the_answer_is_one_line_with_the_right_word(cvfp: Cvfp, here: Path, typed: str) -> None:
    answer = cvfp(*shlex.split(typed))
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("cvfp: ")
    assert GUESSES[typed] in lines[0]
    assert len(lines[0]) < 250


@pytest.mark.parametrize("command", ["fit", "report", "compare"])
def test_where_there_are_no_results_the_sweep_is_named(
    cvfp: Cvfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cvfp(command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "cvfp: results/summary.json: there is no such file. Name results, or make some with cvfp sweep.\n"
    )
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "summary.json").write_text("{}")
    assert "Did you mean first/summary.json?" in cvfp(command).err


def test_all_missing_files_are_named(cvfp: Cvfp, here: Path) -> None:
    answer = cvfp("compare", "a.json", "results", "b.json")
    assert answer.code == 2
    assert [line.split(":")[1].strip() for line in answer.err.splitlines()] == ["a.json", "b.json"]


def test_all_that_is_wrong_with_a_comparison_is_told_at_once(cvfp: Cvfp, here: Path) -> None:
    answer = cvfp("compare", "a.json", "--format", "jsn", "--level", "3", "--plot", "a.bmp")
    assert answer.code == 2
    told = [line.split(":")[1].strip() for line in answer.err.splitlines()]
    assert told == ["--format", "--level", "--plot", "a.json"]


@pytest.mark.parametrize("name", ["train", "sweep", "fit", "compare", "report"])
def test_every_word_offered_for_an_option_exists(name: str) -> None:
    import typer

    from cvfp_cli.cli import app as door

    command: Any = typer.main.get_command(door.app).get_command(None, name)  # type: ignore[attr-defined, arg-type]
    options = [option for param in command.params for option in param.opts if option.startswith("-")]
    for word in OPTIONS:
        right = guessed(f"--{word}", options)
        assert not right or right.split()[0] in options


def test_the_tables_name_words_that_exist() -> None:
    from cvfp_cli.cli import app as door
    from cvfp_cli.cli import choices, compare, fit, report

    assert {right.split()[0] for right in COMMANDS.values()} <= {*door.COMMANDS, "--help", "--version"}
    listed = [getattr(choices, name) for name in vars(choices) if name.isupper()]
    known = {word for words in (*listed, compare.FORMATS, fit.FORMATS, report.FORMATS) for word in words}
    assert set(VALUES.values()) <= known


def test_what_a_shell_is_offered_is_what_the_commands_take() -> None:
    from cvfp_cli.cli import choices
    from cvfp_cli.data.config import Empty
    from cvfp_cli.laws import names
    from cvfp_cli.laws.registry import LAWS
    from cvfp_cli.reports.build import SECTIONS
    from cvfp_cli.reports.text.language import LANGUAGES
    from cvfp_cli.scaling.bootstrap import KINDS
    from cvfp_cli.scaling.fits import OBJECTIVES
    from cvfp_cli.scaling.study import ALL
    from cvfp_cli.sweeps.trackers import TRACKERS

    assert tuple(LAWS) == names.SINGLE
    assert (*LAWS, *names.JOINTS, ALL) == choices.LAWS_OR_ALL
    assert tuple(OBJECTIVES) == choices.OBJECTIVES
    assert tuple(KINDS) == choices.BOOTSTRAP_KINDS
    assert tuple(SECTIONS) == choices.SECTIONS
    assert tuple(LANGUAGES) == choices.LANGUAGES
    assert get_args(Empty) == choices.EMPTY
    assert tuple(TRACKERS) == choices.TRACKERS


@pytest.mark.parametrize(
    ("word", "words", "right"),
    [
        ("exp_decay", ["power", "exp-decay"], "exp-decay"),
        ("--Layers", ["--layers"], "--layers"),
        ("matrix", ["2025-11-30-matrix", "demo"], "2025-11-30-matrix"),
        ("2025-11", ["2025-11-30-matrix", "2025-12-03-x"], "2025-11-30-matrix"),
        ("zzz", ["power"], ""),
        ("", ["power"], ""),
        ("x" * 10_000, ["power"], ""),
    ],
)
def test_the_nearest_word(word: str, words: list[str], right: str) -> None:
    assert nearest(word, words) == right


def test_likeness_leaves_out_what_people_mix_up() -> None:
    assert like(" --Context_Dim ") == "context-dim"
