"""Main effects against hand-worked means of a balanced design."""

import numpy as np
import pytest

from cvfp_cli.stats.effects import main_effects

DESIGN = [{"layers": layers, "tokens": tokens} for layers in (1, 2, 3) for tokens in (1, 2)]


def test_effects_of_a_balanced_design_are_differences_of_means() -> None:
    y = [1.0, 1.4, 2.1, 2.6, 2.9, 3.5]
    effects = main_effects(DESIGN, y, level=0.95)
    assert effects.levels == {"layers": (1, 2, 3), "tokens": (1, 2)}
    step = effects.contrast("layers", 1, 2)
    assert step is not None
    assert step.value == pytest.approx((2.1 + 2.6) / 2 - (1.0 + 1.4) / 2)
    token = effects.contrast("tokens", 1, 2)
    assert token is not None
    assert token.value == pytest.approx(np.mean([0.4, 0.5, 0.6]))
    # With two levels and no interaction it is the paired t test of the layers: se of the mean difference.
    assert token.se == pytest.approx(np.std([0.4, 0.5, 0.6], ddof=1) / np.sqrt(3))
    later = effects.contrast("layers", 2, 3)
    assert later is not None
    assert later.value == pytest.approx(3.2 - 2.35)


def test_words_stand_behind_numbers_and_what_does_not_vary_is_no_factor() -> None:
    rows = [{"input": "all", "kind": "x"}, {"input": 2, "kind": "x"}, {"input": 1, "kind": "x"}]
    assert main_effects(rows, [], level=0.95).levels == {"input": (1, 2, "all")}


def test_factors_that_go_together_cannot_be_told_apart() -> None:
    rows = [{"layers": n, "tokens": n} for n in (1, 2, 3, 1, 2, 3)]
    effects = main_effects(rows, [1.0, 2.0, 3.0, 1.1, 2.2, 2.9], level=0.95)
    assert effects.fit is None
    assert effects.contrast("layers", 1, 2) is None
