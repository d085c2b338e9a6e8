"""Every kind of file the reader takes, and every kind it must refuse in one line."""

import difflib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.results import Run, jsontext, read_results
from cvfp_cli.results.codec import dump_json

TESTS = Path(__file__).parent.parent
PUBLISHED = TESTS / "published_results.json"
LEGACY = Path(__file__).parent / "legacy"

RUN = {"config": "1L_8d_1tok", "layers": 1, "context_dim": 8, "tokens": 1, "samples": 10, "train_tokens": 900}
SUMMARY = {
    "schema": "cvfp-results/1",
    "created": "2025-12-01T00:00:00+00:00",
    "command": "cvfp sweep",
    "complete": True,
    "recipe": {"name": "demo"},
    "environments": [],
    "data": {},
    "runs": [RUN],
}


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_results(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def codes(path: Path) -> list[str]:
    return [note.code for note in read_results(path).notes]


def test_published_figures_are_read_as_they_stand() -> None:
    runs = read_results(PUBLISHED).runs
    rows = json.loads(PUBLISHED.read_text())["runs"]
    assert len(runs) == len(rows) == 86
    for run, row in zip(runs, rows, strict=True):
        assert {key: getattr(run, key) for key in row} == row
    assert {run.status for run in runs} == {"done"}
    assert "no-schema" in codes(PUBLISHED)


def test_old_scripts_results_are_read_in_our_words() -> None:
    results = read_results(LEGACY / "detailed_results.json")
    rows = json.loads((LEGACY / "detailed_results.json").read_text())
    assert len(results.runs) == 12
    for run, row in zip(results.runs, rows, strict=True):
        assert (run.config, run.layers, run.tokens) == (
            row["config_name"],
            row["num_layers"],
            row["num_input_tokens"],
        )
        assert (run.samples, run.train_tokens) == (row["num_samples"], row["train_tokens"])
        assert (run.val_ppl, run.train_ppl, run.val_accuracy) == (
            row["val_ppl"],
            row["train_ppl"],
            row["val_acc"],
        )
        assert (run.train_effective_rank, run.val_effective_rank) == (row["train_er"], row["val_er"])
        assert run.phase1_iterations == row["phase1_iter"]
        assert run.phase1_converged is True
        assert run.study == "legacy"
    notes = {note.code: note.message for note in results.notes}
    assert "0 of 12 runs" in notes["converged-inferred"]
    assert "2025-11-30T07:10:40" in notes["legacy-metadata"]
    assert "2185 s" in notes["legacy-metadata"]
    assert "runs-missing" not in notes


@pytest.mark.parametrize(
    ("iterations", "converged"), [(39, True), (40, False), (41, True), (59, True), (60, False)]
)
def test_the_old_scripts_limits_count_as_not_converged(
    tmp_path: Path, iterations: int, converged: bool
) -> None:
    row = json.loads((LEGACY / "detailed_results.json").read_text())[0]
    path = write(tmp_path / "detailed_results.json", [{**row, "phase1_iter": iterations}])
    assert read_results(path).runs[0].phase1_converged is converged
    assert "converged-inferred" in codes(path)


def test_runs_that_metadata_planned_but_the_file_lacks_are_named(tmp_path: Path) -> None:
    shutil.copy(LEGACY / "metadata.json", tmp_path)
    rows = json.loads((LEGACY / "detailed_results.json").read_text())
    path = write(tmp_path / "detailed_results.json", rows[:-1])
    note = next(note for note in read_results(path).notes if note.code == "runs-missing")
    assert "1L_1537d_1tok at 500" in note.message


def test_hostile_metadata_beside_old_runs_is_passed_over(tmp_path: Path) -> None:
    shutil.copy(LEGACY / "detailed_results.json", tmp_path)
    huge = 10**400
    configs = [{"input_tokens": huge, "layers": 1, "context_dim": 1}]
    configs += [{"input_tokens": 1, "layers": 1, "context_dim": width} for width in range(9000)]
    metadata = {
        "timestamp": "today",
        "elapsed_seconds": huge,
        "sample_sizes": [huge, *range(9000)],
        "configs": configs,
    }
    write(tmp_path / "metadata.json", metadata)
    messages = [note.message for note in read_results(tmp_path / "detailed_results.json").notes]
    assert not any("today" in message for message in messages)
    assert any("and 9995 more" in message for message in messages)


def test_a_diverged_old_run_has_no_ppl(tmp_path: Path) -> None:
    row = json.loads((LEGACY / "detailed_results.json").read_text())[0]
    path = write(tmp_path / "detailed_results.json", json.dumps([{**row, "val_ppl": float("nan")}]))
    run = read_results(path).runs[0]
    assert (run.status, run.val_ppl) == ("diverged", None)
    assert "non-finite-read-as-missing" in codes(path)


def test_an_old_summary_is_answered_with_where_its_runs_are(tmp_path: Path) -> None:
    assert f"use {LEGACY / 'detailed_results.json'}" in refusal(LEGACY / "summary.json")
    shutil.copy(LEGACY / "summary.json", tmp_path)
    assert "there is none beside it" in refusal(tmp_path / "summary.json")
    assert "fits, and no runs" in refusal(tmp_path / "summary.json", recover=True)


def test_a_folder_of_the_old_scripts_is_its_runs() -> None:
    assert read_results(LEGACY).runs == read_results(LEGACY / "detailed_results.json").runs


def test_an_old_key_is_named_as_the_file_has_it(tmp_path: Path) -> None:
    row = json.loads((LEGACY / "detailed_results.json").read_text())[0]
    assert "[0].val_acc must be" in refusal(
        write(tmp_path / "detailed_results.json", [{**row, "val_acc": 18.3}])
    )


def test_a_hand_made_list_needs_only_what_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", [{"config": "a", "samples": 50, "val_ppl": 7}])
    assert read_results(path).runs == (
        Run(
            config="a", layers=None, context_dim=None, tokens=None, samples=50, train_tokens=None, val_ppl=7.0
        ),
    )


def test_the_recipes_name_is_the_study_of_runs_that_name_none(tmp_path: Path) -> None:
    runs = [RUN, {**RUN, "study": "other"}]
    path = write(tmp_path / "summary.json", {**SUMMARY, "runs": runs})
    results = read_results(path)
    assert [run.study for run in results.runs] == ["demo", "other"]
    assert results.summary is not None
    assert results.summary.runs == results.runs


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("val_ppl", 0, "runs[0].val_ppl must be above 0.0, not 0"),
        ("val_ppl", -3.5, "runs[0].val_ppl must be above 0.0, not -3.5"),
        ("val_ppl", "low", 'runs[0].val_ppl must be a number, not "low"'),
        ("val_ppl", True, "runs[0].val_ppl must be a number, not true"),
        ("val_accuracy", 17.3, "runs[0].val_accuracy must be at least 0.0 and at most 1.0, not 17.3"),
        ("phase1_rate", -0.1, "runs[0].phase1_rate must be"),
        ("layers", 0, "runs[0].layers must be at least 1, not 0"),
        ("layers", 1.5, "runs[0].layers must be a whole number, not 1.5"),
        ("samples", 10**40, "runs[0].samples is larger than 2^63"),
        ("status", "finished", 'runs[0].status must be one of done, failed, diverged, not "finished"'),
        ("phase1_converged", 1, "runs[0].phase1_converged must be true or false"),
        ("val_ppl_by_epoch", [3, "x"], "runs[0].val_ppl_by_epoch[1] must be a number"),
        ("val_ppl_by_epoch", 3, "runs[0].val_ppl_by_epoch must be a list"),
        ("parameters", {"total": -1}, "runs[0].parameters.total must be at least 0"),
        ("parameters", [], "runs[0].parameters must be an object, not a list"),
        ("config", "a\nb", "runs[0].config must be one line of printable text"),
        ("config", "\x1b[31mred", "runs[0].config must be one line of printable text"),
        ("study", "a\x07b", "runs[0].study must be one line of printable text"),
        ("config", "", "runs[0].config must be one line of printable text"),
        ("config", None, "runs[0].config must be one line of printable text, not null"),
        ("execution_path", 3, "runs[0].execution_path must be an object"),
    ],
)
def test_a_wrong_figure_is_named_by_its_path(tmp_path: Path, key: str, value: Any, said: str) -> None:
    path = write(tmp_path / "summary.json", {**SUMMARY, "runs": [{**RUN, key: value}]})
    assert said in refusal(path)


