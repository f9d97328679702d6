"""The posterior of the mean rectified EMG, window by window, and the interval of the activation."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from myodrive.from_emg.lfads.decoder import decode
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, encode

CHUNK = 32  # windows at a time: bounds the memory, and one compilation serves recordings of any length
TOGETHER = 10  # draws at a time, at the most


class Posterior(NamedTuple):
    """Moments over draws, (time, batch, muscle)."""

    mean: Array  # of the EMG under the density, the published estimate
    log_mean: Array  # of its logarithm
    log_variance: Array


@partial(jax.jit, static_argnames="n_samples")
def _moments(net: Network, x: Array, seen: Array, key: PRNGKeyArray, n_samples: int) -> Posterior:
    """Rates are averaged, not parameters. Some draws run side by side, as one batch with one context, and one such
    batch after the other: the products are large and memory does not grow with the draws."""
    code = encode(net, x, seen, NO_DROPOUT)
    n_round = -(-n_samples // TOGETHER)
    together = -(-n_samples // n_round)
    mean, variance = (jnp.tile(a, (together, 1)) for a in (code.initial_mean, code.initial_variance))
    many = code._replace(initial_mean=mean, initial_variance=variance)

    def draw(sums: tuple, key: Array) -> tuple[tuple, None]:
        drawn = decode(net, many, key, NO_DROPOUT)
        log = DENSITIES[net.density].log_mean(drawn.parameters)
        log = log.reshape(len(log), together, *seen.shape[1:])
        return tuple(s + v.sum(axis=1) for s, v in zip(sums, (jnp.exp(log), log, log**2))), None

    zero = jnp.zeros(seen.shape)
    sums, _ = jax.lax.scan(draw, (zero, zero, zero), jax.random.split(key, n_round))
    average, log_mean, log_square = (s / (n_round * together) for s in sums)
    return Posterior(average, log_mean, jnp.maximum(log_square - log_mean**2, 0.0))


def posterior_of_mean(
    networks: Network,
    x: Float32[np.ndarray, "window step feature"],
    seen: Float32[np.ndarray, "window step muscle"],
    key: PRNGKeyArray,
    n_samples: int,
) -> list[Float[np.ndarray, "window step muscle"]]:
    """Mean, mean logarithm and variance of the logarithm of the density's mean over draws from the posterior.

    With several networks the draws are shared among them, and what they disagree on widens the posterior. The draws of
    a chunk of windows depend on the key, its place and the member alone.
    """
    n_member = len(networks.prior_mean)
    each = -(-n_samples // n_member)
    parts = []
    for i in range(0, len(x), CHUNK):
        piece = [np.moveaxis(a[i : i + CHUNK], 0, 1) for a in (x, seen)]
        n = piece[0].shape[1]
        padded = [jnp.asarray(np.pad(a, ((0, 0), (0, CHUNK - n), (0, 0)))) for a in piece]
        keys = jax.random.split(jax.random.fold_in(key, i), n_member)
        members = [
            _moments(jax.tree.map(lambda a, m=m: a[m], networks), *padded, keys[m], each) for m in range(n_member)
        ]
        parts.append([np.moveaxis(a[:, :n], 1, 0) for a in _mixture(members)])
    return [np.concatenate(m) for m in zip(*parts)]


def _mixture(members: list[Posterior]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of several networks: the geometric mean of their means, the mean of their logarithms, and how sure it is.

    One network that is far above the others in a silent stretch does not decide there. The variance is what each claims,
    on average, and what their mean is uncertain by for being of so few.
    """
    mean, log_mean, log_variance = (np.stack([np.asarray(a, np.float64) for a in moment]) for moment in zip(*members))
    n = len(members)
    disagreement = log_mean.var(axis=0, ddof=1) / n if n > 1 else 0.0
    return np.exp(np.log(mean).mean(0)), log_mean.mean(0), log_variance.mean(0) + disagreement


SPREAD = 1.2  # by which the standard deviation that the posterior claims is too small
RELATIVE = 0.06  # of the estimate: what no posterior of the EMG knows of, the activation not being the EMG
QUIET = 0.046  # of the muscle's usual level: the same where it is silent
ALONE = 0.06  # of the estimate, of a network without another one to compare it with
"""Standard deviations of the error, chosen on simulated recordings from the truth's own distance (docs/lfads.md)."""
LAGS_S = (0.04, 0.1)  # beyond the EMG's own correlation, and well within that of a lasting error


def interval(
    mean: Float[np.ndarray, "time muscle"],
    log_variance: Float[np.ndarray, "time muscle"],
    level: Float[np.ndarray, " muscle"],
    n_network: int,
    z: float,
    spread: Float[np.ndarray, " muscle"] | float = SPREAD,
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]]:
    """Bounds of the activation: `z` standard deviations of the error on either side, not below 0.

    The variance is the posterior's, `spread`² times, and two terms that do not shrink with it: one in proportion to the
    estimate and one to the muscle's usual `level`, for silence, where EMG shows little of the activation. What EMG
    itself shows wrongly is not in a posterior of EMG, so their sizes come from recordings whose activation is known.
    """
    relative = RELATIVE**2 + (ALONE**2 if n_network == 1 else 0.0)
    half = z * np.sqrt(mean**2 * (np.asarray(spread) ** 2 * log_variance + relative) + (QUIET * level) ** 2)
    return np.maximum(mean - half, 0.0), mean + half
