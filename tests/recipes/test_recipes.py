"""The recipes that come with the package, against the published figures and the method's table."""

import json
import math
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cvfp_cli.core.shapes import parameter_counts
from cvfp_cli.recipes import DEFAULT_RECIPE, Configuration, Recipe, list_recipes, load_recipe

PUBLISHED = json.loads((Path(__file__).parent.parent / "published_results.json").read_text())
VOCAB, EMBED = 50257, 768
STUDIES = sorted({row["study"] for row in PUBLISHED["runs"]})

# The method's table, written down a second time in its own shorthand:
# name: (shapes, token_input, w, P1 min, max, ratio, batch, P2 lr, epochs, patience, batch, validation, samples)
SMALL, LARGE = [50, 100, 200, 500], [500, 1000]
JOINED = ("train_sft:1000-1019", "\n\n")
TABLE: dict[str, tuple[Any, ...]] = {
    "2025-11-27-3l": ([(3, 768, 1)], "all_layers", 0.5, 3, 10, 0.95, 2000, 0.002, 10, 2, 512, ("after-largest:10", ""), SMALL),
    "2025-11-27-6l": ([(6, 768, 1)], "all_layers", 0.5, 3, 10, 0.95, 8000, 0.002, 10, 2, 512, ("after-largest:10", ""), SMALL),
    "2025-11-28-v1": ([(6, 768, 2), (3, 1536, 2)], "all_layers", 0.5, 3, 10, 0.95, 4096, 0.002, 10, 2, 512, ("after-largest:50", ""), LARGE),
    "2025-11-28-v2": ([(6, 768, 1), (3, 1536, 1)], "first_layer", 0.5, 5, 40, 0.95, 8000, 0.001, 10, 1, 1024, ("after-largest:50", ""), LARGE),
    "2025-11-29-effective-rank": ([(6, 768, 1)], "first_layer", 0.8, 5, 40, 0.99, 8000, 0.001, 10, 1, 4096, ("tail:10%", ""), SMALL),
    "2025-11-29-architectures": (
        [(6, 768, 1), (6, 768, 2), (6, 1152, 1), (9, 768, 1)], "all_layers", 0.8, 5, 40, 0.99, 8000, 0.001, 10, 1, 4096, JOINED, SMALL),
    "2025-11-29-shallow-wide": ([(3, 1536, 2)], "all_layers", 0.8, 5, 40, 0.99, 8000, 0.001, 10, 1, 4096, JOINED, SMALL),
    "2025-11-30-matrix": (
        [(layers, 768, tokens) for tokens in (1, 2, 3) for layers in (1, 2, 3)],
        "all_layers", 0.8, 5, 40, 0.99, 8000, 0.001, 10, 1, 4096, JOINED, SMALL),
    "2025-12-03-context-dim": (
        [(1, 256, 1), (1, 320, 1)], "all_layers", 1.0, 3, 60, 0.90, 5000, 0.001, 40, 1, 8864, ("train_sft:50000-50019", "\n\n"),
        [100, 200, 400, 800, 1600]),
    "demo": ([(2, 128, 1)], "all_layers", 0.8, 5, 40, 0.99, 8000, 0.001, 10, 1, 512, ("last:40", ""), [25, 50, 100, 200]),
}  # fmt: skip


def shapes(recipe: Recipe) -> list[tuple[int, int, int]]:
    return [
        tuple(item.axes[name] for name in ("layers", "context_dim", "tokens"))
        for item in recipe.configurations
    ]


