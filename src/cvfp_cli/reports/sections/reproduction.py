"""Section 10: what it cost, how to do it again, the files, and the checklist of a reproducible scaling law."""

from collections.abc import Sequence

from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.model import Block, Column, Commands, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scope import Context
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.results.schema import Run
from cvfp_cli.stats.size_errors import ENOUGH


def build(context: Context) -> tuple[Block, ...]:
    """Costs, commands, files, checklist."""
    runs = [run for results in context.results for run in results.runs]
    return (*_cost(context, runs), *_commands(context), *_files(context), *_checklist(context, runs))


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _cost(context: Context, runs: list[Run]) -> list[Block]:
    timed = [seconds for run in runs if (seconds := run.total_seconds) is not None]
    if not timed:
        return [Subheading("cost"), Findings((Finding("time-unrecorded", {"runs": len(runs)}, "note"),))]
    rows = []
    for scope in context.scopes:
        for group in scope.groups:
            parts = [run.seconds for run in group.runs]
            peaks = [run.peak_memory_bytes for run in group.runs if run.peak_memory_bytes]
            rows.append(
                {
                    "config": Value(group.label),
                    "runs": Value(len(group.runs)),
                    "seconds_phase1": Value(_total([part.phase1 for part in parts])),
                    "seconds_contexts": Value(_total([part.contexts for part in parts])),
                    "seconds_phase2": Value(_total([part.phase2 for part in parts])),
                    "seconds_total": Value(_total([run.total_seconds for run in group.runs])),
                    "peak_memory": Value(max(peaks) if peaks else None),
                }
            )
    columns = [
        Column("config"),
        Column("runs", "int"),
        *(Column(f"seconds_{part}", "seconds") for part in ("phase1", "contexts", "phase2", "total")),
        Column("peak_memory", "gigabytes"),
    ]
    total = Finding(
        "total-time",
        {"seconds": sum(timed), "timed": len(timed), "runs": len(runs)},
    )
    return [Subheading("cost"), filled("cost", columns, rows), Findings((total,))]


def _commands(context: Context) -> list[Block]:
    lines = [
        results.summary.command for results in context.results if results.summary and results.summary.command
    ]
    names = " ".join(quoted(name) for name in context.names)
    lines += [f"cvfp fit {names}", f"cvfp compare {names}", context.command]
    shown = tuple(" ".join(line.split()) for line in dict.fromkeys(lines) if line)
    blocks: list[Block] = [Subheading("commands"), Commands(shown)]
    if not any(results.summary for results in context.results):
        blocks.append(Findings((Finding("command-unrecorded", {}, "note"),)))
    return blocks


def quoted(name: str) -> str:
    """A word of a command line, quoted where a shell would split or expand it."""
    plain = all(letter.isalnum() or letter in "._-/\\:+=,@" for letter in name)
    return name if plain and name else "'" + name.replace("'", "'\\''") + "'"


def _files(context: Context) -> list[Block]:
    rows: list[tuple[Value, ...]] = [
        (
            Value(name),
            Value(len(results.runs)),
            Value(results.summary.created if results.summary else None),
            Value(
                "yes"
                if results.summary and results.summary.complete
                else "no"
                if results.summary
                else "unknown"
            ),
        )
        for name, results in zip(context.names, context.results, strict=True)
    ]
    columns = (Column("file"), Column("runs", "int"), Column("created"), Column("complete", "term"))
    return [Subheading("files"), Table("files", columns, tuple(rows))]


def _fit_points(points: Sequence[int]) -> Finding:
    if min(points) == max(points):
        return Finding("check-fit-points-same", {"points": points[0]})
    return Finding("check-fit-points", {"least": min(points), "most": max(points)})


def _repetition(epochs: Sequence[int]) -> Finding:
    if not epochs:
        return Finding("check-epochs-unrecorded")
    most = max(epochs)
    return Finding("check-epochs", {"most": most}) if most > 1 else Finding("check-epochs-once")


