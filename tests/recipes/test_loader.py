"""Finding, overriding and refusing recipes."""

import difflib
import json
import re
import tomllib
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.core.config import ExperimentConfig, HeadConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.errors import InputError
from cvfp_cli.learners import learners
from cvfp_cli.recipes import Configuration, list_recipes, load_recipe
from cvfp_cli.recipes.checker import MOST_PROBLEMS, all_tables, axis_key, table_keys
from cvfp_cli.recipes.paths import made_absolute
from cvfp_cli.recipes.recipe import BASE_TABLES, Recipe
from cvfp_cli.sweeps.grid import experiments


def refusal(source: str | Path = "demo", **overrides: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(source, overrides={key.replace("__", "."): value for key, value in overrides.items()})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def at(layers: int, context_dim: int, tokens: int) -> Configuration:
    return Configuration({"layers": layers, "tokens": tokens, "context_dim": context_dim})


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


TABLES = all_tables()
CONFIGS: dict[str, type[Any]] = {
    "data": DataConfig,
    "validation": ValidationConfig,
    "tokenizer": TokenizerConfig,
    "embedding": EmbeddingConfig,
    "model": ModelConfig,
    "head": HeadConfig,
    "phase1": Phase1Config,
    "phase2": Phase2Config,
}


def another_value(key: Any) -> Any:
    """A value the key takes that is not its default."""
    if key.choices:
        return next(choice for choice in key.choices if choice != key.default)
    if key.many:
        return ["one", "two"] if key.kind is str else [7, 9]
    if key.kind is float:
        return 0.25 if key.default != 0.25 else 0.5
    return {bool: not key.default, int: 12, str: "other"}[key.kind]


# What a field cannot be changed without.
ONE_LAYER = {"model.layers": 1}
BLOCKS = {**ONE_LAYER, "model.blocks": [4, 4]}
NEEDED: dict[str, dict[str, Any]] = {
    "head.start": {"head.weights": "untied"},
    "model.blocks": ONE_LAYER,
    "model.cascade": BLOCKS,
    "phase1.skip": {"phase2.train_contexts": "recurrence"},
    "phase1.slices": {**BLOCKS, "phase2.train_contexts": "recurrence"},
    "phase2.past_count": ONE_LAYER,
    "phase2.embedding_learning_rate": {"phase2.embedding": "trained"},
    "phase2.dropout_hidden": {**ONE_LAYER, "model.token_block": "mlp"},
}


@pytest.mark.parametrize(
    "path", [f"{name}.{item.name}" for name, kind in CONFIGS.items() for item in fields(kind)]
)
def test_set_reaches_every_field_of_every_configuration(path: str) -> None:
    table, name = path.split(".")
    value = another_value(table_keys(CONFIGS[table])[name])
    text = json.dumps(value)
    needed = NEEDED.get(path, {})
    recipe = load_recipe("demo", overrides={**needed, path: text})
    reached = getattr(recipe.table(table), name)
    assert (list(reached) if isinstance(reached, tuple) else reached) == value
    assert recipe.overrides == {**needed, path: value}
    if table == "model":
        reached = getattr(recipe.experiment(recipe.configurations[0], 1).model, name)
        assert (list(reached) if isinstance(reached, tuple) else reached) == value


def test_set_reaches_the_rest_of_the_experiment() -> None:
    overrides = {"evaluation.effective_rank_tokens": "77", "runs.seeds": "5"}
    recipe = load_recipe("demo", overrides=overrides)
    experiment = recipe.experiment(recipe.configurations[0], recipe.runs.seeds[0])
    assert (experiment.effective_rank_tokens, experiment.seed) == (77, 5)
    covered = {*CONFIGS, "effective_rank_tokens", "seed"}
    assert {item.name for item in fields(ExperimentConfig)} <= covered


@pytest.mark.parametrize("kind", [*CONFIGS.values(), *TABLES.values()])
def test_a_recipe_that_says_nothing_has_every_fields_default(kind: type[Any], tmp_path: Path) -> None:
    table = next(name for name, other in TABLES.items() if other is kind)
    owner = next((name for name, learner in learners().items() if table in learner.tables), "cvfp")
    recipe = load_recipe(recipe_file(tmp_path, f'kind = "{owner}"\n'))
    assert recipe.table(table) == kind()
    assert all(key.doc for key in table_keys(kind).values())


@pytest.mark.parametrize(
    ("text", "value"),
    [("50,100", (50, 100)), ("[50, 100]", (50, 100)), ("50", (50,)), (" 50 ", (50,))],
)
def test_lists_may_be_written_without_brackets(text: str, value: tuple[int, ...]) -> None:
    assert load_recipe("demo", overrides={"data.samples": text}).data.samples == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ('"quoted"', "quoted"),
        ("'raw'", "raw"),
        ('"a\\n\\nb"', "a\n\nb"),
        ("123", "123"),
        ("true", "true"),
        ("", ""),
    ],
)
def test_text_may_be_written_without_quotes(text: str, value: str) -> None:
    assert load_recipe("demo", overrides={"validation.separator": text}).validation.separator == value


