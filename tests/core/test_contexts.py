"""Contexts on both sides of a cut against one plain tensor."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_cases import needs_gpu
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.core import experiment
from cvfp_cli.core.config import Execution, ExperimentConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.core.result import ExperimentData

UNLIKE = ("stages", "peak_memory_bytes", "execution_path")
LIKE = torch.empty(0, 3)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int]:
    """Rows, rows on the device, size of a piece."""
    rows = draw(st.integers(1, 40))
    return rows, draw(st.integers(0, rows)), draw(st.integers(1, 45))


def filled(rows: int, device_rows: int) -> tuple[Contexts, torch.Tensor]:
    plain = torch.randn(rows, 3)
    contexts = Contexts(rows, LIKE, device_rows)
    contexts.write(0, plain)
    return contexts, plain


@given(cuts(), st.data())
def test_reads_writes_and_takes_as_one_tensor_does(cut: tuple[int, int, int], data: st.DataObject) -> None:
    rows, device_rows, _ = cut
    contexts, plain = filled(rows, device_rows)
    assert (len(contexts), contexts.device_rows) == (rows, device_rows)
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    new = torch.randn(stop - start, 3)
    contexts.write(start, new)
    plain[start:stop] = new
    assert torch.equal(contexts.read(0, rows), plain)
    assert torch.equal(contexts.read(start, stop), new)
    assert torch.equal(torch.cat(contexts.parts()), plain)
    picked = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1))), dtype=torch.long)
    assert torch.equal(contexts.take(picked), plain[picked])


@given(cuts(), st.booleans(), st.integers(0, 5))
def test_pieces_pass_in_order_and_keep_what_is_written(
    cut: tuple[int, int, int], update: bool, skipped: int
) -> None:
    rows, device_rows, size = cut
    contexts, plain = filled(rows, device_rows)
    pieces = ranges(min(skipped, rows), rows, size)
    for rows_of_piece, (start, stop) in zip(contexts.pieces(pieces, update=update), pieces, strict=True):
        assert torch.equal(rows_of_piece, plain[start:stop])
        if update:
            rows_of_piece.add_(1.0)
            plain[start:stop] += 1.0
    assert torch.equal(contexts.read(0, rows), plain)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 12))
def test_ranges_cover_each_token_once(low: int, length: int, size: int) -> None:
    found = ranges(low, low + length, size)
    assert [token for start, stop in found for token in range(start, stop)] == list(range(low, low + length))
    assert all(stop - start == size for start, stop in found[:-1])


@needs_gpu
@pytest.mark.parametrize("device_rows", [0, 1, 12_345, 50_000])
def test_copies_beside_the_computation_lose_no_row(device_rows: int) -> None:
    """Pieces that take long to compute on and are changed at the very end, pass after pass, with no pause between."""
    rows = 50_001
    plain = torch.randn(rows, 64, device="cuda")
    contexts = Contexts(rows, torch.empty(0, 64, device="cuda"), device_rows)
    contexts.write(0, plain)
    busy = torch.randn(2048, 2048, device="cuda")
    for number, size in enumerate((4096, 999, 20_000)):
        for piece in contexts.pieces(ranges(1, rows, size), update=True):
            for _ in range(10):
                busy = busy @ busy
                busy /= busy.norm()
            piece.add_(1.0 + 0.0 * busy[0, 0])
        plain[1:] += 1.0
        read = torch.cat(list(map(torch.clone, contexts.pieces(ranges(0, rows, 3000 + number)))))
        assert torch.equal(read, plain)
    assert torch.equal(torch.cat([part.cuda() for part in contexts.parts()]), plain)


@needs_gpu
def test_a_run_with_contexts_on_the_host_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, vocab = 60_000, 1000
    ids = np.random.default_rng(0).integers(0, vocab, tokens + 2000)
    table = np.random.default_rng(1).standard_normal((vocab, 64)).astype(np.float32)
    data = ExperimentData(ids[:tokens], ids[tokens:], np.linspace(0, 2000, 11).astype(np.int64), 8000, table)
    config = ExperimentConfig(
        ModelConfig(2, 64, 2), phase1=Phase1Config(max_iterations=6), phase2=Phase2Config(epochs=2)
    )
    execution = Execution("cuda", "bf16", memory_bytes=2**24)
    whole = run_experiment(config, data, execution)
    planned = experiment._Run.plan_for
    cut = lambda *given: replace(planned(*given), device_rows=20_000)  # noqa: E731
    monkeypatch.setattr(experiment._Run, "plan_for", staticmethod(cut))
    parted = run_experiment(config, data, execution)
    assert parted.result.execution_path["pieces"]["device_rows"] == 20_000
    same = {name: getattr(whole.result, name) for name in UNLIKE}
    assert replace(parted.result, **same) == whole.result
    assert all(torch.equal(value, parted.weights[key]) for key, value in whole.weights.items())
