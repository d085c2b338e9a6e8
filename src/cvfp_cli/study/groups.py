"""Runs into labelled groups of points: everything but samples and seeds makes a group."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cvfp_cli.counting import agreeing, counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import ENSEMBLE, Run
from cvfp_cli.study.points import Points

TOKEN_INPUT = "model.token_input"
"""The axis of a grid that varies which layers read tokens."""


@dataclass(frozen=True)
class Source:
    """The runs of one file; ``name`` tells files of one study apart."""

    name: str
    runs: Sequence[Run]


def run_label(run: Run, *, study: str = "") -> str:
    """``config``, plus ``_first`` for ``first_layer``, plus the study in brackets where it is given."""
    named = TOKEN_INPUT in run.axes  # then the configuration's name says it
    label = run.config + ("_first" if run.token_input == "first_layer" and not named else "")
    return f"{label} ({study})" if study else label


@dataclass(frozen=True)
class PlacedRun:
    """A run and what it belongs to.

    Attributes:
        source: the name of its file. study: told apart by the file where one configuration of one study stands in
            several, which may have been run with different settings.
        label: its group's, the study in brackets where there are several.
    """

    run: Run
    source: str
    study: str
    label: str


def placed_runs(sources: Sequence[Source]) -> list[PlacedRun]:
    """Every run of the sources, in their order, by the name of its group."""
    several = len({run.study for source in sources for run in source.runs}) > 1
    files: dict[tuple[str, str], set[str]] = {}
    for source in sources:
        for run in source.runs:
            files.setdefault((run_label(run), run.study), set()).add(source.name)
    placed = []
    for source in sources:
        for run in source.runs:
            twice = len(files[run_label(run), run.study]) > 1
            study = _joined(run.study, source.name if twice else "")
            label = run_label(run, study=study if several or twice else "")
            placed.append(PlacedRun(run, source.name, study, label))
    return placed


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def source_names(
    results: Sequence[Results], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """A name for the ``Source`` of each file: one for all files of one study, so that their runs pool.

    Files are of one study if they record the same recipe but for its grid, sizes and seeds, and the same data.

    Args:
        names: the files' own names.

    Returns:
        the names, and a note on each study whose files pool.
    """
    keys = [_study_key(result) or str(index) for index, result in enumerate(results)]
    members = {key: [name for name, own in zip(names, keys, strict=True) if own == key] for key in keys}
    notes = [
        Note(
            "studies-pooled",
            f"{' and '.join(files)} hold runs of one study with the same data: they are pooled.",
        )
        for files in members.values()
        if len(files) > 1
    ]
    return tuple(" + ".join(members[key]) for key in keys), tuple(notes)


def _study_key(results: Results) -> str | None:
    """What all runs of one study have in common, as text; None where the file does not record it."""
    summary = results.summary
    resolved = summary.recipe.get("resolved") if summary else None
    if summary is None or not isinstance(resolved, dict) or not summary.data.get("fingerprint"):
        return None
    shared = {key: value for key, value in resolved.items() if key not in ("configurations", "runs", "name")}
    if isinstance(shared.get("data"), dict):
        shared["data"] = {key: value for key, value in shared["data"].items() if key != "samples"}
    study = summary.recipe.get("name")
    return json.dumps([study, shared, summary.data["fingerprint"]], sort_keys=True, default=str)


def group_runs(
    sources: Sequence[Source], *, x: str = "train_tokens", y: str = "val_ppl"
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """Gather finished runs into one ``Points`` a configuration, in the order of their first run.

    Runs without x or y are left out with a note; a run that stands in two files (the same ``run_id``) counts once.

    Returns:
        the groups, each with the notes that concern it, and the notes that concern all.

    Raises:
        InputError: x or y is not a number that runs have, or no run has both.
    """
    names = numeric_columns()
    for option, column in (("--x", x), ("--y", y)):
        if column not in names:
            raise InputError(
                f"{option}: runs have no column {column!r}.", hint=f"There are {', '.join(names)}."
            )
    placed = placed_runs(sources)
    in_two_files = {item.run.study for item in placed if item.study != item.run.study}
    gathered: dict[tuple[object, ...], list[PlacedRun]] = {}
    seen: set[str] = set()
    left_out = diverged = repeated = 0
    for item in placed:
        run = item.run
        # Without an id, as in lists made by hand, a run is known by all that stands there.
        identity = run.run_id or repr(run)
        if identity in seen:
            repeated += 1
            continue
        seen.add(identity)
        if run.status == "diverged":
            diverged += 1
        elif run.status != "done" or getattr(run, y) is None or getattr(run, x) is None:
            left_out += 1
        else:
            key = (run_label(run), run.kind, *sorted(run.axes.items()), run.embed_dim, item.study)
            gathered.setdefault(key, []).append(item)
    notes = []
    if repeated:
        message = f"{counted(repeated, 'run that stands', 'runs that stand')} twice: counted once."
        notes.append(Note("rows-repeated", message, values={"rows": repeated}))
    if diverged:
        runs_diverged = f"{counted(diverged, 'run')} diverged"
        values: dict[str, str | float] = {"count": diverged}
        message = f"{runs_diverged}: no law can use {agreeing(diverged, 'it', 'them')}."
        notes.append(Note("runs-diverged", message, "warning", values))
    if left_out:
        notes.append(
            Note(
                "runs-left-out", f"{counted(left_out, 'run')} without {x} or {y} (or not finished): left out."
            )
        )
    if not gathered:
        raise InputError(
            f"No finished run has both {x} and {y}" + (f"; {runs_diverged}." if diverged else "."),
            hint="Choose other columns with --x and --y.",
        )
    groups = []
    for members in gathered.values():
        last = members[-1]
        # A study whose configurations stand in two files has a joint law in each of them.
        study = _joined(last.run.study, last.source if last.run.study in in_two_files else "")
        groups.append(_points(last.label, [item.run for item in members], x, y, study))
    return tuple(groups), tuple(notes)


def unfinished_training(label: str, runs: Sequence[Run]) -> list[Note]:
    """Notes for a law through runs that a limit ended while they were still improving."""
    notes = []
    improving = sum(run.still_improving for run in runs)
    counts: dict[str, str | float] = {"config": label, "runs": len(runs)}
    if improving:
        message = (
            f"{label}: {improving} of {counted(len(runs), 'run')} ended at their limit of epochs while still improving. Small "
            "sizes need the most epochs, so under-training makes the fall look steeper than it is: raise phase2.epochs."
        )
        notes.append(Note("still-improving", message, "warning", {**counts, "count": improving}))
    converging = sum(run.still_converging for run in runs)
    if converging:
        message = (
            f"{label}: {converging} of {counted(len(runs), 'run')} ended phase 1 at its limit of iterations while more and more "
            "tokens converged; phase1.max_iterations is the limit."
        )
        notes.append(Note("still-converging", message, values={**counts, "count": converging}))
    return notes


def numeric_columns() -> tuple[str, ...]:
    """The names of a run's fields that hold one number each."""
    return tuple(
        field.name
        for field in fields(Run)
        if str(field.type) in ("int", "float", "int | None", "float | None")
    )


