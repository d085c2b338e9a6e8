"""A job's outcome as it is kept: a run of ``summary.json``, and a file of weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.result import RunResult
from cvfp_cli.results import Parameters, Run, Seconds
from cvfp_cli.sweep.plan import Job

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Origin:
    """What all runs of one command share: the recipe's name, the table's width, the data's fingerprint."""

    study: str
    embed_dim: int
    data_fingerprint: str | None


def finished_run(job: Job, result: RunResult, origin: Origin) -> Run:
    """The figures of a job that came to an end, diverged or not."""
    diverged = result.stopped_by == "diverged"
    return Run(
        **_identity(job, origin),
        status="diverged" if diverged else "done",
        reason=result.reason if diverged else None,
        train_tokens=result.train_tokens,
        val_tokens=result.val_tokens,
        val_bytes=result.val_bytes,
        phase1_iterations=result.phase1_iterations,
        phase1_rate=result.phase1_rate,
        phase1_converged=result.phase1_converged,
        phase1_stopped_by=result.phase1_stopped_by,
        phase1_rate_by_iteration=result.phase1_rate_by_iteration,
        train_effective_rank=result.train_effective_rank,
        val_effective_rank=result.val_effective_rank,
        train_ppl=result.train_ppl,
        val_ppl=result.val_ppl,
        val_loss=result.val_loss,
        val_loss_se=result.val_loss_se,
        val_accuracy=result.val_accuracy,
        val_accuracy_se=result.val_accuracy_se,
        sample_losses=result.sample_losses or None,
        sample_targets=result.sample_targets or None,
        unigram_ppl=result.unigram_ppl,
        best_epoch=result.best_epoch,
        epochs=result.epochs,
        stopped_by=result.stopped_by,
        train_ppl_by_epoch=result.train_ppl_by_epoch,
        val_ppl_by_epoch=result.val_ppl_by_epoch,
        seconds=Seconds(result.seconds_phase1, result.seconds_contexts, result.seconds_phase2),
        peak_memory_bytes=result.peak_memory_bytes,
        execution_path=dict(result.execution_path),
    )


def failed_run(job: Job, reason: str, origin: Origin) -> Run:
    """A job that could not come to an end."""
    return Run(
        **_identity(job, origin),
        status="failed",
        reason=reason,
        train_tokens=job.train_tokens,
    )


def _identity(job: Job, origin: Origin) -> dict[str, Any]:
    model = job.experiment.config.model
    return {
        "config": model.name,
        "label": job.experiment.configuration.name or None,
        "run_id": job.run_id,
        "study": origin.study,
        "layers": model.layers,
        "context_dim": model.context_dim,
        "tokens": model.tokens,
        "token_input": model.token_input,
        "embed_dim": origin.embed_dim,
        "samples": job.experiment.samples,
        "seed": job.experiment.config.seed,
        "data_seed": job.experiment.data_seed,
        "parameters": Parameters(
            job.parameters.context_block, job.parameters.token_block, job.parameters.total
        ),
        "data_fingerprint": origin.data_fingerprint,
    }


def weights_file(job: Job, weights: "Mapping[str, torch.Tensor]", table_fingerprint: str) -> bytes:
    """``model.safetensors``: blocks and head, with what is needed to use them in its metadata.

    A frozen embedding table is not in it; its fingerprint says which one it was.
    """
    from safetensors.torch import save

    about = {
        "run_id": job.run_id,
        "config": asdict(job.experiment.config),
        "embedding_table": table_fingerprint,
    }
    # One key alone: safetensors keeps no order among several, and the same run should be the same file.
    metadata = {"cvfp": json.dumps(about, sort_keys=True)}
    return save({key: value.cpu().contiguous() for key, value in weights.items()}, metadata=metadata)
