"""Phase 2 over cached contexts against contexts computed anew each epoch, in parallel and token by token.

    python benchmarks/cached.py [--device cuda --precision bf16 --tokens 514543] [--small]

The ContextBlock does not learn in phase 2, so its contexts are computed once and every epoch reads them. What that saves
is what each further epoch would spend on the recurrence. An epoch includes validation, whose contexts are cached too; the
recurrence is timed over the training stream alone, as the best of three in parallel and once as a loop.
"""

import argparse

import torch
from recurrence import plain_loop, timed
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
from cvfp_cli.core.model import ContextBlock, Stream
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.result import Epoch, Event


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--width", type=int, default=768, help="embedding and context width")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if given.small:
        given.tokens, given.vocabulary, given.width, given.batch = 2000, 500, 32, 256
    device = torch.device(given.device)
    val_tokens = max(200, min(18_237, given.tokens // 4))
    ids = [zipf_ids(count, given.vocabulary, seed) for seed, count in ((1, given.tokens), (2, val_tokens))]
    data = experiment_data(*ids, given.vocabulary, given.width)
    print(f"{given.device} {given.precision}, {given.tokens:,} tokens, threads {torch.get_num_threads()}")
    for layers, tokens in ((1, 1), (3, 3)):
        config = ExperimentConfig(
            ModelConfig(layers, given.width, tokens),
            HeadConfig(logit_scale=0.05, learn_logit_scale=True, bias="unigram"),
            Phase1Config(min_iterations=5, max_iterations=5),
            Phase2Config(epochs=3, patience=0, batch_tokens=given.batch, train_contexts="recurrence"),
        )
        events: list[Event] = []
        outcome = run_experiment(
            config, data, Execution(given.device, given.precision, 8 * 2**30), events.append
        )
        epoch = min(event.seconds for event in events if isinstance(event, Epoch))
        block = ContextBlock(config.model, given.width).to(device)
        block.load_state_dict(
            {
                name.removeprefix("context."): values
                for name, values in outcome.weights.items()
                if name.startswith("context.")
            }
        )
        stream = Stream(torch.from_numpy(ids[0]).to(device), torch.from_numpy(data.table).to(device), tokens)
        with torch.no_grad():
            parallel = min(timed(device, lambda: true_contexts(block, stream))[0] for _ in range(3))  # noqa: B023
            loop = timed(device, lambda: plain_loop(block, stream))[0]  # noqa: B023
        print(
            f"{config.model.name}: an epoch {epoch:.3f} s over cached contexts; contexts {parallel:.3f} s in parallel, "
            f"{loop:.2f} s token by token ({loop / parallel:.1f} times); caching saves {(epoch + parallel) / epoch:.2f} "
            f"times an epoch against the one, {(epoch + loop) / epoch:.1f} times against the other",
            flush=True,
        )


if __name__ == "__main__":
    main()
