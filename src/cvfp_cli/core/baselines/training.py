"""Next-token training of a network over the stream, epoch by epoch, as phase 2 is judged."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.baselines.config import BaselineConfig, SequenceConfig
from cvfp_cli.core.baselines.network import BodyMaker, Network
from cvfp_cli.core.baselines.sizes import logit_tokens
from cvfp_cli.core.baselines.streams import overlapping, side_by_side
from cvfp_cli.core.config import Execution
from cvfp_cli.core.device import peak_memory
from cvfp_cli.core.draws import seed_of
from cvfp_cli.core.experiment import Checkpoint, Outcome
from cvfp_cli.core.figures import check_data, run_result, trained, what_diverged
from cvfp_cli.core.head import seen_types
from cvfp_cli.core.metrics import perplexity, unigram_log_probabilities
from cvfp_cli.core.optimiser import Adam, rate_share
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Advance, ExperimentData, Progress, StageResult, TrainEpoch
from cvfp_cli.core.stopping import Training
from cvfp_cli.errors import WorkError

STAGE = TrainEpoch.stage
# Tokens that a carried state is validated with at once: no figure depends on it.
VALIDATED_AT_ONCE = 1024


def train_network(
    config: BaselineConfig,
    make_body: BodyMaker,
    data: ExperimentData,
    execution: Execution,
    progress: Progress = lambda event: None,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Train a network and measure its best epoch. The same arguments on the same machine give the same figures.

    Args:
        make_body: draws the layers from torch's generator, whose seed is the configuration's.

    Raises:
        InputError: the arrays do not fit together.
        WorkError: the device has too little memory.
    """
    check_data(data)
    try:
        return _Trainer(config, make_body, data, execution, progress, checkpoint).outcome()
    except (torch.OutOfMemoryError, MemoryError):
        raise WorkError(
            f"{execution.device} ran out of memory.",
            hint="Use fewer streams side by side, a smaller window or width, or --device cpu.",
        ) from None


