"""Scores of activations in tidy tables: against a truth, by what they decode, and by how they repeat.

Every table has one value a row and the columns `COLUMNS`. References are rows like any method: "event mean" (the mean
of the other cycles, the same in every cycle), "training mean", and `PLAIN`, the rectified EMG low-passed at 10 Hz.
What could not be scored is a row without a value whose ``note`` says why. docs/scores.md defines every metric.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from myodrive.activation import Activation
from myodrive.conditioning.kinematics import resample_to, uniform_clock
from myodrive.conditioning.movements import find_cycles, rectified_envelope, time_normalise
from myodrive.errors import SignalError
from myodrive.evaluation import metrics
from myodrive.evaluation.decoding import decode
from myodrive.evaluation.references import Cycles, event_mean, odd_even_r, one_label, residual, single_trial_r2
from myodrive.recording import Recording, sampling_rate

COLUMNS = ("task", "method", "muscle", "metric", "value", "note")
PLAIN = "rectified, 10 Hz"
EVENT_MEAN, TRAINING_MEAN = "event mean", "training mean"
SCORE_HZ, DECODE_HZ = 100.0, 50.0  # movement has nothing above 25 Hz
MAX_LAG_S = 0.1
DECODED = ("angles", "forces", "moments")  # the first of these that a recording has is decoded
N_TARGETS = 6  # of its channels: those that vary most
LEAST_VALID = 0.8  # share of a muscle's samples; with fewer it is no feature
NOT_A_FORCE = r"moment|torque|cop|\bM[xyz]|\bP[xyz]"

Row = tuple[str, str, str, str, float, str]


def score(
    estimate: Activation,
    truth: xr.DataArray | Activation,
    *,
    calibrate: bool = False,
    cycles: Cycles = (),
    rate_hz: float = SCORE_HZ,
) -> pd.DataFrame:
    """Every metric of one estimate against the truth, for each muscle that both have.

    Both are put on one clock of `rate_hz` over the time that they share; nothing is shifted. Invalid samples do not
    count.

    Parameters
    ----------
    estimate : Activation
    truth : DataArray or Activation
        (time, muscle), or (trial, time, muscle) with as many trials.
    calibrate : bool
        Fit a rising curve for each muscle on the first half and score the second half. Without it, R² and the errors
        hold only if both are relative to the same thing; r and the lag hold always.
    cycles : sequence of (start_s, stop_s, label)
        For the single-trial residual R²: of what is left after each one's mean over the other cycles.

    Raises
    ------
    SignalError
        If they share no muscle or no time.

    Examples
    --------
    >>> from myodrive.recording import make_signal
    >>> wave = np.sin(np.arange(0, 20, 0.01))[:, None] + 1
    >>> truth = make_signal(wave, ("time", "muscle"), {"muscle": ["soleus"]}, units="1", rate_hz=100)
    >>> table = score(Activation(truth, method="itself", relative_to="unit"), truth)
    >>> float(table.set_index("metric").value["r2"])
    1.0
    """
    pair = _Pair(estimate, truth, rate_hz)
    level = pair.calibrate() if calibrate else None
    found = _against_truth(pair.values, pair.truth, level, pair.rate_hz)
    if cycles and pair.time is not None:
        left = [residual(v, event_mean(v, pair.time, cycles)) for v in (pair.values, pair.truth)]
        found["residual_r2"] = metrics.r2(left[0], left[1], 0.0)
    rows = _rows("truth", estimate.method, pair.muscles, found)
    if estimate.has_interval:
        own = {
            "coverage": metrics.coverage(pair.lower, pair.upper, pair.truth),
            "interval_width": metrics.interval_width(pair.lower, pair.upper),
        }
        rows += _rows("truth", estimate.method, pair.muscles, own, f"nominal {estimate.interval_level:.0%}")
    return _table(rows)


def compare(
    estimates: Mapping[str, Activation], truth: xr.DataArray | Activation | None = None, *, calibrate: bool = False
) -> pd.DataFrame:
    """Several estimates of the same EMG side by side: against the truth, or, without one, against each other.

    Without a truth the task is "agreement" and the method "first against second", with r and the lag at which the
    first comes after the second.

    Raises
    ------
    SignalError
        If two of them share no muscle or no time.
    """
    if truth is not None:
        parts = [score(e, truth, calibrate=calibrate).assign(method=name) for name, e in estimates.items()]
        return pd.concat(parts, ignore_index=True) if parts else _table([])
    rows: list[Row] = []
    for first, second in combinations(estimates, 2):
        pair = _Pair(estimates[first], estimates[second], SCORE_HZ)
        found = {
            "r": metrics.pearson_r(pair.values, pair.truth),
            "lag_s": metrics.lag_s(pair.values, pair.truth, pair.rate_hz, MAX_LAG_S),
        }
        rows += _rows("agreement", f"{first} against {second}", pair.muscles, found)
    return _table(rows)


def score_recording(
    recording: Recording, estimates: Mapping[str, Activation], cycles: Cycles | None = None
) -> pd.DataFrame:
    """Score estimates by all that a recording offers, beside the references.

    With a signal ``activation``: against it ("truth", calibrated on the first half, scored on the second). With
    ``angles``, ``forces`` or ``moments``: by what they decode. With cycles: by how they repeat. With nothing but EMG:
    by how well the other muscles predict each one's plain envelope. Never raises for want of data: a row says what
    could not be scored.

    Parameters
    ----------
    recording : Recording
    estimates : dict of str to Activation
        By method.
    cycles : sequence of (start_s, stop_s, label), optional
        By default those that `find_cycles` finds.
    """
    if not estimates:
        return _table([])
    cycles = one_label(find_cycles(recording) if cycles is None else cycles)
    rivals = dict(estimates)
    plain = _plain(recording, next(iter(estimates.values())).muscles)
    if plain is not None:
        rivals[PLAIN] = plain
    target = next((name for name in DECODED if name in recording), None)
    tables = []
    if "activation" in recording:
        tables.append(_or_reason("truth", lambda: _score_truth(recording["activation"], rivals, cycles)))
    if target is not None:
        task = f"decoding {target}"
        tables.append(_or_reason(task, lambda: _score_decoding(task, recording[target], rivals, cycles)))
    if cycles:
        tables.append(_or_reason("repetition", lambda: _score_cycles(rivals, cycles)))
    if "activation" not in recording and target is None:
        tables.append(_or_reason("held-out muscle", lambda: _score_held_out(plain, rivals, cycles)))
    return pd.concat(tables, ignore_index=True) if tables else _table([])


class _Pair:
    """An estimate and a truth on one clock, as arrays (time, muscle); trials lie behind each other, apart by NaN."""

    def __init__(self, estimate: Activation, truth: xr.DataArray | Activation, rate_hz: float) -> None:
        true = truth.activation.where(truth.valid) if isinstance(truth, Activation) else truth
        known = [str(m) for m in true.muscle.values]
        self.muscles = [m for m in estimate.muscles if m in known]
        if not self.muscles:
            raise SignalError(f"estimate and truth share no muscle: {', '.join(estimate.muscles)}; {', '.join(known)}.")
        data = estimate.dataset.sel(muscle=self.muscles)
        whole = [data[name].where(data["valid"]) for name in ("activation", "lower", "upper")]
        whole.append(true.sel(muscle=self.muscles))
        n_trials = data.sizes.get("trial", 1)
        if n_trials != true.sizes.get("trial", 1):
            raise SignalError(f"the estimate has {n_trials} trials, the truth {true.sizes.get('trial', 1)}.")
        self.rate_hz = min([rate_hz, *(sampling_rate(s) for s in (whole[0], whole[-1]))])
        first = max(float(whole[0].time[0]), float(whole[-1].time[0]))
        last = min(float(whole[0].time[-1]), float(whole[-1].time[-1]))
        if not last > first:
            raise SignalError("estimate and truth share no time.")
        clock = uniform_clock(first, last, self.rate_hz)
        self.time = clock if "trial" not in data.dims else None
        self.values, self.lower, self.upper, self.truth = (_on_clock(s, clock, self.rate_hz) for s in whole)

    def calibrate(self) -> np.ndarray:
        """Fit the rising curves on the first half and keep the second; gives the mean of the first half's truth."""
        half = len(self.truth) // 2
        curve = metrics.MonotoneCalibration.fit(self.values[:half], self.truth[:half])
        level = _column_means(self.truth[:half])
        self.values = curve.apply(self.values[half:])
        self.lower, self.upper = (curve.apply_to_bound(bound[half:]) for bound in (self.lower, self.upper))
        self.truth = self.truth[half:]
        self.time = None if self.time is None else self.time[half:]
        return level


