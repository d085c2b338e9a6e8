"""Time and memory against the length of the training stream, and a stream that barely fits.

    python benchmarks/memory.py [--device cuda] [--limit-gb 24] [--tokens 10000000] [--small]

Doubles the stream from 1/8 of ``--base`` to ``--base``: seconds an iteration and an epoch take, the peak estimated
before the run and the peak measured. Then runs ``--tokens`` tokens, two iterations and one epoch, on a card limited to
``--limit-gb``: the contexts that it cannot hold stay on the host. The text is the same piece repeated. Last comes the
most that the process held on the host.
"""

import argparse

import numpy as np
import torch
from synthetic import experiment_data, zipf_ids

from cvfp_cli.core.config import (
    Execution,
    ExperimentConfig,
    HeadConfig,
    ModelConfig,
    Phase1Config,
    Phase2Config,
)
from cvfp_cli.core.device import peak_memory
from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.core.memory import plan
from cvfp_cli.core.result import Epoch, Event, Iteration


def measure(tokens: int, given: argparse.Namespace) -> str:
    """Run two iterations and one epoch; a row of the table."""
    piece = zipf_ids(200_000, given.vocabulary, 0)
    data = experiment_data(np.resize(piece, tokens), piece[:20_000], given.vocabulary, given.width)
    config = ExperimentConfig(
        ModelConfig(1, given.width, 1),
        HeadConfig(),
        Phase1Config(min_iterations=3, max_iterations=3),
        Phase2Config(epochs=1, batch_tokens=given.batch),
    )
    execution = Execution(given.device, given.precision, device_bytes=int(given.limit_gb * 2**30))
    sizes = {"vocab_size": given.vocabulary, "embed_dim": given.width}
    planned = plan(config, execution, train_tokens=tokens, val_tokens=20_000, **sizes)
    events: list[Event] = []
    result = run_experiment(config, data, execution, events.append).result
    iteration = min(e.seconds for e in events if isinstance(e, Iteration) and e.iteration > 1)
    epoch = next(e.seconds for e in events if isinstance(e, Epoch))
    figures = (planned.peak_bytes, result.peak_memory_bytes or 0, planned.host_bytes)
    estimate, peak, on_host = (count / 2**30 for count in figures)
    return (
        f"{tokens:>12,} {iteration:>9.3f} {epoch:>9.3f} {estimate:>9.2f} {peak:>9.2f} "
        f"{estimate / peak if peak else 0:>7.2f} {on_host:>9.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--base", type=int, default=1_048_576)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--limit-gb", type=float, default=24.0)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if given.small:
        given.base, given.tokens, given.vocabulary, given.width = 16_384, 20_000, 500, 16
    if given.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        torch.cuda.set_per_process_memory_fraction(min(1.0, given.limit_gb / total))
        print(f"{torch.cuda.get_device_name()}, limited to {given.limit_gb:g} of {total:.0f} GiB")
    names = ("tokens", "iter s", "epoch s", "est. GiB", "peak GiB", "ratio", "host GiB")
    print("{:>12} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9}".format(*names))
    measure(given.base // 8, given)  # the first run loads kernels
    for tokens in (given.base // 8, given.base // 4, given.base // 2, given.base, given.tokens):
        print(measure(tokens, given), flush=True)
    host = (peak_memory("cpu") or 0) / 2**30
    print(f"the process held {host:.1f} GiB of the host's memory at most")


if __name__ == "__main__":
    main()
