"""The schema of ``summary.json`` ("cvfp-results/2") as dataclasses: one field a key, the same words.

A field's metadata holds what a reader checks beyond its type: ``min``, ``max``, ``above`` (an open lower
bound), ``line`` (a line of printable text) and ``empty`` (which may be empty).
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = "cvfp-results/2"
RUN_SCHEMA = "cvfp-run/2"
# What is read besides: version 1 lacks kind, axes and stages, which follow from its other keys.
READ_SCHEMAS = ("cvfp-results/1", SCHEMA)
READ_RUN_SCHEMAS = ("cvfp-run/1", RUN_SCHEMA)
CVFP = "cvfp"
ENSEMBLE = "ensemble"  # the kind of a run that is made of other runs

Status = Literal["done", "failed", "diverged"]

_COUNT = {"min": 0}
_AT_LEAST_ONE = {"min": 1}
_SHARE = {"min": 0.0, "max": 1.0}
_POSITIVE = {"above": 0.0}
_NOT_NEGATIVE = {"min": 0.0}
_LINE = {"line": True}
_LINE_OR_EMPTY = {"line": True, "empty": True}


def scalar(value: Any) -> Any:
    """A value of a recipe's field as one number or word: a list as ``256+128``, an empty one as ``none``."""
    return "+".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Parameters:
    """Parameter counts; None where an older file does not give them, or a kind of model has no such part.

    Attributes:
        body: all but table and head: of a CVFP model both blocks.
    """

    context_block: int | None = field(default=None, metadata=_COUNT)
    token_block: int | None = field(default=None, metadata=_COUNT)
    total: int | None = field(default=None, metadata=_COUNT)
    body: int | None = field(default=None, metadata=_COUNT)

    def __post_init__(self) -> None:
        """Version 1 of the schema does not say what both blocks come to."""
        if self.body is None and self.context_block is not None and self.token_block is not None:
            both = self.context_block + self.token_block
            object.__setattr__(self, "body", both if both < 2**63 else None)


@dataclass(frozen=True)
class StageRecord:
    """One part of a run: its name, the steps that it took, its wall time in seconds; None where unknown."""

    name: str = field(metadata=_LINE)
    steps: int | None = field(default=None, metadata=_COUNT)
    seconds: float | None = field(default=None, metadata=_NOT_NEGATIVE)


@dataclass(frozen=True)
class Seconds:
    """Wall time of each part of a run in seconds; None where unknown."""

    phase1: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    contexts: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    phase2: float | None = field(default=None, metadata=_NOT_NEGATIVE)


