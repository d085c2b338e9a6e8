"""Effective rank, unigram perplexity and clustered standard errors."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvfp_cli.core.device import float64_device

UNIGRAM_COUNT = 0.1
HELD_OUT = 10  # pieces


@torch.no_grad()
def gram_matrix(pieces: Iterable[Tensor]) -> Tensor:
    """Cᵀ·C of contexts in pieces (n, D), in float64, summed on the CPU where the device has none: (D, D), on the CPU."""
    gram: Tensor | None = None
    for piece in pieces:
        exact = piece.to(device=float64_device(piece.device), dtype=torch.float64)
        if gram is None:
            gram = exact.new_zeros(exact.shape[1], exact.shape[1])
        gram.addmm_(exact.t(), exact)
    if gram is None:
        raise ValueError("no contexts")
    return gram.cpu()


def effective_rank(gram: Tensor) -> float | None:
    """exp(entropy of the normalised singular values) / D (method.md, "Effective rank").

    The singular values of the uncentred contexts are the roots of the eigenvalues of their Gram matrix (D, D).

    Returns:
        A share, 0 to 1; None where the contexts are not finite or all zero.
    """
    if not bool(torch.isfinite(gram).all()):
        return None
    singular = torch.linalg.eigvalsh(gram).clamp_min(0.0).sqrt()
    if float(singular.sum()) == 0.0:
        return None
    share = singular / singular.sum()
    return math.exp(float(-torch.xlogy(share, share).sum())) / len(gram)


def unigram_log_probabilities(train_ids: NDArray[np.int64], vocab_size: int) -> NDArray[np.float64]:
    """ln((count + 0.1) / (N + 0.1·V)) for each token of the vocabulary, (V,)."""
    counts = np.bincount(train_ids, minlength=vocab_size) + UNIGRAM_COUNT
    logs: NDArray[np.float64] = np.log(counts / counts.sum())
    return logs


def new_share(train_ids: NDArray[np.int64]) -> float:
    """The share of a text's tokens whose type it has nowhere but in one of its ten contiguous pieces: what to expect of
    new text. Half a token is added, so that it is never 0.

    Each piece is held out in turn; a tenth is long enough that a dialogue's own words do not stand in several.
    """
    piece = np.arange(len(train_ids)) * HELD_OUT // len(train_ids)
    pairs = np.unique(train_ids * HELD_OUT + piece)
    pieces = np.bincount(pairs // HELD_OUT)
    return (float((pieces[train_ids] == 1).sum()) + 0.5) / (len(train_ids) + 1.0)


def perplexity(loss: float) -> float | None:
    """exp(loss in nats); None where it is not finite."""
    try:
        value = math.exp(loss)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def sample_sums(values: NDArray[np.float64], boundaries: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum per-target values (M − 1,) over the samples that hold the targets: (samples,).

    Target i is token i + 1 of the stream, so the first sample lacks its first token.
    """
    running = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.clip(boundaries - 1, 0, len(values))
    sums: NDArray[np.float64] = np.diff(running[ends])
    return sums


def clustered_standard_error(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> float | None:
    """Standard error of Σ sums / Σ counts where the clusters, not the tokens, are independent.

    The ratio estimator's linearised variance with the factor S / (S − 1) (Cochran, Sampling Techniques,
    section 9A). None with fewer than two clusters.
    """
    kept = counts > 0
    sums, counts = sums[kept], counts[kept]
    if len(counts) < 2:
        return None
    residuals = sums - counts * (sums.sum() / counts.sum())
    variance = len(counts) / (len(counts) - 1) * float(np.square(residuals).sum())
    error = math.sqrt(variance) / float(counts.sum())
    return error if math.isfinite(error) else None
