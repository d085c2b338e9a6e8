"""Section 1: what was asked, on which grid, data and machine, by which recipe, and what went wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scope import Context, Scope
from cvfp_cli.results.schema import Run
from cvfp_cli.study.families import varying
from cvfp_cli.study.groups import run_label

FACTORS = ("embed_dim", "token_input", "samples", "seed", "data_seed")
KNOWN_NOTES = (
    "converged-inferred",
    "incomplete",
    "legacy-metadata",
    "no-schema",
    "recovered",
    "runs-added",
    "runs-unreadable",
)
SHOWN = 200  # characters of one value from a file


def build(context: Context) -> tuple[Block, ...]:
    """The overview of everything that was read."""
    runs = [run for results in context.results for run in results.runs]
    blocks: list[Block] = [Findings(purpose_of(context, runs)), *([_grid(runs)] if runs else [])]
    read = zip(context.names, context.results, strict=True)
    blocks += _described("data", [(name, item.summary.data) for name, item in read if item.summary])
    if not any(block for block in blocks if isinstance(block, Subheading)):
        blocks.append(Findings((_streams(runs),)))
    blocks += _environments(context)
    blocks += _recipes(context)
    blocks += _failures(runs)
    notes = (
        *context.notes,
        *_reader_notes(context),
        *_without_size(context.scopes),
        *_unigram(context.scopes),
    )
    if notes:
        blocks += [Subheading("notes"), Findings(notes)]
    return tuple(blocks)


def purpose_of(context: Context, runs: list[Run]) -> tuple[Finding, ...]:
    groups = [group for scope in context.scopes for group in scope.groups]
    # An axis that one kind of model has and another has not does not vary for that.
    varied = tuple(
        name for name in varying(groups) if len({group.factor(name) for group in groups} - {None}) > 1
    )
    purpose = Finding("purpose", {"factors": varied}) if varied else Finding("purpose-size")
    done = sum(run.status == "done" for run in runs)
    counts = {
        "runs": len(runs),
        "done": done,
        "configurations": sum(len(scope.groups) for scope in context.scopes),
        "sizes": len({run.samples if run.samples is not None else run.train_tokens for run in runs}),
    }
    found = [purpose, Finding("run-count", counts)]
    found += unfinished(runs)
    ensembles = tuple(
        group.label for scope in context.scopes if scope.family.ensembles for group in scope.groups
    )
    data = sum(not scope.family.ensembles for scope in context.scopes)
    if data > 1:
        found.append(Finding("several-families", {"count": data}, "warning"))
    if ensembles and data:
        found.append(Finding("ensembles-apart", {"configs": ensembles, "count": len(ensembles)}))
    return tuple(found)


def unfinished(runs: Iterable[Run]) -> tuple[Finding, ...]:
    """How many runs did not finish, and of which configurations, if there are any."""
    configs = [run_label(run) for run in runs if run.status != "done"]
    values = {"failed": len(configs), "configs": tuple(dict.fromkeys(configs))}
    return (Finding("runs-failed", values, "warning"),) if configs else ()


def _grid(runs: list[Run]) -> Table:
    rows: list[tuple[Value, ...]] = []
    studies = tuple(dict.fromkeys(run.study for run in runs if run.study))
    if studies:
        rows.append((Value("study"), Value(", ".join(studies))))
    axes = dict.fromkeys(name for run in runs for name in run.axes)
    found = {name: {run.axes.get(name) for run in runs} - {None} for name in axes}
    found |= {name: {getattr(run, name) for run in runs} - {None} for name in FACTORS}
    if len(kinds := {run.kind for run in runs}) > 1:
        found = {"kind": set(kinds), **found}
    for factor, values in found.items():
        if values:
            rows.append((Value(factor), Value(listed(sorted(values, key=_in_order)))))
    for key, unit in (("train_tokens", "train_tokens"), ("val_tokens", "val_tokens")):
        counts = [getattr(run, key) for run in runs if getattr(run, key)]
        if counts:
            ends = {"low": min(counts), "high": max(counts)}
            code = "number-range" if ends["low"] < ends["high"] else "number-alone"
            rows.append((Value(unit), Value(Finding(code, ends))))
    return Table("grid", (Column("factor", "term"), Column("values", "mixed")), tuple(rows))


def _in_order(value: object) -> tuple[bool, float, str]:
    """Numbers before words."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return isinstance(value, str), number, str(value)


