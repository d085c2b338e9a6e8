"""``cvfp plan``: what it prints, what it refuses, and that --apply runs it into the study's folder."""

import json
from pathlib import Path

import pytest

from cvfp_cli.cli.app import run
from cvfp_cli.results import read_results


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A study of other tools, without times."""
    lines = ["config,samples,train_tokens,seed,val_ppl"]
    for size, ppl in ((100, 81.0), (200, 70.5), (400, 60.0), (800, 52.4)):
        lines += [f"a,{size},{600 * size},{seed},{ppl * (1 + 0.01 * (seed - 42))}" for seed in (42, 43)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_planned_by_tokens(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(table), "--budget-tokens", "2e6"]) == 0
    shown = capsys.readouterr().out
    assert "Next: " in shown
    assert "expected then" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_json_says_runs_costs_and_intervals(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(table), "--budget-tokens", "2e6", "--goal", "ppl@1e6", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["cost"]["tokens"] <= 2e6
    assert said["cost"]["seconds"] is None
    assert said["width"] < 1.0
    assert [set(item) for item in said["runs"]] == [{"config", "samples", "seeds", "each"}] * len(
        said["runs"]
    )
    # Seeds that a cell has are not made again.
    there = {(r.samples, r.seed) for r in read_results(table).runs}
    assert not there & {(item["samples"], seed) for item in said["runs"] for seed in item["seeds"]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "plan needs a budget"),
        (["--budget-tokens", "1e6", "--budget-flops", "1e9"], "plan takes one budget"),
        (["--budget-tokens", "-1"], "--budget-tokens: -1 must be above 0"),
        (["--budget-seconds", "60"], "do not say how many seconds"),
        (["--budget-tokens", "1e6", "--goal", "beta"], "'beta' is no goal"),
        (["--budget-tokens", "1e6", "--sizes", "x"], "--sizes"),
        (["--budget-tokens", "1e6", "--configs", "c"], "no configuration 'c'"),
        (["--budget-tokens", "1e6", "--shard", "1/2"], "--shard: every part would plan anew"),
        (["--budget-tokens", "2e6", "--apply"], "is not one results folder of cvfp sweep"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    table: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["plan", str(table), *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_apply_adds_the_planned_runs_to_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "cache"))
    text = tmp_path / "text.jsonl"
    lines = [" ".join(f"word{(7 * i * j) % 53} {(i + j) % 11}" for j in range(30)) for i in range(80)]
    text.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    out = tmp_path / "out"
    small = [
        "phase1.min_iterations=1",
        "phase1.max_iterations=2",
        "phase2.epochs=1",
        "tokenizer.name=bpe:300",
        "embedding.name=random:16",
    ]
    options = [word for one in small for word in ("--set", one)]
    grid = [
        "--layers",
        "1",
        "--tokens",
        "1",
        "--context-dim",
        "8",
        "--samples",
        "5,10,20",
        "--seeds",
        "42,43",
    ]
    made = [
        "sweep",
        "--recipe",
        "demo",
        "--data",
        str(text),
        "--validation",
        "last:10",
        "--out",
        str(out),
        "-q",
    ]
    assert run([*made, *options, *grid, "--device", "cpu"]) == 0
    capsys.readouterr()
    plan = ["plan", str(out), "--budget-tokens", "4000", "--sizes", "5,10,20,40", "--device", "cpu", "-q"]
    assert run([*plan, "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["cost"]["seconds"] > 0
    assert said["cost"]["flops"] > 0
    assert run([*plan, "--apply"]) == 0
    wanted = {(item["samples"], seed) for item in said["runs"] for seed in item["seeds"]}
    there = {(r.samples, r.seed) for r in read_results(out).runs}
    assert there == wanted | {(size, seed) for size in (5, 10, 20) for seed in (42, 43)}
