"""Parameters, memory and work of the baselines, from configuration and lengths alone. Imports without torch."""

from collections.abc import Callable
from dataclasses import dataclass

from cvfp_cli.core.baselines.config import NgramConfig, SequenceConfig
from cvfp_cli.core.config import Execution
from cvfp_cli.core.memory import FLOAT, LOGIT_BYTES

# Measured on two cores over 1.8 million tokens: bytes at once a token and order, and operations in the sense of the
# device's products (sorting is not arithmetic, so this is a time, not a count).
NGRAM_BYTES = 130
NGRAM_OPERATIONS = 8000.0
# Adam's two moments and the gradient beside each parameter, and the weights of the best epoch.
COPIES = 5


@dataclass(frozen=True)
class Counts:
    """Parameters of a network: its ``body`` (all but table and head), its head's own, and all with the table."""

    body: int
    head: int
    total: int

    @property
    def parts(self) -> dict[str, int]:
        """The body."""
        return {"body": self.body}


@dataclass(frozen=True)
class Held:
    """Bytes that a run holds: what no smaller piece can shrink, and the most at once."""

    held_bytes: int
    peak_bytes: int
    host_bytes: int = 0


def ngram_memory(config: NgramConfig, train_tokens: int) -> Held:
    """An n-gram model's arrays, all of them on the host whatever the device: a few numbers a token and order."""
    held = NGRAM_BYTES * config.order * train_tokens
    return Held(held, held)


def ngram_work(config: NgramConfig, train_tokens: int, val_tokens: int) -> float:
    """Operations that take about as long as counting and scoring."""
    return NGRAM_OPERATIONS * config.order * (train_tokens + val_tokens)


def sequence_counts(
    config: SequenceConfig, body: Callable[[SequenceConfig, int], int], embed_dim: int, vocab_size: int
) -> Counts:
    """Parameters of a network without building it.

    Args:
        body: parameters of the layers for inputs of a width.
    """
    between = 0 if config.width == embed_dim else config.width * embed_dim + embed_dim
    inner = 2 * embed_dim + body(config, embed_dim) + between  # the norm of the embeddings has 2 E
    table = vocab_size * embed_dim
    head = (table if config.head == "untied" else 0) + (vocab_size if config.bias != "none" else 0) + 1
    return Counts(inner, head, inner + head + table)


def logit_tokens(config: SequenceConfig, execution: Execution, vocab_size: int) -> int:
    """Tokens whose logits exist at once."""
    device = execution.device.split(":")[0]
    budget = min(LOGIT_BYTES.get(device, LOGIT_BYTES["cpu"]), execution.memory_bytes // 2)
    return max(1, min(config.streams * config.window, budget // (2 * FLOAT * vocab_size)))


def sequence_memory(
    config: SequenceConfig,
    counts: Counts,
    execution: Execution,
    *,
    train_tokens: int,
    val_tokens: int,
    vocab_size: int,
    embed_dim: int,
) -> Held:
    """Weights with their optimiser's state, the streams, and what one step keeps for its gradients."""
    learned = counts.total - (0 if config.table == "trained" else vocab_size * embed_dim)
    held = FLOAT * (counts.total + (COPIES - 1) * learned) + 8 * (train_tokens + val_tokens)
    step = config.streams * config.window * (2 * embed_dim + 16 * config.layers * config.width)
    logits = 2 * logit_tokens(config, execution, vocab_size) * vocab_size
    return Held(held, held + FLOAT * (step + logits))


def sequence_work(
    config: SequenceConfig,
    counts: Counts,
    *,
    train_tokens: int,
    val_tokens: int,
    vocab_size: int,
    embed_dim: int,
) -> float:
    """Of one epoch: 6 operations a parameter and token in training, 2 in validation; of a frozen head 4."""
    product = vocab_size * embed_dim
    frozen = config.table == "frozen" and config.head == "tied"
    train = (6.0 * counts.body + (4.0 if frozen else 6.0) * product) * train_tokens
    return train + 2.0 * (counts.body + product) * val_tokens


def recurrent_parameters(gates: int) -> Callable[[SequenceConfig, int], int]:
    """Counts torch's parameters of a GRU (3 gates) or an LSTM (4): two matrices and two biases a layer."""

    def count(config: SequenceConfig, embed_dim: int) -> int:
        width = config.width
        rest = (config.layers - 1) * (2 * width * width + 2 * width)
        return gates * (embed_dim * width + width * width + 2 * width + rest)

    return count
