"""The network of STDR-Net and its task: recurrent encoder, local additive attention, recurrent decoder.

Sequence to sequence (Sutskever et al. 2014, 10.48550/arXiv.1409.3215) with attention (Bahdanau et al. 2015,
10.48550/arXiv.1409.0473), after STDR-Net (Teramae et al. 2025, 10.3389/fbioe.2025.1611414), whose sizes are not published:
those here are our own choice. Arrays are time-major, (time, batch, feature).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from myodrive.learning.attention import AdditiveAttention, local, look
from myodrive.learning.recurrent import GRU, normal_weights, run_both_ways
from myodrive.learning.sequence_task import PresetEnd, draw_starts, mean_and_scale_loss

SMALLEST = 0.05  # of the predicted scale, in standard deviations of the target


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Shapes of a network."""

    n_channel: int
    n_muscle: int
    n_unit: int
    reach: int  # of the attention to either side, in steps


class Seq2Seq(eqx.Module):
    """Simulated channels in, mean and scale of every muscle's envelope out, all standardised."""

    past: GRU
    future: GRU
    attention: AdditiveAttention
    decoder: GRU
    w_start: Float[Array, "*member annotation state"]
    w_mean: Float[Array, "*member seen muscle"]
    w_scale: Float[Array, "*member seen muscle"]
    b_mean: Float[Array, "*member muscle"]
    b_scale: Float[Array, "*member muscle"]

    @classmethod
    def create(cls, sizes: Sizes, key: PRNGKeyArray) -> Seq2Seq:
        """Random weights; the read-outs begin at zero, which is the mean of the training targets."""
        n, both = sizes.n_unit, 2 * sizes.n_unit
        keys = jax.random.split(key, 5)
        seen = n + both
        return cls(
            GRU.create(sizes.n_channel, n, keys[0]),
            GRU.create(sizes.n_channel, n, keys[1]),
            AdditiveAttention.create(n, both, 2 * sizes.reach + 1, n, keys[2]),
            GRU.create(sizes.n_muscle + both, n, keys[3]),
            normal_weights(keys[4], both, n),
            jnp.zeros((seen, sizes.n_muscle)),
            jnp.zeros((seen, sizes.n_muscle)),
            jnp.zeros(sizes.n_muscle),
            jnp.full(sizes.n_muscle, jnp.log(jnp.expm1(1.0))),
        )


def decode(
    net: Seq2Seq,
    inputs: Float[Array, "time batch channel"],
    present: Bool[Array, "time batch"],
    truth: Float[Array, "time batch muscle"],
    forced: Bool[Array, "time batch muscle"],
    dropped: Float[Array, "batch annotation"],
) -> tuple[Float[Array, "time batch muscle"], Float[Array, "time batch muscle"]]:
    """Mean and scale at each step.

    Parameters
    ----------
    net : Seq2Seq
    inputs : array
        Standardised; anything where not `present`, at the end of a window that is longer than its trial.
    truth, forced : array
        Teacher forcing: where `forced`, the decoder is told the true value of the step before instead of its own mean.
    dropped : array
        Dropout of the annotations: factors with the mean 1.
    """
    past, future = run_both_ways(net.past, net.future, inputs, present=present)
    annotations = jnp.concatenate([past, future], axis=-1) * dropped
    reach = net.attention.bias.shape[-2] // 2
    near = [local(values, reach) for values in (net.attention.keys(annotations), annotations, present)]
    # A window that is longer than its trial has steps with nothing near; they count for nothing, but must stay finite.
    near[2] = near[2] | ~near[2].any(axis=1, keepdims=True)
    start = jnp.tanh(annotations[0] @ net.w_start)

    def step(carry: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        state, before = carry
        keys, values, here, told, is_told = now
        context = look(net.attention.weights(state, keys, here), values)
        state = net.decoder.step(state, jnp.concatenate([before, context], axis=-1))
        seen = jnp.concatenate([state, context], axis=-1)
        mean = seen @ net.w_mean + net.b_mean
        scale = jax.nn.softplus(jax.lax.stop_gradient(seen) @ net.w_scale + net.b_scale) + SMALLEST
        return (state, jnp.where(is_told, told, mean)), (mean, scale)

    begin = (start, jnp.zeros(truth.shape[1:]))
    return jax.lax.scan(step, begin, (*near, truth, forced))[1]


class Hyper(NamedTuple):
    """What training depends on besides the sizes."""

    learning_rate: Any
    decay_steps: Any
    weight_decay: Any
    noise: Any  # standard deviation of what is added to the standardised inputs, and share of the annotations dropped
    forced_steps: Any  # over which teacher forcing falls from always to never


class Windows(NamedTuple):
    """Standardised stretches, padded to one length, and where windows of them may start."""

    inputs: Float[Array, "stretch time channel"]
    targets: Float[Array, "stretch time muscle"]  # 0 where not known
    known: Bool[Array, "stretch time muscle"]  # and to be learned from
    present: Bool[Array, "stretch time"]
    place: Int[Array, "start 2"]  # stretch and first step
    cumulative: Float[Array, " start"]  # probability of drawing a start up to this one


class Batch(NamedTuple):
    inputs: Float[Array, "time batch channel"]
    targets: Float[Array, "time batch muscle"]
    known: Bool[Array, "time batch muscle"]
    present: Bool[Array, "time batch"]


@dataclasses.dataclass(frozen=True)
class Seq2SeqTask(PresetEnd):
    """What the training loop asks for; see `learning.loop.Task`."""

    n_window: int
    n_batch: int

    def draw(self, data: Windows, key: PRNGKeyArray) -> Batch:
        """Windows at random starts."""
        place = data.place[draw_starts(data.cumulative, self.n_batch, key)]

        def cut(values: Array) -> Array:
            def one(where: Array) -> Array:
                return jax.lax.dynamic_slice_in_dim(values[where[0]], where[1], self.n_window)

            return jnp.moveaxis(jax.vmap(one)(place), 0, 1)

        return Batch(cut(data.inputs), cut(data.targets), cut(data.known), cut(data.present))

    def loss(
        self, net: Seq2Seq, batch: Batch, hyper: Hyper, key: PRNGKeyArray, step: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Of mean and scale (see `mean_and_scale_loss`), and what weights cost."""
        keys = jax.random.split(key, 3)
        noisy = batch.inputs + hyper.noise * jax.random.normal(keys[0], batch.inputs.shape)
        kept = jax.random.bernoulli(keys[1], 1 - hyper.noise, (self.n_batch, 2 * net.past.bias_state.shape[-1]))
        share = jnp.maximum(1.0 - step / hyper.forced_steps, 0.0)
        forced = jax.random.bernoulli(keys[2], share, batch.known.shape) & batch.known
        mean, scale = decode(net, noisy, batch.present, batch.targets, forced, kept / (1 - hyper.noise))
        squared, density = mean_and_scale_loss(mean, scale, batch.targets, batch.known)
        matrices = [w for w in jax.tree.leaves(net) if w.ndim > 1]
        decay = hyper.weight_decay * sum(jnp.sum(w**2) for w in matrices)
        return squared + density + decay, {"squared": squared, "density": density}
