"""What defines an experiment: one frozen dataclass for each table of a recipe. Imports without torch."""

from dataclasses import dataclass, replace
from typing import Literal

from cvfp_cli.settings import setting

TokenInput = Literal["all_layers", "first_layer"]
TokenBlockKind = Literal["standard", "early", "mlp"]
Activation = Literal["relu", "gelu"]
Initialisation = Literal["normal", "xavier"]
HeadWeights = Literal["tied", "untied"]
HeadTable = Literal["frozen", "trained"]
HeadStart = Literal["zero", "uniform"]
HeadBias = Literal["none", "zero", "unigram"]
Unseen = Literal["softmax", "reserved"]
Diversity = Literal["spread", "oacd"]
Phase1Start = Literal["random", "sequential"]
LossOver = Literal["batch", "stream"]
TrainContexts = Literal["phase1", "recurrence"]
TokenContext = Literal["after", "before", "zero"]
Embedding = Literal["frozen", "trained"]
Schedule = Literal["constant", "linear"]
Precision = Literal["float32", "tf32", "bf16"]

# Beyond it next to nothing is left, and what is left is scaled up beyond reason.
MOST_DROPOUT = 0.95


@dataclass(frozen=True)
class ModelConfig:
    """The two blocks. ``embed_dim`` and ``vocab_size`` come from the embedding table, not from here."""

    layers: int = setting(1, "layers in each of the two blocks (L)", min=1)
    context_dim: int = setting(768, "width of the context vector (D)", min=1)
    tokens: int = setting(1, "input tokens per step (K): the current one and the K-1 before it", min=1)
    token_input: TokenInput = setting("all_layers", "which context layers read the token window")
    token_block: TokenBlockKind = setting(
        "standard",
        "TokenBlock form; 'early' is the one of 2025-11-28-v1, 'mlp' has one hidden layer over context and window",
    )
    token_hidden: int = setting(
        2048, "width of that hidden layer", min=1, needs=("token_block", "mlp"), since="0.2.0"
    )
    activation: Activation = setting("relu", "activation in both blocks")
    initialisation: Initialisation = setting(
        "normal",
        "'normal': weights N(0, 0.1^2), biases N(0, 0.01^2); 'xavier': Xavier-uniform weights, zero biases",
    )
    blocks: tuple[int, ...] = setting(
        (),
        "context widths of several ContextBlocks, which may be equal (empty: one block of context_dim)",
        min=1,
        repeats=True,
        since="0.2.0",
    )
    cascade: bool = setting(
        False,
        "each block but the first reads the context of the one before it in place of its own",
        since="0.2.0",
    )

    def __post_init__(self) -> None:
        """With several blocks, D is the width of what they give together."""
        if self.blocks:
            object.__setattr__(self, "context_dim", sum(self.blocks))

    @property
    def widths(self) -> tuple[int, ...]:
        """The context's width of each ContextBlock."""
        return self.blocks or (self.context_dim,)

    @property
    def name(self) -> str:
        """The configuration's name in every table and file, such as ``2L_768d_2tok`` or ``1L_2x256d_1tok``."""
        return f"{self.layers}L_{width_name(self.widths)}d_{self.tokens}tok"


def width_name(widths: tuple[int, ...]) -> str:
    """``768`` for one block, ``2x256`` for equal ones, else ``256+128``."""
    if len(widths) > 1 and len(set(widths)) == 1:
        return f"{len(widths)}x{widths[0]}"
    return "+".join(map(str, widths))


@dataclass(frozen=True)
class HeadConfig:
    """The output head: logits = logit_scale * (v_L . table^T) + bias."""

    weights: HeadWeights = setting(
        "tied", "'tied' to the raw embedding table, or an 'untied' matrix of its own, trained"
    )
    start: HeadStart = setting(
        "zero",
        "how an untied matrix starts: from 0, as in the studies, or uniform within 1/sqrt(E)",
        needs=("weights", "untied"),
        before="uniform",  # what 0.1.0 did
    )
    table: HeadTable = setting("frozen", "whether the head's copy of a tied table learns in phase 2")
    logit_scale: float = setting(1.0, "factor on the logits, or its start value when learned", above=0.0)
    learn_logit_scale: bool = setting(False, "whether logit_scale is trained")
    bias: HeadBias = setting(
        "none", "trained bias of the head: none, from 0, or from the training unigram log-probabilities"
    )
    unseen: Unseen = setting(
        "softmax",
        "token types that the training text lacks: in the softmax like all others, or with an even share of what tenths "
        "of the training text have new against the rest ('reserved')",
        since="0.2.0",
    )


