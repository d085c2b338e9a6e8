"""Without a hub the answer is options that work: they are typed as the message has them."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.data import hub, pydocs
from cvfp_cli.recipes import list_recipes

Cvfp = Callable[..., Any]


@pytest.fixture(scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The docstrings are read once for all of these."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def offline(cvfp: Cvfp, one_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cvfp:
    monkeypatch.setattr(hub.Hub, "reachable", False)
    monkeypatch.setattr(pydocs, "PACKAGES", ("numpy",))  # all of them take ten seconds to read
    monkeypatch.setattr(pydocs, "MIN_SAMPLES", 1000)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("CVFP_CACHE_DIR", str(one_cache))
    monkeypatch.chdir(tmp_path)
    return cvfp


def advice(err: str) -> tuple[list[str], list[str]]:
    """The two ways that the message names, as words."""
    [(demo, options)] = re.findall(
        r"Offline: (--recipe demo); or in any recipe (--.*?); or a local folder", err
    )
    return shlex.split(demo), shlex.split(options)


def test_the_advice_is_a_study_that_can_be_trained(offline: Cvfp) -> None:
    refused = offline("sweep", "--device", "cpu")
    assert refused.code == 2
    assert refused.err.startswith("cvfp: Wanted from the hub: data set 'HuggingFaceH4/ultrachat_200k', ")
    demo, options = advice(refused.err)
    planned = offline("sweep", "--device", "cpu", "--dry-run", *demo)
    assert planned.code == 0, planned.err
    assert "4 runs, 0 done already" in planned.out
    planned = offline("sweep", "--device", "cpu", "--dry-run", *options)
    assert planned.code == 0, planned.err
    assert "36 runs, 0 done already" in planned.out


def test_the_advice_has_the_head_that_a_small_table_needs() -> None:
    from cvfp_cli.recipes import load_recipe

    _, options = advice(hub.OFFLINE_WAY)
    settings = dict(word.split("=") for word in options if word.startswith("head."))
    assert (
        load_recipe("2025-11-30-matrix", overrides=settings).tables["head"]
        == load_recipe("demo").tables["head"]
    )


@pytest.mark.parametrize(
    "name", [name for name in list_recipes() if name not in ("demo", "2025-11-30-matrix")]
)
def test_the_advice_holds_in_any_recipe(offline: Cvfp, name: str) -> None:
    """With few samples, for time: how many a study has is not what could go wrong."""
    _, options = advice(hub.OFFLINE_WAY)
    few = ("--set", "data.samples=5,10", "--samples", "5")
    planned = offline("train", "--recipe", name, "--device", "cpu", "--dry-run", *options, *few)
    assert planned.code == 0, planned.err
