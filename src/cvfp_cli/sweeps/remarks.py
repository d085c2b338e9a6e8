"""What a command's finished runs call for: a head or a length of training that would serve them better."""

from collections.abc import Sequence

from cvfp_cli.core.config import HeadConfig
from cvfp_cli.counting import agreeing, counted
from cvfp_cli.notes import Note
from cvfp_cli.recipes import Recipe, fields_called
from cvfp_cli.results.schema import Run

NAMED = 3  # runs named one by one
WORKING_HEAD = "--set head.logit_scale=0.05 --set head.learn_logit_scale=true --set head.bias=unigram"


def remarks(runs: Sequence[Run], recipe: Recipe) -> tuple[Note, ...]:
    """Warnings about runs that learned nothing, or that a limit ended while they were still improving.

    Args:
        runs: of one command. recipe: what they were trained by.
    """
    useless = [run for run in runs if _learned_nothing(run)]
    improving = [run for run in runs if run.still_improving]
    converging = [run for run in runs if run.still_converging]
    notes = []
    if useless:
        message = (
            f"{_counted(useless, runs)} no better than the unigram model, so nothing was learned: "
            f"{_named(useless)}. {_help(useless, recipe)}"
        )
        notes.append(Note("unigram-not-beaten", message, "warning"))
    if improving:
        limit = max(run.epochs or 0 for run in improving)
        fields = [field for kind in _kinds(improving) for field in fields_called("epochs", [kind])]
        longer = " ".join(f"--set {field}={2 * limit}" for field in fields)
        message = (
            f"{_counted(improving, runs)} still improving at the limit of {counted(limit, 'epoch')}: "
            f"{_named(improving)}. {longer} trains longer."
        )
        notes.append(Note("still-improving", message, "warning"))
    if converging:
        limit = max(run.phase1_iterations or 0 for run in converging)
        message = (
            f"{_counted(converging, runs, past=True)} still converging when phase 1 ended at its limit of "
            f"{counted(limit, 'iteration')}: "
            f"{_named(converging)}. --set phase1.max_iterations={2 * limit} goes on."
        )
        notes.append(Note("still-converging", message))
    return tuple(notes)


def _kinds(runs: Sequence[Run]) -> list[str]:
    """The kinds of model of runs, each once."""
    return list(dict.fromkeys(run.kind for run in runs))


def _learned_nothing(run: Run) -> bool:
    """Whether a finished run's PPL is no lower than the unigram model's; one too high to be a number is not either."""
    if run.status != "done" or run.unigram_ppl is None:
        return False
    return run.val_ppl is None or run.val_ppl >= run.unigram_ppl


def _help(runs: Sequence[Run], recipe: Recipe) -> str:
    """What would help runs that are no better than the unigram model."""
    head = recipe.tables.get("head")
    if isinstance(head, HeadConfig) and not (head.learn_logit_scale and head.bias == "unigram"):
        return f"A head that learns its scale and starts from the unigram model would help: {WORKING_HEAD}."
    if any(run.still_improving for run in runs):
        return "More epochs would help (phase2.epochs), or more samples."
    return "More samples would help, or a lower phase2.learning_rate."


def _counted(some: Sequence[Run], runs: Sequence[Run], *, past: bool = False) -> str:
    one, several = ("was", "were") if past else ("is", "are")
    if len(runs) == 1:
        return f"the run {one}"
    return f"{len(some)} of {counted(len(runs), 'run')} {agreeing(len(some), one, several)}"


def _named(runs: Sequence[Run]) -> str:
    names = [
        f"{run.config} at {counted(run.samples or 0, 'sample')}, seed {run.seed}"
        + ("" if run.data_seed is None else f", data seed {run.data_seed}")
        for run in runs[:NAMED]
    ]
    return "; ".join(names) + (f"; and {len(runs) - NAMED} more" if len(runs) > NAMED else "")
