"""``cvfp sweep``: every experiment of a grid, and the summary."""

from dataclasses import replace
from typing import Annotated

from cvfp_cli.cli import study
from cvfp_cli.cli.asking import ask, refuse_unattended
from cvfp_cli.cli.axes import Axes, AxisOptions
from cvfp_cli.cli.crew import check_crew, shard_of
from cvfp_cli.cli.options import MORE, OUTPUT, assignments, flag, given
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Crew, Machine, Place, StudyOptions, TextOptions
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError

GRID = "Grid (lists such as 1-3, 100-500:100 or 50,100; without one, the recipe's)"


def sweep(
    chosen: StudyOptions,
    axes: Annotated[Axes, AxisOptions(GRID, "LIST")],
    grid: list[str] | None = given(GRID, "KEY=LIST", "Any field as an axis: phase1.noise=0,0.1."),
    samples: list[str] | None = given(GRID, "LIST", "Training samples."),
    seeds: list[str] | None = given(GRID, "LIST", "Seeds of initialisation and noise."),
    data_seeds: list[str] | None = given(
        MORE, "LIST", "Draw the training samples by seed.", default="the first n"
    ),
    ensemble: bool = flag(MORE, "Also the mean of all seeds' probabilities."),
    *,
    text: TextOptions,
    machine: Machine,
    crew: Crew,
    place: Place,
    save_models: bool = flag(OUTPUT, "Keep every run's model (docs/models.md)."),
    fresh: bool = flag(OUTPUT, "Set the folder's study aside (old-1) and start over."),
) -> None:
    """Train every experiment of a grid, and sum them up.

    The same command again skips what is done and finishes the rest; other layers, tokens, samples or seeds add
    runs to the folder.

    \b
    cvfp sweep --recipe demo --samples 25,50 --out first
    cvfp sweep --layers 1-3 --tokens 1-3 --samples 50,100,200,500
    cvfp sweep --recipe demo --data my.jsonl --validation tail:10% --dry-run
    """
    if study.printed(chosen):
        return
    problems = Problems()
    lists = {
        **axes.given(),
        "runs.samples": ("--samples", samples),
        "runs.seeds": ("--seeds", seeds),
        "runs.data_seeds": ("--data-seeds", data_seeds),
    }
    overrides = study.overrides(chosen, text, problems) | study.grid_overrides(lists, problems)
    with problems.collect():
        overrides |= {f"grid.{key}": value for key, value in assignments(grid, "--grid").items()}
    if ensemble:
        overrides["runs.ensemble"] = True
    study.check_machine(machine, problems)
    check_crew(crew, machine, problems)
    with problems.collect():
        shard = shard_of(crew)
        if shard is not None and fresh:
            raise InputError("--shard and --fresh exclude each other.", hint="Use a new --out.")
    sizes = [] if place.dry_run else study.large_ranges(lists)
    replaced = study.about_fresh(place) if fresh and not place.dry_run else []
    for question in [*sizes, *replaced]:
        with problems.collect():
            refuse_unattended(question, yes=place.yes)
    loaded = study.load(chosen.recipe, overrides, problems)
    study.tell(study.about_seeds(lists), quiet=place.quiet)
    for question in sizes:
        ask(question, yes=place.yes)
    plan, store, environment, team = study.checked_plan(loaded, machine, place, crew=crew, fresh=fresh)
    plan = replace(plan, shard=shard)
    if place.dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan, team.size)
        return
    from cvfp_cli.cli.summary import print_answer, print_summary
    from cvfp_cli.sweeps.remarks import remarks
    from cvfp_cli.sweeps.work import Keeping

    study.tell_if_long(plan, place, team.size)
    for question in replaced:
        ask(question, yes=place.yes)
    ended = study.carry_out_plan(
        plan,
        store,
        environment,
        place,
        keeping=Keeping(weights=save_models),
        team=team,
        fresh=fresh,
        go_on=study.command_line(without=("--fresh", *(() if sizes else ("--yes", "-y")))),
    )
    print_answer(ended.runs, place.out)
    print_summary(ended.runs, ended.fits)
    if elsewhere := len(plan.own) - len(ended.here):
        study.say(
            f"{counted(elsewhere, 'run is', 'runs are')} under way in another command.", quiet=place.quiet
        )
    study.tell(remarks(ended.here, plan.recipe), quiet=place.quiet)
    study.end(ended, place, next_commands=study.reading_commands(ended, place))
