"""Read results of any kind this project or its forerunners wrote: one way in for fit, compare and report."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results import legacy
from cvfp_cli.results.codec import ReadingLog, from_json, listed
from cvfp_cli.results.flops import with_flops
from cvfp_cli.results.jsontext import (
    RECOVER_HINT,
    decode,
    parse,
    read_bytes,
    salvage,
    with_recovery,
)
from cvfp_cli.results.runs_csv import read_csv
from cvfp_cli.results.schema import READ_RUN_SCHEMAS, READ_SCHEMAS, SCHEMA, Run, Summary

SUMMARY_FILE = "summary.json"
RUN_FILE = "result.json"
RUNS_FOLDER = "runs"


@dataclass(frozen=True)
class Results:
    """The runs of one file or folder, in the order in which they stand there.

    Attributes:
        path: what was read.
        runs: every run, done or not.
        notes: what had to be inferred, left out or recovered.
        summary: the whole file, where it is a ``summary.json`` of ours.
    """

    path: Path
    runs: tuple[Run, ...]
    notes: tuple[Note, ...] = ()
    summary: Summary | None = None


def read_results(path: str | Path, *, recover: bool = False) -> Results:
    """Read ``summary.json``, ``runs.csv``, a run's ``result.json``, an old ``detailed_results.json``, a list of
    runs made by hand, or a folder that holds one of them.

    Args:
        recover: read what can be read of a damaged file, and say in a note how much that was.

    Raises:
        InputError: the file is missing, damaged (with byte, line and column), or not of one of these kinds.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, recover=recover)
    return parse_results(read_bytes(path), path, recover=recover)


def parse_results(data: bytes, path: Path, *, recover: bool = False) -> Results:
    """Results from the bytes of a file; ``path`` names it in messages and tells where its neighbours are.

    Raises:
        InputError: as ``read_results``.
    """
    try:
        return _parsed(data, path)
    except InputError as problem:
        if not recover:
            raise with_recovery(problem, possible=_recoverable(data, path, problem)) from None
        return _recovered(data, path, problem)


def _recoverable(data: bytes, path: Path, problem: InputError) -> bool:
    """Whether the advice that an error gives to recover would help."""
    if problem.hint != RECOVER_HINT:
        return False
    beside = path.parent / RUNS_FOLDER if path.name == SUMMARY_FILE else None
    return bool(salvage(data).rows) or (beside is not None and any(beside.glob(f"*/{RUN_FILE}")))


def is_results_folder(folder: Path) -> bool:
    """Whether a folder holds results of this project or its forerunners."""
    return (folder / RUNS_FOLDER).is_dir() or any(
        (folder / name).is_file() for name in (RUN_FILE, legacy.RUNS_FILE, SUMMARY_FILE)
    )


def _parsed(data: bytes, path: Path) -> Results:
    text = decode(data, str(path))
    findings = ReadingLog()
    if text.lstrip()[:1] not in ("{", "["):
        if path.suffix == ".json" or "," not in text.partition("\n")[0]:
            parse(text, str(path))  # says where and why it is not JSON
            raise _unknown_kind(path)
        runs = read_csv(text, str(path), findings)
        return Results(path, tuple(runs), tuple(findings.notes()))
    value = parse(text, str(path))
    if isinstance(value, dict) and value.get("schema") in READ_RUN_SCHEMAS:
        return _single_run(value, path, findings)
    if isinstance(value, dict) and "schema" in value:
        return _summary(value, path, findings)
    return _rows(value, path, findings)


def _summary(value: dict[str, Any], path: Path, findings: ReadingLog) -> Results:
    if value["schema"] not in READ_SCHEMAS:
        raise InputError(
            f"{path}: schema must be {SCHEMA!r}, not {ascii(value['schema'])[:60]}.",
            hint="A newer cvfp wrote it, or it is not a results file.",
        )
    summary = from_json(Summary, value, "", findings)
    _refuse_problems(path, findings)
    assert summary is not None
    name = summary.recipe.get("name")
    if isinstance(name, str):
        named = tuple(run if run.study else replace(run, study=name) for run in summary.runs)
        summary = replace(summary, runs=named)
    summary = replace(summary, runs=tuple(with_flops(run, summary.data) for run in summary.runs))
    notes = findings.notes()
    if not summary.complete:
        notes.append(
            Note(
                "incomplete",
                f"{path}: the sweep is not finished; {counted(len(summary.runs), 'run is', 'runs are')} there. Name the folder instead "
                "of the file to read those that finished since, too.",
                "warning",
            )
        )
    return Results(path, summary.runs, tuple(notes), summary)


def _single_run(value: dict[str, Any], path: Path, findings: ReadingLog) -> Results:
    run = from_json(Run, value.get("run"), "run", findings)
    _refuse_problems(path, findings)
    assert run is not None
    return Results(path, (run,), tuple(findings.notes()))


