"""Transformer: attention within a second or so of each instant, with gated feed-forward layers."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import Field, model_validator

from myodrive.estimator import Context
from myodrive.from_motion.layers import Linear, Norm
from myodrive.from_motion.networks import MotionNetwork, NetworkConfig


class LocalAttention(eqx.Module):
    """Several heads that each look at what lies within `reach` steps, with a learned preference for each distance.

    Time is cut into blocks as long as the reach, and each looks at itself and its neighbours, so that the work grows with
    the length of a sequence and not with its square.
    """

    project: Linear  # to queries, keys and values
    merge: Linear
    nearness: Float[Array, "head distance"]

    @classmethod
    def create(cls, n_unit: int, n_head: int, reach: int, key: PRNGKeyArray) -> LocalAttention:
        keys = jax.random.split(key)
        project, merge = Linear.create(n_unit, 3 * n_unit, keys[0]), Linear.create(n_unit, n_unit, keys[1], 0.5)
        return cls(project, merge, jnp.zeros((n_head, 2 * reach + 1)))

    def __call__(
        self, x: Float[Array, "time batch unit"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch unit"]:
        n_time, n_batch, n_unit = x.shape
        n_head, reach = self.nearness.shape[0], self.nearness.shape[1] // 2
        n_block = -(-n_time // reach)
        spare = n_block * reach - n_time

        def blocks(values: Array) -> Array:  # (block, step, batch, …)
            padded = jnp.pad(values, ((0, spare), *((0, 0),) * (values.ndim - 1)))
            return padded.reshape(n_block, reach, *values.shape[1:])

        def neighbours(values: Array) -> Array:  # (block, 3 steps, batch, …)
            edge = jnp.zeros_like(values[:1])
            padded = jnp.concatenate([edge, values, edge])
            return jnp.concatenate([padded[:-2], padded[1:-1], padded[2:]], axis=1)

        heads = self.project(x).reshape(n_time, n_batch, 3, n_head, n_unit // n_head)
        query, key, value = (blocks(heads[:, :, i]) for i in range(3))
        energy = jnp.einsum("kqbhd,kpbhd->kbhqp", query, neighbours(key)) / jnp.sqrt(n_unit / n_head)
        distance = jnp.arange(3 * reach) - reach - jnp.arange(reach)[:, None]  # (step, place)
        energy = energy + self.nearness[:, jnp.clip(distance + reach, 0, 2 * reach)]
        seen = (jnp.abs(distance) <= reach) & jnp.moveaxis(neighbours(blocks(present)), 1, 2)[:, :, None, None]
        # Where nothing is present nothing is learned either, but it must stay finite.
        weights = jax.nn.softmax(jnp.where(seen, energy, -1e9), axis=-1)
        looked = jnp.einsum("kbhqp,kpbhd->kqbhd", weights, neighbours(value))
        return self.merge(looked.reshape(n_block * reach, n_batch, n_unit)[:n_time])


class GatedUnits(eqx.Module):
    """``(gelu(x G) ∘ x V) W``: GEGLU (Shazeer 2020, 10.48550/arXiv.2002.05202)."""

    both: Linear
    merge: Linear

    @classmethod
    def create(cls, n_unit: int, key: PRNGKeyArray) -> GatedUnits:
        keys = jax.random.split(key)
        return cls(Linear.create(n_unit, 4 * n_unit, keys[0]), Linear.create(2 * n_unit, n_unit, keys[1], 0.5))

    def __call__(self, x: Float[Array, "*rest unit"]) -> Float[Array, "*rest unit"]:
        gate, value = jnp.split(self.both(x), 2, axis=-1)
        return self.merge(jax.nn.gelu(gate) * value)


class AttentiveBody(eqx.Module):
    """Blocks of attention and gated units, each added to what went in."""

    start: Linear
    norms: list[list[Norm]]
    attentions: list[LocalAttention]
    units: list[GatedUnits]
    end: Norm

    @classmethod
    def create(
        cls, n_input: int, n_unit: int, n_layer: int, n_head: int, reach: int, key: PRNGKeyArray
    ) -> AttentiveBody:
        keys = jax.random.split(key, (n_layer + 1, 2))
        return cls(
            Linear.create(n_input, n_unit, keys[0, 0]),
            [[Norm.create(n_unit), Norm.create(n_unit)] for _ in range(n_layer)],
            [LocalAttention.create(n_unit, n_head, reach, k) for k in keys[1:, 0]],
            [GatedUnits.create(n_unit, k) for k in keys[1:, 1]],
            Norm.create(n_unit),
        )

    def __call__(
        self, inputs: Float[Array, "time batch channel"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch hidden"]:
        hidden = self.start(inputs)
        for (first, second), attention, units in zip(self.norms, self.attentions, self.units):
            hidden = hidden + attention(first(hidden), present)
            hidden = hidden + units(second(hidden))
        return self.end(hidden)


class TransformerConfig(NetworkConfig):
    """Options of `Transformer`."""

    n_unit: int = Field(default=64, gt=0)
    n_layer: int = Field(default=2, gt=0)
    n_head: int = Field(default=4, gt=0)  # a divisor of the units
    reach_s: float = Field(default=0.4, gt=0)  # of the attention to either side, in each layer
    learning_rate: float = Field(default=3e-3, gt=0)

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerConfig:
        if self.n_unit % self.n_head:
            raise ValueError("n_head must be a divisor of n_unit")
        return self


class Transformer(MotionNetwork):
    """A small Transformer with gated units from the features of a movement to the envelopes of all muscles.

    References
    ----------
    Vaswani A et al. (2017), 10.48550/arXiv.1706.03762. Shazeer N (2020), 10.48550/arXiv.2002.05202 (gated units).
    """

    method = "transformer"
    Config = TransformerConfig
    config: TransformerConfig
    references = (
        "Vaswani A et al. (2017). doi:10.48550/arXiv.1706.03762",
        "Shazeer N (2020). doi:10.48550/arXiv.2002.05202",
    )

    def _body(self, n_input: int, key: PRNGKeyArray) -> tuple[Any, int]:
        c = self.config
        reach = max(1, round(c.reach_s / c.step_s))
        return AttentiveBody.create(n_input, c.n_unit, c.n_layer, c.n_head, reach, key), c.n_unit

    def _described(self) -> str:
        c = self.config
        return f"a Transformer with gated units ({c.n_layer} layers of {c.n_unit} units, ±{c.reach_s:g} s of attention each)"

    def context(self) -> Context:
        reach_s = self.config.n_layer * self.config.reach_s
        return Context(left=reach_s, right=reach_s)
