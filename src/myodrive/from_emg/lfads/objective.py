"""What LFADS is trained on: the evidence bound with coordinated dropout, and the score it is selected by."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from myodrive.from_emg.lfads.decoder import Decoded, decode
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import NO_DROPOUT, PRIOR_VARIANCE, Dropout, Encoded, Network, encode, of_session


class Hyperparameters(NamedTuple):
    """Everything that a search changes; arrays, so that changing them compiles nothing anew."""

    learning_rate: Array
    decay_steps: Array  # over which it falls to a twentieth
    dropout: Array
    hide_rate: Array  # coordinated dropout: share of single samples that the encoders do not see
    block_rate: Array  # and of blocks of time that they see of no muscle
    kl_initial: Array  # 1 is the evidence bound
    kl_input: Array
    l2_generator: Array
    l2_controller: Array
    ramp_steps: Array  # over which the KL and L2 terms grow to their full weight


class Windows(NamedTuple):
    """Stretches of one or many trials laid end to end, and where windows may start."""

    emg: Float[Array, "time muscle"]  # not below `densities.FLOOR`; 1 where it is missing
    x: Float[
        Array, "time feature"
    ]  # its logarithm and root, centred and scaled, 0 where it is missing; then external inputs
    present: Float[Array, "time muscle"]
    starts: Int[Array, " start"]
    n_starts: Int[Array, ""]  # how many of them count; the rest is padding, windows without a sample
    session: Int[Array, " time"] | None = None  # which of several each sample is of


class Batch(NamedTuple):
    """Windows side by side."""

    emg: Float[Array, "time batch muscle"]
    x: Float[Array, "time batch feature"]
    present: Float[Array, "time batch muscle"]
    session: Int[Array, " batch"] | None = None


def take(windows: Windows, starts: Int[Array, " batch"], n_time: int) -> Batch:
    """The windows that start there."""
    index = jnp.arange(n_time)[:, None] + starts[None, :]
    session = None if windows.session is None else windows.session[starts]
    return Batch(windows.emg[index], windows.x[index], windows.present[index], session)


# -- coordinated dropout ---------------------------------------------------------------------------------------------


def hide(
    shape: tuple[int, ...], rate: Array | float, block_rate: Array | float, block: int, key: PRNGKeyArray
) -> Bool[Array, "time batch muscle"]:
    """Which samples are hidden from the encoders and, in exchange, are the only ones that the loss is taken on.

    Single samples of single muscles, and blocks of `block` steps of all muscles at once: noise that the channels share
    can be copied from one to another within a step, but not across a block. Every window draws its own share between
    none and twice the rates: a network that never met a window in full would not trust one as much as it may.
    """
    n_time, n_batch, n_muscle = shape
    # Every draw is compiled into code of its own, so there is one, as large as all.
    uniform = jax.random.uniform(key, (n_time + n_time // block + 4, n_batch, n_muscle))
    much, phase = 2 * uniform[-1, :, 0], jnp.floor(block * uniform[-2, :, 0]).astype(int)
    single = uniform[:n_time] < jnp.minimum(much * rate, 0.95)[:, None]
    blocks = uniform[n_time:-2, :, 0] < jnp.minimum(much * block_rate, 0.95)
    which = (jnp.arange(n_time)[:, None] + phase) // block
    return single | jnp.take_along_axis(blocks, which, axis=0)[:, :, None]


def shift(batch: Batch, hidden: Array, largest: int, key: PRNGKeyArray) -> tuple[Batch, Array]:
    """Move every channel of every window by its own random number of steps; what moves in from outside is missing.

    The numbers are normal with a standard deviation of half of `largest`, rounded, and not beyond it. Drawn once for
    what the encoders see and once for what is to be explained, this is the published remedy against fitting noise that
    channels share. A patent application exists on it (WO2023064498A1 / US20240412869): know that before you use it.
    """
    n_time, n_batch, n_muscle = batch.emg.shape
    draw = jnp.round(jax.random.truncated_normal(key, -2.0, 2.0, (n_batch, n_muscle)) * largest / 2).astype(int)
    source = jnp.arange(n_time)[:, None, None] - draw
    inside = (source >= 0) & (source < n_time)
    source = jnp.clip(source, 0, n_time - 1)
    emg, present, hidden = (jnp.take_along_axis(a, source, axis=0) for a in (batch.emg, batch.present, hidden))
    features, external = jnp.split(batch.x, [2 * n_muscle], axis=-1)
    features = jnp.take_along_axis(features, jnp.concatenate([source, source], axis=-1), axis=0)
    return Batch(emg, jnp.concatenate([features, external], axis=-1), present * inside, batch.session), hidden


# -- the two divergences ---------------------------------------------------------------------------------------------


def kl_of_initial(net: Network, code: Encoded) -> Float[Array, " batch"]:
    """Between the posterior of the initial condition and its normal prior, summed over its dimensions."""
    ratio = code.initial_variance / PRIOR_VARIANCE
    distance = (code.initial_mean - net.prior_mean) ** 2 / PRIOR_VARIANCE
    return 0.5 * (ratio + distance - 1 - jnp.log(ratio)).sum(axis=-1)


def kl_of_inputs(net: Network, drawn: Decoded) -> Float[Array, " batch"]:
    """Between the posterior of the inputs and their autoregressive prior, summed over steps and dimensions.

    Step by step, given the inputs that were drawn so far, both are normal and the divergence is exact; the peers draw
    it by one sample, which has more variance. ``u[t] = φ u[t−1] + ε``, φ = exp(−1/τ), stationary at the start.
    """
    tau, noise = jnp.exp(net.prior_log_tau), jnp.exp(net.prior_log_noise)
    phi = jnp.exp(-1 / tau)
    prior_mean = jnp.concatenate([jnp.zeros_like(drawn.inputs[:1]), phi * drawn.inputs[:-1]])
    first = jnp.arange(len(drawn.inputs))[:, None, None] == 0
    prior_variance = jnp.where(first, noise / (1 - phi**2), noise)
    ratio = jnp.exp(drawn.input_log_variance) / prior_variance
    distance = (drawn.input_mean - prior_mean) ** 2 / prior_variance
    return 0.5 * (ratio + distance - 1 - jnp.log(ratio)).sum(axis=(0, 2))


# -- training and validation -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class LFADSTask:
    """The task of `learning.loop`: sizes that are fixed when the program is compiled."""

    n_time: int  # bins in a window
    batch_size: int
    block: int  # bins
    shift_bins: int = 0
    tune: Literal["all", "own"] = "all"  # which weights learn: all, or the read-in and read-outs that a session has

    def draw(self, data: Windows, key: PRNGKeyArray) -> Batch:
        """Windows that start anywhere in the training blocks."""
        place = jnp.floor(jax.random.uniform(key, (self.batch_size,)) * data.n_starts).astype(int)
        return take(data, data.starts[place], self.n_time)

    def loss(
        self, weights: Network, batch: Batch, hyper: Hyperparameters, key: PRNGKeyArray, step: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Negative evidence bound per sample, with the likelihood taken on the hidden samples alone."""
        key_hide, key_in, key_out, key_drop, key_draw = jax.random.split(key, 5)
        hidden = hide(batch.emg.shape, hyper.hide_rate, hyper.block_rate, self.block, key_hide)
        given = aim = (batch, hidden)
        if self.shift_bins:
            given = shift(batch, hidden, self.shift_bins, key_in)
            aim = shift(batch, hidden, self.shift_bins, key_out)
        if self.tune == "own":
            weights = only_own(weights)
        net = weights if batch.session is None else of_session(weights, batch.session)
        drop = Dropout.draw(weights, batch.emg.shape[1], hyper.dropout, key_drop)
        code = encode(net, given[0].x, given[0].present * ~given[1], drop)
        drawn = decode(net, code, key_draw, drop)
        ramp = jnp.clip(step / jnp.maximum(hyper.ramp_steps, 1.0), 0.0, 1.0)
        n_sample = batch.emg.shape[0] * batch.emg.shape[2]
        terms = {
            "reconstruction": mean_loss(aim[0], drawn, aim[0].present * aim[1], weights.density),
            "kl_initial": ramp * hyper.kl_initial * kl_of_initial(weights, code).mean() / n_sample,
            "kl_input": ramp * hyper.kl_input * kl_of_inputs(weights, drawn).mean() / n_sample,
            "l2_generator": ramp * hyper.l2_generator * 0.5 * (weights.generator.w_state**2).mean(),
            "l2_controller": ramp * hyper.l2_controller * 0.5 * (weights.controller.w_state**2).mean(),
        }
        return sum(terms.values(), jnp.zeros(())), terms

    def validate(self, weights: Network, data: Windows, key: PRNGKeyArray) -> tuple[Array, dict[str, Array]]:
        """Mean negative log-likelihood of samples that are hidden, in windows never trained on; never shifted.

        It cannot be lowered by copying what is seen. What is hidden is drawn alike for every network and epoch.
        """
        batch = take(data, jnp.tile(data.starts, DRAWS_IN_VALIDATION), self.n_time)
        key_hide, key_draw = jax.random.split(key)
        hidden = hide(batch.emg.shape, HIDDEN_IN_VALIDATION, BLOCKS_IN_VALIDATION, self.block, key_hide)
        net = weights if batch.session is None else of_session(weights, batch.session)
        drawn = decode(net, encode(net, batch.x, batch.present * ~hidden, NO_DROPOUT), key_draw, NO_DROPOUT)
        seen = mean_loss(batch, drawn, batch.present * ~hidden, weights.density)
        return mean_loss(batch, drawn, batch.present * hidden, weights.density), {"validation_seen": seen}


HIDDEN_IN_VALIDATION, BLOCKS_IN_VALIDATION, DRAWS_IN_VALIDATION = 0.25, 0.1, 4


def only_own(net: Network) -> Network:
    """The same network, with gradients for the read-in and the read-outs alone."""
    fixed = jax.lax.stop_gradient(net)
    return eqx.tree_at(lambda n: (n.read_in, n.read_out), fixed, (net.read_in, net.read_out))


def mean_loss(batch: Batch, drawn: Decoded, counts: Array, density: str) -> Array:
    """Mean negative log-likelihood over the samples that count."""
    loss = -DENSITIES[density].log_likelihood(batch.emg, drawn.parameters)
    return jnp.where(counts > 0, loss, 0.0).sum() / jnp.maximum(counts.sum(), 1.0)
