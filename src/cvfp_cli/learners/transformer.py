"""A small decoder of the Transformers library's own GPT-NeoX classes, with rotary positions and no pretrained weights."""

from typing import TYPE_CHECKING, Any

from cvfp_cli.core.baselines.config import BaselineConfig, TransformerConfig
from cvfp_cli.learners.exports import Exported, exported_decoder, score_decoder
from cvfp_cli.learners.sequence import SequenceLearner

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cvfp_cli.core.baselines.network import BodyMaker
    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.scoring import Scores

# The inner layer of each block is this many times as wide, as in GPT-NeoX.
INNER = 4


def body_parameters(config: TransformerConfig, embed_dim: int) -> int:
    """Each layer: attention 4 W², inner layer 8 W², their biases, two norms; a last norm; a map from E where W ≠ E."""
    width = config.width
    layer = 4 * (width * width + width) + 2 * INNER * width * width + INNER * width + width + 4 * width
    entry = 0 if embed_dim == width else embed_dim * width + width
    return entry + config.layers * layer + 2 * width


def _contradictions(config: TransformerConfig) -> list[str]:
    if config.width % (2 * config.heads) == 0:
        return []
    return [
        f"transformer.heads ({config.heads}) must divide transformer.width ({config.width}) into even parts"
    ]


def _body() -> "BodyMaker":
    from torch import nn
    from transformers import GPTNeoXConfig, GPTNeoXModel

    class Decoder(nn.Module):
        """Embeddings to outputs; a window knows nothing of the one before."""

        carries = False

        def __init__(self, config: TransformerConfig, embed_dim: int) -> None:
            super().__init__()
            width = config.width
            self.entry = nn.Identity() if embed_dim == width else nn.Linear(embed_dim, width)
            self.decoder = GPTNeoXModel(
                GPTNeoXConfig(
                    vocab_size=1,  # embeddings are given, so the model's own table is never read
                    hidden_size=width,
                    num_hidden_layers=config.layers,
                    num_attention_heads=config.heads,
                    intermediate_size=INNER * width,
                    max_position_embeddings=config.window,
                    hidden_dropout=config.dropout,
                    attention_dropout=config.dropout,
                    use_cache=False,
                    bos_token_id=None,
                    eos_token_id=None,
                )
            )
            embeddings: Any = nn.Identity()
            self.decoder.embed_in = embeddings
            self.decoder.emb_dropout.p = 0.0  # the embeddings have had theirs

        def forward(self, embedded: "Tensor", state: Any) -> "tuple[Tensor, None]":
            return self.decoder(inputs_embeds=self.entry(embedded)).last_hidden_state, None

    def make(config: Any, embed_dim: int) -> "nn.Module":
        return Decoder(config, embed_dim)

    return make


class _Transformer(SequenceLearner):
    def exported(
        self, config: BaselineConfig, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
    ) -> Exported:
        """A trained model as the Transformers library's own class, or ours around its layers."""
        return exported_decoder(config.settings, INNER, weights, table, share)

    def score(self, model: Exported, ids: "NDArray[np.int64]", execution: "Execution") -> "Scores":
        """Cross-entropy in nats and correctness of every target of a stream."""
        return score_decoder(model, self.body(), ids, execution)


TRANSFORMER = _Transformer(
    "transformer", TransformerConfig, body_parameters, _body, contradictions=_contradictions
)
