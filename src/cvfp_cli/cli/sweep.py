"""``cvfp sweep``: every experiment of a grid, and the summary."""

from pathlib import Path
from typing import Annotated

from cvfp_cli.cli import options, study
from cvfp_cli.cli.options import OUTPUT, option

GRID = "Grid (lists such as 1-3 or 50,100,200; without one, the recipe's)"


def sweep(
    recipe: options.RecipeOption = None,
    layers: Annotated[
        list[str] | None, option("--layers", panel=GRID, metavar="LIST", help="Layers in each block (L).")
    ] = None,
    tokens: Annotated[
        list[str] | None, option("--tokens", panel=GRID, metavar="LIST", help="Input tokens per step (K).")
    ] = None,
    context_dim: Annotated[
        list[str] | None,
        option("--context-dim", panel=GRID, metavar="LIST", help="Width of the context vector (D)."),
    ] = None,
    samples: Annotated[
        list[str] | None, option("--samples", panel=GRID, metavar="LIST", help="Training samples.")
    ] = None,
    seeds: Annotated[
        list[str] | None,
        option("--seeds", panel=GRID, metavar="LIST", help="Seeds of initialisation and noise."),
    ] = None,
    data_seeds: Annotated[
        list[str] | None,
        option(
            "--data-seeds",
            panel=GRID,
            metavar="LIST",
            help="Which samples train, drawn by seed. [default: the first n]",
        ),
    ] = None,
    settings: options.SetOption = None,
    list_recipes: options.ListRecipesOption = False,
    data: options.DataOption = None,
    split: options.SplitOption = None,
    text_field: options.TextFieldOption = None,
    tokenizer: options.TokenizerOption = None,
    embedding: options.EmbeddingOption = None,
    validation: options.ValidationOption = None,
    cache_dir: options.CacheDirOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = None,
    state_dtype: options.StateDtypeOption = None,
    memory: options.MemoryOption = None,
    threads: options.ThreadsOption = None,
    out: options.OutOption = Path("results"),
    dry_run: options.DryRunOption = False,
    save_models: Annotated[
        bool, option("--save-models", panel=OUTPUT, help="Keep every run's weights (model.safetensors).")
    ] = False,
    fresh: options.FreshOption = False,
    recover: options.RecoverOption = False,
    tensorboard: options.TensorboardOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train every experiment of a grid, and sum them up.

    The same command again skips what is done and finishes the rest; other layers, tokens, samples or seeds add
    runs to the folder.

    \b
    cvfp sweep --recipe demo --samples 25,50 --out first
    cvfp sweep --layers 1-3 --tokens 1-3 --samples 50,100,200,500
    cvfp sweep --recipe demo --data my.jsonl --validation tail:10% --dry-run
    """
    if list_recipes:
        study.list_recipes()
        return
    problems = study.Problems()
    overrides: dict[str, object] = {}
    with problems.collect():
        overrides |= options.assignments(settings)
    overrides |= study.text_settings(data, split, text_field, tokenizer, embedding, validation)
    lists = {
        "grid.layers": ("--layers", layers, 1),
        "grid.tokens": ("--tokens", tokens, 1),
        "grid.context_dim": ("--context-dim", context_dim, 1),
        "runs.samples": ("--samples", samples, 1),
        "runs.seeds": ("--seeds", seeds, 0),
        "runs.data_seeds": ("--data-seeds", data_seeds, 0),
    }
    for key, (name, texts, least) in lists.items():
        with problems.collect():
            values = options.integers(texts, name, least=least)
            if values is not None:
                overrides[key] = values
    machine = study.Machine(device, precision, memory, threads, state_dtype)
    place = study.Place(out, fresh, recover, quiet, tensorboard, cache_dir)
    study.check_machine(machine, problems)
    loaded = study.load(recipe, overrides, problems)
    plan, store, environment = study.checked_plan(loaded, machine, place)
    if dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan)
        return
    from cvfp_cli.cli.summary import print_summary
    from cvfp_cli.sweep.executor import Keeping

    ended = study.carry_out_plan(
        plan,
        store,
        environment,
        place,
        keeping=Keeping(weights=save_models),
        fresh=fresh,
        go_on=study.command_line(without=("--fresh",)),
    )
    print_summary(ended.runs, ended.fits)
    study.end(ended, place)