def _points(label: str, runs: Sequence[Run], x: str, y: str, study: str) -> Points:
    notes = []
    prints = {run.data_fingerprint for run in runs if run.data_fingerprint}
    if len(prints) > 1:
        notes.append(
            Note(
                "mixed-data",
                f"{label}: its runs were validated on {len(prints)} different data sets (data_fingerprint differs); "
                "one law through them mixes different measurements.",
                "warning",
            )
        )
    seeds = Counter((run.samples or getattr(run, x), run.seed, run.data_seed) for run in runs)
    if any(count > 1 for count in seeds.values()):
        notes.append(
            Note(
                "seeds-unknown",
                f"{label}: several runs of one size have the same seed and data_seed, or none: they count as other seeds.",
                "warning",
                {"sizes": sum(count > 1 for count in seeds.values())},
            )
        )
    notes += unfinished_training(label, runs)
    sizes = [run.samples if run.samples is not None else getattr(run, x) for run in runs]
    counts = [run.parameters.body for run in runs]  # what the joint law counts
    # The figures are those of the best epoch: later ones add nothing to them.
    passes = [run.best_epoch or run.epochs for run in runs]
    flops = [run.flops for run in runs]
    tokens = [run.train_tokens for run in runs if x == "samples"]
    return Points(
        x=np.array([getattr(run, x) for run in runs], dtype=float),
        y=np.array([getattr(run, y) for run in runs], dtype=float),
        label=label,
        sizes=np.array(sizes, dtype=float),
        parameters=np.array(counts, dtype=float) if all(count is not None for count in counts) else None,
        passes=np.array(passes, dtype=float) if all(passes) else None,
        flops=np.array(flops, dtype=float) if all(flops) else None,
        tokens=np.array(tokens, dtype=float) if tokens and all(tokens) else None,
        x_name=x,
        y_name=y,
        study=study,
        of_members=runs[0].kind == ENSEMBLE,
        notes=tuple(notes),
    )
