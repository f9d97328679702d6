"""WhitenedEnvelope: decorrelate the EMG before rectifying it, so that each sample tells something new."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import Field
from scipy import signal as sps
from scipy.linalg import solve_toeplitz

from myodrive.conditioning.envelope import smooth_run
from myodrive.errors import SignalError
from myodrive.estimator import Context, Estimate, Estimator, EstimatorConfig
from myodrive.from_emg.crosstalk import fit_unmixing, unmix
from myodrive.recording import gap_free_runs, sampling_rate

QUIET_WINDOW_S = 0.1  # windows of the training data, of which the quietest tenth shows the noise
QUIET_QUANTILE = 0.1
HALF_LENGTH_S = 0.032  # of a whitening filter; its response is shorter than 10 ms
LOCAL_HZ = 6.0  # how fast the local strength of EMG and noise is followed
RATIOS = np.geomspace(0.01, 30.0, 7)  # EMG power over noise power for which a filter is designed; 1 = training mean
# What is added to the noise in proportion to the EMG, as a fraction of its mean spectral density. Without it the band
# where there is hardly any EMG counts most, and a broad-band artefact there rules the estimate. On simulated recordings
# .08 instead of .003 costs .005 to .01 of R² on clean ones and gains .1 on noisy ones (docs/bayes.md).
FLOOR = 0.08
SEPARABLE = 1.2  # by what factor the two outermost filters must differ in how much noise they pass beside EMG


class WhitenedEnvelopeConfig(EstimatorConfig):
    """Options of `WhitenedEnvelope`."""

    cutoff_hz: float = Field(default=6.0, gt=0)  # as `LowPass`, so that the two differ in the whitening alone
    order: int = Field(default=6, ge=1, le=50)  # of the autoregressive model; Clancy and colleagues use 4 to 6
    unmix: bool = False  # take crosstalk off first, as `LFADS` does; see `crosstalk`


class WhitenedEnvelope(Estimator):
    """Noise-adaptive whitening, rectification and zero-phase low-pass.

    The EMG's spectrum is modelled as ``a²(t) S(f) + v²(t) N``: an autoregressive shape ``S`` fitted on all training
    trials and a flat noise ``N`` no higher than the lowest density of the quietest tenth of them. The amplitude ``a``
    is told best after the filter ``|H(f)| = √S(f) / (a² S(f) + v² N)``, which whitens where there is much EMG and
    passes only the EMG's own band where there is little, so that rest is not amplified. The local ``a²`` and ``v²``
    come from the outputs of two such filters, smoothed at 6 Hz; noise above that of rest is taken off. What comes out
    is scaled to the mean rectified EMG.

    Parameters
    ----------
    cutoff_hz : float
        Of the low-pass after rectification.
    order : int
        Of the autoregressive model.
    unmix : bool
        Take off what one muscle's electrodes see of another before anything else.

    References
    ----------
    Clancy EA, Farry KA (2000) Adaptive whitening of the electromyogram to improve amplitude estimation,
    10.1109/10.844217. Clancy EA, Hogan N (1994) Single site electromyograph amplitude estimation, 10.1109/10.284927.

    Examples
    --------
    >>> import numpy as np
    >>> from myodrive.recording import make_signal
    >>> noise = np.random.default_rng(0).normal(size=(8000, 1))
    >>> emg = make_signal(noise, ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=2000)
    >>> WhitenedEnvelope().fit(emg).estimate(emg)
    <Activation whitened: (time 2000, muscle 1) at 500 Hz, relative to q95, no interval>
    """

    method = "whitened"
    Config = WhitenedEnvelopeConfig
    consumes = "filtered"
    needs_raw = True
    references = (
        "Clancy EA, Farry KA (2000) Adaptive whitening of the electromyogram to improve amplitude estimation. "
        "IEEE Trans Biomed Eng 47:709-719. doi:10.1109/10.844217",
        "Clancy EA, Hogan N (1994) Single site electromyograph amplitude estimation. IEEE Trans Biomed Eng 41:159-167. "
        "doi:10.1109/10.284927",
    )
    config: WhitenedEnvelopeConfig

    def _fit(self, trials: list[xr.DataArray]) -> None:
        self.rate_ = common_rate(trials)
        if self.config.unmix:
            self.unmixing_ = fit_unmixing(trials)
        trials = [self._unmixed(trial) for trial in trials]
        self.autocovariance_, self.noise_ = fit_spectra(trials, self.config.order)
        self.gain_ = fit_gain(trials, self.autocovariance_, self.noise_)

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        check_rate(trial, self.rate_)
        trial = self._unmixed(trial)
        whitened = whiten(trial, self.autocovariance_, self.noise_) * self.gain_
        smoothed = np.full(whitened.shape, np.nan)
        for muscle, run in _runs(trial):
            smoothed[run, muscle] = smooth_run(whitened[run, muscle], self.rate_, self.config.cutoff_hz)
        return Estimate(smoothed)

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def _unmixed(self, trial: xr.DataArray) -> xr.DataArray:
        return unmix(trial, self.unmixing_) if self.config.unmix else trial

    def methods_text(self) -> str:
        unmixed = (
            "freed of crosstalk by joint diagonalisation (after Kilner et al. 2002), " if self.config.unmix else ""
        )
        return (
            f"EMG was {unmixed}whitened by autoregressive filters of order {self.config.order} that adapt to the local ratio of "
            "EMG to noise (after Clancy & Farry 2000), rectified, and smoothed by a zero-phase Butterworth low-pass "
            f"filter at {self.config.cutoff_hz:g} Hz."
        )


def common_rate(trials: list[xr.DataArray]) -> float:
    """The sampling rate that all trials share.

    Raises
    ------
    SignalError
        If they do not.
    """
    rate = sampling_rate(trials[0])
    for trial in trials:
        check_rate(trial, rate)
    return rate


def check_rate(trial: xr.DataArray, rate_hz: float) -> None:
    """Raise `SignalError` unless the trial has the rate that spectra were learned at, to 1 %."""
    found = sampling_rate(trial)
    if abs(found - rate_hz) > 0.01 * rate_hz:
        raise SignalError(
            f"the sampling rate is {found:g} Hz, but the spectra were learned at {rate_hz:g} Hz.",
            remedy="Fit on recordings of the same rate.",
        )


def fit_spectra(
    trials: list[xr.DataArray], order: int
) -> tuple[Float[np.ndarray, "muscle lag"], Float[np.ndarray, " muscle"]]:
    """Autocovariance (muscle, order + 1) of all training trials, and the density of the flat noise of each muscle.

    NaN for a muscle without variance or with no more than `order` samples in a row.
    """
    n_muscle = trials[0].sizes["muscle"]
    wanted = max(round(QUIET_WINDOW_S * sampling_rate(trials[0])), order + 1)
    stretches: list[list[np.ndarray]] = [[] for _ in range(n_muscle)]
    for trial in trials:
        for muscle, run in _runs(trial):
            stretches[muscle].append(trial.values[run, muscle])
    autocovariance, noise = np.full((n_muscle, order + 1), np.nan), np.full(n_muscle, np.nan)
    for muscle in range(n_muscle):
        length = min(wanted, max((s.size for s in stretches[muscle]), default=0))
        if length <= order:
            continue
        pieces = np.concatenate([s[: s.size // length * length].reshape(-1, length) for s in stretches[muscle]])
        power = np.mean(pieces**2, axis=1)
        if not power.any():
            continue
        quiet = pieces[(power > 0) & (power <= np.quantile(power[power > 0], QUIET_QUANTILE))]
        autocovariance[muscle] = _autocovariance(pieces, order)
        noise[muscle] = _spectrum(_autocovariance(quiet, order), np.linspace(0, 0.5, 257)).min()
    return autocovariance, noise


def fit_gain(
    trials: list[xr.DataArray], autocovariance: np.ndarray, noise: np.ndarray, *, causal: bool = False
) -> Float[np.ndarray, " muscle"]:
    """By what to multiply `whiten` so that its mean over the training trials is that of the rectified EMG."""
    rectified = np.concatenate([np.abs(trial.values) for trial in trials])
    whitened = np.concatenate([whiten(trial, autocovariance, noise, causal=causal) for trial in trials])
    both = np.isfinite(rectified) & np.isfinite(whitened)
    total = np.sum(np.where(both, whitened, 0), axis=0)
    gain = np.full(total.shape, np.nan)
    return np.divide(np.sum(np.where(both, rectified, 0), axis=0), total, out=gain, where=total > 0)


def whiten(
    trial: xr.DataArray,
    autocovariance: Float[np.ndarray, "muscle lag"],
    noise: Float[np.ndarray, " muscle"],
    *,
    causal: bool = False,
) -> Float[np.ndarray, "time muscle"]:
    """Whitened, rectified EMG (time, muscle), scaled to the rectified EMG of a Gaussian process; NaN stays NaN.

    With `causal` the filters are of minimum phase (they lag by a few samples at most) and the local strengths are
    those of the past.
    """
    rate = sampling_rate(trial)
    result = np.full(trial.shape, np.nan)
    banks = [_design(c, n, rate, causal) if np.isfinite(c).all() else None for c, n in zip(autocovariance, noise)]
    for muscle, run in _runs(trial):
        bank = banks[muscle]
        if bank is not None:
            result[run, muscle] = bank.apply(trial.values[run, muscle])
    return result


class _Bank:
    """The filters of one muscle, one for each ratio of EMG to noise, and how much of either each one passes."""

    def __init__(self, rate: float, causal: bool, emg_power: float, noise_power: float) -> None:
        self.rate, self.causal = rate, causal
        self.emg_power, self.noise_power = emg_power, noise_power  # of the unfiltered signal, for a = v = 1
        self.filters: list[np.ndarray] = []
        self.passes: list[tuple[float, float]] = []  # EMG power, noise power after the filter, for a = v = 1

    def apply(self, values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        filtered = np.array([self._filter(taps, values) for taps in self.filters])
        emg, noise = self._local_strengths(filtered[0], filtered[-1])
        place = np.interp(np.log(np.maximum(emg / noise, 1e-9)), np.log(RATIOS), np.arange(RATIOS.size))
        lower = np.minimum(place.astype(int), RATIOS.size - 2)
        passes = np.array(self.passes)
        # Scaled so that for the local strengths the power is that of the signal with no more noise than at rest.
        after = passes[:, :1] * emg + passes[:, 1:] * noise
        scaled = np.abs(filtered) * np.sqrt((emg * self.emg_power + self.noise_power) / after)
        time, weight = np.arange(values.size), place - lower
        return (1 - weight) * scaled[lower, time] + weight * scaled[lower + 1, time]

    def _filter(self, taps: np.ndarray, values: np.ndarray) -> np.ndarray:
        if self.causal:
            return sps.oaconvolve(values, taps)[: values.size]
        half = taps.size // 2
        return sps.oaconvolve(np.pad(values, half, mode="symmetric"), taps, mode="valid")

    def _local_strengths(self, narrow: np.ndarray, white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a² and v² at each sample, from the power that the first and the last filter pass; noise is never below rest."""
        power = np.array([smooth_run(p**2, self.rate, LOCAL_HZ, causal=self.causal) for p in (narrow, white)])
        passes = np.array([self.passes[0], self.passes[-1]])
        noise = np.ones(narrow.size)
        if passes[1, 1] * passes[0, 0] > SEPARABLE * passes[1, 0] * passes[0, 1]:
            noise = np.maximum(np.linalg.solve(passes, power)[1], 1.0)
        emg = np.maximum(power[0] - noise * passes[0, 1], 0.0) / passes[0, 0]
        return emg, noise


