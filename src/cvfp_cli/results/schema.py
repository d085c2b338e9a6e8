"""The schema of ``summary.json`` ("cvfp-results/1") as dataclasses: one field a key, the same words."""

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = "cvfp-results/1"

Status = Literal["done", "failed", "diverged"]


@dataclass(frozen=True)
class Parameters:
    """Parameter counts; None where an older file does not give them."""

    context_block: int | None = None
    token_block: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Seconds:
    """Wall time of each part of a run in seconds; None where unknown."""

    phase1: float | None = None
    contexts: float | None = None
    phase2: float | None = None


@dataclass(frozen=True)
class Run:
    """One run of a study, or one row of an older file. What is missing is None.

    Attributes:
        run_id: hash of resolved configuration, data fingerprint and seeds.
        status: ``done``; ``failed`` or ``diverged`` with ``reason``.
        config: such as ``2L_768d_2tok``.
        study: where the run comes from: the recipe's name, or the file's for older results.
        train_tokens, val_tokens: lengths of the streams; val_bytes: UTF-8 bytes of the validation text.
        phase1_converged: None where unknown.
        train_effective_rank, val_effective_rank, val_accuracy, phase1_rate: shares, 0 to 1.
        val_loss: nats per token; val_loss_se its standard error over validation samples.
        sample_losses, sample_targets: mean loss and targets of each validation sample (for paired tests).
        data_fingerprint: identifies source, tokenizer and validation text; runs of different ones do not compare.
        environment: index into the file's ``environments``.
    """

    config: str
    layers: int | None
    context_dim: int | None
    tokens: int | None
    samples: int | None
    train_tokens: int | None
    run_id: str = ""
    status: Status = "done"
    reason: str | None = None
    study: str = ""
    embed_dim: int | None = None
    token_input: str | None = None
    val_tokens: int | None = None
    val_bytes: int | None = None
    seed: int | None = None
    data_seed: int | None = None
    phase1_iterations: int | None = None
    phase1_rate: float | None = None
    phase1_converged: bool | None = None
    train_effective_rank: float | None = None
    val_effective_rank: float | None = None
    train_ppl: float | None = None
    val_ppl: float | None = None
    val_loss: float | None = None
    val_loss_se: float | None = None
    val_accuracy: float | None = None
    val_accuracy_se: float | None = None
    sample_losses: tuple[float, ...] | None = None
    sample_targets: tuple[int, ...] | None = None
    unigram_ppl: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    stopped_by: str | None = None
    train_ppl_by_epoch: tuple[float | None, ...] | None = None
    val_ppl_by_epoch: tuple[float | None, ...] | None = None
    parameters: Parameters = Parameters()
    seconds: Seconds = Seconds()
    peak_memory_bytes: int | None = None
    execution_path: dict[str, Any] | None = None
    data_fingerprint: str | None = None
    environment: int | None = None


@dataclass(frozen=True)
class Summary:
    """The whole of ``summary.json``.

    Attributes:
        recipe: ``name``, ``overrides``, ``resolved``.
        environments: versions, device and its memory, dtype, threads; runs point into it.
        data: source, fingerprint, tokenizer, embedding, validation, overlap.
        fits: one dict a fit, in the shape that ``cvfp fit --format json`` prints.
    """

    created: str
    command: str
    complete: bool
    recipe: dict[str, Any]
    environments: tuple[dict[str, Any], ...]
    data: dict[str, Any]
    runs: tuple[Run, ...]
    fits: tuple[dict[str, Any], ...] = ()
    schema: str = field(default=SCHEMA)
