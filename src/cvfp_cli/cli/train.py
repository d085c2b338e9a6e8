"""``cvfp train``: one experiment, and its figures."""

from dataclasses import replace
from typing import Annotated

from cvfp_cli.cli import study
from cvfp_cli.cli.options import MORE, OUTPUT, option
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Machine, Place, Study, Text
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

EXPERIMENT = "Experiment (without one, the first of the recipe's list)"


def train(
    chosen: Study,
    layers: Annotated[
        list[str] | None, option("--layers", panel=EXPERIMENT, metavar="N", help="Layers in each block (L).")
    ] = None,
    tokens: Annotated[
        list[str] | None, option("--tokens", panel=EXPERIMENT, metavar="N", help="Input tokens per step (K).")
    ] = None,
    context_dim: Annotated[
        list[str] | None,
        option("--context-dim", panel=EXPERIMENT, metavar="N", help="Width of the context vector (D)."),
    ] = None,
    samples: Annotated[
        list[str] | None, option("--samples", panel=EXPERIMENT, metavar="N", help="Training samples.")
    ] = None,
    seed: Annotated[
        list[str] | None,
        option("--seed", panel=EXPERIMENT, metavar="N", help="Seed of initialisation and noise."),
    ] = None,
    data_seed: Annotated[
        list[str] | None,
        option(
            "--data-seed",
            panel=MORE,
            metavar="N",
            help="Draw the training samples by seed.",
            default="the first n",
        ),
    ] = None,
    *,
    text: Text,
    machine: Machine,
    place: Place,
    resume: Annotated[
        bool, option("--resume", panel=OUTPUT, help="Go on from the run's last iteration or epoch.")
    ] = False,
    fresh: Annotated[
        bool, option("--fresh", panel=OUTPUT, help="Train again even if the run is done.")
    ] = False,
) -> None:
    """Train one experiment and show its figures.

    Weights, figures and one line an iteration and epoch go to runs/ in the results folder. A run that is done is
    shown, not repeated.

    \b
    cvfp train --recipe demo --samples 50
    cvfp train --layers 3 --tokens 2 --samples 500 --device cuda
    cvfp train --recipe my.toml --set phase2.epochs=20 --resume
    """
    if chosen.list_recipes:
        study.list_recipes()
        return
    problems = Problems()
    point = {
        "grid.layers": ("--layers", layers),
        "grid.tokens": ("--tokens", tokens),
        "grid.context_dim": ("--context-dim", context_dim),
        "runs.samples": ("--samples", samples),
        "runs.seeds": ("--seed", seed),
        "runs.data_seeds": ("--data-seed", data_seed),
    }
    overrides = study.overrides(chosen, text, problems)
    overrides |= study.grid_overrides(point, problems, single=True)
    if resume and fresh:
        problems.found.append(InputError("--resume and --fresh exclude each other."))
    study.check_machine(machine, problems)
    loaded = study.load(chosen.recipe, overrides, problems)
    one = loaded.only(loaded.configurations[0], loaded.sizes[0], loaded.runs.seeds[0], loaded.data_seeds[0])
    plan, store, environment = study.checked_plan(one, machine, place)
    if fresh:
        plan = replace(plan, jobs=tuple(replace(job, recorded=None) for job in plan.jobs))
    if place.dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan)
        return
    from cvfp_cli.cli.summary import print_run
    from cvfp_cli.sweep.checkpoint import FILE_NAME
    from cvfp_cli.sweep.executor import Keeping
    from cvfp_cli.sweep.remarks import remarks

    if not plan.remaining:
        study.say(f"{plan.jobs[0].name} is done already; --fresh trains it again.", quiet=place.quiet)
    elif not (resume or fresh) and (plan.jobs[0].folder / FILE_NAME).exists():
        left = Note(
            "checkpoint-unused",
            f"{plan.jobs[0].folder / FILE_NAME} of an earlier attempt is not used; --resume goes on from it.",
            "warning",
        )
        study.tell([left], quiet=place.quiet)
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
    study.tell(remarks(ended.here, plan.recipe), quiet=place.quiet)
    study.say(f"run: {plan.jobs[0].folder}", quiet=place.quiet)
    study.end(ended, place)
