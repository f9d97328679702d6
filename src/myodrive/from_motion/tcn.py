"""TCN: a temporal convolutional network that reads a movement through convolutions that reach ever farther."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import Field

from myodrive.estimator import Context
from myodrive.from_motion.layers import Linear, Norm
from myodrive.from_motion.networks import MotionNetwork, NetworkConfig

TAPS = 3  # before, at, and after each sample


class ConvolutionalBody(eqx.Module):
    """Residual blocks of one convolution over both directions of time each, twice as far apart from block to block."""

    start: Linear
    norms: list[Norm]
    convolutions: list[Linear]

    @classmethod
    def create(cls, n_input: int, n_unit: int, n_layer: int, key: PRNGKeyArray) -> ConvolutionalBody:
        keys = jax.random.split(key, n_layer + 1)
        convolutions = [Linear.create(TAPS * n_unit, n_unit, k) for k in keys[1:]]
        return cls(Linear.create(n_input, n_unit, keys[0]), [Norm.create(n_unit) for _ in convolutions], convolutions)

    def __call__(
        self, inputs: Float[Array, "time batch channel"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch hidden"]:
        hidden = self.start(inputs)
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions)):
            there = jnp.where(present[..., None], norm(hidden), 0.0)
            padded = jnp.pad(there, ((2**i, 2**i), (0, 0), (0, 0)))
            n_time = len(hidden)
            near = jnp.concatenate([padded[k * 2**i : k * 2**i + n_time] for k in range(TAPS)], axis=-1)
            hidden = hidden + jax.nn.gelu(convolution(near))
        return hidden


class TCNConfig(NetworkConfig):
    """Options of `TCN`."""

    n_unit: int = Field(default=64, gt=0)  # features of each block
    n_layer: int = Field(default=5, gt=0)  # blocks; five see 31 steps of the network to each side


class TCN(MotionNetwork):
    """Dilated convolutions from the features of a movement to the envelopes of all muscles.

    References
    ----------
    Bai S, Kolter JZ, Koltun V (2018), 10.48550/arXiv.1803.01271.
    """

    method = "tcn"
    Config = TCNConfig
    config: TCNConfig
    references = ("Bai S, Kolter JZ, Koltun V (2018). doi:10.48550/arXiv.1803.01271",)

    def _body(self, n_input: int, key: PRNGKeyArray) -> tuple[Any, int]:
        c = self.config
        return ConvolutionalBody.create(n_input, c.n_unit, c.n_layer, key), c.n_unit

    def _described(self) -> str:
        c = self.config
        return f"a temporal convolutional network ({c.n_layer} residual blocks of {c.n_unit} features)"

    def context(self) -> Context:
        reach_s = (2**self.config.n_layer - 1) * self.config.step_s
        return Context(left=reach_s, right=reach_s)
