"""A training step that leaves torch's compiler alone.

``torch.optim.Optimizer`` and ``torch.autograd.backward`` with a given gradient import ``torch._dynamo`` and SymPy on
their first call, which takes seconds in every process; nothing here compiles. The arithmetic is torch's.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.optim.adam import adam

from cvfp_cli.core.config import Schedule


def rate_share(schedule: Schedule, done: float) -> float:
    """The share of the learning rate that a step takes.

    Args:
        done: the share of all epochs' targets before the step, 0 to 1.
    """
    return 1.0 if schedule == "constant" else max(0.0, 1.0 - done)


class Adam:
    """Adam (Kingma & Ba 2015) as in ``torch.optim.Adam(parameters, learning_rate, fused=True)``, to the last bit.

    Steps are counted on the device, so a step can be captured in a CUDA graph.

    Args:
        learning_rate: may be a tensor on the parameters' device, so that it can change where steps are replayed.
        weight_decay: that of AdamW (Loshchilov & Hutter 2019): before a step each parameter shrinks by this share of
            the learning rate.
    """

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float | Tensor, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._means = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients; a parameter without one is left as it is."""
        rows = zip(self.parameters, self._means, self._squares, self._steps, strict=True)
        kept = [(p, p.grad, *rest) for p, *rest in rows if p.grad is not None]
        parameters, gradients, means, squares, steps = (list(part) for part in zip(*kept, strict=True))
        if self.weight_decay:
            torch._foreach_mul_(parameters, 1 - self.learning_rate * self.weight_decay)
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=self.BETAS[0],
            beta2=self.BETAS[1],
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=self.EPSILON,
            maximize=False,
        )

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Moments and step counts, one tensor a parameter each."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, saved: dict[str, list[Tensor]]) -> None:
        """The inverse of ``state_dict``."""
        for name, tensors in self.state_dict().items():
            for kept, given in zip(tensors, saved[name], strict=True):
                kept.copy_(given)


class _Given(torch.autograd.Function):
    """A scalar whose gradient with regard to a tensor is a given one."""

    @staticmethod
    def forward(ctx: Any, of: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return of.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient, None


def backward(of: Tensor | list[Tensor], gradients: Tensor | list[Tensor]) -> None:
    """``torch.autograd.backward(of, gradients)``."""
    pairs = [(of, gradients)] if isinstance(of, Tensor) else zip(of, gradients, strict=True)
    scalars = [_Given.apply(y, gradient) for y, gradient in pairs]  # type: ignore[no-untyped-call]
    torch.autograd.backward(scalars)
