"""May two configurations be compared? Data, tokenizer and validation text, as far as the files record them."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from cvfp_cli.reports.model import Finding
from cvfp_cli.results.reader import Results
from cvfp_cli.study.families import Group, families_of

ABOUT_PAIRS = ("data-differ", "data-unknown", "tokenizer-differ", "validation-differ")
MOST_ALIKE = 2  # warnings of one kind that are shown one by one


def tokenizer_of(results: Results | None) -> str | None:
    """The tokenizer's name, where the file records one."""
    return _recorded(results, "tokenizer", ("name", "source"))


def _with_fingerprint(results: Results | None) -> str:
    return f"{tokenizer_of(results)} [{(_recorded(results, 'tokenizer', ('fingerprint',)) or '')[:8]}]"


def _recorded(results: Results | None, part: str, keys: tuple[str, ...]) -> str | None:
    """What a file's ``data`` says of its tokenizer or validation text: the first of these keys that it has."""
    data: Mapping[str, Any] = results.summary.data if results is not None and results.summary else {}
    value = data.get(part)
    if isinstance(value, Mapping):
        value = next((value[key] for key in keys if value.get(key)), None)
    return str(value) if value not in (None, "") else None


def _part_differs(part: str, first: Results | None, second: Results | None) -> bool:
    """Whether a part of the data differs, by its fingerprint where both files record one, else by its name."""
    for keys in (("fingerprint",), ("name", "source")):
        ours, theirs = _recorded(first, part, keys), _recorded(second, part, keys)
        if ours and theirs:
            return ours != theirs
    return False


def differences(first: Group, second: Group, files: Mapping[str, Results]) -> tuple[Finding, ...]:
    """What keeps two groups from being compared figure by figure; empty if nothing does.

    Args:
        files: the file of each group, by label.
    """
    found: list[Finding] = []
    names = {"first": first.label, "second": second.label}
    here, there = _fingerprints(first), _fingerprints(second)
    same_file = files.get(first.label) is files.get(second.label)
    if here and there and here != there:
        found.append(Finding("data-differ", names, "warning"))
    elif not (here and there) and (first.study != second.study or not same_file):
        found.append(Finding("data-unknown", names, "warning"))
    if not same_file and _part_differs("tokenizer", files.get(first.label), files.get(second.label)):
        ours, theirs = tokenizer_of(files.get(first.label)), tokenizer_of(files.get(second.label))
        if ours == theirs:  # one name for two: their fingerprints tell them apart
            ours, theirs = (_with_fingerprint(files.get(label)) for label in (first.label, second.label))
        both = {"first_tokenizer": ours, "second_tokenizer": theirs}
        found.append(Finding("tokenizer-differ", {**names, **both}, "warning"))
    if _validation_differs(first, second, files):
        found.append(Finding("validation-differ", names, "warning"))
    return tuple(found)


def between_files(results: Sequence[Results], names: Sequence[str]) -> tuple[Finding, ...]:
    """What keeps groups of different files apart, pair by pair; empty if nothing does."""
    groups = [group for family in families_of(results, names) for group in family.groups]
    of = {group.label: next(item for item in results if group.runs[0] in item.runs) for group in groups}
    return tuple(
        finding
        for first, second in combinations(groups, 2)
        if of[first.label] is not of[second.label]
        for finding in differences(first, second, of)
    )


def summed(warnings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same warnings for people: of each kind one line, with the first pair, where more than ``MOST_ALIKE`` say it.

    Args:
        warnings: as ``differences`` gives them, of any number of pairs; findings of other codes stay as they are.
    """
    kinds: dict[object, list[Finding]] = {}
    for place, warning in enumerate(warnings):
        kinds.setdefault(warning.code if warning.code in ABOUT_PAIRS else place, []).append(warning)
    found: list[Finding] = []
    for alike in kinds.values():
        found += alike if len(alike) <= MOST_ALIKE else [_sum_of(alike)]
    return tuple(found)


def _sum_of(alike: Sequence[Finding]) -> Finding:
    code, first = alike[0].code, alike[0].values
    values: dict[str, Any] = {"count": len(alike), "first": first["first"], "second": first["second"]}
    if code == "tokenizer-differ":
        both = (item.values[key] for item in alike for key in ("first_tokenizer", "second_tokenizer"))
        values["tokenizers"] = tuple(dict.fromkeys(both))
    return Finding(f"{code}-summed", values, "warning")


def _fingerprints(group: Group) -> set[str]:
    return {run.data_fingerprint for run in group.runs if run.data_fingerprint}


def _validation_differs(first: Group, second: Group, files: Mapping[str, Results]) -> bool:
    """Whether the validation text differs: by its bytes, or by what the files say it is; tokens tell of it only
    under one tokenizer."""
    ours, theirs = files.get(first.label), files.get(second.label)
    for key in ("val_bytes", "val_tokens"):
        here = {getattr(run, key) for run in first.runs} - {None}
        there = {getattr(run, key) for run in second.runs} - {None}
        if here and there and (key == "val_bytes" or not _part_differs("tokenizer", ours, theirs)):
            if here != there:
                return True
            break
    return ours is not theirs and _part_differs("validation", ours, theirs)
