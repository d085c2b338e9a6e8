"""How fast this device multiplies matrices: the only measure of time before any run is done."""

import time

from cvfp_cli.core.config import Execution
from cvfp_cli.sweeps.estimate import LIKELY_SHARE

SIDE = {"cpu": 768, "cuda": 4096, "mps": 2048}
ROUNDS = 5


def expected_rate(execution: Execution) -> float:
    """Floating-point operations a second that a run can be expected to do, from a few large products."""
    import torch

    from cvfp_cli.core.precision import Arithmetic

    kind = execution.device.split(":")[0]
    side = SIDE.get(kind, 768)
    matrix = torch.ones(side, side, device=execution.device)
    best = float("inf")
    with torch.no_grad(), Arithmetic(kind, execution.precision).products():
        for _ in range(ROUNDS):
            began = time.perf_counter()
            float((matrix @ matrix)[0, 0])  # reading one number waits for the product
            best = min(best, time.perf_counter() - began)
    return LIKELY_SHARE * 2.0 * side**3 / best
