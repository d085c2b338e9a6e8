"""Several blocks, earlier contexts and the choice of context in plain NumPy float64 loops, one token at a time.

It shares no code with ``core``: weights come in as arrays, and each step is written as method.md words it.
"""

from typing import Any

import numpy as np

Array = Any
EPS = 1e-5


def layer_norm(x: Array, weight: Array | float = 1.0, bias: Array | float = 0.0) -> Array:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + EPS) * weight + bias


def weights_of(module: Any, prefix: str = "") -> dict[str, Array]:
    return {key: value.detach().double().numpy() for key, value in module.state_dict().items()}


def layer(given: Array, kept: Array, w: dict[str, Array], at: str) -> Array:
    """LayerNorm(residual(kept) + relu(W·given + b))."""
    z = np.maximum(w[f"{at}.linear.weight"] @ given + w[f"{at}.linear.bias"], 0.0)
    if f"{at}.residual.weight" in w:
        kept = w[f"{at}.residual.weight"] @ kept + w[f"{at}.residual.bias"]
    return layer_norm(kept + z, w[f"{at}.norm.weight"], w[f"{at}.norm.bias"])


def windows(ids: Array, table: Array, tokens: int) -> list[Array]:
    rows = [layer_norm(table[i]) for i in ids]
    zero = np.zeros(table.shape[1])
    return [
        np.concatenate([rows[s] if s >= 0 else zero for s in range(t - tokens + 1, t + 1)])
        for t in range(len(ids))
    ]


def recurrence(
    blocks: list[dict[str, Array]], dims: list[int], x: list[Array], cascade: bool
) -> list[list[Array]]:
    """[c¹_t, …, cᴮ_t] of every token, from zeros."""
    states = [np.zeros(d) for d in dims]
    rows = []
    for window in x:
        read = [states[max(b - 1, 0)] if cascade else states[b] for b in range(len(dims))]
        states = [
            layer(np.concatenate([c, window]), c, w, "layers.0") for c, w in zip(read, blocks, strict=True)
        ]
        rows.append(states)
    return rows


def read_contexts(rows: list[list[Array]], t: int, before: bool, count: int, interval: int) -> Array:
    """[C_t, C_{t−s}, …], or with ``before`` [C_{t−1}, C_{t−1−s}, …], zeros before the start."""
    zero = np.zeros(sum(map(len, rows[0])))
    at = [t - before - j * interval for j in range(count + 1)]
    return np.concatenate([np.concatenate(rows[s]) if s >= 0 else zero for s in at])


def mean_loss(token: dict[str, Array], table: Array, x: list[Array], read: list[Array], ids: Array) -> float:
    """Cross-entropy of a TokenBlock of one layer with the studies' tied head."""
    total = 0.0
    for t in range(len(ids) - 1):
        v = layer(np.concatenate([read[t], x[t]]), x[t], token, "layers.0")
        logits = table @ v
        total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[ids[t + 1]]
    return total / (len(ids) - 1)


def phase1_iterations(
    w: dict[str, Array],
    x: list[Array],
    contexts: Array,
    given: Array | None,
    ring: bool,
    config: Any,
    count: int,
) -> Array:
    """Contexts (N, D) after ``count`` passes without training and without noise.

    Args:
        given: another block's contexts (N, D'), read in place of the block's own.
    """
    for _ in range(count):
        source = contexts if given is None else given
        first = source[-1] if ring else np.zeros(source.shape[1])
        shifted = [first, *source[:-1]]
        contexts = np.stack(
            [
                layer(np.concatenate([c, window]), c, w, "layers.0")
                for c, window in zip(shifted, x, strict=True)
            ]
        )
    return contexts
