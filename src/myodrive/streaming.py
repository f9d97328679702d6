"""A causal network from movement, sample by sample: one sample in, one estimate out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Estimate
from myodrive.from_motion.lstm import MotionLSTM
from myodrive.from_motion.networks import FARTHEST
from myodrive.from_motion.training import SMALLEST


class Now(NamedTuple):
    """The estimate of one instant, which lies `Stream.delay_s` before the sample that came last."""

    mean: Float[np.ndarray, " muscle"]
    lower: Float[np.ndarray, " muscle"]
    upper: Float[np.ndarray, " muscle"]


class Stream:
    """The estimates of a causal `MotionLSTM` while a movement goes on, in plain NumPy.

    They are those that `estimate` gives for the whole recording. Samples come at the rate of the model's clock, ``rate_hz``.

    Parameters
    ----------
    model : MotionLSTM
        Fitted with ``causal=True``.
    subject : str
        Who moves: a person of the training, one that the model was adapted to, or anybody.

    Raises
    ------
    OptionError
        If the model is not causal.
    NotFittedError
        If it has not learned anything.

    Examples
    --------
    >>> stream = Stream(model)                           # doctest: +SKIP
    >>> for angles in glove:                             # doctest: +SKIP
    ...     now = stream.step(angles)
    """

    def __init__(self, model: MotionLSTM, subject: str = "") -> None:
        model._check_fitted()
        if not model.config.causal:
            raise OptionError(
                "a network that reads both ways cannot run while the movement goes on.",
                remedy="Fit MotionLSTM(causal=True).",
            )
        (self.channels,) = model.channels_.values()  # of a sample, in this order
        self.muscles = list(model.muscles_)
        self.rate_hz = model.config.rate_hz
        self.delay_s = model.context().right
        self._taps, self._in_filter = model.taps
        self._behind, self._every = model._look_ahead, model._every
        self._centre, self._spread = model.centre_, model.spread_
        networks, whom = model._networks_of(subject)
        self._half = model._factor(subject) * model.size_
        self._size, self._personal = model.size_, model._personal(subject)
        self._read(networks, whom)
        self.reset()

    def reset(self) -> None:
        """Forget what came before, as at the start of a recording or after a gap."""
        self._n = 0
        self._window = np.zeros((self._taps.shape[1], len(self.channels)))
        n_state = self._layers[0][1].shape[1]
        shape = (self._every, len(self._layers), 2, len(self._told), 1, n_state)
        self._states = np.zeros(shape, np.float32)  # one for each way to lay the network's clock over the samples

    def step(self, sample: Float[np.ndarray, " channel"]) -> Now | None:
        """Take the next sample; the estimate of the instant `delay_s` before it, or None where that is before the first.

        Raises
        ------
        SignalError
            If the sample does not have the channels of the training, or one is missing: call `reset` and go on after it.
        """
        if np.shape(sample) != (len(self.channels),) or not np.isfinite(sample).all():
            raise SignalError(f"a sample is {len(self.channels)} numbers ({', '.join(self.channels)}), not {sample!r}.")
        if self._n == 0:
            self._window[:] = sample
        self._window[:-1] = self._window[1:]
        self._window[-1] = sample
        at = self._n - self._in_filter  # the sample that the features are of
        self._n += 1
        if at < 0:
            return None
        features = (self._taps @ self._window).reshape(-1)
        z = np.clip((features - self._centre) / self._spread, -FARTHEST, FARTHEST).astype(np.float32)
        outputs = self._advance(z, at % self._every)
        return self._estimate(outputs) if at >= self._behind else None

    # -- inside ------------------------------------------------------------------------------------------------------

    def _read(self, networks: list, whom: list[int]) -> None:
        """The weights of all networks side by side, (network, input, gates)."""
        n_layer = len(networks[0].body.layers)

        def together(arrays: list) -> np.ndarray:
            return np.stack([np.asarray(a, np.float32) for a in arrays])

        self._layers = [
            tuple(
                together([getattr(net.body.layers[i][0], name) for net in networks])
                for name in ("w_input", "w_state", "bias")
            )
            for i in range(n_layer)
        ]
        self._told = together([net.embedding[w] for net, w in zip(networks, whom)])
        self._gain = together([np.exp(net.log_gain[w]) for net, w in zip(networks, whom)])
        self._out = [
            together([getattr(n, name) for n in networks]) for name in ("w_mean", "w_scale", "b_mean", "b_scale")
        ]

    def _advance(self, z: np.ndarray, phase: int) -> np.ndarray:
        """The outputs of the last layer after one step, (network, 1, state)."""
        hidden = np.concatenate([np.broadcast_to(z, (len(self._told), z.size)), self._told], axis=1)[:, None]
        for i, (w_input, w_state, bias) in enumerate(self._layers):
            before, cell = self._states[phase, i]
            write, keep, show, new = np.split(hidden @ w_input + before @ w_state + bias[:, None], 4, axis=-1)
            cell = _sigmoid(keep) * cell + _sigmoid(write) * np.tanh(new)
            hidden = _sigmoid(show) * np.tanh(cell)
            self._states[phase, i] = hidden, cell
        return hidden

    def _estimate(self, hidden: np.ndarray) -> Now:
        w_mean, w_scale, b_mean, b_scale = self._out
        mean = (self._gain * _softplus((hidden @ w_mean)[:, 0] + b_mean)).mean(axis=0) * self._size
        scale = (self._gain * _softplus((hidden @ w_scale)[:, 0] + b_scale) + SMALLEST).mean(axis=0)
        half = self._half * scale
        estimate = Estimate(*(v[None] for v in (mean, mean - half, mean + half)))
        found = self._personal.of(estimate)
        assert found.lower is not None and found.upper is not None
        return Now(found.mean[0], found.lower[0], found.upper[0])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)
