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

register(CVFP)
register(END_TO_END)

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