def _checklist(context: Context, runs: list[Run]) -> list[Block]:
    """The questions of Li, Kudugunta and Zettlemoyer (2025), answered from the results."""
    done = [run for run in runs if run.status == "done" and run.val_ppl is not None]
    fits = [fit for scope in context.scopes for fit in scope.fits.values()]
    groups = [group for scope in context.scopes for group in scope.groups]
    trained = done or runs  # where none finished, the answers are about what was tried
    configurations = [group for group in groups if group.cells] or groups
    sizes = sorted({run.samples for run in trained if run.samples is not None})
    seeds = {run.seed for run in trained if run.seed is not None}
    data_seeds = {run.data_seed for run in trained if run.data_seed is not None}
    xs = tuple(dict.fromkeys(scope.family.x for scope in context.scopes))
    points = [fit.points for fit in fits]
    epochs = [run.epochs for run in trained if run.epochs is not None]
    started = [fit.starts for fit in fits if fit.starts is not None and fit.law != MAIN]
    forward = [fit.forward_error for fit in fits if fit.forward_error is not None]
    left_out = [fit.loo_error for fit in fits if fit.loo_error is not None]
    recipe = next(
        (
            str(r.summary.recipe["name"])
            for r in context.results
            if r.summary and r.summary.recipe.get("name")
        ),
        None,
    )
    versions = tuple(
        dict.fromkeys(
            str(table[key])
            for results in context.results
            if results.summary
            for table in results.summary.environments
            for key in ("cvfp", "cvfp_cli", "cvfp-cli")
            if table.get(key)
        )
    )
    law = [("form", Finding("check-no-fit"))]
    if fits:
        law = [
            ("form", Finding("check-form", {"laws": context.laws})),
            ("variables", Finding("check-variables", {"variables": xs})),
            ("assumptions", Finding("check-assumptions", {"enough": ENOUGH})),
        ]
    answers: list[tuple[str, Finding]] = [
        *law,
        (
            "models",
            Finding(
                "check-models",
                {"runs": len(trained), "configurations": len(configurations), "sizes": tuple(sizes)},
            ),
        ),
        ("counting", Finding("check-counting")),
        (
            "tuning",
            Finding("check-tuning", {"recipe": recipe}) if recipe else Finding("check-tuning-unrecorded"),
        ),
        (
            "repetition",
            _repetition(epochs),
        ),
        ("selection", Finding("check-selection")),
        (
            "code",
            Finding("check-code", {"versions": versions}) if versions else Finding("check-code-unrecorded"),
        ),
        ("points", Finding("check-points", {"used": len(done), "left_out": len(runs) - len(done)})),
        (
            "seeds",
            Finding("check-seeds", {"seeds": len(seeds), "data_seeds": max(len(data_seeds), 1)})
            if seeds
            else Finding("check-seeds-unrecorded"),
        ),
        ("checkpoints", Finding("check-checkpoints")),
    ]
    if fits:
        answers += [
            (
                "objective",
                Finding(
                    "check-objective", {"objectives": tuple(dict.fromkeys(fit.objective for fit in fits))}
                ),
            ),
            ("fit-points", _fit_points(points)),
            (
                "starts",
                Finding(
                    "check-starts",
                    {"tried": max(s.tried for s in started), "agree": min(s.agree for s in started)},
                )
                if started
                else Finding("check-closed-form"),
            ),
            (
                "intervals",
                Finding(
                    "check-intervals",
                    {
                        "level": context.level,
                        "methods": tuple(dict.fromkeys(f.interval_method for f in fits)),
                    },
                ),
            ),
            (
                "validation",
                Finding(
                    "check-validation",
                    {
                        "loo": sum(left_out) / len(left_out) if left_out else None,
                        "forward": sum(forward) / len(forward) if forward else None,
                    },
                )
                if left_out or forward
                else Finding("check-validation-none"),
            ),
        ]
    rows = tuple((Value(f"check-{key}"), Value(answer)) for key, answer in answers)
    note = Finding("checklist-source", {"year": 2025}, "note")
    return [
        Subheading("checklist"),
        Table("checklist", (Column("question", "term"), Column("answer", "finding")), rows, (note,)),
    ]
