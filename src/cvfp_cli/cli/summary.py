"""The end of a sweep on the screen: one row a configuration, and four heatmaps of layers by tokens."""

import io
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from cvfp_cli.cli.figures import MISSING, byte_size, duration, four_digits, percent
from cvfp_cli.cli.terminal import printable
from cvfp_cli.counting import agreeing, counted
from cvfp_cli.laws.names import MAIN
from cvfp_cli.results.schema import Run
from cvfp_cli.study.groups import run_label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

UNCONVERGED = "*: phase 1 stopped without converging."
ACROSS = ("layers", "tokens")  # the axes of a heatmap
# Backgrounds from low to high under black text, told apart without seeing red or green.
RAMP = ("#9ecae1", "#c6dbef", "#f0f0f0", "#fdd0a2", "#fdae6b")


@dataclass(frozen=True)
class Row:
    """What the table and the heatmaps say about one configuration.

    Attributes:
        axes: its value on every axis.
        alpha, low, high: exponent of the power law and its 95 % interval; None where there is none.
        best_ppl, best_accuracy: the best over all its runs; accuracy as a share.
        iterations: fewest and most phase-1 iterations over its runs; None where no run is done.
        unconverged: whether phase 1 stopped without converging in any of them.
        effective_rank: of the training contexts at the largest size, mean over seeds, as a share.
    """

    config: str
    axes: Mapping[str, Any]
    alpha: float | None
    low: float | None
    high: float | None
    scale: float | None
    r_squared: float | None
    best_ppl: float | None
    best_accuracy: float | None
    iterations: tuple[int, int] | None
    unconverged: bool
    effective_rank: float | None

    @property
    def iterations_text(self) -> str:
        """``8``, ``16–17`` or ``40*``."""
        if self.iterations is None:
            return MISSING
        fewest, most = self.iterations
        return (f"{fewest}" if fewest == most else f"{fewest}–{most}") + ("*" if self.unconverged else "")


def rows(runs: Sequence[Run], fits: Sequence[dict[str, Any]]) -> list[Row]:
    """One row a configuration, in the order in which the runs stand."""
    power = {fit["config"]: fit for fit in fits if fit.get("law") == MAIN}
    # Fits bear the labels of cvfp fit, which names the study where a folder holds runs of several.
    several = len({run.study for run in runs if run.status == "done"}) > 1
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        by_label.setdefault(run_label(run, study=run.study if several else ""), []).append(run)
    return [
        _row(label if several else group[0].config, group, power.get(label, {}))
        for label, group in by_label.items()
    ]


def _row(config: str, runs: Sequence[Run], fit: dict[str, Any]) -> Row:
    done = [run for run in runs if run.status == "done"]
    largest = max((run.samples or 0 for run in done), default=0)
    ranks = [run.train_effective_rank for run in done if (run.samples or 0) == largest]
    known_ranks = [rank for rank in ranks if rank is not None]
    iterations = [run.phase1_iterations for run in done if run.phase1_iterations is not None]
    return Row(
        config=config,
        axes=runs[0].axes,
        alpha=fit.get("alpha"),
        low=fit.get("alpha_low"),
        high=fit.get("alpha_high"),
        scale=fit.get("A"),
        r_squared=fit.get("r_squared"),
        best_ppl=min((run.val_ppl for run in done if run.val_ppl is not None), default=None),
        best_accuracy=max((run.val_accuracy for run in done if run.val_accuracy is not None), default=None),
        iterations=(min(iterations), max(iterations)) if iterations else None,
        unconverged=any(run.phase1_converged is False for run in done),
        effective_rank=sum(known_ranks) / len(known_ranks) if known_ranks else None,
    )


def _interval(row: Row) -> str:
    if row.low is None or row.high is None:
        return MISSING
    return f"{row.low:.3f} to {row.high:.3f}"


def print_table(
    console: "Console",
    header: Sequence[str],
    table_rows: Sequence[Sequence[str]],
    styles: Sequence[str | None] | None = None,
) -> None:
    """Print a table whose first column names the rows, below each other where the console does not hold it at once.

    Args:
        styles: how each row is printed, where not as plain text.
    """
    from cvfp_cli.layout import bands

    narrow = console.width < 100
    left = [i == 0 for i in range(len(header))]
    rule = "─" if console.encoding.startswith("utf") else "-"
    found = bands(header, table_rows, left=left, width=console.width, gap=" " if narrow else "   ")
    for i, band in enumerate(found):
        if i:
            console.print()
        for line in (*band.header, rule * band.width):
            _print_line(console, line, "bold" if line in band.header else None)
        for row, style in zip(band.rows, styles or [None] * len(band.rows), strict=True):
            for line in row:
                _print_line(console, line, style)