OF_OTHER_KINDS = {"baselines", "demo-baselines"}
# What the eight studies leave open, in the same shorthand: names, sizes, seeds, phase 1's end (min, max, ratio), and
# every field that the question turns on.
MATRIX_END, DEMO_END = (5, 40, 0.99), (5, 25, 0.99)
ASKS: dict[str, tuple[Any, ...]] = {
    "2025-12-03-two-blocks": (
        [f"1L_2x256d_1tok_past_count={p}" for p in (0, 1, 2)], [200, 400, 800, 1600], (42,), (3, 60, 0.9),
        {"phase1.slices": True, "phase2.train_contexts": "recurrence", "phase2.min_improvement": 0.4,
         "phase1.diversity": "oacd", "phase1.diversity_weight": 1.0, "phase1.batch_tokens": 5000, "phase1.grad_clip": 2.0,
         "phase2.batch_tokens": 8864, "phase2.epochs": 40, "model.activation": "gelu", "model.initialisation": "normal",
         "phase2.past_interval": 1, "phase2.context": "after", "head.logit_scale": 1.0}),
    "2025-12-02-dual": (
        [f"1L_2x500d_1tok_context={kind}" for kind in ("before", "after")], [2000], (42,), (3, 60, 0.9),
        {"phase1.slices": True, "phase2.train_contexts": "recurrence", "phase2.weight_decay": 0.01, "phase2.min_gain": 0.4,
         "phase2.batch_tokens": 1000, "phase2.epochs": 20, "phase2.patience": 1, "phase2.grad_clip": 1.0}),
    "high-low-rank": (
        [f"6L_768d_1tok_token_input={form}" for form in ("all_layers", "first_layer")], SMALL, (42, 43, 44), MATRIX_END,
        {"phase1.diversity_weight": 0.8, "phase2.train_contexts": "phase1", "phase2.batch_tokens": 4096}),
    "ablations": (
        [f"1L_768d_2tok_{rest}" for rest in (
            "context=after_skip=false_diversity_weight=0.8", "context=before_skip=false_diversity_weight=0.8",
            "skip=true_context=after_diversity_weight=0.8", "skip=true_context=before_diversity_weight=0.8",
            "skip=true_context=zero_diversity_weight=0.8", "diversity_weight=0_context=after_skip=false",
            "diversity_weight=1_context=after_skip=false")],
        [200, 500], (42, 43, 44), MATRIX_END, {"phase2.train_contexts": "recurrence"}),
    "end-to-end": (["1L_512d_2tok_e2e"], [200, 500], (42, 43, 44), None, {"joint.embedding": "trained"}),
    "tuned": (
        ["1L_768d_4tok"], [200, 500, 1600], (42, 43, 44, 45, 46), MATRIX_END,
        {"phase2.context": "before", "phase2.embedding": "trained", "model.token_block": "mlp", "phase2.shuffle": True,
         "runs.ensemble": True, "phase1.diversity_weight": 0.8}),
    "demo-two-blocks": (
        [f"1L_2x64d_1tok_past_count={p}" for p in (0, 1, 2)], [50], (42,), DEMO_END, {"phase1.slices": True}),
    "demo-dual": ([f"1L_2x64d_1tok_context={kind}" for kind in ("before", "after")], [50], (42,), DEMO_END, {}),
    "demo-high-low-rank": (
        [f"2L_64d_1tok_token_input={form}" for form in ("all_layers", "first_layer")], [50], (42,), DEMO_END, {}),
    "demo-ablations": (None, [50], (42,), DEMO_END, {"phase2.train_contexts": "recurrence"}),
    "demo-end-to-end": (["1L_64d_1tok_e2e"], [50], (42,), None, {}),
    "demo-tuned": (["1L_128d_4tok"], [50, 100], (42, 43), DEMO_END, {"model.token_block": "mlp", "runs.ensemble": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKS)
def test_a_recipe_asks_what_the_studies_leave_open(name: str) -> None:
    labels, sizes, seeds, end, given = ASKS[name]
    recipe = load_recipe(name)
    found = [item.label for item in recipe.configurations]
    if labels is None:  # the demo form has the large one's runs in another size
        whole = [item.label for item in load_recipe(name.removeprefix("demo-")).configurations]
        labels = [label.replace("768d_2tok", "64d_1tok") for label in whole]
    assert found == labels
    assert (list(recipe.sizes), recipe.runs.seeds) == (sizes, seeds)
    if end is not None:
        p1 = recipe.tables["phase1"]
        assert (p1.min_iterations, p1.max_iterations, p1.converged_ratio) == end
        assert (p1.noise, p1.convergence_mse, p1.learning_rate) == (0.1, 0.03, 0.002)
    assert {path: getattr(recipe.table(path.split(".")[0]), path.split(".")[1]) for path in given} == given


def test_parameters_of_the_two_block_series() -> None:
    recipe = load_recipe("2025-12-03-two-blocks")
    for item, token_block in zip(recipe.configurations, (985_344, 1_378_560, 1_771_776), strict=True):
        experiment = recipe.experiment(item, 42)
        counts = parameter_counts(experiment.model, experiment.head, EMBED, VOCAB, experiment.phase2)
        assert (counts.context_block, counts.token_block) == (2 * 262_912, token_block)


def test_every_study_has_a_recipe_and_nothing_else_but_the_demo_and_open_questions_do() -> None:
    assert {*STUDIES, "demo"} == set(TABLE)
    assert set(list_recipes()) == {*TABLE, *ASKS, *OF_OTHER_KINDS}
    assert DEFAULT_RECIPE == load_recipe().name == "2025-11-30-matrix"


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_is_the_methods_row(name: str) -> None:
    recipe = load_recipe(name)
    p1, p2 = recipe.tables["phase1"], recipe.tables["phase2"]
    assert (
        shapes(recipe), recipe.tables["model"].token_input, p1.diversity_weight, p1.min_iterations, p1.max_iterations,
        p1.converged_ratio, p1.batch_tokens, p2.learning_rate, p2.epochs, p2.patience, p2.batch_tokens,
        (recipe.validation.source, recipe.validation.separator), list(recipe.data.samples),
    ) == TABLE[name]  # fmt: skip
    assert (p1.noise, p1.convergence_mse, p1.learning_rate, recipe.runs.seeds) == (0.1, 0.03, 0.002, (42,))
    assert p2.grad_clip == 1.0


def only_in(*names: str) -> set[str]:
    return set(names)


@pytest.mark.parametrize(
    ("differs", "studies"),
    [
        (lambda r: r.tables["phase1"].start == "sequential", only_in("2025-11-27-3l", "2025-11-27-6l", "2025-11-28-v1", "2025-11-28-v2")),
        (lambda r: r.tables["phase1"].loss_over == "stream", only_in("2025-11-27-3l", "2025-11-27-6l")),
        (
            lambda r: r.tables["phase2"].train_contexts == "recurrence",
            only_in("2025-11-27-3l", "2025-11-27-6l", "2025-11-28-v1", "2025-11-28-v2", "2025-11-29-effective-rank", "2025-12-03-context-dim"),
        ),
        (lambda r: r.tables["model"].token_block == "early", only_in("2025-11-28-v1")),
        (
            lambda r: (r.tables["head"].weights, r.tables["head"].start, r.tables["head"].bias) == ("untied", "zero", "zero"),
            only_in("2025-11-27-3l", "2025-11-27-6l", "2025-11-29-effective-rank"),
        ),
        (lambda r: r.tables["head"].weights == "untied" or r.tables["head"].start != "zero", only_in("2025-11-27-3l", "2025-11-27-6l", "2025-11-29-effective-rank")),
        (lambda r: r.tables["head"].table == "trained", only_in()),
        (lambda r: r.data.messages == "first", only_in("2025-11-27-3l", "2025-11-27-6l", "2025-11-28-v1", "2025-11-28-v2")),
        (lambda r: r.data.max_tokens == 128, only_in("2025-11-27-3l", "2025-11-27-6l")),
        (lambda r: r.tables["phase1"].grad_clip != 1.0, only_in("2025-12-03-context-dim")),
        (lambda r: r.tables["phase1"].diversity == "oacd", only_in("2025-12-03-context-dim")),
        (lambda r: (r.tables["model"].activation, r.tables["model"].initialisation) != ("relu", "normal"), only_in("2025-12-03-context-dim")),
        (lambda r: r.tables["phase1"].min_improvement > 0 or r.tables["phase2"].min_improvement > 0, only_in("2025-12-03-context-dim")),
        (lambda r: r.tables["head"].learn_logit_scale or r.tables["head"].logit_scale != 1 or r.tables["head"].bias == "unigram", only_in("demo")),
        (lambda r: r.tables["evaluation"].effective_rank_tokens != 10_000, only_in("demo")),
        (lambda r: (r.tokenizer.name, r.embedding.name) != ("gpt2", "gpt2"), only_in("demo")),
    ],
)  # fmt: skip
def test_where_studies_differ_exactly_these_do(differs: Any, studies: set[str]) -> None:
    assert {name for name in TABLE if differs(load_recipe(name))} == studies


def test_the_december_rules() -> None:
    recipe = load_recipe("2025-12-03-context-dim")
    p1 = recipe.tables["phase1"]
    assert (p1.min_improvement, p1.improvement_from, p1.improvement_patience) == (0.01, 0.5, 2)
    assert (p1.grad_clip, recipe.tables["phase2"].min_improvement) == (2.0, 0.4)
    assert (recipe.tables["model"].activation, recipe.tables["model"].initialisation) == ("gelu", "xavier")


def test_the_demo() -> None:
    recipe = load_recipe("demo")
    assert (recipe.data.source, recipe.tokenizer.name, recipe.embedding.name) == (
        "pydocs",
        "bpe:4096",
        "ppmi:128",
    )
    assert (
        recipe.tables["head"].logit_scale,
        recipe.tables["head"].learn_logit_scale,
        recipe.tables["head"].bias,
    ) == (
        0.05,
        True,
        "unigram",
    )
    assert (recipe.tables["head"].weights, recipe.tables["head"].table) == ("tied", "frozen")


# (study, configuration): ContextBlock, TokenBlock, as the studies and the method print them.
COUNTS = {
    ("2025-11-30-matrix", (1, 768, 1)): (1_181_952, 1_181_952),
    ("2025-11-30-matrix", (3, 768, 1)): (3_545_856, 3_545_856),
    ("2025-11-30-matrix", (3, 768, 3)): (7_084_800, 17_775_616),
    ("2025-11-29-architectures", (6, 768, 1)): (7_091_712, 7_091_712),
    ("2025-11-28-v2", (6, 768, 1)): (15_394_304, 8_566_272),
    ("2025-11-28-v2", (3, 1536, 1)): (20_730_880, 5_905_152),
    ("2025-11-28-v1", (6, 768, 2)): (None, 7_681_536),
    ("2025-11-28-v1", (3, 1536, 2)): (None, 5_905_152),
}


def counted(recipe: Recipe, configuration: Configuration) -> Any:
    experiment = recipe.experiment(configuration, 42)
    return parameter_counts(experiment.model, experiment.head, EMBED, VOCAB)


@pytest.mark.parametrize(("study", "shape"), COUNTS)
def test_parameter_counts_are_the_studies(study: str, shape: tuple[int, int, int]) -> None:
    recipe = load_recipe(study)
    counts = counted(recipe, recipe.configurations[shapes(recipe).index(shape)])
    context, token = COUNTS[study, shape]
    assert counts.token_block == token
    assert context is None or counts.context_block == context


@pytest.mark.parametrize(
    ("study", "total", "phase2"),
    [
        ("2025-11-27-3l", 84_338_257, 42_193_489),
        ("2025-11-27-6l", 91_429_969, 45_739_345),
        # Its log counts 47,215,441: embed_norm's 2 E besides, which is frozen.
        ("2025-11-29-effective-rank", 101_207_121, 47_213_905),
    ],
)
def test_totals_with_an_untied_head(study: str, total: int, phase2: int) -> None:
    recipe = load_recipe(study)
    counts = counted(recipe, recipe.configurations[0])
    assert (counts.total, counts.phase2) == (total, phase2)


# What the studies' logs say: validation tokens, and how long the whole study took.
RECORDS = {
    "2025-11-27-3l": (690, "17 minutes"),
    "2025-11-27-6l": (690, "22 minutes"),
    "2025-11-28-v1": (9_050, "2.3 hours"),
    "2025-11-28-v2": (9_050, "3.0 hours"),
    "2025-11-29-effective-rank": (0, "27 minutes"),
    "2025-11-29-architectures": (31_024, "35 minutes"),
    "2025-11-29-shallow-wide": (31_024, "14 minutes"),
    "2025-11-30-matrix": (31_024, "97 minutes"),
    "2025-12-03-context-dim": (22_723, "95 minutes"),
    "demo": (0, ""),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_expects_what_its_studys_logs_say(name: str) -> None:
    tokens, time = RECORDS[name]
    recipe = load_recipe(name)
    assert recipe.validation.expected_tokens == tokens
    assert time in recipe.header
    assert not tokens or f"{tokens:,} validation tokens" in recipe.header


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("data.source", "mine.jsonl", 0),
        ("data.max_tokens", 64, 0),
        ("tokenizer.name", "bpe:4096", 0),
        ("validation.source", "last:40", 0),
        ("validation.expected_tokens", 7, 7),
        ("runs.samples", [50], 31_024),
        ("embedding.name", "ppmi:768", 31_024),
    ],
)
def test_nothing_is_expected_of_another_text(path: str, value: Any, expected: int) -> None:
    recipe = load_recipe(overrides={path: value})
    assert recipe.validation.expected_tokens == expected


def test_the_architectures_printed_phase_1_parameters() -> None:
    printed = {
        row["config"]: row["phase1_params"] for row in PUBLISHED["published"] if "phase1_params" in row
    }
    recipe = load_recipe("2025-11-29-architectures")
    ours = {item.name: counted(recipe, item).context_block for item in recipe.configurations}
    assert ours.keys() == printed.keys()
    for name, count in ours.items():
        assert count == pytest.approx(printed[name], abs=10_000)  # printed with two digits after the point


@pytest.mark.parametrize("study", STUDIES)
def test_a_recipe_runs_exactly_its_studys_published_runs(study: str) -> None:
    recipe = load_recipe(study)
    published = {
        (row["layers"], row["context_dim"], row["tokens"], row["samples"])
        for row in PUBLISHED["runs"]
        if row["study"] == study
    }
    assert {(*shape, size) for shape in shapes(recipe) for size in recipe.sizes} == published


@pytest.mark.parametrize("study", STUDIES)
def test_the_header_expects_what_was_published(study: str) -> None:
    by_size: dict[int, list[float]] = defaultdict(list)
    for row in PUBLISHED["runs"]:
        if row["study"] == study:
            by_size[row["samples"]].append(row["val_ppl"])
    recipe = load_recipe(study)
    words = recipe.expected.replace(";", " ").replace(",", " ").split()
    numbers = {float(word) for word in words if word.replace(".", "").isdigit()}
    for size in (min(by_size), max(by_size)):
        assert size in numbers
        for ppl in (min(by_size[size]), max(by_size[size])):
            assert any(math.isclose(ppl, number, abs_tol=0.5) for number in numbers), (study, size, ppl)


@pytest.mark.parametrize("name", [*TABLE, *ASKS])
def test_a_header_says_what_to_expect_on_which_hardware_and_where_it_comes_from(name: str) -> None:
    header = load_recipe(name).header
    assert list_recipes()[name] == header.splitlines()[0]
    for word in ("Expected: val_ppl", "Hardware: ", "minute", "Source: "):
        assert word in header
    text = (files("cvfp_cli.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")


def test_the_studys_own_names_are_labels_and_not_configurations() -> None:
    recipe = load_recipe("2025-11-29-architectures")
    assert [item.name for item in recipe.configurations] == [
        "baseline",
        "input_tokens_2",
        "context_dim_1152",
        "layers_9",
    ]
    names = [recipe.experiment(item, 42).model.name for item in recipe.configurations]
    assert names == ["6L_768d_1tok", "6L_768d_2tok", "6L_1152d_1tok", "9L_768d_1tok"]


@pytest.mark.parametrize("name", sorted(OF_OTHER_KINDS))
def test_the_baselines_are_every_kind_but_cvfp_and_say_what_to_expect(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.kinds == ("ngram", "gru", "lstm", "transformer")
    assert len(recipe.configurations) == len(recipe.kinds)
    assert recipe.left_out == ()
    assert "val_ppl" in recipe.expected
    assert all(word in recipe.header for word in ("Hardware:", "Source:"))


def test_the_demo_of_the_baselines_reads_what_is_installed() -> None:
    recipe = load_recipe("demo-baselines")
    assert (recipe.data.source, recipe.tokenizer.name, recipe.embedding.name) == (
        "pydocs",
        "bpe:2048",
        "ppmi:128",
    )
    assert len(recipe.sizes) == 3  # the fewest that a law can be fitted to


def test_the_baselines_are_trained_alike() -> None:
    recipe = load_recipe("baselines")
    shared = ("table", "head", "bias", "unseen", "schedule", "patience", "min_improvement", "epochs")
    settings = {tuple(getattr(recipe.tables[kind], key) for key in shared) for kind in recipe.kinds[1:]}
    assert len(settings) == 1
    assert recipe.embedding.name == "ppmi:256"
    assert recipe.validation.source == "test_sft:0-19"
