"""Phase 2: next-token training of the TokenBlock over a frozen ContextBlock (method.md, "Phase 2").

One context vector a token is kept, not L of them: the frozen layers are applied again, batch by batch. A batch
larger than memory allows is met by accumulating the gradients of its pieces.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.config import Phase2Config
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.graphs import Graph
from cvfp_cli.core.head import Head
from cvfp_cli.core.metrics import perplexity
from cvfp_cli.core.model import ContextBlock, Stream, TokenBlock
from cvfp_cli.core.optimiser import Adam
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Advance, Epoch, Progress
from cvfp_cli.core.stopping import is_better, verdict

# A graph is captured after this many eager steps, and only for streams with this many batches an epoch: capturing
# costs about as much as twenty steps save.
STEPS_BEFORE_GRAPH = 3
GRAPH_FROM_BATCHES = 8

# Contexts (n, D), window types (n, K) and targets (n,) of a batch.
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Pieces:
    """Tokens at a time: through the blocks, and (of those) through the head's logits."""

    block: int
    logits: int


@dataclass
class PredictionTraining:
    """Phase 2 under way or done.

    Attributes:
        log: one entry an epoch.
        best_epoch: 1-based epoch whose figures are reported; None before any epoch was finite.
        best_weights: TokenBlock's and head's trained weights after it.
        best_losses, best_correct: cross-entropy and correctness of each validation target in it, (M − 1,).
        waited: epochs in a row that were not better.
        stopped_by: ``epochs``, ``patience`` or ``diverged``; empty while under way.
    """

    log: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_losses: NDArray[np.float64] | None = None
    best_correct: NDArray[np.bool_] | None = None
    waited: int = 0
    stopped_by: str = ""


class FrozenContexts:
    """u_1 … u_L of a stream, computed on demand from one context a token.

    Args:
        contexts: (N + 1, D); row t is c_{t−1}, the input context of token t.
    """

    def __init__(
        self, block: ContextBlock, stream: Stream, contexts: Contexts, arithmetic: Arithmetic
    ) -> None:
        self.block = block
        self.stream = stream
        self.contexts = contexts
        self.arithmetic = arithmetic
        with torch.no_grad(), arithmetic.products():
            self.tables = block.token_tables(stream.types)

    def batches(self, size: int) -> Iterator[Batch]:
        """The stream in order, ``size`` targets at a time: c_{t−1}, the windows' token types, and the next tokens."""
        targets = self.stream.ids[1:]
        pieces = ranges(0, len(targets), size)
        for contexts, (start, stop) in zip(self.contexts.pieces(pieces), pieces, strict=True):
            yield contexts, self.stream.window_types(slice(start, stop)), targets[start:stop]

    @torch.no_grad()
    def layers(self, contexts: Tensor, window_types: Tensor) -> list[Tensor]:
        """[u_1, …, u_L], each (n, d_i)."""
        parts = self.block.token_parts(self.tables, window_types)
        with self.arithmetic.products():
            return self.block.forward(contexts, parts)


