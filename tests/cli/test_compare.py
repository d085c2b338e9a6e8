"""``cvfp compare`` as a user runs it."""

import json
from pathlib import Path

import pytest

from cvfp_cli.cli import app

PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text(encoding="utf-8"))


def write_study(path: Path, study: str) -> None:
    runs = [run for run in PUBLISHED["runs"] if run["study"] == study]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"runs": runs}), encoding="utf-8")


@pytest.fixture(autouse=True)
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three studies in the current folder, in English."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CVFP_LANG", "en")
    write_study(Path("results/summary.json"), "2025-11-30-matrix")
    write_study(Path("old.json"), "2025-11-29-shallow-wide")
    write_study(Path("dec.json"), "2025-12-03-context-dim")


def out(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> str:
    assert app.run(["compare", *arguments]) == 0
    return capsysbinary.readouterr().out.decode()


def test_the_default_compares_everything_in_results(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    text = out(capsysbinary)
    assert "under one variance for all: F(8, 16) = 2.65, p = 0.046)." in text
    assert text.count("paired, 4 sizes") == 36


def test_another_margin_calls_other_pairs_equal(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert "Equal within 2% of PPL" in out(capsysbinary, "dec.json")
    assert "No pair out of 1 is shown to be equal within 0.1% of PPL" in out(
        capsysbinary, "dec.json", "--margin", "0.001"
    )


def test_the_december_table_and_its_parameters(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    text = out(
        capsysbinary,
        "dec.json",
        "--by",
        "context_dim",
        "--model",
        "exp-decay",
        "--x",
        "samples",
        "--objective",
        "ppl",
    )
    for shown in (
        "-0.5%",
        "-1.2%",
        "+1.6%",
        "+0.1%",
        "-1.6%",
        "-0.3% [",
        "132.5 [",
        "122.8 [",
        "-7.3%",
        "+61.2%",
    ):
        assert shown in text


def test_studies_across_files_warn_and_strict_refuses(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["results/summary.json", "old.json", "--configs", "1L_768d_2tok,3L_1536d_2tok"]
    assert app.run(["compare", *arguments]) == 0
    shown = capsysbinary.readouterr()
    assert shown.err.count(b"\n") == 1
    assert b"warning" in shown.err
    assert b"not verified" in shown.err
    assert app.run(["compare", *arguments, "--strict"]) == 2
    refused = capsysbinary.readouterr()
    assert refused.out == b""
    assert b"--strict" in refused.err


def test_warnings_about_many_pairs_are_one_line_and_json_has_them_all(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    Path("all.json").write_text(json.dumps(PUBLISHED), encoding="utf-8")
    for form in ("table", "markdown", "csv"):
        assert app.run(["compare", "all.json", "--format", form]) == 0
        shown = capsysbinary.readouterr()
        lines = shown.err.decode().splitlines()
        assert 1 <= len(lines) <= 4
        assert "not verified" in lines[0]
        assert "--format json" in lines[0]
        assert shown.out.decode().count("not verified") == (0 if form == "csv" else 1)
    assert app.run(["compare", "all.json", "--format", "json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    section = next(section for section in document["sections"] if section["key"] == "pairs")
    named = [item["values"] for item in section["blocks"][0]["items"]]
    assert len({(item["first"], item["second"]) for item in named}) == len(named)
    assert f"{len(named)} pairs, such as {named[0]['first']} and {named[0]['second']}:" in lines[0]


def test_formats(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert json.loads(out(capsysbinary, "--format", "json"))["kind"] == "comparison"
    assert out(capsysbinary, "--format", "csv").startswith("table,row,column,value")
    assert out(capsysbinary, "--format", "markdown").startswith("# CVFP comparison: 2025-11-30-matrix")
    assert out(capsysbinary, "--lang", "ja").startswith("設定の一覧")


def test_a_picture(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out(capsysbinary, "--plot", "a.svg")
    assert Path("a.svg").read_bytes().startswith(b"<?xml")


def test_the_extra_is_named_where_matplotlib_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert app.run(["compare", "--plot", "a.png"]) == 2
    assert b"cvfp-cli[plot]" in capsysbinary.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--configs", "1L_768d_9tok"], b"Did you mean 1L_768d_"),
        (["--by", "depths"], b"There are layers"),
        (["--by", "depth"], b"Did you mean layers?"),
        (["--by", "context_dim"], b"differ in context_dim alone"),
        (["--model", "exp_decay"], b"Did you mean exp-decay?"),
        (["--format", "tabel"], b"Did you mean table?"),
        (["--level", "1.5"], b"--level"),
        (["--margin", "2"], b"Did you mean 0.02?"),
        (["--margin", "0"], b"0.02 is usual"),
        (["--objective", "x"], b"--objective"),
        (["--plot", "a.bmp"], b".png"),
        (["--x", "samplez"], b"Did you mean samples?"),
        (["nix.json"], b"nix.json"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], told: bytes, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert app.run(["compare", *arguments]) == 2
    shown = capsysbinary.readouterr()
    assert told in shown.err
    assert shown.out == b""
    assert shown.err.count(b"\n") == 1


def test_an_answer_is_written_to_a_file(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    shown = out(capsysbinary)
    assert out(capsysbinary, "-o", "answer.txt") == ""
    assert Path("answer.txt").read_text(encoding="utf-8") == shown
    assert app.run(["compare", "-o", "none/answer.txt"]) == 2


def few_sizes(path: Path, sizes: dict[str, int], seeds: int = 3) -> None:
    """A table of runs: so many sizes of each configuration, in so many seeds."""
    lines = ["config,samples,seed,train_tokens,val_ppl,val_accuracy,parameters.total"]
    for i, (config, count) in enumerate(sizes.items()):
        for size in (100 * 2**j for j in range(count)):
            lines += [
                f"{config},{size},{seed},{100 * size},{(300 + 7 * i + seed) * (size / 100) ** -0.3},0.2,100000"
                for seed in range(seeds)
            ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("sizes", [1, 2])
def test_what_few_sizes_leave_without_an_interval_says_why(
    capsysbinary: pytest.CaptureFixture[bytes], sizes: int
) -> None:
    few_sizes(Path("few.csv"), {"1L_64d_1tok": sizes, "2L_64d_1tok": sizes})
    text = out(capsysbinary, "few.csv", "--model", "saturating")
    assert "t intervals" not in text
    assert text.count("No interval stands where a pair has too few sizes") == (1 if sizes == 1 else 3)
    assert text.count("a mean over one or two sizes leaves nothing") == 1
    assert text.count("lines through two sizes leave nothing") == (0 if sizes == 1 else 2)
    if sizes == 2:
        assert "No interval of α and A, since a line through two sizes" in text
        assert "no interval of the parameters of saturating, with no more sizes than parameters" in text
    found = json.loads(out(capsysbinary, "few.csv", "--format", "json"))
    assert "pair-mean-interval-none" in json.dumps(found)


def test_configurations_with_and_without_intervals_are_told_apart(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    few_sizes(Path("some.csv"), {"1L_64d_1tok": 2, "2L_64d_1tok": 4})
    text = out(capsysbinary, "some.csv")
    assert "t intervals of the log-log line" in text
    assert "1L_64d_1tok: no interval of α and A" in text
    few_sizes(Path("enough.csv"), {"1L_64d_1tok": 4, "2L_64d_1tok": 4})
    assert "o interval" not in out(capsysbinary, "enough.csv")
