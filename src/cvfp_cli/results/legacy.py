"""The old scripts' files: ``detailed_results.json`` (runs), ``summary.json`` (fits only), ``metadata.json``."""

import math
from itertools import islice, product
from pathlib import Path
from typing import Any

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results.codec import LARGEST_INTEGER, ReadingLog, from_json, listed
from cvfp_cli.results.jsontext import read_json
from cvfp_cli.results.schema import Run

RUNS_FILE = "detailed_results.json"
METADATA_FILE = "metadata.json"

# Their key -> ours. The files carry no limit of phase 1; 40 and 60 are the limits of the scripts that wrote them.
KEYS = {
    "config_name": "config",
    "num_layers": "layers",
    "context_dim": "context_dim",
    "num_input_tokens": "tokens",
    "num_samples": "samples",
    "train_tokens": "train_tokens",
    "phase1_iter": "phase1_iterations",
    "train_er": "train_effective_rank",
    "val_er": "val_effective_rank",
    "train_ppl": "train_ppl",
    "val_ppl": "val_ppl",
    "val_acc": "val_accuracy",
}
_ITERATION_LIMITS = (40, 60)
_MOST_PLANNED = 10_000  # runs of a plan that are looked for


def is_legacy_rows(value: Any) -> bool:
    """Whether a JSON value is a list in the old scripts' keys, runs or fits."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) for row in value)
        and "config_name" in value[0]
    )


def refuse_fits_only(rows: list[dict[str, Any]], path: Path) -> None:
    """Answer an old ``summary.json``, which has fits but no runs, with where the runs are.

    Raises:
        InputError: no row has a ``num_samples``.
    """
    if any("num_samples" in row for row in rows):
        return
    beside = path.with_name(RUNS_FILE)
    raise InputError(
        f"{path} is an old script's summary: it holds fits, and no runs.",
        hint=(
            f"The runs are beside it: use {beside}."
            if beside.is_file()
            else f"The runs are in the {RUNS_FILE} that the same script wrote; there is none beside it."
        ),
    )


def legacy_runs(rows: list[dict[str, Any]], path: Path, findings: ReadingLog) -> tuple[list[Run], list[Note]]:
    """Runs of a ``detailed_results.json`` in our words, with what had to be inferred as notes.

    Raises:
        InputError: a figure of the wrong type or range, by row and key.
    """
    study = path.resolve().parent.name if path.name == RUNS_FILE else path.stem
    runs = []
    for index, row in enumerate(rows):
        ours = {KEYS.get(key, key): value for key, value in row.items()}
        iterations = ours.get("phase1_iterations")
        if isinstance(iterations, int):
            ours["phase1_converged"] = iterations not in _ITERATION_LIMITS
        if isinstance(ours.get("val_ppl"), float) and not math.isfinite(ours["val_ppl"]):
            ours.update(status="diverged", reason="the old script recorded a PPL that is not finite")
        run = from_json(Run, {"study": study if study.isprintable() else "", **ours}, f"[{index}]", findings)
        if run is not None:
            runs.append(run)
    _name_as_in_the_file(findings)
    notes = []
    if any(run.phase1_iterations is not None for run in runs):
        at_limit = sum(run.phase1_converged is False for run in runs)
        notes.append(
            Note(
                "converged-inferred",
                "The file does not say whether phase 1 converged: 40 or 60 iterations, the limits of the old "
                f"scripts, were taken as not converged ({at_limit} of {counted(len(runs), 'run')}).",
            )
        )
    notes.extend(_metadata_notes(runs, path.with_name(METADATA_FILE)))
    return runs, notes


def _name_as_in_the_file(findings: ReadingLog) -> None:
    for names in (findings.problems, findings.unknown, findings.not_finite):
        for theirs, ours in KEYS.items():
            names[:] = [name.replace(f"].{ours}", f"].{theirs}") for name in names]


def _metadata_notes(runs: list[Run], path: Path) -> list[Note]:
    """What the ``metadata.json`` beside the runs adds: when, how long, and which planned runs are not there."""
    if not path.is_file():
        return []
    value = read_json(path)
    if not isinstance(value, dict) or "sample_sizes" not in value:
        return []
    notes = []
    when, seconds = value.get("timestamp"), value.get("elapsed_seconds")
    if not isinstance(when, str) or not when.isprintable():
        when = None
    if when is not None and isinstance(seconds, int | float) and 0 <= seconds <= LARGEST_INTEGER:
        notes.append(
            Note(
                "legacy-metadata",
                f"Made on {when[:40]} in {seconds:.0f} s, by the {path.name} beside it.",
                values={"when": when[:40], "seconds": seconds, "metadata": path.name},
            )
        )
    there = {(run.tokens, run.layers, run.context_dim, run.samples) for run in runs}
    planned = product(_configurations(value.get("configs")), _whole_numbers(value["sample_sizes"]))
    missing = [
        f"{layers}L_{width}d_{tokens}tok at {samples}"
        for (tokens, layers, width), samples in islice(planned, _MOST_PLANNED)
        if (tokens, layers, width, samples) not in there
    ]
    if missing:
        notes.append(
            Note("runs-missing", f"Planned by {path.name} but not in the file: {listed(missing)}.", "warning")
        )
    return notes


def _configurations(value: Any) -> list[tuple[int, int, int]]:
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    wanted = ("input_tokens", "layers", "context_dim")
    return [
        (row["input_tokens"], row["layers"], row["context_dim"])
        for row in rows
        if all(_is_whole(row.get(key)) for key in wanted)
    ]


def _whole_numbers(value: Any) -> list[int]:
    return [item for item in value if _is_whole(item)] if isinstance(value, list) else []


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= LARGEST_INTEGER
