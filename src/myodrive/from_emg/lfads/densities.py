"""Densities of the rectified EMG at one moment, whose parameters the network reads out of its factors.

All of them are left-censored at one and the same floor: a sample at or below it counts with the probability of lying
there. Rectified EMG has exact zeros, where a gamma density is 0 or infinite; here they are one bounded event, and no
constant that is added to the data sets the scale of the loss. And because the event is the same for all, their
likelihoods compare: a density and a point mass would not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float
from scipy.special import digamma, logit, polygamma

FLOOR = 1e-3  # in units of the normalised EMG (1 = the 95th percentile): a sample this low says only "not above it"
SERIES = 24  # terms for P(shape, rate · floor); rate · floor stays below e^8.5 / 1000 = 4.9

Parameters = dict[str, Array]  # each (…, muscle)


@dataclasses.dataclass(frozen=True)
class Density:
    """One kind of density: what the network reads out for each muscle, and what follows from it."""

    bounds: dict[str, tuple[float, float]]  # of each parameter; it is held between them
    log_likelihood: Callable[[Array, Parameters], Array]  # of samples not below `FLOOR`
    log_mean: Callable[[Parameters], Array]  # logarithm of the mean of the EMG, which is the estimate
    fit: Callable[[np.ndarray], np.ndarray]  # (bin, muscle) to (parameter, muscle), without regard to time

    def held(self, parameters: Parameters) -> Parameters:
        """The parameters within their bounds, smoothly, and almost unchanged in the middle half between them."""
        return {name: bounded(value, *self.bounds[name]) for name, value in parameters.items()}


def bounded(x: Array, low: float, high: float) -> Array:
    """Held smoothly between two bounds, and almost unchanged in the middle half."""
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * jnp.tanh((x - centre) / half)


# -- gamma -----------------------------------------------------------------------------------------------------------


def log_gamma_density(
    emg: Float[Array, "*shape"], log_shape: Float[Array, "*shape"], log_rate: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Log-likelihood of a gamma density that is censored at `FLOOR`.

    Above the floor ``α log β − log Γ(α) + (α − 1) log y − β y``; at the floor ``log P(α, β·FLOOR)``.
    """
    shape, rate = jnp.exp(log_shape), jnp.exp(log_rate)
    above = shape * log_rate - log_gamma_function(shape) + (shape - 1) * jnp.log(emg) - rate * emg
    return jnp.where(emg > FLOOR, above, log_gamma_below(log_shape, log_rate + jnp.log(FLOOR)))


@jax.custom_jvp
def log_gamma_below(log_shape: Array, log_x: Array) -> Array:
    """``log P(α, x)`` by its series ``P = x^α e^{−x} / Γ(α + 1) · S``, ``S = Σ x^k / ((α + 1) … (α + k))``: terms of one sign."""
    return _log_below(log_shape, log_x, _series(jnp.exp(log_shape), jnp.exp(log_x))[0])


@log_gamma_below.defjvp
def _log_gamma_below_slope(at: tuple, step: tuple) -> tuple:
    """``∂ log P / ∂ log x = α / S``. Backwards through the series, each of its terms would be kept in memory."""
    log_shape, log_x = at
    shape, x = jnp.exp(log_shape), jnp.exp(log_x)
    total, slope = _series(shape, x)
    of_shape = shape * (log_x - jax.grad(lambda a: log_gamma_function(1 + a).sum())(shape) + slope / total)
    return _log_below(log_shape, log_x, total), of_shape * step[0] + shape / total * step[1]


def _log_below(log_shape: Array, log_x: Array, total: Array) -> Array:
    shape = jnp.exp(log_shape)
    return shape * log_x - jnp.exp(log_x) - log_gamma_function(1 + shape) + jnp.log(total)


def _series(shape: Array, x: Array) -> tuple[Array, Array]:
    """S = 1 + x/(α+1) · (1 + x/(α+2) · (…)), the last first, and its slope in α."""
    total, slope = jnp.ones_like(x), jnp.zeros_like(x)
    for k in range(SERIES - 1, 0, -1):  # as a scan it takes five times as long
        over = 1 / (shape + k)
        total, slope = 1 + x * over * total, x * over * (slope - over * total)
    return total, slope


