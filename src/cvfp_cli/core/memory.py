"""How many tokens go through at a time, and what an experiment holds. Imports without torch.

Pieces follow from the configuration and the memory budget alone, never from the free memory of the moment, so the
same command takes the same path on every day. They change no figure beyond rounding.
"""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

from cvfp_cli.core.config import Execution, ExperimentConfig, ModelConfig
from cvfp_cli.core.shapes import (
    context_widths,
    dropout_widths,
    parameter_counts,
    read_widths,
    token_widths,
)

FLOAT = 4
# Beyond these, larger pieces gain nothing: the products fill the device, or on a CPU leave its caches.
LOGIT_BYTES = {"cpu": 192 * 2**20, "cuda": 2**30, "mps": 2**28}
PHASE2_TOKENS = {"cpu": 1024, "cuda": 16384, "mps": 4096}
# Contexts at a time where effective rank is measured: in float64, twice as large as they are kept.
GRAM_TOKENS = 65536
# Where some contexts are on the host: one piece is computed on, one comes, one goes.
BUFFERS = 3
# Of a device's memory, what contexts may fill up to; the rest is for what an allocator cannot use and for others.
FILLED = 0.85


@dataclass(frozen=True)
class MemoryPlan:
    """Tokens at a time and bytes held.

    Attributes:
        phase1_tokens: tokens that phase 1 sends through the ContextBlock at once.
        phase2_tokens: tokens that phase 2 sends through the blocks at once, at most a batch.
        logit_tokens: tokens whose logits exist at once.
        device_rows: rows of the training contexts that the device keeps; the host has the others.
        held_bytes: what no smaller piece can shrink: contexts, embedding table, ids, and the weights, optimiser
            state and token tables of the phase that has more of them.
        piece_bytes: what the pieces of the larger phase add, and the buffers for contexts that pass through.
        host_bytes: contexts in the host's memory.
    """

    phase1_tokens: int
    phase2_tokens: int
    logit_tokens: int
    device_rows: int
    held_bytes: int
    piece_bytes: int
    host_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Estimate of the most memory the experiment takes on its device."""
        return self.held_bytes + self.piece_bytes

    def as_dict(self) -> dict[str, int]:
        """For the record."""
        return asdict(self)


def expected_types(tokens: int, vocab_size: int) -> int:
    """Token types that a stream of so many tokens uses, by Heaps' law.

    27·N^0.51 was fitted to 47,315 and 514,543 tokens of dialogues in GPT-2 BPE (6,594 and 22,263 types).
    """
    return max(1, min(vocab_size, tokens, int(27 * math.pow(tokens, 0.51))))


def plan(
    config: ExperimentConfig,
    execution: Execution,
    *,
    train_tokens: int,
    val_tokens: int,
    vocab_size: int,
    embed_dim: int,
) -> MemoryPlan:
    """Derive the pieces of an experiment from its configuration and its memory budget.

    The floats a token takes in phase 1 on NVIDIA devices were fitted to the measured peaks of the 36 runs of
    2025-11-30-matrix (docs/performance.md); elsewhere, without fused kernels, autograd keeps more.
    """
    model = config.model
    device = execution.device.split(":")[0]
    fused = device == "cuda"
    u = context_widths(model, embed_dim)
    v = token_widths(model, embed_dim)
    read = read_widths(model, config.phase2, embed_dim)
    budget = execution.memory_bytes
    phase1_token = FLOAT * _phase1_floats(model, u, fused)
    phase2_token = FLOAT * (
        sum(u) + sum(read[i] + v[i] + 4 * v[i + 1] for i in range(model.layers)) + 2 * v[0]
    )
    if (
        model.token_block == "mlp"
    ):  # the norm of the contexts, and the hidden layer before and after its activation
        phase2_token += FLOAT * (read[0] + 4 * model.token_hidden)
    dropped = dropout_widths(model, config.phase2, embed_dim)
    if dropped:  # what was left out of; a graph keeps the factors of a whole batch besides those of the step
        phase2_token += FLOAT * sum(dropped.values())
    product = 2 if execution.precision == "bf16" else FLOAT
    # On a CPU and in the fused kernels logits become probabilities where they lie.
    logit_token = vocab_size * (product if fused or device == "cpu" or product < FLOAT else 2 * FLOAT)
    batch = min(config.phase1.batch_tokens, train_tokens)
    phase1 = max(1, budget // phase1_token)
    if device == "cpu":
        phase1 = min(phase1, batch)
    elif phase1 > batch:
        phase1 = phase1 // batch * batch
    phase2 = min(
        config.phase2.batch_tokens, PHASE2_TOKENS.get(device, 1024), max(1, budget // 2 // phase2_token)
    )
    logit_bytes = min(LOGIT_BYTES.get(device, LOGIT_BYTES["cpu"]), budget // 2)
    logits = _even(phase2, max(1, logit_bytes // logit_token))
    counts = parameter_counts(model, config.head, embed_dim, vocab_size, config.phase2)
    types = expected_types(train_tokens, vocab_size)
    reading = sum(u[1:] if model.token_input == "all_layers" else u[1:2])
    table = vocab_size * embed_dim * (FLOAT + (product if product < FLOAT or fused else 0))
    held = table + FLOAT * ((val_tokens + 1) * model.context_dim + types * embed_dim + 4 * counts.head)
    held += 8 * (train_tokens + val_tokens) * (model.tokens + 2)
    tables = 2 * types * model.tokens * reading
    fixed1 = FLOAT * (tables + 4 * counts.context_block + counts.token_block)
    fixed2 = FLOAT * (tables + counts.context_block + 5 * counts.token_block)
    fixed2 += FLOAT * 2 * min(config.phase2.batch_tokens, train_tokens) * sum(dropped.values())
    pieces1 = fixed1 + min(phase1, train_tokens) * phase1_token
    pieces2 = fixed2 + phase2 * phase2_token + logits * logit_token
    row = FLOAT * model.context_dim
    if config.phase2.past_count and config.phase2.context == "after":
        held += row * (train_tokens + val_tokens)  # what the TokenBlock takes earlier contexts from
    rows = device_rows = train_tokens + 1
    # The recurrence writes to all of a stream at once: what it computes stands beside what phase 1 kept, and for a
    # moment beside a copy of itself.
    beside = row * rows * (config.phase2.train_contexts == "recurrence" or len(model.widths) > 1)
    moment = 2 * beside or row * rows * (config.phase1.start == "sequential")
    fixed = max(fixed1, fixed2) + moment
    pieces = max(pieces1, pieces2 + beside, fixed) - fixed
    if device == "cuda" and execution.device_bytes is not None and not moment:
        usable = int(FILLED * execution.device_bytes)
        if held + fixed + pieces + row * rows > usable:
            # A unit of the loss that is larger than a piece is read twice, by passes with buffers of their own.
            passes = 2 if batch > phase1 or config.phase1.loss_over == "stream" else 1
            pieces += passes * BUFFERS * row * max(phase1, GRAM_TOKENS)
            device_rows = min(rows, max(0, usable - held - fixed - pieces) // row)
    return MemoryPlan(
        phase1_tokens=phase1,
        phase2_tokens=phase2,
        logit_tokens=logits,
        device_rows=device_rows,
        held_bytes=held + fixed + row * device_rows,
        piece_bytes=pieces,
        host_bytes=row * (rows - device_rows),
    )


def _phase1_floats(model: ModelConfig, u: list[int], fused: bool) -> int:
    """Floats that a token takes in phase 1 while gradients flow back, where most are held.

    With fused kernels: the noisy input, each layer's pre-activation and output, the loss's gradient, and the
    gradients of one layer's pre-activation and, beyond the first layer, of its input by two ways and their sum.
    """
    if not fused:
        return 4 * sum(u[1:]) + 6 * model.context_dim
    learned = sum(out for given, out in pairwise(u) if given != out)
    return 2 * sum(u[1:]) + learned + 3 * max(u) + (2 * max(u) if model.layers > 1 else 0)


def _even(tokens: int, most: int) -> int:
    """The size of pieces that cut ``tokens`` into as few as ``most`` allows, and as evenly."""
    return -(-tokens // -(-tokens // most))


@dataclass(frozen=True)
class Work:
    """Multiply-add work of an experiment in floating-point operations, for estimates of time.

    Attributes:
        iteration: one phase-1 iteration.
        epoch: one phase-2 epoch, validation included.
    """

    iteration: float
    epoch: float


def work(
    config: ExperimentConfig, *, train_tokens: int, val_tokens: int, vocab_size: int, embed_dim: int
) -> Work:
    """Per token: 6 operations a trained parameter, 2 a frozen one, 4 a weight of a frozen head."""
    counts = parameter_counts(config.model, config.head, embed_dim, vocab_size, config.phase2)
    head = vocab_size * embed_dim
    iteration = 6.0 * counts.context_block * train_tokens
    train = (4.0 * head + 6.0 * counts.token_block + 2.0 * counts.context_block) * train_tokens
    validation = 2.0 * (head + counts.token_block + counts.context_block) * val_tokens
    return Work(iteration, train + validation)