def listed(values: Iterable[object], most: int = 30) -> str:
    """Values separated by commas; the middle is left out where there are very many."""
    texts = [str(value) for value in values]
    if len(texts) > most:
        texts = [*texts[: most // 2], "…", *texts[-most // 2 :]]
    return ", ".join(texts)


def flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and printable values of a nested table; what is empty is left out."""
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            if value:
                found.append((name, listed(value)[:SHOWN]))
        elif value not in (None, ""):
            found.append((name, str(value)[:SHOWN]))
    return found


def _described(key: str, tables: list[tuple[str, dict[str, Any]]]) -> list[Block]:
    """Each distinct table as rows of key and value; of several each begins with the files that hold it."""
    distinct: list[tuple[list[str], dict[str, Any]]] = []
    for file, table in tables:
        same = next((files for files, known in distinct if known == table), None)
        if same is not None:
            same.append(file)
        elif table:
            distinct.append(([file], table))
    rows: list[tuple[Value, ...]] = []
    for files, table in distinct:
        if len(distinct) > 1:
            rows.append((Value("file"), Value(listed(dict.fromkeys(files)))))
        rows += [(Value(name), _described_value(name, value)) for name, value in flat(table)]
    if not rows:
        return []
    return [Subheading(key), Table(key, (Column("key", "term"), Column("value", "mixed")), tuple(rows))]


def _described_value(name: str, value: str) -> Value:
    """A value as it stands in the file; a size of memory in gigabytes."""
    if name.endswith("_bytes") and value.isdecimal():
        return Value(Finding("memory-size", {"bytes": int(value)}))
    return Value(value)


def _streams(runs: list[Run]) -> Finding:
    fingerprints = tuple(dict.fromkeys(run.data_fingerprint for run in runs if run.data_fingerprint))
    if fingerprints:
        return Finding(
            "data-fingerprints", {"fingerprints": fingerprints, "count": len(fingerprints)}, "note"
        )
    return Finding("data-unrecorded", {}, "note")


def _by_kind(tables: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Of a file's environments, those that differ only in the machine or the card's number as one that names all."""
    places = ("node", "device")
    found: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for file, table in tables:
        kind = {key: value for key, value in table.items() if key not in places}
        merged = next((known for other, of, known in found if (other, of) == (file, kind)), None)
        if merged is None:
            found.append((file, kind, dict(table)))
            continue
        for key in places:
            known, value = str(merged.get(key, "")).split(", "), table.get(key)
            if value is not None and value not in known:
                merged[key] = ", ".join(sorted(filter(None, [*known, str(value)])))
    return [(file, table) for file, _, table in found]


def _environments(context: Context) -> list[Block]:
    tables = [
        (name, dict(table))
        for name, results in zip(context.names, context.results, strict=True)
        if results.summary
        for table in results.summary.environments
    ]
    tables = _by_kind(tables)
    blocks = _described("environment", tables)
    if not blocks:
        return [Findings((Finding("environment-unrecorded", {}, "note"),))]
    alone = [table for _, table in tables]
    distinct = len([table for i, table in enumerate(alone) if table not in alone[:i]])
    if distinct > 1:
        blocks.append(Findings((Finding("environments-several", {"count": distinct}, "warning"),)))
    return blocks


def _recipes(context: Context) -> list[Block]:
    """The recipe's name and what was set on top of it."""
    blocks: list[Block] = []
    told: list[tuple[object, object]] = []
    for results in context.results:
        recipe = results.summary.recipe if results.summary else {}
        name = recipe.get("name")
        overrides = recipe.get("overrides") or {}
        if not name or (name, overrides) in told:
            continue
        told.append((name, overrides))
        if not overrides:
            blocks.append(Findings((Finding("recipe-unchanged", {"name": str(name)}),)))
            continue
        blocks.append(Findings((Finding("recipe-overridden", {"name": str(name), "count": len(overrides)}),)))
        rows = tuple((Value(key), Value(value)) for key, value in flat(overrides))
        blocks.append(Table("overrides", (Column("key"), Column("value")), rows))
    if not blocks:
        blocks.append(Findings((Finding("recipe-unrecorded", {}, "note"),)))
    return [Subheading("recipe"), *blocks]


def _failures(runs: list[Run]) -> list[Block]:
    failed = [run for run in runs if run.status != "done"]
    if not failed:
        return []
    rows = tuple(
        (
            Value(run.config),
            Value(run.samples),
            Value(run.seed),
            Value(run.status),
            Value((run.reason or "")[:SHOWN] or None),
        )
        for run in failed
    )
    columns = (
        Column("config"),
        Column("samples", "int"),
        Column("seed", "plain"),
        Column("status", "term"),
        Column("reason"),
    )
    return [Subheading("failures"), Table("failures", columns, rows)]


def _reader_notes(context: Context) -> list[Finding]:
    found = []
    for results, name in zip(context.results, context.names, strict=True):
        for note in results.notes:
            values = {**note.values, "file": name, "message": note.message, "note": note.code}
            code = f"reader-{note.code}" if note.code in KNOWN_NOTES else "reader-note"
            found.append(Finding(code, values, note.severity))
    return found


def _without_size(scopes: tuple[Scope, ...]) -> list[Finding]:
    """Finished runs that no law can use, since they do not say how much they trained on."""
    found = []
    for scope in scopes:
        runs = sum(len(cell.runs) for group in scope.groups for cell in group.cells)
        used = sum(len(scope.family.usable(group)) for group in scope.groups)
        if used < runs:
            found.append(Finding("runs-without-size", {"count": runs - used, "x": scope.family.x}, "warning"))
    return found


def _unigram(scopes: tuple[Scope, ...]) -> list[Finding]:
    """Whether every configuration beats the unigram at its largest size; one that does not has learned nothing."""
    known = [
        (group.label, group.last.val_ppl, unigram)
        for scope in scopes
        for group in scope.groups
        if group.last and group.last.val_ppl and (unigram := group.last.runs[0].unigram_ppl)
    ]
    if not known:
        return []
    losers = tuple(label for label, ppl, unigram in known if ppl >= unigram)
    if losers:
        return [Finding("unigram-not-beaten", {"configs": losers, "count": len(losers)}, "warning")]
    worst = max(ppl / unigram for _, ppl, unigram in known)
    return [Finding("unigram-beaten", {"ratio": worst, "configurations": len(known)})]
