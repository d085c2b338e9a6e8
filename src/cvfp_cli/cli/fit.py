"""``cvfp fit``: scaling laws through the points of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvfp_cli.cli.options import one_of, option
from cvfp_cli.cli.terminal import printable
from cvfp_cli.errors import InputError

if TYPE_CHECKING:
    from cvfp_cli.scaling.points import Points
    from cvfp_cli.scaling.study import Request

INPUT, LAWS, INTERVALS, QUESTIONS, OUTPUT = "Input", "Laws", "Intervals", "Questions", "Output"
DEFAULT_RESULTS = "results/summary.json"
FORMATS = ("table", "json", "csv", "markdown")


def fit(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RESULTS]...",
            help="summary.json, runs.csv, a results folder, an old detailed_results.json, any CSV or JSON table, or - "
            "for standard input. [default: results/summary.json]",
            show_default=False,
        ),
    ] = None,
    x: Annotated[
        str,
        typer.Option(
            "--x", metavar="COLUMN", help="Size: train_tokens, samples or a column.", rich_help_panel=INPUT
        ),
    ] = "train_tokens",
    y: Annotated[
        str,
        typer.Option(
            "--y",
            metavar="COLUMN",
            help="What falls with size: val_ppl, a loss or a column.",
            rich_help_panel=INPUT,
        ),
    ] = "val_ppl",
    group: Annotated[
        list[str] | None,
        option(
            "--group",
            panel=INPUT,
            metavar="COLUMNS",
            help="Columns of a table that make a group (repeatable).",
        ),
    ] = None,
    configs: Annotated[
        list[str] | None,
        option("--configs", panel=INPUT, metavar="NAMES", help="Only these configurations (repeatable)."),
    ] = None,
    parameters: Annotated[
        str | None,
        option(
            "--parameters",
            panel=INPUT,
            metavar="COLUMN",
            help="Model size for the joint law. [default: both blocks' parameters]",
        ),
    ] = None,
    recover: Annotated[
        bool, option("--recover", panel=INPUT, help="Read what a damaged results file still tells.")
    ] = False,
    model: Annotated[
        list[str] | None,
        option(
            "--model",
            panel=LAWS,
            metavar="LAWS",
            help="power, saturating, exp-decay, bnsl, joint (repeatable), or all: every law with fewer parameters "
            "than points. [default: all]",
        ),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="SCALE",
            help="Least squares on log (ln y) or ppl (y itself), the same for all laws.",
            rich_help_panel=LAWS,
        ),
    ] = "log",
    share: Annotated[
        list[str] | None,
        option(
            "--share",
            panel=LAWS,
            metavar="NAMES",
            help="Parameters that all configurations have in common, such as alpha or b,c.",
        ),
    ] = None,
    level: Annotated[
        float,
        typer.Option("--level", metavar="SHARE", help="Level of every interval.", rich_help_panel=INTERVALS),
    ] = 0.95,
    bootstrap: Annotated[
        int, option("--bootstrap", panel=INTERVALS, metavar="N", help="Intervals from N refits instead.")
    ] = 0,
    bootstrap_kind: Annotated[
        str,
        typer.Option(
            "--bootstrap-kind",
            metavar="KIND",
            help="residual, parametric or case (from 8 points on).",
            rich_help_panel=INTERVALS,
        ),
    ] = "residual",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Seed of the bootstrap.", rich_help_panel=INTERVALS)
    ] = 0,
    predict: Annotated[
        list[str] | None,
        option("--predict", panel=QUESTIONS, metavar="SIZES", help="Predict at sizes such as 1e6,1e7,inf."),
    ] = None,
    target_ppl: Annotated[
        list[str] | None,
        option(
            "--target-ppl", panel=QUESTIONS, metavar="VALUES", help="Which size reaches these values of y?"
        ),
    ] = None,
    holdout: Annotated[
        int,
        typer.Option(
            "--holdout",
            metavar="N",
            help="Largest sizes the forward error leaves out.",
            rich_help_panel=QUESTIONS,
        ),
    ] = 1,
    window: Annotated[
        int,
        option("--window", panel=QUESTIONS, metavar="N", help="Local exponents over N neighbouring sizes."),
    ] = 0,
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="table, json, csv or markdown.", rich_help_panel=OUTPUT
        ),
    ] = "table",
    plot: Annotated[
        Path | None,
        option("--plot", panel=OUTPUT, metavar="FILE", help="Also draw a .png, .svg or .pdf (extra 'plot')."),
    ] = None,
    quiet: Annotated[
        bool, option("--quiet", "-q", panel=OUTPUT, help="No notes; errors are still shown.")
    ] = False,
) -> None:
    """Fit scaling laws to results, with honest intervals.

    Prints each law's parameters, errors and intervals for every configuration, what they predict, and which law the
    data can choose, if any.

    \b
    cvfp fit results/summary.json
    cvfp fit results/summary.json --model exp-decay --share b,c
    cvfp fit first --predict 1e6,1e7,inf --target-ppl 100 --plot laws.png
    cvfp fit runs.csv --x tokens --y loss --group width --format json
    """
    import sys

    from cvfp_cli.scaling import rendering
    from cvfp_cli.scaling.fits import OBJECTIVES, FitOptions
    from cvfp_cli.scaling.plot import check_plot_path
    from cvfp_cli.scaling.sources import Columns, load_points, pick
    from cvfp_cli.scaling.study import Request, run_study

    render = {
        "table": rendering.to_text,
        "json": rendering.to_json,
        "csv": rendering.to_csv,
        "markdown": rendering.to_markdown,
    }[one_of(format, FORMATS, "--format")]
    if plot is not None:
        check_plot_path(plot)
    options = FitOptions(
        objective=one_of(objective, OBJECTIVES, "--objective"),
        level=level,
        predict=_numbers(predict, "--predict"),
        targets=_numbers(target_ppl, "--target-ppl"),
        holdout=holdout,
        window=window,
    )
    request = Request(
        laws=_words(model) or ("all",),
        options=options,
        share=_words(share),
        bootstrap=bootstrap,
        bootstrap_kind=bootstrap_kind,
        seed=seed,
    )
    if not results and not Path(DEFAULT_RESULTS).is_file():
        raise InputError(
            f"{DEFAULT_RESULTS}: there is no such file.", hint="Name results, or make some with cvfp sweep."
        )
    groups, notes = load_points(
        results or [DEFAULT_RESULTS],
        Columns(x, y, _words(group), parameters or ""),
        recover=recover,
    )
    chosen = pick(groups, _words(configs))
    study = run_study(chosen, request)
    if not quiet:
        for note in (*notes, *study.notes):
            print(f"cvfp: {note.severity}: {printable(note.message)}", file=sys.stderr)
    if plot is not None:
        _draw(chosen, request, plot)
    text = render(study)
    if format == "table" and plot is None and sys.stdout.isatty():
        import shutil

        from cvfp_cli.scaling.terminal_plot import terminal_plot

        window_size = shutil.get_terminal_size()
        drawn = terminal_plot(study.fits, window_size.columns, window_size.lines)
        text += f"\n{drawn}" if drawn else ""
    sys.stdout.write(text)


def _words(texts: list[str] | None) -> tuple[str, ...]:
    """Commas and repetition alike; each word once, in order."""
    return tuple(
        dict.fromkeys(word.strip() for text in texts or () for word in text.split(",") if word.strip())
    )


def _numbers(texts: list[str] | None, name: str) -> tuple[float, ...]:
    """Numbers such as ``1e6,inf``.

    Raises:
        InputError: a word that is not a number.
    """
    values = []
    for word in _words(texts):
        try:
            values.append(float(word.replace("_", "")))
        except ValueError:
            raise InputError(
                f"{name}: '{ascii(word)[1:-1][:40]}' is not a number.", hint="Write 1e6,5e6,inf."
            ) from None
    return tuple(values)


def _draw(groups: "tuple[Points, ...]", request: "Request", path: Path) -> None:
    """Fit again at the sizes of a smooth curve, and draw."""
    from dataclasses import replace

    from cvfp_cli.scaling.plot import draw, plot_sizes
    from cvfp_cli.scaling.study import curves_of

    sizes = plot_sizes(groups, request.options.predict)
    options = replace(request.options, predict=sizes, targets=(), window=0)
    curves, joint = curves_of(groups, replace(request, options=options))
    draw(groups, curves, path, joint=joint)
