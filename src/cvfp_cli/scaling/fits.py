"""``fit_law``: one law through one group's points, with every interval it can honestly give."""

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.points import Points
from cvfp_cli.scaling.regression import least_squares
from cvfp_cli.scaling.result import Estimate, Fit, FittedPoint


def fit_law(points: Points, law: str, *, objective: str = "log", level: float = 0.95) -> Fit:
    """Fit ``law`` to ``points``.

    Raises:
        InputError: too few points, or an unknown law or objective.
    """
    points.require_fittable()
    if law != "power" or objective != "log":
        raise InputError(f"Unknown law {law!r} with objective {objective!r}.")
    log_x, log_y = np.log(points.x), np.log(points.y)
    centre = float(log_x.mean())
    line = least_squares(
        np.column_stack([np.ones(len(points)), log_x - centre]), log_y, names=("level", "alpha"), level=level
    )
    alpha = line["alpha"]
    log_a = line.contrast([1.0, -centre])
    predicted = np.exp(log_y - line.residuals)
    m, k = len(points), 2
    rss_ppl = float(np.sum((points.y - predicted) ** 2))
    return Fit(
        config=points.label,
        law=law,
        x=points.x_name,
        y=points.y_name,
        objective=objective,
        points=m,
        k=k,
        level=level,
        parameters={
            "A": Estimate(
                *(None if v is None else float(np.exp(v)) for v in (log_a.value, log_a.low, log_a.high))
            ),
            "alpha": Estimate(alpha.value, alpha.low, alpha.high),
        },
        r_squared=line.r_squared,
        rss_ppl=rss_ppl,
        rss_log=line.rss,
        aic=m * float(np.log(rss_ppl / m)) + 2 * k if rss_ppl > 0 else None,
        aicc=None,
        bic=m * float(np.log(line.rss / m)) + k * float(np.log(m)) if line.rss > 0 else None,
        fitted=tuple(
            FittedPoint(float(x), float(y), float(p), float(100 * (p / y - 1)))
            for x, y, p in zip(points.x, points.y, predicted, strict=True)
        ),
        interval_method="t",
    )
