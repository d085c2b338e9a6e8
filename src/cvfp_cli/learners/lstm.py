"""Torch's long short-term memory over the stream."""

from typing import TYPE_CHECKING

from cvfp_cli.core.baselines.config import LstmConfig
from cvfp_cli.core.baselines.sizes import recurrent_parameters
from cvfp_cli.learners.sequence import SequenceLearner

if TYPE_CHECKING:
    from cvfp_cli.core.baselines.network import BodyMaker


def _body() -> "BodyMaker":
    from torch import nn

    from cvfp_cli.core.baselines.network import Recurrent

    return lambda config, embed_dim: Recurrent(nn.LSTM, config, embed_dim)


LSTM = SequenceLearner("lstm", LstmConfig, recurrent_parameters(gates=4), _body)
