"""Which configurations of a study differ in one respect alone, on the recipes that come with the package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.recipes import load_recipe
from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import Run, Summary
from cvfp_cli.study.arms import Arms, arms_of
from cvfp_cli.study.families import families_of


def results(name: str, sets: Mapping[str, Any] | None = None, *, recorded: bool = True) -> Results:
    """A run of every configuration of a recipe, with what its file records of it."""
    recipe = load_recipe(name, overrides=dict(sets or {}))
    runs = tuple(
        Run(
            item.label,
            *(item.axes.get(axis) for axis in ("layers", "context_dim", "tokens")),
            samples=50,
            train_tokens=1000,
            label=item.name or None,
            kind=item.kind,
            axes=dict(item.axes),
            study=name,
            seed=1,
            val_ppl=100.0,
            data_fingerprint="x",
        )
        for item in recipe.configurations
    )
    about = {"name": name, "resolved": recipe.resolved()} if recorded else {"name": name}
    return Results(Path(name), runs, (), Summary("", "", True, about, (), {}, runs))


def pairs(*files: Results) -> list[Arms]:
    return [
        arms
        for family in families_of(files, [f"{i}" for i in range(len(files))])
        for arms in arms_of(family, files)
    ]


def named(found: list[Arms], part: str) -> list[tuple[str, str]]:
    return [
        (arms.base.alias or arms.base.config, arms.other.alias or arms.other.config)
        for arms in found
        if arms.part == part
    ]


def test_the_ablations_of_the_recipe_are_found_with_their_bases() -> None:
    found = pairs(results("ablations"))
    phase1 = named(found, "phase1")
    assert phase1[0] == ("trained, after", "untrained, after")
    assert ("trained, before", "untrained, before") in phase1
    assert ("trained, before", "untrained, after") not in phase1
    context = named(found, "context")
    # The unchanged configuration comes first; what phase 1 did does not matter to a model without contexts.
    assert context[0] == ("trained, after", "no context")
    assert {other for _, other in context} == {"no context"}
    assert {base for base, _ in context} == {
        "trained, after", "trained, before", "untrained, after", "untrained, before", "MSE alone", "diversity alone",
    }  # fmt: skip
    assert set(named(found, "setting")) == {
        ("trained, after", "trained, before"),
        ("untrained, after", "untrained, before"),
        ("trained, after", "MSE alone"),
        ("trained, after", "diversity alone"),
    }
    assert not any(arms.unfair for arms in found)


def test_an_untrained_block_is_compared_where_both_arms_take_the_recurrence() -> None:
    trained = results("demo", {"grid.layers": [1], "grid.context_dim": [64], "grid.tokens": [1]})
    skipped = results(
        "demo",
        {
            "grid.layers": [1],
            "grid.context_dim": [64],
            "grid.tokens": [1],
            "phase1.skip": True,
            "phase2.train_contexts": "recurrence",
        },
    )
    (arms,) = pairs(trained, skipped)
    assert (arms.part, arms.unfair) == ("phase1", "train-contexts")
    fair = results(
        "demo",
        {
            "grid.layers": [1],
            "grid.context_dim": [64],
            "grid.tokens": [1],
            "phase2.train_contexts": "recurrence",
        },
    )
    (arms,) = pairs(fair, skipped)
    assert (arms.part, arms.unfair) == ("phase1", "")
    found = pairs(results("ablations", recorded=False))
    assert {arms.unfair for arms in found if arms.part == "phase1"} == {"unrecorded"}


def test_a_model_that_differs_in_more_is_no_arm() -> None:
    assert pairs(results("2025-11-30-matrix")) == []
    wide = {
        "grid.layers": [1],
        "grid.context_dim": [64, 128],
        "grid.tokens": [1],
        "grid.phase1.noise": [0.1, 0.2],
    }
    found = pairs(results("demo", wide))
    assert {(arms.base.context_dim, arms.other.context_dim) for arms in found} == {(64, 64), (128, 128)}


@pytest.mark.parametrize("kinds", [["cvfp", "end-to-end", "ngram"]])
def test_kinds_meet_the_same_model_and_the_best_counts(kinds: list[str]) -> None:
    found = pairs(results("demo", {"kind": kinds}))
    phases = [(arms.base.axes, arms.other.axes) for arms in found if arms.part == "phases"]
    assert phases
    assert all(base == other for base, other in phases)
    assert {arms.base.kind for arms in found if arms.part == "ngram"} == {"ngram"}
    assert {arms.other.kind for arms in found if arms.part == "ngram"} == {"cvfp", "end-to-end"}
