"""Synergies: the part of the envelopes that a few non-negative patterns across muscles explain."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from pydantic import Field

from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Context, Estimate
from myodrive.from_emg.channels import ChannelConfig, ChannelEstimator
from myodrive.from_emg.lowpass import smooth
from myodrive.recording import gap_free_runs, sampling_rate

BIN_S = 0.02  # the factors are fitted on envelopes of this step: 50 Hz holds all that a low-pass below 20 Hz lets pass
MAX_BINS = 3000  # one minute; of longer data every n-th bin is taken
MAX_FOLDS = 8
BLOCK_S = 1.0  # held-out entries are blocks of one muscle, longer than an envelope remembers
CUTOFFS_HZ = (2.0, 3.0, 4.0, 6.0, 9.0, 13.0)  # tried where none is given
START_CUTOFF_HZ = 6.0  # at which the rank is chosen
# Added to the normal equations of C, as a fraction of their diagonal: where an entry is missing, a synergy that lives in
# that muscle alone would otherwise be told from noise. Without it the rank came out one too low on simulated recordings.
RIDGE = 0.02
ROUNDS, SWEEPS = 100, 3  # at most, of alternating between the two factors, and within one of them
TOLERANCE = 1e-3  # relative gain of a round below which it has converged


class SynergiesConfig(ChannelConfig):
    """Options of `Synergies`."""

    whiten: bool = True
    unmix: bool = True
    rank: int | None = Field(default=None, ge=1)  # number of synergies; chosen by held-out entries unless given
    cutoff_hz: float | None = Field(default=None, gt=0)  # of the low-pass before; chosen likewise unless given


class Synergies(ChannelEstimator):
    """Non-negative matrix factorisation of the low-passed envelopes of all muscles; the estimate is its reconstruction.

    ``X ≈ C · Wᵀ`` with ``X`` (time, muscle) the zero-phase low-passed EMG, ``W`` (muscle, synergy) ≥ 0 learned over all
    training trials and ``C`` (time, synergy) ≥ 0 by least squares at each instant; missing entries take no part. Rank
    and cut-off are those whose reconstruction of held-out entries, blocks of 1 s of one muscle told from the others
    alone, has the least squared error: against the low-passed entries for the rank, and against the entries before the
    low-pass for the cut-off. It has no interval.

    Parameters
    ----------
    rank : int, optional
    cutoff_hz : float, optional
    whiten, unmix : bool
        Whiten raw EMG, and free it of crosstalk, before it is rectified; published synergies are of EMG as it comes.

    Attributes
    ----------
    synergies_ : array (muscle, synergy)
        Each scaled to a largest entry of 1; NaN for a muscle without data.
    rank_ : int
    cutoff_hz_ : float
    held_out_ : dict
        The mean squared error of held-out entries for each rank and cut-off tried.

    References
    ----------
    Lee DD, Seung HS (1999) Learning the parts of objects by non-negative matrix factorization, 10.1038/44565.
    Tresch MC, Cheung VCK, d'Avella A (2006) Matrix factorization algorithms for the identification of muscle synergies,
    10.1152/jn.00222.2005. Cichocki A, Phan AH (2009), for the coordinate updates, 10.1587/transfun.E92.A.708.

    Examples
    --------
    >>> import numpy as np
    >>> from myodrive.recording import make_signal
    >>> drive = 1 + np.sin(np.linspace(0, 30, 4000))[:, None] * [1, 1, -1, -1]
    >>> emg = np.random.default_rng(0).normal(size=(4000, 4)) * drive
    >>> emg = make_signal(emg, ("time", "muscle"), {"muscle": ["TA", "EDL", "SOL", "MG"]}, units="V", rate_hz=1000)
    >>> Synergies().fit(emg).rank_
    2
    """

    method = "synergies"
    Config = SynergiesConfig
    consumes = "rectified"
    references = (
        "Tresch MC, Cheung VCK, d'Avella A (2006) Matrix factorization algorithms for the identification of muscle "
        "synergies. J Neurophysiol 95:2199-2212. doi:10.1152/jn.00222.2005",
        "Lee DD, Seung HS (1999) Learning the parts of objects by non-negative matrix factorization. Nature "
        "401:788-791. doi:10.1038/44565",
    )
    config: SynergiesConfig

    def _fit(self, trials: list[xr.DataArray]) -> None:
        measured = _binned(trials, [trial.values for trial in trials])
        known = np.isfinite(measured).any(axis=0)
        if known.sum() < 2:
            raise SignalError(
                f"synergies need at least two muscles with data; there are {known.sum()}.", remedy="Use low-pass."
            )
        most = int(known.sum()) - 1
        if self.config.rank is not None and self.config.rank > most + 1:
            raise OptionError(f"rank is {self.config.rank}, but only {most + 1} muscles have data.", where="rank")
        thin = slice(None, None, -(-len(measured) // MAX_BINS))
        folds = _folds(len(measured), int(known.sum()))[:, thin]
        measured = measured[thin, known]

        def envelopes(cutoff_hz: float) -> np.ndarray:
            return _binned(trials, [smooth(trial, cutoff_hz) for trial in trials])[thin, known]

        self.held_out_: dict[str, dict[str, float]] = {}
        start = self.config.cutoff_hz or START_CUTOFF_HZ
        self.rank_ = self.config.rank or 1
        if self.config.rank is None:
            x = envelopes(start)
            errors: dict[int, float] = {}
            for rank in range(1, most + 1):
                errors[rank] = _held_out_error(x, x, rank, folds)
                if rank - min(errors, key=errors.__getitem__) == 2:  # two in a row that gain nothing
                    break
            self.rank_ = min(errors, key=errors.__getitem__)
            self.held_out_["rank"] = {str(rank): error for rank, error in errors.items()}
        self.cutoff_hz_ = start
        if self.config.cutoff_hz is None:
            possible = [c for c in CUTOFFS_HZ if c < sampling_rate(trials[0]) / 2]
            tried = {c: _held_out_error(envelopes(c), measured, min(self.rank_, most), folds) for c in possible}
            self.cutoff_hz_ = min(tried, key=tried.__getitem__)
            self.held_out_["cutoff_hz"] = {f"{c:g}": error for c, error in tried.items()}
        _, found = factorise(envelopes(self.cutoff_hz_), self.rank_)
        self.synergies_ = np.full((known.size, self.rank_), np.nan)
        self.synergies_[known] = found / np.maximum(found.max(axis=0), np.finfo(float).tiny)

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        x = smooth(self._rectified(trial), self.cutoff_hz_)
        known = np.isfinite(self.synergies_).all(axis=1)
        reconstructed = np.full(x.shape, np.nan)
        patterns = self.synergies_[known]
        amounts = nonnegative_least_squares(x[:, known], patterns, np.zeros((len(x), self.rank_)), sweeps=ROUNDS)
        reconstructed[:, known] = amounts @ patterns.T
        return Estimate(np.where(np.isfinite(x), reconstructed, np.nan))

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def methods_text(self) -> str:
        chosen = {
            name: "chosen by held-out entries" if getattr(self.config, name) is None else "given"
            for name in ("rank", "cutoff_hz")
        }
        return (
            f"{self._words_for_channels()}Rectified EMG was low-passed (zero-phase Butterworth, "
            f"{self.cutoff_hz_:g} Hz, {chosen['cutoff_hz']}) and "
            f"reconstructed from {self.rank_} muscle {'synergy' if self.rank_ == 1 else 'synergies'} (number "
            f"{chosen['rank']}) by non-negative matrix factorisation over all training trials (Tresch et al. 2006)."
        )


def factorise(
    x: Float[np.ndarray, "time muscle"], rank: int
) -> tuple[Float[np.ndarray, "time synergy"], Float[np.ndarray, "muscle synergy"]]:
    """C (time, synergy) and W (muscle, synergy), both ≥ 0, that minimise Σ (X − C Wᵀ)² over the finite entries.

    Hierarchical alternating least squares from a start that the singular vectors give, so the same data give the same
    factors.
    """
    finite = np.isfinite(x)
    means = np.sum(np.where(finite, x, 0.0), axis=0) / np.maximum(finite.sum(axis=0), 1)
    filled = np.where(finite, x, means)
    c, w = _start(filled, rank)
    error = np.inf
    for _ in range(ROUNDS):
        c = nonnegative_least_squares(x, w, c, ridge=RIDGE)
        w = nonnegative_least_squares(x.T, c, w)
        last, error = error, float(np.sum(np.where(finite, x - c @ w.T, 0.0) ** 2))
        if error >= (1 - TOLERANCE) * last:  # false in the first round, when `last` is infinite
            break
    return c, w


def nonnegative_least_squares(
    x: Float[np.ndarray, "row column"],
    basis: Float[np.ndarray, "column synergy"],
    start: Float[np.ndarray, "row synergy"],
    sweeps: int = SWEEPS,
    ridge: float = 0.0,
) -> Float[np.ndarray, "row synergy"]:
    """For each row the amounts ≥ 0 that minimise Σ (x − basis · amounts)² over its finite entries.

    Coordinate descent on the normal equations of all rows together. A row without any entry is 0. With `ridge` that
    fraction of the mean of |basis|² is a penalty on amounts².
    """
    n_synergy = basis.shape[1]
    finite = np.isfinite(x)
    pairs = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    gram = np.ascontiguousarray((finite @ pairs).T).reshape(n_synergy, n_synergy, len(x))
    gram += (ridge * np.mean(np.sum(basis**2, axis=0)) * np.eye(n_synergy))[:, :, None]
    target = np.ascontiguousarray((np.where(finite, x, 0.0) @ basis).T)
    amounts = np.ascontiguousarray(start.T)
    known = np.diagonal(gram).T > 0
    step = np.divide(1.0, np.diagonal(gram).T, out=np.zeros_like(target), where=known)
    for _ in range(sweeps):
        for k in range(n_synergy):
            change = (target[k] - np.einsum("jr,jr->r", gram[k], amounts)) * step[k]
            amounts[k] = np.where(known[k], np.maximum(amounts[k] + change, 0.0), 0.0)
    return amounts.T


def _start(x: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The larger of the positive and the negative part of each pair of singular vectors (Boutsidis & Gallopoulos 2008)."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    c, w = np.empty((len(x), rank)), np.empty((x.shape[1], rank))
    for k in range(rank):
        signs = [(np.maximum(d * u[:, k], 0), np.maximum(d * vt[k], 0)) for d in (1, -1)]
        best = max(signs, key=lambda pair: np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]))
        c[:, k], w[:, k] = (s[k] ** 0.5 * part for part in best)
    # A coordinate of exactly 0 may never leave it.
    return c + 0.01 * x.mean(), w + 0.01


def _held_out_error(
    x: np.ndarray, measured: np.ndarray, rank: int, folds: Bool[np.ndarray, "fold time muscle"]
) -> float:
    """Mean squared error, over all entries, of what the factors say of an entry that they were not given."""
    total, count = 0.0, 0
    for hidden in folds:
        c, w = factorise(np.where(hidden, np.nan, x), rank)
        tested = hidden & np.isfinite(x) & np.isfinite(measured)
        total += float(np.sum((measured - c @ w.T)[tested] ** 2))
        count += int(tested.sum())
    return total / max(count, 1)


def _folds(n_bins: int, n_muscle: int) -> Bool[np.ndarray, "fold time muscle"]:
    """Every entry is hidden in one fold; at any time an eighth of the muscles is, or one."""
    n_folds = min(MAX_FOLDS, n_muscle)
    length = np.clip(n_bins // n_folds, 1, round(BLOCK_S / BIN_S))  # shorter where even one of each would not fit
    block = np.arange(n_bins) // length
    return np.array([(block[:, None] + np.arange(n_muscle)) % n_folds == fold for fold in range(n_folds)])


def _binned(trials: list[xr.DataArray], values: list[np.ndarray]) -> Float[np.ndarray, "time muscle"]:
    """Means over bins of `BIN_S`, within each stretch of each trial; NaN where a sample is missing."""
    rows = []
    for trial, array in zip(trials, values):
        size = max(1, round(BIN_S * sampling_rate(trial)))
        for run in gap_free_runs(trial.time.values, np.ones(len(array), dtype=bool)):
            whole = (run.stop - run.start) // size * size
            rows.append(array[run][:whole].reshape(-1, size, array.shape[1]).mean(axis=1))
    return np.concatenate(rows)
