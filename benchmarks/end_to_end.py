"""End-to-end training against the same steps without CUDA graphs and a GRU of the same width, in one process.

    python benchmarks/end_to_end.py [--device cuda] [--tokens 200000] [--streams 64] [--chunk 32] [--small]

Prints, for each, the training tokens a second of its fastest epoch, validation included, and its validation PPL: with
and without graphs the arithmetic is the same. The loop takes one token of every piece after another, each layer's kernels
launched one by one; the GRU is torch's own (cuDNN on NVIDIA devices) over the same pieces.
"""

import argparse
from collections.abc import Callable

from synthetic import experiment_data, zipf_ids

from cvfp_cli.core import prediction
from cvfp_cli.core.baselines.config import BaselineConfig, GruConfig
from cvfp_cli.core.config import EndToEndConfig, Execution, HeadConfig, JointConfig, ModelConfig
from cvfp_cli.core.device import resolve_precision
from cvfp_cli.core.experiment import Outcome
from cvfp_cli.core.joint import run_end_to_end
from cvfp_cli.core.result import Epoch, Event, Progress
from cvfp_cli.learners import get_learner

VOCABULARY, VAL_TOKENS, EPOCHS = 50257, 2000, 3


def fastest(name: str, tokens: int, train: Callable[[Progress], Outcome]) -> float:
    """Run, print, and give the training tokens a second of the fastest epoch."""
    seconds: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Epoch):
            seconds.append(event.seconds)

    result = train(listen).result
    speed = tokens / min(seconds)
    print(f"{name}: {speed:,.0f} tokens/s, val PPL {result.val_ppl:.3f}", flush=True)
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision")
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--context-dim", type=int, default=512)
    parser.add_argument("--embed-dim", type=int, default=256)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=32)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    vocabulary = VOCABULARY
    if given.small:
        given.tokens, given.context_dim, given.embed_dim, vocabulary = 3000, 16, 8, 100
        given.streams, given.chunk = 8, 16
    data = experiment_data(
        zipf_ids(given.tokens, vocabulary, 1),
        zipf_ids(VAL_TOKENS, vocabulary, 2),
        vocabulary,
        given.embed_dim,
    )
    execution = Execution(given.device, resolve_precision(given.device, given.precision))
    joint = JointConfig(
        streams=given.streams, chunk_tokens=given.chunk, epochs=EPOCHS, patience=0, embedding="trained",
        dropout_input=0.4, dropout_head=0.5,
    )  # fmt: skip
    head = HeadConfig(logit_scale=0.05, learn_logit_scale=True, bias="unigram")
    config = EndToEndConfig(ModelConfig(1, given.context_dim, 1), head, joint)
    gru = GruConfig(
        width=given.context_dim, streams=given.streams, window=given.chunk, epochs=EPOCHS, patience=0
    )
    print(
        f"{given.device}, {execution.precision}, {given.tokens:,} tokens, {given.streams} pieces, chunks of {given.chunk}, "
        f"{config.model.name}, E = {given.embed_dim}"
    )
    kept = prediction.GRAPH_FROM_BATCHES
    ours = fastest(
        "end to end", given.tokens, lambda told: run_end_to_end(config, data, execution, progress=told)
    )
    prediction.GRAPH_FROM_BATCHES = given.tokens  # more batches than there are
    loop = fastest(
        "the same, without graphs",
        given.tokens,
        lambda told: run_end_to_end(config, data, execution, progress=told),
    )
    prediction.GRAPH_FROM_BATCHES = kept
    cells = fastest(
        "GRU",
        given.tokens,
        lambda told: get_learner("gru").train(BaselineConfig(gru), data, execution, told, None, print),
    )
    print(f"{ours / loop:.1f} times the loop, {ours / cells:.2f} times the GRU")


if __name__ == "__main__":
    main()
