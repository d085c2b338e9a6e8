"""``cvfp plan``: from a study so far, what to run next under a budget, and what that does to an interval."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvfp_cli.cli import study, writing
from cvfp_cli.cli.choices import GOALS
from cvfp_cli.cli.figures import MISSING, duration
from cvfp_cli.cli.options import MORE, OUTPUT, flag, given, integers, one_of, share_between, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import (
    DEFAULT_RESULTS,
    RESULTS_WORDS,
    Crew,
    Machine,
    Place,
    answer_file,
    check_answer,
    path_text,
)
from cvfp_cli.cli.terminal import screen
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError

if TYPE_CHECKING:
    from cvfp_cli.results import Results
    from cvfp_cli.scaling.blocks import Block
    from cvfp_cli.scaling.narrowing import NextRuns
    from cvfp_cli.study.families import Family

WHAT, BUDGET = "What to narrow", "Budget (one of them)"
FORMATS = ("table", "markdown", "json")


def plan(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RESULTS", help=f"{RESULTS_WORDS}.", show_default=str(DEFAULT_RESULTS)),
    ] = None,
    goal: str = given(
        WHAT,
        "GOAL",
        "alpha, ppl@N, asymptote, difference:A,B[@N] (N training tokens).",
        start="alpha",
        words=GOALS,
    ),
    configs: list[str] | None = given(WHAT, "LIST", "Only these configurations.", default="all"),
    level: float = given(WHAT, "SHARE", "Confidence of the intervals.", start=0.95),
    budget_seconds: float | None = given(BUDGET, "N", "Time of the new runs, one after the other."),
    budget_tokens: float | None = given(BUDGET, "N", "Training tokens of the new runs, each once."),
    budget_flops: float | None = given(BUDGET, "N", "Floating-point operations of the new runs."),
    sizes: list[str] | None = given(
        WHAT, "LIST", "Sizes that may be run.", default="those there, between, up to 8 times the largest"
    ),
    apply: bool = flag(OUTPUT, "Run it, into the folder RESULTS."),
    form: str = given(
        OUTPUT, "NAME", "table, markdown or json.", name="--format", start="table", words=FORMATS
    ),
    out: Path | None = given(OUTPUT, "FILE", "File to write the plan to.", short="-o", default="stdout"),
    quiet: bool = flag(OUTPUT, "No progress; errors are still shown.", short="-q"),
    *,
    machine: Machine,
    crew: Crew,
    recover: bool = flag(MORE, "Use what a damaged results file still tells."),
    cache_dir: Path | None = given(
        MORE, "FOLDER", "Where token streams are cached.", default="CVFP_CACHE_DIR, the system's"
    ),
) -> None:
    """Say what to run next, so that an interval shrinks most for what it costs.

    Sizes, seeds and configurations are chosen by the study's own noise; costs are those of sweep --dry-run.

    \b
    cvfp plan first --budget-seconds 600
    cvfp plan first --goal ppl@1e6 --budget-flops 1e13 --format markdown
    cvfp plan first --goal difference:1L_768d_2tok,3L_768d_2tok --budget-tokens 5e5
    """
    from cvfp_cli.scaling.narrowing import Goal, next_runs, parse_goal
    from cvfp_cli.study.families import families_of
    from cvfp_cli.sweeps.costs import costs_of

    out = answer_file(out)
    problems = Problems()
    aim, budget, only = Goal("alpha"), ("tokens", 0.0), None
    with problems.collect():
        aim = parse_goal(goal)
    with problems.collect():
        budget = _budget({"seconds": budget_seconds, "tokens": budget_tokens, "flops": budget_flops})
    with problems.collect():
        share_between(level, "--level")
    with problems.collect():
        one_of(form, FORMATS, "--format")
    with problems.collect():
        only = integers(sizes, "--sizes")
    with problems.collect():
        if out is not None:
            check_answer(out)
    if apply:
        study.check_machine(machine, problems)
    with problems.collect():
        if crew.shard is not None:
            raise InputError(
                "--shard: every part would plan anew, by other runs.",
                hint="Use --jobs for several at a time.",
            )
    problems.raise_found()
    paths = results or [DEFAULT_RESULTS]
    found = writing.read_all(paths, recover=recover)
    families = [
        one for one in families_of(found, [str(path) for path in paths]) if one.cells and not one.ensembles
    ]
    if len(families) != 1:
        raise InputError(
            f"plan takes one study, and these results hold {counted(len(families), 'set of data', 'sets of data')} "
            "with finished runs."
        )
    family = families[0]
    answer = next_runs(
        family,
        aim,
        costs_of(found, family.groups),
        budget,
        configurations=words_of(configs),
        sizes=only or (),
        level=level,
    )
    seeds = _seeds(family, answer)
    writing.write_answer(_written(answer, seeds, budget, form, out), out)
    if apply:
        place = Place(out=_folder(found, paths), quiet=quiet, recover=recover, cache_dir=cache_dir)
        _apply(family, answer, seeds, machine, crew, place)


def _budget(given_for: dict[str, float | None]) -> tuple[str, float]:
    known = [(name, value) for name, value in given_for.items() if value is not None]
    if len(known) != 1:
        raise InputError(
            "plan needs a budget." if not known else "plan takes one budget.",
            hint="Give --budget-seconds, --budget-tokens or --budget-flops.",
        )
    (name, value) = known[0]
    if not 0.0 < value < float("inf"):
        raise InputError(f"--budget-{name}: {value:g} must be above 0.")
    return name, value


def _seeds(family: "Family", answer: "NextRuns") -> dict[tuple[str, int], tuple[int, ...]]:
    """Seeds of each cell's new runs: those of the study that the cell lacks, then higher ones."""
    used: dict[tuple[str, int], set[int]] = {}
    for group in family.groups:
        for run in group.runs:
            if run.seed is not None and run.samples is not None:
                used.setdefault((group.label, run.samples), set()).add(run.seed)
    study_seeds = sorted({seed for there in used.values() for seed in there}) or [42]
    found = {}
    for item in answer.runs:
        there = used.get((item.configuration, item.size), set())
        more = range(study_seeds[-1] + 1, study_seeds[-1] + 1 + item.seeds)
        free = [seed for seed in (*study_seeds, *more) if seed not in there]
        found[item.configuration, item.size] = tuple(free[: item.seeds])
    return found