def test_all_wrong_figures_are_reported_together_and_recover_keeps_the_right_runs(tmp_path: Path) -> None:
    runs = [{**RUN, "val_ppl": -1}, RUN, {**RUN, "layers": "two"}]
    path = write(tmp_path / "summary.json", {**SUMMARY, "runs": runs})
    said = refusal(path)
    assert "runs[0].val_ppl" in said
    assert "runs[2].layers" in said
    recovered = read_results(path, recover=True)
    assert len(recovered.runs) == 1
    assert {"runs-unreadable", "recovered"} <= {note.code for note in recovered.notes}


def test_a_key_of_a_later_version_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = write(tmp_path / "summary.json", {**SUMMARY, "runs": [{**RUN, "val_pll": 3}], "more": 1})
    note = next(note for note in read_results(path).notes if note.code == "unknown-key")
    assert "runs[0].val_pll (did you mean val_ppl?)" in note.message
    assert "more" in note.message


def test_a_thousand_unknown_keys_are_not_all_compared_with_the_schemas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda word, *rest, **more: compared.append(word) or [])
    runs = [{**RUN, "samples": number + 1, f"x{number}": 3} for number in range(1000)]
    path = write(tmp_path / "summary.json", {**SUMMARY, "runs": runs})
    note = next(note for note in read_results(path).notes if note.code == "unknown-key")
    assert note.message.endswith("and 995 more.")
    assert len(compared) == 5


