"""A job's outcome as it is kept: a run of ``summary.json``."""

from dataclasses import dataclass, fields
from typing import Any

from cvfp_cli.core.result import RunResult
from cvfp_cli.learners.base import flops_of
from cvfp_cli.results import Parameters, Run, Seconds, StageRecord
from cvfp_cli.sweeps.plan import Job


@dataclass(frozen=True)
class RunOrigin:
    """What all runs of one command share: the recipe's name, the table's width, the data's fingerprint."""

    study: str
    embed_dim: int
    data_fingerprint: str | None


def finished_run(job: Job, result: RunResult, origin: RunOrigin) -> Run:
    """The figures of a job that came to an end, diverged or not: what a run calls as the result does is the result's."""
    diverged = result.stopped_by == "diverged"
    keys = {item.name for item in fields(Run)}
    figures = {name: value for name, value in {**vars(result), **result.own}.items() if name in keys}
    kept = {
        "parameters": parameters_of(job, result),
        "status": "diverged" if diverged else "done",
        "reason": result.reason if diverged else None,
        "sample_losses": result.sample_losses or None,
        "sample_targets": result.sample_targets or None,
        "stages": tuple(StageRecord(stage.name, stage.steps, stage.seconds) for stage in result.stages),
        "seconds": seconds_of(result),
        "flops": flops_of(job.stages, {stage.name: stage.steps for stage in result.stages}),
        # What the schema has no key for is kept for the record.
        "execution_path": {
            **result.execution_path,
            **{name: value for name, value in result.own.items() if name not in keys},
        },
    }
    return Run(**_identity(job, origin), **{**figures, **kept})


def seconds_of(result: RunResult) -> Seconds:
    """The wall times that have keys of their own in the schema."""
    known: dict[str, float] = {}
    for stage in result.stages:
        part = stage.name.partition("-")[0]  # phase1-block2 is a part of phase1
        known[part] = known.get(part, 0.0) + stage.seconds
    return Seconds(**{item.name: known.get(item.name) for item in fields(Seconds)})


def failed_run(job: Job, reason: str, origin: RunOrigin) -> Run:
    """A job that could not come to an end."""
    return Run(
        **_identity(job, origin),
        parameters=parameters_of(job),
        status="failed",
        reason=reason,
        train_tokens=job.train_tokens,
    )


def _identity(job: Job, origin: RunOrigin) -> dict[str, Any]:
    point = job.experiment
    axes = dict(point.configuration.axes)
    flat = {item.name for item in fields(Run)}
    return {
        "config": point.configuration.label,
        "label": point.configuration.name or None,
        "kind": point.configuration.kind,
        "axes": axes,
        "run_id": job.run_id,
        "study": origin.study,
        **dict.fromkeys(("layers", "context_dim", "tokens")),
        **{
            name: value
            for name, value in {**point.learner.record(point.config), **axes}.items()
            if name in flat
        },
        "embed_dim": origin.embed_dim,
        "samples": point.samples,
        "seed": point.seed,
        "data_seed": point.data_seed,
        "data_fingerprint": origin.data_fingerprint,
    }


def parameters_of(job: Job, result: RunResult | None = None) -> Parameters:
    """The counts that the schema has keys for; what only training tells comes from the result."""
    parts = job.parameters.parts
    known = {item.name for item in fields(Parameters)}
    own: dict[str, int | None] = {name: count for name, count in parts.items() if name in known}
    own["body"] = sum(parts.values()) if parts else None
    total = job.parameters.total
    if total is None and result is not None:
        total = result.counted_parameters
    return Parameters(**own, total=total)