class PredictionTrainer:
    """Trains TokenBlock and head, an epoch at a time; mini-batches in stream order."""

    def __init__(
        self,
        token_block: TokenBlock,
        head: Head,
        train: FrozenContexts,
        validation: FrozenContexts,
        config: Phase2Config,
        *,
        pieces: Pieces,
        arithmetic: Arithmetic,
    ) -> None:
        self.token_block = token_block
        self.head = head
        self.train = train
        self.validation = validation
        self.config = config
        self.pieces = pieces
        self.arithmetic = arithmetic
        self.parameters = [*token_block.parameters(), *head.parameters()]
        device = train.stream.ids.device
        self.graphed = (
            device.type == "cuda" and len(train.stream) // config.batch_tokens >= GRAPH_FROM_BATCHES
        )
        self.optimiser = Adam(self.parameters, config.learning_rate)
        self._graph: Graph | None = None
        self._steps = 0

    def epoch(self, state: PredictionTraining, progress: Progress) -> None:
        """One pass over the training stream, one validation, and the verdict on stopping."""
        began = time.perf_counter()
        number = len(state.log) + 1
        # The training loss is asked for last: until then the host prepares the validation while the device trains.
        summed = self._train(number, progress)
        losses, correct = self._validate()
        train_loss = float(summed) / (len(self.train.stream) - 1)
        val_loss = float(losses.mean())
        entry = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_ppl=perplexity(train_loss) or math.inf,
            val_loss=val_loss,
            val_ppl=perplexity(val_loss) or math.inf,
            val_accuracy=float(correct.mean()),
            seconds=time.perf_counter() - began,
        )
        self._judge(state, entry, losses, correct)
        state.log.append(entry)
        progress(entry)

    def snapshot(self, state: PredictionTraining) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "token_block": self.token_block.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "log": [vars(entry) for entry in state.log],
            "best_epoch": state.best_epoch,
            "best_weights": state.best_weights,
            "best_losses": None if state.best_losses is None else torch.from_numpy(state.best_losses),
            "best_correct": None if state.best_correct is None else torch.from_numpy(state.best_correct),
            "waited": state.waited,
            "stopped_by": state.stopped_by,
        }

    def restore(self, saved: dict[str, Any]) -> PredictionTraining:
        """The inverse of ``snapshot``."""
        self.token_block.load_state_dict(saved["token_block"])
        self.head.load_state_dict(saved["head"])
        self.optimiser.load_state_dict(saved["optimiser"])
        return PredictionTraining(
            log=[Epoch(**entry) for entry in saved["log"]],
            best_epoch=saved["best_epoch"],
            best_weights=saved["best_weights"],
            best_losses=None if saved["best_losses"] is None else saved["best_losses"].numpy(),
            best_correct=None if saved["best_correct"] is None else saved["best_correct"].numpy(),
            waited=saved["waited"],
            stopped_by=saved["stopped_by"],
        )

    def _train(self, number: int, progress: Progress) -> Tensor:
        """Train one epoch; the sum of all targets' losses, each batch's taken before its step, on the device."""
        device = self.train.stream.ids.device
        exact = torch.float32 if device.type == "mps" else torch.float64
        total = torch.zeros((), dtype=exact, device=device)
        targets = len(self.train.stream) - 1
        for inputs in self.train.batches(self.config.batch_tokens):
            count = len(inputs[0])
            total += self._step(inputs).to(exact) * count
            progress(Advance("phase2", number, self.config.epochs, count, targets))
        return total

    def _step(self, inputs: Batch) -> Tensor:
        """One optimiser step on a batch's contexts (n, D), window types (n, K) and targets (n,); its mean loss.

        On NVIDIA devices whole batches are replayed from a CUDA graph once a few have run: a step launches some
        hundred kernels, and the host would set the pace.
        """
        whole = len(inputs[0]) == self.config.batch_tokens
        if not (self.graphed and whole):
            return self._eager_step(inputs)
        if self._graph is None:
            if self._steps < STEPS_BEFORE_GRAPH:
                self._steps += 1
                return self._eager_step(inputs)
            self._graph = Graph(lambda *batch: self._eager_step(batch), *inputs)
        return self._graph(*inputs)

    def _eager_step(self, inputs: Batch) -> Tensor:
        contexts, window_types, targets = inputs
        self.optimiser.zero_grad()
        total = torch.zeros((), dtype=self.train.stream.types.dtype, device=targets.device)
        for start in range(0, len(targets), self.pieces.block):
            at = slice(start, start + self.pieces.block)
            v = self._token_outputs(self.train, contexts[at], window_types[at])
            with self.arithmetic.products():
                loss = self.head.loss(v, targets[at], len(targets), self.pieces.logits)
                torch.autograd.backward(loss)
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip, foreach=True)
        self.optimiser.step()
        return total

    @torch.no_grad()
    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Cross-entropy in nats and correctness of every validation target, (M − 1,) each."""
        losses, correct = [], []
        for contexts, window_types, targets in self.validation.batches(self.pieces.block):
            v = self._token_outputs(self.validation, contexts, window_types)
            with self.arithmetic.products():
                loss, right = self.head.score(v, targets, self.pieces.logits)
            losses.append(loss)
            correct.append(right)
        return torch.cat(losses).cpu().double().numpy(), torch.cat(correct).cpu().numpy()

    def _token_outputs(self, frozen: FrozenContexts, contexts: Tensor, window_types: Tensor) -> Tensor:
        """v_L of a piece, (n, E)."""
        layers = frozen.layers(contexts, window_types)
        with self.arithmetic.products():
            return self.token_block.forward(layers, frozen.stream.embed(window_types))

    def _judge(
        self, state: PredictionTraining, entry: Epoch, losses: NDArray[np.float64], correct: NDArray[np.bool_]
    ) -> None:
        """Keep the best epoch; stop after ``patience`` epochs that were not better, or on a loss that is not finite.

        A phase that ends with a best loss far above a uniform guess's has diverged, however it was stopped.
        """
        if not (math.isfinite(entry.train_loss) and math.isfinite(entry.val_loss)):
            state.stopped_by = "diverged"
            return
        best = None if state.best_epoch is None else state.log[state.best_epoch - 1]
        if best is None or is_better(self.config, entry, best):
            state.best_epoch, best = entry.epoch, entry
            state.best_losses, state.best_correct = losses, correct
            state.waited = 0
            modules = {"token": self.token_block, "head": self.head}
            state.best_weights = {
                f"{name}.{key}": value.detach().clone()
                for name, module in modules.items()
                for key, value in module.state_dict().items()
            }
        else:
            state.waited += 1
        state.stopped_by = verdict(
            self.config,
            epoch=entry.epoch,
            waited=state.waited,
            best=best.val_loss,
            vocab_size=len(self.head.weight),
        )
