"""Both blocks trained together by cross-entropy, through the recurrence (method.md, "End to end").

The stream is cut into pieces that are read side by side, a chunk of each in one step. Gradients flow back through a
chunk (truncated back-propagation), and each piece's context is carried on from chunk to chunk.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.config import EndToEndConfig
from cvfp_cli.core.contexts import Contexts
from cvfp_cli.core.head import Head
from cvfp_cli.core.model import Recurrent, Stream, TokenBlock, TokenMlp
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import Factors, FrozenContexts, Pieces, PredictionTrainer
from cvfp_cli.core.recurrence import RecurrenceTrace, true_contexts
from cvfp_cli.core.result import Advance, Progress
from cvfp_cli.core.shapes import dropout_widths
from cvfp_cli.core.stopping import Training

STAGE = "training"


def with_start(contexts: Tensor) -> Contexts:
    """c_{t−1} in row t: zeros before c_0 … c_{N−1}, (N, D) -> (N + 1, D)."""
    return Contexts.of(torch.cat([contexts.new_zeros(1, contexts.shape[1]), contexts]))


class EndToEndTrainer(PredictionTrainer):
    """Trains ContextBlocks, TokenBlock and head together, an epoch at a time.

    Args:
        embedding: the raw table (V, E) that both blocks read, where it is trained; a tied head shares it.
    """

    def __init__(
        self,
        model: Recurrent,
        token_block: TokenBlock | TokenMlp,
        head: Head,
        train: Stream,
        validation: Stream,
        config: EndToEndConfig,
        *,
        pieces: Pieces,
        arithmetic: Arithmetic,
        embedding: nn.Parameter | None = None,
    ) -> None:
        self.model = model
        self.joint = config.joint
        self.streams = (train, validation)
        phase2 = config.as_phases.phase2
        # No context is frozen here: these are made anew for every validation.
        unset, unset_val = [
            FrozenContexts(model, s, with_start(s.types.new_zeros(0, model.width)), arithmetic, phase2)
            for s in self.streams
        ]
        super().__init__(
            token_block, head, unset, unset_val, phase2, pieces=pieces, arithmetic=arithmetic, embedding=embedding,
            seed=config.seed, stage=STAGE,
            dropout=dropout_widths(config.model, phase2, train.types.shape[1]),
        )  # fmt: skip
        own = [*model.parameters(), *self.optimisers[0].parameters]
        self.optimisers[0] = self._adam(own)
        self.parameters = [*model.parameters(), *self.parameters]
        targets = len(train) - 1
        self.length = -(-targets // self.joint.streams)  # targets of a piece
        self.first = torch.arange(-(-targets // self.length), device=train.ids.device) * self.length
        self.last_length = (
            targets - (len(self.first) - 1) * self.length
        )  # of the last piece, which may be shorter
        # The context each piece starts from: what the piece before it ended an epoch with, zeros before any.
        self.starts = train.types.new_zeros(len(self.first), model.width)

    def snapshot(self, state: Training) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {**super().snapshot(state), "model": self.model.state_dict(), "starts": self.starts}

    def restore(self, saved: dict[str, Any]) -> Training:
        """The inverse of ``snapshot``."""
        self.model.load_state_dict(saved["model"])
        self.starts.copy_(saved["starts"])
        return super().restore(saved)

    def contexts(self, stream: Stream) -> tuple[FrozenContexts, RecurrenceTrace]:
        """The true recurrence of a stream with the weights of now."""
        if self.embedding is not None:
            stream = Stream(stream.ids, self.embedding.detach(), self.model.tokens)
        contexts, trace = true_contexts(self.model, stream)
        return FrozenContexts(self.model, stream, with_start(contexts), self.arithmetic, self.config), trace

    def _modules(self) -> dict[str, nn.Module]:
        return {"context": self.model, **super()._modules()}

    def _train(self, number: int, progress: Progress) -> Tensor:
        train = self.streams[0]
        targets = len(train) - 1
        device = train.ids.device
        exact = torch.float32 if device.type == "mps" else torch.float64
        total = torch.zeros((), dtype=exact, device=device)
        state = self.starts
        rows = len(self.first)
        for start in range(0, self.length, self.joint.chunk_tokens):
            size = min(self.joint.chunk_tokens, self.length - start)
            at = (self.first + start)[None, :] + torch.arange(size, device=device)[:, None]  # (T, S)
            count = size * (rows - 1) + min(max(self.last_length - start, 0), size)
            factors = self._prepared(size * rows, (number, start * rows))
            whole = size == self.joint.chunk_tokens and count == size * rows
            loss, state = self._replayed(self._chunk_step, (state, at), factors, whole)
            total += loss.to(exact) * count
            progress(Advance(self.stage, number, self.config.epochs, count, targets))
        self.starts = torch.cat([torch.zeros_like(state[:1]), state[:-1]])
        return total

    def _chunk_step(self, inputs: tuple[Tensor, Tensor], factors: Factors) -> tuple[Tensor, Tensor]:
        """One optimiser step on a chunk of every piece: its mean loss, and the contexts after it (S, D).

        Args:
            inputs: contexts before the chunk (S, D), and the tokens of each step (T, S).
        """
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss, state = self._chunk_loss(*inputs, factors)
        with self.arithmetic.products():
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip, foreach=True)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.detach(), state

    def _chunk_loss(self, state: Tensor, at: Tensor, factors: Factors) -> tuple[Tensor, Tensor]:
        """One chunk of every piece: its mean loss, and the contexts after it (S, D).

        Args:
            state: contexts before the chunk, (S, D).
            at: the tokens of each step, (T, S); beyond the last target there is nothing to predict.
        """
        train = self.streams[0]
        steps, rows = at.shape
        # The last piece may be shorter: its rows run on over the last token, and count for nothing.
        where = at.flatten().clamp_max(len(train) - 2)
        with self.arithmetic.products():
            windows = train.embed(train.window_types(where), self.embedding)
            parts = [part.split(rows) for part in self.model.window_parts(windows)]
            read: list[list[Tensor]] = []
            for step in range(steps):
                before = state
                layers = self.model.forward(before, [part[step] for part in parts])
                state = layers[-1]
                if self.config.context == "before":
                    layers = [before, *layers[1:]]
                read.append(layers)
            contexts = [torch.cat(layer) for layer in zip(*read, strict=True)]
            if self.config.context == "zero":
                contexts = [torch.zeros_like(layer) for layer in contexts]
            v = self._dropped_out(contexts, windows, factors)
        targets = train.ids[where + 1]
        if not (
            v.is_cuda and torch.cuda.is_current_stream_capturing()
        ):  # a graph is made of whole chunks alone
            inside = at.flatten() < len(train) - 1
            v, targets = v[inside], targets[inside]
        with self.arithmetic.products():
            loss = self.head.loss(v, targets, len(targets), self.pieces.logits)
        return loss, state.detach()

    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        self.validation, _ = self.contexts(self.streams[1])
        return super()._validate()


def load_weights(
    weights: Mapping[str, Tensor], model: nn.Module, token_block: nn.Module, head: nn.Module
) -> list[str]:
    """Start from the weights of a finished run; returns what does not fit, a clause each, before changing anything.

    Args:
        weights: ``context.*``, ``token.*`` and ``head.*``, as a run saves them.
    """
    parts = {"context": model, "token": token_block, "head": head}
    wanted = {
        f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()
    }
    problems = [f"{key} is missing" for key in wanted if key not in weights]
    problems += [
        f"{key} has shape {tuple(weights[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if not problems:
        for name, part in parts.items():
            own = {key: weights[f"{name}.{key}"] for key in part.state_dict()}
            part.load_state_dict(own)
    return problems
