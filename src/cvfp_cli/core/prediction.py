"""Phase 2: next-token training of the TokenBlock over a frozen ContextBlock (method.md, "Phase 2").

One context vector a token is kept, not L of them: the frozen layers are applied again, batch by batch. A batch
larger than memory allows is met by accumulating the gradients of its pieces.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.config import Phase2Config
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.draws import dropout_factors, seeded
from cvfp_cli.core.graphs import Graph
from cvfp_cli.core.head import Head
from cvfp_cli.core.metrics import perplexity
from cvfp_cli.core.model import Recurrent, Stream, TokenBlock, TokenMlp
from cvfp_cli.core.optimiser import Adam, rate_share
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Advance, Epoch, Progress
from cvfp_cli.core.stopping import Training

# A graph is captured after this many eager steps, and only for streams with this many batches an epoch: capturing
# costs about as much as twenty steps save.
STEPS_BEFORE_GRAPH = 3
GRAPH_FROM_BATCHES = 8

# Contexts (n, D), window types (n, K) and targets (n,) of a batch.
Batch = tuple[Tensor, Tensor, Tensor]
# Epoch, and place of a batch's first target in it.
Place = tuple[int, int]
Output = TypeVar("Output")
# Factors of dropout for a batch, by what they are for: (n, its width) each.
Factors = dict[str, Tensor]


@dataclass(frozen=True)
class Pieces:
    """Tokens at a time: through the blocks, and (of those) through the head's logits."""

    block: int
    logits: int


class FrozenContexts:
    """What the TokenBlock reads of contexts, computed on demand from one context a token: u_1 … u_L and their like.

    Args:
        contexts: (N + 1, D); row t is c_{t−1}, the input context of token t.
        config: which contexts are read.
        piece_tokens: tokens at a time where all outputs are computed in advance.
    """

    def __init__(
        self,
        block: Recurrent,
        stream: Stream,
        contexts: Contexts,
        arithmetic: Arithmetic,
        config: Phase2Config = Phase2Config(),  # noqa: B008  frozen
        piece_tokens: int = 1024,
    ) -> None:
        self.block = block
        self.stream = stream
        self.contexts = contexts
        self.arithmetic = arithmetic
        self.config = config
        with torch.no_grad(), arithmetic.products():
            self.tables = block.token_tables(stream.types)
        # What earlier contexts are taken from, row r being the one after token r − 1.
        self._past = contexts
        if config.past_count and config.context == "after":
            self._past = self._outputs(piece_tokens)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """The stream, ``size`` targets at a time: contexts, the windows' token types, and the next tokens.

        Contexts are c_{t−1} and behind it the earlier ones that are read, (n, (1 + p)·D).

        Args:
            order: the tokens to take, in this order; None for all in the stream's.
        """
        if order is not None:
            yield from map(self._taken, torch.split(order, size))
            return
        targets = self.stream.ids[1:]
        pieces = ranges(0, len(targets), size)
        for contexts, (start, stop) in zip(self.contexts.pieces(pieces), pieces, strict=True):
            past = [
                self._earlier(start, stop, j * self.config.past_interval)
                for j in range(1, self.config.past_count + 1)
            ]
            read = torch.cat([contexts, *past], dim=1) if past else contexts
            yield read, self.stream.window_types(slice(start, stop)), targets[start:stop]

    def _taken(self, at: Tensor) -> Batch:
        """The batch of tokens ``at``, (n,)."""
        after, interval = int(self.config.context != "before"), self.config.past_interval
        # Row 0 is zeros, as is all before the stream.
        past = [
            self._past.take((at + after - j * interval).clamp_min(0))
            for j in range(1, self.config.past_count + 1)
        ]
        contexts = torch.cat([self.contexts.take(at), *past], dim=1)
        return contexts, self.stream.window_types(at), self.stream.ids[at + 1]

    @torch.no_grad()
    def layers(self, contexts: Tensor, window_types: Tensor) -> list[Tensor]:
        """What layers 1 … L of the TokenBlock read, each (n, d_i): [u_1, …, u_L] where nothing else is asked for."""
        width, kind = self.contexts.width, self.config.context
        past = contexts[:, width:]
        if kind == "before" and self.block.depth == 1:
            return [contexts]  # c_{t−1} and the earlier ones, as they are
        parts = self.block.token_parts(self.tables, window_types)
        with self.arithmetic.products():
            read = self.block.forward(contexts[:, :width], parts)
        if kind == "before":
            read[0] = contexts[:, :width]
        if past.shape[1]:
            read[0] = torch.cat([read[0], past.to(read[0].dtype)], dim=1)
        return [torch.zeros_like(u) for u in read] if kind == "zero" else read

    def _earlier(self, start: int, stop: int, distance: int) -> Tensor:
        """The contexts ``distance`` tokens before those of tokens ``start`` … ``stop`` − 1, zeros before the stream:
        (n, D)."""
        after = int(self.config.context != "before")
        low, high = start + after - distance, stop + after - distance
        known = self._past.read(max(low, 0), max(high, 0))
        return nn.functional.pad(known, (0, 0, stop - start - len(known), 0))

    @torch.no_grad()
    def _outputs(self, piece_tokens: int) -> Contexts:
        """u_L of every token, in row t + 1, and zeros in row 0: (N + 1, D)."""
        tokens = len(self.stream)
        outputs = Contexts(tokens + 1, self.stream.types.new_empty(0, self.contexts.width))
        pieces = ranges(0, tokens, piece_tokens)
        for contexts, (start, stop) in zip(self.contexts.pieces(pieces), pieces, strict=True):
            parts = self.block.token_parts(self.tables, self.stream.window_types(slice(start, stop)))
            with self.arithmetic.products():
                outputs.write(start + 1, self.block.forward(contexts, parts)[-1])
        return outputs


