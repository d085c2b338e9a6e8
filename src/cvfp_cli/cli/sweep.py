"""``cvfp sweep``: every experiment of a grid, and the summary."""

from typing import Annotated

from cvfp_cli.cli import study
from cvfp_cli.cli.options import MORE, OUTPUT, option
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Machine, Place, Study, Text

GRID = "Grid (lists such as 1-3 or 50,100,200; without one, the recipe's)"


def sweep(
    chosen: Study,
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
            panel=MORE,
            metavar="LIST",
            help="Draw the training samples by seed.",
            default="the first n",
        ),
    ] = None,
    *,
    text: Text,
    machine: Machine,
    place: Place,
    save_models: Annotated[
        bool, option("--save-models", panel=OUTPUT, help="Keep every run's weights (model.safetensors).")
    ] = False,
    fresh: Annotated[
        bool, option("--fresh", panel=OUTPUT, help="Delete this study from the folder and start over.")
    ] = False,
) -> None:
    """Train every experiment of a grid, and sum them up.

    The same command again skips what is done and finishes the rest; other layers, tokens, samples or seeds add
    runs to the folder.

    \b
    cvfp sweep --recipe demo --samples 25,50 --out first
    cvfp sweep --layers 1-3 --tokens 1-3 --samples 50,100,200,500
    cvfp sweep --recipe demo --data my.jsonl --validation tail:10% --dry-run
    """
    if chosen.list_recipes:
        study.list_recipes()
        return
    problems = Problems()
    grid = {
        "grid.layers": ("--layers", layers),
        "grid.tokens": ("--tokens", tokens),
        "grid.context_dim": ("--context-dim", context_dim),
        "runs.samples": ("--samples", samples),
        "runs.seeds": ("--seeds", seeds),
        "runs.data_seeds": ("--data-seeds", data_seeds),
    }
    overrides = study.overrides(chosen, text, problems) | study.grid_overrides(grid, problems)
    study.check_machine(machine, problems)
    loaded = study.load(chosen.recipe, overrides, problems)
    plan, store, environment = study.checked_plan(loaded, machine, place, fresh=fresh)
    if place.dry_run:
        from cvfp_cli.cli.dry_run import print_plan

        print_plan(plan)
        return
    from cvfp_cli.cli.summary import print_summary
    from cvfp_cli.sweep.executor import Keeping
    from cvfp_cli.sweep.remarks import remarks

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
    study.tell(remarks(ended.here, plan.recipe), quiet=place.quiet)
    study.end(ended, place)