def test_values_may_be_given_as_they_are() -> None:
    overrides = {
        "phase2.epochs": 5,
        "data.samples": (3, 4),
        "head.learn_logit_scale": False,
        "phase1.noise": 0,
    }
    recipe = load_recipe("demo", overrides=overrides)
    assert (recipe.tables["phase2"].epochs, recipe.data.samples, recipe.tables["head"].learn_logit_scale) == (
        5,
        (3, 4),
        False,
    )
    assert isinstance(recipe.tables["phase1"].noise, float)
    assert recipe.overrides == {**overrides, "data.samples": [3, 4]}


def test_a_grid_set_on_top_replaces_the_list_and_takes_the_rest_from_the_first() -> None:
    recipe = load_recipe("2025-11-29-architectures", overrides={"grid.layers": [1, 2]})
    assert recipe.configurations == (at(1, 768, 1), at(2, 768, 1))
    recipe = load_recipe("2025-11-30-matrix", overrides={"grid.tokens": "2"})
    assert [(item.axes["layers"], item.axes["tokens"]) for item in recipe.configurations] == [
        (1, 2),
        (2, 2),
        (3, 2),
    ]
    recipe = load_recipe("2025-11-30-matrix", overrides={"model.layers": "2"})
    assert [(item.axes["layers"], item.axes["tokens"]) for item in recipe.configurations] == [
        (2, 1),
        (2, 2),
        (2, 3),
    ]


def with_blocks(blocks: object, **grid: object) -> Recipe:
    further = {f"grid.{key}": value for key, value in grid.items()}
    return load_recipe("demo", overrides={"grid.layers": 1, "grid.model.blocks": blocks, **further})


@pytest.mark.parametrize(
    "blocks", ["none,64+32", "[],[64,32]", "[[],[64, 32]]", [[], [64, 32]], ["none", "64+32"]]
)
def test_a_list_is_the_value_of_an_axis_however_it_is_written(blocks: object, tmp_path: Path) -> None:
    recipe = with_blocks(blocks)
    assert [(item.axes["model.blocks"], item.axes["context_dim"]) for item in recipe.configurations] == [
        ((), 128),
        ((64, 32), 96),
    ]
    assert [item.label for item in recipe.configurations] == [
        "1L_128d_1tok_blocks=none",
        "1L_64+32d_1tok_blocks=64+32",
    ]
    assert [recipe.at(item).tables["model"].blocks for item in recipe.configurations] == [(), (64, 32)]
    back = load_recipe(recipe_file(tmp_path, recipe.to_toml()))
    assert (back.grid, back.configurations) == (recipe.grid, recipe.configurations)
    one = recipe.only(recipe.configurations[1], 50, 1, None)
    back = load_recipe(recipe_file(tmp_path, one.to_toml()))
    assert back.configurations == one.configurations