@dataclass(frozen=True)
class Run:
    """One run of a study, or one row of an older file. What is missing is None.

    Attributes:
        config: such as ``2L_768d_2tok``.
        kind: the kind of model, such as ``cvfp``.
        axes: where the run stands on every axis of its study but samples and seeds, by the axis's name; a list stands
            as one word (:func:`scalar`).
        stages: its parts in order, such as phase 1, contexts and phase 2.
        label: the recipe's own name for the configuration, such as ``baseline``, where it has one.
        run_id: hash of resolved configuration, data fingerprint and seeds.
        status: ``done``; ``failed`` or ``diverged`` with ``reason``, and without phase 2's figures.
        study: where the run comes from: the recipe's name, or the file's for older results.
        train_tokens, val_tokens: lengths of the streams; val_bytes: UTF-8 bytes of the validation text.
        seed: initialisation and noise; data_seed: which samples train (None: the first ones).
        phase1_iterations: last iteration, the untrained one counted ("P1 iter").
        phase1_converged: None where unknown.
        phase1_stopped_by: ``ratio``, ``improvement``, ``iterations`` (the limit) or ``diverged``.
        phase1_rate_by_iteration: ``phase1_rate`` of every iteration; None for the untrained one.
        phase1_growth, growth: factor by which a small difference between contexts changes in one step, after phase 1
            (of several blocks the largest) and along the validation stream; below 1 the model forgets.
        train_effective_rank, val_effective_rank, val_accuracy, phase1_rate: shares, 0 to 1.
        val_loss: nats per token; val_loss_se its standard error over validation samples.
        val_accuracy_se: standard error of val_accuracy over validation samples.
        sample_losses, sample_targets: mean loss and targets of each validation sample (for paired tests).
        unigram_ppl: validation perplexity of the smoothed training unigram.
        best_epoch, epochs: 1-based; the figures are those of the best epoch.
        stopped_by: ``epochs``, ``schedule`` (all epochs, at the end of which the learning rate is 0), ``patience``,
            ``gain`` or ``diverged``.
        execution_path: how the arithmetic was done (pieces, kernels, recurrence trace).
        data_fingerprint: identifies source, tokenizer and validation text; runs of different ones do not
            compare.
        environment: index into the file's ``environments``.
        flops: floating-point operations of all its steps; None for a kind of model that none are counted of.
    """

    config: str = field(metadata=_LINE)
    layers: int | None = field(metadata=_AT_LEAST_ONE)
    context_dim: int | None = field(metadata=_AT_LEAST_ONE)
    tokens: int | None = field(metadata=_AT_LEAST_ONE)
    samples: int | None = field(metadata=_AT_LEAST_ONE)
    train_tokens: int | None = field(metadata=_COUNT)
    label: str | None = field(default=None, metadata=_LINE)
    run_id: str = field(default="", metadata=_LINE_OR_EMPTY)
    status: Status = "done"
    reason: str | None = None
    study: str = field(default="", metadata=_LINE_OR_EMPTY)
    embed_dim: int | None = field(default=None, metadata=_AT_LEAST_ONE)
    token_input: str | None = field(default=None, metadata=_LINE)
    val_tokens: int | None = field(default=None, metadata=_COUNT)
    val_bytes: int | None = field(default=None, metadata=_COUNT)
    seed: int | None = None
    data_seed: int | None = None
    phase1_iterations: int | None = field(default=None, metadata=_COUNT)
    phase1_rate: float | None = field(default=None, metadata=_SHARE)
    phase1_converged: bool | None = None
    phase1_stopped_by: str | None = field(default=None, metadata=_LINE)
    phase1_rate_by_iteration: tuple[float | None, ...] | None = field(default=None, metadata=_SHARE)
    train_effective_rank: float | None = field(default=None, metadata=_SHARE)
    val_effective_rank: float | None = field(default=None, metadata=_SHARE)
    train_ppl: float | None = field(default=None, metadata=_POSITIVE)
    val_ppl: float | None = field(default=None, metadata=_POSITIVE)
    val_loss: float | None = None
    val_loss_se: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    val_accuracy: float | None = field(default=None, metadata=_SHARE)
    val_accuracy_se: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    sample_losses: tuple[float, ...] | None = None
    sample_targets: tuple[int, ...] | None = field(default=None, metadata=_COUNT)
    unigram_ppl: float | None = field(default=None, metadata=_POSITIVE)
    best_epoch: int | None = field(default=None, metadata=_AT_LEAST_ONE)
    epochs: int | None = field(default=None, metadata=_COUNT)
    stopped_by: str | None = field(default=None, metadata=_LINE)
    train_ppl_by_epoch: tuple[float | None, ...] | None = field(default=None, metadata=_POSITIVE)
    val_ppl_by_epoch: tuple[float | None, ...] | None = field(default=None, metadata=_POSITIVE)
    parameters: Parameters = Parameters()
    seconds: Seconds = Seconds()
    peak_memory_bytes: int | None = field(default=None, metadata=_COUNT)
    execution_path: dict[str, Any] | None = None
    data_fingerprint: str | None = None
    environment: int | None = field(default=None, metadata=_COUNT)
    phase1_growth: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    growth: float | None = field(default=None, metadata=_NOT_NEGATIVE)
    kind: str = field(default=CVFP, metadata=_LINE)
    axes: dict[str, Any] = field(default_factory=dict, metadata={"scalars": True})
    stages: tuple[StageRecord, ...] = ()
    flops: float | None = field(default=None, metadata=_NOT_NEGATIVE)

    def __post_init__(self) -> None:
        """Version 1 of the schema, and files made by hand, say by their flat keys what axes and stages say."""
        object.__setattr__(self, "axes", {name: scalar(value) for name, value in self.axes.items()})
        if self.kind != CVFP:
            return
        flat = {"layers": self.layers, "tokens": self.tokens, "context_dim": self.context_dim}
        known = {name: value for name, value in flat.items() if value is not None}
        further = {name: value for name, value in self.axes.items() if name not in flat}
        object.__setattr__(self, "axes", {**known, **further})
        if not self.stages:
            parts = (
                StageRecord("phase1", self.phase1_iterations, self.seconds.phase1),
                StageRecord("contexts", None if self.seconds.contexts is None else 0, self.seconds.contexts),
                StageRecord("phase2", self.epochs, self.seconds.phase2),
            )
            told = tuple(part for part in parts if (part.steps, part.seconds) != (None, None))
            object.__setattr__(self, "stages", told)

    @property
    def total_seconds(self) -> float | None:
        """Wall time of all parts that are known; None where none is."""
        known = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(known) if known else None

    @property
    def bits_per_byte(self) -> float | None:
        """Validation loss per UTF-8 byte in bits, which compares across tokenizers; the first token has no loss."""
        if self.val_loss is None or not self.val_tokens or not self.val_bytes:
            return None
        return self.val_loss / math.log(2) * (self.val_tokens - 1) / self.val_bytes

    @property
    def still_improving(self) -> bool:
        """Whether phase 2 ended with its best epoch, and so at its limit of epochs: more would have lowered PPL.

        Files that do not say what stopped a run say it all the same, since patience leaves a worse epoch behind.
        """
        ended = self.stopped_by in ("epochs", None)
        return self.status == "done" and ended and self.epochs is not None and self.best_epoch == self.epochs

    @property
    def still_converging(self) -> bool:
        """Whether phase 1 ended at its limit of iterations with the highest convergence rate so far."""
        *earlier, last = self.phase1_rate_by_iteration or (None,)
        known = [rate for rate in earlier if rate is not None]
        at_limit = self.status == "done" and self.phase1_stopped_by == "iterations"
        return (
            at_limit
            and self.phase1_converged is False
            and last is not None
            and last > max(known, default=0.0)
        )


@dataclass(frozen=True)
class Summary:
    """The whole of ``summary.json``.

    Attributes:
        created: when the file was written, ISO 8601 with offset.
        command: the command line that made it.
        complete: whether every run of the command's grid is in it.
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
