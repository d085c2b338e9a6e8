"""A learner of the tests goes through every command; nothing but its own file knows it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unigram_learner import Unigram

from cvfp_cli.learners import base, register

Cvfp = Callable[..., Any]
SWEEP = ("--set", "kind=unigram", "--added", "1,2", "--device", "cpu")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_learners", dict(base._learners))
    register(Unigram())
    return


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def runs(out: Path) -> list[dict[str, Any]]:
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return list(summary["runs"])


def test_its_options_and_tables_come_from_its_own_dataclasses(cvfp: Cvfp, study: Path, out: Path) -> None:
    shown = cvfp("sweep", "--help")
    assert "--added LIST" in shown.out
    assert "What is added to every count." in shown.out
    wrong = cvfp("sweep", "--recipe", study, "--set", "kind=unigram", "--set", "counts.scale=0", "--out", out)
    assert (wrong.code, "counts.scale must be a number above 0" in wrong.err) == (2, True)
    wrong = cvfp("sweep", "--recipe", study, "--set", "kind=unigrams", "--out", out)
    assert (wrong.code, "Did you mean unigram?" in wrong.err) == (2, True)


def test_train_sweep_dry_run_and_again(cvfp: Cvfp, study: Path, out: Path) -> None:
    planned = cvfp("sweep", "--recipe", study, *SWEEP, "--out", out, "--dry-run")
    assert planned.code == 0, planned.err
    assert planned.out.count("uni_") == 6
    assert "counts" in planned.out.partition("uni_")[0]
    done = cvfp("sweep", "--recipe", study, *SWEEP, "--out", out)
    assert done.code == 0, done.err
    assert "[6/6] uni_2added, 16 samples" in done.err
    assert "P1" not in done.err
    found = runs(out)
    assert [(run["kind"], run["config"], run["axes"]) for run in found[::3]] == [
        ("unigram", "uni_1added", {"added": 1}),
        ("unigram", "uni_2added", {"added": 2}),
    ]
    assert (
        {run["phase1_iterations"] for run in found}
        == {run["train_effective_rank"] for run in found}
        == {None}
    )
    assert found[0]["stages"][0]["name"] == "count"
    log = (out / "sweep.log").read_text()
    assert log.count("count pass 1/1 loss") == 6
    [line] = (out / "runs" / "uni_1added_s4_seed42" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["stage"] == "count"
    again = cvfp("sweep", "--recipe", study, *SWEEP, "--out", out, "--samples", "4,8,16")
    assert "[1/" not in again.err
    one = cvfp(
        "train", "--recipe", study, "--set", "kind=unigram", "--added", "3", "--samples", 8, "--out", out
    )
    assert one.code == 0, one.err
    assert "uni_3added" in one.out
    assert len(runs(out)) == 7


def test_fit_compare_and_report_read_it(cvfp: Cvfp, study: Path, out: Path) -> None:
    assert cvfp("sweep", "--recipe", study, *SWEEP, "--out", out, "-q").code == 0
    fitted = cvfp("fit", out, "--format", "json")
    assert fitted.code == 0, fitted.err
    assert {fit["config"] for fit in json.loads(fitted.out)["fits"]} == {"uni_1added", "uni_2added"}
    compared = cvfp("compare", out)
    assert compared.code == 0, compared.err
    assert "uni_2added" in compared.out
    by = cvfp("compare", out, "--by", "added")
    assert by.code == 0, by.err
    for language in ("en", "ja"):
        report = cvfp("report", out, "--lang", language)
        assert report.code == 0, report.err
        assert "uni_1added" in report.out
        assert "added" in report.out


def test_two_kinds_in_one_folder(cvfp: Cvfp, study: Path, out: Path) -> None:
    grid = ("--grid", "kind=cvfp,unigram", "--layers", "1", "--tokens", "1", "--samples", "4,8,16")
    done = cvfp("sweep", "--recipe", study, *grid, "--out", out, "--device", "cpu")
    assert done.code == 0, done.err
    assert {run["config"] for run in runs(out)} == {"1L_8d_1tok", "uni_1added"}
    compared = cvfp("compare", out, "--by", "kind")
    assert compared.code == 0, compared.err
    report = cvfp("report", out)
    assert report.code == 0, report.err
    assert "unigram" in report.out
