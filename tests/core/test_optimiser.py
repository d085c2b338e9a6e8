"""The training step against torch's own optimiser and ``torch.autograd.backward``."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from cvfp_cli.core.optimiser import Adam, backward

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_torchs_to_the_last_bit(device: str, dtype: torch.dtype) -> None:
    """One parameter has no gradient at every other step; halfway, the state goes to a new optimiser."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=dtype).to(device)

    ours = [drawn(5, 3), drawn(7), drawn()]
    wanted = [p.clone() for p in ours]
    optimiser = Adam(ours, 0.01)
    reference = torch.optim.Adam(wanted, 0.01, fused=True)
    for step in range(10):
        optimiser.zero_grad()
        reference.zero_grad()
        for i, (p, q) in enumerate(zip(ours, wanted, strict=True)):
            if i != 1 or step % 2:
                p.grad = drawn(*p.shape)
                q.grad = p.grad.clone()
        optimiser.step()
        reference.step()
        assert all(torch.equal(p, q) for p, q in zip(ours, wanted, strict=True))
        if step == 4:
            saved = {name: [t.clone() for t in tensors] for name, tensors in optimiser.state_dict().items()}
            optimiser = Adam(ours, 0.01)
            optimiser.load_state_dict(saved)


def test_backward_is_torchs() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    given = [torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)]
    torch.autograd.backward([x.tanh(), x.exp().t()], given)
    wanted, x.grad = x.grad, None
    backward([x.tanh(), x.exp().t()], given)
    assert wanted is not None
    assert x.grad is not None
    assert torch.equal(x.grad, wanted)
    x.grad = None
    backward(x.tanh(), given[0])
    torch.testing.assert_close(x.grad, given[0] * (1 - x.detach().tanh() ** 2))


TRAINED = """
import sys
import torch
from cvfp_cli.core.optimiser import Adam, backward
x = torch.ones(2, 2, requires_grad=True)
backward(x * x, torch.ones(2, 2))
Adam([x], 0.1).step()
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""


def test_a_step_does_not_import_torchs_compiler() -> None:
    """It takes seconds, in every process."""
    ended = subprocess.run([sys.executable, "-c", TRAINED], check=True, capture_output=True, text=True)
    assert ended.stdout.split() == ["False", "False"]
