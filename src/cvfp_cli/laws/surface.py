"""What a law of model and data size declares: the loss, in nats, as a floor E and what too small a model and too few data add.

Its first coordinates are the same in every such law: ln E, ln A', ln B' (the two terms at the centre of the data), alpha
and beta. Further parameters are positive and stand behind them as logarithms. The additive law is a point of each richer
one. With a = A' / N^alpha and b = B' / D'^beta,

    loss = E + (a^(1/k) + b^(1/k))^k,    ln D' = ln D + gain(passes),

where the additive law has k = 1 and no gain.
"""

from typing import ClassVar

import numpy as np

from cvfp_cli.stats.solver import Array

# Of ln E, ln A, ln B at the centre of the data, and of both exponents.
COMMON_LOWER = (-30.0, -30.0, -30.0, 0.0, 0.0)
COMMON_UPPER = (10.0, 10.0, 10.0, 5.0, 5.0)
COMMON = 5
ALPHA, BETA = 3, 4  # positions of the exponents
SMALLEST = 1e-12  # of an exponent that stands below a fraction


class Surface:
    """One law; a subclass says what it adds to the additive one.

    Attributes:
        name: as ``--model`` takes it. formula: as a user writes it.
        parameters: the user's names: E, A, alpha, B, beta, then the further ones.
        lower, upper: bounds of the further coordinates. starts: where these are started from, one row each.
        coupled: whether the two terms are. repeats: whether it reads how often the data were passed over.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ("E", "A", "alpha", "B", "beta")
    further_lower: ClassVar[tuple[float, ...]] = ()
    further_upper: ClassVar[tuple[float, ...]] = ()
    starts: ClassVar[tuple[tuple[float, ...], ...]] = ((),)
    coupled: ClassVar[bool] = False
    repeats: ClassVar[bool] = False

    @property
    def k(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    @property
    def further(self) -> tuple[str, ...]:
        """The parameters beyond those of the additive law."""
        return self.parameters[COMMON:]

    @property
    def lower(self) -> Array:
        """Lower bounds of the coordinates, (k,)."""
        return np.array([*COMMON_LOWER, *self.further_lower])

    @property
    def upper(self) -> Array:
        """Upper bounds of the coordinates, (k,)."""
        return np.array([*COMMON_UPPER, *self.further_upper])

    @property
    def coordinate(self) -> dict[str, int]:
        """Which coordinate each parameter has."""
        return {"E": 0, "A": 1, "alpha": ALPHA, "B": 2, "beta": BETA} | {
            name: COMMON + i for i, name in enumerate(self.further)
        }

    @property
    def positive(self) -> tuple[str, ...]:
        """The parameters whose intervals are made of logarithms."""
        return ("A", "B", *self.further)

    def coupling(self, theta: Array) -> Array | None:
        """k of each row of theta (P, k), as (P, 1); None where the terms add. Its coordinate is ln k, the last one."""
        return None

    def gain(self, theta: Array, passes: Array) -> tuple[Array, Array] | None:
        """ln(D' / D) and its derivative by the last coordinate, (P, m) each; None where D' is D.

        Args:
            passes: over the data, 1 where each token is read once, (P, m).
        """
        return None

    def log_loss(self, theta: Array, u: Array, v: Array, passes: Array) -> tuple[Array, Array]:
        """ln loss and its Jacobian for coordinates theta (P, k) at centred ln N and ln D of shape (P, m)."""
        gained = self.gain(theta, passes)
        v = v if gained is None else v + gained[0]
        by_n, by_d = (
            theta[:, 1:2] - theta[:, ALPHA : ALPHA + 1] * u,
            theta[:, 2:3] - theta[:, BETA : BETA + 1] * v,
        )
        floor = np.broadcast_to(theta[:, :1], u.shape)
        jacobian = np.empty((*u.shape, self.k))
        kappa = self.coupling(theta)
        if kappa is None:
            value, (of_floor, of_n, of_d) = _log_sum(floor, by_n, by_d)
        else:
            excess, (part_n, part_d) = _log_sum(by_n / kappa, by_d / kappa)
            value, (of_floor, of_excess) = _log_sum(floor, kappa * excess)
            of_n, of_d = of_excess * part_n, of_excess * part_d
            jacobian[:, :, -1] = of_excess * (kappa * excess - part_n * by_n - part_d * by_d)
        jacobian[:, :, 0], jacobian[:, :, 1], jacobian[:, :, 2] = of_floor, of_n, of_d
        jacobian[:, :, ALPHA] = -of_n * u
        jacobian[:, :, BETA] = -of_d * v
        if gained is not None:
            jacobian[:, :, -1] = -of_d * theta[:, BETA : BETA + 1] * gained[1]
        return value, jacobian

    def log_size(self, theta: Array, u: float, loss: float, passes: float) -> Array:
        """Centred ln D at which each law of theta (P, k) has a loss at ln N: infinite where it never falls so far."""
        kappa = self.coupling(theta)
        power = np.ones(len(theta)) if kappa is None else 1.0 / kappa[:, 0]
        excess = _log(loss - np.exp(theta[:, 0]))
        left = _log(np.exp(power * excess) - np.exp(power * (theta[:, 1] - theta[:, ALPHA] * u))) / power
        return np.asarray((theta[:, 2] - left) / theta[:, BETA] - self._gained(theta, passes))

    def least_product(self, theta: Array, loss: float, passes: float) -> tuple[Array, Array]:
        """Centred ln N and ln D with the least N D among those at a loss: there alpha a^(1/k) = beta b^(1/k)."""
        alpha, beta = theta[:, ALPHA], theta[:, BETA]
        kappa = self.coupling(theta)
        power = np.ones(len(theta)) if kappa is None else kappa[:, 0]
        left = _log(loss - np.exp(theta[:, 0]))
        return (
            (theta[:, 1] - left + power * np.log1p(alpha / beta)) / alpha,
            (theta[:, 2] - left + power * np.log1p(beta / alpha)) / beta - self._gained(theta, passes),
        )

    def least_at(self, theta: Array, log_size: float, passes: float, of: str) -> tuple[Array, Array]:
        """ln loss, (P,), and its gradient, (P, k), where N D is the least for that loss: alpha a^(1/k) = beta b^(1/k).

        Args:
            of: what is given of such a pair as ``log_size``: centred ln N (``n``), ln D (``d``) or ln N D (``product``).
        """
        if of == "product":
            # Along N D the loss is stationary there, so its gradient is that at fixed sizes.
            log_n = self.split(theta, log_size, (1.0, 1.0), passes)[0][:, None]
            value, jacobian = self.log_loss(theta, log_n, log_size - log_n, np.full_like(log_n, passes))
            return value[:, 0], jacobian[:, 0]
        alpha, beta = (np.maximum(theta[:, at], SMALLEST) for at in (ALPHA, BETA))
        kappa = self.coupling(theta)
        power = np.ones(len(theta)) if kappa is None else kappa[:, 0]
        gained = self.gain(theta, np.full((len(theta), 1), passes)) if of == "d" else None
        size = log_size + (0.0 if gained is None else gained[0][:, 0])
        level, at, own, other = (1, ALPHA, alpha, beta) if of == "n" else (2, BETA, beta, alpha)
        more = np.log1p(own / other)
        excess = theta[:, level] - own * size + power * more
        gradient = np.zeros_like(theta)
        gradient[:, level] = 1.0
        gradient[:, at] = power / (alpha + beta) - size
        gradient[:, BETA if of == "n" else ALPHA] = -power * own / (other * (alpha + beta))
        if kappa is not None:
            gradient[:, -1] = power * more
        if gained is not None:
            gradient[:, -1] = -own * gained[1][:, 0]
        value, (of_floor, of_excess) = _log_sum(theta[:, :1], excess[:, None])
        gradient *= of_excess
        gradient[:, 0] = of_floor[:, 0]
        return value[:, 0], gradient

    def split(
        self, theta: Array, log_cost: float, powers: tuple[float, float], passes: float
    ) -> tuple[Array, Array]:
        """Where N^p D^q costs as much as is allowed, the centred ln N with the least loss, (P,), and its gradient (P, k).

        There (alpha / p) a^(1/k) = (beta / q) b^(1/k), with q ln D = log_cost - p ln N. For the additive law and p = q = 1
        it is Hoffmann et al. 2022, eq. 4.

        Args:
            log_cost: p ln N + q ln D, centred. powers: p and q.
        """
        p, q = powers
        alpha, beta = (np.maximum(theta[:, at], SMALLEST) for at in (ALPHA, BETA))
        kappa = self.coupling(theta)
        power = np.ones(len(theta)) if kappa is None else kappa[:, 0]
        ratio = np.log(alpha * q / (beta * p))
        gained = self.gain(theta, np.full((len(theta), 1), passes))
        gain = np.zeros(len(theta)) if gained is None else gained[0][:, 0]
        total = q * alpha + p * beta
        log_n = (q * (theta[:, 1] - theta[:, 2] + beta * gain + power * ratio) + beta * log_cost) / total
        gradient = np.zeros_like(theta)
        gradient[:, 1], gradient[:, 2] = q, -q
        gradient[:, ALPHA] = q * (power / alpha - log_n)
        gradient[:, BETA] = q * (gain - power / beta) + log_cost - p * log_n
        if kappa is not None:
            gradient[:, -1] = q * power * ratio
        if gained is not None:
            gradient[:, -1] = q * beta * gained[1][:, 0]
        return log_n, gradient / total[:, None]

    def _gained(self, theta: Array, passes: float) -> Array:
        found = self.gain(theta, np.full((len(theta), 1), passes))
        return np.zeros(len(theta)) if found is None else found[0][:, 0]


def _log_sum(*terms: Array) -> tuple[Array, tuple[Array, ...]]:
    """ln of the sum of the exponentials, and each one's share."""
    stacked = np.stack(terms, axis=2)
    top = stacked.max(axis=2, keepdims=True)
    parts = np.exp(stacked - top)
    total = parts.sum(axis=2, keepdims=True)
    share = parts / total
    return (top + np.log(total))[:, :, 0], tuple(share[:, :, i] for i in range(len(terms)))


def _log(values: Array) -> Array:
    """ln, NaN where there is none."""
    return np.asarray(np.log(np.where(values > 0.0, values, np.nan)))
