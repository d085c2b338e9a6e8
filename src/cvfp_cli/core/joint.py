"""One end-to-end experiment from arrays to figures."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cvfp_cli.core.config import EndToEndConfig, Execution
from cvfp_cli.core.contexts import ranges
from cvfp_cli.core.contraction import growth_per_step
from cvfp_cli.core.device import peak_memory
from cvfp_cli.core.draws import seeded
from cvfp_cli.core.end_to_end import STAGE, EndToEndTrainer, load_weights
from cvfp_cli.core.experiment import Checkpoint, Outcome
from cvfp_cli.core.figures import check_data, run_result, trained, what_diverged
from cvfp_cli.core.head import Head, seen_types
from cvfp_cli.core.memory import GRAM_TOKENS, plan
from cvfp_cli.core.metrics import effective_rank, gram_matrix, unigram_log_probabilities
from cvfp_cli.core.model import SideBySide, Stream, context_model, initialise, token_model
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import Pieces
from cvfp_cli.core.result import ExperimentData, Progress, StageResult
from cvfp_cli.core.stopping import Training
from cvfp_cli.errors import InputError


@dataclass(frozen=True)
class StartingWeights:
    """Weights of a finished run, and where they come from (for messages)."""

    weights: Mapping[str, Tensor]
    source: str


def run_end_to_end(
    config: EndToEndConfig,
    data: ExperimentData,
    execution: Execution,
    progress: Progress = lambda event: None,
    checkpoint: Checkpoint | None = None,
    start: StartingWeights | None = None,
) -> Outcome:
    """Train both blocks together. The same arguments on the same machine give the same figures.

    Args:
        start: what training starts from; by default the draws of a CVFP run with this seed.

    Raises:
        InputError: the arrays do not fit together, or ``start`` is of another model.
    """
    check_data(data)
    phases = config.as_phases
    sizes = {
        "train_tokens": len(data.train_ids),
        "val_tokens": len(data.val_ids),
        "vocab_size": data.table.shape[0],
        "embed_dim": data.table.shape[1],
    }
    pieces = plan(phases, execution, **sizes)
    device, cpu, model = torch.device(execution.device), torch.device("cpu"), config.model
    arithmetic = Arithmetic(execution.device.split(":")[0], execution.precision)
    table = torch.tensor(data.table, device=device)
    blocks = context_model(model, sizes["embed_dim"])
    each = blocks.each() if isinstance(blocks, SideBySide) else [blocks]
    for number, block in enumerate(each):
        key = [f"block-{number + 1}"] if number else []
        initialise(block, model, seeded(cpu, config.seed, "context-block", *key))
    token_block = token_model(model, sizes["embed_dim"], phases.phase2)
    initialise(token_block, model, seeded(cpu, config.seed, "token-block"))
    unigram = unigram_log_probabilities(data.train_ids, len(data.table))
    embedding = torch.nn.Parameter(table.clone()) if config.joint.embedding == "trained" else None
    head = Head(
        config.head,
        table,
        torch.from_numpy(unigram).float(),
        seeded(cpu, config.seed, "head"),
        arithmetic,
        embedding,
        seen_types(data.train_ids, len(data.table)),
    )
    if start is not None:
        weights = dict(start.weights)
        if embedding is not None and "embedding.weight" in weights:
            weights["head.weight"] = weights["embedding.weight"]  # a tied head's is the table that both share
        problems = load_weights(weights, blocks, token_block, head)
        if problems:
            raise InputError(
                f"{start.source} is of another model: {problems[0]}.",
                hint="Give the model and head that the run had, from its config.toml.",
            )
    trainer = EndToEndTrainer(
        blocks.to(device),
        token_block.to(device),
        head,
        Stream(torch.tensor(data.train_ids, device=device), table, model.tokens),
        Stream(torch.tensor(data.val_ids, device=device), table, model.tokens),
        config,
        pieces=Pieces(pieces.phase2_tokens, pieces.logit_tokens),
        arithmetic=arithmetic,
        embedding=embedding,
    )
    saved = checkpoint.load() if checkpoint else None
    began, earlier = time.perf_counter(), saved["seconds"] if saved else 0.0
    state = trainer.restore(saved["training"]) if saved else Training()
    while not state.stopped_by:
        trainer.epoch(state, progress)
        if checkpoint:
            seconds = earlier + time.perf_counter() - began
            checkpoint.save({"training": trainer.snapshot(state), "seconds": seconds})
    seconds = earlier + time.perf_counter() - began
    own: dict[str, Any] = {"val_effective_rank": None, "growth": None}
    traces = {}
    if state.stopped_by != "diverged" and state.best_weights:
        context = {
            key.removeprefix("context."): value
            for key, value in state.best_weights.items()
            if key.startswith("context.")
        }
        blocks.load_state_dict(context)
        if embedding is not None:
            with torch.no_grad():
                embedding.copy_(state.best_weights["embedding.weight"])
        frozen, trace = trainer.contexts(trainer.streams[1])
        traces["validation"] = asdict(trace)
        rows = frozen.contexts
        own = {
            "val_effective_rank": effective_rank(gram_matrix(rows.pieces(ranges(1, len(rows), GRAM_TOKENS)))),
            "growth": growth_per_step(blocks, frozen.stream, rows, config.seed, "growth", "validation"),
        }
    result = run_result(
        data,
        unigram,
        **trained(state, what_diverged(state, "end-to-end training", len(data.table))),
        stages=(StageResult(STAGE, len(state.log), seconds),),
        peak_memory_bytes=peak_memory(execution.device),
        execution_path={
            "device": execution.device,
            "threads": torch.get_num_threads(),
            "precision": execution.precision,
            "kernels": "triton" if head.fused else "torch",
            "pieces": pieces.as_dict(),
            "recurrence": traces,
        },
        own=own,
    )
    return Outcome(result, state.best_weights)
