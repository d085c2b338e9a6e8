"""Stand-ins for the study's text and for training, so that the sweep's own logic is tested in milliseconds."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import models

from cvfp_cli.core.config import Execution, ExperimentConfig
from cvfp_cli.core.result import Advance, Epoch, ExperimentData, Iteration, RunResult, StageResult
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.stream import Text, TokenStream
from cvfp_cli.data.tokenizer import Tokenizer
from cvfp_cli.recipes import Recipe, load_recipe
from cvfp_cli.results import ResultsStore
from cvfp_cli.sweeps.executors.base import ExecutorMaker
from cvfp_cli.sweeps.executors.serial import SerialExecutor
from cvfp_cli.sweeps.grid import experiments
from cvfp_cli.sweeps.plan import Plan, Shard, make_plan
from cvfp_cli.sweeps.session import Ended, carry_out
from cvfp_cli.sweeps.work import Keeping

VOCABULARY, WIDTH = 31, 8
TOKENS_PER_SAMPLE = 12


class FakeText:
    """A study whose sample i is twelve tokens drawn from seed i."""

    notes = ()
    vocab_size = VOCABULARY
    embed_dim = WIDTH

    def __init__(self, tokenizer: str = "fake") -> None:
        self.named = tokenizer
        self.tokenizer = Tokenizer(tokenizer, "fake", Cache(), lambda: (Backend(models.BPE()), {}))

    def train_token_count(self, samples: int, data_seed: int | None = None) -> int:
        return samples * TOKENS_PER_SAMPLE

    def val_token_count(self, samples: int, data_seed: int | None = None) -> int:
        return 3 * TOKENS_PER_SAMPLE

    def run_fingerprint(self, samples: int, data_seed: int | None = None) -> str:
        return hashlib.sha256(f"{self.named} {samples} {data_seed}".encode()).hexdigest()

    def experiment(self, samples: int, data_seed: int | None = None) -> Any:
        first = 0 if data_seed is None else 1000 * (data_seed + 1)
        train = np.concatenate([self._sample(first + index) for index in range(samples)])
        validation = np.concatenate([self._sample(900 + index) for index in range(3)])
        rng = np.random.default_rng(7)
        return Text(
            train=self._stream(train),
            validation=self._stream(validation),
            table=rng.standard_normal((VOCABULARY, WIDTH)).astype(np.float32),
            table_fingerprint="table",
            fingerprint=self.run_fingerprint(samples, data_seed),
        )

    def describe(self) -> dict[str, object]:
        return {
            "source": {"name": "fake", "fingerprint": "text"},
            "tokenizer": {"name": self.named, "fingerprint": f"of {self.named}"},
            "fingerprint": f"all of {self.named}",
        }

    def _stream(self, ids: np.ndarray) -> TokenStream:
        boundaries = np.arange(0, len(ids) + 1, TOKENS_PER_SAMPLE)
        return TokenStream(ids, boundaries, len(ids) * 4, "stream")

    def _sample(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, VOCABULARY, TOKENS_PER_SAMPLE)


class FakeOutcome:
    """What ``run_experiment`` returns: figures, and no weights."""

    weights: Mapping[str, Any] = {}

    def __init__(self, result: RunResult) -> None:
        self.result = result


def fake_run(
    config: ExperimentConfig,
    data: ExperimentData,
    execution: Execution,
    progress: Callable[[Any], None],
    checkpoint: Any = None,
    notify: Callable[[str], None] = print,
) -> FakeOutcome:
    """Figures that depend on the configuration, the seed and the text, and on nothing else."""
    spread = np.random.default_rng(config.seed + int(data.train_ids.sum())).random()
    iterations, epochs = 3, 2
    state = (checkpoint.load() if checkpoint else None) or {"iteration": 0}
    for number in range(state["iteration"] + 1, iterations + 1):
        progress(Advance("phase1", number, iterations, len(data.train_ids), len(data.train_ids)))
        progress(
            Iteration(number, *([None] * 4 if number == 1 else [0.1, 0.2, -0.3, number / iterations]), 0.01)
        )
        if checkpoint:
            checkpoint.save({"iteration": number})
    progress(Advance("contexts", 0, 0, len(data.val_ids), len(data.val_ids)))
    ppl = 1000.0 / len(data.train_ids) ** 0.5 / config.model.layers + spread
    for epoch in range(1, epochs + 1):
        progress(Advance("phase2", epoch, epochs, len(data.train_ids), len(data.train_ids)))
        progress(Epoch(epoch, 2.0, float(np.exp(2.0)), float(np.log(ppl)), ppl, 0.2, 0.01))
    return FakeOutcome(result_of(config, data, ppl))


def result_of(config: ExperimentConfig, data: ExperimentData, ppl: float | None) -> RunResult:
    return RunResult(
        train_tokens=len(data.train_ids),
        val_tokens=len(data.val_ids),
        val_bytes=data.val_bytes,
        train_ppl=ppl,
        val_ppl=ppl,
        val_loss=None if ppl is None else float(np.log(ppl)),
        val_loss_se=0.01,
        val_accuracy=None if ppl is None else 0.2,
        val_accuracy_se=0.01,
        sample_losses=() if ppl is None else (1.0, 2.0, 3.0),
        sample_targets=(12, 12, 11),
        unigram_ppl=900.0,
        best_epoch=None if ppl is None else 2,
        epochs=2,
        stopped_by="diverged" if ppl is None else "epochs",
        reason="the loss of phase 2 was not finite in epoch 2" if ppl is None else "",
        train_ppl_by_epoch=(ppl, ppl),
        val_ppl_by_epoch=(ppl, ppl),
        stages=(
            StageResult("phase1", 3, 0.01 + time.perf_counter() % 0.001),
            StageResult("contexts", 0, 0.01),
            StageResult("phase2", 2, 0.02),
        ),
        peak_memory_bytes=1000,
        execution_path={},
        own={
            "phase1_iterations": 3,
            "phase1_rate": 1.0,
            "phase1_converged": config.model.tokens > 1,
            "phase1_stopped_by": "ratio" if config.model.tokens > 1 else "iterations",
            "phase1_rate_by_iteration": (None, 2 / 3, 1.0),
            "train_effective_rank": 0.7,
            "val_effective_rank": 0.6,
        },
    )


class Recorder:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, job: Any, number: int, total: int, worker: str = "") -> None:
        self.seen.append(("started", job.name))

    def advanced(self, job: Any, event: Any) -> None:
        pass

    def lost(self, job: Any, reason: str) -> None:
        self.seen.append(("lost", job.name))

    def finished(self, job: Any, run: Any) -> None:
        self.seen.append(("finished", job.name))

    def names(self) -> list[str]:
        return [name for what, name in self.seen if what == "started"]


def tiny_recipe(**overrides: Any) -> Recipe:
    """The demo's tables with a grid of 2 x 2 configurations and three sizes."""
    base = {
        "grid.layers": [1, 2],
        "grid.tokens": [1, 2],
        "grid.context_dim": [8],
        "data.samples": [2, 4, 8],
        "phase1.max_iterations": 6,
        "phase1.batch_tokens": 40,
        "phase2.batch_tokens": 16,
        "phase2.epochs": 2,
    }
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_recipe("demo", overrides={**base, **given})