def _design(autocovariance: np.ndarray, noise: float, rate: float, causal: bool) -> _Bank:
    half = max(round(HALF_LENGTH_S * rate), 8)
    n_fft = 2 ** int(np.ceil(np.log2(8 * half)))
    frequency = np.linspace(0, 0.5, n_fft // 2 + 1)
    total = _spectrum(autocovariance, frequency)
    emg = np.maximum(total - noise, 1e-3 * total)
    bank = _Bank(rate, causal, _power(emg), noise)
    for ratio in RATIOS:
        gain = np.sqrt(emg) / (ratio * (emg + FLOOR * autocovariance[0]) + noise)
        taps = _minimum_phase(gain)[: 2 * half] if causal else _linear_phase(gain, half)
        passed = np.abs(np.fft.rfft(taps, n_fft)) ** 2
        bank.filters.append(taps)
        bank.passes.append((_power(passed * emg), _power(passed * noise)))
    return bank


def _linear_phase(gain: np.ndarray, half: int) -> Float[np.ndarray, " tap"]:
    response = np.fft.irfft(gain)
    return np.r_[response[-half:], response[: half + 1]] * np.hanning(2 * half + 3)[1:-1]


def _minimum_phase(gain: np.ndarray) -> Float[np.ndarray, " tap"]:
    """The causal response of that gain that is earliest: by folding the cepstrum (Oppenheim & Schafer)."""
    cepstrum = np.fft.irfft(np.log(gain))
    middle = cepstrum.size // 2
    cepstrum[1:middle] *= 2
    cepstrum[middle + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))


