"""A job to show, as a plan makes it."""

from pathlib import Path

from cvfp_cli.core.config import Execution, ExperimentConfig, ModelConfig
from cvfp_cli.core.memory import MemoryPlan
from cvfp_cli.core.shapes import ParameterCounts
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.description import Settings
from cvfp_cli.learners import Stage
from cvfp_cli.recipes import Configuration
from cvfp_cli.sweeps.grid import Experiment
from cvfp_cli.sweeps.plan import Job

STAGES = (
    Stage("phase1", "phase 1", "iteration", 40, 20, 1.0, free=1),
    Stage("phase2", "phase 2", "epoch", 10, 6, 1.0),
)


def shown_job(
    run_id: str = "id",
    *,
    layers: int = 2,
    context_dim: int = 768,
    tokens: int = 2,
    samples: int = 50,
    data_seed: int | None = None,
) -> Job:
    point = Experiment(
        ExperimentConfig(model=ModelConfig(layers=layers, context_dim=context_dim, tokens=tokens)),
        Configuration({"layers": layers, "tokens": tokens, "context_dim": context_dim}),
        samples,
        data_seed,
        Settings(DataConfig(), ValidationConfig(), TokenizerConfig(), EmbeddingConfig()),
    )
    memory = MemoryPlan(1, 1, 1, 1, held_bytes=1, piece_bytes=1, host_bytes=0)
    counts = ParameterCounts(1, 2, 3, 6)
    return Job(point, run_id, Path("runs/x"), Execution(), counts, 62_891, memory, STAGES)
