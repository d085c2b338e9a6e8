"""Both phases against the matrix-product rate of the same device in the same process.

    python benchmarks/training.py [--device cuda --precision bf16] [--tokens 514543] [--epochs 3] [--small]

Phase 2 is counted per training token as 4·V·E + 6·TokenBlock + 2·ContextBlock operations and per validation token as
2·(V·E + TokenBlock + ContextBlock); nothing is counted for recomputation. The ceiling is torch's own rate for a large
square product in the precision of phase 2's products.
"""

import argparse

import numpy as np
import torch
from ceiling import ceiling
from synthetic import experiment_data, zipf_ids

from cvfp_cli.core.config import (
    Execution,
    ExperimentConfig,
    HeadConfig,
    ModelConfig,
    Phase1Config,
    Phase2Config,
)
from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.core.memory import work
from cvfp_cli.core.result import Epoch, Event, Iteration


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--width", type=int, default=768, help="embedding and context width")
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--working-head", action="store_true", help="learned logit scale and unigram bias")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if given.small:
        given.tokens, given.vocabulary, given.width, given.batch, given.epochs = 2000, 500, 32, 256, 2
    peak = ceiling(given.device, given.precision, given.small)
    print(
        f"{given.device} {given.precision}: ceiling {peak / 1e12:.3f} TFLOP/s, {torch.get_num_threads()} threads"
    )
    val_tokens = max(200, min(18_237, given.tokens // 4))
    ids = [zipf_ids(count, given.vocabulary, seed) for seed, count in ((1, given.tokens), (2, val_tokens))]
    data = experiment_data(*ids, given.vocabulary, given.width)
    sizes = {"train_tokens": given.tokens, "val_tokens": val_tokens}
    working = HeadConfig(logit_scale=0.05, learn_logit_scale=True, bias="unigram")
    head = working if given.working_head else HeadConfig()
    for layers, tokens in ((1, 1), (3, 3)):
        config = ExperimentConfig(
            ModelConfig(layers, given.width, tokens),
            head,
            Phase1Config(min_iterations=given.iterations, max_iterations=given.iterations),
            Phase2Config(epochs=given.epochs, patience=0, batch_tokens=given.batch),
        )
        events: list[Event] = []
        run_experiment(config, data, Execution(given.device, given.precision, 8 * 2**30), events.append)
        counted = work(config, **sizes, vocab_size=given.vocabulary, embed_dim=given.width)
        iterations = [e.seconds for e in events if isinstance(e, Iteration)][1:]
        epochs = [e.seconds for e in events if isinstance(e, Epoch)]
        rate = counted.epoch / min(epochs)
        print(
            f"{config.model.name}: phase 1 {1e3 * float(np.median(iterations)):.1f} ms an iteration; phase 2 "
            f"{min(epochs):.3f} s an epoch, {rate / 1e12:.3f} TFLOP/s, {100 * rate / peak:.0f} % of the ceiling",
            flush=True,
        )


if __name__ == "__main__":
    main()
