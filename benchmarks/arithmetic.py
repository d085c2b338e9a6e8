"""How much of an experiment's time is arithmetic, on a CPU: torch's profiler over one run of the ``demo`` recipe's size.

    python benchmarks/arithmetic.py [--layers 2] [--tokens 2] [--train-tokens 60000] [--small]

Prints the shares of matrix products, of the other arithmetic (operators that read or write whole tensors), and of the
rest: Python, autograd's bookkeeping, allocation, views. Runs with and without the profiler take turns, so that its
cost is not counted among the rest; of each kind of time the shortest counts.
"""

import argparse
import time
from typing import Any

import torch
from ceiling import ceiling
from synthetic import experiment_data, zipf_ids
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from cvfp_cli.core import fixed_point
from cvfp_cli.core.config import Execution
from cvfp_cli.core.draws import normal_rows
from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.recipes import load_recipe

PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm"}
# Operators that touch no element: views, sizes, memory.
EMPTY = {
    *("aten::empty", "aten::empty_like", "aten::empty_strided", "aten::as_strided", "aten::view", "aten::t"),
    *("aten::transpose", "aten::slice", "aten::select", "aten::expand", "aten::unsqueeze", "aten::detach"),
    *("aten::reshape", "aten::permute", "aten::resize_", "aten::narrow", "aten::split", "aten::alias"),
    *(
        "aten::_unsafe_view",
        "aten::unfold",
        "aten::unbind",
        "aten::result_type",
        "aten::to",
        "aten::_to_copy",
    ),
}
NOISE = "aten::normal_ on threads"


def recorded_noise(*given: Any, **more: Any) -> Tensor:
    """``normal_rows``, seen by the profiler, which misses the threads that draw."""
    with record_function(NOISE):
        return normal_rows(*given, **more)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2)
    parser.add_argument("--train-tokens", type=int, default=60_000)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    given = parser.parse_args()
    tokens = 500 if given.small else given.train_tokens
    recipe = load_recipe("demo", overrides={"grid.layers": (given.layers,), "grid.tokens": (given.tokens,)})
    config = recipe.experiment(recipe.configurations[0], recipe.runs.seeds[0])
    vocabulary, width = 4096, 128
    data = experiment_data(
        zipf_ids(tokens, vocabulary, 1), zipf_ids(tokens // 4, vocabulary, 2), vocabulary, width
    )
    peak = ceiling("cpu", "float32", given.small)
    execution = Execution("cpu", "float32")
    fixed_point.normal_rows = recorded_noise  # type: ignore[attr-defined]
    run_experiment(config, data, execution)  # the first run warms up
    walls, sums = [], []
    for _ in range(1 if given.small else 3):
        began = time.perf_counter()
        result = run_experiment(config, data, execution).result
        walls.append(time.perf_counter() - began)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            run_experiment(config, data, execution)
        times = {e.key: e.self_cpu_time_total / 1e6 for e in profiled.key_averages() if "aten::" in e.key}
        counted = [
            sum(seconds for name, seconds in times.items() if name in PRODUCTS),
            sum(seconds for name, seconds in times.items() if name not in PRODUCTS | EMPTY),
        ]
        sums.append(counted)
    wall = min(walls)
    products, other = (min(part) for part in zip(*sums, strict=True))
    print(
        f"{config.model.name}, {tokens:,} tokens, {torch.get_num_threads()} threads, ceiling "
        f"{peak / 1e12:.3f} TFLOP/s: {result.own['phase1_iterations']} iterations and {result.epochs} epochs in {wall:.1f} s"
    )
    for name, seconds in (
        ("products", products),
        ("other arithmetic", other),
        ("the rest", wall - products - other),
    ):
        print(f"  {name}: {seconds:.1f} s, {100 * seconds / wall:.0f} %")


if __name__ == "__main__":
    main()
