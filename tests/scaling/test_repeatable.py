"""The same figures to the last bit wherever arrays happen to lie in memory.

On processors with AVX-512, NumPy 1.26 and 2.0 compute exp and log with another loop, which rounds otherwise, where a
result lies right behind its operand. That moved a bootstrap's ends from one call to the next; 2.1 does not.
"""

import numpy as np
import pytest

from cvfp_cli.scaling.bootstrap import bootstrap_groups
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.study.points import Points


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt", "tanh"])
@pytest.mark.parametrize("step", [1, 3])
def test_a_result_behind_its_operand_is_rounded_as_elsewhere(name: str, step: int) -> None:
    values, count = np.random.default_rng(0).random(2000), 2000
    found = set()
    for gap in (0, 2, 8, 500):
        memory = np.empty(count * (step + 1) + gap)
        operand, result = memory[: count * step : step], memory[count * step + gap :]
        operand[:] = values
        getattr(np, name)(operand, out=result)
        found.add(result.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("law", ["saturating", "exp-decay", "bnsl"])
def test_a_bootstrap_among_other_arrays(law: str) -> None:
    x = np.repeat(1e5 * 2.0 ** np.arange(7), 2)
    points = Points(x, 2.0 + 3.0 * (x / 1e5) ** -0.4 + np.tile([0.008, 0.016], 7))
    rng = np.random.default_rng(0)
    found, kept = set(), []
    for _ in range(4):
        fit = bootstrap_groups([points], law, FitOptions(), replicates=100, seed=3)[0]
        found.add(str(fit.to_json()))
        # Other arrays, of which every second is let go, move what the next call allocates.
        kept.append([np.empty(size) for size in rng.integers(1, 200_000, 40)][::2])
    assert len(found) == 1
