"""May two configurations be compared? Data, tokenizer and validation text, as far as the files record them."""

from collections.abc import Mapping
from typing import Any

from cvfp_cli.report.groups import Group
from cvfp_cli.report.model import Finding
from cvfp_cli.results.reader import Results


def tokenizer_of(results: Results | None) -> str | None:
    """The tokenizer's name, where the file records one."""
    return _named(results, "tokenizer")


def _named(results: Results | None, key: str) -> str | None:
    data: Mapping[str, Any] = results.summary.data if results is not None and results.summary else {}
    value = data.get(key)
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("source") or value.get("fingerprint")
    return str(value) if value not in (None, "") else None


def differences(first: Group, second: Group, files: Mapping[str, Results]) -> tuple[Finding, ...]:
    """What keeps two groups from being compared figure by figure; empty if nothing does.

    Args:
        files: the file of each group, by label.
    """
    found: list[Finding] = []
    names = {"first": first.label, "second": second.label}
    here, there = _fingerprints(first), _fingerprints(second)
    same_file = files.get(first.label) is files.get(second.label)
    ours, theirs = tokenizer_of(files.get(first.label)), tokenizer_of(files.get(second.label))
    if here and there and here != there:
        found.append(Finding("data-differ", names, "warning"))
    elif not (here and there) and (first.study != second.study or not same_file):
        found.append(Finding("data-unknown", names, "warning"))
    if ours and theirs and ours != theirs:
        both = {"first_tokenizer": ours, "second_tokenizer": theirs}
        found.append(Finding("tokenizer-differ", {**names, **both}, "warning"))
    if _validation_differs(first, second, files):
        found.append(Finding("validation-differ", names, "warning"))
    return tuple(found)


def _fingerprints(group: Group) -> set[str]:
    return {run.data_fingerprint for run in group.runs if run.data_fingerprint}


def _validation_differs(first: Group, second: Group, files: Mapping[str, Results]) -> bool:
    """Whether the validation text differs: by its bytes or tokens, or by what the files say it is."""
    for key in ("val_bytes", "val_tokens"):
        here = {getattr(run, key) for run in first.runs} - {None}
        there = {getattr(run, key) for run in second.runs} - {None}
        if here and there:
            return here != there
    ours, theirs = (_named(files.get(group.label), "validation") for group in (first, second))
    return bool(ours and theirs and ours != theirs)
