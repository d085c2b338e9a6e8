"""A model folder on texts: the figures that its training would have found there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.config import Execution
from cvfp_cli.core.metrics import clustered_standard_error, sample_sums
from cvfp_cli.counting import counted
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.encoding import encode_samples
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.sources import open_source, read_texts
from cvfp_cli.data.tokenizer import open_tokenizer
from cvfp_cli.errors import InputError
from cvfp_cli.learners import get_learner
from cvfp_cli.learners.exports import Exported, Exports
from cvfp_cli.results.weights import read_model_config, read_weights


@dataclass(frozen=True)
class Evaluated:
    """A model's figures on a text.

    Attributes:
        name: the text's.
        losses, correct: sums of its samples' cross-entropies in nats, and of their tokens predicted right, (S,).
        targets: tokens predicted in each sample, (S,).
        size_bytes: UTF-8 bytes of the text.
    """

    name: str
    losses: NDArray[np.float64]
    correct: NDArray[np.float64]
    targets: NDArray[np.float64]
    size_bytes: int

    @property
    def figures(self) -> dict[str, Any]:
        """Each figure by name; standard errors are clustered by sample, None where there is one sample alone."""
        count = float(self.targets.sum())
        loss = float(self.losses.sum()) / count
        loss_se = clustered_standard_error(self.losses, self.targets)
        ppl = math.exp(min(loss, 700.0))
        bits = count / (self.size_bytes * math.log(2))
        return {
            "text": self.name,
            "samples": len(self.targets),
            "targets": int(count),
            "bytes": self.size_bytes,
            "loss": loss,
            "loss_se": loss_se,
            "ppl": ppl,
            "ppl_se": None if loss_se is None else ppl * loss_se,
            "bits_per_byte": loss * bits,
            "bits_per_byte_se": None if loss_se is None else loss_se * bits,
            "accuracy": float(self.correct.sum()) / count,
            "accuracy_se": clustered_standard_error(self.correct, self.targets),
        }


def together(found: Sequence[Evaluated]) -> Evaluated:
    """Several texts as one."""
    return Evaluated(
        "all",
        np.concatenate([one.losses for one in found]),
        np.concatenate([one.correct for one in found]),
        np.concatenate([one.targets for one in found]),
        sum(one.size_bytes for one in found),
    )


def evaluate_texts(
    folder: Path,
    texts: Sequence[str],
    execution: Execution,
    *,
    reading: dict[str, Any],
    cache_dir: Path | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> list[Evaluated]:
    """A model's figures on each text, whose samples are one stream, as in training.

    Args:
        folder: the model's. texts: sources as ``--data`` takes them.
        reading: how samples are read, over what the study did.

    Raises:
        InputError: the folder holds no model of ours, or a text cannot be read.
    """
    told = read_model_config(folder)
    about = told["cvfp"]
    learner = get_learner(about["kind"])
    if not isinstance(learner, Exports):
        raise InputError(f"{folder} is of kind {about['kind']}, which cannot be evaluated.")
    cache, connection = Cache(cache_dir, notify), Hub()
    tokenizer = open_tokenizer(str(folder), cache, connection)
    study = dict(about.get("reading", {}))
    separator = str(study.pop("separator", ""))
    model = Exported(told, read_weights(str(folder)))
    found = []
    for name in texts:
        source = open_source(name, cache, connection)
        config = DataConfig(source=name, **{**study, **reading})
        samples = read_texts(source, config, cache, split=config.split)
        if not samples:
            raise InputError(f"{name} holds no sample.")
        encoded = encode_samples(tokenizer, samples, config.max_tokens, cache, separator=separator)
        stream = encoded.stream(len(samples))
        if len(stream.ids) < 2:
            raise InputError(f"{name} has {counted(len(stream.ids), 'token')}: nothing to predict.")
        losses, correct = learner.score(model, stream.ids, execution)
        each = (losses, correct.astype(np.float64), np.ones(len(losses)))
        summed, right, counts = (sample_sums(values, stream.boundaries) for values in each)
        found.append(Evaluated(name, summed, right, counts, stream.sizes_bytes))
    return found