@dataclass(frozen=True)
class Phase1Config:
    """Fixed-point training of the ContextBlock."""

    learning_rate: float = setting(0.002, "Adam learning rate", above=0.0)
    noise: float = setting(0.1, "standard deviation of the noise on input contexts", min=0.0)
    diversity_weight: float = setting(0.8, "w in (1-w) MSE + w diversity", min=0.0, max=1.0)
    diversity: Diversity = setting("spread", "diversity loss")
    start: Phase1Start = setting(
        "random", "iteration 1: random contexts, or the true recurrence of the untrained block"
    )
    loss_over: LossOver = setting("batch", "one loss for each batch, or one for the whole stream")
    batch_tokens: int = setting(8000, "tokens in one batch of the loss", min=1)
    grad_clip: float = setting(1.0, "gradient norm limit", above=0.0)
    min_iterations: int = setting(5, "earliest iteration that may stop", min=1)
    max_iterations: int = setting(40, "last iteration", min=1)
    convergence_mse: float = setting(0.03, "a token has converged below this mean squared change", above=0.0)
    converged_ratio: float = setting(0.99, "stop when this share of tokens has converged", above=0.0, max=1.0)
    min_improvement: float = setting(
        0.0, "stop when the rate improves by less than this (0: never)", min=0.0, max=1.0
    )
    improvement_from: float = setting(
        0.5, "min_improvement counts only once the rate is at least this", min=0.0, max=1.0
    )
    improvement_patience: int = setting(2, "iterations in a row below min_improvement that stop", min=1)
    skip: bool = setting(False, "leave phase 1 out: the ContextBlock stays as drawn", since="0.2.0")
    slices: bool = setting(
        False,
        "each of several blocks is trained on its own slice of the stream, not on all of it",
        since="0.2.0",
    )


