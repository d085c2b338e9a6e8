"""Learners make runs: each declares its tables, axes, stages, sizes and work, and trains.

``base`` says what every learner does and keeps the list of them; each other file is one. Nothing here imports torch
before a run is trained.
"""

from cvfp_cli.learners.base import (
    Axis,
    DecidesAxes,
    Learner,
    Sizes,
    Stage,
    get_learner,
    identity_of,
    learners,
    register,
)
from cvfp_cli.learners.cvfp import CVFP
from cvfp_cli.learners.end_to_end import END_TO_END
from cvfp_cli.learners.gru import GRU
from cvfp_cli.learners.lstm import LSTM
from cvfp_cli.learners.ngram import NGRAM
from cvfp_cli.learners.transformer import TRANSFORMER

for _learner in (CVFP, END_TO_END, NGRAM, GRU, LSTM, TRANSFORMER):
    register(_learner)

__all__ = [
    "Axis",
    "DecidesAxes",
    "Learner",
    "Sizes",
    "Stage",
    "get_learner",
    "identity_of",
    "learners",
    "register",
]
