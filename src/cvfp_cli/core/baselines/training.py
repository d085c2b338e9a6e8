"""Next-token training of a network over the stream, epoch by epoch, as phase 2 is judged."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.baselines.config import BaselineConfig, SequenceConfig
from cvfp_cli.core.baselines.figures import check_data, result_of
from cvfp_cli.core.baselines.network import BodyMaker, Network
from cvfp_cli.core.baselines.sizes import logit_tokens
from cvfp_cli.core.baselines.streams import overlapping, side_by_side
from cvfp_cli.core.config import Execution
from cvfp_cli.core.device import peak_memory
from cvfp_cli.core.draws import seed_of
from cvfp_cli.core.experiment import Checkpoint, Outcome
from cvfp_cli.core.metrics import perplexity, unigram_log_probabilities
from cvfp_cli.core.optimiser import Adam
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Advance, ExperimentData, Progress, StageResult, TrainEpoch
from cvfp_cli.core.stopping import DIVERGED_ABOVE_UNIFORM, is_better, verdict
from cvfp_cli.errors import WorkError

STAGE = TrainEpoch.stage
# Tokens that a carried state is validated with at once: no figure depends on it.
VALIDATED_AT_ONCE = 1024


@dataclass
class Training:
    """A training under way or done.

    Attributes:
        log: one entry an epoch.
        best: the epoch whose figures are reported; None before any was finite.
        best_weights: all that learns, after it.
        best_losses, best_correct: cross-entropy and correctness of each validation target in it, (M − 1,).
        waited: epochs in a row that were not better.
        stopped_by: ``epochs``, ``patience`` or ``diverged``; empty while under way.
        seconds: wall time so far.
    """

    log: list[TrainEpoch] = field(default_factory=list)
    best: TrainEpoch | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_losses: NDArray[np.float64] | None = None
    best_correct: NDArray[np.bool_] | None = None
    waited: int = 0
    stopped_by: str = ""
    seconds: float = 0.0


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
        unigram = unigram_log_probabilities(data.train_ids, len(data.table))
        with self._random("network"):
            self.network = Network(
                self.config,
                make_body,
                table,
                torch.from_numpy(unigram).float(),
                Arithmetic(device.type, execution.precision),
            )
        self.parameters = list(self.network.parameters())
        self.optimiser = Adam(self.parameters, self.config.learning_rate)
        self.logit_tokens = logit_tokens(self.config, execution, len(data.table))

    def outcome(self) -> Outcome:
        """Train to the end."""
        saved = self.checkpoint.load() if self.checkpoint else None
        state = self._restored(saved) if saved else Training()
        began, earlier = time.perf_counter(), state.seconds
        while not state.stopped_by:
            self._epoch(state)
            state.seconds = earlier + time.perf_counter() - began
            if self.checkpoint:
                self.checkpoint.save(self._snapshot(state))
        diverged = state.stopped_by == "diverged"
        result = result_of(
            self.data,
            losses=None if diverged else state.best_losses,
            correct=None if diverged else state.best_correct,
            stage=StageResult(STAGE, len(state.log), state.seconds),
            peak_memory_bytes=peak_memory(self.execution.device),
            execution_path={
                "device": self.execution.device,
                "threads": torch.get_num_threads(),
                "precision": self.execution.precision,
                "state_dtype": "float32",
                "kernels": "triton" if self.network.head.fused else "torch",
                "pieces": {"logit_tokens": self.logit_tokens},
            },
            log=tuple(state.log),
            best=None if diverged else state.best,
            stopped_by=state.stopped_by,
            reason=self._what_diverged(state) if diverged else "",
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
        self._judge(state, entry, losses, correct)
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
        for window in side_by_side(self.train_ids, config.streams, config.window, first):
            v, carried = self.network(window.inputs, carried if self.network.carries else None)
            wanted = window.targets[window.counted]
            with self.network.arithmetic.products():
                loss = self.network.head.loss(v[window.counted], wanted, len(wanted), self.logit_tokens)
            self._step(loss)
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
                        parameter.mul_(1 - self.config.learning_rate * self.config.weight_decay)
        self.optimiser.step()

    @torch.no_grad()
    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Cross-entropy in nats and correctness of every validation target, (M − 1,) each."""
        self.network.eval()
        if self.network.carries:
            windows = side_by_side(self.val_ids, 1, VALIDATED_AT_ONCE, VALIDATED_AT_ONCE)
        else:
            windows = overlapping(self.val_ids, self.config.window, self.config.streams)
        losses, correct = [], []
        carried: Any = None
        for window in windows:
            v, after = self.network(window.inputs, carried)
            carried = after if self.network.carries else None
            with self.network.arithmetic.products():
                loss, right = self.network.head.score(
                    v[window.counted], window.targets[window.counted], self.logit_tokens
                )
            losses.append(loss)
            correct.append(right)
        return torch.cat(losses).cpu().double().numpy(), torch.cat(correct).cpu().numpy()

    def _judge(
        self, state: Training, entry: TrainEpoch, losses: NDArray[np.float64], correct: NDArray[np.bool_]
    ) -> None:
        """Keep the best epoch; stop by the rule, or on a loss that is not finite."""
        if not (math.isfinite(entry.train_loss) and math.isfinite(entry.val_loss)):
            state.stopped_by = "diverged"
            return
        if state.best is None or is_better(self.config, entry, state.best):
            state.best, state.waited = entry, 0
            state.best_losses, state.best_correct = losses, correct
            state.best_weights = {
                key: value.detach().clone() for key, value in self.network.state_dict().items()
            }
        else:
            state.waited += 1
        state.stopped_by = verdict(
            self.config,
            epoch=entry.epoch,
            waited=state.waited,
            best=state.best.val_loss,
            vocab_size=len(self.data.table),
        )

    def _what_diverged(self, state: Training) -> str:
        last = state.log[-1]
        if not (math.isfinite(last.train_loss) and math.isfinite(last.val_loss)):
            return f"the loss was not finite in epoch {last.epoch}"
        best = min(entry.val_loss for entry in state.log)
        return (
            f"the best validation loss, {best:.4g} nats, is more than {DIVERGED_ABOVE_UNIFORM:g} above that of a "
            f"uniform guess, {math.log(len(self.data.table)):.4g}"
        )

    def _random(self, *key: int | str) -> AbstractContextManager[None]:
        return _seeded(self.device, seed_of(self.seed, "baseline", *key))

    def _snapshot(self, state: Training) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "log": [vars(entry) for entry in state.log],
            "best": None if state.best is None else state.best.epoch,
            "best_weights": state.best_weights,
            "best_losses": None if state.best_losses is None else torch.from_numpy(state.best_losses),
            "best_correct": None if state.best_correct is None else torch.from_numpy(state.best_correct),
            "waited": state.waited,
            "stopped_by": state.stopped_by,
            "seconds": state.seconds,
        }

    def _restored(self, saved: dict[str, Any]) -> Training:
        """The inverse of ``_snapshot``."""
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        log = [TrainEpoch(**entry) for entry in saved["log"]]
        return Training(
            log=log,
            best=None if saved["best"] is None else log[saved["best"] - 1],
            best_weights=saved["best_weights"],
            best_losses=None if saved["best_losses"] is None else saved["best_losses"].numpy(),
            best_correct=None if saved["best_correct"] is None else saved["best_correct"].numpy(),
            waited=saved["waited"],
            stopped_by=saved["stopped_by"],
            seconds=saved["seconds"],
        )


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Within it torch's generators of the CPU and of the device start from a seed; afterwards they are as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