def _written(
    answer: "NextRuns",
    seeds: dict[tuple[str, int], tuple[int, ...]],
    budget: tuple[str, float],
    form: str,
    out: Path | None,
) -> str:
    from cvfp_cli.layout import Screen
    from cvfp_cli.scaling.rendering import blocks_markdown, blocks_text

    if form == "json":
        return json.dumps(_json(answer, seeds, budget), indent=1, ensure_ascii=False) + "\n"
    blocks = _blocks(answer, seeds)
    if form == "markdown":
        return blocks_markdown(blocks)
    return blocks_text(blocks, screen(sys.stdout) if out is None else Screen())


def _json(
    answer: "NextRuns", seeds: dict[tuple[str, int], tuple[int, ...]], budget: tuple[str, float]
) -> dict[str, Any]:
    return {
        "goal": {"kind": answer.goal.kind, "at": answer.goal.at, "pair": answer.goal.pair},
        "law": answer.law,
        "level": answer.level,
        "budget": {budget[0]: budget[1]},
        "runs": [
            {
                "config": item.configuration,
                "samples": item.size,
                "seeds": seeds[item.configuration, item.size],
                "each": vars(item.cost),
            }
            for item in answer.runs
        ],
        "cost": {name: _total(answer, name) for name in ("seconds", "tokens", "flops")},
        "intervals": [vars(item) for item in answer.intervals],
        "width": answer.narrowing,
        "cell_and_seed_told_together": answer.together,
    }


def _total(answer: "NextRuns", name: str) -> float | None:
    each = [(item.seeds, getattr(item.cost, name)) for item in answer.runs]
    return None if any(cost is None for _, cost in each) else float(sum(count * cost for count, cost in each))