def test_configurations_one_by_one_may_have_lists(tmp_path: Path) -> None:
    listed = (
        {"layers": 1, "model": {"blocks": [8, 8]}},
        {"layers": 1, "model.blocks": [], "context_dim": 16},
    )
    recipe = load_recipe(recipe_file(tmp_path, tomli_w.dumps({"configurations": listed})))
    assert [item.axes["model.blocks"] for item in recipe.configurations] == [(8, 8), ()]
    assert [item.axes["context_dim"] for item in recipe.configurations] == [16, 16]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("grid.model.blocks", [64, 32], "64 must be a list or a word such as 256+128"),
        ("grid.model.blocks", "64+x", "each a whole number at least 1, not 'x'"),
        ("grid.model.blocks", "64+0", "each a whole number at least 1, not 0"),
        ("grid.model.blocks", "64+32,64+32", "has a value twice"),
        ("grid.data.samples", "50,100", "cannot be an axis: a study trains every size that it lists"),
        ("grid.runs.seeds", "1,2", "cannot be an axis: a study trains every seed that it lists"),
        ("grid.runs.ensemble", "true", "cannot be an axis: it adds a result to those of the seeds"),
        ("grid.validation.expected_tokens", "1,2", "cannot be an axis: it checks the text"),
        ("grid.gru.dropout", "0,0.1", "grid.gru.dropout is a field of another kind than cvfp"),
        (
            "grid.data.also",
            [["a+b.txt"], ["a", "b.txt"]],
            "two configurations would have the folder of 1L_128d_1tok_also=a+b.txt",
        ),
        ("grid.data.text_field", ["", "none"], "two configurations would have the folder of"),
    ],
)
def test_what_cannot_be_an_axis_is_told_with_the_reason(key: str, value: object, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        load_recipe("demo", overrides={"grid.layers": 1, key: value})


def test_an_axis_may_decide_another_one() -> None:
    assert dict(with_blocks("32+32", context_dim=64).grid or {})["context_dim"] == (64,)
    with pytest.raises(InputError, match="context_dim 96 is in no configuration, since model"):
        with_blocks("32+32", context_dim="64,96")
    # What the file says of the width gives way, and of an axis only values in use are kept.
    assert dict(with_blocks("32+32,48+48").grid or {})["context_dim"] == (64, 96)


def test_every_field_of_every_table_is_an_axis_or_has_a_reason() -> None:
    for kind, learner in learners().items():
        for name, table in (BASE_TABLES | learner.tables).items():
            for key, known in table_keys(table).items():
                assert (axis_key(f"{name}.{key}", [kind]) is None) is bool(known.no_axis), (kind, name, key)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["bpe:4096", "bpe:8192"], ["bpe-4096", "bpe-8192"]),
        (["a-b", "a b", "a/b"], ["a-b", "a-b-*", "a-b-*"]),
        ([tuple(range(100, 130)), tuple(range(100, 131))], ["100+101+*", "100+101+*"]),
    ],
)
def test_values_that_are_cut_or_changed_in_a_name_have_names_of_their_own(
    values: list[Any], words: list[str]
) -> None:
    place = {"layers": 1, "context_dim": 8, "tokens": 1}
    names = [Configuration({**place, "tokenizer.name": value}).label for value in values]
    assert len(set(names)) == len(values)
    for name, word in zip(names, words, strict=True):
        assert fnmatch(name, f"1L_8d_1tok_tokenizer.name={word}")
        assert len(name) < 80


def test_sizes_are_the_studys_unless_others_are_run_now() -> None:
    assert load_recipe("demo").sizes == (25, 50, 100, 200)
    recipe = load_recipe("demo", overrides={"runs.samples": "50"})
    assert (recipe.sizes, recipe.data.samples) == ((50,), (25, 50, 100, 200))
    assert load_recipe("demo").data_seeds == (None,)
    assert load_recipe("demo", overrides={"runs.data_seeds": "0,1"}).data_seeds == (0, 1)


