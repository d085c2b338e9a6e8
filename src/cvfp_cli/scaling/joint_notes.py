"""What a joint fit has to say beside its figures: what the runs do not tell, and what its intervals take for granted."""

from collections.abc import Sequence

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.notes import Note
from cvfp_cli.scaling.checks import outlier_note
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.joint import fit_joint, user_values
from cvfp_cli.scaling.joint_answers import Answers
from cvfp_cli.scaling.joint_errors import outlying
from cvfp_cli.scaling.joint_intervals import JointIntervals, at_bounds
from cvfp_cli.scaling.joint_runs import JointRuns
from cvfp_cli.scaling.result import DIFFER, PoolTest


def joint_notes(
    runs: JointRuns, found: JointIntervals, answers: Answers, pool: PoolTest | None, options: FitOptions
) -> list[Note]:
    """All notes on one joint fit but those on its groups."""
    law = found.data.law.name
    return [
        *_undetermined_notes(found),
        *_question_notes(found, answers, options),
        *([] if pool is None else _pool_notes(pool, law)),
        *_error_notes(found),
        *_outlier_notes(runs, found),
    ]


def _undetermined_notes(found: JointIntervals) -> list[Note]:
    """Figures that the runs cannot carry."""
    data, law, reasons = found.data, found.data.law, found.reasons
    m, k, notes = len(found.fit.residuals), data.held.k, []
    if m <= k:
        message = f"{law.name} has {counted(k, 'parameter')} and {counted(m, 'point')}: nothing is left to judge it by."
        notes.append(Note("no-freedom", message, "warning", {"law": law.name, "parameters": k, "points": m}))
    said = {name for names in reasons.values() for name in names}
    bound = at_bounds(found.fit, data) & ~data.held.fixed
    gone = ", ".join(name for name, at in law.coordinate.items() if bound[at] and name not in said)
    if gone:
        message = f"{law.name} ran into the bound of what it allows for {gone}."
        notes.append(Note("limit-joint", message, "warning", {"parameters": gone}))
    spans = [float(np.exp(np.ptp(part))) for part in (data.u, data.v)]
    return notes + [_undetermined(law.name, reason, names, spans, k) for reason, names in reasons.items()]


def _question_notes(found: JointIntervals, answers: Answers, options: FitOptions) -> list[Note]:
    """At which model size and after how many passes the answers hold."""
    law, notes = found.data.law, []
    if options.predict:
        size = answers.usual_size
        message = f"{law.name}: sizes to predict at without a model size are taken at the one measured most often, {size:.4g}."
        notes.append(Note("joint-size", message, values={"size": size}))
    if law.repeats and (options.predict or options.pairs or options.targets):
        passes = float(np.median(found.data.passes))
        message = f"{law.name}: what is asked of other sizes holds for {passes:.4g} passes, the runs' median."
        notes.append(Note("joint-passes", message, values={"passes": passes}))
    return notes


def _pool_notes(pool: PoolTest, law: str) -> list[Note]:
    if pool.p is None or pool.p >= DIFFER:
        return []
    message = (
        f"{law}: the {pool.groups} groups do not share one law (F({pool.df1}, {pool.df2}) = {pool.f:.3g}, "
        f"p = {pool.p:.2g}): its parameters are an average of theirs."
    )
    values = {"groups": pool.groups, "df1": pool.df1, "df2": pool.df2, "f": pool.f or 0.0, "p": pool.p}
    return [Note("pool-differs", message, "warning", values)]


def _error_notes(found: JointIntervals) -> list[Note]:
    """What the intervals take the runs' errors to be."""
    errors, law = found.errors, found.data.law.name
    if errors is None:
        return []
    if found.draws is not None:
        if not errors.by_size or (errors.model.shared_by_size <= 0.0 and not found.unseen):
            return []
        message = (
            f"{law}: the bootstrap draws runs one by one, and models may err together at one data size: its intervals are "
            "too narrow then. Without --bootstrap they allow for it, or say that nothing tells it."
        )
        return [Note("bootstrap-common-errors", message, "warning")]
    if found.unseen:
        listed = ", ".join(name for name in found.data.law.parameters if name in found.unseen)
        message = (
            f"{law}: no interval for {listed}: there are no more data sizes than parameters that only they tell, so how "
            "far the law misses a size cannot be seen. More data sizes would show it."
        )
        return [Note("common-errors-unknown", message, "warning", {"parameters": listed})]
    share = errors.model.shared_by_size
    if not errors.by_size or share <= 0.0:
        return []
    message = (
        f"{law}: models err together at one data size (correlation {share:.2f}); the intervals allow for it."
    )
    return [Note("common-errors", message, values={"correlation": share})]


def _undetermined(law: str, reason: str, names: Sequence[str], spans: Sequence[float], k: int) -> Note:
    listed = ", ".join(names)
    why = {
        "few-runs": f"there are fewer different runs than the law's {counted(k, 'parameter')}",
        "two-model-sizes": "with fewer than three model sizes they trade with one another",
        "two-data-sizes": "with fewer than three data sizes they trade with one another",
        "same-passes": "all runs passed over their data equally often",
        "fixed-ratio": "the data size follows from the model size in all runs, so the two terms can change places",
        "unbounded": f"these runs rule out no value (model sizes span a factor of {spans[0]:.3g}, data sizes one of "
        f"{spans[1]:.3g})",
    }[reason]
    values: dict[str, str | float] = {"parameters": listed, "model_span": spans[0], "data_span": spans[1]}
    return Note(f"joint-{reason}", f"{law}: {listed} undetermined: {why}.", "warning", values)


def _outlier_notes(runs: JointRuns, found: JointIntervals) -> list[Note]:
    """Which runs lie far off, and the parameters without them; nothing is left out."""
    if found.errors is None or found.flaws:
        return []
    relative, out = outlying(found.fit, found.data)
    if not np.any(out):
        return []
    law = found.data.law
    without: dict[str, float | None] = {}
    if all(len(np.unique(sizes[~out])) > 2 for sizes in (runs.n, runs.d)):
        rest = runs.part(~out)
        values = user_values(fit_joint(rest).theta[None], rest)[0]
        without = {
            name: float(np.exp(value) if name in law.positive else value)
            for name, value in zip(law.parameters, values, strict=True)
        }
    named = [(f"{runs.n[i]:.4g}:{runs.d[i]:.4g}", float(relative[i])) for i in np.flatnonzero(out)]
    return [outlier_note(law.name, law.name, named, len(relative), without)]
