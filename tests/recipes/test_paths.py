"""A recipe's files are beside it, wherever the command is typed; a run's ``config.toml`` finds them from anywhere."""

from pathlib import Path

import pytest

from cvfp_cli.recipes import Recipe, list_recipes, load_recipe
from cvfp_cli.recipes.paths import made_absolute, read_beside

RECIPE = """
[data]
source = {source!r}
[validation]
source = {validation!r}
[tokenizer]
name = {tokenizer!r}
[embedding]
name = {embedding!r}
"""


def named(recipe: Recipe) -> tuple[str, str, str, str]:
    return recipe.data.source, recipe.validation.source, recipe.tokenizer.name, recipe.embedding.name


def written(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "my.toml"
    keys = ("source", "validation", "tokenizer", "embedding")
    path.write_text(RECIPE.format(**dict(zip(keys, names, strict=True))))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "study" / "tokens").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_beside_the_recipe_and_those_that_are_missing_there(here: Path) -> None:
    path = written(here / "study", "text.jsonl", "../held.txt", "tokens", "table.npy")
    wanted = ("study/text.jsonl", "held.txt", "study/tokens", "study/table.npy")
    assert named(load_recipe("study/my.toml")) == wanted
    assert named(load_recipe(path)) == tuple(str(here / name) for name in wanted)


def test_in_the_recipe_s_own_folder_nothing_changes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("text.jsonl", "held.txt", "tokens", "table.npy")
    written(here / "study", *names)
    monkeypatch.chdir(here / "study")
    assert named(load_recipe("my.toml")) == names


@pytest.mark.parametrize(
    "names",
    [
        ("pydocs", "last:40", "bpe:300", "ppmi:8"),
        ("org/texts", "train:1-20", "gpt2", "org/model"),
        ("/texts/a.jsonl", "after-largest:5", "~/tokens", "random:8"),
        ("pydocs:numpy", "tail:10%", "gpt2", "gpt2"),
    ],
)
def test_other_words_stay_what_they_are(here: Path, names: tuple[str, str, str, str]) -> None:
    (here / "study" / "pydocs").mkdir()
    written(here / "study", *names)
    recipe = load_recipe("study/my.toml")
    assert named(recipe) == names
    assert made_absolute(recipe.resolved()) == recipe.resolved()


def test_options_are_relative_to_where_they_are_typed(here: Path) -> None:
    written(here / "study", "a.jsonl", "last:4", "gpt2", "gpt2")
    recipe = load_recipe("study/my.toml", overrides={"data.source": "mine.jsonl"})
    assert recipe.data.source == "mine.jsonl"


def test_patterns_and_lists(here: Path) -> None:
    (here / "study" / "a.jsonl").touch()
    raw = {"data": {"source": ["*.jsonl", "gpt2", 3]}, "tokenizer": {"name": "a[b"}, "embedding": 4}
    read_beside(raw, Path("study"))
    assert raw == {
        "data": {"source": ["study/*.jsonl", "gpt2", 3]},
        "tokenizer": {"name": "a[b"},
        "embedding": 4,
    }


def test_what_a_run_records_is_found_from_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(here / "study", "text.jsonl", "held.txt", "tokens", "table.npy")
    recipe = load_recipe("study/my.toml", overrides={"validation.source": "mine.txt"})
    (here / "runs").mkdir()
    (here / "runs" / "config.toml").write_text(recipe.to_toml())
    monkeypatch.chdir("/")
    assert named(load_recipe(here / "runs" / "config.toml")) == (
        str(here / "study/text.jsonl"),
        str(here / "mine.txt"),
        str(here / "study/tokens"),
        str(here / "study/table.npy"),
    )


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_of_the_package_names_no_files(name: str, here: Path) -> None:
    resolved = load_recipe(name).resolved()
    assert made_absolute(resolved) == resolved
