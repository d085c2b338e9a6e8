"""What a command is going to run, known and checked before anything is trained: one job an experiment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cvfp_cli.core.config import Execution
from cvfp_cli.counting import counted
from cvfp_cli.data.description import Settings
from cvfp_cli.data.study import StudyData, prepare_study
from cvfp_cli.errors import InputError
from cvfp_cli.learners import Sizes, Stage, identity_of
from cvfp_cli.learners.base import Memory, RunParameters
from cvfp_cli.notes import Note
from cvfp_cli.recipes import Recipe, field_defaults
from cvfp_cli.recipes.recipe import BASE_TABLES, DEFAULT_KIND
from cvfp_cli.results import OtherStudyError, ResultsStore, Run, run_id
from cvfp_cli.sweeps.checkpoint import FILE_NAME
from cvfp_cli.sweeps.grid import Experiment, experiments

HOST_FILLED = 0.8  # of the host's memory, what contexts may take
_SIZE_FIELDS = (("tokenizer", "samples"), ("validation", "after"))
FINGERPRINT_DIGITS = 16  # 64 bits: enough to tell studies apart, short enough for a message


@dataclass(frozen=True)
class Job:
    """One experiment with everything that can be said about it beforehand.

    Attributes:
        experiment: what to train.
        run_id: hash of resolved configuration, data fingerprint and seeds.
        folder: the run's own folder.
        execution: the device, precision, memory and threads that it runs with, all resolved.
        parameters: counts of each part.
        train_tokens: length of its training stream.
        memory: what it holds, and where.
        stages: its parts that take steps, with their work.
        recorded: the run that an earlier command left behind, whatever its status.
    """

    experiment: Experiment
    run_id: str
    folder: Path
    execution: Execution
    parameters: RunParameters
    train_tokens: int
    memory: Memory
    stages: tuple[Stage, ...]
    recorded: Run | None = None

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.experiment.name

    @property
    def checkpoint(self) -> Path:
        """The one file that whoever runs the job writes."""
        return self.folder / FILE_NAME

    def stage(self, name: str) -> Stage | None:
        """The stage of this name; None for a part of the run that takes no steps."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do.

        A diverged run is settled, since the same seeds would diverge again; a failed one (out of memory, say)
        is tried again.
        """
        return self.recorded is not None and self.recorded.status != "failed"


@dataclass(frozen=True)
class Shard:
    """A part of a grid: the ``number``-th (1-based) ``of`` so many, by a hash that neither order nor machine changes."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}of{self.of}"

    def has(self, job: Job) -> bool:
        """Whether a job is in it."""
        return int(job.run_id, 16) % self.of == self.number - 1


@dataclass(frozen=True)
class Plan:
    """The jobs of one command, and what they share.

    Attributes:
        data: what its runs read, by their data tables: one entry, unless an axis varies those.
        identity: what all runs of a results folder have in common.
        jobs: the command's whole grid, fewest samples first.
        others: runs that the folder holds besides.
        shard: the part of the grid that this command trains; None for all of it.
    """

    recipe: Recipe
    data: Mapping[Settings, StudyData]
    execution: Execution
    identity: Mapping[str, Any]
    jobs: tuple[Job, ...]
    others: tuple[Run, ...]
    shard: Shard | None = None

    @property
    def own(self) -> tuple[Job, ...]:
        """The jobs that are this command's to do."""
        return tuple(job for job in self.jobs if self.shard is None or self.shard.has(job))

    @property
    def described(self) -> dict[str, Any]:
        """The ``data`` table of ``summary.json``."""
        return described(self.data)

    @property
    def notes(self) -> tuple[Note, ...]:
        """Remarks about the data, each once, and about a validation text that is not the one the recipe expects."""
        notes = tuple(dict.fromkeys(note for data in self.data.values() for note in data.notes))
        expected = self.recipe.validation.expected_tokens
        other = next((count for count in self.val_tokens if count != expected), None)
        if not expected or other is None or len(self.data) > 1:
            return notes
        message = (
            f"The validation text has {counted(other, 'token')}, and {self.recipe.name} expects {expected:,}: the data "
            "set, the tokenizer or the way samples are cut is not the recipe's, so PPL does not compare with what it "
            "expects."
        )
        values: dict[str, str | float] = {"recipe": self.recipe.name, "tokens": other, "expected": expected}
        return (*notes, Note("validation-tokens-unexpected", message, "warning", values))

    @property
    def val_tokens(self) -> tuple[int, ...]:
        """Lengths of the jobs' validation streams, ascending; one where they share it."""
        points = {
            (job.experiment.settings, job.experiment.samples, job.experiment.data_seed) for job in self.jobs
        }
        return tuple(sorted({self.data[key].val_token_count(n, seed) for key, n, seed in points}))

    @property
    def remaining(self) -> tuple[Job, ...]:
        """Jobs with something left to do."""
        return tuple(job for job in self.own if not job.settled)


