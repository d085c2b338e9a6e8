"""``cvfp report`` as a user runs it: bytes, languages, formats, options, wrong input, start-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cvfp_cli.cli import app

PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text(encoding="utf-8"))


def write_study(path: Path, study: str = "2025-11-30-matrix") -> Path:
    """A results file with a published study's runs."""
    runs = [run for run in PUBLISHED["runs"] if run["study"] == study]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"runs": runs}), encoding="utf-8")
    return path


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``results/summary.json`` of the matrix study in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("CVFP_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return write_study(tmp_path / "results" / "summary.json")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "cvfp_cli", *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_default_reads_results_and_writes_markdown(matrix: Path) -> None:
    done = command("report")
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.startswith(b"# CVFP scaling report: 2025-11-30-matrix\n")
    assert b"| 1L_768d_2tok | 1 | 2 | -0.5035" in done.stdout


@pytest.mark.pinned_only("Python decides it")
@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "cp932"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"LANG": "C", "LC_ALL": "C", "FORCE_COLOR": "1", "COLUMNS": "20", "TERM": "xterm-256color"},
    ],
)
def test_output_is_utf8_with_newlines_whatever_the_locale(matrix: Path, environment: dict[str, str]) -> None:
    plain = command("report", "--lang", "ja", PYTHONUTF8="1")
    other = command("report", "--lang", "ja", **environment)
    assert other.returncode == 0
    assert other.stdout == plain.stdout
    text = other.stdout.decode("utf-8")
    assert text.startswith("# CVFPスケーリング則レポート")
    assert "\r" not in text
    assert "\x1b" not in text


@pytest.mark.pinned_only("Python decides it")
def test_languages_by_option_variable_and_locale(matrix: Path) -> None:
    assert b"# CVFP scaling report" in command("report", LANG="C", LC_ALL="").stdout
    for environment in (
        {"CVFP_LANG": "ja"},
        {"LC_ALL": "ja_JP.UTF-8"},
        {"LC_ALL": "", "LANG": "ja_JP.UTF-8"},
    ):
        assert command("report", **environment).stdout.decode().startswith("# CVFPスケーリング則")
    assert command("report", "--lang", "en", CVFP_LANG="ja").stdout.startswith(b"# CVFP scaling report")


