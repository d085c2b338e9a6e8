"""What the errors of contrasts are computed from: a design solved, and its loads on the groups that share errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.stats.components import Array, Rows

NEAR = 1e-6  # a part this small of its whole is rounding


@dataclass(frozen=True)
class Workings:
    """What contrasts are computed from. Components stand with that of the rows (``seed``) first.

    Attributes:
        values: the components, of either sign, 0 where unseen, (1 + c,).
        held: the same, none below 0, (1 + c,).
        inverse: inverse of the information of those seen, 0 elsewhere, (1 + c, 1 + c).
        blind: combinations of components that the residuals cannot tell, one in each column, (1 + c, b).
        bread: (X'X)^-1, (p, p). loads: (X'X)^-1 X'W, (p, q). owner: the component of each column of W, (q,).
        norms: of the columns of X, (p,). lost: directions of coefficients times norms that X leaves open, (p, z).
        sharing: W, the runs' groups times ``root``, (m, q). root: of the runs' weights, (m,).
    """

    values: Array
    held: Array
    inverse: Array
    blind: Array
    bread: Array
    loads: Array
    owner: Rows
    norms: Array
    lost: Array
    sharing: Array
    root: Array

    def left_open(self, c: Array) -> NDArray[np.bool_]:
        """Which contrasts c (k, p) X does not determine, (k,)."""
        relative = c / self.norms
        return np.asarray(
            np.linalg.norm(relative @ self.lost, axis=1) > NEAR * np.linalg.norm(relative, axis=1)
        )

    def unseen(self, k: Array) -> NDArray[np.bool_]:
        """Which combinations of components k (k, 1 + c) the residuals say nothing of, (k,)."""
        return np.asarray(np.linalg.norm(k @ self.blind, axis=1) > NEAR * np.linalg.norm(k, axis=1))

    def shares(self, c: Array) -> Array:
        """k of every component for the contrasts c (k, p), shape (k, 1 + c)."""
        k = np.empty((len(c), len(self.values)))
        k[:, 0] = np.einsum("ki,ij,kj->k", c, self.bread, c)
        for i in range(k.shape[1] - 1):
            k[:, i + 1] = np.sum((c @ self.loads[:, self.owner == i]) ** 2, axis=1)
        return k


def solved(x: Array) -> tuple[Array, Array, Array, Array]:
    """Orthonormal basis of the columns of X, pseudo-inverse of X'X, norms of the columns, and what X leaves open."""
    norms = np.linalg.norm(x, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    u, s, vt = np.linalg.svd(x / norms, full_matrices=False)
    rank = int(np.sum(s > 1e-10 * s[0]))
    half = vt[:rank].T / s[:rank] / norms[:, None]
    lost = np.linalg.svd(vt[:rank], full_matrices=True)[2][rank:].T
    return u[:, :rank], half @ half.T, norms, lost


def solved_by_blocks(x: Array, blocks: Rows) -> tuple[Array, Array, Array, Array]:
    """``solved`` block by block."""
    bases, losses = [], []
    bread, norms = np.zeros((x.shape[1], x.shape[1])), np.ones(x.shape[1])
    for code in np.unique(blocks):
        rows = np.flatnonzero(blocks == code)
        columns = np.flatnonzero(np.any(x[rows] != 0.0, axis=0))
        part, bread[np.ix_(columns, columns)], norms[columns], left = solved(x[np.ix_(rows, columns)])
        basis, lost = np.zeros((len(x), part.shape[1])), np.zeros((x.shape[1], left.shape[1]))
        basis[rows], lost[columns] = part, left
        bases.append(basis)
        losses.append(lost)
    return np.hstack(bases), bread, norms, np.hstack(losses)
