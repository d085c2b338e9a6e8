"""CUDA graphs: a computation whose host sets the pace is captured once and replayed on new inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Graph:
    """A function of tensors, captured at construction; call it with new values of the same shapes.

    Args:
        compute: gives a tensor or a tuple of them; launches work on the device alone, the same for every input, and has run there before: what it
            compiles or loads on first use cannot be captured.
        inputs: values of the shapes to come.
    """

    def __init__(self, compute: Callable[..., Any], *inputs: Tensor) -> None:
        self._inputs = tuple(tensor.clone() for tensor in inputs)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = compute(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Any:
        """The function's result; the next call writes over it."""
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()
        return self._output
