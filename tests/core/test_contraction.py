"""The growth of a difference per step, against the product of exact Jacobians and against known maps."""

import math

import pytest
import torch
from core_cases import random_context_block

from cvfp_cli.core.config import ModelConfig
from cvfp_cli.core.contexts import Contexts
from cvfp_cli.core.contraction import growth_per_step
from cvfp_cli.core.model import Stream
from cvfp_cli.core.recurrence import true_contexts


def problem(recurrent: float, dtype: torch.dtype = torch.float64):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(17, 6, generator=generator, dtype=dtype)
    block = random_context_block(ModelConfig(1, 10, 1), 6, 3, dtype, recurrent)
    stream = Stream(torch.randint(0, 17, (400,), generator=generator), table, 1)
    contexts, trace = true_contexts(block, stream)
    return block, stream, Contexts.of(torch.cat([contexts.new_zeros(1, 10), contexts])), trace


@pytest.mark.parametrize("recurrent", [1.0, 6.0, 20.0])
def test_is_the_largest_lyapunov_exponent_of_the_jacobians(recurrent: float) -> None:
    """The exact tangent along the whole stream: Jacobians by autograd, one vector carried through them."""
    block, stream, contexts, _ = problem(recurrent)
    vector = torch.ones(10, dtype=torch.float64)
    logs = []
    for t in range(len(stream)):
        window = stream.windows(slice(t, t + 1))
        jacobian = torch.autograd.functional.jacobian(
            lambda c, window=window: block.forward(c[None], window)[-1][0], contexts.read(t, t + 1)[0]
        )
        vector = jacobian @ vector
        logs.append(float(vector.norm().log()))
        vector = vector / vector.norm()
    wanted = sum(logs[20:]) / len(logs[20:])
    got = growth_per_step(block, stream, contexts, 1)
    assert got is not None
    assert math.log(got) == pytest.approx(wanted, abs=0.03)
    assert growth_per_step(block, stream, contexts, 1) == got


def test_below_one_where_a_block_forgets_and_float32_agrees() -> None:
    block, stream, contexts, trace = problem(0.5, torch.float32)
    growth = growth_per_step(block, stream, contexts, 1)
    exact = growth_per_step(*problem(0.5)[:3], 1)
    assert growth is not None
    assert exact is not None
    assert growth < 1
    assert growth == pytest.approx(exact, rel=0.02)
    assert growth == pytest.approx(trace.growth, rel=0.05)  # seen from the chunks' warm-up


def test_what_is_forgotten_at_once_or_too_short() -> None:
    block, stream, contexts, _ = problem(1.0)
    with torch.no_grad():  # a context that is read by nothing
        block.layers[0].linear.weight[:, :10] = 0
        block.layers[0].norm.weight[:] = 0
    assert growth_per_step(block, stream, contexts, 1) == pytest.approx(1e-6)
    short = Stream(stream.ids[:3], torch.randn(17, 6, dtype=torch.float64), 1)
    assert growth_per_step(block, short, contexts, 1) is None