def read_text(
    recipe: Recipe, *, cache_dir: Path | None, notify: Callable[[str], None]
) -> dict[Settings, StudyData]:
    """Read and check the text of every experiment of a recipe, by its data tables; nothing but caches is written.

    Raises:
        InputError: everything that is wrong with it, a line each.
    """
    return {
        settings: prepare_study(
            settings.data,
            settings.validation,
            settings.tokenizer,
            settings.embedding,
            samples=tuple(sorted(set(recipe.sizes))),
            data_seeds=recipe.data_seeds,
            cache_dir=cache_dir,
            notify=notify,
        )
        for settings in dict.fromkeys(point.settings for point in experiments(recipe))
    }


def make_plan(
    recipe: Recipe,
    data: Mapping[Settings, StudyData],
    execution: Execution,
    store: ResultsStore,
    *,
    fresh: bool,
    notify: Callable[[str], None],
) -> Plan:
    """Check everything that the command needs; nothing is trained and nothing is written.

    Args:
        data: what :func:`read_text` gave for the recipe.
        fresh: plan as if the folder held nothing.

    Raises:
        InputError: everything that is wrong, a line each.
    """
    points = experiments(recipe)
    everything = described(data)
    recipe = _written_out(recipe, everything)
    identity = study_identity(recipe, everything)
    recorded: dict[str, Run] = {}
    if not fresh:
        try:
            store.check_same_study(identity, field_defaults())
        except OtherStudyError as other:
            raise _with_way_on(other, recipe) from None
        recorded = store.finished()
    jobs = tuple(_job(point, data[point.settings], execution, store, recorded) for point in points)
    _refuse_too_large(jobs, execution)
    if on_host := max(job.memory.host_bytes for job in jobs):
        notify(
            f"the host's memory keeps up to {on_host / 1e9:.1f} GB of contexts that {execution.device} cannot"
        )
    here = {job.run_id for job in jobs}
    others = tuple(run for run in recorded.values() if run.run_id not in here)
    return Plan(recipe, data, execution, identity, jobs, others)


def described(data: Mapping[Settings, StudyData]) -> dict[str, Any]:
    """What one description says of all the data; where an axis varies them, what they have in common."""
    first, *others = (item.describe() for item in data.values())
    return {**_common(first, others), **({"varied": [first, *others]} if others else {})}