@pytest.mark.parametrize("missing", [key for key in SUMMARY if key != "schema"])
def test_a_summary_without_one_of_its_keys_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    value = {key: item for key, item in SUMMARY.items() if key != missing}
    assert f"lacks {missing}" in refusal(write(tmp_path / "summary.json", value))


def test_another_schema_is_refused(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "summary.json", {**SUMMARY, "schema": "cvfp-results/3"}))
    assert "'cvfp-results/2', not 'cvfp-results/3'" in said


def test_an_unfinished_sweep_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "summary.json", {**SUMMARY, "complete": False})
    assert "incomplete" in codes(path)
    run_file(tmp_path, "b", run_id="b")
    (note,) = [note for note in read_results(tmp_path).notes if note.code == "incomplete"]
    assert "2 runs are there" in note.message


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(SUMMARY).encode())
    assert len(read_results(path).runs) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{"a": "\xff"}', "byte 7 (line 1) is not UTF-8"),
        (b"\n\n\xc3(", "byte 2 (line 3) is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'[{"config": "a", "samples": ' + b"9" * 5000 + b"}]", "more than 4,300 digits"),
        (b'{"runs": [{"config": "a", "config": "b"}]}', 'gives the key "config" twice'),
        (b'{"runs": [{"config": "\\ud800"}]}', "half a surrogate pair"),
        (b'{"runs": [}', "is not JSON at byte 10 (line 1, column 11)"),
        (b"{'runs': []}", "is not JSON at byte 1"),
        (b"3", "no runs that can be read"),
        (b"[1, 2]", "no runs that can be read"),
        (b'{"loss": 3}', "no runs that can be read"),
        (b'[{"loss": 3}]', "no runs that can be read"),
        (b"hello world", "is not JSON at byte 0"),
        (b"\x00" * 64, "is not JSON at byte 0"),
    ],
)
def test_hostile_json_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    assert said in refusal(path)


def test_a_complete_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"config": "\\ud83d\\ude00", "samples": 3}]')
    assert read_results(path).runs[0].config == "😀"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_cli.results.jsontext.SIZE_LIMIT", 1024**2)
    path = tmp_path / "summary.json"
    with path.open("wb") as file:
        file.truncate(1024**2 + 1)
    assert "larger than 1 MiB" in refusal(path)


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nothing.json")
    assert "neither summary.json nor runs/" in refusal(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_results("a\0b")


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=[json.dumps(SUMMARY).encode()], daemon=True).start()
    assert len(read_results(pipe).runs) == 1


def run_file(folder: Path, name: str, **keys: Any) -> Path:
    (folder / "runs" / name).mkdir(parents=True)
    path = folder / "runs" / name / "result.json"
    path.write_bytes(dump_json({"schema": "cvfp-run/1", "run": {**RUN, **keys}, "environment": {}}))
    return path


def test_a_run_folder_and_its_file_are_one_run(tmp_path: Path) -> None:
    path = run_file(tmp_path, "a", run_id="a", val_ppl=12.5)
    for place in (path, path.parent):
        (run,) = read_results(place).runs
        assert (run.run_id, run.val_ppl) == ("a", 12.5)


