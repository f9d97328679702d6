"""LowPass: rectified EMG through a Butterworth low-pass, the envelope that everybody knows."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import Field

from myodrive.conditioning.envelope import CAUSAL_ORDER, ORDER, group_delay_s, smooth_run
from myodrive.estimator import Context, Estimate, Estimator, EstimatorConfig
from myodrive.recording import sampling_rate
from myodrive.trials import per_run


class LowPassConfig(EstimatorConfig):
    """Options of `LowPass`."""

    # The usual cut-off of the linear envelope in gait studies. On simulated recordings the best one lies at 2 to 4 Hz
    # (docs/bayes.md), but it blurs bursts shorter than .2 s.
    cutoff_hz: float = Field(default=6.0, gt=0)
    causal: bool = False  # one pass forward in time: nothing of the future, at the price of a lag


class LowPass(Estimator):
    """Low-pass filter of rectified EMG: zero-phase, or causal.

    A Butterworth filter of order 4 is run forward and backward over rectified EMG: gain
    ``1 / (1 + (f / cutoff_hz)⁸)``, which is 1/2 at the cut-off. With `causal` one of order 2 is run forward only: gain
    ``1 / √(1 + (f / cutoff_hz)⁴)``, and a lag of ``√2 / (2π · cutoff_hz)`` seconds, the group delay at 0 Hz. What the
    filter undershoots below 0 is set to 0. It has no interval: the method has no model of what it smooths away.

    Parameters
    ----------
    cutoff_hz : float
        In Hz.
    causal : bool
        Whether the filter itself looks at the past alone. The default conditioning before it is zero-phase.

    References
    ----------
    Winter DA (2009) Biomechanics and Motor Control of Human Movement, 10.1002/9780470549148.

    Examples
    --------
    >>> import numpy as np
    >>> from myodrive.recording import make_signal
    >>> noise = np.random.default_rng(0).normal(size=(8000, 1))
    >>> emg = make_signal(noise, ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=2000)
    >>> LowPass(cutoff_hz=3).fit(emg).estimate(emg)
    <Activation low-pass: (time 2000, muscle 1) at 500 Hz, relative to q95, no interval>
    """

    method = "low-pass"
    Config = LowPassConfig
    consumes = "rectified"
    references = ("Winter DA (2009) Biomechanics and Motor Control of Human Movement. doi:10.1002/9780470549148",)
    config: LowPassConfig

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        return Estimate(smooth(trial, self.config.cutoff_hz, causal=self.config.causal))

    def context(self) -> Context:
        if not self.config.causal:
            return Context(left=np.inf, right=np.inf)
        return Context(left=np.inf, right=0.0, delay_s=group_delay_s(self.config.cutoff_hz))

    def methods_text(self) -> str:
        cutoff = self.config.cutoff_hz
        if self.config.causal:
            lag_ms = 1e3 * group_delay_s(cutoff)
            return (
                f"Rectified EMG was smoothed by a causal Butterworth low-pass filter of order {CAUSAL_ORDER} at {cutoff:g} Hz "
                f"(group delay {lag_ms:.0f} ms; Winter 2009)."
            )
        return (
            f"Rectified EMG was smoothed by a Butterworth low-pass filter of order {ORDER} at {cutoff:g} Hz, run forward "
            "and backward for zero phase (Winter 2009)."
        )


def smooth(trial: xr.DataArray, cutoff_hz: float, *, causal: bool = False) -> Float[np.ndarray, "time muscle"]:
    """Low-pass each gap-free stretch of each muscle (time, muscle); never below 0; NaN stays NaN.

    Raises
    ------
    SignalError
        If the cut-off is not below half the sampling rate.
    """
    rate = sampling_rate(trial)
    return per_run(trial, lambda run: smooth_run(run, rate, cutoff_hz, causal=causal))