def _autocovariance(windows: Float[np.ndarray, "window time"], order: int) -> Float[np.ndarray, " lag"]:
    n = windows.shape[1]
    return np.array([np.mean(np.sum(windows[:, : n - k] * windows[:, k:], axis=1)) / n for k in range(order + 1)])


def _spectrum(autocovariance: np.ndarray, frequency: np.ndarray) -> Float[np.ndarray, " frequency"]:
    """Density of the autoregressive model with that autocovariance (Yule-Walker); frequency in cycles per sample."""
    coefficients = solve_toeplitz(autocovariance[:-1], autocovariance[1:])
    innovation = autocovariance[0] - coefficients @ autocovariance[1:]
    delays = np.exp(-2j * np.pi * np.outer(frequency, np.arange(autocovariance.size)))
    return innovation / np.abs(delays @ np.r_[1.0, -coefficients]) ** 2


def _power(density: np.ndarray) -> float:
    return float(2 * np.trapezoid(density, dx=0.5 / (density.size - 1)))


def _runs(trial: xr.DataArray) -> list[tuple[int, slice]]:
    """Muscle and gap-free stretch, one after the other."""
    time = trial.time.values
    finite = np.isfinite(trial.values)
    return [(m, run) for m in range(trial.sizes["muscle"]) for run in gap_free_runs(time, finite[:, m])]
