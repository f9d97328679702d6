"""BayesFilter: the jump-diffusion filter of Sanger, forward alone or forward and backward."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import Field

from myodrive.estimator import Context, Estimate, Estimator, EstimatorConfig
from myodrive.from_emg import whitening
from myodrive.from_emg.bayes.jump_diffusion import (
    HIDDEN_S,
    PARAMETERS,
    STEP_S,
    WEIGHT,
    Blocks,
    Model,
    choose,
    log_levels,
    mean_level,
    quantiles,
)


class BayesFilterConfig(EstimatorConfig):
    """Options of `BayesFilter`."""

    likelihood: Literal["laplace", "gaussian"] = "laplace"  # of an EMG sample given the level
    causal: bool = False  # forward alone; otherwise forward and backward
    interval_level: float = Field(default=0.9, gt=0, lt=1)
    n_levels: int = Field(default=64, ge=8, le=400)  # of the grid; twice as many change R² by less than .001
    whiten: bool = True  # see `WhitenedEnvelope`; the samples of EMG as recorded tell much the same thing
    order: int = Field(default=6, ge=1, le=50)  # of the whitening
    diffusion: float | None = Field(default=None, ge=0)  # in nat²/s; chosen by held-out likelihood unless given
    jump: float | None = Field(default=None, ge=0)  # per second; likewise


class BayesFilter(Estimator):
    """Posterior mean and credible interval of a level that diffuses and now and then jumps.

    The logarithm ``u`` of the level of a muscle's EMG follows ``∂p/∂t = (D/2) ∂²p/∂u² + J (1/L − p)`` between
    reflecting ends on `n_levels` levels. Its step is the exact one, ``T = (1 − e^(−J dt)) 1/L + e^(−J dt) exp(dt D/2 ∇²)``,
    a stochastic matrix for whatever diffusion ``D`` and jump rate ``J``. Every step of 10 ms observes the mean ``y`` of
    ``|x|ᵖ`` over its samples, with p = 1 for the Laplace and p = 2 for the Gaussian likelihood::

        log p(y | u) = k log k − log Γ(k) + (k − 1) log y − k (p u + y e^(−p u))

    For independent samples the shape ``k`` would be their number (over p). EMG samples are not independent, so ``k`` is
    learned; nor are neighbouring steps, so in the filter a step counts as ``p(y | u)^w`` with ``w = 1/5``. ``D``, ``J``
    and ``k`` of each muscle are those that make held-out data most likely: every step is predicted from all that lies
    30 ms or more before or after it.

    The estimate is the mean rectified EMG: the posterior mean of ``e^u`` (Laplace) or of ``√(2/π) e^u`` (Gaussian).

    Parameters
    ----------
    likelihood : "laplace" or "gaussian"
    causal : bool
        Forward alone; the conditioning before is zero-phase unless it is switched off. An estimate is held until the
        next step is complete.
    interval_level : float
        Nominal coverage of the equal-tailed credible interval.
    n_levels : int
    whiten, order
        Whether samples are decorrelated first, and the order of the autoregressive model.
    diffusion, jump : float, optional
        In nat²/s and 1/s, for all muscles, instead of learning them.

    Attributes
    ----------
    diffusion_, jump_, shape_ : array (muscle,)
    held_out_ : array (muscle,)
        Mean log density of a held-out step, in nats.

    References
    ----------
    Sanger TD (2007) Bayesian filtering of myoelectric signals, 10.1152/jn.00936.2006.
    Hofmann D, Jiang N, Vujaklija I, Farina D (2016) Bayesian filtering of surface EMG for accurate simultaneous and
    proportional prosthetic control, 10.1109/TNSRE.2015.2501979.

    Examples
    --------
    >>> import numpy as np
    >>> from myodrive.recording import make_signal
    >>> noise = np.random.default_rng(0).normal(size=(8000, 1))
    >>> emg = make_signal(noise, ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=2000)
    >>> BayesFilter(diffusion=1, jump=0.1).fit(emg).estimate(emg)
    <Activation bayes: (time 2000, muscle 1) at 500 Hz, relative to q95, 90% interval>
    """

    method = "bayes"
    Config = BayesFilterConfig
    consumes = "filtered"
    needs_raw = True
    references = (
        "Sanger TD (2007) Bayesian filtering of myoelectric signals. J Neurophysiol 97:1839-1845. "
        "doi:10.1152/jn.00936.2006",
        "Hofmann D, Jiang N, Vujaklija I, Farina D (2016) Bayesian filtering of surface EMG for accurate simultaneous "
        "and proportional prosthetic control. IEEE Trans Neural Syst Rehabil Eng 24:1333-1341. "
        "doi:10.1109/TNSRE.2015.2501979",
    )
    config: BayesFilterConfig

    def _fit(self, trials: list[xr.DataArray]) -> None:
        self.rate_ = whitening.common_rate(trials)
        if self.config.whiten:
            self.autocovariance_, self.noise_ = whitening.fit_spectra(trials, self.config.order)
            self.gain_ = whitening.fit_gain(trials, self.autocovariance_, self.noise_, causal=self.config.causal)
        blocks = Blocks.cut(trials, [self._amplitude(trial) for trial in trials], self._step, self._power)
        self.log_levels_ = log_levels(blocks, self._power, self.config.n_levels)
        found, self.held_out_ = choose(blocks.thinned(), self.log_levels_, self._power, self._hidden, self._given())
        self.diffusion_, self.jump_, self.shape_ = (found[name] for name in PARAMETERS)

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        whitening.check_rate(trial, self.rate_)
        blocks = Blocks.cut([trial], [self._amplitude(trial)], self._step, self._power)
        parameters = {name: getattr(self, f"{name}_") for name in PARAMETERS}
        model = Model.of(parameters, self.log_levels_, self._power, STEP_S)
        past, future = model.messages(blocks)
        posterior = past if self.config.causal else model.smoothed(past, future, blocks)
        tail = (1 - self.config.interval_level) / 2
        summaries = (mean_level(posterior, self.log_levels_), *quantiles(posterior, self.log_levels_, (tail, 1 - tail)))
        factor = 1.0 if self._power == 1 else np.sqrt(2 / np.pi)
        return Estimate(*(factor * blocks.on_samples(s, trial, causal=self.config.causal) for s in summaries))

    def context(self) -> Context:
        if not self.config.causal:
            return Context(left=np.inf, right=np.inf)
        lag_s = _median(self._lags_s()) if hasattr(self, "diffusion_") else np.nan
        return Context(left=np.inf, right=0.0, delay_s=lag_s)

    def methods_text(self) -> str:
        likelihood = self.config.likelihood.capitalize()
        direction = "forward in time alone" if self.config.causal else "forward and backward in time"
        whitened = f"whitened (autoregressive, order {self.config.order}) " if self.config.whiten else ""
        given = [name for name in ("diffusion", "jump") if getattr(self.config, name) is not None]
        chosen = "maximised the likelihood of held-out data"
        chosen += f", but for those given ({', '.join(given)})" if given else ""
        return (
            f"The level of the {whitened}EMG was estimated by a Bayesian jump-diffusion filter (Sanger 2007; Hofmann et "
            f"al. 2016) with a {likelihood} likelihood and {self.config.n_levels} logarithmic levels, run {direction} in "
            f"steps of {1e3 * STEP_S:g} ms. Its parameters {chosen} (medians over muscles: diffusion "
            f"{_median(self.diffusion_):.2g} nat²/s, jumps {_median(self.jump_):.2g}/s, shape "
            f"{_median(self.shape_):.2g}). Given are the posterior mean and the {self.config.interval_level:.0%} "
            "credible interval."
        )

    @property
    def _power(self) -> int:
        return 1 if self.config.likelihood == "laplace" else 2

    @property
    def _step(self) -> int:
        return max(1, round(STEP_S * self.rate_))

    @property
    def _hidden(self) -> int:
        return round(HIDDEN_S / STEP_S)

    def _given(self) -> dict[str, float]:
        options = {"diffusion": self.config.diffusion, "jump": self.config.jump}
        return {name: value for name, value in options.items() if value is not None}

    def _amplitude(self, trial: xr.DataArray) -> Float[np.ndarray, "time muscle"]:
        """What is observed: the rectified EMG, whitened or as it is."""
        if not self.config.whiten:
            return np.abs(trial.values)
        return self.gain_ * whitening.whiten(trial, self.autocovariance_, self.noise_, causal=self.config.causal)

    def _lags_s(self) -> Float[np.ndarray, " muscle"]:
        """How old the evidence is on average in the steady state of the equivalent Kalman filter."""
        diffused = self.diffusion_ * STEP_S
        observed = 1 / (self.shape_ * WEIGHT * self._power**2)
        predicted = (diffused + np.sqrt(diffused**2 + 4 * diffused * observed)) / 2
        gain = predicted / (predicted + observed)
        return STEP_S * ((1 - gain) / gain + 0.5)


def _median(values: np.ndarray) -> float:
    """Over the muscles that have data; NaN if none has."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
