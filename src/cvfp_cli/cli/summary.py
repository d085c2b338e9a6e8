"""The end of a sweep on the screen: one row a configuration, and four heatmaps of layers by tokens."""

import io
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from cvfp_cli.cli.figures import MISSING, byte_size, duration, four_digits, percent
from cvfp_cli.cli.terminal import printable
from cvfp_cli.counting import agreeing, counted
from cvfp_cli.results.schema import Run
from cvfp_cli.scaling.groups import run_label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

PLAIN_WIDTH = 120
UNCONVERGED = "*: phase 1 stopped without converging."
# Backgrounds from low to high under black text, told apart without seeing red or green.
RAMP = ("#9ecae1", "#c6dbef", "#f0f0f0", "#fdd0a2", "#fdae6b")


@dataclass(frozen=True)
class Row:
    """What the table and the heatmaps say about one configuration.

    Attributes:
        alpha, low, high: exponent of the power law and its 95 % interval; None where there is none.
        best_ppl, best_accuracy: the best over all its runs; accuracy as a share.
        iterations: fewest and most phase-1 iterations over its runs; None where no run is done.
        unconverged: whether phase 1 stopped without converging in any of them.
        effective_rank: of the training contexts at the largest size, mean over seeds, as a share.
    """

    config: str
    layers: int
    context_dim: int
    tokens: int
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
    """One row a configuration, by context_dim, tokens and layers as in the studies' tables."""
    power = {fit["config"]: fit for fit in fits if fit.get("law") == "power"}
    # Fits bear the labels of cvfp fit, which names the study where a folder holds runs of several.
    several = len({run.study for run in runs if run.status == "done"}) > 1
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        if None not in (run.layers, run.context_dim, run.tokens):
            by_label.setdefault(run_label(run, study=run.study if several else ""), []).append(run)
    found = [
        _row(label if several else group[0].config, group, power.get(label, {}))
        for label, group in by_label.items()
    ]
    return sorted(found, key=lambda row: (row.context_dim, row.tokens, row.layers, row.config))


def _row(config: str, runs: Sequence[Run], fit: dict[str, Any]) -> Row:
    done = [run for run in runs if run.status == "done"]
    largest = max((run.samples or 0 for run in done), default=0)
    ranks = [run.train_effective_rank for run in done if (run.samples or 0) == largest]
    known_ranks = [rank for rank in ranks if rank is not None]
    iterations = [run.phase1_iterations for run in done if run.phase1_iterations is not None]
    first = runs[0]
    return Row(
        config=config,
        layers=first.layers or 0,
        context_dim=first.context_dim or 0,
        tokens=first.tokens or 0,
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


def plain_table(*, narrow: bool = False, title: str | None = None) -> "Table":
    """A table of columns under a line; ``narrow`` leaves one space between them, so that 80 columns do."""
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0 if narrow else 1),
        header_style="bold",
        title=title,
        title_style="bold",
        title_justify="left",
    )


def configuration_table(found: Sequence[Row], *, narrow: bool = False) -> "Table":
    """α with its interval, A, R², best PPL, best accuracy, P1 iter, ER: one row a configuration."""
    table = plain_table(narrow=narrow)
    table.add_column("config", no_wrap=True)
    for name in ("α", "95 % interval", "A", "R²", "best\nPPL", "best\nacc", "P1 iter", "ER"):
        table.add_column(name, justify="right", no_wrap=True)
    best = min((row.best_ppl for row in found if row.best_ppl is not None), default=None)
    for row in found:
        table.add_row(
            row.config,
            MISSING if row.alpha is None else f"{row.alpha:.4f}",
            _interval(row),
            four_digits(row.scale),
            MISSING if row.r_squared is None else f"{row.r_squared:.3f}",
            four_digits(row.best_ppl),
            percent(row.best_accuracy),
            row.iterations_text,
            percent(row.effective_rank),
            style="bold" if len(found) > 1 and row.best_ppl is not None and row.best_ppl == best else None,
        )
    return table


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


def heatmaps(found: Sequence[Row], context_dim: int) -> "list[Table]":
    """The four heatmaps of one context width: a row a number of layers, a column a number of tokens."""
    here = [row for row in found if row.context_dim == context_dim]
    return [_heatmap(drawn, here) for drawn in MAPS]