@pytest.mark.parametrize("name", list_recipes())
def test_config_toml_reads_back_as_the_same_study(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, overrides={"phase2.epochs": 7, "runs.seeds": [1, 2]})
    back = load_recipe(recipe_file(tmp_path, recipe.to_toml()))
    assert (back.name, back.header, back.resolved(), back.grid) == (
        name,
        recipe.header,
        recipe.resolved(),
        recipe.grid,
    )
    assert back.configurations == recipe.configurations
    assert json.loads(json.dumps(recipe.resolved(), allow_nan=False)) == recipe.resolved()


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_narrowed_to_one_run_reads_back_as_that_run(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    configuration = recipe.configurations[-1]
    one = recipe.only(configuration, recipe.sizes[0], 3, data_seed=5)
    back = load_recipe(recipe_file(tmp_path, one.to_toml()))
    assert back.configurations == (configuration,)
    assert (back.sizes, back.runs.seeds, back.data_seeds) == ((recipe.sizes[0],), (3,), (5,))
    assert (
        back.data == recipe.data
    )  # the study's own list of sizes: it decides the tokenizer and the validation
    assert back.experiment(configuration, 3) == recipe.experiment(configuration, 3)


def test_the_resolved_recipe_names_every_key() -> None:
    resolved = load_recipe("2025-11-29-architectures").resolved()
    for name, kind in CONFIGS.items():
        expected = {item.name for item in fields(kind)} - (
            {"layers", "context_dim", "tokens"} if name == "model" else set()
        )
        assert resolved[name].keys() == expected
    assert resolved["configurations"][1] == {
        "name": "input_tokens_2",
        "layers": 6,
        "context_dim": 768,
        "tokens": 2,
    }
    assert load_recipe("2025-11-30-matrix").resolved()["configurations"][8]["layers"] == 3


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("phase2.patiense", 1, "unknown key phase2.patiense (did you mean phase2.patience?)"),
        ("phase2.noise", 1, "unknown key phase2.noise (did you mean phase1.noise?)"),
        ("model.learning_rate", 1, "(did you mean phase1.learning_rate or phase2.learning_rate?)"),
        ("phase3.epochs", 1, "unknown table [phase3] (did you mean [phase2]?)"),
        ("patience", 1, "(did you mean phase2.patience?)"),
        ("model.num_input_tokens", 1, "is an old script's name: here it is grid.tokens"),
        ("num_layers", 1, "is an old script's name: here it is grid.layers"),
        ("model.token_input_all_layers", "false", '"first_layer" for false'),
        ("phase2.phase2_patience", 1, "is an old script's name: here it is phase2.patience"),
        ("phase1.phase1_max_iterations", 1, "here it is phase1.max_iterations"),
        ("data.num_samples", 1, "here it is data.samples"),
        ("phase2.epochs", 0, "phase2.epochs must be a whole number at least 1, not 0"),
        ("phase2.epochs", "five", "phase2.epochs must be a whole number at least 1, not 'five'"),
        ("phase2.epochs", 2.5, "not 2.5"),
        ("phase2.epochs", "true", "not true"),
        ("phase2.epochs", 10**30, "a number beyond 2^63"),
        ("phase2.patience", -1, "at least 0, not -1"),
        ("phase1.noise", "nan", "phase1.noise must be a number at least 0, not nan"),
        ("phase1.noise", "inf", "not inf"),
        ("phase1.diversity_weight", 1.5, "at least 0 and at most 1, not 1.5"),
        ("phase1.converged_ratio", 0, "above 0"),
        ("phase1.learning_rate", 0, "phase1.learning_rate must be a number above 0, not 0"),
        ("head.learn_logit_scale", "yes", "must be true or false, not 'yes'"),
        ("model.activation", "gelo", "must be one of relu, gelu, not 'gelo' (did you mean gelu?)"),
        ("head.bias", "unigramm", "(did you mean unigram?)"),
        ("grid.layers", "0", "a list, each a whole number at least 1, not 0"),
        ("data.samples", "50,50", "data.samples has a value twice"),
        ("data.samples", "[]", "data.samples must not be empty"),
        ("data.samples", list(range(1, 1002)), "has 1,001 values; the most is 1,000"),
        ("tokenizer.name", [1], "tokenizer.name must be text, not [1]"),
        ("grid.layers", list(range(1, 1001)), ""),
    ],
)
def test_a_wrong_setting_is_answered_with_the_right_one(key: str, value: Any, said: str) -> None:
    if said:
        assert said in refusal(**{key.replace(".", "__"): value})
    else:
        assert len(load_recipe("demo", overrides={key: value}).configurations) == 1000


