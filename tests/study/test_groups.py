"""What makes a group of runs, and what it is called."""

from pathlib import Path

from cvfp_cli.results import Results, Run
from cvfp_cli.study.families import families_of
from cvfp_cli.study.groups import Source, group_runs


def test_a_varied_token_input_is_said_once() -> None:
    runs = []
    for form in ("all_layers", "first_layer"):
        axes = {"layers": 6, "tokens": 1, "context_dim": 8, "model.token_input": form}
        runs += [
            Run(f"6L_token_input={form}", 6, 8, 1, n, 10 * n, token_input=form, val_ppl=100.0 / n, axes=axes)
            for n in (1, 2)
        ]
    (family,) = families_of([Results(Path("x"), tuple(runs))], ["x"])
    assert [group.label for group in family.groups] == [
        "6L_token_input=all_layers",
        "6L_token_input=first_layer",
    ]
    assert all("token_input" not in group.factors for group in family.groups)
    assert [group.factor("model.token_input") for group in family.groups] == ["all_layers", "first_layer"]


def test_ensembles_are_no_further_evidence_beside_their_members() -> None:
    members = [Run("1L", 1, 8, 1, n, 10 * n, seed=s, val_ppl=(99.0 + s) / n) for n in (1, 2) for s in (1, 2)]
    ensembles = [
        Run("1L x2", None, None, None, n, 10 * n, val_ppl=90.0 / n, kind="ensemble", run_id=f"e{n}")
        for n in (1, 2)
    ]
    both = families_of([Results(Path("x"), (*members, *ensembles))], ["x"])
    (alone,) = families_of([Results(Path("x"), tuple(members))], ["x"])
    assert [[group.label for group in family.groups] for family in both] == [["1L"], ["1L x2"]]
    assert both[0] == alone  # so nothing that is tested within a family can count a run twice
    assert [family.ensembles for family in both] == [False, True]
    groups, _ = group_runs([Source("x", (*members, *ensembles))])
    assert [points.of_members for points in groups] == [False, True]
