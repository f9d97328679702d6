"""MotionLSTM: a recurrent network that reads a movement, both ways or, causally, with a little look ahead."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import Field

from myodrive.from_motion.networks import MotionNetwork, NetworkConfig
from myodrive.learning.recurrent import LSTM, run


class RecurrentBody(eqx.Module):
    """Layers of LSTMs, each a cell that reads forwards and, unless causal, one that reads backwards."""

    layers: list[list[LSTM]]

    @classmethod
    def create(cls, n_input: int, n_unit: int, n_layer: int, causal: bool, key: PRNGKeyArray) -> RecurrentBody:
        n_way = 1 if causal else 2
        keys = jax.random.split(key, (n_layer, n_way))
        n_inputs = [n_input, *[n_way * n_unit] * (n_layer - 1)]
        return cls([[LSTM.create(n, n_unit, k) for k in own] for n, own in zip(n_inputs, keys)])

    def __call__(
        self, inputs: Float[Array, "time batch channel"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch hidden"]:
        hidden = inputs
        for cells in self.layers:
            ways = [run(cell, hidden, present=present, reverse=bool(i)) for i, cell in enumerate(cells)]
            hidden = jnp.concatenate(ways, axis=-1)
        return hidden


class MotionLSTMConfig(NetworkConfig):
    """Options of `MotionLSTM`."""

    n_unit: int = Field(default=64, gt=0)  # of each cell
    n_layer: int = Field(default=1, gt=0)
    causal: bool = False  # read forwards only, for use while the movement goes on
    look_ahead_s: float = Field(default=0.1, ge=0, le=0.15)  # of a causal network: EMG comes before the movement


class MotionLSTM(MotionNetwork):
    """Long short-term memory from the features of a movement to the envelopes of all muscles.

    Both ways by default; with ``causal=True`` it reads forwards, and sees `look_ahead_s` of what follows, by which its
    estimates come late.

    References
    ----------
    Hochreiter S, Schmidhuber J (1997) Neural Comput 9:1735, 10.1162/neco.1997.9.8.1735.
    Schmidt et al. (2023) BioMed Eng OnLine, 10.1186/s12938-023-01116-9 (movement to muscle activity by a recurrent network).
    """

    method = "lstm"
    Config = MotionLSTMConfig
    config: MotionLSTMConfig
    references = (
        "Hochreiter S, Schmidhuber J (1997) Neural Comput 9:1735. doi:10.1162/neco.1997.9.8.1735",
        "Schmidt et al. (2023) BioMed Eng OnLine. doi:10.1186/s12938-023-01116-9",
    )

    def _body(self, n_input: int, key: PRNGKeyArray) -> tuple[RecurrentBody, int]:
        c = self.config
        body = RecurrentBody.create(n_input, c.n_unit, c.n_layer, c.causal, key)
        return body, c.n_unit * (1 if c.causal else 2)

    @property
    def _look_ahead(self) -> int:
        """In samples of the common clock: whole steps of the network."""
        c = self.config
        return int(c.look_ahead_s * c.rate_hz / self._every + 1e-6) * self._every if c.causal else 0

    def _described(self) -> str:
        c = self.config
        way = f"causal, with a look-ahead of {1e3 * c.look_ahead_s:g} ms" if c.causal else "bidirectional"
        return f"a {way} long short-term memory ({c.n_layer} × {c.n_unit} units)"