def test_a_grid_that_is_too_large_is_refused_before_it_is_made() -> None:
    thousand = list(range(1, 1001))
    assert "more than 10,000 configurations" in refusal(
        grid__layers=thousand, grid__tokens=thousand, grid__context_dim=thousand
    )


def test_what_no_single_key_shows() -> None:
    assert "phase1.min_iterations (50) is above phase1.max_iterations (40)" in refusal(
        phase1__min_iterations=50
    )
    assert "an untied head is always trained" in refusal(head__weights="untied", head__table="trained")
    assert "that of an untied head" in refusal(head__start="uniform")


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    path = recipe_file(
        tmp_path,
        """
        colour = "red"
        [phase1]
        noise = -1
        max_iteration = 3
        [phase2]
        phase2_patience = 1
        [fase2]
        epochs = 1
        [model]
        activation = "tanh"
        """,
    )
    said = refusal(path)
    for part in (
        "colour",
        "phase1.noise",
        "phase1.max_iterations",
        "phase2.patience",
        "[phase2]",
        "model.activation",
    ):
        assert part in said
    assert said.startswith(str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[phase1\n", "is not TOML: "),
        ("a = 1\na = 2\n", "is not TOML: "),
        ("phase1 = 3\n", "phase1 must be a table, not 3"),
        ("[[phase1]]\n", "phase1 must be a table"),
        ("grid = 3\n[model]\nlayers = 1\n", "grid must be a table, not 3"),
        ("configurations = 3\n", "[[configurations]] must list"),
        ("configurations = []\n", "[[configurations]] must list"),
        ("configurations = [3]\n", "configurations[0] must be a table, not 3"),
        (
            "[[configurations]]\nlayer = 3\n",
            "configurations[0].layer (did you mean configurations[0].layers?)",
        ),
        ("[[configurations]]\nlayers = 0\n", "configurations[0].layers must be"),
        ("[[configurations]]\n[[configurations]]\n", "the same layers, tokens and context_dim twice"),
        (
            '[[configurations]]\nname = "a"\n[[configurations]]\nname = "a"\nlayers = 2\n',
            "the same name twice",
        ),
        ('[[configurations]]\nname = "a\\nb"\n', "configurations[0].name must be one line"),
        ("[[configurations]]\n[grid]\nlayers = 2\n", "either [grid] or [[configurations]]"),
        ("[[configurations]]\n[model]\nlayers = 2\n", "layers is given in [model] and in the list"),
        ("[grid]\nlayers = 2\n[model]\nlayers = 2\n", "layers is given in [model] and in the list"),
        ('name = ""\n', "name must be one line"),
        ("name = 3\n", "name must be one line"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("x = " + "9" * 5000, "more than 4,300 digits"),
        ("#" * 70_000, "larger than 64 kB"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(recipe_file(tmp_path, text))


def test_a_recipe_that_is_not_there() -> None:
    assert "Did you mean 2025-11-30-matrix?" in refusal("2025-11-30-matrx")
    assert "There are 2025-11-27-3l, " in refusal("zzz")
    assert "no file" in refusal("nowhere/mine.toml")
    assert "'a\\x00b'" in refusal("a\0b")


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"# \xff\n")
    assert "byte 2 is not UTF-8" in refusal(tmp_path / "mine.toml")


def test_a_users_file_has_its_own_name_unless_it_says_another(tmp_path: Path) -> None:
    assert load_recipe(recipe_file(tmp_path, "[phase2]\nepochs = 3\n")).name == "mine"
    assert load_recipe(recipe_file(tmp_path, 'name = "study"\n')).name == "study"


def test_one_value_in_the_model_table_is_a_grid_of_one(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, "[model]\nlayers = 3\n[grid]\ntokens = [1, 2]\n"))
    assert [(item.axes["layers"], item.axes["tokens"]) for item in recipe.configurations] == [(3, 1), (3, 2)]
    assert recipe.tables["model"].layers == 3


LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=3)
)
NAMES = st.sampled_from([*TABLES, "configurations", "name", "phase3"])
KEYS = st.sampled_from([key for kind in TABLES.values() for key in table_keys(kind)]) | st.text(max_size=6)


