"""Runs and tables into groups of points: labels, replicates, notes, and a clear line for what cannot be read."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.results.schema import Parameters, Run
from cvfp_cli.scaling import summary_fits
from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.study.groups import Source, group_runs, run_label
from cvfp_cli.study.sources import load_points, pick
from cvfp_cli.study.table_points import Columns, table_groups
from cvfp_cli.study.tables import read_table


def run(config: str = "1L_8d_1tok", **fields: Any) -> Run:
    base: dict[str, Any] = {
        "config": config, "layers": 1, "context_dim": 8, "tokens": 1, "samples": 50,
        "train_tokens": 1000, "val_ppl": 300.0, "study": "demo",
    }  # fmt: skip
    return Run(**(base | fields))


def test_a_group_is_everything_but_samples_and_seeds() -> None:
    runs = [
        run(samples=size, train_tokens=20 * size, seed=seed, data_seed=data_seed, val_ppl=300.0 - size)
        for size in (50, 100)
        for seed in (1, 2)
        for data_seed in (None, 7)
    ]
    (points,), notes = group_runs([Source("a.json", runs)])
    assert len(points) == 8
    assert points.distinct_sizes == 2
    assert points.label == "1L_8d_1tok"
    assert notes == ()


def test_data_seeds_with_other_tokens_are_replicates_of_one_size() -> None:
    runs = [run(samples=50, train_tokens=1000 + 7 * seed, data_seed=seed) for seed in range(3)]
    (points,), _ = group_runs([Source("a.json", [*runs, run(samples=100, train_tokens=2000)])])
    assert points.distinct_sizes == 2
    assert list(points.size_index) == [0, 0, 0, 1]


def test_sizes_in_another_unit_are_the_runs_own() -> None:
    runs = [run(samples=size, train_tokens=21 * size - size // 9) for size in (50, 100, 200)]
    (by_tokens,), _ = group_runs([Source("a.json", runs)])
    (by_samples,), _ = group_runs([Source("a.json", runs)], x="samples")
    assert by_tokens.other_unit is not None
    assert by_samples.other_unit is not None
    assert (by_tokens.other_unit[0], list(by_tokens.other_unit[1])) == ("samples", [50.0, 100.0, 200.0])
    assert by_samples.other_unit[0] == "train_tokens"
    assert list(by_samples.other_unit[1]) == [float(one.train_tokens or 0) for one in runs]
    alone = [run(samples=size, train_tokens=None) for size in (50, 100)]
    (unknown,), _ = group_runs([Source("a.json", alone)], x="samples")
    assert unknown.other_unit is None


def test_labels() -> None:
    assert run_label(run(token_input="first_layer")) == "1L_8d_1tok_first"
    sources = [Source("a.json", [run(study="one"), run(study="two")])]
    assert [p.label for p in group_runs(sources)[0]] == ["1L_8d_1tok (one)", "1L_8d_1tok (two)"]


def test_models_of_one_name_never_pool() -> None:
    first = [run(samples=size, train_tokens=20 * size) for size in (50, 100)]
    again = [run(samples=size, train_tokens=20 * size, val_ppl=280.0) for size in (50, 100)]
    groups, _ = group_runs([Source("a.json", first), Source("b.json", again)])
    assert [p.label for p in groups] == ["1L_8d_1tok (demo a.json)", "1L_8d_1tok (demo b.json)"]
    plain = [run(token_input="all_layers"), run(token_input="first_layer")]
    assert len(group_runs([Source("a.json", plain)])[0]) == 2


def test_a_run_in_two_files_counts_once() -> None:
    one = run(run_id="abc")
    groups, _ = group_runs([Source("a.json", [one]), Source("b.json", [one])])
    assert [len(p) for p in groups] == [1]


def test_runs_that_are_not_done_are_left_out_and_said_to_be() -> None:
    runs = [run(), run(samples=100, status="failed"), run(samples=200, val_ppl=None, status="diverged")]
    (points,), notes = group_runs([Source("a.json", runs)])
    assert len(points) == 1
    assert [note.code for note in notes] == ["runs-diverged", "runs-left-out"]
    assert [note.message.split()[:2] for note in notes] == [["1", "run"], ["1", "run"]]


def test_mixed_data_fingerprints_are_a_warning() -> None:
    runs = [run(data_fingerprint="a"), run(samples=100, data_fingerprint="b")]
    (points,), _ = group_runs([Source("a.json", runs)])
    assert [note.code for note in points.notes] == ["mixed-data"]
    assert points.notes[0].severity == "warning"


def test_parameters_of_both_blocks_are_the_model_size() -> None:
    runs = [run(parameters=Parameters(context_block=10, token_block=32))]
    (points,), _ = group_runs([Source("a.json", runs)])
    assert points.parameters is not None
    assert list(points.parameters) == [42.0]


@pytest.mark.parametrize(("x", "y", "words"), [("size", "val_ppl", "--x"), ("samples", "study", "--y")])
def test_a_column_that_runs_do_not_have(x: str, y: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        group_runs([Source("a.json", [run()])], x=x, y=y)


def test_no_run_has_both() -> None:
    with pytest.raises(InputError, match="No finished run"):
        group_runs([Source("a.json", [run(val_ppl=None)])])


CSV = "width,tokens,loss\n64,1e5,4.0\n64,2e5,3.5\n128,1e5,3.8\n128,2e5,3.3\n128,4e5,\n"


def test_a_table_with_named_columns() -> None:
    groups, notes = table_groups(
        read_table(CSV.encode(), "t.csv"), "t.csv", Columns("tokens", "loss", ("width",))
    )
    assert [(p.label, len(p)) for p in groups] == [("64", 2), ("128", 2)]
    assert groups[0].x_name == "tokens"
    assert notes[0].code == "rows-left-out"


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", "\t"),
        CSV.replace(",", ";"),
        "\ufeff" + CSV,
        json.dumps([{"width": 64, "tokens": t, "loss": y} for t, y in ((1e5, 4), (2e5, 3.5))]),
        json.dumps({"width": [64, 64], "tokens": [1e5, 2e5], "loss": [4, 3.5]}),
        json.dumps(
            {"rows": [{"width": 64, "tokens": 1e5, "loss": 4}, {"width": 64, "tokens": 2e5, "loss": 3.5}]}
        ),
    ],
)
def test_tables_of_every_shape(text: str) -> None:
    rows = read_table(text.encode(), "t")
    groups, _ = table_groups(rows, "t", Columns("tokens", "loss", ("width",)))
    assert groups[0].label == "64"
    assert list(groups[0].y) == [4.0, 3.5]


def test_several_group_columns_and_a_parameter_column() -> None:
    rows = [
        {"a": i, "b": j, "x": 10 * k, "y": 5.0, "n": 7} for i in (1, 2) for j in ("u", "v") for k in (1, 2)
    ]
    groups, _ = table_groups(rows, "t", Columns("x", "y", ("a", "b"), "n"))
    assert [p.label for p in groups] == ["1 u", "1 v", "2 u", "2 v"]
    assert groups[0].parameters is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "different name"),
        ("a,b\n1,2,3\n", "line 2: 3 cells"),
        ("[]", "no table"),
        ("[1, 2]", "no table"),
        ('{"a": "b"}', "no table"),
        ("[{", "line 1"),
        (f"a,b\n1,{'9' * 200_000}\n", "line 2: not CSV"),
    ],
)
def test_what_is_no_table(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_table(text.encode(), "t")


@pytest.mark.parametrize(
    ("x", "y", "group", "words"),
    [
        ("token", "loss", [], "Did you mean tokens"),
        ("tokens", "ppl", [], "no column 'ppl'"),
        ("tokens", "loss", ["depth"], "--group"),
    ],
)
def test_a_missing_column_is_named(x: str, y: str, group: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        table_groups(read_table(CSV.encode(), "t.csv"), "t.csv", Columns(x, y, tuple(group)))


def test_columns_named_by_a_table_are_quoted_on_one_line() -> None:
    rows = read_table(b'"to\nkens\x1b",loss\n1,2\n', "t")
    with pytest.raises(InputError, match=r"Did you mean to\\nkens\\x1b\?"):
        table_groups(rows, "t", Columns("tokens", "loss"))
    with pytest.raises(InputError, match=r"There are to\\nkens\\x1b, loss\."):
        table_groups(rows, "t", Columns("size", "loss"))


def test_a_cell_that_is_no_number_is_named_with_its_row() -> None:
    with pytest.raises(InputError, match="row 2: loss is 'high'"):
        table_groups(read_table(b"tokens,loss\n1,2\n2,high\n", "t"), "t", Columns("tokens", "loss"))


def test_an_integer_that_no_float_holds_is_no_number() -> None:
    rows = read_table(f'[{{"tokens": 1, "loss": 1{"0" * 400}}}]'.encode(), "t")
    with pytest.raises(InputError, match="row 1: loss is '1000"):
        table_groups(rows, "t", Columns("tokens", "loss"))


def test_a_csv_of_runs_columns_without_configurations_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("train_tokens,val_ppl\n100000,300\n200000,240\n")
    (points,), _ = load_points([str(path)], Columns())
    assert len(points) == 2


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped(io.BytesIO):
        buffer = property(lambda self: self)

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Piped(CSV.encode()))
    groups, _ = load_points(["-"], Columns("tokens", "loss", ("width",)))
    assert len(groups) == 2
    legacy = [{"config_name": "1L_8d_1tok", "num_layers": 1, "context_dim": 8, "num_input_tokens": 1,
               "num_samples": s, "train_tokens": 10 * s, "val_ppl": 300.0 - s, "val_acc": 0.1} for s in (5, 10)]  # fmt: skip
    monkeypatch.setattr("sys.stdin", Piped(json.dumps(legacy).encode()))
    (points,), _ = load_points(["-"], Columns())
    assert list(points.x) == [50.0, 100.0]


@pytest.mark.parametrize("columns", [Columns(), Columns("samples", "val_ppl", ("layers",))])
@pytest.mark.parametrize("piped", [True, False])
def test_a_cut_file_is_recovered_however_it_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: Columns, piped: bool
) -> None:
    rows = [
        {"config": "a", "layers": 1, "samples": n, "train_tokens": 9 * n, "val_ppl": 3.0} for n in (1, 2, 4)
    ]
    cut = json.dumps({"runs": rows}).encode()[:-20]
    path = tmp_path / "summary.json"
    path.write_bytes(cut)
    stdin = type(
        "Piped", (), {"isatty": lambda self: False, "buffer": property(lambda self: io.BytesIO(cut))}
    )
    monkeypatch.setattr("sys.stdin", stdin())
    name = "-" if piped else str(path)
    with pytest.raises(InputError, match=r"cut off at byte .*--recover"):
        load_points([name], columns)
    (points,), notes = load_points([name], columns, recover=True)
    assert len(points) == 2
    assert "2 complete" in next(note.message for note in notes if note.code == "recovered")


def test_pick() -> None:
    sources = [Source("a.json", [run(study="one"), run(study="two"), run("2L_8d_1tok", study="two")])]
    groups, _ = group_runs(sources)
    assert len(pick(groups, ())) == 3
    assert [p.label for p in pick(groups, ["1L_8d_1tok"])] == ["1L_8d_1tok (one)", "1L_8d_1tok (two)"]
    assert [p.label for p in pick(groups, ["1L_8d_1tok (two)"])] == ["1L_8d_1tok (two)"]
    with pytest.raises(InputError, match="Did you mean 2L_8d_1tok"):
        pick(groups, ["2L_8d_1tk"])


def test_summary_fits_have_the_fits_shape_and_the_old_keys() -> None:
    runs = [run(samples=s, train_tokens=1000 * s, val_ppl=600.0 * s**-0.5 * e)
            for s, e in ((1, 1.0), (2, 1.01), (4, 0.99))]  # fmt: skip
    (fit,) = summary_fits([*runs, run("2L_8d_1tok"), run(samples=8, val_ppl=None, status="diverged")])
    assert fit["config"] == "1L_8d_1tok"
    assert fit["law"] == "power"
    assert fit["alpha"] == fit["parameters"]["alpha"]["value"]
    assert fit["alpha_low"] < fit["alpha"] < fit["alpha_high"]
    assert fit["A"] == fit["parameters"]["A"]["value"]
    json.dumps(fit, allow_nan=False)
    assert summary_fits([]) == ()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "corpus").iterdir()), ids=lambda path: path.name
)
def test_the_fuzzers_corpus_ends_in_points_or_one_line(path: Path) -> None:
    try:
        groups, _ = table_groups(read_table(path.read_bytes(), "t"), "t", Columns("x", "y", ("g",)))
    except InputError as problem:
        refused = str(problem)
    else:
        refused = ""
        assert all(points.label.isprintable() for points in groups)
    assert "\n" not in refused


def test_runs_that_diverged_are_counted() -> None:
    done = [run(samples=n, train_tokens=1000 * n, val_ppl=900.0 / n) for n in (1, 2)]
    lost = run(samples=4, train_tokens=4000, status="diverged", val_ppl=None)
    _, notes = group_runs([Source("a", [*done, lost])])
    assert [(note.code, note.severity) for note in notes] == [("runs-diverged", "warning")]
    assert notes[0].message == "1 run diverged: no law can use it."
    with pytest.raises(
        InputError, match="No finished run has both train_tokens and val_ppl; 2 runs diverged"
    ):
        group_runs([Source("a", [lost, replace(lost, samples=8)])])


def test_a_law_through_runs_that_were_still_improving_says_so() -> None:
    ended = {"best_epoch": 10, "epochs": 10, "stopped_by": "epochs"}
    runs = [run(samples=n, train_tokens=1000 * n, val_ppl=900.0 / n, **ended) for n in (1, 2, 4)]
    worse = replace(runs[2], best_epoch=9)
    (points,), _ = group_runs([Source("a", [*runs[:2], worse])])
    (note,) = fit_law(points, "power").warnings[:1]
    assert (note.code, note.severity) == ("still-improving", "warning")
    assert note.message.startswith(
        "1L_8d_1tok: 2 of 3 runs ended at their limit of epochs while still improving."
    )
    # An older file may not say what stopped a run; its best epoch being its last does.
    (older,), _ = group_runs([Source("a", [replace(item, stopped_by=None) for item in runs])])
    assert older.notes[0].values["count"] == 3
    (patient,), _ = group_runs(
        [Source("a", [replace(item, best_epoch=9, stopped_by="patience") for item in runs])]
    )
    assert patient.notes == ()


def test_no_two_groups_have_one_name(tmp_path: Path) -> None:
    """Cells "a b" and "c" make the name of "a" and "b c": each was told the other's forecast."""
    rows = [f"{u},{v},{n},{y}" for u, v, y in (("a b", "c", 9), ("a", "b c", 90)) for n in (100, 200, 400)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["u,v,n,loss", *rows]), encoding="utf-8")
    groups, _ = load_points([str(path)], Columns(x="n", y="loss", group=("u", "v")))
    assert [points.label for points in groups] == ["a b c", "a b c (2)"]
    assert [points.y[0] for points in groups] == [9, 90]


def test_a_table_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("n,loss\n100,9\n200,8\n400,7\n", encoding="utf-8")
    for again in (path, tmp_path / ".." / tmp_path.name / "runs.csv", tmp_path):
        with pytest.raises(InputError, match=r"named twice|are one file"):
            load_points([str(path), str(again)], Columns(x="n", y="loss"))
        with pytest.raises(InputError, match=r"named twice|are one file"):
            load_points([str(again), str(path)], Columns(x="n", y="loss"))
