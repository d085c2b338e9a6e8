"""Results to report on: the published studies, simulated sweeps, and everything that can be missing."""

import json
import math
import random
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from cvfp_cli.core.config import HeadConfig, ModelConfig
from cvfp_cli.core.shapes import parameter_counts
from cvfp_cli.reports.build import build_report
from cvfp_cli.reports.html import render_html
from cvfp_cli.reports.markdown import render_markdown
from cvfp_cli.reports.model import Finding, Report, Table, Value, to_json
from cvfp_cli.reports.text import load_language
from cvfp_cli.results import Results
from cvfp_cli.results.schema import Parameters, Run, Seconds, Summary

PUBLISHED = json.loads((Path(__file__).parents[1] / "published_results.json").read_text(encoding="utf-8"))
MATRIX = "2025-11-30-matrix"
ARCHITECTURES = "2025-11-29-architectures"
EFFECTIVE_RANK = "2025-11-29-effective-rank"
CONTEXT_DIM = "2025-12-03-context-dim"
SHALLOW_WIDE = "2025-11-29-shallow-wide"
LANGUAGES = ("en", "ja")


def published_runs(study: str) -> list[Run]:
    """A study's published figures, with the parameter counts that its configurations have."""
    runs = []
    for row in PUBLISHED["runs"]:
        if row["study"] != study:
            continue
        model = ModelConfig(
            layers=row["layers"],
            context_dim=row["context_dim"],
            tokens=row["tokens"],
            token_input=row.get("token_input", "all_layers"),
        )
        counts = parameter_counts(model, HeadConfig(), 768, 50257)
        parameters = Parameters(counts.context_block, counts.token_block, counts.total)
        runs.append(Run(**row, parameters=parameters))
    return runs


def published(study: str) -> Results:
    """A study as ``read_results`` would give it."""
    return results(published_runs(study))


def results(runs: Iterable[Run], **summary: Any) -> Results:
    """Results of these runs, with a summary around them where its fields are given."""
    made = tuple(runs)
    if not summary:
        return Results(Path("results/summary.json"), made)
    fields: dict[str, Any] = {
        "created": "2026-01-02T03:04:05+00:00",
        "command": "cvfp sweep --recipe demo",
        "complete": True,
        "recipe": {"name": "demo", "overrides": {}, "resolved": {}},
        "environments": (),
        "data": {},
    }
    return Results(Path("results/summary.json"), made, (), Summary(runs=made, **{**fields, **summary}))


def report(*sources: Results, **options: Any) -> Report:
    """The report on these results."""
    names = [f"results{i or ''}/summary.json" for i in range(len(sources))]
    return build_report(sources, names=names, command="cvfp report", **options)


def markdown(made: Report, language: str = "en") -> str:
    """As Markdown."""
    return render_markdown(made, load_language(language))


def html(made: Report, language: str = "en") -> str:
    """As HTML."""
    return render_html(made, load_language(language))


def findings(made: Report) -> dict[str, Finding]:
    """Findings by code; of several with one code the last."""
    return {finding.code: finding for finding in made.findings()}


def table(made: Report, key: str) -> list[dict[str, Value]]:
    """The rows of the first table of this key, by column."""
    for section in made.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.key == key:
                names = [column.key for column in block.columns]
                return [dict(zip(names, row, strict=True)) for row in block.rows]
    raise KeyError(key)


def tables(made: Report, key: str) -> list[list[dict[str, Value]]]:
    """The rows of every table of this key."""
    return [
        [dict(zip([column.key for column in block.columns], row, strict=True)) for row in block.rows]
        for section in made.sections
        for block in section.blocks
        if isinstance(block, Table) and block.key == key
    ]


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Tables of a Markdown text as rows of cell texts, read by GitHub's rules."""
    found: list[list[list[str]]] = []
    inside = False
    for token in MarkdownIt("gfm-like").parse(text):
        if token.type == "table_open":
            found.append([])
            inside = True
        elif token.type == "table_close":
            inside = False
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and inside:
            words = [
                child.content for child in token.children or [] if child.type in ("text", "text_special")
            ]
            found[-1][-1].append("".join(words))
    return found