def _against_truth(values: np.ndarray, truth: np.ndarray, level: np.ndarray | None, rate_hz: float) -> dict:
    return {
        "r2": metrics.r2(values, truth, level),
        "r": metrics.pearson_r(values, truth),
        "nrmse": metrics.nrmse(values, truth),
        "mae": metrics.mae(values, truth),
        "peak_error": metrics.peak_error(values, truth),
        "lag_s": metrics.lag_s(values, truth, rate_hz, MAX_LAG_S),
    }


def _score_truth(truth: xr.DataArray, rivals: Mapping[str, Activation], cycles: Cycles) -> pd.DataFrame:
    parts = [score(e, truth, calibrate=True, cycles=cycles).assign(method=name) for name, e in rivals.items()]
    muscles = list(dict.fromkeys(parts[0]["muscle"]))
    rows: list[Row] = [("truth", TRAINING_MEAN, m, "r2", 0.0, "by definition") for m in muscles]
    if cycles:
        pair = _Pair(Activation(truth, method="truth", relative_to="unit"), truth.sel(muscle=muscles), SCORE_HZ)
        assert pair.time is not None
        half = len(pair.truth) // 2
        typical = event_mean(pair.truth, pair.time, cycles, np.arange(len(pair.truth)) < half)
        found = _against_truth(typical[half:], pair.truth[half:], _column_means(pair.truth[:half]), pair.rate_hz)
        rows += _rows("truth", EVENT_MEAN, pair.muscles, found, "of the cycles in the first half")
    return pd.concat([*parts, _table(rows)], ignore_index=True)


