"""The Python interface: the same figures as the commands, for programs and notebooks."""

import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import cvfp_cli
from cvfp_cli import api

PUBLISHED = Path(__file__).parent / "published_results.json"


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """The published matrix as a results file."""
    runs = json.loads(PUBLISHED.read_text())["runs"]
    (tmp_path / "summary.json").write_text(
        json.dumps({"runs": [run for run in runs if run["study"] == "2025-11-30-matrix"]})
    )
    return tmp_path / "summary.json"


def test_the_names_are_functions_whatever_was_imported_before() -> None:
    """A module of the package with one of these names would take its place as soon as anything imports it."""
    assert cvfp_cli.__all__ == api.__all__
    assert not {module.name for module in pkgutil.iter_modules(cvfp_cli.__path__)} & {*cvfp_cli.__all__}
    script = """
import sys, cvfp_cli
assert set(cvfp_cli.__all__) <= set(dir(cvfp_cli)) and "cvfp_cli.api" not in sys.modules
import cvfp_cli.cli.sweep, cvfp_cli.cli.report, cvfp_cli.sweeps.plan, cvfp_cli.reports.compare, cvfp_cli.scaling.fits
from cvfp_cli import sweep, report
print(*(callable(getattr(cvfp_cli, name)) for name in cvfp_cli.__all__), sweep is cvfp_cli.api.sweep)
print([name for name in ("torch", "transformers", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == " ".join(["True"] * (len(cvfp_cli.__all__) + 1)) + "\n[]\n"
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        _ = cvfp_cli.swep  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in api.__all__ if inspect.isfunction(getattr(api, name))])
def test_every_argument_is_typed_and_explained(name: str) -> None:
    function = getattr(cvfp_cli, name)
    parameters = inspect.signature(function).parameters
    assert set(function.__annotations__) == {*parameters, "return"}
    words = set((function.__doc__ or "").replace(":", " ").replace(",", " ").split())
    assert set(parameters) <= words
    assert "Raises" in words


def test_a_sweep_trains_once_and_gives_the_runs_of_its_grid(
    tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "cache"))
    given: dict[str, Any] = {"samples": [4, 8], "grid": {"kind": ["ngram"], "ngram.order": [1, 2]}}
    found = cvfp_cli.sweep(study, **given, out=tmp_path / "out", threads=1, quiet=True)
    table = found.to_pandas()
    assert list(table["config"]) == ["1gram", "2gram", "1gram", "2gram"]
    assert [run.samples for run in found.runs] == [4, 4, 8, 8]
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sorted(run["val_ppl"] for run in written["runs"]) == sorted(table["val_ppl"])
    assert written["command"].startswith("cvfp_cli.sweep(recipe=")

    again = cvfp_cli.sweep(study, **given, out=tmp_path / "out", threads=1, quiet=True)
    assert [run.total_seconds for run in again.runs] == [run.total_seconds for run in found.runs]
    one = cvfp_cli.run(
        study, samples=8, settings={"kind": "ngram", "ngram.order": 2}, out=tmp_path / "out", quiet=True
    )
    assert one.val_ppl == found.runs[3].val_ppl


def test_what_is_wrong_is_an_error_of_ours(tmp_path: Path, study: Path, matrix: Path) -> None:
    with pytest.raises(cvfp_cli.InputError, match="unknown key"):
        cvfp_cli.sweep(study, settings={"phase2.zzz": 3}, out=tmp_path / "out")
    with pytest.raises(cvfp_cli.InputError, match="device"):
        cvfp_cli.sweep(study, device="tpu", out=tmp_path / "out")
    with pytest.raises(cvfp_cli.InputError):
        cvfp_cli.load_results(tmp_path / "nothing")
    for wrong in ({"samples": [10, 20]}, {"seed": [1, 2]}):
        with pytest.raises(cvfp_cli.InputError, match="is more than one"):
            cvfp_cli.run(**wrong)  # type: ignore[arg-type]
    with pytest.raises(cvfp_cli.InputError, match=r"runs\.samples: the list is empty"):
        cvfp_cli.sweep(samples=[], out=tmp_path / "none")
    found = cvfp_cli.load_results(matrix)
    with pytest.raises(cvfp_cli.InputError, match="A list names no results"):
        cvfp_cli.load_results([str(matrix)])  # type: ignore[arg-type]
    with pytest.raises(cvfp_cli.InputError, match="A StudyResults names no results"):
        cvfp_cli.fit([found])  # type: ignore[list-item]
    for command in (cvfp_cli.compare, cvfp_cli.report):
        with pytest.raises(cvfp_cli.InputError, match="A table holds no runs"):
            command(found.to_pandas())  # type: ignore[operator]
    with pytest.raises(cvfp_cli.InputError, match="empty"):
        cvfp_cli.fit([])
    assert not (tmp_path / "out").exists()


def test_a_fit_is_that_of_the_command(matrix: Path, cvfp: Callable[..., Any]) -> None:
    typed = cvfp("fit", matrix, "--model", "power", "--predict", "1e6", "--format", "json", "--quiet")
    answer = cvfp_cli.fit(matrix, model="power", predict=[1e6]).to_json()
    assert answer == json.loads(typed.out)
    table = cvfp_cli.fit(cvfp_cli.load_results(matrix), model="power").to_pandas()
    alpha = table[(table["config"] == "1L_768d_1tok") & (table["name"] == "alpha")]["value"]
    assert alpha.item() == pytest.approx(-0.5460, abs=2e-4)  # as published; the table has rounded PPL


def test_one_thing_stands_for_a_list_of_one(matrix: Path) -> None:
    one = cvfp_cli.fit(matrix, model="power", configs="1L_768d_1tok", predict=1e6, target_ppl=20).to_json()
    several = {"model": ["power"], "configs": ["1L_768d_1tok"], "predict": [1e6], "target_ppl": [20]}
    assert one == cvfp_cli.fit([matrix], **several).to_json()
    assert cvfp_cli.report(matrix, sections="summary").to_json() == (
        cvfp_cli.report(matrix, sections=["summary"]).to_json()
    )


def test_any_table_of_pandas_can_be_fitted() -> None:
    sizes = [1e4, 3e4, 1e5, 3e5, 1e6]
    table = pd.DataFrame({"tokens": sizes, "loss_ppl": [3e4 * size**-0.4 for size in sizes]})
    found = (
        cvfp_cli.fit(table, x="tokens", y="loss_ppl", model="power").to_pandas().set_index("name")["value"]
    )
    assert found["alpha"] == pytest.approx(-0.4)
    assert found["A"] == pytest.approx(3e4)


def test_compare_and_report_are_those_of_the_commands(matrix: Path, cvfp: Callable[..., Any]) -> None:
    compared = cvfp_cli.compare(matrix, by="layers")
    assert compared.to_markdown() == cvfp("compare", matrix, "--by", "layers", "--format", "markdown").out
    assert len(compared.to_pandas())
    written = cvfp_cli.report(matrix, lang="ja", sections=["summary"])
    assert "1L_768d_1tok" in written.to_markdown()
    assert written.to_html().startswith("<!")
    assert written._repr_markdown_() == written.to_markdown()
    assert f"cvfp report {matrix} --lang ja --format markdown --sections summary" in (
        cvfp_cli.report(matrix, lang="ja", sections=["reproduction"])
        .to_markdown()
        .replace("reproduction", "summary")
    )
    with pytest.raises(cvfp_cli.InputError, match="no form"):
        written.to_pandas()
    for wrong in (
        {"by": "zzz"},
        {"x": "zzz"},
        {"model": "zzz"},
        {"lang": "de"},
        {"margin": -1},
        {"level": 95},
    ):
        with pytest.raises(cvfp_cli.InputError, match=next(iter(wrong))):
            cvfp_cli.compare(matrix, **wrong)  # type: ignore[arg-type]
    for wrong in ({"sections": ["zzz"]}, {"length": "zzz"}, {"laws": "zzz"}, {"lang": "de"}):
        with pytest.raises(cvfp_cli.InputError, match=next(iter(wrong))):
            cvfp_cli.report(matrix, **wrong)  # type: ignore[arg-type]


def test_a_model_is_loaded_from_its_run(tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "cache"))
    one = cvfp_cli.run(study, samples=8, out=tmp_path / "out", threads=1, quiet=True)
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    model = cvfp_cli.load_model(folder)
    assert model.config.vocab_size == 300
    ids = torch.tensor([[5, 6, 7]])
    assert model(ids).logits.shape == (1, 3, 300)
    assert one.val_ppl
    with pytest.raises(cvfp_cli.InputError, match="no model"):
        cvfp_cli.load_model(tmp_path)