@torch.no_grad()
def scores(
    token_block: TokenBlock | TokenMlp,
    head: Head,
    frozen: FrozenContexts,
    pieces: Pieces,
    embedding: Tensor | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cross-entropy in nats and correctness of every target of a stream, (M − 1,) each.

    Args:
        embedding: raw table (V, E) of the TokenBlock's windows, where it is another than the stream's.
    """
    losses, correct = [], []
    for contexts, window_types, targets in frozen.batches(pieces.block):
        layers = frozen.layers(contexts, window_types)
        with frozen.arithmetic.products():
            v = token_block.forward(layers, frozen.stream.embed(window_types, embedding))
            loss, right = head.score(v, targets, pieces.logits)
        losses.append(loss)
        correct.append(right)
    return torch.cat(losses).cpu().double().numpy(), torch.cat(correct).cpu().numpy()


class PredictionTrainer:
    """Trains TokenBlock and head, an epoch at a time; mini-batches in stream order, or in a random one.

    Args:
        embedding: raw table (V, E) of the TokenBlock's windows, where it is trained; a tied head shares it.
        seed: of dropout and of random order.
        dropout: widths of what a training step leaves a share out of, by ``shapes.dropout_widths``.
        stage: its name in events.
    """

    def __init__(
        self,
        token_block: TokenBlock | TokenMlp,
        head: Head,
        train: FrozenContexts,
        validation: FrozenContexts,
        config: Phase2Config,
        *,
        pieces: Pieces,
        arithmetic: Arithmetic,
        embedding: nn.Parameter | None = None,
        seed: int = 0,
        dropout: dict[str, int] | None = None,
        stage: str = "phase2",
    ) -> None:
        self.stage = stage
        self.dropout = dropout or {}
        self.token_block = token_block
        self.head = head
        self.train = train
        self.validation = validation
        self.config = config
        self.pieces = pieces
        self.arithmetic = arithmetic
        self.embedding = embedding
        self.seed = seed
        own: list[Tensor] = [*token_block.parameters(), *(p for p in head.parameters() if p is not embedding)]
        self.parameters = own if embedding is None else [*own, embedding]
        device = train.stream.ids.device
        self.graphed = (
            device.type == "cuda" and len(train.stream) // config.batch_tokens >= GRAPH_FROM_BATCHES
        )
        self.rates = [config.learning_rate, config.embedding_learning_rate or config.learning_rate]
        self.optimisers = [self._adam(own)]
        if embedding is not None:
            self.optimisers.append(self._adam([embedding], of_table=True))
        self._graph: Graph | None = None
        self._steps = 0

    def _adam(self, parameters: list[Tensor], *, of_table: bool = False) -> Adam:
        rate: float | Tensor = self.rates[of_table]
        if self.config.schedule != "constant":  # it is set before each step
            rate = torch.tensor(rate, device=parameters[0].device)
        return Adam(parameters, rate, self.config.weight_decay)

    def _set_rates(self, place: Place) -> None:
        """Learning rates of a step, by where it stands."""
        epoch, at = place
        done = (epoch - 1 + at / (len(self.train.stream) - 1)) / self.config.epochs
        for optimiser, rate in zip(self.optimisers, self.rates, strict=False):
            if isinstance(optimiser.learning_rate, Tensor):
                optimiser.learning_rate.fill_(rate * rate_share(self.config.schedule, done))

    def epoch(self, state: Training, progress: Progress) -> None:
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
            stage=self.stage,
        )
        self._judge(state, entry, losses, correct)
        state.log.append(entry)
        progress(entry)

    def snapshot(self, state: Training) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "token_block": self.token_block.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": self.optimisers[0].state_dict(),
            **self._embedding_state(),
            **state.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> Training:
        """The inverse of ``snapshot``."""
        self.token_block.load_state_dict(saved["token_block"])
        self.head.load_state_dict(saved["head"])
        self.optimisers[0].load_state_dict(saved["optimiser"])
        if self.embedding is not None:
            with torch.no_grad():
                self.embedding.copy_(saved["embedding"])
            self.optimisers[1].load_state_dict(saved["embedding_optimiser"])
        return Training.restored(saved)

    def _modules(self) -> dict[str, nn.Module]:
        """What is trained, by the name that its weights are kept under."""
        return {"token": self.token_block, "head": self.head}

    def _embedding_state(self) -> dict[str, Any]:
        if self.embedding is None:
            return {}
        return {
            "embedding": self.embedding.detach(),
            "embedding_optimiser": self.optimisers[1].state_dict(),
        }

    def _train(self, number: int, progress: Progress) -> Tensor:
        """Train one epoch; the sum of all targets' losses, each batch's taken before its step, on the device."""
        device = self.train.stream.ids.device
        exact = torch.float32 if device.type == "mps" else torch.float64
        total = torch.zeros((), dtype=exact, device=device)
        targets = len(self.train.stream) - 1
        at = 0
        order = None
        if self.config.shuffle:
            drawn = torch.randperm(targets, generator=seeded(torch.device("cpu"), self.seed, "order", number))
            order = drawn.to(device)
        for inputs in self.train.batches(self.config.batch_tokens, order):
            count = len(inputs[0])
            total += self._step(inputs, (number, at)).to(exact) * count
            at += count
            progress(Advance(self.stage, number, self.config.epochs, count, targets))
        return total

    def _step(self, inputs: Batch, place: Place) -> Tensor:
        """One optimiser step on a batch's contexts (n, D), window types (n, K) and targets (n,); its mean loss."""
        factors = self._prepared(len(inputs[0]), place)
        return self._replayed(self._eager_step, inputs, factors, len(inputs[0]) == self.config.batch_tokens)

    def _replayed(
        self,
        step: Callable[[Any, Factors], Output],
        inputs: tuple[Tensor, ...],
        factors: Factors,
        whole: bool,
    ) -> Output:
        """``step(inputs, factors)``, on NVIDIA devices from a CUDA graph once a few whole batches have run: a step
        launches some hundred kernels, and the host would set the pace. The next call writes over what it returns.
        """
        if not (self.graphed and whole):
            return step(inputs, factors)
        if self._graph is None:
            if self._steps < STEPS_BEFORE_GRAPH:
                self._steps += 1
                return step(inputs, factors)
            count = len(inputs)
            self._graph = Graph(
                lambda *given: step(given[:count], dict(zip(factors, given[count:], strict=True))),
                *inputs,
                *factors.values(),
            )
        replayed: Output = self._graph(*inputs, *factors.values())
        return replayed

    def _prepared(self, rows: int, place: Place) -> Factors:
        """What a step's place decides: learning rates, and what dropout leaves out."""
        self._set_rates(place)
        return self._factors(rows, place)

    def _factors(self, rows: int, place: Place) -> Factors:
        """What dropout multiplies a batch with; it depends on (seed, epoch, place) alone."""
        like = self.train.stream.types
        return {
            name: dropout_factors(
                (self.seed, "dropout", name, *place),
                like.new_empty(rows, width),
                self.config.dropout[name.partition("-")[0]],
            )
            for name, width in self.dropout.items()
        }

    def _eager_step(self, inputs: Batch, factors: Factors) -> Tensor:
        contexts, window_types, targets = inputs
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        total = torch.zeros((), dtype=self.train.stream.types.dtype, device=targets.device)
        for start in range(0, len(targets), self.pieces.block):
            at = slice(start, start + self.pieces.block)
            here = {name: rows[at] for name, rows in factors.items()}
            v = self._token_outputs(self.train, contexts[at], window_types[at], here)
            with self.arithmetic.products():
                loss = self.head.loss(v, targets[at], len(targets), self.pieces.logits)
                torch.autograd.backward(loss)
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip, foreach=True)
        for optimiser in self.optimisers:
            optimiser.step()
        return total

    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """``scores`` of the validation stream."""
        return scores(self.token_block, self.head, self.validation, self.pieces, self.embedding)

    def _token_outputs(
        self, frozen: FrozenContexts, contexts: Tensor, window_types: Tensor, factors: Factors
    ) -> Tensor:
        """v_L of a piece, (n, E).

        Args:
            factors: of dropout in a training step; none where nothing is left out.
        """
        layers = frozen.layers(contexts, window_types)
        with self.arithmetic.products():
            window = frozen.stream.embed(window_types, self.embedding)
            return self._dropped_out(layers, window, factors)

    def _dropped_out(self, layers: list[Tensor], window: Tensor, factors: Factors) -> Tensor:
        """v_L (n, E) from contexts and windows, with dropout in a training step."""

        def drop(rows: Tensor, part: str) -> Tensor:
            return rows * factors[part] if part in factors else rows

        return drop(self.token_block.forward(layers, window, drop), "head")

    def _judge(
        self, state: Training, entry: Epoch, losses: NDArray[np.float64], correct: NDArray[np.bool_]
    ) -> None:
        """See ``Training.judge``."""
        state.judge(
            self.config,
            entry,
            losses,
            correct,
            self._weights,
            vocab_size=len(self.head.weight),
            min_gain=self.config.min_gain,
        )

    def _weights(self) -> dict[str, Tensor]:
        """Copies of all that learns."""
        weights = {
            f"{name}.{key}": value.detach().clone()
            for name, module in self._modules().items()
            for key, value in module.state_dict().items()
        }
        if self.embedding is not None:
            weights["embedding.weight"] = self.embedding.detach().clone()
        return weights