def _score_decoding(task: str, target: xr.DataArray, rivals: Mapping[str, Activation], cycles: Cycles) -> pd.DataFrame:
    chosen = decodable_channels(target)
    names = [str(n) for n in chosen[chosen.dims[1]].values]
    features = _Features(rivals, float(target.time[0]), float(target.time[-1]))
    values = features.complete(resample_to(chosen, features.time).values)
    rows: list[Row] = [(task, TRAINING_MEAN, n, "r2", 0.0, "by definition") for n in names]
    for number, (method, x) in enumerate(features.values.items()):
        found = decode(x, values, features.time, cycles=cycles)
        rows += _rows(task, method, names, {"r2": found.r2, "r": found.r})
        rows += _rows(task, method, names, {"lag_s": np.median(found.lag_s, axis=0)}, "median over the folds")
        if cycles:
            rows += _rows(task, method, names, {"residual_r2": found.residual_r2})
            rows += _rows(task, EVENT_MEAN, names, {"r2": found.event_mean_r2}) if number == 0 else []
    return _table(rows)


def _score_cycles(rivals: Mapping[str, Activation], cycles: Cycles) -> pd.DataFrame:
    if len(cycles) < 4:
        raise SignalError(f"{len(cycles)} repetitions are too few to compare odd with even ones; 4 are needed.")
    rows: list[Row] = []
    for method, estimate in rivals.items():
        matrix = time_normalise(_valid(estimate), cycles).values
        found = {"odd_even_r": odd_even_r(matrix), "event_mean_r2": single_trial_r2(matrix)}
        rows += _rows("repetition", method, estimate.muscles, found)
    return _table(rows)


def _score_held_out(plain: Activation | None, rivals: Mapping[str, Activation], cycles: Cycles) -> pd.DataFrame:
    if plain is None:
        raise SignalError("the EMG is too slow, or too short, for a 10 Hz envelope to predict.")
    envelope = plain.activation
    features = _Features(rivals, float(envelope.time[0]), float(envelope.time[-1]))
    if len(features.muscles) < 2:
        raise SignalError("with one usable muscle there is none to predict it from.")
    target = features.complete(resample_to(envelope.sel(muscle=features.muscles), features.time).values)
    copies = _copies(target)
    rows: list[Row] = [("held-out muscle", TRAINING_MEAN, m, "r2", 0.0, "by definition") for m in features.muscles]
    for number, (method, x) in enumerate(features.values.items()):
        for i, muscle in enumerate(features.muscles):
            found = decode(x[:, ~copies[i]], target[:, [i]], features.time, cycles=cycles, lags_s=(0.0,), gap_s=1.0)
            own = {"r2": found.r2, "residual_r2": found.residual_r2} if cycles else {"r2": found.r2}
            rows += _rows("held-out muscle", method, [muscle], own, "a method that joins muscles has seen this one")
            if cycles and number == 0:
                rows += _rows("held-out muscle", EVENT_MEAN, [muscle], {"r2": found.event_mean_r2})
    return _table(rows)


