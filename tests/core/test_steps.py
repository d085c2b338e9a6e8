"""Steps of many rows together, whatever their number: the same as one application of the block after another."""

import pytest
import torch
from core_cases import needs_gpu, random_context_block

from cvfp_cli.core.config import ModelConfig
from cvfp_cli.core.model import Stream
from cvfp_cli.core.steps import TOGETHER, Steps


@torch.no_grad()
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("most", [9, 5000])
def test_steps_are_the_block_applied_again_and_again(device: str, activation: str, most: int) -> None:
    """Also in pieces that end within a group, with fewer rows than there may be, and past the end of the stream."""
    model = ModelConfig(2, 48, 2, activation=activation)
    block = random_context_block(model, 16, 1, torch.float32).to(device)
    generator = torch.Generator().manual_seed(2)
    table, ids = torch.randn(30, 16, generator=generator), torch.randint(0, 30, (200,), generator=generator)
    stream = Stream(ids.to(device), table.to(device), 2)
    steps = Steps(block, stream, most)
    taken = applied = 0
    for rows, counts in ((9, (TOGETHER, 2 * TOGETHER + 3)), (4, (1, 5, TOGETHER)), (9, (60,)), (1, (30,))):
        state = torch.randn(rows, 48, generator=generator).to(device)
        at = (torch.arange(rows) * 20).to(device)
        for count in counts:
            seen, begun = [], at.clone()
            for which, states in steps.advance(state, at, count):
                assert states.shape == (which.stop - which.start, rows, 48)
                seen.append((which, states.clone()))
            assert [step for which, _ in seen for step in range(which.start, which.stop)] == list(
                range(count)
            )
            for after in torch.cat([states for _, states in seen]):
                windows = stream.windows(at.clamp(max=199))
                state = block.forward(state, windows)[-1]
                torch.testing.assert_close(after, state, rtol=0, atol=2e-5)
                at = at + 1
            assert torch.equal(at, begun + count)
            taken, applied = taken + count, applied + count * rows
            assert (steps.taken, steps.applied) == (taken, applied)