@torch.no_grad()
def scores(
    network: Network, ids: Tensor, config: SequenceConfig, logit_tokens: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cross-entropy in nats and correctness of every target of a stream (M,): (M − 1,) each.

    Args:
        logit_tokens: logits exist for at most this many tokens at a time.
    """
    network.eval()
    if network.carries:
        windows = side_by_side(ids, 1, VALIDATED_AT_ONCE, VALIDATED_AT_ONCE)
    else:
        windows = overlapping(ids, config.window, config.streams)
    losses, correct = [], []
    carried: Any = None
    for window in windows:
        v, after = network(window.inputs, carried)
        carried = after if network.carries else None
        with network.arithmetic.products():
            loss, right = network.head.score(v[window.counted], window.targets[window.counted], logit_tokens)
        losses.append(loss)
        correct.append(right)
    return torch.cat(losses).cpu().double().numpy(), torch.cat(correct).cpu().numpy()


class _Trainer:
    """One network, its optimiser and its streams on their device."""

    def __init__(
        self,
        config: BaselineConfig,
        make_body: BodyMaker,
        data: ExperimentData,
        execution: Execution,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.config: SequenceConfig = config.settings
        self.seed = config.seed
        self.data = data
        self.execution = execution
        self.progress = progress
        self.checkpoint = checkpoint
        device = self.device = torch.device(execution.device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.train_ids = torch.tensor(data.train_ids, device=device)
        self.val_ids = torch.tensor(data.val_ids, device=device)
        # A copy: cached arrays are read-only, which torch.from_numpy would warn about.
        table = torch.tensor(data.table, device=device)
        self.unigram = unigram_log_probabilities(data.train_ids, len(data.table))
        with self._random("network"):
            self.network = Network(
                self.config,
                make_body,
                table,
                torch.from_numpy(self.unigram).float(),
                Arithmetic(device.type, execution.precision),
                seen_types(data.train_ids, len(data.table)),
            )
        self.parameters = list(self.network.parameters())
        self.optimiser = Adam(self.parameters, self.config.learning_rate)
        self.logit_tokens = logit_tokens(self.config, execution, len(data.table))

    def outcome(self) -> Outcome:
        """Train to the end."""
        saved = self.checkpoint.load() if self.checkpoint else None
        state = self._restored(saved) if saved else Training()
        began, earlier = time.perf_counter(), saved["seconds"] if saved else 0.0
        while not state.stopped_by:
            self._epoch(state)
            if self.checkpoint:
                self.checkpoint.save(self._snapshot(state, earlier + time.perf_counter() - began))
        seconds = earlier + time.perf_counter() - began
        result = run_result(
            self.data,
            self.unigram,
            **trained(state, what_diverged(state, "", len(self.data.table))),
            stages=(StageResult(STAGE, len(state.log), seconds),),
            peak_memory_bytes=peak_memory(self.execution.device),
            execution_path={
                "device": self.execution.device,
                "threads": torch.get_num_threads(),
                "precision": self.execution.precision,
                "state_dtype": "float32",
                "kernels": "triton" if self.network.head.fused else "torch",
                "pieces": {"logit_tokens": self.logit_tokens},
            },
        )
        return Outcome(result, state.best_weights)

    def _epoch(self, state: Training) -> None:
        """One pass over the training stream, one validation, and the verdict on stopping."""
        began = time.perf_counter()
        number = len(state.log) + 1
        with self._random("epoch", number):
            train_loss = self._train(number)
        losses, correct = self._validate()
        val_loss = float(losses.mean())
        entry = TrainEpoch(
            epoch=number,
            train_loss=train_loss,
            train_ppl=perplexity(train_loss) or math.inf,
            val_loss=val_loss,
            val_ppl=perplexity(val_loss) or math.inf,
            val_accuracy=float(correct.mean()),
            seconds=time.perf_counter() - began,
        )
        state.judge(self.config, entry, losses, correct, self._weights, vocab_size=len(self.data.table))
        state.log.append(entry)
        self.progress(entry)

    def _train(self, number: int) -> float:
        """Train one epoch; the mean of all targets' losses, each window's taken before its step."""
        self.network.train()
        config, targets = self.config, len(self.train_ids) - 1
        # Where windows begin differs from epoch to epoch, so that no token is always the first of its window.
        first = int(torch.randint(1, config.window + 1, ()))
        sums: list[Tensor] = []
        carried: Any = None
        done = 0
        for window in side_by_side(self.train_ids, config.streams, config.window, first):
            share = rate_share(config.schedule, (number - 1 + done / targets) / config.epochs)
            self.optimiser.learning_rate = config.learning_rate * share
            v, carried = self.network(window.inputs, carried if self.network.carries else None)
            wanted = window.targets[window.counted]
            with self.network.arithmetic.products():
                loss = self.network.head.loss(v[window.counted], wanted, len(wanted), self.logit_tokens)
            self._step(loss)
            done += len(wanted)
            sums.append(loss.detach() * len(wanted))
            self.progress(Advance(STAGE, number, config.epochs, len(wanted), targets))
        return float(torch.stack(sums).cpu().double().sum()) / targets

    def _step(self, loss: Tensor) -> None:
        """AdamW (Loshchilov and Hutter 2019): matrices shrink by learning rate · weight decay, then Adam's step."""
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip, foreach=True)
        if self.config.weight_decay:
            with torch.no_grad():
                for parameter in self.parameters:
                    if parameter.dim() > 1:
                        parameter.mul_(1 - self.optimiser.learning_rate * self.config.weight_decay)
        self.optimiser.step()

    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """``scores`` of the validation stream."""
        return scores(self.network, self.val_ids, self.config, self.logit_tokens)

    def _weights(self) -> dict[str, Tensor]:
        """Copies of all that learns."""
        return {key: value.detach().clone() for key, value in self.network.state_dict().items()}

    def _random(self, *key: int | str) -> AbstractContextManager[None]:
        return _seeded(self.device, seed_of(self.seed, "baseline", *key))

    def _snapshot(self, state: Training, seconds: float) -> dict[str, Any]:
        """Everything that the next epoch depends on, and the wall time so far."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            **state.snapshot(),
            "seconds": seconds,
        }

    def _restored(self, saved: dict[str, Any]) -> Training:
        """The training of a ``_snapshot``, with the network and the optimiser as they were."""
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        return Training.restored(saved, TrainEpoch)


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Within it torch's generators of the CPU and of the device start from a seed; afterwards they are as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
