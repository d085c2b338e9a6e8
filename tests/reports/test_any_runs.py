"""Whatever the reader lets through makes a report: no traceback, no NaN, in any format."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_cases import html, markdown, report, results

from cvfp_cli.errors import InputError
from cvfp_cli.reports.compare import build_comparison
from cvfp_cli.reports.model import dump_json
from cvfp_cli.reports.plain import render_csv, render_plain
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Parameters, Run, Seconds

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), strategy)


PPL = st.one_of(st.sampled_from([1.0, 5.5, 189.4, 1e-300, 1e300, 1.0000000001]), st.floats(1e-3, 1e12))
SHARE = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
COUNT = st.sampled_from([1, 2, 3, 50, 100, 10**15])
NAME = st.one_of(st.sampled_from(["a", "b", "1L_768d_1tok"]), st.text(min_size=1, max_size=12))

RUNS = st.builds(
    Run,
    config=NAME,
    layers=maybe(st.sampled_from([1, 2, 3, 9])),
    context_dim=maybe(st.sampled_from([8, 768])),
    tokens=maybe(st.sampled_from([1, 2, 3])),
    samples=maybe(COUNT),
    train_tokens=maybe(st.sampled_from([0, 7, 1000, 2000, 10**15])),
    label=maybe(NAME),
    status=st.sampled_from(["done", "done", "done", "failed", "diverged"]),
    reason=maybe(st.text(max_size=20)),
    study=st.sampled_from(["", "s", "t"]),
    token_input=maybe(st.sampled_from(["all_layers", "first_layer"])),
    val_tokens=maybe(COUNT),
    val_bytes=maybe(COUNT),
    seed=maybe(st.integers(0, 2)),
    data_seed=maybe(st.integers(0, 1)),
    phase1_iterations=maybe(st.integers(0, 60)),
    phase1_rate=maybe(SHARE),
    phase1_converged=maybe(st.booleans()),
    train_effective_rank=maybe(SHARE),
    val_effective_rank=maybe(SHARE),
    train_ppl=maybe(PPL),
    val_ppl=maybe(PPL),
    val_loss=maybe(st.floats(-5, 50)),
    val_accuracy=maybe(SHARE),
    val_accuracy_se=maybe(st.floats(0, 1)),
    sample_losses=maybe(st.lists(st.floats(0, 20), max_size=3).map(tuple)),
    sample_targets=maybe(st.lists(st.integers(0, 9), max_size=3).map(tuple)),
    unigram_ppl=maybe(PPL),
    best_epoch=maybe(st.integers(1, 9)),
    epochs=maybe(st.integers(0, 9)),
    stopped_by=maybe(st.sampled_from(["epochs", "patience", "x"])),
    parameters=st.builds(Parameters, maybe(COUNT), maybe(COUNT), maybe(COUNT)),
    seconds=st.builds(Seconds, maybe(st.floats(0, 1e9)), maybe(st.floats(0, 1e9)), maybe(st.floats(0, 1e9))),
    peak_memory_bytes=maybe(COUNT),
    data_fingerprint=maybe(st.sampled_from(["f", "g"])),
)


def refuse_constant(text: str) -> None:
    raise AssertionError(text)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RUNS, max_size=14))
def test_any_runs_make_a_report(runs: list[Run]) -> None:
    made = report(results(runs))
    json.loads(dump_json(made), parse_constant=refuse_constant)
    for language in ("en", "ja"):
        assert markdown(made, language).count("\n## ") >= 10
        html(made, language)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RUNS, min_size=2, max_size=10), st.sampled_from([None, "saturating"]))
def test_any_runs_are_compared_or_refused(runs: list[Run], law: str | None) -> None:
    try:
        made, _ = build_comparison([results(runs)], names=["x"], law=law)
    except InputError:
        return
    json.loads(dump_json(made), parse_constant=refuse_constant)
    render_csv(made)
    render_plain(made, load_language("ja"))
