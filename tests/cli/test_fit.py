"""``cvfp fit`` as a user meets it: answers, formats, plots, error lines, and what it must not import."""

import csv
import dataclasses
import inspect
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.cli import app
from cvfp_cli.cli.fit import fit
from cvfp_cli.results.codec import dump_json
from cvfp_cli.results.schema import Run, Summary
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.study import Request
from cvfp_cli.study.table_points import Columns

PUBLISHED = Path(__file__).parents[1] / "published_results.json"
DECEMBER = ["--configs", "1L_256d_1tok,1L_320d_1tok", "--x", "samples", "--objective", "ppl"]
MATRIX = ",".join(
    f"{layers}L_768d_{tokens}tok (2025-11-30-matrix)" for layers in (1, 2, 3) for tokens in (1, 2, 3)
)

Answer = tuple[int, str, str]
Command = Callable[..., Answer]


@pytest.fixture
def cvfp(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> Answer:
        code = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    rows = [
        (w, t, 2.0 + 3.0 * (t / 1e5) ** -0.4 + 0.001 * w)
        for w in (8, 16)
        for t in (1e5, 2e5, 4e5, 8e5, 1.6e6)
    ]
    path.write_text("width,tokens,loss\n" + "".join(f"{w},{t},{y}\n" for w, t, y in rows))
    return path


def as_json(answer: Answer) -> dict[str, Any]:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)  # type: ignore[no-any-return]


def test_the_december_study(cvfp: Command) -> None:
    answer = as_json(cvfp("fit", PUBLISHED, *DECEMBER, "--predict", "3200,6400,inf", "--format", "json"))
    assert set(answer) >= {"fits", "selection"}
    by_law = {(fit["config"].split(" ")[0], fit["law"]): fit for fit in answer["fits"]}
    assert by_law["1L_256d_1tok", "exp-decay"]["aic"] == pytest.approx(18.54, abs=0.01)
    assert by_law["1L_320d_1tok", "power"]["aic"] == pytest.approx(21.60, abs=0.01)
    assert by_law["1L_320d_1tok", "saturating"]["predictions"][2]["x"] == "inf"
    assert [score["law"] for score in answer["selection"]] == ["saturating", "exp-decay", "power"]
    assert answer["verdict"].startswith("Not decided")


def test_published_asymptotes_under_other_choices(cvfp: Command) -> None:
    """The study fitted PPL; on logarithms its asymptotes of 80.5 and 73.6 stand beside the other objective's."""
    arguments = [*DECEMBER[:4], "--model", "saturating", "--sensitivity"]
    answer = as_json(cvfp("fit", PUBLISHED, *arguments, "--format", "json"))
    for one, published in zip(answer["sensitivity"], (80.5, 73.6), strict=True):
        choices = {choice["choice"]: choice["figures"] for choice in one["choices"]}
        assert choices["objective ppl"]["ppl_min"]["value"] == pytest.approx(published, abs=0.05)
        assert {"sizes in train_tokens", "without 100", "without 1,600", "mixture of laws"} <= set(choices)
    _, out, _ = cvfp("fit", PUBLISHED, *arguments)
    assert "choice (95 % interval)" in out


def test_nine_configurations_with_all_laws(cvfp: Command) -> None:
    answer = as_json(cvfp("fit", PUBLISHED, "--configs", MATRIX, "--format", "json"))
    laws = [fit["law"] for fit in answer["fits"]]
    # exp-decay has as many parameters as there are points, so it is not fitted unasked.
    assert laws == ["power"] * 9 + ["saturating"] * 9


def test_a_law_named_by_the_user_is_always_fitted(cvfp: Command) -> None:
    answer = as_json(cvfp("fit", PUBLISHED, "--configs", MATRIX, "--model", "exp-decay", "--format", "json"))
    assert len(answer["fits"]) == 9
    for one in answer["fits"]:
        assert "no-freedom" in {note["code"] for note in one["warnings"]}
        assert one["rss"]["log"] is not None
    code, out, _ = cvfp("fit", PUBLISHED, "--configs", MATRIX, "--model", "exp-decay")
    assert code == 0
    assert "nothing is left to judge it by" in out
    assert "--share" in out


