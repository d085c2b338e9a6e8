"""What makes a group of runs, and what it is called."""

from pathlib import Path

from cvfp_cli.results import Results, Run
from cvfp_cli.study.families import families_of


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
