"""Torch's gated recurrent units over the stream."""

from typing import TYPE_CHECKING

from cvfp_cli.core.baselines.config import GruConfig
from cvfp_cli.core.baselines.sizes import recurrent_parameters
from cvfp_cli.learners.sequence import SequenceLearner

if TYPE_CHECKING:
    from cvfp_cli.core.baselines.network import BodyMaker


def _body() -> "BodyMaker":
    from torch import nn

    from cvfp_cli.core.baselines.network import Recurrent

    return lambda config, embed_dim: Recurrent(nn.GRU, config, embed_dim)


GRU = SequenceLearner("gru", GruConfig, recurrent_parameters(gates=3), _body)
