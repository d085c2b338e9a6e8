"""Notes and warnings as data, so that programs can act on them and every renderer words them alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["finding", "note", "warning"]

FIT, DATA, JOINT_LAW, COMMAND = "fit", "data", "joint-law", "command"


@dataclass(frozen=True)
class Note:
    """One remark about an input or a result.

    Attributes:
        code: stable machine-readable name in kebab-case, such as ``converged-inferred``.
        message: one sentence for people; empty in a report, whose catalogues hold the sentence.
        severity: ``finding`` states; ``note`` informs; ``warning`` means a figure should be read with care.
        values: the figures and names in the message, for a renderer that words it itself.
    """

    code: str
    message: str
    severity: Severity = "note"
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Every code that a note of the package has, by where it is told: with a law's fits, in a report by the sentence
# ``fit-CODE``; the same, but once for the data, whatever laws go through them; with the joint law, by the sentence
# ``joint-fit-CODE``; by the command alone, where a report does not show it, or words what it says in another way.
CODES: Mapping[str, frozenset[str]] = {
    FIT: _codes(
        """
        break-at-end flat limit-constant limit-floor limit-joint limit-power limit-saturating limit-steepest
        limit-step no-aicc no-freedom one-degree-of-freedom rising starts-disagree underdetermined
        undetermined
        """
    ),
    DATA: _codes("mixed-data seeds-unknown still-converging still-improving"),
    JOINT_LAW: _codes(
        """
        joint-few-runs joint-fixed-ratio joint-same-passes joint-two-data-sizes joint-two-model-sizes joint-unbounded
        limit-joint no-freedom
        """
    ),
    COMMAND: _codes(
        """
        best-of bootstrap-common-errors cache-damaged cache-unreadable cache-unwritable checkpoint-unused common-errors
        common-errors-unknown converged-inferred embedding-rows-unused empty-samples ensembles-apart export-without-text fix-left-out forecast-unshared group-left-out
        hub-from-cache identical-texts incomplete joint-choice joint-group-left-out joint-left-out joint-passes joint-size
        joint-unanswered legacy-metadata long-run model-sizes-unused no-schema non-finite-read-as-missing
        not-fixed not-ranked no-isoflops not-shared nothing-pooled one-seed pool-differs recipe-left-out recovered rows-left-out
        rows-repeated run-unreadable runs-added runs-diverged runs-left-out runs-missing runs-unreadable
        outliers samples-unused set-aside shared-fit stale-lock studies-pooled study-unreadable threads-differ threads-shared tokenizer-loses-text
        tokenizer-smaller tokens-from-flops unequal-variance unigram-not-beaten unknown-key validation-tokens-unexpected window-too-wide y-unit
        """
    ),
}


def told(note: Note) -> frozenset[str]:
    """Where a note is told; empty for one that the package does not know."""
    return frozenset(place for place, codes in CODES.items() if note.code in codes)
