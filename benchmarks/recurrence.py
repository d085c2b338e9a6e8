"""The parallel recurrence against a plain loop in the same process.

    python benchmarks/recurrence.py [--device cuda] [--tokens 20000] [--iterations 5] [--small]

Prints, for each configuration, the seconds of both (the best of three parallel runs), their ratio, the largest
difference between them and the trace.
The blocks are trained for a few phase-1 iterations first, so that they forget as trained blocks do. Verification is
part of the parallel time.
"""

import argparse
import time

import torch
from synthetic import zipf_ids
from torch import Tensor

from cvfp_cli.core.config import ModelConfig, Phase1Config
from cvfp_cli.core.draws import seeded
from cvfp_cli.core.fixed_point import FixedPointTrainer
from cvfp_cli.core.model import ContextBlock, Stream, initialise
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.recurrence import true_contexts

VOCABULARY, WIDTH = 5000, 768


@torch.no_grad()
def plain_loop(block: ContextBlock, stream: Stream) -> Tensor:
    """c_t = ContextBlock(c_{t-1}, x_t), one token after another, windows gathered beforehand."""
    windows = stream.windows(slice(None))
    context = windows.new_zeros(1, block.width)
    out = windows.new_empty(len(stream), block.width)
    for t in range(len(stream)):
        context = block.forward(context, windows[t : t + 1])[-1]
        out[t] = context[0]
    return out


def timed(device: torch.device, work) -> tuple[float, object]:  # type: ignore[no-untyped-def]
    """Seconds of a call, device work included, and what it returned."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--context-dim", type=int, default=WIDTH)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if given.small:
        given.tokens, given.iterations, given.context_dim = 600, 2, 32
    device = torch.device(given.device)
    table = torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(0)).to(device)
    print(
        f"{given.device}, {given.tokens:,} tokens, D = {given.context_dim}, threads {torch.get_num_threads()}"
    )
    for layers, tokens in ((1, 1), (2, 2), (3, 3)):
        model = ModelConfig(layers, given.context_dim, tokens)
        block = ContextBlock(model, WIDTH)
        initialise(block, model, seeded(torch.device("cpu"), layers, tokens))
        block.to(device)
        stream = Stream(torch.from_numpy(zipf_ids(given.tokens, VOCABULARY, 1)).to(device), table, tokens)
        arithmetic = Arithmetic(device.type, "tf32" if device.type == "cuda" else "float32")
        trainer = FixedPointTrainer(
            block, stream, Phase1Config(), 0, piece_tokens=8000, arithmetic=arithmetic
        )
        state = trainer.start()
        for _ in range(given.iterations):
            trainer.iterate(state, lambda event: None)
        true_contexts(block, Stream(stream.ids[:2000], table, tokens))  # first calls load kernels
        runs = [timed(device, lambda: true_contexts(block, stream)) for _ in range(3)]  # noqa: B023
        parallel, (contexts, trace) = min(runs, key=lambda run: run[0])
        loop, plain = timed(device, lambda: plain_loop(block, stream))  # noqa: B023
        difference = float((contexts - plain).abs().max())
        print(
            f"{model.name}: loop {loop:.2f} s, parallel {parallel:.3f} s, {loop / parallel:.1f} times faster; "
            f"largest difference {difference:.1e}\n    {trace}",
            flush=True,
        )


if __name__ == "__main__":
    main()
