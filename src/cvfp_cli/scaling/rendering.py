"""A document as plain text or Markdown, and a study as JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence

from cvfp_cli.layout import UNBOUNDED, Screen, bands, cells
from cvfp_cli.markdown import escape, pipe_table
from cvfp_cli.scaling.blocks import Block, Heading, Line, TextTable
from cvfp_cli.scaling.document import study_blocks
from cvfp_cli.scaling.result import Estimate
from cvfp_cli.scaling.study import Study


def to_text(study: Study, screen: Screen = UNBOUNDED) -> str:
    """Aligned columns and sentences, in lines that the screen holds; without one as wide as they are."""
    return blocks_text(study_blocks(study), screen)


def blocks_text(blocks: Sequence[Block], screen: Screen = UNBOUNDED) -> str:
    """The same of any blocks."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            rule = "=" if block.level == 1 else "-"
            parts += ["", *screen.lines(block.text), rule * min(cells(block.text), screen.width)]
        elif isinstance(block, TextTable):
            parts += _aligned(block, screen)
        else:
            parts += screen.lines(block.text)
    return "\n".join(parts).strip("\n") + "\n"


def to_markdown(study: Study) -> str:
    """For a document: headings, pipe tables, paragraphs."""
    return blocks_markdown(study_blocks(study))


def blocks_markdown(blocks: Sequence[Block]) -> str:
    """The same of any blocks."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * (block.level + 1)} {escape(block.text)}"
    if isinstance(block, Line):
        return escape(block.text)
    header, rows = _used(block)
    heads, *cells = [[escape(cell, cell=True) for cell in row] for row in (header, *rows)]
    return "\n".join(pipe_table(heads, cells, left=[i == 0 for i in range(len(heads))]))


def _used(table: TextTable) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table without columns that have neither a header nor a cell."""
    keep = [i for i, name in enumerate(table.header) if name or any(row[i] for row in table.rows)]
    return tuple(table.header[i] for i in keep), [tuple(row[i] for i in keep) for row in table.rows]


def _aligned(table: TextTable, screen: Screen) -> list[str]:
    header, rows = _used(table)
    lines: list[str] = []
    for i, band in enumerate(
        bands(header, rows, left=[i == 0 for i in range(len(header))], width=screen.width, indent="  ")
    ):
        lines += [*([""] if i else []), *band.header, *(line for row in band.rows for line in row)]
    return lines


def to_json(study: Study) -> str:
    """The documented shape; JSON has no NaN or infinity, so neither has this."""
    return json.dumps(study.to_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def to_csv(study: Study) -> str:
    """One line a figure: config, law, kind, name, x, value, low, high, model_size, and why it has no value or interval."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["config", "law", "kind", "name", "x", "value", "low", "high", "model_size", "reason"])
    for fit in study.fits:

        def row(
            kind: str,
            name: str,
            x: object,
            value: object,
            low: object = None,
            high: object = None,
            model_size: object = None,
            reason: str = "",
        ) -> None:
            cells = ["" if cell is None else cell for cell in (x, value, low, high, model_size, reason)]
            writer.writerow([fit.config, fit.law, kind, name, *cells])  # noqa: B023  (called in this turn only)

        for name, estimate in fit.parameters.items():
            row("parameter", name, None, estimate.value, estimate.low, estimate.high, None, estimate.reason)
        quality = {
            "points": fit.points,
            "k": fit.k,
            "r_squared": fit.r_squared,
            "rss_ppl": fit.rss_ppl,
            "rss_log": fit.rss_log,
            "aic": fit.aic,
            "aicc": fit.aicc,
            "bic": fit.bic,
            "loo_error": fit.loo_error,
            "forward_error": fit.forward_error,
        }
        for name, value in quality.items():
            row("quality", name, None, value)
        for name in ("per_doubling", "per_tenfold", "asymptote", "distance"):
            derived = getattr(fit, name)
            if derived is not None:
                row("derived", name, None, derived.value, derived.low, derived.high)
        for point in fit.fitted:
            row("measured", fit.y, point.x, point.y, model_size=point.model_size)
            row("fitted", fit.y, point.x, point.predicted, model_size=point.model_size)
        for p in fit.predictions:
            row("prediction", fit.y, p.x, p.value, p.low, p.high, p.model_size, p.reason)
            row("law", fit.y, p.x, p.value, p.mean_low, p.mean_high, p.model_size, p.reason)
        for t in fit.targets:
            row("target", f"{fit.y}={t.ppl:g}", None, t.x, t.low, t.high, t.model_size, t.reason)
        for least in fit.cheapest:
            for part in ("model_size", "x", "product"):
                found = getattr(least, part) or Estimate(None)
                known = (found.value, found.low, found.high, None, least.reason)
                row(f"cheapest_{part}", f"{fit.y}={least.ppl:g}", None, *known)
        if fit.compute:
            for part, grown in (("model_size", fit.compute.model_size), ("x", fit.compute.x)):
                grown = grown or Estimate(None, reason=fit.compute.reason)
                row(
                    "compute",
                    f"{part}_exponent",
                    None,
                    grown.value,
                    grown.low,
                    grown.high,
                    None,
                    grown.reason,
                )
                for split in fit.compute.splits:
                    found = getattr(split, part) or Estimate(None, reason=split.reason)
                    known = (found.value, found.low, found.high, None, found.reason)
                    row(f"budget_{part}", f"C={split.budget:g}", None, *known)
            for split in fit.compute.splits:
                if (there := split.there) is not None:
                    at = (there.value, there.low, there.high, there.model_size, there.reason)
                    row("budget_prediction", f"C={split.budget:g}", there.x, *at)
        if fit.pool:
            row("pool_test", "F", None, fit.pool.f)
            row("pool_test", "p", None, fit.pool.p)
        for window in fit.local_exponents:
            name = f"{window.x_low:g}-{window.x_high:g}"
            row(
                "local_exponent", name, None, window.estimate.value, window.estimate.low, window.estimate.high
            )
    for one in study.forecasts:
        for p in one.predictions:
            for kind, low, high in (("prediction", p.low, p.high), ("law", p.mean_low, p.mean_high)):
                writer.writerow([one.config, "mixture", kind, one.y, p.x, p.value, low, high, None, p.reason])
        for t in one.targets:
            name = f"{one.y}={t.ppl:g}"
            writer.writerow([one.config, "mixture", "target", name, None, t.x, t.low, t.high, None, t.reason])
        if one.asymptote:
            end = one.asymptote
            ends = [None, end.value, end.low, end.high, None, end.reason]
            writer.writerow([one.config, "mixture", "derived", "asymptote", *ends])
    for iso in study.isoflops:
        exponents = (("model_size_exponent", iso.model_size), ("x_exponent", iso.x))
        sizes = [
            (f"{kind}_{part}", f"C={at.budget:g}", getattr(at, part))
            for kind, those in (("profile", iso.profiles), ("budget", iso.budgets))
            for at in those
            for part in ("model_size", "x")
        ]
        for kind, name, e in [*(("compute", name, e) for name, e in exponents), *sizes]:
            if e is not None:
                writer.writerow(
                    [iso.config, "isoflops", kind, name, None, e.value, e.low, e.high, None, e.reason]
                )
    for moved in study.sensitivity:
        for choice in moved.choices:
            for name, e in choice.figures.items():
                told = [choice.name, e.value, e.low, e.high, None, e.reason]
                writer.writerow([moved.config, moved.law, "sensitivity", name, *told])
    return out.getvalue()