def _print_line(console: "Console", line: str, style: str | None = None) -> None:
    """Print a line that is laid out already."""
    console.print(line, style=style, soft_wrap=True)


def print_sentence(console: "Console", text: str, style: str | None = None) -> None:
    """Print a sentence, folded between its words on a terminal; a number keeps its unit."""
    from cvfp_cli.layout import Screen

    for line in Screen(console.width, folds=console.is_terminal).lines(text):
        _print_line(console, line, style)


def print_configurations(console: "Console", found: Sequence[Row]) -> None:
    """α with its interval, A, R², best PPL, best accuracy, P1 iter, ER: one row a configuration."""
    best = min((row.best_ppl for row in found if row.best_ppl is not None), default=None)
    table_rows, styles = [], []
    for row in found:
        table_rows.append(
            (
                printable(row.config),
                MISSING if row.alpha is None else f"{row.alpha:.4f}",
                _interval(row),
                four_digits(row.scale),
                MISSING if row.r_squared is None else f"{row.r_squared:.3f}",
                four_digits(row.best_ppl),
                percent(row.best_accuracy),
                row.iterations_text,
                percent(row.effective_rank),
            )
        )
        styles.append(
            "bold" if len(found) > 1 and row.best_ppl is not None and row.best_ppl == best else None
        )
    header = ("config", "α", "95 % interval", "A", "R²", "best\nPPL", "best\nacc", "P1 iter", "ER")
    # What no model here has at all needs no column.
    own = [row.iterations for row in found] + [row.effective_rank for row in found]
    shown = len(header) if any(value is not None for value in own) else len(header) - 2
    print_table(console, header[:shown], [row[:shown] for row in table_rows], styles)


@dataclass(frozen=True)
class _Map:
    title: str
    value: Callable[[Row], float | None]
    text: Callable[[Row], str]


MAPS = (
    _Map("α", lambda row: row.alpha, lambda row: MISSING if row.alpha is None else f"{row.alpha:.3f}"),
    _Map("best PPL", lambda row: row.best_ppl, lambda row: four_digits(row.best_ppl)),
    _Map(
        "P1 iter",
        lambda row: None if row.iterations is None else float(row.iterations[1]),
        lambda row: row.iterations_text,
    ),
    _Map("ER", lambda row: row.effective_rank, lambda row: percent(row.effective_rank)),
)


