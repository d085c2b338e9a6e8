"""End-to-end training as a kind: its recipe, its name, and a start from a finished run's folder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cvfp_cli.errors import InputError
from cvfp_cli.recipes import load_recipe
from cvfp_cli.results.weights import read_weights

RECIPE = 'kind = "end-to-end"\n'


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("[model]\ncontext_dim = 64", "1L_64d_1tok_e2e"),
        ("[model]\nblocks = [32, 32]\n[joint]\nstreams = 4", "1L_2x32d_1tok_e2e"),
    ],
)
def test_a_recipe_of_the_kind(tmp_path: Path, text: str, label: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE + text)
    recipe = load_recipe(path)
    assert [item.label for item in recipe.configurations] == [label]
    assert "phase1" not in recipe.tables
    config = recipe.experiment(recipe.configurations[0], 3)
    assert (config.model.context_dim, config.seed) == (64, 3)
    assert config.as_phases.phase2.batch_tokens == config.joint.streams * config.joint.chunk_tokens


def test_what_cannot_be_combined(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        RECIPE + '[joint]\nembedding_learning_rate = 0.1\n[head]\nweights = "tied"\nstart = "uniform"'
    )
    with pytest.raises(InputError, match=r"head\.start.*joint\.embedding_learning_rate"):
        load_recipe(path)


def test_weights_of_a_run_and_what_is_none(tmp_path: Path) -> None:
    save_file({"context.a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert torch.equal(read_weights(str(tmp_path))["context.a"], torch.ones(2))
    for folder, said in (
        (tmp_path / "none", "holds no model"),
        (tmp_path / "bad.safetensors", "cannot be read"),
    ):
        if folder.suffix:
            folder.write_bytes(b"nothing")
        with pytest.raises(InputError, match=said):
            read_weights(str(folder))