def _blocks(answer: "NextRuns", seeds: dict[tuple[str, int], tuple[int, ...]]) -> "list[Block]":
    from cvfp_cli.scaling.blocks import Heading, Line, TextTable

    def flops(value: float | None) -> str:
        return MISSING if value is None else f"{value:.2e}"

    rows = tuple(
        (
            item.configuration,
            f"{item.size:,}",
            ",".join(map(str, seeds[item.configuration, item.size])),
            f"{item.seeds * item.cost.tokens:,.0f}",
            duration(None if item.cost.seconds is None else item.seeds * item.cost.seconds),
            flops(None if item.cost.flops is None else item.seeds * item.cost.flops),
        )
        for item in answer.runs
    )
    total = tuple(_total(answer, name) for name in ("tokens", "seconds", "flops"))
    rows += (("all", "", "", f"{total[0]:,.0f}", duration(total[1]), flops(total[2])),)
    count = sum(item.seeds for item in answer.runs)
    blocks: list[Block] = [
        Heading(f"Next: {counted(count, 'run')}"),
        TextTable(("configuration", "size", "seeds", "tokens", "time", "FLOPs"), rows),
        Heading("What they do"),
        TextTable(
            (_goal_name(answer), "now", f"{answer.level:.0%} interval now", "expected then"),
            tuple(
                (
                    item.name,
                    f"{item.value:.4g}",
                    _half(item.before, in_percent=answer.goal.in_percent),
                    _half(item.after, in_percent=answer.goal.in_percent),
                )
                for item in answer.intervals
            ),
        ),
        Line(f"Intervals are expected to become {1.0 - answer.narrowing:.0%} narrower."),
    ]
    if answer.together:
        blocks.append(
            Line(
                "With one seed a cell these runs do not tell what a seed adds from how far the law misses a size, so "
                "no further seeds are proposed for their own sake. Two seeds of a few cells would tell."
            )
        )
    return blocks


def _goal_name(answer: "NextRuns") -> str:
    goal = answer.goal
    if goal.kind in ("ppl", "difference"):
        place = "the largest size" if goal.at is None else f"{goal.at:g}"
        return f"{'PPL' if goal.kind == 'ppl' else 'ratio of PPL'} at {place}"
    return goal.kind


def _half(value: float, *, in_percent: bool) -> str:
    return f"± {100.0 * value:.2g} %" if in_percent else f"± {value:.2g}"


def _folder(found: "tuple[Results, ...]", paths: list[Path]) -> Path:
    """The one results folder that --apply adds to.

    Raises:
        InputError: it is none.
    """
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    if len(found) != 1 or found[0].summary is None or not (folder / "runs").is_dir():
        raise InputError(
            f"--apply: {path_text(paths[0])} is not one results folder of cvfp sweep.",
            hint="Leave --apply out, and run what the plan says.",
        )
    return folder


def _apply(
    family: "Family",
    answer: "NextRuns",
    seeds: dict[tuple[str, int], tuple[int, ...]],
    machine: Machine,
    crew: Crew,
    place: Place,
) -> None:
    """Run the planned runs as a sweep into their study's folder."""
    from cvfp_cli.cli.crew import check_crew
    from cvfp_cli.cli.summary import print_summary
    from cvfp_cli.recipes.recipe import RunsConfig
    from cvfp_cli.sweeps.costs import recorded_recipe
    from cvfp_cli.sweeps.remarks import remarks
    from cvfp_cli.sweeps.work import Keeping

    problems = Problems()
    check_crew(crew, machine, problems)
    problems.raise_found()
    wanted = {item.configuration for item in answer.runs}
    recipe = recorded_recipe(place.out, [group.runs for group in family.groups if group.label in wanted])
    if recipe is None:
        raise InputError(
            f"--apply: the runs of {path_text(place.out)} have no config.toml that this version reads.",
            hint="Run what the plan says with cvfp sweep and the study's recipe.",
        )
    recipe = replace(
        recipe,
        runs=RunsConfig(
            seeds=tuple(sorted({seed for each in seeds.values() for seed in each})),
            samples=tuple(sorted({size for _, size in seeds})),
        ),
    )
    whole, store, environment, team = study.checked_plan(recipe, machine, place, crew=crew)
    chosen = {(label, size, seed) for (label, size), each in seeds.items() for seed in each}
    jobs = tuple(
        job
        for job in whole.jobs
        if (job.experiment.configuration.label, job.experiment.samples, job.experiment.seed) in chosen
    )
    planned = replace(whole, jobs=jobs)
    study.tell_if_long(planned, place, team.size)
    ended = study.carry_out_plan(
        planned,
        store,
        environment,
        place,
        keeping=Keeping(),
        team=team,
        go_on=study.command_line(),
    )
    print_summary(ended.runs, ended.fits)
    study.tell(remarks(ended.here, planned.recipe), quiet=place.quiet)
    study.end(ended, place, next_commands=study.reading_commands(ended, place))
