"""``cvfp data export``: the same samples again, a record beside them, and nothing lost on the way."""

import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.study import StudyData, prepare_study

Cvfp = Callable[..., Any]
ODD = [
    "plain",
    "two\nlines\r\nand\rmore",
    'quo"ted \\ back',
    "日本語 \u2028 \x85 😀",
    " spaces ",
    "\ttab\x00nul",
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Samples in a column, some of them odd, each long enough to predict something in."""
    path = tmp_path / "text.jsonl"
    rows = [{"n": n, "body": f"{ODD[n % len(ODD)]} number {n} is {n * n}"} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def bodies(path: Path) -> list[str]:
    return [json.loads(line)["body"] for line in path.read_text(encoding="utf-8").splitlines()]


def texts(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]
    assert all(list(row) == ["text"] for row in rows)
    return [row["text"] for row in rows]


def record(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.with_name(path.name + ".source.toml").read_text(encoding="utf-8"))


def study_of(path: Path, cache: Path) -> StudyData:
    return prepare_study(
        DataConfig(source=str(path), samples=(5, 20)),
        ValidationConfig("last:5"),
        TokenizerConfig("bpe:300"),
        EmbeddingConfig("ppmi:8"),
        samples=(5, 20),
        cache_dir=cache,
        notify=lambda line: None,
    )


def test_the_file_trains_as_its_source_does(cvfp: Cvfp, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept" / "out.jsonl"
    out.parent.mkdir()
    answer = cvfp("data", "export", text, out)
    assert (answer.code, answer.out) == (0, "")
    assert texts(out) == bodies(text)
    one, other = study_of(text, tmp_path / "cache1"), study_of(out, tmp_path / "cache2")
    for count in (5, 20):
        assert one.run_fingerprint(count) == other.run_fingerprint(count)
        left, right = one.experiment(count), other.experiment(count)
        assert left.train.ids.tolist() == right.train.ids.tolist()
        assert left.validation.ids.tolist() == right.validation.ids.tolist()
        assert left.train.fingerprint == right.train.fingerprint
    here, there = one.describe(), other.describe()
    differing = {key for key in here if here[key] != there[key]}
    assert differing == {"source", "fingerprint"}  # the source's own bytes, and what holds their hash
    again = study_of(out.parent, tmp_path / "cache3")  # the record is no text
    assert again.run_fingerprint(20) == one.run_fingerprint(20)


def test_the_record_says_where_it_is_from(cvfp: Cvfp, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    answer = cvfp("data", "export", text, out, "--samples", "10-14", "--text-field", "body")
    assert texts(out) == bodies(text)[10:15]
    kept = record(out)
    assert kept["schema"] == "cvfp-export/1"
    assert kept["samples"] == 5
    assert kept["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert kept["bytes"] == sum(len(body.encode()) for body in bodies(text)[10:15])
    assert kept["texts"] in answer.err
    assert {
        "name": str(text),
        "kind": "files",
        "first": 10,
        "last": 14,
        "text_field": "body",
    }.items() <= kept["source"].items()
    same = tmp_path / "same.jsonl"
    cvfp("data", "export", out, same)
    assert record(same)["texts"] == kept["texts"]
    assert record(same)["sha256"] == kept["sha256"]


def test_versions_are_kept(cvfp: Cvfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "alpha-1.5.dist-info").mkdir(parents=True)
    (site / "alpha-1.5.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: alpha\nVersion: 1.5\n"
    )
    (site / "alpha.py").write_text(f'"""{"A word and another. " * 30}"""')
    monkeypatch.syspath_prepend(str(site))
    out = tmp_path / "docs.jsonl"
    answer = cvfp("data", "export", "pydocs:alpha", out)
    assert answer.code == 0
    assert "from pydocs:alpha: alpha 1.5" in answer.err
    assert record(out)["source"]["versions"] == {"alpha": "1.5"}
    assert len(texts(out)) == 1


def test_stdout_has_the_lines_alone(cvfp: Cvfp, text: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    answer = cvfp("data", "export", text, "-", "--samples", "3", "-q")
    assert [json.loads(line)["text"] for line in answer.out.split("\n")[:-1]] == bodies(text)[:3]
    assert answer.err == ""
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "cache"] == before


def test_what_stands_elsewhere_is_left_out(cvfp: Cvfp, text: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other.jsonl", tmp_path / "out.jsonl"
    other.write_text("".join(text.read_text().splitlines(keepends=True)[3:9]))
    answer = cvfp("data", "export", text, out, "--without", other)
    assert texts(out) == bodies(text)[:3] + bodies(text)[9:]
    assert "6 left out" in answer.err
    assert record(out)["source"]["left_out"] == 6
    refused = cvfp("data", "export", other, tmp_path / "none.jsonl", "--without", text)
    assert refused.code == 2
    assert "no sample is left" in refused.err


def test_a_refused_validation_file_is_mended_as_the_refusal_says(
    cvfp: Cvfp, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (tmp_path / "text.jsonl").read_text().splitlines()
    held = tmp_path / "held out.jsonl"
    held.write_text("\n".join([lines[2], '{"text": "the context of a token that is not there before it"}']))
    dry = ("train", "--recipe", study, "--dry-run", "--validation")
    refused = cvfp(*dry, held)
    assert refused.code == 2
    advice = refused.err.rpartition("Leave them out: cvfp ")[2]
    import shlex

    assert cvfp(*shlex.split(advice)).code == 0
    assert cvfp(*dry, "NEW.jsonl").code == 0


def test_nothing_is_overwritten_unasked(cvfp: Cvfp, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    cvfp("data", "export", text, out, "--samples", "3")
    before = out.read_bytes()
    refused = cvfp("data", "export", text, out)
    assert refused.code == 2
    assert "exists. Name another file, or replace it with --force." in refused.err
    assert out.read_bytes() == before
    out.unlink()
    assert cvfp("data", "export", text, out).code == 2  # the record of the first alone
    assert not out.exists()
    assert cvfp("data", "export", text, out, "--force").code == 0
    assert len(texts(out)) == record(out)["samples"] == 30
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("text.jsonl", "out.txt"), "out.txt must end in .jsonl. Or write - for stdout."),
        (("text.jsonl", "none/out.jsonl"), "there is no folder none"),
        (("text.jsonl", "text.jsonl", "--force"), "text.jsonl is part of the source"),
        (("text.jsonl", "link.jsonl", "--force"), "link.jsonl is part of the source"),
        ((".", "new.jsonl"), "new.jsonl is part of the source"),
        (("missing.jsonl", "out.jsonl"), "missing.jsonl: no such file or folder"),
        (("text.jsonl", "out.jsonl", "--samples", "31"), "text.jsonl ends after 30 samples. Ask for fewer"),
        (("text.jsonl", "out.jsonl", "--samples", "40-41"), "text.jsonl ends before that"),
        (("text.jsonl", "out.jsonl", "--samples", "9-3"), "runs downwards. Write 3-9."),
        (("text.jsonl", "out.jsonl", "--samples", "0"), "0 is too small"),
        (("text.jsonl", "out.jsonl", "--samples", "1,2"), "'1,2' is neither a number nor a range"),
        (("text.jsonl", "out.jsonl", "--messages", "last"), "--messages: no 'last'"),
        (("text.jsonl", "out.jsonl", "--text-field", "nope"), "no column 'nope'"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    cvfp: Cvfp,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(text)
    answer = cvfp("data", "export", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()
