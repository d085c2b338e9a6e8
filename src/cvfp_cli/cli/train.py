"""``cvfp train``: one experiment, and its figures."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cvfp_cli.cli import options, study
from cvfp_cli.cli.options import OUTPUT, option
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

EXPERIMENT = "Experiment (without one, the first of the recipe's list)"


def train(
    recipe: options.RecipeOption = None,
    layers: Annotated[
        str | None, option("--layers", panel=EXPERIMENT, metavar="N", help="Layers in each block (L).")
    ] = None,
    tokens: Annotated[
        str | None, option("--tokens", panel=EXPERIMENT, metavar="N", help="Input tokens per step (K).")
    ] = None,
    context_dim: Annotated[
        str | None,
        option("--context-dim", panel=EXPERIMENT, metavar="N", help="Width of the context vector (D)."),
    ] = None,
    samples: Annotated[
        str | None, option("--samples", panel=EXPERIMENT, metavar="N", help="Training samples.")
    ] = None,
    seed: Annotated[
        str | None,
        option("--seed", panel=EXPERIMENT, metavar="N", help="Seed of initialisation and noise."),
    ] = None,
    data_seed: Annotated[
        str | None,
        option(
            "--data-seed",
            panel=EXPERIMENT,
            metavar="N",
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
    resume: Annotated[
        bool, option("--resume", panel=OUTPUT, help="Go on from the run's last iteration or epoch.")
    ] = False,
    fresh: Annotated[
        bool, option("--fresh", panel=OUTPUT, help="Train again even if the run is done.")
    ] = False,
    recover: options.RecoverOption = False,
    tensorboard: options.TensorboardOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train one experiment and show its figures.

    Weights, figures and one line an iteration and epoch go to runs/ in the results folder. A run that is done is
    shown, not repeated.

    \b
    cvfp train --recipe demo --samples 50
    cvfp train --layers 3 --tokens 2 --samples 500 --device cuda
    cvfp train --recipe my.toml --set phase2.epochs=20 --resume
    """
    if list_recipes:
        study.list_recipes()
        return
    problems = study.Problems()
    overrides: dict[str, object] = {}
    with problems.collect():
        overrides |= options.assignments(settings)
    overrides |= study.text_settings(data, split, text_field, tokenizer, embedding, validation)
    given = {
        "grid.layers": ("--layers", layers, 1),
        "grid.tokens": ("--tokens", tokens, 1),
        "grid.context_dim": ("--context-dim", context_dim, 1),
        "runs.samples": ("--samples", samples, 1),
        "runs.seeds": ("--seed", seed, 0),
        "runs.data_seeds": ("--data-seed", data_seed, 0),
    }
    for key, (name, text, least) in given.items():
        with problems.collect():
            values = options.integers([text] if text is not None else None, name, least=least)
            if values is not None and len(values) > 1:
                raise InputError(f"{name}: train takes one value.", hint="For several use cvfp sweep.")
            if values is not None:
                overrides[key] = values
    if resume and fresh:
        problems.found.append(InputError("--resume and --fresh exclude each other."))
    machine = study.Machine(device, precision, memory, threads, state_dtype)
    place = study.Place(out, False, recover, quiet, tensorboard, cache_dir)
    study.check_machine(machine, problems)
    loaded = study.load(recipe, overrides, problems)
    one = loaded.only(loaded.configurations[0], loaded.sizes[0], loaded.runs.seeds[0], loaded.data_seeds[0])
    plan, store, environment = study.checked_plan(one, machine, place)
    if fresh:
        plan = replace(plan, jobs=tuple(replace(job, recorded=None) for job in plan.jobs))
    if dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan)
        return
    from cvfp_cli.cli.summary import print_run
    from cvfp_cli.sweep.checkpoint import FILE_NAME
    from cvfp_cli.sweep.executor import Keeping

    if not plan.remaining:
        study.say(f"{plan.jobs[0].name} is done already; --fresh trains it again.", quiet=quiet)
    elif not (resume or fresh) and (plan.jobs[0].folder / FILE_NAME).exists():
        left = Note(
            "checkpoint-unused",
            f"{plan.jobs[0].folder / FILE_NAME} of an earlier attempt is not used; --resume goes on from it.",
            "warning",
        )
        study.tell([left], quiet=quiet)
    ended = study.carry_out_plan(
        plan,
        store,
        environment,
        place,
        keeping=Keeping(weights=True, resume=resume),
        again=fresh,
        go_on=study.command_line(without=("--fresh",), add=("--resume",)),
    )
    print_run(ended.here[0])
    study.say(f"run: {plan.jobs[0].folder}", quiet=quiet)
    study.end(ended, place)
