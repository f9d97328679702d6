"""Refinement: for each muscle the correction that held-out data choose, so that it is never worse than the simulation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float
from pydantic import Field

from myodrive.errors import OptionError
from myodrive.estimator import Context, Estimate
from myodrive.from_simulation.corrections import (
    CorrectionConfig,
    GainLagCorrection,
    GainOffset,
    RidgeFIR,
    SimulatedAsIs,
    WarpedMean,
)
from myodrive.from_simulation.stdrnet import STDRNet
from myodrive.learning.linear import mean_curve
from myodrive.paired import Hidden, PairedConfig, PairedEstimator, Stretch, make_folds
from myodrive.recording import Recording

# From the simplest on: of two that err alike the simpler one is taken.
CANDIDATES: dict[str, type[PairedEstimator]] = {
    cls.method: cls for cls in (SimulatedAsIs, GainOffset, GainLagCorrection, WarpedMean, RidgeFIR, STDRNet)
}
AS_IS, NETWORK = SimulatedAsIs.method, STDRNet.method


class RefinementConfig(CorrectionConfig):
    """Options of `Refinement`."""

    candidates: tuple[str, ...] = tuple(CANDIDATES)  # what may be chosen; the simulation as is always may
    n_folds: int = Field(default=5, ge=2)  # on which is chosen
    interval_level: float = Field(default=0.9, gt=0, lt=1)
    network: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies it): options of STDRNet
    seed: int = 0


class Refinement(PairedEstimator):
    """Simulated activity refined muscle by muscle, never worse than it: the validated choice among corrections.

    Every candidate estimates each fold of the training data (subjects, trials, or blocks of one trial) after learning
    from the others. For each muscle those qualify that are better than the simulation as it is by a standard error over
    the folds or more, in error and in correlation; one that leaves the correlation as it was qualifies by its error
    alone. Of them the one with the least error is taken; the network only where it errs less than the best simpler one.
    `choices` tells which and why.

    A muscle that the simulation does not have, or that was never measured with it, has no such bar.
    """

    method = "refined"
    Config = RefinementConfig
    config: RefinementConfig
    references = STDRNet.references
    signals: ClassVar[tuple[str, ...]] = ("simulated",)
    error_: np.ndarray  # (candidate, muscle) mean over the folds
    correlation_: np.ndarray
    qualifies_: np.ndarray  # (candidate, muscle)
    half_width_: np.ndarray  # (candidate, muscle) of the interval: the quantile of held-out errors

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        unknown = [c for c in self.config.candidates if c not in CANDIDATES]
        if unknown:
            raise OptionError(
                f"there is no correction '{unknown[0]}'.", where="candidates", remedy=f"Found: {', '.join(CANDIDATES)}."
            )
        self._make()  # refuses options of the network that make no sense

    @property
    def choices(self) -> pd.DataFrame:
        """One row for each muscle: what was chosen, the validated error and correlation of each candidate, and why.

        Columns ``muscle``, ``chosen``, ``why``, and ``rmse CANDIDATE`` and ``r CANDIDATE`` for each.
        """
        self._check_fitted()
        names = self._names
        rows = []
        for i, (muscle, chosen) in enumerate(zip(self.muscles_, self.chosen_)):
            row = {"muscle": muscle, "chosen": chosen, "why": self._why(i)}
            row |= {f"rmse {n}": e for n, e in zip(names, self.error_[:, i])}
            rows.append(row | {f"r {n}": r for n, r in zip(names, self.correlation_[:, i])})
        return pd.DataFrame(rows)

    # -- learning ----------------------------------------------------------------------------------------------------

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        folds = make_folds(stretches, self.config.n_folds)
        self.candidates_ = [candidate._reading_as(self) for candidate in self._make()]
        held_out = []
        for candidate in self.candidates_:
            candidate._fit_stretches(stretches)
            held_out.append(candidate._held_out(stretches, folds))
        error, r = np.stack([_scores(stretches, found, folds) for found in held_out], axis=1)
        self.error_, self.correlation_ = (mean_curve(values.swapaxes(0, 1)) for values in (error, r))
        self.qualifies_ = _surely_not_below(error[0] - error) & _surely_not_below(r - r[0])
        wanted = np.concatenate([s.targets for s in stretches])
        errors = [np.abs(wanted - np.concatenate(found)) for found in held_out]
        self.half_width_ = np.array([_quantiles(e, self.config.interval_level) for e in errors])
        self.chosen_ = [self._names[self._choice(i)] for i in range(len(self.muscles_))]

    def _choice(self, muscle: int) -> int:
        error = self.error_[:, muscle]
        return int(np.argmin(np.where(self.qualifies_[:, muscle] & np.isfinite(error), error, np.inf)))

    def _why(self, muscle: int) -> str:
        names, error, r = self._names, self.error_[:, muscle], self.correlation_[:, muscle]
        chosen = names.index(self.chosen_[muscle])
        if not np.isfinite(error).any():
            return "it was never measured together with the simulation, so nothing could be validated"
        if chosen == 0:
            return "no correction was surely better in both error and correlation on held-out data"
        base = f"held-out error {error[0]:.3f} → {error[chosen]:.3f}, r {r[0]:.2f} → {r[chosen]:.2f}"
        if NETWORK not in names or names[chosen] == NETWORK:
            return base
        network = names.index(NETWORK)
        fault = "surely better than the simulation" if error[network] < error[chosen] else "better"
        return f"{base}; the network ({error[network]:.3f}, r {r[network]:.2f}) was not {fault}"

    # -- estimating --------------------------------------------------------------------------------------------------

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        mean, lower, upper = (np.full(stretch.targets.shape, np.nan) for _ in range(3))
        for k, candidate in enumerate(self.candidates_):
            muscles = [i for i, name in enumerate(self.chosen_) if name == candidate.method]
            if not muscles:
                continue
            found = candidate._estimate_stretch(stretch)
            mean[:, muscles] = found.mean[:, muscles]
            half = self.half_width_[k, muscles]
            low = found.mean[:, muscles] - half if found.lower is None else found.lower[:, muscles]
            high = found.mean[:, muscles] + half if found.upper is None else found.upper[:, muscles]
            lower[:, muscles], upper[:, muscles] = np.maximum(low, 0.0), high
        return Estimate(mean, lower, upper)

    def estimate_each(self, recording: Recording) -> dict[str, xr.DataArray]:
        """What each candidate says of a recording by itself (time, muscle), by its name."""
        self._check_fitted()
        clock, parts = self._inputs(self._with_inputs(recording))
        coords = {"time": ("time", clock, {"units": "s"}), "muscle": self.muscles_}
        found = {}
        for candidate in self.candidates_:
            values = np.full((clock.size, len(self.muscles_)), np.nan)
            for place, stretch in parts:
                values[place] = candidate._estimate_stretch(stretch).mean
            found[candidate.method] = xr.DataArray(values, dims=("time", "muscle"), coords=coords)
        return found

    def _reservations(self) -> list[str]:
        return [f"{row.muscle}: {row.chosen} ({row.why})." for row in self.choices.itertuples()]

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _names(self) -> list[str]:
        return [c.method for c in self.candidates_]

    def _make(self) -> list[PairedEstimator]:
        wanted = {AS_IS, *self.config.candidates}
        shared = {name: getattr(self.config, name) for name in PairedConfig.model_fields}
        made = []
        for name, cls in CANDIDATES.items():
            if name in wanted:
                options = dict(shared)
                if "pairs" in cls.Config.model_fields:
                    options["pairs"] = self.config.pairs
                if name == NETWORK:
                    own = {n: getattr(self.config, n) for n in ("n_folds", "interval_level", "seed")}
                    options |= {**own, **self.config.network}
                made.append(cls(**options))
        return made

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        del values["candidates_"]
        for candidate in self.candidates_:
            theirs, told = candidate._state()
            arrays |= {f"{candidate.method}/{n}": a for n, a in theirs.items()}
            values[candidate.method] = told
        return arrays, values

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        self.candidates_ = self._make()
        names = self._names
        super()._restore(
            {n: a for n, a in arrays.items() if "/" not in n}, {n: v for n, v in values.items() if n not in names}
        )
        for candidate in self.candidates_:
            start = f"{candidate.method}/"
            theirs = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
            candidate._restore(theirs, values[candidate.method])

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def methods_text(self) -> str:
        others = ", ".join(c.method for c in self._make())
        return (
            f"For each muscle the correction of simulated activity with the least error on {self.config.n_folds} held-out "
            f"folds of the training data was chosen among {others}, provided that there it was better than the simulation as "
            "it is by a standard error over the folds in error, and not surely worse in correlation."
        )


def _scores(
    stretches: list[Stretch], found: list[np.ndarray], folds: list[Hidden]
) -> Float[np.ndarray, "two fold muscle"]:
    """Root-mean-square error and correlation of each muscle in each fold; NaN where it was not measured."""
    error, r = scores = np.full((2, len(folds), stretches[0].targets.shape[1]), np.nan)
    for k, fold in enumerate(folds):
        wanted = np.concatenate([s.targets[t] for s, t in zip(stretches, fold.test)])
        estimate = np.concatenate([f[t] for f, t in zip(found, fold.test)])
        for i, (w, e) in enumerate(zip(wanted.T, estimate.T)):
            known = np.isfinite(w) & np.isfinite(e)
            if known.sum() > 2:
                error[k, i] = np.sqrt(np.mean((w[known] - e[known]) ** 2))
                varies = np.ptp(w[known]) > 0 and np.ptp(e[known]) > 0
                r[k, i] = np.corrcoef(w[known], e[known])[0, 1] if varies else 0.0
    return scores


def _surely_not_below(gain: Float[np.ndarray, "candidate fold muscle"]) -> Bool[np.ndarray, "candidate muscle"]:
    """Whether the mean gain over the folds is a standard error or more; True where there is nothing to gain over.

    The margin is that of the one-standard-error rule (Breiman et al. 1984, 10.1201/9781315139470).
    """
    known = np.isfinite(gain)
    n = known.sum(axis=1)
    mean = mean_curve(gain.swapaxes(0, 1))
    squares = np.where(known, (gain - mean[:, None]) ** 2, 0.0).sum(axis=1)
    error = np.sqrt(squares / np.maximum(n * (n - 1), 1))
    return (n == 0) | (mean >= error - 1e-12)


def _quantiles(errors: np.ndarray, level: float) -> np.ndarray:
    return np.array([np.quantile(e[np.isfinite(e)], level) if np.isfinite(e).any() else np.nan for e in errors.T])
