"""Normalisation as a fitted object: learned over all training trials, stored with the estimator, never per trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict

from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import OptionError, SignalError
from myodrive.recording import gap_free_runs, sampling_rate


class Normalisation(BaseModel):
    """What to clip at and to divide by, for each muscle.

    `clip` and `scale` are in the unit of the EMG; a muscle without a finite sample has NaN for both. What an
    activation of 1 means is `relative_to`; `notes` are what a reader must know of the scales.
    """

    model_config = ConfigDict(frozen=True)

    muscles: tuple[str, ...]
    clip: tuple[float | None, ...]
    scale: tuple[float | None, ...]
    relative_to: str
    units: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, trials: Sequence[xr.DataArray], options: EmgConditioning, *, mvc: Sequence[xr.DataArray] = ()
    ) -> Normalisation:
        """Learn from rectified trials (time, muscle), or, relative to a maximum contraction, from the trials `mvc`.

        The scale relative to a maximum contraction is the largest mean rectified EMG over a window of `peak_window_s`
        that a muscle reaches in any of the `mvc` trials; muscles are found in them by label, and a trial need not have
        them all. "task_maximum" is the same over the trials themselves. The window shrinks to the longest stretch
        without a gap where none is as long.

        Raises
        ------
        OptionError
            If maximum contractions are asked for and not given, or given and not asked for.
        SignalError
            If a muscle is in no maximum contraction, or their unit or stage differs from that of the trials.
        """
        _check_mvc(trials, options, mvc)
        together = np.concatenate([t.values for t in trials])
        clip: list[float | None] = []
        scale: list[float | None] = []
        notes = []
        for i, muscle in enumerate(map(str, trials[0].muscle.values)):
            column = together[:, i][np.isfinite(together[:, i])]
            top = float(np.quantile(column, options.clip_quantile)) if column.size else np.nan
            if options.relative_to == "q95":
                clipped = np.minimum(column, top)
                value = float(np.quantile(clipped, options.scale_quantile)) if column.size else np.nan
            else:
                value = _peak(mvc or trials, muscle, options.peak_window_s)
            # One muscle of zeros, or of NaN only, has no scale: it stays NaN and is reported as not valid.
            usable = np.isfinite([top, value]).all() and value > 0
            clip.append(top if usable else None)
            scale.append(value if usable else None)
            own = _peak(trials, muscle, options.peak_window_s) if mvc else 0.0
            if usable and own > value:
                notes.append(
                    f"The task reaches {own / value:.2f} of the maximum contraction of {muscle}; it was no maximum."
                )
        names = tuple(str(m) for m in trials[0].muscle.values)
        return cls(
            muscles=names,
            clip=tuple(clip),
            scale=tuple(scale),
            relative_to=options.relative_to,
            units=str(trials[0].attrs.get("units", "")),
            notes=tuple(notes),
        )

    def apply(self, emg: xr.DataArray) -> xr.DataArray:
        """Clip (both signs) and divide; the unit becomes 1."""
        clip = np.array([np.nan if v is None else v for v in self.clip])
        scale = np.array([np.nan if v is None else v for v in self.scale])
        values = np.clip(emg.values, -clip, clip) / scale
        return emg.copy(data=values).assign_attrs(units="1", relative_to=self.relative_to)


def _check_mvc(trials: Sequence[xr.DataArray], options: EmgConditioning, mvc: Sequence[xr.DataArray]) -> None:
    if bool(mvc) != (options.relative_to == "mvc"):
        raise OptionError(
            "relative to a maximum contraction, but none is given."
            if not mvc
            else f"maximum contractions are given, but amplitude is relative to {options.relative_to}.",
            remedy="Pass both: --mvc FILE (fit(…, mvc=…)) and --relative-to mvc (relative_to='mvc').",
        )
    for name in ("units", "stage"):
        wanted = trials[0].attrs.get(name, "")
        found = {t.attrs.get(name, "") for t in mvc} - {wanted}
        if found:
            flag = {"units": "--units", "stage": "--already"}[name]
            raise SignalError(
                f"the {name} of the maximum contraction is {found.pop()!r}, and of the trials {wanted!r}.",
                remedy=f"They must be the same; where a file does not say it, {flag} does.",
            )
    missing = [m for m in map(str, trials[0].muscle.values) if not any(m in t.muscle.values for t in mvc)]
    if mvc and missing:
        found_muscles = sorted({str(m) for t in mvc for m in t.muscle.values})
        raise SignalError(
            f"no maximum contraction has the muscles {', '.join(missing)}. Found: {', '.join(found_muscles)}.",
            remedy="Add the file that has them with --mvc, or leave these muscles out with --emg.",
        )


def _peak(trials: Sequence[xr.DataArray], muscle: str, window_s: float) -> float:
    """The largest mean over a moving window in any trial; NaN without a finite sample."""
    stretches = []
    for trial in trials:
        if muscle in trial.muscle.values:
            column = trial.sel(muscle=muscle).values
            runs = gap_free_runs(trial.time.values, np.isfinite(column))
            stretches += [(column[run], sampling_rate(trial)) for run in runs]
    longest = max((s.size / rate for s, rate in stretches), default=np.nan)
    best = np.nan
    for stretch, rate in stretches:
        n = max(1, round(min(window_s, longest) * rate))
        if n <= stretch.size:
            total = np.cumsum(np.r_[0.0, stretch])
            best = np.fmax(best, np.max(total[n:] - total[:-n]) / n)
    return float(best)
