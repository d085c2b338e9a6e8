"""Token vectors from co-occurrence counts: positive pointwise mutual information and a truncated SVD.

Levy and Goldberg (2014) show that such vectors hold what skip-gram ones do, and they need the training text alone.
Every vector is then scaled to one norm: raw ones grow with a token's frequency, which LayerNorm hides from the blocks
but not from the tied head.
"""

import numpy as np
from numpy.typing import NDArray

WINDOW = 2
ROW_SCALE = 0.14  # of sqrt(E): the norms of GPT-2's rows, so that a PPMI table can stand where that one stood
SEED = 0
FORMAT = 1  # raised whenever the same tokens would have to give other vectors

_OVERSAMPLING = 16
_ROUNDS = 4
_GRID = 2.0**14
_NO_DIRECTION = 1e-9


def ppmi_table(ids: NDArray[np.int64], vocab_size: int, width: int) -> NDArray[np.float32]:
    """Vectors of all tokens, learned from one stream.

    Args:
        ids: the training stream, shape (N,).
        vocab_size: rows of the table (V).
        width: columns of the table (E).

    Returns:
        float32, shape (V, E). Rows of tokens that the stream holds have the norm ``ROW_SCALE`` * √E. The other rows
        are 0 (as are those of tokens without any positive information), so that they say nothing to the blocks, and
        their logits are the head's bias alone. Where the stream has fewer than E different tokens, the last columns
        are 0.
    """
    seen, compact = np.unique(ids, return_inverse=True)
    vectors = _vectors(compact, len(seen), min(width, len(seen)))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms <= _NO_DIRECTION * norms.max()] = np.inf  # no positive information: rounding errors only
    vectors *= ROW_SCALE * np.sqrt(width) / norms
    table = np.zeros((vocab_size, width), dtype=np.float32)
    # Onto a grid far coarser than rounding errors, which depend on how many threads a matrix product was cut for.
    table[seen, : vectors.shape[1]] = np.round(vectors * _GRID) / _GRID
    return table


def _vectors(compact: NDArray[np.int64], tokens: int, width: int) -> NDArray[np.float64]:
    """U √|S| of the PPMI matrix of tokens numbered without gaps, shape (tokens, width).

    The matrix is symmetric, so its SVD is an eigendecomposition up to signs. It is found by randomised subspace
    iteration (Halko, Martinsson and Tropp 2011): LU keeps the basis apart between rounds, and one generalised
    eigenproblem at the end turns it into eigenvectors. Each one's largest entry is made positive.
    """
    from scipy import linalg

    matrix = _ppmi(compact, tokens)
    basis = np.random.default_rng(SEED).standard_normal((tokens, min(tokens, width + _OVERSAMPLING)))
    for _ in range(_ROUNDS):
        basis, _ = linalg.lu(matrix @ basis, permute_l=True, overwrite_a=True, check_finite=False)
    image = matrix @ basis
    values, rotation = linalg.eigh(basis.T @ image, basis.T @ basis, check_finite=False)
    order = np.argsort(-np.abs(values), kind="stable")[:width]
    vectors = basis @ rotation[:, order]
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.sign(vectors[largest, np.arange(width)])
    scaled: NDArray[np.float64] = vectors * np.sqrt(np.abs(values[order]))
    return scaled


def _ppmi(compact: NDArray[np.int64], tokens: int):  # type: ignore[no-untyped-def]
    """max(0, ln(n_ij n / (n_i n_j))) over pairs within the window, as a sparse symmetric matrix."""
    from scipy import sparse

    counts = sparse.csr_array((tokens, tokens))
    for distance in range(1, min(WINDOW, len(compact) - 1) + 1):
        pairs = (compact[:-distance], compact[distance:])
        counts = counts + sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=(tokens, tokens)).tocsr()
    symmetric = (counts + counts.T).tocoo()
    row, column = symmetric.coords
    totals = symmetric.sum(axis=1)
    information = np.log(symmetric.data * totals.sum() / (totals[row] * totals[column]))
    positive = information > 0
    kept = (information[positive], (row[positive], column[positive]))
    return sparse.csr_array(kept, shape=(tokens, tokens))