def test_a_results_folder_is_its_summary_and_what_finished_since(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", {**SUMMARY, "runs": [{**RUN, "run_id": "a", "val_ppl": 1.5}]})
    run_file(tmp_path, "a", run_id="a", val_ppl=9)
    run_file(tmp_path, "b", run_id="b", val_ppl=2)
    results = read_results(tmp_path)
    assert [(run.run_id, run.val_ppl) for run in results.runs] == [("a", 1.5), ("b", 2.0)]
    assert "runs-added" in [note.code for note in results.notes]


def test_a_results_folder_without_a_summary_is_its_runs(tmp_path: Path) -> None:
    run_file(tmp_path, "a", run_id="a")
    assert [run.run_id for run in read_results(tmp_path).runs] == ["a"]


def test_recovering_a_cut_summary_takes_the_runs_beside_it_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_file(tmp_path, name, run_id=name)
    whole = json.dumps({**SUMMARY, "runs": [{**RUN, "run_id": name} for name in ("a", "b")]})
    (tmp_path / "summary.json").write_text(whole[: whole.rindex('"run_id"')])
    recovered = read_results(tmp_path / "summary.json", recover=True)
    assert [run.run_id for run in recovered.runs] == ["a", "b"]
    (tmp_path / "summary.json").write_text("")
    assert [run.run_id for run in read_results(tmp_path, recover=True).runs] == ["a", "b"]


def test_recovery_does_not_read_a_long_damaged_text_again_at_every_brace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    decode_at = jsontext._decode_at

    def counted(text: str, position: int) -> tuple[Any, int, int]:
        found = decode_at(text, position)
        read.append(found[2] - position)
        return found

    monkeypatch.setattr(jsontext, "_decode_at", counted)
    nested = '{"config": [' * 500 + "1," * 50_000
    path = write(tmp_path / "summary.json", nested)
    assert "No complete run" in refusal(path, recover=True)
    assert sum(read) < 8 * len(nested)


def test_a_damaged_run_file_is_named_and_recover_leaves_it_out(tmp_path: Path) -> None:
    run_file(tmp_path, "a", run_id="a")
    torn = run_file(tmp_path, "b", run_id="b")
    torn.write_bytes(torn.read_bytes()[:50])
    with pytest.raises(InputError, match=r"runs/b/result\.json is cut off at byte \d+"):
        read_results(tmp_path)
    results = read_results(tmp_path, recover=True)
    assert [run.run_id for run in results.runs] == ["a"]
    assert "run-unreadable" in [note.code for note in results.notes]


CSV = "config,layers,samples,val_ppl,parameters.total,phase1_converged,val_ppl_by_epoch\n"


def test_a_csv_with_some_columns_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", CSV + '2L_8d_1tok,2.0,50,12.5,,True,"[3.0, null]"\n')
    (run,) = read_results(path).runs
    assert (run.layers, run.samples, run.val_ppl, run.phase1_converged) == (2, 50, 12.5, True)
    assert (run.parameters.total, run.val_ppl_by_epoch) == (None, (3.0, None))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "no column 'config'"),
        (CSV + "x,1\n", "line 2: 2 cells where the first line has 7"),
        (CSV + "x,1,50,low,,,\n", 'line 2.val_ppl must be a number, not "low"'),
        (CSV + "x,1,50,-2,,,\n", "line 2.val_ppl must be above 0.0"),
        (CSV + "x,1,50,2,,,[1\n", "line 2.val_ppl_by_epoch must be a list"),
        (CSV + 'x,1,50,"2,,,\n', "not CSV"),
        ("config,samples,samples\nx,1,2\n", "'samples' twice"),
    ],
)
def test_a_wrong_csv_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(write(tmp_path / "runs.csv", content))


def test_a_column_that_no_run_has_is_noted(tmp_path: Path) -> None:
    assert "unknown-key" in codes(write(tmp_path / "runs.csv", "config,colour\nx,red\n"))


def test_pandas_reads_runs_csv_and_its_copy_is_read_back(tmp_path: Path) -> None:
    import pandas

    from cvfp_cli.results.runs_csv import write_csv

    runs = read_results(PUBLISHED).runs
    (tmp_path / "runs.csv").write_bytes(write_csv(runs))
    frame = pandas.read_csv(tmp_path / "runs.csv")
    assert frame["val_ppl"].tolist() == [run.val_ppl for run in runs]
    assert {"parameters.total", "seconds.phase1"} <= set(frame.columns)
    # As text, since pandas 2 misses the last bit of some decimals.
    pandas.read_csv(tmp_path / "runs.csv", dtype=str).to_csv(tmp_path / "copy.csv", index=False)
    assert read_results(tmp_path / "copy.csv").runs == runs