def read(recipe: Recipe, text: Any = None) -> Any:
    """What ``read_text`` gives: the stand-in for every data table of the recipe."""
    return {point.settings: text or FakeText() for point in experiments(recipe)}


def plan_for(
    recipe: Recipe, folder: Path, *, text: FakeText | None = None, fresh: bool = False
) -> tuple[Plan, ResultsStore]:
    store = ResultsStore(folder)
    plan = make_plan(recipe, read(recipe, text), Execution(), store, fresh=fresh, notify=lambda text: None)
    return plan, store


def sweep_into(
    folder: Path,
    recipe: Recipe | None = None,
    *,
    run: Callable[..., Any] = fake_run,
    watcher: Any = None,
    keeping: Keeping | None = None,
    text: FakeText | None = None,
    fresh: bool = False,
    again: bool = False,
    executor: ExecutorMaker = SerialExecutor,
    shard: Shard | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Ended:
    """A whole sweep with the stand-ins."""
    plan, store = plan_for(recipe or tiny_recipe(), folder, text=text, fresh=fresh)
    return carry_out(
        replace(plan, shard=shard),
        store,
        run=run,
        environment={"device_name": "fake", "precision": "float32", "torch": "0", "threads": 1},
        watchers=lambda held: watcher or Recorder(),
        warn=warn,
        executor=executor,
        keeping=keeping or Keeping(),
        command="cvfp sweep",
        fresh=fresh,
        again=again,
    )


def without_times(run: Any) -> Any:
    """A run less what is measured and not computed."""
    from cvfp_cli.results import Seconds

    stages = tuple(replace(stage, seconds=None) for stage in run.stages)
    return replace(run, seconds=Seconds(), stages=stages, peak_memory_bytes=None, execution_path=None)