def _rows(value: Any, path: Path, findings: ReadingLog) -> Results:
    """A list of runs without a schema: the old scripts', or one made by hand in our keys."""
    rows = value.get("runs") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _unknown_kind(path)
    notes: list[Note] = []
    if legacy.is_legacy_rows(rows):
        legacy.refuse_fits_only(rows, path)
        runs, notes = legacy.legacy_runs(rows, path, findings)
    elif rows and not any("config" in row for row in rows):
        raise _unknown_kind(path)
    else:
        prefix = "runs" if isinstance(value, dict) else ""
        read = [from_json(Run, row, f"{prefix}[{index}]", findings) for index, row in enumerate(rows)]
        runs = [run for run in read if run is not None]
        notes.append(
            Note("no-schema", f"{path} has no schema: read as a plain list of {counted(len(runs), 'run')}.")
        )
    _refuse_problems(path, findings)
    return Results(path, tuple(runs), (*notes, *findings.notes()))


def _read_folder(folder: Path, *, recover: bool) -> Results:
    """A results folder (its summary and any run finished since), or one run's folder."""
    for alone in (RUN_FILE, legacy.RUNS_FILE):
        if (folder / alone).is_file():
            return read_results(folder / alone, recover=recover)
    summary = folder / SUMMARY_FILE
    if not summary.is_file() and not (folder / RUNS_FOLDER).is_dir():
        raise InputError(
            f"{folder} holds neither {SUMMARY_FILE} nor {RUNS_FOLDER}/.",
            hint="Name a results folder, or make one with cvfp sweep.",
        )
    results = read_results(summary, recover=recover) if summary.is_file() else Results(folder, ())
    whole = _with_run_files(replace(results, path=folder), folder, recover=recover)
    unfinished = Note(
        "incomplete",
        f"{folder}: the sweep is not finished; {counted(len(whole.runs), 'run is', 'runs are')} there.",
        "warning",
    )
    return replace(
        whole, notes=tuple(unfinished if note.code == "incomplete" else note for note in whole.notes)
    )


def _with_run_files(results: Results, folder: Path, *, recover: bool) -> Results:
    """Add the finished runs under ``runs/`` that the summary does not have yet."""
    there = {run.run_id for run in results.runs if run.run_id}
    added: list[Run] = []
    notes: list[Note] = []
    for path in sorted((folder / RUNS_FOLDER).glob(f"*/{RUN_FILE}")):
        try:
            found = parse_results(read_bytes(path), path)
        except InputError as problem:
            if not recover:
                raise
            notes.append(Note("run-unreadable", f"Left out: {problem.message}", "warning"))
            continue
        added.extend(run for run in found.runs if run.run_id not in there)
    if added:
        notes.append(
            Note(
                "runs-added",
                f"{folder / RUNS_FOLDER} holds {counted(len(added), 'run')} that {SUMMARY_FILE} does not have yet.",
            )
        )
    # Their index of the environment counts within their own file, not within the summary.
    added = [replace(run, environment=None) for run in added]
    return replace(results, runs=(*results.runs, *added), notes=(*results.notes, *notes))


def _recovered(data: bytes, path: Path, problem: InputError) -> Results:
    """What can be read of a damaged JSON file, and the run folders beside it."""
    found = salvage(data)
    findings = ReadingLog()
    if legacy.is_legacy_rows(found.rows):
        legacy.refuse_fits_only(found.rows, path)
        runs, notes = legacy.legacy_runs(found.rows, path, findings)
    else:
        read = [from_json(Run, row, f"runs[{index}]", findings) for index, row in enumerate(found.rows)]
        runs, notes = [run for run in read if run is not None], []
    if findings.problems:
        notes.append(Note("runs-unreadable", f"Left out: {listed(findings.problems)}.", "warning"))
    notes.append(
        Note(
            "recovered",
            f"{problem.message} {counted(len(runs), 'complete run was', 'complete runs were')} recovered from it.",
            "warning",
        )
    )
    name = found.top.get("recipe", {}).get("name") if isinstance(found.top.get("recipe"), dict) else None
    if isinstance(name, str):
        runs = [run if run.study else replace(run, study=name) for run in runs]
    results = Results(path, tuple(runs), (*notes, *findings.notes()))
    if path.name == SUMMARY_FILE and (path.parent / RUNS_FOLDER).is_dir():
        results = _with_run_files(results, path.parent, recover=True)
    if not results.runs:
        raise InputError(problem.message, hint="No complete run could be recovered from it.")
    return results


def _refuse_problems(path: Path, findings: ReadingLog) -> None:
    if findings.problems:
        raise InputError(f"{path}: {listed(findings.problems)}.")


def _unknown_kind(path: Path) -> InputError:
    return InputError(
        f"{path} holds no runs that can be read.",
        hint=f"Wanted: a {SUMMARY_FILE} or runs.csv of cvfp, an old detailed_results.json, or a list of runs.",
    )