class _Features:
    """Several estimates on one clock, with the muscles that all of them have; their times without a value are shared."""

    def __init__(self, rivals: Mapping[str, Activation], first_s: float, last_s: float) -> None:
        valid = {name: _valid(e) for name, e in rivals.items()}
        first = max([first_s, *(float(v.time[0]) for v in valid.values())])
        last = min([last_s, *(float(v.time[-1]) for v in valid.values())])
        if not last > first:
            raise SignalError("the estimates and what they are to predict share no time.")
        self.time = uniform_clock(first, last, DECODE_HZ)
        placed = {name: resample_to(v, self.time) for name, v in valid.items()}
        self.muscles = [
            m
            for m in next(iter(rivals.values())).muscles
            if all(m in p.muscle and np.isfinite(p.sel(muscle=m)).mean() >= LEAST_VALID for p in placed.values())
        ]
        if not self.muscles:
            raise SignalError("no muscle is valid long enough in every estimate.")
        self.values = {name: p.sel(muscle=self.muscles).values for name, p in placed.items()}

    def complete(self, target: np.ndarray) -> np.ndarray:
        """The target with NaN wherever any estimate lacks a muscle, so that all are scored on the same samples."""
        there = np.all([np.isfinite(v).all(axis=1) for v in self.values.values()], axis=0)
        return np.where(there[:, None], target, np.nan)


def _plain(recording: Recording, muscles: Sequence[str]) -> Activation | None:
    """The reference that needs no estimator: rectified EMG, low-passed at 10 Hz; None where the EMG is too slow for it."""
    try:
        emg = recording["emg"].sel(muscle=[m for m in muscles if m in recording["emg"].muscle])
        return Activation(rectified_envelope(emg, 10.0), method=PLAIN, relative_to="unit")
    except ValueError:
        return None


def decodable_channels(signal: xr.DataArray) -> xr.DataArray:
    """The channels that vary most, as (time, channel), among those with values most of the time."""
    if len(signal.dims) != 2:
        raise SignalError(f"only a signal (time, channel) is decoded, not {tuple(signal.dims)}.")
    signal = signal.transpose("time", ...)
    labels = [str(n) for n in signal[signal.dims[1]].values]
    values = signal.values.astype(np.float64)
    spread = [np.std(c[np.isfinite(c)]) if np.isfinite(c).mean() >= LEAST_VALID else 0.0 for c in values.T]
    fit = [s if not re.search(NOT_A_FORCE, n, re.IGNORECASE) else 0.0 for s, n in zip(spread, labels)]
    ranked = fit if max(fit, default=0.0) > 0 else spread
    chosen = sorted(i for i in np.argsort(ranked)[::-1][:N_TARGETS] if ranked[i] > 0)
    if not chosen:
        raise SignalError("no channel varies and has values most of the time.")
    return signal[:, chosen]


def _valid(estimate: Activation) -> xr.DataArray:
    return estimate.activation.where(estimate.valid)


def _on_clock(signal: xr.DataArray, clock: np.ndarray, rate_hz: float) -> np.ndarray:
    """(time, muscle); trials behind each other with NaN in between, so that no lag reaches from one into the next."""
    if "trial" not in signal.dims:
        return resample_to(signal, clock).values
    between = np.full((round(MAX_LAG_S * rate_hz) + 1, signal.sizes["muscle"]), np.nan)
    trials = [resample_to(signal.isel(trial=i), clock).values for i in range(signal.sizes["trial"])]
    return np.concatenate([part for trial in trials for part in (trial, between)])


def _copies(envelopes: np.ndarray) -> np.ndarray:
    """Which columns (column, column) are the same to one part in a thousand, each with itself: one electrode twice."""
    complete = envelopes[np.isfinite(envelopes).all(axis=1)]
    centred = complete - complete.mean(axis=0) if len(complete) else complete
    length = np.sqrt((centred**2).sum(axis=0))
    alike = centred.T @ centred >= 0.999 * np.outer(length, length)
    return alike | np.eye(len(alike), dtype=bool)


def _column_means(values: np.ndarray) -> np.ndarray:
    return np.array([c[np.isfinite(c)].mean() if np.isfinite(c).any() else np.nan for c in values.T])


def _or_reason(task: str, work: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table, or one row that says why there is none."""
    try:
        return work()
    except ValueError as error:  # of which every refusal of this package is one
        return _table([(task, "", "", "", float("nan"), str(error))])


def _rows(task: str, method: str, muscles: Sequence[str], found: Mapping[str, np.ndarray], note: str = "") -> list[Row]:
    return [
        (task, method, m, metric, float(v), note) for metric, values in found.items() for m, v in zip(muscles, values)
    ]


def _table(rows: Iterable[Row]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype({"value": "float64"})
