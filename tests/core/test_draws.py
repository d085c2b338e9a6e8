"""Noise depends on (seed, iteration, token) alone, and is N(0, σ²)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.core.draws import BLOCK, normal_rows

WHOLE = normal_rows((1, "noise", 2), 0, 2 * BLOCK + 100, torch.empty(2 * BLOCK + 100, 3), 0.1)


@settings(max_examples=50)
@given(st.integers(0, 2 * BLOCK), st.integers(1, BLOCK))
def test_any_piece_is_that_piece_of_the_whole(start: int, count: int) -> None:
    stop = min(start + count, len(WHOLE))
    piece = normal_rows((1, "noise", 2), start, stop, torch.empty(stop - start, 3), 0.1)
    assert torch.equal(piece, WHOLE[start:stop])


def test_key_and_block_change_the_draw() -> None:
    other = normal_rows((1, "noise", 3), 0, BLOCK, torch.empty(BLOCK, 3), 0.1)
    assert not torch.equal(other, WHOLE[:BLOCK])
    assert not torch.equal(WHOLE[:BLOCK], WHOLE[BLOCK : 2 * BLOCK])


def test_moments() -> None:
    assert float(WHOLE.mean()) == pytest.approx(0.0, abs=0.003)
    assert float(WHOLE.std()) == pytest.approx(0.1, rel=0.03)