def simulated(
    *,
    layers: Iterable[int] = (1, 2),
    tokens: Iterable[int] = (1, 2),
    context_dims: Iterable[int] = (128,),
    samples: Iterable[int] = (50, 100, 200, 400),
    seeds: Iterable[int] = (0,),
    noise: float = 0.01,
    layer_effect: float = 0.0,
    token_effect: float = -0.05,
    slope_step: float = 0.0,
    seed: int = 1,
) -> list[Run]:
    """A sweep from a known law: ln PPL = 11 - 0.5 ln n + effects + noise."""
    source = random.Random(seed)
    runs = []
    for depth in layers:
        for window in tokens:
            for width in context_dims:
                for count in samples:
                    for run_seed in seeds:
                        n = count * 1200
                        level = 11 + layer_effect * (depth - 1) + token_effect * (window - 1)
                        slope = -0.5 - slope_step * (depth - 1)
                        loss = level + slope * math.log(n) + source.gauss(0, noise)
                        runs.append(_simulated_run(depth, width, window, count, run_seed, n, loss, source))
    return runs


def _simulated_run(
    depth: int, width: int, window: int, count: int, seed: int, n: int, loss: float, source: random.Random
) -> Run:
    name = f"{depth}L_{width}d_{window}tok"
    ppl = math.exp(loss)
    return Run(
        config=name,
        layers=depth,
        context_dim=width,
        tokens=window,
        samples=count,
        train_tokens=n,
        run_id=f"{name}-{count}-{seed}",
        study="simulated",
        embed_dim=128,
        token_input="all_layers",
        val_tokens=20000,
        val_bytes=91234,
        seed=seed,
        phase1_iterations=10 + depth,
        phase1_rate=0.993,
        phase1_converged=True,
        train_effective_rank=0.7 + 0.05 * window,
        val_effective_rank=0.69 + 0.05 * window,
        train_ppl=ppl * 0.6,
        val_ppl=ppl,
        val_loss=loss,
        val_loss_se=0.02,
        val_accuracy=min(0.9, 1.2 / loss),
        val_accuracy_se=0.0004,
        unigram_ppl=5000.0,
        best_epoch=4,
        epochs=5,
        stopped_by="patience",
        parameters=Parameters(depth * 100_000, window * 150_000, 900_000),
        seconds=Seconds(10.5 + depth, 1.25, 5.75 + window),
        peak_memory_bytes=1_200_000_000,
        data_fingerprint="abc123",
        environment=0,
    )


def full_summary(runs: list[Run]) -> Results:
    """Results with every part of a summary filled in."""
    return results(
        runs,
        recipe={"name": "demo", "overrides": {"phase2.epochs": 5, "grid.layers": [1, 2]}, "resolved": {}},
        environments=(
            {
                "cvfp": "0.1.0",
                "torch": "2.13.0",
                "device_name": "a card",
                "device_memory_bytes": 24_000_000_000,
                "precision": "float32",
                "threads": 2,
            },
        ),
        data={
            "source": "pydocs",
            "fingerprint": "abc123",
            "tokenizer": {"name": "bpe:4096"},
            "embedding": "ppmi:128",
            "validation": "last:40",
            "overlap": 0,
        },
    )


def with_failures(runs: list[Run]) -> list[Run]:
    """The same runs, one failed and one diverged."""
    failed = replace(
        runs[0], status="failed", reason="out of memory", val_ppl=None, train_ppl=None, val_accuracy=None
    )
    diverged = replace(runs[-1], status="diverged", reason="phase 2: the loss is not finite", val_ppl=None)
    return [failed, *runs[1:-1], diverged]


def flat_numbers(value: Any) -> set[float]:
    """Every number in a report's JSON, also those inside its strings."""
    found: set[float] = set()
    if isinstance(value, bool) or value is None:
        return found
    if isinstance(value, int | float):
        return {float(value)}
    if isinstance(value, str):
        return {float(text) for text in re.findall(r"\d+(?:\.\d+)?", value)}
    items = value.values() if isinstance(value, dict) else value
    for item in items:
        found |= flat_numbers(item)
    return found


def data_numbers(made: Report) -> set[float]:
    """Every number that the report's data hold."""
    return flat_numbers(to_json(made))