def log_gamma_function(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``log Γ(x)`` for x > 0 by Stirling's series at x + 8: plain arithmetic, a twentieth of the time of `gammaln`."""
    y, rising = x + 8, x
    for k in range(1, 8):
        rising = rising * (x + k)  # Γ(x + 8) / Γ(x)
    stirling = (
        (y - 0.5) * jnp.log(y) - y + 0.5 * jnp.log(2 * jnp.pi) + (1 / 12 - (1 / 360 - 1 / (1260 * y**2)) / y**2) / y
    )
    return stirling - jnp.log(rising)


def fit_gamma(binned: Float[np.ndarray, "bin muscle"]) -> Float[np.ndarray, "2 muscle"]:
    """Log-shape and log-rate of the gamma density that fits each muscle without regard to time (maximum likelihood)."""
    raised = np.maximum(binned, FLOOR)
    present = np.isfinite(raised)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present.any(axis=0), np.where(present, raised, 0).sum(axis=0) / n, 1.0)
    mean_log = np.where(present, np.log(np.where(present, raised, 1.0)), 0).sum(axis=0) / n
    gap = np.maximum(np.log(mean) - np.where(present.any(axis=0), mean_log, -1.0), 1e-3)
    shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(5):  # Newton on log α − ψ(α) = log mean − mean log, in α
        shape = shape - (np.log(shape) - digamma(shape) - gap) / (1 / shape - polygamma(1, shape))
    return np.stack([np.log(shape), np.log(shape / mean)])


# Shape .08 (spiky single samples) to 400 (an envelope that is smooth already); with the rate, means from below the
# floor to far above the clip.
GAMMA_BOUNDS = {"log_shape": (-2.5, 6.0), "log_rate": (-4.0, 8.5)}

GAMMA = Density(
    GAMMA_BOUNDS,
    lambda emg, p: log_gamma_density(emg, p["log_shape"], p["log_rate"]),
    lambda p: p["log_shape"] - p["log_rate"],
    fit_gamma,
)


# -- log-normal ------------------------------------------------------------------------------------------------------


def log_lognormal_density(
    emg: Float[Array, "*shape"], log_median: Float[Array, "*shape"], log_spread: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Log-likelihood of a log-normal density that is censored at `FLOOR`.

    With ``z = (log y − m) / s``: above the floor ``−z²/2 − log s − log y − log √(2π)``, at the floor ``log Φ(z)``.
    """
    log_emg = jnp.log(emg)
    z = (log_emg - log_median) * jnp.exp(-log_spread)
    above = -0.5 * z**2 - log_spread - log_emg - 0.5 * jnp.log(2 * jnp.pi)
    return jnp.where(emg > FLOOR, above, log_ndtr((jnp.log(FLOOR) - log_median) * jnp.exp(-log_spread)))


def fit_lognormal(binned: Float[np.ndarray, "bin muscle"]) -> Float[np.ndarray, "2 muscle"]:
    """Mean and log standard deviation of the logarithms of each muscle, what lies below the floor taken as at it."""
    logs = np.log(np.maximum(binned, FLOOR))
    present = np.isfinite(logs)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, logs, 0).sum(axis=0) / n
    spread = np.sqrt((np.where(present, logs - mean, 0) ** 2).sum(axis=0) / n)
    return np.stack([mean, np.log(np.where(present.any(axis=0), np.maximum(spread, 0.05), 1.0))])


LOGNORMAL = Density(
    {"log_median": (-10.0, 4.0), "log_spread": (-3.5, 0.7)},
    lambda emg, p: log_lognormal_density(emg, p["log_median"], p["log_spread"]),
    lambda p: p["log_median"] + 0.5 * jnp.exp(2 * p["log_spread"]),
    fit_lognormal,
)


# -- zero-inflated gamma ---------------------------------------------------------------------------------------------


def log_zero_inflated_density(
    emg: Float[Array, "*shape"],
    log_shape: Float[Array, "*shape"],
    log_rate: Float[Array, "*shape"],
    logit_zero: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """Log-likelihood of ``π δ(0) + (1 − π) Gamma``, censored at `FLOOR`, with ``π = σ(logit_zero)``.

    Above the floor ``log(1 − π)`` and the gamma density; at the floor ``log(π + (1 − π) P(α, β·FLOOR))``.
    """
    gamma = log_gamma_density(emg, log_shape, log_rate)
    not_zero = jax.nn.log_sigmoid(-logit_zero) + gamma
    return jnp.where(emg > FLOOR, not_zero, jnp.logaddexp(jax.nn.log_sigmoid(logit_zero), not_zero))


def fit_zero_inflated(binned: Float[np.ndarray, "bin muscle"]) -> Float[np.ndarray, "3 muscle"]:
    """The share at or below the floor as a logit (within 1 and 90 %), and the gamma density of the rest."""
    present = np.isfinite(binned)
    low = present & (np.nan_to_num(binned) <= FLOOR)
    share = low.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    rest = fit_gamma(np.where(low, np.nan, binned))
    return np.concatenate([rest, logit(np.clip(share, 0.01, 0.9))[None]])


ZERO_INFLATED = Density(
    {**GAMMA_BOUNDS, "logit_zero": (-8.0, 8.0)},
    lambda emg, p: log_zero_inflated_density(emg, p["log_shape"], p["log_rate"], p["logit_zero"]),
    lambda p: p["log_shape"] - p["log_rate"] + jax.nn.log_sigmoid(-p["logit_zero"]),
    fit_zero_inflated,
)

DENSITIES = {"gamma": GAMMA, "lognormal": LOGNORMAL, "zero_inflated_gamma": ZERO_INFLATED}
