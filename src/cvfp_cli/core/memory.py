"""How many tokens go through at a time, and what an experiment holds. Imports without torch.

Pieces follow from the configuration and the memory budget alone, never from the free memory of the moment, so the
same command takes the same path on every day. They change no figure beyond rounding.
"""

from dataclasses import asdict, dataclass

from cvfp_cli.core.config import Execution, ExperimentConfig
from cvfp_cli.core.shapes import context_widths, parameter_counts, token_widths

FLOAT = 4
# Beyond these, larger pieces gain nothing: the products fill the device, or on a CPU leave its caches.
LOGIT_BYTES = {"cpu": 16 * 2**20, "cuda": 2**30, "mps": 2**28}
PHASE2_TOKENS = {"cpu": 1024, "cuda": 16384, "mps": 4096}


@dataclass(frozen=True)
class Plan:
    """Tokens at a time and bytes held.

    Attributes:
        phase1_tokens: tokens that phase 1 sends through the ContextBlock at once.
        phase2_tokens: tokens that phase 2 sends through the blocks at once, at most a batch.
        logit_tokens: tokens whose logits exist at once.
        held_bytes: contexts, tables, weights and optimiser state, which no smaller piece can shrink.
        piece_bytes: what the largest piece adds.
    """

    phase1_tokens: int
    phase2_tokens: int
    logit_tokens: int
    held_bytes: int
    piece_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Estimate of the most memory the experiment takes on its device."""
        return self.held_bytes + self.piece_bytes

    def as_dict(self) -> dict[str, int]:
        """For the record."""
        return asdict(self)


def plan(
    config: ExperimentConfig,
    execution: Execution,
    *,
    train_tokens: int,
    val_tokens: int,
    vocab_size: int,
    embed_dim: int,
) -> Plan:
    """Derive the pieces of an experiment from its configuration and its memory budget."""
    model = config.model
    device = execution.device.split(":")[0]
    u = context_widths(model, embed_dim)
    v = token_widths(model, embed_dim)
    budget = execution.memory_bytes
    # Per token: what autograd keeps of each layer, and the inputs, outputs and gradients of the piece.
    phase1_token = FLOAT * (sum(5 * width for width in u[1:]) + 6 * model.context_dim)
    phase2_token = FLOAT * (
        sum(u) + sum(u[i + 1] + v[i] + 5 * v[i + 1] for i in range(model.layers)) + 3 * v[0]
    )
    logit_token = FLOAT * 3 * vocab_size
    batch = min(config.phase1.batch_tokens, train_tokens)
    phase1 = max(1, budget // phase1_token)
    if device == "cpu":
        phase1 = min(phase1, batch)
    elif phase1 > batch:
        phase1 = phase1 // batch * batch
    phase2 = min(
        config.phase2.batch_tokens, PHASE2_TOKENS.get(device, 1024), max(1, budget // 2 // phase2_token)
    )
    logits = min(
        phase2, LOGIT_BYTES.get(device, 2**24) // (FLOAT * vocab_size) or 1, budget // 2 // logit_token or 1
    )
    counts = parameter_counts(model, config.head, embed_dim, vocab_size)
    trained = counts.context_block + counts.token_block + counts.head
    types = min(train_tokens, vocab_size)
    tables = types * model.tokens * sum(u[1:] if model.token_input == "all_layers" else u[1:2])
    state = 2 if execution.state_dtype == "bf16" else FLOAT
    parts = (val_tokens + 1) * model.context_dim + (vocab_size + types) * embed_dim + 4 * trained + 3 * tables
    held = FLOAT * parts + state * (train_tokens + 1) * model.context_dim
    held += 8 * (train_tokens + val_tokens) * (model.tokens + 2)
    piece = max(min(phase1, train_tokens) * phase1_token, phase2 * phase2_token + logits * logit_token)
    return Plan(phase1, phase2, logits, held, piece)


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
    counts = parameter_counts(config.model, config.head, embed_dim, vocab_size)
    head = vocab_size * embed_dim
    iteration = 6.0 * counts.context_block * train_tokens
    train = (4.0 * head + 6.0 * counts.token_block + 2.0 * counts.context_block) * train_tokens
    validation = 2.0 * (head + counts.token_block + counts.context_block) * val_tokens
    return Work(iteration, train + validation)
