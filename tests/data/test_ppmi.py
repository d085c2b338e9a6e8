"""PPMI vectors against brute force and a dense eigendecomposition."""

import math
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cvfp_cli.data import ppmi
from cvfp_cli.data.ppmi import ROW_SCALE, WINDOW, ppmi_table


def brute_force(ids: list[int], size: int) -> NDArray[np.float64]:
    """The definition, pair by pair."""
    pairs: Counter[tuple[int, int]] = Counter()
    for i, left in enumerate(ids):
        for right in ids[i + 1 : i + 1 + WINDOW]:
            pairs[left, right] += 1
            pairs[right, left] += 1
    total = sum(pairs.values())
    rows: Counter[int] = Counter()
    for (left, _), count in pairs.items():
        rows[left] += count
    matrix = np.zeros((size, size))
    for (left, right), count in pairs.items():
        matrix[left, right] = max(0.0, math.log(count * total / (rows[left] * rows[right])))
    return matrix


@given(st.lists(st.integers(0, 7), min_size=2, max_size=80))
@settings(max_examples=50)
def test_the_matrix_is_the_definition(ids: list[int]) -> None:
    seen, compact = np.unique(ids, return_inverse=True)
    found = ppmi._ppmi(compact, len(seen)).toarray()
    np.testing.assert_allclose(found, brute_force(compact.tolist(), len(seen)), atol=1e-12)


def stream(tokens: int, length: int, seed: int = 0) -> NDArray[np.int64]:
    """A random walk: tokens near one another in number stand near one another in the stream."""
    steps = np.random.default_rng(seed).integers(-3, 4, length)
    return np.cumsum(steps) % tokens


def cosines(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, dtype=np.float64)


def test_vectors_are_the_leading_eigenvectors() -> None:
    """All cosines between tokens agree with those of the exact truncated SVD."""
    ids = stream(60, 4000)
    values, vectors = np.linalg.eigh(brute_force(ids.tolist(), 60))
    for width in (60, 50):  # both within reach of the oversampled basis, so exact
        order = np.argsort(-np.abs(values))[:width]
        exact = vectors[:, order] * np.sqrt(np.abs(values[order]))
        np.testing.assert_allclose(cosines(ppmi_table(ids, 60, width)), cosines(exact), atol=2e-3)


def test_a_narrow_table_keeps_nearly_all_that_the_best_one_keeps() -> None:
    ids = stream(400, 40_000)
    matrix = brute_force(ids.tolist(), 400)
    values = np.sort(np.abs(np.linalg.eigvalsh(matrix)))[::-1][:32]
    found = np.linalg.svd(ppmi._vectors(ids, 400, 32), compute_uv=False) ** 2
    assert found.sum() == pytest.approx(values.sum(), rel=0.02)


def test_rows_have_one_norm_and_unseen_tokens_none() -> None:
    ids = stream(50, 3000) * 2
    table = ppmi_table(ids, 120, 16)
    assert table.shape == (120, 16)
    assert table.dtype == np.float32
    norms = np.linalg.norm(table, axis=1)
    np.testing.assert_allclose(norms[:100:2], ROW_SCALE * 4, rtol=1e-3)
    assert (norms[1::2] == 0).all()
    assert (norms[100:] == 0).all()


def test_fewer_tokens_than_columns() -> None:
    table = ppmi_table(np.array([0, 1, 2, 0, 1, 2, 2]), 10, 6)
    assert (table[:, 3:] == 0).all()
    assert np.isfinite(table).all()


def test_a_text_without_information_gives_zeros() -> None:
    assert (ppmi_table(np.zeros(10, dtype=np.int64), 4, 2) == 0).all()


def test_neighbours_in_the_stream_are_neighbours_in_the_table() -> None:
    table = ppmi_table(stream(100, 20_000), 100, 24)
    near = cosines(table)
    steps = (np.arange(100)[:, None] - np.arange(100)) % 100
    assert near[(steps == 2) | (steps == 98)].mean() > near[(steps > 20) & (steps < 80)].mean() + 0.3


def test_the_same_table_whatever_the_number_of_threads() -> None:
    script = (
        "import sys, numpy as np; from cvfp_cli.data.ppmi import ppmi_table; "
        "ids = np.cumsum(np.random.default_rng(0).integers(-9, 10, 30000)) % 900; "
        "sys.stdout.buffer.write(ppmi_table(ids, 1000, 64).tobytes())"
    )
    tables = []
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, check=True
        )
        tables.append(done.stdout)
    assert tables[0] == tables[1]