@dataclass(frozen=True)
class Phase2Config:
    """Next-token training of the TokenBlock."""

    learning_rate: float = setting(0.001, "Adam learning rate", above=0.0)
    epochs: int = setting(10, "most epochs", min=1)
    patience: int = setting(1, "epochs without improvement that stop early (0: never)", min=0, stopping=True)
    min_improvement: float = setting(
        0.0, "an epoch is better only if its val PPL is below the best minus this", min=0.0, stopping=True
    )
    batch_tokens: int = setting(4096, "targets in one optimiser step", min=1)
    grad_clip: float = setting(1.0, "gradient norm limit", above=0.0)
    train_contexts: TrainContexts = setting(
        "phase1", "training contexts: phase 1's last iteration, or the true recurrence"
    )
    context: TokenContext = setting(
        "after",
        "what the TokenBlock reads: the context after the current token, the one before it, or zeros",
        since="0.2.0",
    )
    past_count: int = setting(0, "earlier contexts that the TokenBlock reads besides", min=0, since="0.2.0")
    past_interval: int = setting(1, "tokens between those", min=1, since="0.2.0")
    weight_decay: float = setting(
        0.0,
        "AdamW's decay of all that phase 2 trains, times the learning rate at each step",
        min=0.0,
        since="0.2.0",
    )
    dropout_input: float = setting(
        0.0,
        "share of the window's numbers that the TokenBlock does not see in a training step",
        min=0.0,
        max=MOST_DROPOUT,
        since="0.2.0",
    )
    dropout_context: float = setting(
        0.0, "the same of the contexts that it reads", min=0.0, max=MOST_DROPOUT, since="0.2.0"
    )
    dropout_hidden: float = setting(
        0.0, "the same of the hidden layer of an 'mlp' TokenBlock", min=0.0, max=MOST_DROPOUT, since="0.2.0"
    )
    dropout_head: float = setting(
        0.0, "the same of what the head reads", min=0.0, max=MOST_DROPOUT, since="0.2.0"
    )
    schedule: Schedule = setting(
        "constant",
        "learning rates over the steps of training: 'constant', or 'linear' down to 0 at the end of the last epoch",
        since="0.2.0",
    )
    shuffle: bool = setting(
        False,
        "whether each epoch takes the targets in a random order of its own, not in the stream's",
        since="0.2.0",
    )
    embedding: Embedding = setting(
        "frozen",
        "whether the table that the TokenBlock reads, and a tied head, learns; the ContextBlock keeps its own",
        since="0.2.0",
    )
    embedding_learning_rate: float = setting(
        0.0, "learning rate of that table (0: phase 2's)", min=0.0, since="0.2.0"
    )
    min_gain: float = setting(
        0.0,
        "stop after an epoch whose val PPL gains less than this on the best so far; it still counts (0: never)",
        min=0.0,
        since="0.2.0",
    )

    @property
    def dropout(self) -> dict[str, float]:
        """The shares that are left out in a training step, by what they are left out of."""
        shares = {
            "input": self.dropout_input,
            "context": self.dropout_context,
            "hidden": self.dropout_hidden,
            "head": self.dropout_head,
        }
        return {part: share for part, share in shares.items() if share}


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment up to its data: what decides the figures, and nothing that does not.

    Attributes:
        effective_rank_tokens: measure effective rank on this many random tokens (0: all tokens).
        seed: initialisation, noise and initial contexts.
    """

    model: ModelConfig = ModelConfig()
    head: HeadConfig = HeadConfig()
    phase1: Phase1Config = Phase1Config()
    phase2: Phase2Config = Phase2Config()
    effective_rank_tokens: int = setting(
        0, "random tokens that effective rank is measured on (0: all)", min=0
    )
    seed: int = setting(42, "seed of initialisation and noise", min=0)


@dataclass(frozen=True)
class JointConfig:
    """Training of both blocks together, through the recurrence."""

    learning_rate: float = setting(0.001, "AdamW learning rate", above=0.0)
    weight_decay: float = setting(0.0, "AdamW's decay, times the learning rate at each step", min=0.0)
    streams: int = setting(16, "pieces of the training stream that are read side by side", min=1)
    chunk_tokens: int = setting(
        32, "tokens of each piece in one optimiser step: as far as gradients flow back", min=1
    )
    grad_clip: float = setting(1.0, "gradient norm limit", above=0.0)
    epochs: int = setting(40, "most epochs", min=1)
    patience: int = setting(1, "epochs without improvement that stop early (0: never)", min=0, stopping=True)
    min_improvement: float = setting(
        0.0, "an epoch is better only if its val PPL is below the best minus this", min=0.0, stopping=True
    )
    context: TokenContext = setting(
        "after", "what the TokenBlock reads: the context after the current token, the one before it, or zeros"
    )
    dropout_input: float = setting(
        0.0, "share of the window's numbers that the TokenBlock does not see", min=0.0, max=MOST_DROPOUT
    )
    dropout_context: float = setting(0.0, "the same of the contexts that it reads", min=0.0, max=MOST_DROPOUT)
    dropout_hidden: float = setting(
        0.0, "the same of the hidden layer of an 'mlp' TokenBlock", min=0.0, max=MOST_DROPOUT
    )
    dropout_head: float = setting(0.0, "the same of what the head reads", min=0.0, max=MOST_DROPOUT)
    schedule: Schedule = setting(
        "constant",
        "learning rates over the steps of training: 'constant', or 'linear' down to 0 at the end of the last epoch",
    )
    embedding: Embedding = setting("frozen", "whether the table that both blocks and a tied head read learns")
    embedding_learning_rate: float = setting(
        0.0, "learning rate of that table (0: that of the rest)", min=0.0
    )
    start_from: str = setting(
        "",
        "folder of a finished run whose saved weights training starts from (empty: drawn); {samples} and {seed} stand for "
        "those of each run",
    )


@dataclass(frozen=True)
class EndToEndConfig:
    """One end-to-end experiment up to its data."""

    model: ModelConfig = ModelConfig()
    head: HeadConfig = HeadConfig()
    joint: JointConfig = JointConfig()
    seed: int = ExperimentConfig.seed

    @property
    def as_phases(self) -> ExperimentConfig:
        """The same model, and its training in phase 2's words: what the two share is asked of these."""
        joint = self.joint
        phase2 = Phase2Config(
            learning_rate=joint.learning_rate,
            epochs=joint.epochs,
            patience=joint.patience,
            min_improvement=joint.min_improvement,
            batch_tokens=joint.streams * joint.chunk_tokens,
            grad_clip=joint.grad_clip,
            train_contexts="recurrence",
            context=joint.context,
            weight_decay=joint.weight_decay,
            dropout_input=joint.dropout_input,
            dropout_context=joint.dropout_context,
            dropout_hidden=joint.dropout_hidden,
            dropout_head=joint.dropout_head,
            schedule=joint.schedule,
            embedding=joint.embedding,
            embedding_learning_rate=joint.embedding_learning_rate,
        )
        return ExperimentConfig(self.model, self.head, phase2=phase2, seed=self.seed)


@dataclass(frozen=True)
class Execution:
    """How an experiment runs: where, how precisely, and in which pieces. Recorded beside the result.

    Attributes:
        device: a torch device name, already resolved (``cpu``, ``cuda``, ``mps``).
        precision: arithmetic of the large matrix products.
        memory_bytes: bound that pieces are derived from (never the free memory of the moment).
        device_bytes: all memory of the device; contexts beyond it are kept on the host. None where it is not known.
        host_bytes: all memory of the host.
        threads: CPU threads, which decide the last bits of figures on a CPU; None leaves torch's choice.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    memory_bytes: int = 2 * 1024**3
    device_bytes: int | None = None
    host_bytes: int | None = None
    threads: int | None = None

    def smaller(self) -> "Execution":
        """For a device that ran out of memory: half the pieces, and a quarter less of all that it is said to have."""
        device_bytes = None if self.device_bytes is None else self.device_bytes * 3 // 4
        return replace(self, memory_bytes=self.memory_bytes // 2, device_bytes=device_bytes)