def test_sharing(cvfp: Command) -> None:
    answer = as_json(
        cvfp(
            "fit", PUBLISHED, "--configs", MATRIX, "--model", "power", "--share", "alpha", "--format", "json"
        )
    )
    shared = [fit["parameters"]["alpha"] for fit in answer["fits"]]
    assert len({alpha["value"] for alpha in shared}) == 1
    assert all(alpha["shared"] for alpha in shared)
    # The nine lines err together, so one slope is known hardly better than each of them.
    assert shared[0]["high"] - shared[0]["low"] > 0.1


def test_commas_and_repetition(cvfp: Command, table: Path) -> None:
    base = ("fit", table, "--x", "tokens", "--y", "loss", "--group", "width", "--format", "json")
    one = as_json(cvfp(*base, "--model", "power,saturating", "--predict", "1e7", "--predict", "1e8"))
    two = as_json(cvfp(*base, "--model", "power", "--model", "saturating", "--predict", "1e7,1e8"))
    assert one == two
    assert {fit["law"] for fit in one["fits"]} == {"power", "saturating"}
    assert {fit["config"] for fit in one["fits"]} == {"8", "16"}


def test_the_table_says_everything(cvfp: Command) -> None:
    code, out, err = cvfp(
        "fit", PUBLISHED, *DECEMBER, "--predict", "3200,inf", "--target-ppl", "100", "--window", "4"
    )
    assert code == 0, err
    for words in (
        "95 % interval", "open", "error", "R^2", "AICc none (m - k - 2 = -1)", "Left out one at a time",
        "1,600 predicted 117.1, measured 134.7 (-17.6", "per doubling", "Asymptote", "for a new run", "extrapolation",
        "is reached at samples", "out of reach", "local exponent", "one residual degree of freedom", "Selection",
        "Akaike weight", "Not decided",
    ):  # fmt: skip
        assert words in out, words
    assert "nan" not in out.lower().split()


def test_stdout_holds_the_answer_and_stderr_the_notes(cvfp: Command) -> None:
    code, out, err = cvfp("fit", PUBLISHED, *DECEMBER, "--format", "json")
    assert code == 0
    json.loads(out)
    assert "no schema" in err
    assert cvfp("fit", PUBLISHED, *DECEMBER, "--format", "json", "--quiet")[2] == ""


def test_csv(cvfp: Command) -> None:
    _, out, _ = cvfp("fit", PUBLISHED, *DECEMBER, "--format", "csv", "--predict", "3200")
    rows = list(csv.DictReader(io.StringIO(out)))
    floor = next(r for r in rows if r["law"] == "exp-decay" and r["name"] == "ppl_min")
    assert float(floor["value"]) == pytest.approx(132.48, abs=0.01)
    kinds = {"parameter", "quality", "derived", "measured", "fitted", "prediction", "law"}
    assert kinds == {r["kind"] for r in rows}


def test_markdown_parses_back(cvfp: Command) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    _, out, _ = cvfp("fit", PUBLISHED, *DECEMBER, "--format", "markdown", "--predict", "3200")
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(out)
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert any("saturating" in heading for heading in headings)
    assert sum(t.type == "table_open" for t in tokens) >= 12
    text = [child for t in tokens if t.type == "inline" for child in t.children or []]
    assert not [child for child in text if child.type in ("strong_open", "em_open")]


def test_bootstrap_is_repeatable(cvfp: Command, table: Path) -> None:
    base = (
        "fit",
        table,
        "--x",
        "tokens",
        "--y",
        "loss",
        "--model",
        "saturating",
        "--bootstrap",
        "200",
        "--format",
        "json",
    )
    first, again = (as_json(cvfp(*base, "--seed", "3")) for _ in range(2))
    assert first == again
    assert first["fits"][0]["interval_method"] == "residual bootstrap"


