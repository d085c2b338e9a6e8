"""The whole published matrix as a user runs it: process start to summary, everything cold, then cached.

    python benchmarks/matrix.py --data DIALOGUES --tokenizer GPT2_FOLDER [--device cuda] [--samples 50,100,200,500]

Runs ``cvfp sweep --recipe 2025-11-30-matrix --layers 1-3 --tokens 1-3`` twice in processes of their own with a cache
folder of its own, and prints the wall time of each, where it went, every run's seconds with the iterations and
epochs it ran, and phase 2's rate beside the ceiling measured in this process. ``--small`` takes two small runs on the
embedded text, or on ``--data``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ceiling import ceiling

from cvfp_cli.results import Run, read_results

SMALL = [
    *("--recipe", "demo", "--layers", "1-2", "--tokens", "1", "--samples", "4", "--context-dim", "32"),
    *("--seeds", "0-1"),
    *("--tokenizer", "bpe:300", "--embedding", "random:32", "--set", "validation.source=last:4"),
]


def sweep(arguments: list[str], folder: Path, out: str) -> float:
    """Seconds of one command, process start to summary."""
    environment = os.environ | {"CVFP_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-m", "cvfp_cli", "sweep", *arguments, "--quiet", "--out", str(folder / out)]
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def phase2_operations(run: Run) -> float:
    """Multiply-add work of a run's phase 2, with a frozen, tied head (see ``core.memory.work``)."""
    blocks = run.parameters
    table = blocks.total - blocks.context_block - blocks.token_block - 2 * run.embed_dim
    train = 4.0 * table + 6.0 * blocks.token_block + 2.0 * blocks.context_block
    validation = 2.0 * (table + blocks.token_block + blocks.context_block)
    return run.epochs * (run.train_tokens * train + run.val_tokens * validation)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--tokenizer")
    parser.add_argument("--embedding", default="ppmi:768")
    parser.add_argument("--samples", default="50,100,200,500")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default=None)
    parser.add_argument("--keep", type=Path, help="a folder for the summaries")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    if not given.small and not (given.data and given.tokenizer):
        parser.error("--data and --tokenizer name the text and the tokenizer of the matrix")
    precision = given.precision or ("bf16" if given.device == "cuda" else "float32")
    arguments = [*SMALL, "--data", given.data or "pydocs"]
    if not given.small:
        arguments = ["--recipe", "2025-11-30-matrix", "--layers", "1-3", "--tokens", "1-3"]
        arguments += ["--samples", given.samples, "--data", given.data]
        arguments += ["--tokenizer", given.tokenizer, "--embedding", given.embedding]
    arguments = [*arguments, "--device", given.device, "--precision", precision]
    peak = ceiling(given.device, precision, given.small)
    print(f"{given.device} {precision}: ceiling {peak / 1e12:.3f} TFLOP/s", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        for name in ("cold", "cached"):
            wall = sweep(arguments, folder, name)
            runs = read_results(folder / name / "summary.json").runs
            parts = [
                sum(getattr(run.seconds, part) for run in runs) for part in ("phase1", "contexts", "phase2")
            ]
            print(
                f"{name}: {len(runs)} runs in {wall:.1f} s: phase 1 {parts[0]:.1f}, contexts {parts[1]:.1f}, "
                f"phase 2 {parts[2]:.1f}, start and between runs {wall - sum(parts):.1f}",
                flush=True,
            )
        for run in runs:
            seconds, rate = run.seconds, phase2_operations(run) / run.seconds.phase2
            print(
                f"{run.config} {run.samples:>5} samples: {run.phase1_iterations:>2} iterations "
                f"{seconds.phase1:6.2f} s, contexts {seconds.contexts:5.2f} s, {run.epochs:>2} epochs "
                f"{seconds.phase2:6.2f} s at {100 * rate / peak:3.0f} % of the ceiling"
            )


if __name__ == "__main__":
    main()
