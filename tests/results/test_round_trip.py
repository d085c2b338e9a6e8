"""Laws of the results files that hold for every run: nothing lost, nothing invented, nothing unreadable."""

import json
import math
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.results import Parameters, Run, Seconds, StageRecord, Summary, parse_results, read_results
from cvfp_cli.results.codec import dump_json
from cvfp_cli.results.runs_csv import write_csv

pytestmark = pytest.mark.pinned_only(
    "the project's own JSON and CSV; tests/results/test_reader.py reads both"
)

PATH = Path("summary.json")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
LINE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.dictionaries(LINE, st.booleans() | NUMBERS | LINE, max_size=3)


def figure(hint: Any, limits: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any value that the type hint and the limits of a field allow, written without the package's own checker."""
    if get_origin(hint) is UnionType:
        return st.one_of(figure(item, limits) for item in get_args(hint))
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(figure(get_args(hint)[0], limits), max_size=4).map(tuple)
    if hint in (Parameters, Seconds, StageRecord):
        return dataclass(hint)
    if get_origin(hint) is dict:
        return SCALARS if limits.get("scalars") else OBJECT
    low = limits.get("min", limits.get("above"))
    numbers = st.floats(
        low, limits.get("max"), allow_nan=False, allow_infinity=False, exclude_min="above" in limits
    )
    return {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(low if low is not None else -(2**63) + 1, limits.get("max", 2**63 - 1)),
        float: numbers,
        str: LINE if limits.get("line") else TEXT,
    }[hint]


def dataclass(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(
        kind, **{item.name: figure(hints[item.name], dict(item.metadata)) for item in fields(kind)}
    )


RUNS = dataclass(Run)
SUMMARIES = st.builds(
    Summary,
    created=TEXT,
    command=TEXT,
    complete=st.booleans(),
    recipe=OBJECT,
    environments=st.lists(OBJECT, max_size=2).map(tuple),
    data=OBJECT,
    runs=st.lists(RUNS, max_size=4).map(tuple),
    fits=st.lists(OBJECT, max_size=2).map(tuple),
)


@given(SUMMARIES)
def test_a_summary_comes_back_as_it_was(summary: Summary) -> None:
    written = dump_json(summary)
    back = parse_results(written, PATH)
    assert back.summary == summary
    assert back.runs == summary.runs
    assert "NaN" not in written.decode() or '"' in written.decode()
    json.loads(
        written, parse_constant=pytest.fail
    )  # the standard library would call this for NaN and Infinity


@given(st.lists(RUNS, max_size=4))
def test_runs_csv_comes_back_as_it_was(runs: list[Run]) -> None:
    assert parse_results(write_csv(runs), Path("runs.csv")).runs == tuple(runs)


@given(
    RUNS,
    st.sampled_from(["val_ppl", "val_loss", "train_effective_rank"]),
    st.sampled_from([math.inf, math.nan]),
)
def test_a_figure_that_is_not_finite_is_written_as_null(run: Run, key: str, value: float) -> None:
    written = dump_json({"runs": [replace(run, **{key: value}, sample_losses=(1.0, value))]})
    back = json.loads(written, parse_constant=pytest.fail)["runs"][0]
    assert back[key] is None
    assert back["sample_losses"] is None


def a_run(number: int) -> Run:
    return Run(
        config=f"{number}L_8d_1tok",
        layers=number,
        context_dim=8,
        tokens=1,
        samples=10 * number,
        train_tokens=1234,
        run_id=f"id{number}",
        study='a "study" {with} [marks]',
        val_ppl=100.0 / number,
        val_ppl_by_epoch=(3.0, None, 2.5),
        parameters=Parameters(1, 2, 3),
        execution_path={"config": "no run", "pieces": [1, {"samples": 2}]},
    )


SUMMARY = Summary(
    created="2025-12-01T00:00:00+00:00",
    command="cvfp sweep",
    complete=True,
    recipe={"name": "demo", "overrides": {}, "resolved": {"configurations": [{"name": "", "layers": 1}]}},
    environments=({"torch": "2.13", "Gerät": "CPU ✓"},),
    data={"source": "pydocs"},
    runs=tuple(a_run(number) for number in (1, 2, 3)),
    fits=({"config": "1L_8d_1tok", "law": "power", "alpha": -0.5},),
)
WHOLE = dump_json(SUMMARY)
RAW_UTF8 = json.dumps(
    json.loads(WHOLE), ensure_ascii=False, indent=2
).encode()  # as an editor may have saved it


def run_ends(data: bytes) -> list[int]:
    """Offsets just behind each complete run, by counting braces outside strings: no JSON parser involved."""
    text = data.decode()
    start = text.index('"runs": [')
    depth, in_string, ends = 0, False, []
    position = start + len('"runs": [')
    while not (depth == 0 and text[position] == "]" and not in_string):
        character = text[position]
        if in_string and character == "\\":
            position += 1
        elif character == '"':
            in_string = not in_string
        elif not in_string and character in "{[":
            depth += 1
        elif not in_string and character in "}]":
            depth -= 1
            if depth == 0:
                ends.append(len(text[: position + 1].encode()))
        position += 1
    return ends


@pytest.mark.parametrize("whole", [WHOLE, RAW_UTF8], ids=["as-written", "utf-8"])
def test_a_summary_cut_at_any_byte_is_refused_with_its_position_and_its_complete_runs_recovered(
    whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "summary.json"
    ends = run_ends(whole)
    assert len(ends) == 3
    for cut in range(len(whole.rstrip())):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"byte \d+ \(line \d+") as caught:
            read_results(path)
        assert "\n" not in str(caught.value)
        complete = sum(end <= cut for end in ends)
        if complete == 0:
            with pytest.raises(InputError, match="No complete run"):
                read_results(path, recover=True)
            continue
        assert "--recover" in str(caught.value)
        recovered = read_results(path, recover=True)
        assert recovered.runs == SUMMARY.runs[:complete]
        note = next(note for note in recovered.notes if note.code == "recovered")
        assert counted(complete, "complete run") in note.message
        assert note.severity == "warning"


def test_the_position_of_the_cut_is_a_byte_of_the_file_not_a_character(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    cut = RAW_UTF8.index("✓".encode()) + len("✓".encode()) + 3
    path.write_bytes(RAW_UTF8[:cut])
    with pytest.raises(InputError) as caught:
        read_results(path)
    named = int(str(caught.value).split("byte ")[1].split()[0])
    assert len(RAW_UTF8[:cut].rstrip()) - 2 <= named <= cut


@given(st.integers(0, len(WHOLE) - 2), st.binary(min_size=1, max_size=4))
@settings(max_examples=200)
def test_damage_in_the_middle_costs_only_the_run_it_hits(position: int, damage: bytes) -> None:
    data = WHOLE[:position] + damage + WHOLE[position + len(damage) :]
    ends = run_ends(WHOLE)
    starts = [WHOLE.index(b"[", WHOLE.index(b'"runs"')) + 1, *ends[:-1]]
    untouched = [
        run
        for run, start, end in zip(SUMMARY.runs, starts, ends, strict=True)
        if position + len(damage) <= start or position >= end + 1
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "summary.json"
        path.write_bytes(data)
        found = read_results(path, recover=True).runs
    assert [run for run in found if run in untouched] == untouched


def outcome(data: bytes, path: Path = PATH, *, recover: bool = False) -> str:
    """The one line of a refusal, or nothing where runs were read; any other exception is a bug and gets out."""
    try:
        parse_results(data, path, recover=recover)
    except InputError as problem:
        return str(problem)
    return ""


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_end_in_one_line(data: bytes) -> None:
    assert "\n" not in outcome(data)


@given(
    st.dictionaries(st.sampled_from([*get_type_hints(Summary), *get_type_hints(Run)]), JSON, max_size=6), JSON
)
@settings(max_examples=300)
def test_json_of_any_shape_ends_in_runs_or_one_line(row: dict[str, Any], other: Any) -> None:
    schema = {"schema": "cvfp-results/1"}
    for value in (row, [row], {"runs": [row]}, {**schema, **row}, {**schema, "runs": [row, other]}, other):
        assert "\n" not in outcome(json.dumps(value).encode())


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "corpus").iterdir()), ids=lambda path: path.name
)
def test_the_fuzzers_corpus_ends_in_runs_or_one_line(path: Path) -> None:
    data = path.read_bytes()
    for name in ("summary.json", "runs.csv", "detailed_results.json"):
        for recover in (False, True):
            assert "\n" not in outcome(data, Path(name), recover=recover)
