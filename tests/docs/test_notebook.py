"""The notebook's cells run, and what it saved of them is what they give.

``python tests/docs/test_notebook.py`` runs it anew and saves it, in Jupyter: ``pip install nbclient ipykernel``.
"""

import ast
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def value_of(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return None if last is None else eval(compile(last, "cell", "eval"), names)


def outline(text: str) -> list[str]:
    """The headings of a text, or else its first line, without its numbers: these depend on the installed packages."""
    lines = text.splitlines() or [""]
    shown = [line for line in lines if line.startswith("#")] or lines[:1]
    return [" ".join(re.sub(r"\d[\d.,]*", "0", line).split()) for line in shown]


def test_the_cells_run_and_give_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    cells = [one for one in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if one["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    names: dict[str, Any] = {}
    for cell in cells:
        value = value_of("".join(cell["source"]), names)
        printed = capsys.readouterr()
        saved: dict[str, str] = {}
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            saved[output.get("name", "value")] = "".join(
                output.get("text", output.get("data", {}).get("text/plain", ""))
            )
            saved |= {kind: "".join(text) for kind, text in output.get("data", {}).items()}
        assert outline(printed.out) == outline(saved.get("stdout", ""))
        assert ("[12/12]" in printed.err) == ("[12/12]" in saved.get("stderr", ""))
        as_markdown = getattr(value, "_repr_markdown_", None)
        if as_markdown is not None:
            assert outline(as_markdown()) == outline(saved["text/markdown"])
        elif value is not None:
            assert outline(str(value)) == outline(saved["value"])
        else:
            assert "value" not in saved


def test_no_folder_of_the_machine_it_ran_on_is_kept() -> None:
    """A library's warning names its own file."""
    assert "site-packages" not in NOTEBOOK.read_text("utf-8")


def test_another_answer_is_found() -> None:
    assert outline("## Forecast\n\ntext 3\n") == ["## Forecast"] != outline("## 1. Laws")
    assert outline("  config  1.25\n0  a  3") == ["config 0"]


if __name__ == "__main__":
    import nbclient
    import nbformat

    notebook = nbformat.read(NOTEBOOK, 4)
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        nbclient.NotebookClient(
            notebook, resources=place, record_timing=False, coalesce_streams=True
        ).execute()
    nbformat.write(notebook, NOTEBOOK)
