"""The ``fits`` of ``summary.json``: one log-log line a configuration."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from cvfp_cli.laws.names import MAIN
from cvfp_cli.results.schema import Run
from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.study.groups import Source, group_runs


def summary_fits(runs: Iterable[Run]) -> tuple[dict[str, Any], ...]:
    """The power law of every configuration that has at least two sizes, fitted on logarithms.

    Each has the shape of ``cvfp fit --format json``, with ``alpha``, ``alpha_low``, ``alpha_high`` and ``A`` beside.
    """
    usable = [
        run
        for run in runs
        if run.status == "done" and run.val_ppl is not None and run.train_tokens and np.isfinite(run.val_ppl)
    ]
    if not usable:
        return ()
    groups, _ = group_runs([Source("", usable)])
    result = []
    for points in groups:
        if len(points) < 2 or np.ptp(points.x) == 0.0:
            continue
        fit = fit_law(points, MAIN)
        alpha, amplitude = fit.parameters["alpha"], fit.parameters["A"]
        beside = {
            "alpha": alpha.value,
            "alpha_low": alpha.low,
            "alpha_high": alpha.high,
            "A": amplitude.value,
        }
        result.append({**fit.to_json(), **beside})
    return tuple(result)
