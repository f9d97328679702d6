"""Recurrent cells and their scans over time, shared by all three routes.

Arrays are time-major, (time, batch, feature). On a CPU a cell runs as machine code (`fast_recurrent`); elsewhere as a
plain scan with the input product inside the step and the activations recomputed in the backward pass: of the forms tried
in XLA's own code (products hoisted out of the scan, several directions in one scan, unrolling, a backward pass by hand)
this was the fastest or as fast, with a third of the memory. Cells are pytrees of arrays, so that a population of networks
is a `jax.vmap` over them.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from myodrive.learning.fast_recurrent import run_gru, run_lstm
from myodrive.learning.kernels import usable


class GRU(eqx.Module):
    """Gated recurrent unit (Cho et al. 2014, 10.3115/v1/D14-1179), reset gate after the recurrent product.

    ``r = σ(xWr + hUr + br)``, ``z = σ(xWz + hUz + bz)``, ``n = tanh(xWn + r∘(hUn + cn) + bn)``,
    ``h' = n + z∘(h − n)``. The form with the reset before the product (that of the public LFADS code) needs two
    recurrent products in a row at each step instead of one.
    """

    w_input: Float[Array, "*member input gates"]
    w_state: Float[Array, "*member state gates"]
    bias: Float[Array, "*member gates"]
    bias_state: Float[Array, "*member state"]

    @classmethod
    def create(cls, n_input: int, n_state: int, key: PRNGKeyArray) -> GRU:
        """Normal weights with variance 1 / fan-in; both gates start open to the past (bias 1)."""
        weights = normal_weights(key, n_input + n_state, 3 * n_state)
        bias = jnp.concatenate([jnp.ones(2 * n_state), jnp.zeros(n_state)])
        return cls(weights[:n_input], weights[n_input:], bias, jnp.zeros(n_state))

    def initial(self, n_batch: int) -> Float[Array, "batch state"]:
        return jnp.zeros((n_batch, self.bias_state.shape[-1]))

    def step(
        self,
        state: Float[Array, "batch state"],
        x: Float[Array, "batch input"],
        clip: float = jnp.inf,
        known: Float[Array, "batch gates"] | None = None,
    ) -> Float[Array, "batch state"]:
        """One step; the new state is held within ±`clip`. `known` is what further inputs add to the gates."""
        n = self.bias_state.shape[-1]
        from_input = x @ self.w_input + self.bias
        from_input = from_input if known is None else from_input + known
        from_state = state @ self.w_state
        reset = jax.nn.sigmoid(from_input[:, :n] + from_state[:, :n])
        keep = jax.nn.sigmoid(from_input[:, n : 2 * n] + from_state[:, n : 2 * n])
        new = jnp.tanh(from_input[:, 2 * n :] + reset * (from_state[:, 2 * n :] + self.bias_state))
        return jnp.clip(new + keep * (state - new), -clip, clip)

    @staticmethod
    def output(state: Float[Array, "batch state"]) -> Float[Array, "batch state"]:
        return state


class LSTM(eqx.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, 10.1162/neco.1997.9.8.1735) with forget gates.

    ``i, f, o = σ(xW + hU + b)``, ``g = tanh(xWg + hUg + bg)``, ``c' = f∘c + i∘g``, ``h' = o∘tanh(c')``. The state is
    (h, c) side by side; `output` is h.
    """

    w_input: Float[Array, "*member input gates"]
    w_state: Float[Array, "*member state gates"]
    bias: Float[Array, "*member gates"]

    @classmethod
    def create(cls, n_input: int, n_state: int, key: PRNGKeyArray) -> LSTM:
        """Normal weights with variance 1 / fan-in; the forget gate starts open (bias 1)."""
        weights = normal_weights(key, n_input + n_state, 4 * n_state)
        bias = jnp.zeros(4 * n_state).at[n_state : 2 * n_state].set(1.0)
        return cls(weights[:n_input], weights[n_input:], bias)

    def initial(self, n_batch: int) -> Float[Array, "batch both"]:
        return jnp.zeros((n_batch, self.bias.shape[-1] // 2))

    def step(
        self, state: Float[Array, "batch both"], x: Float[Array, "batch input"], clip: float = jnp.inf
    ) -> Float[Array, "batch both"]:
        """One step; the new cell state is held within ±`clip`."""
        hidden, cell = jnp.split(state, 2, axis=-1)
        gates = x @ self.w_input + hidden @ self.w_state + self.bias
        write, keep, show, new = jnp.split(gates, 4, axis=-1)
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(write) * jnp.tanh(new)
        cell = jnp.clip(cell, -clip, clip)
        return jnp.concatenate([jax.nn.sigmoid(show) * jnp.tanh(cell), cell], axis=-1)

    @staticmethod
    def output(state: Float[Array, "batch both"]) -> Float[Array, "batch state"]:
        return jnp.split(state, 2, axis=-1)[0]


Cell = GRU | LSTM


def normal_weights(key: PRNGKeyArray, n_input: int, n_output: int) -> Float[Array, "i o"]:
    """Normal draws with variance 1 / fan-in, the number of inputs."""
    return jax.random.normal(key, (n_input, n_output)) / jnp.sqrt(n_input)


def remat_scan(step: Callable, carry: object, inputs: object, *, reverse: bool = False) -> tuple:
    """`jax.lax.scan` whose backward pass recomputes each step instead of keeping what was inside it."""
    return jax.lax.scan(jax.checkpoint(step, prevent_cse=False), carry, inputs, reverse=reverse)


def run(
    cell: Cell,
    inputs: Float[Array, "time batch input"],
    *,
    initial: Float[Array, "batch carried"] | None = None,
    present: Bool[Array, "time batch"] | None = None,
    reverse: bool = False,
    clip: float = jnp.inf,
) -> Float[Array, "time batch state"]:
    """The output of a cell at each step, from first to last or, with `reverse`, from last to first.

    Parameters
    ----------
    cell : GRU or LSTM
    inputs : array (time, batch, input)
    initial : array (batch, carried), optional
        State before the first step; zeros without one.
    present : array of bool (time, batch), optional
        Where False, as in the padding of a short trial, the state stays as it was.
    reverse : bool
        Run backwards; the output stays in the order of time.
    clip : float
        Bound of the state.
    """
    start = cell.initial(inputs.shape[1]) if initial is None else initial
    if usable(inputs, cell.w_input, start):
        here = jnp.ones(inputs.shape[:2]) if present is None else present.astype(jnp.float32)
        options = jnp.asarray([reverse, clip], jnp.float32)
        if isinstance(cell, LSTM):
            return run_lstm(inputs, cell.w_input, cell.w_state, cell.bias, start, here, options)
        return run_gru(inputs, *kernel_weights(cell), start, here, options)

    def step(state: Array, now: tuple) -> tuple[Array, Array]:
        x, here = now
        new = cell.step(state, x, clip)
        new = new if here is None else jnp.where(here[:, None], new, state)
        return new, cell.output(new)

    return remat_scan(step, start, (inputs, present), reverse=reverse)[1]


def kernel_weights(cell: GRU) -> tuple[Array, Array, Array]:
    """Weights and biases in the order of `kernels.gru`."""
    n = cell.bias_state.shape[-1]
    return jnp.roll(cell.w_input, n, -1), cell.w_state, jnp.concatenate([jnp.roll(cell.bias, n, -1), cell.bias_state])


def run_both_ways(
    forward: Cell,
    backward: Cell,
    inputs: Float[Array, "time batch input"],
    *,
    initial: tuple[Array, Array] | None = None,
    present: Bool[Array, "time batch"] | None = None,
    clip: float = jnp.inf,
) -> tuple[Float[Array, "time batch state"], Float[Array, "time batch state"]]:
    """The outputs of a bidirectional network: of the cell that saw the past, and of the one that saw the future."""
    start = initial or (None, None)
    past = run(forward, inputs, initial=start[0], present=present, clip=clip)
    future = run(backward, inputs, initial=start[1], present=present, reverse=True, clip=clip)
    return past, future
