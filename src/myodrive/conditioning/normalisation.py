"""Normalisation as a fitted object: learned over all training trials, stored with the estimator, never per trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict

from myodrive.conditioning.emg import EmgConditioning
from myodrive.errors import SignalError
from myodrive.recording import gap_free_runs, sampling_rate


class Normalisation(BaseModel):
    """What to clip at and to divide by, for each muscle.

    `clip` and `scale` are in the unit of the EMG; a muscle without a finite sample has NaN for both. What an
    activation of 1 means is `relative_to`.
    """

    model_config = ConfigDict(frozen=True)

    muscles: tuple[str, ...]
    clip: tuple[float | None, ...]
    scale: tuple[float | None, ...]
    relative_to: str
    units: str = ""

    @classmethod
    def fit(cls, trials: Sequence[xr.DataArray], options: EmgConditioning, *, mvc: Sequence[xr.DataArray] = ()) -> Normalisation:
        """Learn from rectified trials (time, muscle), or, relative to a maximum contraction, from the trials `mvc`."""
        together = np.concatenate([t.values for t in trials])
        # One muscle of zeros, or of NaN only, has no scale: it stays NaN and is reported as not valid.
        clip, scale = [], []
        for muscle in range(together.shape[1]):
            column = together[:, muscle][np.isfinite(together[:, muscle])]
            top = float(np.quantile(column, options.clip_quantile)) if column.size else np.nan
            clipped = np.minimum(column, top)
            if options.relative_to == "q95":
                value = float(np.quantile(clipped, options.scale_quantile)) if column.size else np.nan
            else:
                if options.relative_to == "mvc" and not mvc:
                    raise SignalError(
                        "relative to a maximum contraction, but none is given.", remedy="Pass --mvc FILE."
                    )
                value = _peak(mvc if options.relative_to == "mvc" else trials, muscle, options.peak_window_s)
            usable = np.isfinite(value) and value > 0
            clip.append(top if usable else None)
            scale.append(value if usable else None)
        names = tuple(str(m) for m in trials[0].muscle.values)
        units = str(trials[0].attrs.get("units", ""))
        return cls(muscles=names, clip=tuple(clip), scale=tuple(scale), relative_to=options.relative_to, units=units)

    def apply(self, emg: xr.DataArray) -> xr.DataArray:
        """Clip (both signs) and divide; the unit becomes 1."""
        clip = np.array([np.nan if v is None else v for v in self.clip])
        scale = np.array([np.nan if v is None else v for v in self.scale])
        values = np.clip(emg.values, -clip, clip) / scale
        return emg.copy(data=values).assign_attrs(units="1", relative_to=self.relative_to)


def _peak(trials: Sequence[xr.DataArray], muscle: int, window_s: float) -> float:
    """The largest mean over a moving window in any trial."""
    best = np.nan
    for trial in trials:
        column = trial.values[:, muscle]
        for run in gap_free_runs(trial.time.values, np.isfinite(column)):
            n = min(max(1, round(window_s * sampling_rate(trial))), run.stop - run.start)
            total = np.cumsum(np.r_[0.0, column[run]])
            best = np.fmax(best, np.max(total[n:] - total[:-n]) / n)
    return float(best)
