"""What tasks on windows of sequences share: where windows start, the loss of a mean with its scale, a preset end."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class PresetEnd:
    """A task whose training always ends after its last step."""

    def validate(self, weights: Any, data: Any, key: PRNGKeyArray) -> tuple[Array, dict[str, Array]]:
        """Nothing is chosen by it."""
        return jnp.zeros(()), {}


def draw_starts(cumulative: Float[Array, " start"], n_batch: int, key: PRNGKeyArray) -> Int[Array, " batch"]:
    """Which starts are drawn, `cumulative` being the probability of drawing one up to each."""
    chosen = jnp.searchsorted(cumulative, jax.random.uniform(key, (n_batch,)), side="right")
    return jnp.minimum(chosen, len(cumulative) - 1)


def mean_and_scale_loss(
    mean: Float[Array, "time batch muscle"],
    scale: Float[Array, "time batch muscle"],
    targets: Float[Array, "time batch muscle"],
    known: Bool[Array, "time batch muscle"],
    weight: Float[Array, "time batch muscle"] | float = 1.0,
) -> tuple[Array, Array]:
    """Weighted squared error of the mean, and the negative normal log-likelihood of the scale given that mean.

    The two do not pull on each other: a scale that may grow where the mean is poor stops the mean from learning there
    (Seitzer et al. 2022, 10.48550/arXiv.2203.09168).
    """
    error = jnp.where(known, (mean - targets) ** 2, 0.0)
    counted = jnp.where(known, weight, 0.0)
    squared = (counted * error).sum() / jnp.maximum(counted.sum(), 1.0)
    surprise = jnp.log(scale) + 0.5 * jax.lax.stop_gradient(error) / scale**2
    return squared, jnp.where(known, surprise, 0.0).sum() / jnp.maximum(known.sum(), 1)
