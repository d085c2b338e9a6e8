"""What may not be meant is asked about on a terminal, and refused without one unless ``--yes`` is given."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cvfp = Callable[..., Any]
SMALL = ("--layers", 1, "--tokens", 1, "--samples", 4, "--device", "cpu")


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this process's input a terminal on which somebody types the lines."""

    def typed(lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(lines))
        monkeypatch.setattr("cvfp_cli.cli.asking._somebody_is_there", lambda: sys.stdin.isatty())

    return typed


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def swept(cvfp: Cvfp, study: Path, tmp_path: Path) -> tuple[object, ...]:
    """A command line whose study is done."""
    words = ("sweep", "--recipe", study, "--out", tmp_path / "out", *SMALL)
    assert cvfp(*words).code == 0
    return words


def test_fresh_without_a_terminal_is_refused_and_says_what_it_would_do(
    cvfp: Cvfp, swept: tuple[object, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = contents(out)
    refused = cvfp(*swept, "--fresh")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"cvfp: --fresh sets 1 finished run of {out} aside in {out / 'old-1'} and starts over. "
        "Nothing is deleted. If it is meant, add --yes.\n"
    )
    assert contents(out) == before
    assert cvfp(*swept, "--fresh", "--dry-run").code == 0
    assert contents(out) == before
    done = cvfp(*swept, "--fresh", "--yes")
    assert done.code == 0
    assert f"note: 1 finished run of {out} set aside in {out / 'old-1'}." in done.err
    old = {name.removeprefix("old-1/"): data for name, data in contents(out).items() if name[:4] == "old-"}
    assert old == before
    assert cvfp("fit", out).code == cvfp("fit", out / "old-1").code


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "nein\n"])
def test_no_leaves_everything(
    cvfp: Cvfp, swept: tuple[object, ...], tmp_path: Path, answers: Callable[[str], None], answer: str
) -> None:
    before = contents(tmp_path / "out")
    answers(answer)
    stopped = cvfp(*swept, "--fresh")
    assert (stopped.code, stopped.out) == (1, "")
    assert stopped.err.endswith("Nothing is deleted.\nGo on? [y/N] Nothing was changed.\n")
    assert contents(tmp_path / "out") == before


def test_ctrl_c_leaves_everything(
    cvfp: Cvfp,
    swept: tuple[object, ...],
    tmp_path: Path,
    answers: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    before = contents(tmp_path / "out")
    answers("")
    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    assert cvfp(*swept, "--fresh").code == 130
    assert contents(tmp_path / "out") == before


def test_yes_on_the_terminal_goes_on(
    cvfp: Cvfp, swept: tuple[object, ...], tmp_path: Path, answers: Callable[[str], None]
) -> None:
    answers("y\n")
    done = cvfp(*swept, "--fresh")
    assert done.code == 0
    assert "[1/1]" in done.err
    assert (tmp_path / "out" / "old-1" / "summary.json").is_file()


def test_fresh_asks_nothing_where_there_is_nothing(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    words = ("train", "--recipe", study, "--out", tmp_path / "out", "--device", "cpu")
    assert cvfp(*words, "--samples", 4, "--fresh").code == 0
    # Another run of the study is none that this command would touch.
    assert cvfp(*words, "--samples", 8, "--fresh").code == 0
    words = (*words, "--samples", 4)
    assert not list((tmp_path / "out").glob("old-*"))
    refused = cvfp(*words, "--fresh")
    assert refused.code == 2
    assert "--fresh sets 1 finished run of " in refused.err
    assert cvfp(*words, "--fresh", "-y").code == 0
    assert [path.name for path in (tmp_path / "out" / "old-1" / "runs").iterdir()] == ["1L_8d_1tok_s4_seed42"]
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


def test_another_study_s_refusal_says_that_fresh_keeps_it(cvfp: Cvfp, swept: tuple[object, ...]) -> None:
    refused = cvfp(*swept, "--set", "phase2.epochs=3")
    assert refused.err.endswith("or start over with --fresh, which sets aside what is there.\n")


def test_a_long_range_is_asked_about(
    cvfp: Cvfp, study: Path, tmp_path: Path, answers: Callable[[str], None]
) -> None:
    grid = ("--layers", 1, "--tokens", 1, "--samples", 4, "--seeds", "1-31", "--device", "cpu")
    words = ("sweep", "--recipe", study, "--out", tmp_path / "out", *grid)
    refused = cvfp(*words)
    assert refused.code == 2
    assert (
        refused.err
        == "cvfp: --seeds 1-31 is 31 seeds, each trained. Ten are --seeds 1-10. If it is meant, add --yes.\n"
    )
    planned = cvfp(*words, "--dry-run")
    assert planned.code == 0
    assert "31 runs, 0 done already" in planned.out
    answers("no\n")
    assert cvfp(*words).code == 1
    assert not (tmp_path / "out").exists()
    answers("yes\n")
    assert "[31/31]" in cvfp(*words).err


def test_thirty_values_and_lists_are_not_asked_about(cvfp: Cvfp, study: Path) -> None:
    from cvfp_cli.cli.study import large_ranges

    for written in (["1-30"], ["100-3000:100"], [",".join(map(str, range(40)))], ["x"], None):
        assert large_ranges({"runs.samples": ("--samples", written)}) == []
    assert len(large_ranges({"runs.samples": ("--samples", ["1-31,100-200"])})) == 2


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seeds", "3", "note: --seeds 3 is one seed, number 3; 3 seeds are --seeds 42-44."),
        ("--data-seeds", "2", "note: --data-seeds 2 is one seed, number 2; 2 seeds are --data-seeds 42-43."),
        ("--seeds", "42", ""),
        ("--seeds", "1", ""),
        ("--seeds", "1,3", ""),
        ("--seeds", "1-3", ""),
    ],
)
def test_a_number_of_seeds_is_told_from_a_seed(
    cvfp: Cvfp, study: Path, tmp_path: Path, option: str, value: str, said: str
) -> None:
    words = ("sweep", "--recipe", study, "--out", tmp_path / "out", *SMALL, option, value, "--dry-run")
    planned = cvfp(*words)
    assert planned.code == 0
    assert [line for line in planned.err.splitlines() if line.startswith("note:")] == [said] * bool(said)
