"""Tables as people export them: each kind gives the same points, and what is left out is counted and named."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.study.cells import number, number_list
from cvfp_cli.study.points import Points
from cvfp_cli.study.sources import load_points
from cvfp_cli.study.table_points import Columns, table_groups
from cvfp_cli.study.tables import read_table

TOKENS, LOSSES = [1e9, 2e9, 4e9], [3.5, 3.25, 3.125]
ROWS = [{"tokens": x, "loss": y} for x, y in zip(TOKENS, LOSSES, strict=True)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def points(
    text: str | bytes, tmp_path: Path, columns: Columns, name: str = "t"
) -> tuple[Points, tuple[Note, ...]]:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (found,), notes = load_points([str(path)], columns)
    return found, notes


def codes(notes: tuple[Note, ...]) -> list[str]:
    return [note.code for note in notes if note.code != "y-unit"]


CSV = "tokens,loss\n1e9,3.5\n2e9,3.25\n4e9,3.125\n"


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        gzip.compress(CSV.encode(), mtime=0),
        parquet(ROWS),
        parquet([row | {"__index_level_0__": i} for i, row in enumerate(ROWS)]),
        ",tokens,loss\n0,1e9,3.5\n1,2e9,3.25\n2,4e9,3.125\n",  # pandas' to_csv()
        "Unnamed: 0,tokens,loss\n0,1e9,3.5\n1,2e9,3.25\n2,4e9,3.125\n",  # read back and written again
        '"","tokens","loss"\n"a",1e9,3.5\n"b",2e9,3.25\n"c",4e9,3.125\n',  # R's write.csv()
        "tokens,loss\n1,1e9,3.5\n2,2e9,3.25\n3,4e9,3.125\n",  # R's write.table(sep = ",")
        "tokens,loss,\n1e9,3.5,\n2e9,3.25,\n4e9,3.125,\n",
        "tokens,loss\n1e9,3.5,\n2e9,3.25,\n4e9,3.125\n",
        "\ufefftokens;loss\r\n1B;3,5\r\n2B;3,25\r\n4B;3,125\r\n",
        "sep=;\ntokens;loss\n1G;3.5\n2G;3.25\n4G;3.125\n",
        CSV.replace(",", "\t").encode("utf-16"),
        CSV.replace(",", "|"),
        'tokens,loss\n"1,000,000,000",3.5\n"2,000,000,000",3.25\n4_000_000_000,3.125\n',
        "tokens,loss\n1000M,3.5\n2.0B,3.25\n4 b,3.125\n",
        json.dumps({"tokens": {str(i): x for i, x in enumerate(TOKENS)}, "loss": dict(enumerate(LOSSES))}),
        json.dumps({f"r{i}": row for i, row in enumerate(ROWS)}),
        json.dumps({"columns": ["tokens", "loss"], "index": [0, 1, 2], "data": list(zip(TOKENS, LOSSES, strict=True))}),
        json.dumps({"schema": {"fields": []}, "data": ROWS}),
        json.dumps({"lr": 0.1, "tokens": TOKENS, "loss": LOSSES}),
    ],
)  # fmt: skip
def test_the_same_points_from_every_kind_of_table(content: str | bytes, tmp_path: Path) -> None:
    found, notes = points(content, tmp_path, Columns("tokens", "loss"))
    assert (list(found.x), list(found.y)) == (TOKENS, LOSSES)
    assert codes(notes) == []


def test_zstandard(tmp_path: Path) -> None:
    found, _ = points(zstd(CSV.encode()), tmp_path, Columns("tokens", "loss"), "t.csv.zst")
    assert list(found.y) == LOSSES


def test_one_file_a_run(tmp_path: Path) -> None:
    for i, (x, y) in enumerate(zip(TOKENS, LOSSES, strict=True)):
        (tmp_path / f"r{i}").mkdir()
        (tmp_path / f"r{i}/all_results.json").write_text(json.dumps({"train": {"tokens": x}, "eval_loss": y}))
    columns = Columns("train.tokens", "eval_loss")
    for inputs in ([str(tmp_path)], [str(path) for path in sorted(tmp_path.glob("*/*.json"))]):
        (found,), _ = load_points(inputs, columns)
        assert (list(found.x), list(found.y), found.label) == (TOKENS, LOSSES, "3 files")
    (tmp_path / "r1/all_results.json").write_text('{"train": {"tokens": 2e9}, "eval_loss": "high"}')
    with pytest.raises(InputError, match=r"r1/all_results\.json: eval_loss is 'high'"):
        load_points([str(tmp_path)], columns)


@pytest.mark.parametrize("write", [json.dumps, str])  # as JSON, or as pandas writes a column of dicts
def test_columns_of_settings_are_unfolded(write: Any, tmp_path: Path) -> None:
    lines = [["summary", "config", "name"]]
    lines += [
        [write({"eval/loss": y, "_step": 9}), write({"tokens": x}), "r"]
        for x, y in zip(TOKENS, LOSSES, strict=True)
    ]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    found, _ = points(text, tmp_path, Columns("config.tokens", "summary.eval/loss"))
    assert (list(found.x), list(found.y)) == (TOKENS, LOSSES)
    with pytest.raises(InputError, match=r"Did you mean summary\.eval/loss"):
        points(text, tmp_path, Columns("config.tokens", "loss"))


def test_a_chart_with_a_column_a_run(tmp_path: Path) -> None:
    head = "Step,a - eval/loss,a - eval/loss__MIN,a - eval/loss__MAX,b - eval/loss"
    path = tmp_path / "wide.csv"
    path.write_text(f"{head}\n1,3.5,3,4,3.6\n2,3.25,3,4,3.3\n4,3.125,3,4,\n")
    groups, notes = load_points([str(path)], Columns("Step", "eval/loss"))
    assert [(found.label, list(found.y)) for found in groups] == [("a", LOSSES), ("b", [3.6, 3.3])]
    assert codes(notes) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("2.2B", 2.2e9), ("111M", 1.11e8), ("7k", 7e3), ("1.5t", 1.5e12), ("1,000,000", 1e6), ("1.000.000", 1e6),
     ("1_000", 1e3), ("-", None), ("", None), ("NaN", None), ("n/a", None), ("inf", np.inf), (".5", 0.5), ("5.", 5.0)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "cell", ["1,5", "12,34,56", "1e", "2.2 GB", "0x10", "\u0663", True, "1" * 5 + "x", "--5"]
)
def test_what_is_no_number(cell: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        number(cell)


def test_a_list_of_sizes_or_one_with_thousands() -> None:
    assert number_list("1,000,000") == [1e6]
    assert number_list("1,500,000") == [1.5e6]
    assert number_list("100,200,400") == [100, 200, 400]
    assert number_list("1e6,2.2B,inf") == [1e6, 2.2e9, np.inf]
    for text, word in (("1,000,2e6", "000"), ("1e6,million", "million")):
        with pytest.raises(ValueError, match=f"^{word}$"):
            number_list(text)


def test_commas_that_may_be_either_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokens holds '1,000': is that a decimal comma"):
        points("tokens;loss\n1,000;3.5\n2,000;3.25\n", tmp_path, Columns("tokens", "loss"))
    found, _ = points("tokens;loss\n1,000;3,55\n2,000;3,25\n", tmp_path, Columns("tokens", "loss"))
    assert list(found.x) == [1.0, 2.0]  # the other column says that commas are decimal here


def test_rows_without_a_figure_are_left_out_with_count_reason_and_place(tmp_path: Path) -> None:
    text = "params,tokens,loss,samples\n1M,1e9,3.5,a\n,2e9,3.4,b\n1M,3e9,inf,c\n1M,4e9,-,d\n1M,,3,e\n2M,8e9,3.125,f\n"
    found, notes = points(text, tmp_path, Columns("tokens", "loss", parameters="params"))
    assert list(found.y) == [3.5, 3.125]
    assert found.parameters is not None
    assert list(found.parameters) == [1e6, 2e6]
    (note,) = (note for note in notes if note.code == "rows-left-out")
    for words in (
        "4 rows left out", "params is empty in 1 (row 2)", "loss is not finite in 1 (row 3)", "loss is empty in 1 (row 4)",
        "tokens is empty in 1 (row 5)",
    ):  # fmt: skip
        assert words in note.message


def test_only_the_column_config_makes_groups_unasked() -> None:
    rows = [{"name": f"r{i}", "config": "ab"[i % 2], "x": 10.0 * 2**i, "loss": 5.0 - i} for i in range(4)]
    labels = [found.label for found in table_groups(rows, "t", Columns("x", "loss"))[0]]
    assert labels == ["a", "b"]
    assert [len(found) for found in table_groups(rows, "t", Columns("x", "loss", ("none",)))[0]] == [4]
    plain = [{key: cell for key, cell in row.items() if key != "config"} for row in rows]
    assert [len(found) for found in table_groups(plain, "t", Columns("x", "loss"))[0]] == [4]
    assert len(table_groups(plain, "t", Columns("x", "loss", ("name",)))[0]) == 4


def test_rows_without_a_group_are_a_group_that_says_so() -> None:
    cells = [("a", ""), ("", "a"), ("", "")]
    rows = [{"u": u, "v": v, "n": str(n), "y": str(9.0 - n)} for u, v in cells for n in (1, 2)]
    groups, _ = table_groups(rows, "t", Columns("n", "y", group=("u", "v")))
    assert [group.label for group in groups] == ["a no v", "no u a", "no u no v"]
    without = [{name: cell or None for name, cell in row.items()} for row in rows]  # as JSON has it
    assert [group.label for group in table_groups(without, "t", Columns("n", "y", group=("u", "v")))[0]] == [
        "a no v",
        "no u a",
        "no u no v",
    ]
    (one,), _ = table_groups(rows[4:], "t", Columns("n", "y", group=("u", "v")))
    assert one.label == "t"


@pytest.mark.parametrize(
    ("power", "told"), [(300, "Divide loss by 1e300"), (-300, "Multiply loss by 1e300"), (14, "1e14")]
)
def test_a_group_whose_y_has_no_usual_size_is_refused_with_what_to_do(power: int, told: str) -> None:
    """At 1e300 ends of laws began at 0 or were open, and fits were "nan % off"."""
    rows = [
        {"run": run, "n": 10.0 * 2**i, "loss": y}
        for i in range(3)
        for run, y in (("a", 2.0), ("b", 10.0**power))
    ]
    with pytest.raises(InputError, match=f"t: loss of b is about 1e{power};") as found:
        table_groups(rows, "t", Columns("n", "loss", ("run",)))
    assert told in str(found.value.hint)
    assert len(table_groups(rows[::2], "t", Columns("n", "loss", ("run",)))[0]) == 1


@pytest.mark.parametrize(("y", "fine"), [(1e20, True), (1e-300, False), (1e300, False)])
def test_one_row_may_lie_far_off_but_not_beyond_what_a_curve_can_be_worked_out_for(
    y: float, fine: bool
) -> None:
    rows = [{"n": 10.0 * 2**i, "loss": y if i == 2 else 5.0 - i} for i in range(5)]
    if fine:
        assert len(table_groups(rows, "t", Columns("n", "loss"))[0][0]) == 5
        return
    with pytest.raises(InputError, match=re.escape(f"loss is {y:g} in one row")):
        table_groups(rows, "t", Columns("n", "loss"))


def test_rows_that_repeat_count_once_and_other_seeds_do_not() -> None:
    row = {"x": 10.0, "loss": 3.0, "seed": 1}
    (found,), notes = table_groups(
        [row, row, row | {"seed": 2}, row | {"x": 20.0}], "t", Columns("x", "loss")
    )
    assert len(found) == 3
    assert codes(notes) == ["rows-repeated"]
    assert "1 row equal in every column to an earlier one (row 2)" in notes[0].message


def test_repeated_sizes_that_nothing_tells_apart_are_said_to_be() -> None:
    rows = [{"x": x, "loss": y, "lr": lr} for x, y, lr in ((10, 3.0, 1), (10, 3.1, 2), (20, 2.9, 1))]
    _, notes = table_groups(rows, "t", Columns("x", "loss"))
    assert codes(notes) == ["seeds-unknown"]
    assert "1 size with several rows" in notes[0].message
    assert "They differ in lr: --group or --best-of" in notes[0].message
    seeds = [row | {"seed": row["lr"]} for row in rows]
    assert codes(table_groups(seeds, "t", Columns("x", "loss"))[1]) == []
    assert codes(table_groups(rows, "t", Columns("x", "loss", parameters="lr"))[1]) == []


def test_the_best_setting_at_each_size_by_the_mean_of_its_seeds() -> None:
    rows = [
        {"x": x, "loss": y, "lr": lr, "seed": seed}
        for x, lr, seed, y in (
            (10, 1, 1, 3.0), (10, 1, 2, 3.1), (10, 2, 1, 2.9), (10, 2, 2, 4.0), (20, 1, 1, 2.8), (20, 2, 1, 2.7),
        )
    ]  # fmt: skip
    (found,), notes = table_groups(rows, "t", Columns("x", "loss", best_of=("lr",)))
    assert list(found.y) == [3.0, 3.1, 2.7]
    assert codes(notes) == ["best-of"]
    assert "3 rows of other settings left out" in notes[0].message


def test_samples_that_do_not_tell_sizes_make_none() -> None:
    rows = [{"x": 10.0 * 4**i, "loss": 3.0 - i / 10, "samples": 1000} for i in range(4)]
    (found,), notes = table_groups(rows, "t", Columns("x", "loss"))
    assert found.distinct_sizes == 4
    assert codes(notes) == ["samples-unused"]


def test_one_name_in_two_tables_is_two_groups(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("config,tokens,loss\nm,1,3.5\nm,2,3.25\n")
    groups, _ = load_points([str(tmp_path / name) for name in ("a.csv", "b.csv")], Columns("tokens", "loss"))
    assert [found.label.split("(")[0] for found in groups] == ["m ", "m "]
    assert len({found.label for found in groups}) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04rest", "Save the sheet as CSV"),
        (b"PAR1rest", "as Parquet"),
        (b"tokens,loss\n1,2\n\xff\xfe,3\n", "not UTF-8"),
        (b"a,,b\n1,2,3\n", "column 2 has none"),
        (b"a,b\n1,2,3\n4,5,6\n", "line 2: 3 cells"),
        (gzip.compress(b"tokens,loss\n", mtime=0)[:-9], "gzip"),
        (LINES.encode()[:-6], "line 3 is cut off at column"),
        (b"[1]", "no table"),
    ],
)
@pytest.mark.parametrize("recover", [True, False])
def test_recovery_is_advised_only_where_it_helps(
    data: bytes, words: str, recover: bool, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    path.write_bytes(data)
    helps = "cut off" in words
    if recover and helps:
        (found,), notes = load_points([str(path)], Columns("tokens", "loss"), recover=True)
        assert len(found) == 2
        assert "2 complete rows" in next(note.message for note in notes if note.code == "recovered")
        return
    with pytest.raises(InputError) as caught:
        load_points([str(path)], Columns("tokens", "loss"), recover=recover)
    assert words in str(caught.value)
    assert ("--recover" in str(caught.value)) is helps
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from cvfp_cli.results import compressed

    for data in (gzip.compress(bytes(3 * 1024**2), mtime=0), zstd(bytes(3 * 1024**2))):
        with pytest.raises(InputError, match="more than 1 MiB"):
            compressed.decompressed(data, "t", 1024**2)


def test_read_table_keeps_text_as_it_is() -> None:
    assert read_table(b'a,b\n"x, y",{odd}\n', "t") == [{"a": "x, y", "b": "{odd}"}]


def test_a_results_folder_without_runs_csv_gives_its_summary_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(
        json.dumps({"schema": "x", "runs": [row | {"width": 8} for row in ROWS]})
    )
    (tmp_path / "study.json").write_text(json.dumps({"schema": "y"}))
    (found,), _ = load_points([str(tmp_path)], Columns("tokens", "loss", ("width",)))
    assert (list(found.y), found.label) == (LOSSES, "8")
