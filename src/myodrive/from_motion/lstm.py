"""MotionLSTM: a recurrent network that reads a movement, both ways or, causally, with a little look ahead."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import Field

from myodrive.conditioning.kinematics import half_window
from myodrive.estimator import Context
from myodrive.from_motion.causal import causal_features, one_sided_taps
from myodrive.from_motion.networks import MotionNetwork, NetworkConfig
from myodrive.learning.recurrent import LSTM, run
from myodrive.paired import Stretch
from myodrive.recording import Recording


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
    def _ahead(self) -> tuple[int, int]:
        """Samples of the common clock that follow: in the filter of the features, and, in whole steps, in the network."""
        c = self.config
        whole = int(c.look_ahead_s * c.rate_hz + 1e-6)
        in_filter = min(whole, half_window(c.motion.cutoff_hz, c.rate_hz))
        return in_filter, (whole - in_filter) // self._every * self._every

    @property
    def _look_ahead(self) -> int:
        return self._ahead[1] if self.config.causal else 0

    @property
    def _as_measured(self) -> bool:
        return self.config.causal

    def _inputs(self, recording: Recording) -> tuple[np.ndarray, list[tuple[slice, Stretch]]]:
        clock, stretches = super()._inputs(recording)
        if self.config.causal:
            taps, ahead = self.taps
            found = [(run, causal_features(s.inputs, taps, ahead)) for run, s in stretches]
            stretches = [
                (run, dataclasses.replace(s, inputs=features)) for (run, features), (_, s) in zip(found, stretches)
            ]
        return clock, stretches

    @property
    def taps(self) -> tuple[Float[np.ndarray, "order window"], int]:
        """Of a causal network the weights of a window of samples for its features, and how many of them follow."""
        motion = self.config.motion
        return one_sided_taps(motion.cutoff_hz, self.config.rate_hz, self._ahead[0], motion.derivatives)

    def context(self) -> Context:
        if not self.config.causal:
            return super().context()
        return Context(left=np.inf, right=sum(self._ahead) / self.config.rate_hz)

    def _described(self) -> str:
        c = self.config
        way = f"causal, with a look-ahead of {1e3 * c.look_ahead_s:g} ms" if c.causal else "bidirectional"
        return f"a {way} long short-term memory ({c.n_layer} × {c.n_unit} units)"