def test_level(cvfp: Command, table: Path) -> None:
    def width(level: str) -> float:
        answer = as_json(
            cvfp(
                "fit",
                table,
                "--x",
                "tokens",
                "--y",
                "loss",
                "--model",
                "power",
                "--level",
                level,
                "--format",
                "json",
            )
        )
        alpha = answer["fits"][0]["parameters"]["alpha"]
        return float(alpha["high"] - alpha["low"])

    assert width("0.5") < width("0.95") < width("0.99")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot(cvfp: Command, table: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"laws.{suffix}"
    code, out, err = cvfp(
        "fit", table, "--x", "tokens", "--y", "loss", "--group", "width", "--model", "power", "--plot", path
    )
    assert code == 0, err
    assert path.stat().st_size > 4000
    assert "power" in out


def test_a_small_plot_on_a_terminal(cvfp: Command, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "40")
    arguments = ("fit", table, "--x", "tokens", "--y", "loss", "--group", "width", "--model", "power")
    _, out, _ = cvfp(*arguments)
    assert "both logarithmic" in out
    assert max(len(line) for line in out.splitlines() if "|" in line) <= 90
    monkeypatch.setenv("LINES", "12")
    assert "both logarithmic" not in cvfp(*arguments)[1]


def test_the_joint_law_from_a_table(cvfp: Command, tmp_path: Path) -> None:
    rows = [(n, d) for n in (1e6, 3e6, 1e7) for d in (1e5, 3e5, 1e6, 3e6)]
    path = tmp_path / "joint.csv"
    lines = [f"{n},{d},{1.5 + 20 * n**-0.2 + 60 * d**-0.3}" for n, d in rows]
    path.write_text("size,tokens,loss\n" + "\n".join(lines) + "\n")
    arguments = (
        "fit",
        path,
        "--x",
        "tokens",
        "--y",
        "loss",
        "--parameters",
        "size",
        "--group",
        "size",
        "--pool",
    )
    answer = as_json(cvfp(*arguments, "--model", "joint", "--format", "json"))
    (one,) = answer["fits"]
    assert one["parameters"]["beta"]["value"] == pytest.approx(0.3, rel=1e-3)
    assert one["points"] == 12


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ((1e6, 2e6, 8e6), ""),
        ((1e6, 1.2e6, 2e6), ""),
        ((1e6, 1.2e6, 1.9e6), "the largest is 1.9 times the smallest"),
        ((1e6, 8e6), "there are 2"),
    ],
)
def test_joint_is_fitted_unasked_where_model_sizes_tell_its_parameters_apart(
    cvfp: Command, tmp_path: Path, sizes: tuple[float, ...], why: str
) -> None:
    path = tmp_path / "joint.csv"
    rows = [(n, d) for n in sizes for d in (1e5, 3e5, 1e6, 3e6)]
    lines = [f"{n},{d},{1.5 + 20 * n**-0.2 + 60 * d**-0.3}" for n, d in rows]
    path.write_text("size,tokens,loss\n" + "\n".join(lines) + "\n")
    arguments = (
        "fit",
        path,
        "--x",
        "tokens",
        "--y",
        "loss",
        "--parameters",
        "size",
        "--group",
        "size",
        "--pool",
    )
    answer = as_json(cvfp(*arguments, "--format", "json"))
    left_out = [note["message"] for note in answer["notes"] if note["code"] == "joint-left-out"]
    assert ("joint" in {fit["law"] for fit in answer["fits"]}) is (not why)
    assert len(left_out) == (1 if why else 0)
    assert all(why in message and "--model joint" in message for message in left_out)
    asked = as_json(cvfp(*arguments, "--model", "joint", "--format", "json"))
    assert [fit["law"] for fit in asked["fits"]] == ["joint"]
    assert [note["code"] for note in asked["notes"]] == ["y-unit"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.json"], "there is no such file"),
        ([PUBLISHED, "--model", "powr"], "Did you mean power?"),
        ([PUBLISHED, "--format", "xml"], "--format"),
        ([PUBLISHED, "--objective", "logs"], "--objective"),
        ([PUBLISHED, "--x", "size"], "no column 'size'"),
        ([PUBLISHED, "--configs", "9L"], "no configuration '9L'"),
        ([PUBLISHED, "--predict", "many"], "--predict: 'many' is not a number"),
        ([PUBLISHED, "--target-ppl", "-3"], "above 0"),
        ([PUBLISHED, "--level", "95"], "between 0 and 1"),
        ([PUBLISHED, "--share", "gamma"], "--share"),
        ([PUBLISHED, "--share", "alpha", "--bootstrap", "100"], "--bootstrap cannot be combined"),
        ([PUBLISHED, "--bootstrap", "10"], "too few"),
        ([PUBLISHED, "--plot", "laws.txt"], ".png, .svg or .pdf"),
        ([PUBLISHED, "--plot", "no/where/laws.png"], "no folder"),
        ([PUBLISHED, "--model", "joint"], "parameter counts"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cvfp: Command, arguments: list[object], words: str) -> None:
    code, out, err = cvfp("fit", *arguments)
    assert code == 2
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("cvfp: note")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tokens,loss\n1e5,4\n", "at least two"),
        ("tokens,loss\n1e5,4\n1e5,5\n", "two different sizes"),
        ("tokens,loss\n1e5,4\n2e5,0\n", "above 0"),
        ("tokens,loss\n1e5,4\n2e5,inf\n", "1 row left out: loss is not finite in 1 (row 2)"),
        ("tokens,loss\n1e5,4\n2e5,-3\n", "above 0"),
        ("tokens,perplexity\n1e5,4\n2e5,3\n", "no column 'loss'"),
        ("tokens,loss\n1e5,four\n2e5,3\n", "not a number"),
        ("", "empty"),
        ("\x00\x01", "no rows"),
        ("\x00\x01\n1\n", "no column"),
    ],
)
def test_bad_input_is_one_line(cvfp: Command, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    code, _, err = cvfp("fit", path, "--x", "tokens", "--y", "loss")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert words in err


def test_without_results_it_says_how_to_get_some(
    cvfp: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cvfp("fit")
    assert code == 2
    assert (
        err
        == "cvfp: results/summary.json: there is no such file. Name results, or make some with cvfp sweep.\n"
    )


def test_an_old_summary_is_answered_with_where_the_runs_are(cvfp: Command, tmp_path: Path) -> None:
    old = [{"config_name": "1L_8d_1tok", "num_layers": 1, "context_dim": 8, "num_input_tokens": 1, "alpha": -0.5, "A": 1.0,
            "r_squared": 0.9, "best_ppl": 200.0, "best_acc": 0.2}]  # fmt: skip
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(old))
    code, _, err = cvfp("fit", path)
    assert code == 2
    assert "detailed_results.json" in err


def test_a_configuration_with_one_size_is_left_out_and_said_to_be(cvfp: Command, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("g,tokens,loss\na,1e5,4\na,2e5,3.5\na,4e5,3.2\nb,1e5,4\n")
    code, out, err = cvfp("fit", path, "--x", "tokens", "--y", "loss", "--group", "g")
    assert code == 0
    assert "Left out: b has 1 point" in err
    assert "a: power" in out


def test_every_default_is_the_one_of_its_dataclass() -> None:
    shown = {name: parameter.default for name, parameter in inspect.signature(fit).parameters.items()}
    for kind, names in (
        (FitOptions, ("objective", "level", "holdout", "window")),
        (Request, ("bootstrap", "bootstrap_kind", "seed")),
        (Columns, ("x", "y")),
    ):
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        assert {name: shown[name] for name in names} == {name: defaults[name] for name in names}


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from cvfp_cli.cli import app; "
        f"code = app.run(['fit', {str(PUBLISHED)!r}, '--x', 'samples', '--configs', '1L_256d_1tok', '--quiet']); "
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'matplotlib', 'scipy.stats', 'scipy.optimize'}; "
        "print(code, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 []"


def test_an_answer_is_written_whole_to_a_file(cvfp: Command, table: Path, tmp_path: Path) -> None:
    arguments = ("fit", table, "--x", "tokens", "--y", "loss", "--model", "power")
    shown = cvfp(*arguments)[1]
    path = tmp_path / "answer.md"
    path.write_text("before")
    code, out, _ = cvfp(*arguments, "-o", path)
    assert (code, out, path.read_text()) == (0, "", shown)
    code, _, err = cvfp(*arguments, "--out", tmp_path / "none" / "answer")
    assert code == 2
    assert "there is no folder" in err


def test_the_unit_of_y_is_said_and_asked_for(cvfp: Command, tmp_path: Path) -> None:
    path = tmp_path / "joint.csv"
    rows = [(n, d) for n in (1e6, 3e6, 1e7) for d in (1e5, 3e5, 1e6, 3e6)]
    text = "\n".join(f"{n},{d},{1.5 + 20 * n**-0.2 + 60 * d**-0.3}" for n, d in rows)
    path.write_text(f"size,tokens,final_loss\n{text}\n")
    arguments = ["fit", path, "--x", "tokens", "--parameters", "size", "--format", "json", "--y"]
    answer = as_json(cvfp(*arguments, "final_loss", "--model", "joint"))
    assert answer["fits"][0]["parameters"]["E"]["value"] == pytest.approx(1.5, rel=1e-3)
    assert answer["fits"][0]["y_unit"] == "nats"
    assert "a loss in nats, by the column's name" in answer["notes"][0]["message"]
    path.write_text(f"size,tokens,y\n{text}\n")
    code, _, err = cvfp(*arguments, "y", "--model", "joint")
    assert code == 2
    assert "Is y a perplexity or a loss?" in err
    said = as_json(cvfp(*arguments, "y", "--model", "joint", "--y-unit", "nats"))
    assert said["fits"][0]["parameters"] == answer["fits"][0]["parameters"]
    every = as_json(cvfp(*arguments, "y"))
    assert {fit["law"] for fit in every["fits"]} >= {"power"}
    assert [note["code"] for note in every["notes"] if note["code"].startswith("joint")] == ["joint-left-out"]


def test_groups_of_one_size_serve_the_joint_law(cvfp: Command, tmp_path: Path) -> None:
    path = tmp_path / "joint.csv"
    rows = [(n, d) for n in (1e6, 3e6, 1e7) for d in (1e5, 3e5, 1e6, 3e6)]
    lines = [f"r{i},{n},{d},{1.5 + 20 * n**-0.2 + 60 * d**-0.3}" for i, (n, d) in enumerate(rows)]
    path.write_text("config,size,tokens,loss\n" + "\n".join(lines) + "\n")
    arguments = ("fit", path, "--x", "tokens", "--y", "loss", "--parameters", "size", "--format", "json")
    (named,) = as_json(cvfp(*arguments, "--model", "joint"))["fits"]
    assert named["points"] == 12
    every = as_json(cvfp(*arguments))
    assert [fit["law"] for fit in every["fits"]] == ["joint", "joint-coupled"]
    left = [note["message"] for note in every["notes"] if note["code"] == "group-left-out"]
    assert len(left) == 1
    assert left[0].startswith("Left out of the laws of one variable: 12 groups")


def test_sizes_with_thousands_are_understood(cvfp: Command, table: Path) -> None:
    arguments = (
        "fit",
        table,
        "--x",
        "tokens",
        "--y",
        "loss",
        "--model",
        "power",
        "--format",
        "json",
        "--predict",
    )
    assert [p["x"] for p in as_json(cvfp(*arguments, "1,000,000"))["fits"][0]["predictions"]] == [1e6]
    assert [p["x"] for p in as_json(cvfp(*arguments, "1M,2.2B"))["fits"][0]["predictions"]] == [1e6, 2.2e9]
    code, _, err = cvfp(*arguments, "1,000,2e6")
    assert code == 2
    assert "'000' is not a number" in err


def test_weights_best_of_and_what_is_held_out_by_from_a_table(cvfp: Command, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [(t, lr, 10 * t**-0.1 * (1 + lr), t) for t in (1e5, 2e5, 4e5, 8e5, 16e5) for lr in (0.1, 0.2)]
    path.write_text(
        "tokens,lr,loss,n,set\n"
        + "".join(f"{t},{lr},{y},{n},{'ab'[int(t) % 4e5 > 0]}\n" for t, lr, y, n in rows)
    )
    base = ("fit", path, "--x", "tokens", "--y", "loss", "--model", "power", "--format", "json")
    (fit_,) = as_json(cvfp(*base, "--best-of", "lr", "--weights", "n", "--holdout-by", "set"))["fits"]
    assert fit_["points"] == 5
    assert fit_["parameters"]["alpha"]["value"] == pytest.approx(-0.1, rel=1e-9)
    assert fit_["held_out_by"] == "set"
    assert len(fit_["held_out"]) == 5
    for option in ("--weights", "--best-of", "--holdout-by"):
        code, _, err = cvfp(*base, option, "none_such")
        assert code == 2
        assert f"({option})" in err


def sweep_folder(path: Path, seed: int, *, tokenizer: str = "t", learning_rate: float = 0.1) -> Path:
    """A results folder as a sweep of one configuration with one seed leaves it."""
    runs = tuple(
        Run(
            config="1L_8d_1tok", layers=1, context_dim=8, tokens=1, samples=size, train_tokens=20 * size, study="demo",
            val_ppl=(300 + seed) * size**-0.2, seed=seed, run_id=f"{tokenizer}{seed}-{size}", data_fingerprint=tokenizer,
        )
        for size in (50, 100, 200)
    )  # fmt: skip
    resolved = {
        "phase2": {"learning_rate": learning_rate},
        "runs": {"seeds": [seed]},
        "data": {"samples": 200},
    }
    data = {"fingerprint": tokenizer, "tokenizer": {"name": tokenizer, "fingerprint": tokenizer}}
    recipe = {"name": "demo", "overrides": {}, "resolved": resolved}
    summary = Summary("2026-01-01T00:00:00+00:00", "cvfp sweep", True, recipe, (), data, runs)
    path.mkdir()
    (path / "summary.json").write_bytes(dump_json(summary))
    return path


def test_runs_of_one_study_in_two_folders_pool(cvfp: Command, tmp_path: Path) -> None:
    first, second = (sweep_folder(tmp_path / f"m{seed}", seed) for seed in (42, 43))
    answer = as_json(cvfp("fit", first, second, "--model", "power", "--format", "json"))
    assert [(fit["config"], fit["points"]) for fit in answer["fits"]] == [("1L_8d_1tok", 6)]
    assert answer["fits"][0]["replicates"]["pure_df"] == 3
    assert [note["code"] for note in answer["notes"]] == ["studies-pooled"]
    other = sweep_folder(tmp_path / "other", 44, learning_rate=0.2)
    apart = as_json(cvfp("fit", first, other, "--model", "power", "--format", "json"))
    assert [fit["points"] for fit in apart["fits"]] == [3, 3]


def test_studies_of_other_texts_and_tokenizers_are_warned_about_as_compare_does(
    cvfp: Command, tmp_path: Path
) -> None:
    first, second = sweep_folder(tmp_path / "a", 1), sweep_folder(tmp_path / "b", 2, tokenizer="u")
    code, _, err = cvfp("fit", first, second, "--model", "power")
    assert code == 0
    warned = [line for line in err.splitlines() if "warning" in line]
    assert any("saw different data" in line for line in warned)
    assert any("different tokenizers" in line for line in warned)
    compared = cvfp("compare", first, second)[2]
    assert set(warned) <= set(compared.splitlines())
    answer = as_json(cvfp("fit", first, second, "--model", "power", "--format", "json"))
    assert {"data-differ", "tokenizer-differ"} <= {note["code"] for note in answer["notes"]}


def test_a_run_that_stands_twice_counts_once_and_is_named(cvfp: Command, tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "a", 1)
    code, out, err = cvfp("fit", folder, folder / "summary.json", "--model", "power")
    assert code == 0, err
    assert "3 runs that stand twice: counted once" in err
    assert "3 points" in out
