"""Layer widths and parameter counts, from the configuration alone. Imports without torch."""

from dataclasses import dataclass

from cvfp_cli.core.config import HeadConfig, ModelConfig


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

    With ``first_layer`` entry 0 is still D, the width of c_{t−1}: the method's ``dims[0]`` = D + K·E is
    what layer 1 reads in all.
    """
    if model.token_input == "all_layers":
        return [model.context_dim] * (model.layers + 1)
    window = model.tokens * embed_dim
    falling = [model.context_dim + window - (window * i) // model.layers for i in range(model.layers + 1)]
    return [model.context_dim, *falling[1:]]


def token_widths(model: ModelConfig, embed_dim: int) -> list[int]:
    """Widths of v_0 … v_L: falling linearly from K·E to E; the early TokenBlock has E from layer 1 on."""
    window = model.tokens * embed_dim
    if model.token_block == "early":
        return [window] + [embed_dim] * model.layers
    return [window - ((model.tokens - 1) * embed_dim * i) // model.layers for i in range(model.layers + 1)]


def reads_tokens(model: ModelConfig, layer: int) -> bool:
    """Whether context layer ``layer`` (0-based) reads the token window."""
    return layer == 0 or model.token_input == "all_layers"


def _layer_parameters(read: int, width_in: int, width_out: int, learned_residual: bool) -> int:
    linear = read * width_out + width_out
    residual = width_in * width_out + width_out if learned_residual else 0
    return linear + residual + 2 * width_out


def parameter_counts(
    model: ModelConfig, head: HeadConfig, embed_dim: int, vocab_size: int
) -> ParameterCounts:
    """Count the parameters of a model without building it."""
    window = model.tokens * embed_dim
    u = context_widths(model, embed_dim)
    v = token_widths(model, embed_dim)
    context = token = 0
    for i in range(model.layers):
        read = u[i] + (window if reads_tokens(model, i) else 0)
        context += _layer_parameters(read, u[i], u[i + 1], u[i] != u[i + 1])
        takes_last_token = model.token_block == "early" and i == 0
        token += _layer_parameters(u[i + 1] + v[i], v[i], v[i + 1], v[i] != v[i + 1] and not takes_last_token)
    table = vocab_size * embed_dim
    own_matrix = head.weights == "untied" or head.table == "trained"
    head_own = (table if own_matrix else 0) + (vocab_size if head.bias != "none" else 0)
    head_own += 1 if head.learn_logit_scale else 0
    total = context + token + head_own + table + 2 * embed_dim
    return ParameterCounts(context, token, head_own, total)
