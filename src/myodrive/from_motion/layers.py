"""Layers that several networks from movement are made of. Arrays are time-major, (time, batch, feature)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.learning.recurrent import normal_weights


class Linear(eqx.Module):
    """``y = x W + b``."""

    weight: Float[Array, "input output"]
    bias: Float[Array, " output"]

    @classmethod
    def create(cls, n_input: int, n_output: int, key: PRNGKeyArray, scale: float = 1.0) -> Linear:
        """Normal weights with variance scale² / fan-in."""
        return cls(scale * normal_weights(key, n_input, n_output), jnp.zeros(n_output))

    def __call__(self, x: Float[Array, "*rest input"]) -> Float[Array, "*rest output"]:
        return x @ self.weight + self.bias


class Norm(eqx.Module):
    """Layer normalisation (Ba et al. 2016, 10.48550/arXiv.1607.06450) of the features of each sample."""

    gain: Float[Array, " feature"]

    @classmethod
    def create(cls, n_feature: int) -> Norm:
        return cls(jnp.ones(n_feature))

    def __call__(self, x: Float[Array, "*rest feature"]) -> Float[Array, "*rest feature"]:
        centred = x - x.mean(axis=-1, keepdims=True)
        return self.gain * centred * jax.lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