def _common(first: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in first.items():
        theirs = [other.get(key) for other in others]
        if all(other == value for other in theirs):
            found[key] = value
        elif isinstance(value, Mapping) and all(isinstance(other, Mapping) for other in theirs):
            found[key] = _common(value, [other for other in theirs if other is not None])
    return found


def _written_out(recipe: Recipe, described: Mapping[str, Any]) -> Recipe:
    """The recipe with the numbers that 0 stood for, so that it means the same beside other sizes."""
    tokenizer, validation = (described.get(table, {}) for table in ("tokenizer", "validation"))
    return replace(
        recipe,
        tokenizer=replace(recipe.tokenizer, samples=tokenizer.get("samples") or 0),
        validation=replace(recipe.validation, after=validation.get("after", 0)),
    )


def _with_way_on(other: OtherStudyError, recipe: Recipe) -> OtherStudyError:
    """The refusal of a folder with what to type where nothing but the study's sizes is in the way."""
    fields = {f"{table}.{key}" for table, key in _SIZE_FIELDS}
    if not set(other.differing) <= fields or None in (there for there, _ in other.differing.values()):
        return other
    trained_on, _ = other.differing.get("tokenizer.samples", (0, 0))
    if recipe.validation.source.startswith("tail:") and trained_on > min(recipe.sizes):
        hint = (
            f"That study's tokenizer saw text that runs of {counted(min(recipe.sizes), 'sample')} validate on: use another --out, or "
            f"{counted(trained_on, 'sample')} or more."
        )
    else:
        given = " ".join(f"--set {key}={there}" for key, (there, _) in other.differing.items())
        hint = f"To go on with that study, add {given} to this command; for a study of its own, use another --out."
    return OtherStudyError(other.folder, other.differing, hint=hint)


def study_identity(recipe: Recipe, described: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs of one results folder share: the recipe but for its grid, sizes and seeds, and the data.

    ``data.samples`` is left out: where it decides anything, ``tokenizer.samples`` and ``validation.after`` say so.
    These in turn are left out where they decide nothing.

    Args:
        recipe: with both written out.
        described: what the study's data say about themselves.
    """
    resolved = recipe.resolved()
    shared = {
        name: {key: resolved[name][key] for key in identity_of(recipe.table(name)) if key in resolved[name]}
        for name in (*BASE_TABLES, *recipe.tables)
    }
    del shared["data"]["samples"]
    for table, key in _SIZE_FIELDS:
        if not shared[table].get(key):
            shared[table].pop(key, None)
    # Last in the alphabet, and so last in a message: what was set comes before what came of it.
    return {**shared, "what_was_read": fingerprints({**described, "varied": None})}


def fingerprints(described: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the data's description that identifies it: every entry called ``fingerprint``, shortened."""
    found: dict[str, Any] = {}
    for key, value in described.items():
        if key == "fingerprint":
            found[key] = str(value)[:FINGERPRINT_DIGITS]
        elif isinstance(value, Mapping) and (inner := fingerprints(value)):
            found[key] = inner
    return found


def _job(
    point: Experiment,
    data: StudyData,
    execution: Execution,
    store: ResultsStore,
    recorded: Mapping[str, Run],
) -> Job:
    config = point.config
    resolved = identity_of(config)
    del resolved["seed"]
    if point.configuration.kind != DEFAULT_KIND:  # 0.1.0 knew but one kind, and its runs keep their identity
        resolved["kind"] = point.configuration.kind
    identity = run_id(
        resolved,
        data.run_fingerprint(point.samples, point.data_seed),
        {"seed": config.seed, "data_seed": point.data_seed},
    )
    learner = point.learner
    sizes = Sizes(
        train_tokens=data.train_token_count(point.samples, point.data_seed),
        val_tokens=data.val_token_count(point.samples, point.data_seed),
        vocab_size=data.vocab_size,
        embed_dim=data.embed_dim,
    )
    return Job(
        experiment=point,
        run_id=identity,
        folder=store.run_folder(point.name),
        execution=execution,
        parameters=learner.parameters(config, sizes),
        train_tokens=sizes.train_tokens,
        memory=learner.memory(config, execution, sizes),
        stages=tuple(learner.stages(config, sizes)),
        recorded=recorded.get(identity),
    )


def _refuse_too_large(jobs: Sequence[Job], execution: Execution) -> None:
    """Refuse what no smaller piece could make fit, and say what would."""
    device_bytes, host_bytes = execution.device_bytes, execution.host_bytes
    if device_bytes is None:
        return  # nor does anything go to the host then

    def fits(job: Job) -> bool:
        on_host = host_bytes is None or job.memory.host_bytes <= HOST_FILLED * host_bytes
        return on_host and job.memory.held_bytes <= device_bytes

    too_large = [job for job in jobs if not fits(job)]
    if not too_large:
        return
    worst = max(too_large, key=lambda job: job.memory.held_bytes + job.memory.host_bytes)
    fitting = [job.experiment.samples for job in jobs if fits(job)]
    advice = (
        f"Up to {counted(max(fitting), 'sample')} would fit."
        if fitting
        else "Use fewer samples or a smaller --context-dim."
    )
    needs = f"{worst.name} alone holds {worst.memory.held_bytes / 1e9:.1f} GB"
    has = f"{execution.device} has {device_bytes / 1e9:.1f} GB"
    if worst.memory.host_bytes and host_bytes is not None:
        needs += f" and {worst.memory.host_bytes / 1e9:.1f} GB of contexts on the host"
        has += f" and the host {host_bytes / 1e9:.1f} GB"
    raise InputError(
        f"{len(too_large)} of {counted(len(jobs), 'run')} would not fit on {execution.device}: {needs}, {has}.",
        hint=advice,
    )
