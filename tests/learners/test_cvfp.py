"""CVFP as a learner: its configuration from the recipe's tables, and the stages it announces."""

from dataclasses import replace
from typing import Any

import pytest

from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.learners import Sizes
from cvfp_cli.learners.cvfp import CVFP, EvaluationConfig

SIZES = Sizes(train_tokens=1000, val_tokens=100, vocab_size=300, embed_dim=16)


def tables(**other: Any) -> dict[str, Any]:
    return {
        "model": ModelConfig(2, 8, 3),
        "head": HeadConfig(),
        "phase1": Phase1Config(),
        "phase2": Phase2Config(),
        "evaluation": EvaluationConfig(5000),
        **other,
    }


def test_a_configuration_holds_every_table_and_the_seed() -> None:
    given = tables()
    assert set(given) == set(CVFP.tables)
    config = CVFP.config(given, 7)
    assert (config.model, config.head, config.phase1, config.phase2) == tuple(given.values())[:4]
    assert (config.effective_rank_tokens, config.seed) == (5000, 7)
    assert CVFP.record(config) == {"token_input": config.model.token_input}


def test_its_axes_are_fields_and_stand_in_the_name() -> None:
    assert [axis.field for axis in CVFP.axes] == ["model.layers", "model.tokens", "model.context_dim"]
    values = {axis.name: getattr(tables()["model"], axis.field.partition(".")[2]) for axis in CVFP.axes}
    assert CVFP.name.format(**values) == "2L_8d_3tok"


@pytest.mark.parametrize(
    ("phase1", "phase2", "most", "likely"),
    [
        (Phase1Config(max_iterations=60), Phase2Config(epochs=50, patience=3), (60, 50), (20, 6)),
        (Phase1Config(max_iterations=9), Phase2Config(epochs=4, patience=3), (9, 4), (9, 4)),
        (Phase1Config(max_iterations=60), Phase2Config(epochs=50, patience=0), (60, 50), (20, 50)),
    ],
)
def test_its_stages_take_at_most_what_the_recipe_allows(
    phase1: Phase1Config, phase2: Phase2Config, most: tuple[int, int], likely: tuple[int, int]
) -> None:
    """Without patience every epoch is trained, so as many are likely."""
    stages = CVFP.stages(CVFP.config(tables(phase1=phase1, phase2=phase2), 1), SIZES)
    assert [stage.name for stage in stages] == ["phase1", "phase2"]
    assert tuple(stage.most for stage in stages) == most
    assert tuple(stage.likely for stage in stages) == likely
    assert stages[0].work(1) == stages[0].work(2)  # the first iteration trains nothing


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (
            {"phase1": replace(Phase1Config(), min_iterations=9, max_iterations=8)},
            "phase1.min_iterations (9)",
        ),
        ({"head": HeadConfig(weights="untied", table="trained")}, "head.table"),
        ({"head": HeadConfig(weights="tied", start="uniform")}, "head.start"),
        ({}, ""),
    ],
)
def test_contradictions_name_the_key(table: dict[str, Any], named: str) -> None:
    found = CVFP.contradictions(tables(**table))
    assert bool(found) == bool(named)
    assert all(named in clause for clause in found)
