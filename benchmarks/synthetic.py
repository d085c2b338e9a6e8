"""Token ids and experiment data without text, for the programs beside this one."""

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.result import ExperimentData

VAL_SAMPLES = 20


def zipf_ids(tokens: int, vocabulary: int, seed: int) -> NDArray[np.int64]:
    """Token ids whose frequencies fall like natural text's: (tokens,)."""
    share = 1 / np.arange(1, vocabulary + 1)
    return np.random.default_rng(seed).choice(vocabulary, tokens, p=share / share.sum()).astype(np.int64)


def experiment_data(
    train_ids: NDArray[np.int64], val_ids: NDArray[np.int64], vocabulary: int, width: int
) -> ExperimentData:
    """An experiment's arrays around these ids, with a random table (vocabulary, width)."""
    return ExperimentData(
        train_ids=train_ids,
        val_ids=val_ids,
        val_boundaries=np.linspace(0, len(val_ids), VAL_SAMPLES + 1).astype(np.int64),
        val_bytes=4 * len(val_ids),
        table=np.random.default_rng(0).standard_normal((vocabulary, width)).astype(np.float32),
    )