def loaded(path: Path, **options: Any) -> Recipe | str:
    """The recipe or the one line of its refusal; any other exception is a bug and gets out."""
    try:
        return load_recipe(path, **options)
    except InputError as problem:
        return str(problem)


@pytest.mark.pinned_only("the project's own text, in many examples")
@given(st.dictionaries(NAMES, st.dictionaries(KEYS, LEAF, max_size=4) | LEAF, max_size=4))
@settings(max_examples=200)
def test_any_toml_ends_in_a_recipe_that_reads_back_or_in_one_line(
    tmp_path_factory: Any, value: dict[str, Any]
) -> None:
    import tomli_w

    plain = json.loads(json.dumps(value).replace("null", "0"))  # TOML has no null
    try:
        text = tomli_w.dumps(plain)
    except UnicodeEncodeError:  # half a surrogate pair has no TOML
        return
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    result = loaded(path)
    if isinstance(result, str):
        assert "\n" not in result
    else:
        assert tomllib.loads(result.to_toml())["phase2"] == result.resolved()["phase2"]


@pytest.mark.pinned_only("the project's own text, in many examples")
@given(st.binary(max_size=120) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace")))
@settings(max_examples=300)
def test_random_bytes_end_in_a_recipe_or_one_line(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.toml"
    path.write_bytes(data)
    result = loaded(path)
    assert isinstance(result, Recipe) or "\n" not in result


@pytest.mark.pinned_only("the project's own text, in many examples")
@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=300)
def test_any_override_is_taken_or_answered_in_one_line(key: str, value: str) -> None:
    for path in (key, f"phase1.{key}", "data.samples", "phase1.noise", "validation.separator", "runs.seeds"):
        result = loaded(Path("demo"), overrides={path: value})
        assert isinstance(result, Recipe) or "\n" not in result


@given(st.data())
def test_every_value_in_range_survives_config_toml(tmp_path_factory: Any, data: st.DataObject) -> None:
    overrides: dict[str, Any] = {}
    for table in ("head", "phase1", "phase2", "validation", "data"):
        for name, key in table_keys(CONFIGS[table]).items():
            low = key.above if key.above is not None else key.low
            values: dict[Any, Any] = {
                bool: st.booleans(),
                str: st.text(st.characters(codec="utf-8"), max_size=10).map(json.dumps),
                int: st.integers(int(low or 0), 2**31),
                float: st.floats(
                    low, key.high if key.high is not None else 1e9, exclude_min=key.above is not None
                ),
            }
            one = st.sampled_from(key.choices) if key.choices else values[key.kind]
            overrides[f"{table}.{name}"] = data.draw(
                st.lists(one, min_size=1, max_size=3, unique=True) if key.many else one
            )
    overrides["phase1.max_iterations"] = 2**31
    overrides["head.weights"], overrides["head.start"] = "tied", "zero"
    overrides["phase1.skip"] = overrides["phase1.slices"] = False
    overrides["model.layers"], overrides["model.token_block"] = 1, "mlp"
    overrides["head.table"], overrides["phase2.embedding"] = "frozen", "trained"
    recipe = load_recipe("demo", overrides=overrides)
    path = tmp_path_factory.getbasetemp() / "back.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8", newline="")
    # What is here by chance, such as the folder ".", is a path and comes back as one that holds from anywhere.
    assert load_recipe(path).resolved() == made_absolute(recipe.resolved())


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "corpus").iterdir()), ids=lambda path: path.name
)
def test_the_fuzzers_corpus_ends_in_a_recipe_or_one_line(path: Path) -> None:
    result = loaded(path)
    assert isinstance(result, Recipe) or "\n" not in result


