"""For all tests: a small study on real text and a command line to run it with; how hypothesis and marks behave."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cvfp_cli.cli import app

# Hypothesis never judges by time, since a slow machine is no defect.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that is left out with the lowest versions and does not say why."""
    for item in items:
        for mark in item.iter_markers("pinned_only"):
            if not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: pinned_only needs its reason")


WORDS = [
    "the",
    "context",
    "vector",
    "of",
    "a",
    "token",
    "is",
    "what",
    "the",
    "block",
    "keeps",
    "of",
    "all",
    "the",
    "tokens",
    "before",
    "it",
    "and",
    "noise",
]

RECIPE = """# A study of tests.
[data]
source = {source!r}
samples = [4, 8, 16]
[validation]
source = "last:4"
[tokenizer]
name = "bpe:300"
[embedding]
name = "ppmi:8"
[head]
logit_scale = 0.05
learn_logit_scale = true
bias = "unigram"
[phase1]
max_iterations = 4
min_iterations = 3
batch_tokens = 200
[phase2]
epochs = 2
batch_tokens = 64
[grid]
layers = [1, 2]
context_dim = [8]
tokens = [1, 2]
[runs]
seeds = [42]
"""


@dataclass
class Answer:
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A recipe file over a file of 40 samples."""
    draw = random.Random(1)
    lines = [json.dumps({"text": " ".join(draw.choices(WORDS, k=draw.randrange(20, 40)))}) for _ in range(40)]
    (tmp_path / "text.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "study.toml").write_text(RECIPE.format(source=str(tmp_path / "text.jsonl")))
    return tmp_path / "study.toml"


@pytest.fixture
def cvfp(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Answer]:
    """Runs a command line in this process, with a cache of its own."""
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "cache"))

    def run(*arguments: object) -> Answer:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["cvfp", *words])
        code = app.run(words)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run
