"""Runs that differ in nothing but their seed, as one model: the mean of their probabilities.

What a run thinks of the validation is kept beside it, so an ensemble is made of finished runs and trains nothing.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.metrics import clustered_standard_error, perplexity, sample_sums
from cvfp_cli.counting import counted
from cvfp_cli.results import Parameters, Run, StageRecord, run_id
from cvfp_cli.results.schema import ENSEMBLE

LOSSES_FILE = "losses.npy"


def packed(losses: NDArray[np.float64]) -> bytes:
    """The content of ``losses.npy``: ln 1/p of every validation target, (M − 1,), as precise as it was computed."""
    file = io.BytesIO()
    np.save(file, losses.astype(np.float32), allow_pickle=False)
    return file.getvalue()


def make_ensembles(
    several: Iterable[Sequence[Run]], folder_of: Callable[[Run], Path], warn: Callable[[str], None]
) -> list[tuple[str, Run]]:
    """The ensemble of every group of runs that differ in their seed alone, with a name for its folder.

    Args:
        several: the groups, each of two runs or more, all with an end.
        folder_of: where a run is kept.
        warn: told where there can be no ensemble, and why.
    """
    made = []
    for members in several:
        what = f"no ensemble of {members[0].label or members[0].config} at {counted(members[0].samples or 0, 'sample')}"
        unfinished = [run for run in members if run.status != "done"]
        losses = {} if unfinished else {run.run_id: _read(folder_of(run) / LOSSES_FILE) for run in members}
        missing = [run for run in members if losses.get(run.run_id) is None]
        if unfinished:
            warn(f"{what}: {counted(len(unfinished), 'run')} of {len(members)} ended without figures.")
        elif missing:
            warn(
                f"{what}: seed {missing[0].seed} has no {LOSSES_FILE}, which earlier versions did not keep; "
                "set it aside with cvfp train --fresh to train it again."
            )
        else:
            run = ensemble_run(members, {key: value for key, value in losses.items() if value is not None})
            made.append((f"{run.config}_s{run.samples}_{run.run_id}", run))
    return made


def _read(path: Path) -> NDArray[np.float64] | None:
    """Losses that a run kept; None where there are none that can be read."""
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError):
        return None


def mixed(losses: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """ln 1/p of each target where p is the mean of the members' probabilities: (n, M − 1) -> (M − 1,)."""
    mean: NDArray[np.float64] = np.log(len(losses)) - np.logaddexp.reduce(-np.stack(losses), axis=0)
    return mean


def ensemble_run(members: Sequence[Run], losses: Mapping[str, NDArray[np.float64]]) -> Run:
    """One run out of several: their parameters and their seconds added up, and PPL from the mean of probabilities.

    It has no seed, no epochs and no accuracy: which token is likeliest on the whole is not kept.

    Args:
        losses: by run_id, (M − 1,) each.
    """
    first = members[0]
    each = mixed([losses[run.run_id] for run in members])
    counts = np.array(first.sample_targets or (len(each),), dtype=np.int64)
    sums = sample_sums(each, np.concatenate([[0], 1 + np.cumsum(counts)]))
    loss = float(each.mean())
    times = f" x{len(members)}"
    totals = [run.parameters.total for run in members]
    bodies = [run.parameters.body for run in members]
    flops = [run.flops for run in members]
    return Run(
        config=first.config + times,
        layers=None,
        context_dim=None,
        tokens=None,
        samples=first.samples,
        train_tokens=first.train_tokens,
        label=None if first.label is None else first.label + times,
        run_id=run_id({"kind": ENSEMBLE, "members": [run.run_id for run in members]}, "", {}),
        study=first.study,
        embed_dim=first.embed_dim,
        val_tokens=first.val_tokens,
        val_bytes=first.val_bytes,
        data_seed=first.data_seed,
        val_ppl=perplexity(loss),
        val_loss=loss,
        val_loss_se=clustered_standard_error(sums, counts.astype(np.float64)),
        sample_losses=tuple((sums / np.maximum(counts, 1)).tolist()),
        sample_targets=first.sample_targets,
        unigram_ppl=first.unigram_ppl,
        parameters=Parameters(
            total=sum(count for count in totals if count is not None) if None not in totals else None,
            body=sum(count for count in bodies if count is not None) if None not in bodies else None,
        ),
        execution_path={"kind": first.kind, "seeds": [run.seed for run in members]},
        data_fingerprint=first.data_fingerprint,
        flops=sum(count for count in flops if count is not None) if None not in flops else None,
        kind=ENSEMBLE,
        stages=(StageRecord("members", len(members), sum(run.total_seconds or 0.0 for run in members)),),
    )