def slices(found: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows that differ in layers and tokens alone, by what else they are, such as ``context_dim 768``."""
    placed = [row for row in found if {*ACROSS} <= row.axes.keys()]
    others = dict.fromkeys(name for row in placed for name in row.axes if name not in ACROSS)
    varied = [name for name in others if len({row.axes.get(name) for row in placed}) > 1]
    named: dict[str, list[Row]] = {}
    for row in placed:
        label = ", ".join(f"{name} {row.axes.get(name, MISSING)}" for name in varied)
        named.setdefault(label, []).append(row)
    return named


def heatmaps(here: Sequence[Row], width: int) -> "list[Table]":
    """The four heatmaps of one slice: a row a number of layers, a column a number of tokens.

    Columns that ``width`` does not hold stand in a heatmap of their own.
    """
    tokens = sorted({row.axes["tokens"] for row in here})
    drawn: list[Table] = []
    for kind in MAPS:
        cell = max(len(f"{tokens[-1]} tok"), *(len(kind.text(row)) for row in here)) + 3
        across = max(1, (width - len("layers")) // cell)
        drawn += [
            _heatmap(kind, here, tokens[start : start + across]) for start in range(0, len(tokens), across)
        ]
    return drawn


def _heatmap(drawn: _Map, here: Sequence[Row], tokens: Sequence[int]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = {(row.axes["layers"], row.axes["tokens"]): row for row in here}
    values = [value for row in here if (value := drawn.value(row)) is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        title=drawn.title,
        title_style="bold",
        title_justify="left",
    )
    table.add_column("layers", justify="right", no_wrap=True)
    for count in tokens:
        table.add_column(f"{count} tok", justify="right", no_wrap=True)
    for layers in sorted({row.axes["layers"] for row in here}):
        line = []
        for count in tokens:
            row = cells.get((layers, count))
            value = None if row is None else drawn.value(row)
            text = MISSING if row is None else drawn.text(row)
            line.append(Text(text, style="" if value is None else _shade(value, low, high)))
        table.add_row(str(layers), *line)
    return table


def _shade(value: float, low: float, high: float) -> str:
    """A background by where the value lies between the lowest and the highest of its map."""
    if high <= low:
        return ""
    return f"black on {RAMP[min(int((value - low) / (high - low) * len(RAMP)), len(RAMP) - 1)]}"


class _Trimmed(io.TextIOBase):
    """Passes whole lines on without the blanks that pad a table's last column."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's: rich draws lines of plain ASCII where it has nothing else."""
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._stream.write(line.rstrip() + "\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def answer_console(file: TextIO | None = None) -> "Console":
    """A console for answers: colours on a terminal; elsewhere plain lines, never cut and never padded."""
    from rich.console import Console

    from cvfp_cli.layout import PIPE_WIDTH

    stream = file or sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    # Notebooks set FORCE_COLOR for all that they start; a pipe or a file is to get plain text all the same.
    plain = cast(TextIO, _Trimmed(stream))
    return Console(
        file=plain, highlight=False, markup=False, emoji=False, width=PIPE_WIDTH, force_terminal=False
    )


def print_answer(runs: Sequence[Run], folder: Path, file: TextIO | None = None) -> None:
    """Print what a report on the folder says first: what its runs decide, leave open, and what was not expected.

    One configuration at one size leaves nothing to say.
    """
    done = [run for run in runs if run.status == "done"]
    if len({(run.kind, run.config, run.samples) for run in done}) < 2:
        return
    from cvfp_cli.cli.terminal import screen
    from cvfp_cli.reports.build import build_report
    from cvfp_cli.reports.model import Section
    from cvfp_cli.reports.plain import render_plain
    from cvfp_cli.reports.text.language import load_language
    from cvfp_cli.results import read_results

    made = build_report([read_results(folder)], names=[str(folder)], command="", sections=("answer",))
    (page,) = made.sections
    # What was asked is what the command line says.
    made = replace(made, sections=(Section(page.key, page.blocks[1:]),))
    console = answer_console(file)
    for line in render_plain(made, load_language("en"), screen(file or sys.stdout)).splitlines():
        _print_line(console, line)
    console.print()


def print_summary(runs: Sequence[Run], fits: Sequence[dict[str, Any]], file: TextIO | None = None) -> None:
    """Print the table, its footnotes, and the heatmaps where there is more than one configuration."""
    console = answer_console(file)
    found = rows(runs, fits)
    print_configurations(console, found)
    for line in footnotes(found, runs):
        print_sentence(console, line, "dim")
    if len(found) < 2:
        return
    for label, here in slices(found).items():
        console.print()
        if label:
            console.print(printable(label), style="bold")
        _print_side_by_side(console, heatmaps(here, console.width))


def _print_side_by_side(console: "Console", tables: "Sequence[RenderableType]") -> None:
    """Four, two or one beside each other, as the line holds."""
    from rich.measure import Measurement
    from rich.table import Table

    room = max(Measurement.get(console, console.options, table).maximum for table in tables) + 3
    across = max(n for n in (1, 2, 4) if n == 1 or n * room <= console.width)
    for start in range(0, len(tables), across):
        grid = Table.grid(padding=(0, 3, 0, 0))
        grid.add_row(*tables[start : start + across])
        console.print(grid)
        if start + across < len(tables):
            console.print()


def footnotes(found: Sequence[Row], runs: Iterable[Run]) -> list[str]:
    """What the table's signs mean, where it has them, and which runs have no figures."""
    lines = ["best PPL and accuracy: on the validation text. ER: training contexts at the largest size."]
    if any(row.alpha is None for row in found):
        lines.append(f"{MISSING}: α needs finished runs of at least two sizes.")
    elif any(row.low is None for row in found):
        lines.append(f"{MISSING}: an interval for α needs at least three sizes.")
    if any(row.unconverged for row in found):
        lines.append(UNCONVERGED)
    for run in runs:
        if run.status != "done":
            why = printable(run.reason or "")
            lines.append(
                f"{run.config} at {counted(run.samples or 0, 'sample')}, seed {run.seed}: {run.status}: {why}"
            )
    return lines


def _over_samples(run: Run) -> str:
    """The 95 % interval of the PPL by the scatter of the validation samples' losses: t, samples - 1 degrees of
    freedom. Empty where the run does not record the standard error and the samples that it rests on."""
    from cvfp_cli.stats.regression import mean_interval

    samples = sum(count > 0 for count in run.sample_targets or ())
    found = mean_interval(run.val_loss, run.val_loss_se, samples)
    if found is None:
        return ""
    low, high = (four_digits(exp_or_inf(end)) for end in found)
    return f"  (95 % over samples: {low} to {high})"


def exp_or_inf(value: float) -> float:
    """e to the power of ``value``; infinite where no number holds it, as two samples that differ much can make it."""
    return math.exp(value) if value < 700.0 else math.inf


def _ending(run: Run) -> str:
    """What ended phase 2, in brackets; empty where it is not known."""
    if run.still_improving:
        return " (ended at its limit of epochs, still improving)"
    words = {
        "epochs": "ended at its limit of epochs, already worse than its best",
        "schedule": "took all its epochs, down to a learning rate of 0",
        "patience": "stopped by patience",
        "gain": "stopped when it gained too little",
        None: "",
    }.get(run.stopped_by, run.stopped_by)
    return f" ({words})" if words else ""


def print_run(run: Run, file: TextIO | None = None) -> None:
    """Print one run's figures, a line each."""
    lines = {
        "configuration": run.config,
        "samples": f"{run.samples}, seed {run.seed}"
        + ("" if run.data_seed is None else f", data seed {run.data_seed}"),
        "tokens": f"{run.train_tokens or 0:,} training, {run.val_tokens or 0:,} validation",
        "parameters": _parameters(run),
        "status": run.status if run.reason is None else f"{run.status}: {printable(run.reason)}",
        **_steps(run),
        "train PPL": four_digits(run.train_ppl),
        "val PPL": four_digits(run.val_ppl) + _over_samples(run),
        "unigram PPL": four_digits(run.unigram_ppl),
        "val accuracy": percent(run.val_accuracy),
        "bits per byte": four_digits(run.bits_per_byte),
        "time": ", ".join(f"{duration(stage.seconds)} {stage_title(stage.name)}" for stage in run.stages)
        or MISSING,
        "operations": MISSING if run.flops is None else f"{run.flops:.3g} FLOPs",
        "peak memory": byte_size(run.peak_memory_bytes),
    }
    from rich.text import Text

    from cvfp_cli.layout import fold

    console = answer_console(file)
    margin = max(map(len, lines)) + 3
    for name, value in lines.items():
        first, *others = fold(printable(value), max(20, console.width - margin))
        console.print(Text.assemble((f"{name:<{margin}}", "bold"), first), soft_wrap=True)
        for line in others:
            _print_line(console, " " * margin + line)
    if run.phase1_converged is False:
        print_sentence(console, UNCONVERGED, "dim")


def stage_title(name: str) -> str:
    """A stage as people name it: ``phase 1`` for ``phase1``."""
    return re.sub(r"(?<=[a-z])(?=[0-9])", " ", name).replace("_", " ")


def _parameters(run: Run) -> str:
    counts = run.parameters
    if counts.context_block is not None and counts.token_block is not None:
        return f"{counts.context_block:,} ContextBlock, {counts.token_block:,} TokenBlock"
    if counts.body is None:
        return MISSING if counts.total is None else f"{counts.total:,}"
    return f"{counts.body or 0:,} and {(counts.total or 0) - (counts.body or 0):,} of table and head"


def _steps(run: Run) -> dict[str, str]:
    """What each stage came to; what a kind of model has not is left out."""
    found: dict[str, str] = {}
    if run.phase1_iterations is not None or run.phase1_rate is not None:
        star = "*" if run.phase1_converged is False else ""
        found["phase 1"] = (
            f"{run.phase1_iterations or MISSING}{star} {agreeing(run.phase1_iterations or 0, 'iteration')}, "
            f"{percent(run.phase1_rate)} converged"
            + (" (ended at its limit, still rising)" if run.still_converging else "")
        )
    if run.growth is not None:
        found["contexts"] = f"a difference changes by a factor of {run.growth:.3f} per step"
    if run.train_effective_rank is not None or run.val_effective_rank is not None:
        found["effective rank"] = (
            f"{percent(run.train_effective_rank)} training, {percent(run.val_effective_rank)} validation"
        )
    if run.epochs is not None:
        last = next((stage.name for stage in reversed(run.stages) if stage.steps), "epochs")
        best = f"best of {counted(run.epochs, 'epoch')}: {run.best_epoch or MISSING}"
        found[stage_title(last)] = best + _ending(run)
    return found