def _heatmap(drawn: _Map, here: Sequence[Row]) -> "Table":
    from rich.text import Text

    cells = {(row.layers, row.tokens): row for row in here}
    values = [value for row in here if (value := drawn.value(row)) is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    tokens = sorted({row.tokens for row in here})
    table = plain_table(title=drawn.title)
    table.add_column("layers", justify="right", no_wrap=True)
    for count in tokens:
        table.add_column(f"{count} tok", justify="right", no_wrap=True)
    for layers in sorted({row.layers for row in here}):
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

    stream = file or sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    # Notebooks set FORCE_COLOR for all that they start; a pipe or a file is to get plain text all the same.
    plain = cast(TextIO, _Trimmed(stream))
    return Console(
        file=plain, highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH, force_terminal=False
    )


def print_summary(runs: Sequence[Run], fits: Sequence[dict[str, Any]], file: TextIO | None = None) -> None:
    """Print the table, its footnotes, and the heatmaps where there is more than one configuration."""
    console = answer_console(file)
    found = rows(runs, fits)
    console.print(configuration_table(found, narrow=console.width < 100))
    for line in footnotes(found, runs):
        console.print(line, style="dim")
    if len(found) < 2:
        return
    console.print()
    widths = sorted({row.context_dim for row in found})
    for width in widths:
        if len(widths) > 1:
            console.print(f"context_dim {width}", style="bold")
        _print_side_by_side(console, heatmaps(found, width))


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
    samples = sum(count > 0 for count in run.sample_targets or ())
    if run.val_loss is None or run.val_loss_se is None or samples < 2:
        return ""
    from cvfp_cli.scaling.regression import t_quantile

    half = t_quantile(0.95, samples - 1) * run.val_loss_se
    low, high = (four_digits(_exp(run.val_loss + shift)) for shift in (-half, half))
    return f"  (95 % over samples: {low} to {high})"


def _exp(value: float) -> float:
    """e to the power of ``value``; infinite where no number holds it, as two samples that differ much can make it."""
    return math.exp(value) if value < 700.0 else math.inf


def _ending(run: Run) -> str:
    """What ended phase 2, in brackets; empty where it is not known."""
    if run.still_improving:
        return " (ended at its limit of epochs, still improving)"
    words = {
        "epochs": "ended at its limit of epochs, already worse than its best",
        "patience": "stopped by patience",
        None: "",
    }.get(run.stopped_by, run.stopped_by)
    return f" ({words})" if words else ""


def print_run(run: Run, file: TextIO | None = None) -> None:
    """Print one run's figures, a line each."""
    bits = None
    if run.val_loss is not None and run.val_tokens and run.val_bytes:
        bits = run.val_loss / math.log(2) * (run.val_tokens - 1) / run.val_bytes
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
        "bits per byte": four_digits(bits),
        "time": ", ".join(f"{duration(stage.seconds)} {stage_title(stage.name)}" for stage in run.stages)
        or MISSING,
        "peak memory": byte_size(run.peak_memory_bytes),
    }
    table = plain_table()
    table.show_header = False
    table.add_column("figure", no_wrap=True, style="bold")
    table.add_column("value")
    for name, value in lines.items():
        table.add_row(name, value)
    console = answer_console(file)
    console.print(table)
    if run.phase1_converged is False:
        console.print(UNCONVERGED, style="dim")


def stage_title(name: str) -> str:
    """A stage as people name it: ``phase 1`` for ``phase1``."""
    return re.sub(r"(?<=[a-z])(?=[0-9])", " ", name).replace("_", " ")


def _parameters(run: Run) -> str:
    counts = run.parameters
    if counts.context_block is not None and counts.token_block is not None:
        return f"{counts.context_block:,} ContextBlock, {counts.token_block:,} TokenBlock"
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
    if run.train_effective_rank is not None or run.val_effective_rank is not None:
        found["effective rank"] = (
            f"{percent(run.train_effective_rank)} training, {percent(run.val_effective_rank)} validation"
        )
    if run.epochs is not None:
        last = next((stage.name for stage in reversed(run.stages) if stage.steps), "epochs")
        best = f"best of {counted(run.epochs, 'epoch')}: {run.best_epoch or MISSING}"
        found[stage_title(last)] = best + _ending(run)
    return found
