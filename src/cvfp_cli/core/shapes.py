"""Layer widths and parameter counts, from the configuration alone. Imports without torch."""

from dataclasses import dataclass, replace

from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase2Config


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of each part; ``total`` also counts the embedding table and ``embed_norm``."""

    context_block: int
    token_block: int
    head: int
    total: int

    @property
    def parts(self) -> dict[str, int]:
        """The two blocks, by name."""
        return {"context_block": self.context_block, "token_block": self.token_block}

    @property
    def phase2(self) -> int:
        """Parameters that phase 2 trains: TokenBlock and head."""
        return self.token_block + self.head


def context_widths(model: ModelConfig, embed_dim: int) -> list[int]:
    """Widths of u_0 … u_L: all D, or falling linearly from D + K·E to D where only layer 1 reads tokens.

    Of several blocks, which have one layer each, the widths of their concatenation.
    With ``first_layer`` entry 0 is still D, the width of c_{t−1}: the method's ``dims[0]`` = D + K·E is
    what layer 1 reads in all.
    """
    if model.token_input == "all_layers":
        return [model.context_dim] * (model.layers + 1)
    window = model.tokens * embed_dim
    falling = [model.context_dim + window - (window * i) // model.layers for i in range(model.layers + 1)]
    return [model.context_dim, *falling[1:]]


def block_inputs(model: ModelConfig) -> tuple[int, ...]:
    """The width of the context that each ContextBlock reads: its own, in a cascade that of the block before it."""
    widths = model.widths
    return widths[:1] + (widths[:-1] if model.cascade else widths[1:])


def read_widths(model: ModelConfig, phase2: Phase2Config, embed_dim: int) -> list[int]:
    """Widths of what layers 1 … L of the TokenBlock read of contexts: u_i, or in layer 1 c_{t−1} with ``before``.

    Earlier contexts stand behind that of layer 1.
    """
    first, *deeper = context_widths(model, embed_dim)[1:]
    if phase2.context == "before":
        first = model.context_dim
    return [first + phase2.past_count * model.context_dim, *deeper]


def token_widths(model: ModelConfig, embed_dim: int) -> list[int]:
    """Widths of v_0 … v_L: falling linearly from K·E to E; the early TokenBlock and the MLP have E from layer 1 on."""
    window = model.tokens * embed_dim
    if model.token_block != "standard":
        return [window] + [embed_dim] * model.layers
    return [window - ((model.tokens - 1) * embed_dim * i) // model.layers for i in range(model.layers + 1)]


def dropout_widths(model: ModelConfig, phase2: Phase2Config, embed_dim: int) -> dict[str, int]:
    """Widths of what a training step leaves a share out of: ``input``, ``context-0`` …, ``hidden``, ``head``."""
    hidden = {"hidden": model.token_hidden} if model.token_block == "mlp" else {}
    read = {f"context-{i}": width for i, width in enumerate(read_widths(model, phase2, embed_dim))}
    widths = {"input": model.tokens * embed_dim, **read, **hidden, "head": embed_dim}
    return {name: width for name, width in widths.items() if name.partition("-")[0] in phase2.dropout}


def reads_tokens(model: ModelConfig, layer: int) -> bool:
    """Whether context layer ``layer`` (0-based) reads the token window."""
    return layer == 0 or model.token_input == "all_layers"


def _layer_parameters(read: int, width_in: int, width_out: int, learned_residual: bool) -> int:
    linear = read * width_out + width_out
    residual = width_in * width_out + width_out if learned_residual else 0
    return linear + residual + 2 * width_out


def parameter_counts(
    model: ModelConfig,
    head: HeadConfig,
    embed_dim: int,
    vocab_size: int,
    phase2: Phase2Config = Phase2Config(),  # noqa: B008  frozen
) -> ParameterCounts:
    """Count the parameters of a model without building it."""
    window = model.tokens * embed_dim
    v = token_widths(model, embed_dim)
    read = read_widths(model, phase2, embed_dim)
    context = token = 0
    for given, width in zip(block_inputs(model), model.widths, strict=True):
        u = context_widths(replace(model, blocks=(), context_dim=width), embed_dim)
        for i in range(model.layers):
            width_in = u[i] if i else given
            reads = width_in + (window if reads_tokens(model, i) else 0)
            context += _layer_parameters(reads, width_in, u[i + 1], width_in != u[i + 1])
    if model.token_block == "mlp":
        norms = 2 * read[0] + 2 * embed_dim
        token = norms + (read[0] + window + 1) * model.token_hidden + (model.token_hidden + 1) * embed_dim
    for i in range(model.layers if model.token_block != "mlp" else 0):
        takes_last_token = model.token_block == "early" and i == 0
        token += _layer_parameters(read[i] + v[i], v[i], v[i + 1], v[i] != v[i + 1] and not takes_last_token)
    table = vocab_size * embed_dim
    # A trained table stands beside the frozen one, which the ContextBlock goes on reading.
    matrices = (head.weights == "untied" or head.table == "trained") + (phase2.embedding == "trained")
    head_own = matrices * table + (vocab_size if head.bias != "none" else 0)
    head_own += 1 if head.learn_logit_scale else 0
    total = context + token + head_own + table + 2 * embed_dim
    return ParameterCounts(context, token, head_own, total)


def block_stage(number: int) -> str:
    """The stage of phase 1: ``phase1``, or ``phase1-block2`` for one block of several, counted from 1."""
    return f"phase1-block{number}" if number else "phase1"
