"""Another kind over a recipe: what stays, what is handed on, what is left out and said to be."""

from pathlib import Path

import pytest

from cvfp_cli.core.baselines.config import GruConfig, NgramConfig
from cvfp_cli.errors import InputError
from cvfp_cli.learners import learners
from cvfp_cli.recipes import load_recipe

LISTED = """
[data]
source = "pydocs"
samples = [5, 10]
[phase2]
patience = 3
epochs = 7
[[configurations]]
name = "one"
layers = 1
[[configurations]]
name = "two"
layers = 2
[[configurations]]
name = "cells"
kind = "gru"
gru_width = 32
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "listed.toml").write_text(LISTED)
    return tmp_path / "listed.toml"


def test_end_to_end_training_stops_by_the_recipes_rule() -> None:
    assert load_recipe("2025-12-03-context-dim").tables["phase2"].min_improvement == 0.4
    recipe = load_recipe("2025-12-03-context-dim", overrides={"kind": "end-to-end"})
    assert recipe.tables["joint"].min_improvement == 0.4


def test_another_kind_keeps_the_text_the_seeds_and_the_stopping_rule() -> None:
    of_file = load_recipe("2025-12-03-context-dim")
    recipe = load_recipe("2025-12-03-context-dim", overrides={"kind": "gru"})
    for name in ("data", "validation", "tokenizer", "embedding", "runs"):
        assert recipe.table(name) == of_file.table(name)
    assert list(recipe.tables) == ["gru"]
    assert recipe.tables["gru"] == GruConfig(patience=1, min_improvement=0.4)
    assert [item.label for item in recipe.configurations] == ["gru_1L_256d"]
    assert recipe.left_out == (
        "model",
        "head",
        "phase1",
        "phase2 (but for patience, min_improvement)",
        "evaluation",
        "grid.layers",
        "grid.context_dim",
        "grid.tokens",
    )


def test_a_stopping_rule_of_its_own_wins_and_goes_back_to_cvfp(tmp_path: Path) -> None:
    own = load_recipe("2025-12-03-context-dim", overrides={"kind": "gru", "gru.min_improvement": "0.1"})
    assert (own.tables["gru"].min_improvement, own.tables["gru"].patience) == (0.1, 1)
    both = load_recipe("2025-12-03-context-dim", overrides={"kind": "cvfp,lstm"})
    assert both.tables["lstm"].min_improvement == both.tables["phase2"].min_improvement == 0.4
    assert both.left_out == ()
    file = tmp_path / "gru.toml"
    file.write_text('kind = "gru"\n[gru]\npatience = 4\nwidth = 64\ndropout = 0.2\n')
    cvfp = load_recipe(file, overrides={"kind": "cvfp"})
    assert cvfp.tables["phase2"].patience == 4
    assert cvfp.left_out == ("gru (but for patience)",)
    assert load_recipe(file, overrides={"kind": "ngram"}).tables["ngram"] == NgramConfig()


def test_a_grid_of_fields_that_the_kind_lacks_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "noise.toml"
    file.write_text('[grid]\nphase1.noise = [0.0, 0.1]\nlayers = [1, 2]\n"phase2.epochs" = [1, 2]\n')
    recipe = load_recipe(file, overrides={"kind": "ngram"})
    assert [item.label for item in recipe.configurations] == ["5gram"]
    assert set(recipe.left_out) == {"grid.phase1", "grid.layers", "grid.phase2.epochs"}
    with pytest.raises(InputError, match="field of another kind than ngram"):
        load_recipe(file, overrides={"kind": "ngram", "grid.phase1.noise": "0,0.1"})


def test_listed_configurations_of_the_kind_stay(listed: Path) -> None:
    def labels(kind: str) -> list[str]:
        return [item.label for item in load_recipe(listed, overrides={"kind": kind}).configurations]

    assert labels("cvfp") == ["1L_768d_1tok", "2L_768d_1tok"]
    assert labels("gru") == ["gru_1L_32d"]
    assert labels("gru,ngram") == ["gru_1L_32d", "5gram"]
    assert labels("lstm") == ["lstm_1L_256d"]
    assert "configurations" in load_recipe(listed, overrides={"kind": "lstm"}).left_out
    assert load_recipe(listed, overrides={"kind": "cvfp,gru"}).left_out == ()
    assert load_recipe(listed).tables["gru"].patience == 3


def test_a_recipe_of_several_kinds_reads_back_as_itself(tmp_path: Path) -> None:
    recipe = load_recipe(
        "demo", overrides={"kind": "ngram,gru,transformer", "grid.ngram.order": "2,3", "gru.width": "64"}
    )
    file = tmp_path / "again.toml"
    file.write_text(recipe.to_toml())
    again = load_recipe(file)
    assert again.configurations == recipe.configurations
    assert [item.label for item in again.configurations] == [
        "2gram",
        "3gram",
        "gru_1L_64d",
        "transformer_4L_256d",
    ]
    assert again.tables == recipe.tables


def test_a_wrong_kind_and_heads_that_do_not_fit_are_said() -> None:
    with pytest.raises(InputError, match="no kind of model called 'grru'") as wrong:
        load_recipe("demo", overrides={"kind": "grru"})
    assert "gru" in str(wrong.value)
    with pytest.raises(InputError, match=r"transformer.heads \(5\) must divide transformer.width \(256\)"):
        load_recipe("demo", overrides={"kind": "transformer", "transformer.heads": "5"})


def test_a_name_that_kinds_share_means_the_same_in_each() -> None:
    tables: dict[str, type] = {}
    axes: dict[str, object] = {}
    for learner in learners().values():
        for name, table in learner.tables.items():
            assert tables.setdefault(name, table) is table
        for axis in learner.axes:
            assert axes.setdefault(axis.name, axis) == axis
