"""``cvfp train``: one experiment, and its figures."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cvfp_cli.cli import study
from cvfp_cli.cli.asking import ask, refuse_unattended
from cvfp_cli.cli.axes import Axes, AxisOptions
from cvfp_cli.cli.options import MORE, OUTPUT, flag, given, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Machine, Place, StudyOptions, TextOptions
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

if TYPE_CHECKING:
    from cvfp_cli.recipes import Recipe
    from cvfp_cli.sweeps.session import Ended

EXPERIMENT = "Experiment (without one, the first of the recipe's list)"


def train(
    chosen: StudyOptions,
    point: Annotated[Axes, AxisOptions(EXPERIMENT, "N")],
    samples: list[str] | None = given(EXPERIMENT, "N", "Training samples."),
    seed: list[str] | None = given(EXPERIMENT, "N", "Seed of initialisation and noise."),
    data_seed: list[str] | None = given(
        MORE, "N", "Draw the training samples by seed.", default="the first n"
    ),
    start_from: str | None = given(
        MORE, "FOLDER", "A finished run, whose weights end-to-end training starts from."
    ),
    *,
    text: TextOptions,
    machine: Machine,
    place: Place,
    resume: bool = flag(OUTPUT, "Go on from the run's last iteration or epoch."),
    fresh: bool = flag(OUTPUT, "Train again; what the run left is set aside (old-1)."),
) -> None:
    """Train one experiment and show its figures.

    Weights, figures and one line an iteration and epoch go to runs/ in the results folder. A run that is done is
    shown, not repeated.

    \b
    cvfp train --recipe demo --samples 50
    cvfp train --layers 3 --tokens 2 --samples 500 --device cuda
    cvfp train --recipe my.toml --set phase2.epochs=20 --resume
    """
    if study.printed(chosen):
        return
    problems = Problems()
    given = {
        **point.given(),
        "runs.samples": ("--samples", samples),
        "runs.seeds": ("--seed", seed),
        "runs.data_seeds": ("--data-seed", data_seed),
    }
    from cvfp_cli.sweeps.grid import experiments

    overrides = study.overrides(chosen, text, problems)
    overrides |= study.grid_overrides(given, problems, single=True)
    if start_from is not None:
        overrides["joint.start_from"] = start_from
    with problems.collect():
        if len(words_of(chosen.kind)) > 1:
            raise InputError("--kind: train takes one value.", hint="For several use cvfp sweep.")
    if resume and fresh:
        problems.found.append(InputError("--resume and --fresh exclude each other."))
    study.check_machine(machine, problems)
    loaded = study.load(chosen.recipe, overrides, problems)
    one = loaded.only(loaded.configurations[0], loaded.sizes[0], loaded.runs.seeds[0], loaded.data_seeds[0])
    replaced = []
    if fresh and not place.dry_run:
        replaced = study.about_fresh(place, [point.name for point in experiments(one)])
    for question in replaced:
        refuse_unattended(question, yes=place.yes)
    plan, store, environment, team = study.checked_plan(one, machine, place)
    if fresh:
        plan = replace(plan, jobs=tuple(replace(job, recorded=None) for job in plan.jobs))
    if place.dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan)
        return
    from cvfp_cli.cli.summary import print_run
    from cvfp_cli.sweeps.remarks import remarks
    from cvfp_cli.sweeps.work import Keeping

    if not plan.remaining:
        study.say(
            f"{plan.jobs[0].name} is done already; --fresh sets it aside and trains it again.",
            quiet=place.quiet,
        )
    elif not (resume or fresh) and plan.jobs[0].checkpoint.exists():
        left = Note(
            "checkpoint-unused",
            f"{plan.jobs[0].checkpoint} of an earlier attempt is not used; --resume goes on from it.",
            "warning",
        )
        study.tell([left], quiet=place.quiet)
    study.tell_if_long(plan, place)
    for question in replaced:
        ask(question, yes=place.yes)
    ended = study.carry_out_plan(
        plan,
        store,
        environment,
        place,
        keeping=Keeping(weights=True, resume=resume),
        team=team,
        again=fresh,
        go_on=study.command_line(without=("--fresh", "--yes", "-y"), add=("--resume",)),
    )
    print_run(ended.here[0])
    study.tell(remarks(ended.here, plan.recipe), quiet=place.quiet)
    study.say(f"run: {plan.jobs[0].folder}", quiet=place.quiet)
    study.end(ended, place, next_commands=_next_commands(ended, loaded, place))


def _next_commands(ended: "Ended", loaded: "Recipe", place: Place) -> list[str]:
    """A run alone is no law: its other sizes come next, and once there are some, what reads them."""
    run = ended.here[0]
    sizes = loaded.data.samples
    has_law = any(fit["config"] == run.config for fit in ended.fits)
    if run.status != "done" or has_law or len(sizes) < 2:
        return study.reading_commands(ended, place)
    point = study.point_options(run)
    return [study.as_sweep([*point, "--samples", ",".join(map(str, sizes))])]