def test_a_file_is_written_as_its_name_says(matrix: Path) -> None:
    assert app.run(["report", "-o", "-"]) == 0
    assert not Path("-").exists()
    assert app.run(["report", "-o", "a.html"]) == 0
    assert Path("a.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert app.run(["report", "--out", "a.json"]) == 0
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["schema"] == "cvfp-report/1"
    assert app.run(["report", "-o", "a.md", "--lang", "ja"]) == 0
    assert Path("a.md").read_bytes().decode().startswith("# CVFPスケーリング則")
    assert app.run(["report", "-o", "b.txt", "--format", "html"]) == 0
    assert b"\r" not in Path("b.txt").read_bytes()


def test_sections_title_laws_and_previous(matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    earlier = write_study(Path("old.json"), "2025-11-29-shallow-wide")
    arguments = [
        "report",
        "--sections",
        "summary,previous",
        "--title",
        "Mine",
        "--previous",
        str(earlier),
        "--lang",
        "en",
    ]
    assert app.run(arguments) == 0
    text = capsysbinary.readouterr().out.decode()
    assert text.startswith("# Mine\n\n## 1. Summary of results\n")
    assert "## 2. Comparison with the previous study" in text
    assert "3L_1536d_2tok" in text
    assert app.run(["report", "--sections", "laws", "--laws", "power,saturating", "--lang", "en"]) == 0
    assert "ppl_min" in capsysbinary.readouterr().out.decode()
    assert app.run(["report", "--sections", "laws", "--laws", "all", "--format", "json"]) == 0
    laws = json.loads(capsysbinary.readouterr().out)
    assert "saturating" in json.dumps(laws)


def test_a_short_report_and_what_changed_between_two(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert app.run(["report", "--length", "short", "--lang", "en"]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert text.count("\n## ") == 2
    assert app.run(["report", "--length", "short", "--sections", "laws"]) == 2
    assert app.run(["report", "--length", "middle"]) == 2
    capsysbinary.readouterr()
    later = json.loads(matrix.read_text(encoding="utf-8"))
    later["runs"] = later["runs"][:-4]
    Path("later.json").write_text(json.dumps(later), encoding="utf-8")
    assert app.run(["report", "--diff", "results", "later.json", "--lang", "en"]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert "36 runs before, 32 now: 0 added, 4 gone, 0 with other figures." in text
    assert "| 3L_768d_3tok | 4 | 0 |" in text
    for wrong, said in (
        (["results"], b"there is 1"),
        (["results", "later.json", "--laws", "all"], b"--laws"),
    ):
        assert app.run(["report", "--diff", *wrong]) == 2
        assert said in capsysbinary.readouterr().err


def test_several_files_and_folders(matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    other = write_study(Path("dec.json"), "2025-12-03-context-dim")
    assert app.run(["report", "results", str(other), "--lang", "en"]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert "### Data of 2025-11-30-matrix" in text
    assert "1L_320d_1tok (2025-12-03-context-dim)" in text


def test_the_report_tells_the_command_that_makes_it_again(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert app.run(["report", "--lang", "en", "--title", "It's mine", "--sections", "reproduction"]) == 0
    first = capsysbinary.readouterr().out.decode()
    line = next(line for line in first.splitlines() if line.startswith("cvfp report"))
    import shlex

    assert app.run(shlex.split(line)[1:]) == 0
    assert capsysbinary.readouterr().out.decode() == first


def test_a_damaged_file_is_refused_and_recovered_on_request(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    matrix.write_bytes(matrix.read_bytes()[:4000])
    assert app.run(["report"]) == 2
    refused = capsysbinary.readouterr()
    assert refused.out == b""
    assert refused.err.count(b"\n") == 1
    assert app.run(["report", "--recover", "--lang", "en"]) == 0
    recovered = capsysbinary.readouterr()
    assert b"is damaged" in recovered.out
    assert b"warning" in recovered.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.json"], b"nothing.json"),
        (["--sections", "sumary"], b"Did you mean summary?"),
        (["--laws", "exp_decay"], b"Did you mean exp-decay?"),
        (["--format", "htm"], b"Did you mean html?"),
        (["--lang", "de"], b"--lang: no 'de'. There are en, ja."),
        (["--previous", "nothing.json"], b"nothing.json"),
        (["-o", "no/such/folder/x.md"], b"no/such/folder"),
        (["--laws", "joint"], b"parameter counts"),
    ],
)
def test_wrong_input_is_one_line(
    matrix: Path, arguments: list[str], told: bytes, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert app.run(["report", *arguments]) in (1, 2)
    shown = capsysbinary.readouterr()
    assert told in shown.err
    assert shown.out == b""
    assert b"Traceback" not in shown.err
    assert shown.err.count(b"\n") == 1


@pytest.mark.parametrize("name", ["report", "compare"])
def test_nothing_heavy_is_loaded(matrix: Path, name: str) -> None:
    program = (
        "import sys\n"
        "from cvfp_cli.cli.app import run\n"
        f"code = run([{name!r}, 'results'])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'matplotlib', 'scipy.stats'} & set(sys.modules)\n"
        "sys.stderr.write(f'{code} {sorted(heavy)}')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b"0 []"


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_ten_thousand_runs_make_a_report(tmp_path: Path) -> None:
    rows = [
        {
            "config": f"{layers}L_{width}d_{tokens}tok",
            "layers": layers,
            "context_dim": width,
            "tokens": tokens,
            "samples": samples,
            "train_tokens": samples * 1200,
            "study": "large",
            "val_ppl": 1e5
            * (samples * 1200) ** -0.5
            * (1 + 0.01 * ((layers * 7 + tokens * 5 + width + samples) % 11)),
        }
        for layers in range(1, 11)
        for tokens in range(1, 11)
        for width in range(64, 64 * 26, 64)
        for samples in (50, 100, 200, 500)
    ]
    assert len(rows) == 10_000
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"runs": rows}), encoding="utf-8")
    assert app.run(["report", str(path), "-o", str(tmp_path / "many.md"), "--lang", "en"]) == 0
    text = (tmp_path / "many.md").read_text(encoding="utf-8")
    assert "2,500 configurations, 4 sample counts, 10,000 runs" in text


def test_figures_lie_where_the_report_looks_for_them(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    pytest.importorskip("matplotlib")
    Path("written").mkdir()
    chosen = ["--sections", "answer,heatmaps", "--lang", "en", "--figures", "pictures"]
    assert app.run(["report", *chosen, "--out", "written/report.md"]) == 0
    text = Path("written/report.md").read_text(encoding="utf-8")
    assert "](../pictures/scaling.en.svg)](../pictures/scaling.en.png)" in text
    names = {path.name for path in Path("pictures").iterdir()}
    assert {"scaling.en.svg", "scaling.en.png", "alpha.en.svg"} <= names
    assert app.run(["report", *chosen]) == 0
    assert b"](pictures/scaling.en.svg)" in capsysbinary.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--figures", "results/summary.json"], b"is a file, not a folder"),
        (["--diff", "results", "results", "--figures", "f"], b"--diff has no use for --figures"),
    ],
)
def test_figures_that_cannot_be_are_refused(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes], arguments: list[str], told: bytes
) -> None:
    pytest.importorskip("matplotlib")
    assert app.run(["report", *arguments]) == 2
    assert told in capsysbinary.readouterr().err
    assert not Path("f").exists()


def test_figures_name_the_extra_where_matplotlib_is_missing(
    matrix: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert app.run(["report", "--figures", "f"]) == 2
    assert b"cvfp-cli[plot]" in capsysbinary.readouterr().err
    assert not Path("f").exists()