@pytest.mark.parametrize("text", ["[phase1]\n{}", "{}", "[[configurations]]\n{}", "[{}]"])
def test_a_thousand_wrong_names_are_not_all_compared_with_the_right_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    compared = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda word, *rest, **more: compared.append(word) or [])
    path = tmp_path / "many.toml"
    parts = [f"x{number}" for number in range(1000)]
    separator = "]\n[" if text == "[{}]" else " = 1\n"
    path.write_text(text.format(separator.join(parts)) + ("" if text == "[{}]" else " = 1\n"))
    refusal = loaded(path)
    assert isinstance(refusal, str)
    assert refusal.endswith("; and perhaps more.")
    assert 0 < len(compared) <= 2 * MOST_PROBLEMS


def test_another_source_stands_for_all_that_a_recipe_reads(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('[data]\nsource = "a.jsonl"\nalso = ["b.jsonl"]\n')
    assert load_recipe(path).data.also == (str(tmp_path / "b.jsonl"),)
    assert load_recipe(path, overrides={"data.source": "c.jsonl"}).data.also == ()
    both = load_recipe(path, overrides={"data.source": "c.jsonl", "data.also": ["d.jsonl"]})
    assert both.data.also == ("d.jsonl",)


BLOCKS_FILE = """
[model]
blocks = [256, 256]
[phase1]
slices = true
[phase2]
train_contexts = "recurrence"
past = { count = 2, interval = 3 }
"""


def test_blocks_name_the_configuration_and_decide_its_width(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, BLOCKS_FILE))
    (item,) = recipe.configurations
    assert item.label == recipe.experiment(item, 1).model.name == "1L_2x256d_1tok"
    assert item.axes == {"layers": 1, "tokens": 1, "context_dim": 512}
    assert recipe.experiment(item, 1).model.blocks == (256, 256)
    phase2 = recipe.tables["phase2"]
    assert (phase2.past_count, phase2.past_interval) == (2, 3)
    again = tmp_path / "again.toml"
    again.write_text(recipe.to_toml())
    assert load_recipe(again).configurations[0].label == "1L_2x256d_1tok"


def test_blocks_set_now_replace_the_recipes_width() -> None:
    recipe = load_recipe("2025-12-03-context-dim", overrides={"model.blocks": "256,128"})
    assert [item.label for item in recipe.configurations] == ["1L_256+128d_1tok"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[grid]\ncontext_dim = [256]", "context_dim is 512 by model.blocks"),
        ("[grid]\nlayers = [2]", "model.layers is 2"),
        ("[head]\ntable = 7", "head.table"),
    ],
)
def test_what_blocks_cannot_be_combined_with(tmp_path: Path, more: str, said: str) -> None:
    assert said in str(loaded(recipe_file(tmp_path, BLOCKS_FILE + more)))


def test_a_run_without_phase_1_needs_the_recurrence() -> None:
    with pytest.raises(InputError, match=r"phase1\.skip"):
        load_recipe("demo", overrides={"phase1.skip": "true"})


def test_a_folder_to_start_from_may_be_another_for_each_run(tmp_path: Path) -> None:
    text = 'kind = "end-to-end"\n[joint]\nstart_from = "two/runs/s{samples}_seed{seed}"\n'
    recipe = load_recipe(recipe_file(tmp_path, text))
    item = recipe.configurations[0]
    assert recipe.experiment(item, 3, 200).joint.start_from == str(tmp_path / "two/runs/s200_seed3")
    starts = [Path(run.config.joint.start_from).name for run in experiments(recipe)]
    assert starts[:2] == ["s50_seed42", "s100_seed42"]
    one = recipe.only(item, 50, 42, None)  # its config.toml still says where, from any folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    back = load_recipe(recipe_file(elsewhere, one.to_toml()))
    assert back.experiment(item, 42, 50).joint.start_from == str(tmp_path / "two/runs/s50_seed42")
