"""A field that is a list as the axis of a study: several ContextBlocks, from the grid to the report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cvfp = Callable[..., Any]
LABELS = ["1L_2x4d_1tok_blocks=4+4", "1L_8d_1tok_blocks=none", "1L_4+6d_1tok_blocks=4+6"]
SMALL = ("--layers", "1", "--tokens", "1", "--samples", "4,8,16", "--device", "cpu")


def test_blocks_are_an_axis_from_the_sweep_to_the_report(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun = ("sweep", "--recipe", study, *SMALL, "--out", out, "--grid")
    assert cvfp(*begun, "model.blocks=none,4+4").code == 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/result.json")}
    extended = cvfp(*begun, "model.blocks=[],[4,4],[4,6]")
    assert extended.code == 0, extended.err
    assert len(before) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    summary = json.loads((out / "summary.json").read_text())
    runs = summary["runs"]
    places = {(run["config"], run["context_dim"], run["axes"]["model.blocks"]) for run in runs}
    assert places == {
        (label, width, word)
        for label, width, word in zip(LABELS, (8, 8, 10), ("4+4", "none", "4+6"), strict=True)
    }
    assert len(runs) == len({run["run_id"] for run in runs}) == len([*out.glob("runs/*/result.json")]) == 9
    listed = [item["model.blocks"] for item in summary["recipe"]["resolved"]["configurations"]]
    assert listed == [[], [4, 4], [4, 6]]
    # What a run of the axis is trained with is the list itself: it has the figures of the study that is given it.
    alone = tmp_path / "alone"
    told = ("sweep", "--recipe", study, *SMALL, "--set", "model.blocks=4,6", "--out", alone)
    assert cvfp(*told).code == 0
    ours = [run["val_loss"] for run in runs if run["axes"]["model.blocks"] == "4+6"]
    assert ours == [run["val_loss"] for run in json.loads((alone / "summary.json").read_text())["runs"]]

    fitted = cvfp("fit", out, "--format", "json")
    assert {fit["config"] for fit in json.loads(fitted.out)["fits"]} == set(LABELS)
    pairs = cvfp("compare", out, "--by", "model.blocks").out.partition("Pairs")[2]
    assert (LABELS[0] in pairs, LABELS[1] in pairs) == (True, True)
    assert LABELS[2] not in pairs  # which differs in its width, too
    for language in ("en", "ja"):
        report = cvfp("report", out, "--lang", language)
        assert report.code == 0, report.err
        assert all(label in report.out for label in LABELS)
        assert "| model.blocks | 4+4, 4+6, none |" in report.out
