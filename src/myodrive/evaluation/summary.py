"""What is reported of an activation in numbers: one tidy table of peaks, means, integrals, bursts and co-contraction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from myodrive.activation import Activation
from myodrive.conditioning.movements import find_cycles
from myodrive.errors import MyodriveError
from myodrive.evaluation.bursts import double_threshold_bursts, energy_operator_bursts
from myodrive.evaluation.cocontraction import cocontraction
from myodrive.evaluation.cycles import cycles_of_side
from myodrive.recording import Recording, gap_free_runs

COLUMNS = (
    "recording", "subject", "movement", "repetition", "method", "muscle", "side", "part", "measure", "value", "unit",
)  # fmt: skip
"""Of the tidy table. ``part`` is what the value is of: "trial", "cycle 1", "burst 1", …; "trial 2" of several trials."""

ENERGY_OPERATOR = "energy-operator"  # what the column ``method`` says of bursts found in the raw EMG


def summarise(
    activation: Activation, recording: Recording, cycles: Sequence[tuple[float, float, str]] | None = None
) -> pd.DataFrame:
    """Peak, mean and integral per trial and per cycle, bursts by double threshold, and co-contraction.

    Parameters
    ----------
    activation : Activation
        Only what is ``valid`` counts.
    recording : Recording
        What it was estimated from.
    cycles : sequence of (start_s, stop_s, label), optional
        By default those that `find_cycles` finds in the recording.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one value a row. The integral is over the valid samples, in seconds. Cycles are those of the
        muscle's own side; a cycle that is not valid throughout is left out. ``burst_onset`` and ``burst_offset`` are
        in seconds on the recording's clock. Co-contraction is over the whole trial, of the pairs that `antagonists` names.
    """
    valid = activation.activation.where(activation.valid)
    trials = [valid.isel(trial=i) for i in range(valid.sizes["trial"])] if "trial" in valid.dims else [valid]
    if cycles is None:
        cycles = find_cycles(recording) if len(trials) == 1 else []
    rows: list[tuple[Any, ...]] = []
    for number, trial in enumerate(trials, start=1):
        part, prefix = ("trial", "") if len(trials) == 1 else (f"trial {number}", f"trial {number}, ")
        time = trial.time.values
        for column, muscle in enumerate(trial.muscle.values):
            values, side = np.asarray(trial.values[:, column], dtype=np.float64), _side(trial, muscle)
            rows += [(str(muscle), side, part, *row) for row in _amplitudes(time, values)]
            for i, (start, stop, _) in enumerate(cycles_of_side(cycles, side), start=1):
                inside = slice(*np.searchsorted(time, (start, stop)))
                if np.isfinite(values[inside]).all():
                    whole = _amplitudes(time[inside], values[inside])
                    rows += [(str(muscle), side, f"{prefix}cycle {i}", *row) for row in whole]
        rows += list(_bursts(double_threshold_bursts(trial), trial, part))
        rows += [
            (pair, side, part, f"cocontraction_{measure}", value, unit)
            for pair, side, measure, value, unit in cocontraction(trial).dropna().itertuples(index=False)
        ]
    return _table(rows, activation.method, recording)


def summarise_bursts(recording: Recording) -> pd.DataFrame:
    """Bursts of the raw EMG by the energy operator, in the same tidy form; no rows where the EMG is not raw any more."""
    emg = recording["emg"]
    try:
        bursts = energy_operator_bursts(emg)
    except MyodriveError:  # an envelope, or sampled too slowly for the band: there is no energy to look at
        return _table([], ENERGY_OPERATOR, recording)
    return _table(list(_bursts(bursts, emg, "trial")), ENERGY_OPERATOR, recording)


def _amplitudes(
    time: Float[np.ndarray, " time"], values: Float[np.ndarray, " time"]
) -> Iterator[tuple[str, float, str]]:
    """Measure, value and unit of what is finite; nothing where nothing is."""
    runs = gap_free_runs(time, np.isfinite(values))
    if not runs:
        return
    known = np.isfinite(values)
    yield "peak", float(np.nanmax(values)), "1"
    yield "time_of_peak", float(time[np.nanargmax(values)]), "s"
    yield "mean", float(values[known].mean()), "1"
    yield "integral", sum(float(np.trapezoid(values[run], time[run])) for run in runs), "s"


def _bursts(bursts: pd.DataFrame, signal: xr.DataArray, part: str) -> Iterator[tuple[Any, ...]]:
    prefix = "" if part == "trial" else f"{part}, "
    for muscle in signal.muscle.values:
        if not bool(np.isfinite(signal.sel(muscle=muscle).values).any()):
            continue
        own = bursts[bursts["muscle"] == str(muscle)]
        side = _side(signal, muscle)
        yield str(muscle), side, part, "burst_count", float(len(own)), "1"
        for i, (onset, offset) in enumerate(zip(own["onset_s"], own["offset_s"]), start=1):
            yield str(muscle), side, f"{prefix}burst {i}", "burst_onset", float(onset), "s"
            yield str(muscle), side, f"{prefix}burst {i}", "burst_offset", float(offset), "s"


def _side(signal: xr.DataArray, muscle: Any) -> str:
    return str(signal.sel(muscle=muscle)["side"].values) if "side" in signal.coords else ""


def _table(rows: Sequence[tuple[Any, ...]], method: str, recording: Recording) -> pd.DataFrame:
    who = (recording.label, recording.subject, recording.movement, recording.repetition, method)
    table = pd.DataFrame([(*who, *row) for row in rows], columns=list(COLUMNS))
    return table.astype({"value": "float64"})
