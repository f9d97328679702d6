"""The static figures of a recording: spectra, average cycles, scores beside their references, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from markupsafe import Markup
from scipy import signal as sps

from myodrive.activation import Activation
from myodrive.conditioning.movements import movement_speed, segment_movements
from myodrive.errors import MyodriveError
from myodrive.evaluation.cycles import average_cycles, cycles_of_side
from myodrive.recording import Recording, gap_free_runs, sampling_rate
from myodrive.reporting.svg import Dot, Line, dot_chart, line_chart
from myodrive.reporting.words import METRICS, number, plural

LOWEST_HZ, FLOOR_DB = 0.5, -50.0
N_SHOWN = 1000  # points of a curve over time


def spectra(emg: xr.DataArray, estimates: Mapping[str, Activation], styles: Mapping[str, str]) -> list[Markup]:
    """For each muscle, the spectra of the EMG and of every estimate, each in decibels below its own peak."""
    charts = []
    top = 10.0 ** np.ceil(np.log10(sampling_rate(emg) / 2))
    for muscle in emg.muscle.values:
        hz, power = spectrum(emg.sel(muscle=muscle))
        if not hz.size:
            continue
        lines = [Line(*_decibels(hz, power), "raw")]
        note = f"median {number(_median_frequency(hz, power), 2)} Hz"
        for method, activation in estimates.items():
            if muscle in activation.muscles and activation.activation.dims == ("time", "muscle"):
                own = spectrum(activation.activation.where(activation.valid).sel(muscle=muscle))
                lines.append(Line(*_decibels(*own), styles[method]))
        charts.append(
            line_chart(
                str(muscle), lines, note=note, x_label="Hz", y_label="dB",
                x_range=(LOWEST_HZ, min(top, 1000.0)), y_range=(FLOOR_DB, 3.0), log_x=True,
            )
        )  # fmt: skip
    return charts


def spectrum(signal: xr.DataArray) -> tuple[Float[np.ndarray, " hz"], Float[np.ndarray, " hz"]]:
    """Welch's spectrum of (time,) over gap-free stretches, each weighted by its length; empty without one of 0.1 s."""
    rate = sampling_rate(signal)
    values = np.asarray(signal.values, dtype=np.float64)
    runs = [r for r in gap_free_runs(signal.time.values, np.isfinite(values)) if r.stop - r.start >= 0.1 * rate]
    if not runs:
        return np.empty(0), np.empty(0)
    longest = max(r.stop - r.start for r in runs)
    n = min(int(2 * rate), longest)
    total, weight, hz = np.zeros(n // 2 + 1), 0, np.fft.rfftfreq(n, 1 / rate)
    for run in runs:
        if run.stop - run.start >= n:
            _, power = sps.welch(values[run], rate, nperseg=n, detrend="constant")
            total += power * (run.stop - run.start)
            weight += run.stop - run.start
    return hz[1:], total[1:] / weight


def cycle_averages(
    estimates: Mapping[str, Activation], cycles: Sequence[tuple[float, float, str]], styles: Mapping[str, str]
) -> list[Markup]:
    """For each muscle, the mean cycle of every estimate with one standard deviation."""
    averaged: dict[str, list[tuple[str, xr.Dataset]]] = {}
    order: list[str] = max((a.muscles for a in estimates.values()), key=len, default=[])
    for method, activation in estimates.items():
        if activation.activation.dims != ("time", "muscle"):
            continue
        valid = activation.activation.where(activation.valid)
        sides = valid["side"].values if "side" in valid.coords else [""] * valid.sizes["muscle"]
        for muscle, side in zip(activation.muscles, sides):
            average = average_cycles(valid.sel(muscle=[muscle]), cycles_of_side(cycles, str(side))).isel(muscle=0)
            if int(average["n"]) > 0:
                averaged.setdefault(muscle, []).append((method, average))
    charts = []
    for muscle, curves in sorted(averaged.items(), key=lambda item: order.index(item[0])):
        spread = [(a["mean"] + a["sd"].fillna(0.0)).values for _, a in curves]
        top = float(np.nanmax(np.concatenate(spread))) or 1.0
        lines = []
        for method, average in curves:
            mean, sd = average["mean"].values, average["sd"].values
            band = (mean - sd, mean + sd) if np.isfinite(sd).all() else (None, None)
            lines.append(Line(average["phase"].values, mean, styles[method], *band))
        charts.append(
            line_chart(
                muscle, lines, note=plural(int(curves[0][1]["n"]), "cycle"), x_label="% of cycle", y_label="activation",
                x_range=(0.0, 100.0), y_range=(0.0, 1.05 * top),
            )
        )  # fmt: skip
    return charts


def movement_elements(recording: Recording) -> list[Markup]:
    """How fast the movement is over time, its elements shaded; nothing where no movement was recorded."""
    try:
        speed, elements = movement_speed(recording), segment_movements(recording)
    except MyodriveError:
        return []
    shown = speed[:: max(1, speed.size // N_SHOWN)]
    if not np.isfinite(shown.values).any():
        return []
    ends = float(speed.time[0]), float(speed.time[-1])
    top = float(np.nanmax(shown.values)) or 1.0
    line = Line(shown.time.values, shown.values, "raw")
    return [
        line_chart(
            "Speed of the movement", [line], note=plural(len(elements), "element"), x_label="s",
            y_label=str(speed.attrs["units"]), x_range=ends, y_range=(0.0, 1.05 * top),
            spans=[(e.start_s, e.stop_s) for e in elements],
        )
    ]  # fmt: skip


def learning_curves(curves: Mapping[str, Sequence[float]], title: str, style: str) -> Markup:
    """Loss over epochs: ``training`` and ``validation``, whichever there are."""
    values = {name: np.asarray(loss, dtype=np.float64) for name, loss in curves.items()}
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    low, high = (float(np.min(finite)), float(np.quantile(finite, 0.98))) if finite.size else (0.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    longest = max(v.size for v in values.values())
    lines = [Line(np.arange(1.0, v.size + 1), v, "raw" if name == "training" else style) for name, v in values.items()]
    return line_chart(
        title, lines, x_label="epoch", y_label="loss",
        x_range=(1.0, max(longest, 2.0)), y_range=(low - margin, high + margin),
    )  # fmt: skip


def score_charts(scores: pd.DataFrame, styles: Mapping[str, str]) -> list[Markup]:
    """For each task and metric, every method beside the references: median over muscles, and their range."""
    charts = []
    for (task, metric), group in scores[scores["metric"] != ""].groupby(["task", "metric"], sort=False):
        dots = [
            _dot(str(method), own["value"].to_numpy(), styles) for method, own in group.groupby("method", sort=False)
        ]
        ends = np.array([(d.low, d.high) for d in dots]).ravel()
        ends = ends[np.isfinite(ends)]
        if ends.size:
            # A hopeless R² of −40 would leave no room to tell the others apart.
            low, high = min(max(float(ends.min()), -1.0), 0.0), max(float(ends.max()), 0.0)
            charts.append(
                dot_chart(f"{task}: {METRICS.get(str(metric), str(metric))}", dots, (low, high if high > low else 1.0))
            )
    return charts


def _dot(method: str, values: np.ndarray, styles: Mapping[str, str]) -> Dot:
    values = values[np.isfinite(values)]
    low, middle, high = np.quantile(values, [0.0, 0.5, 1.0]) if values.size else (np.nan,) * 3
    return Dot(
        method, float(middle), float(low), float(high), styles.get(method, "reference"), number(float(middle), 2)
    )


def _decibels(hz: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decibels below the peak on a logarithmic grid of frequencies, averaged within each of its cells."""
    kept = (hz >= LOWEST_HZ) & (hz <= 1000.0)
    hz, power = hz[kept], power[kept]
    if not hz.size:
        return hz, power
    cell = np.floor(np.log10(hz) * 24).astype(int)
    cell -= cell[0]
    n = np.bincount(cell)
    with_any = n > 0
    x = (np.bincount(cell, hz)[with_any]) / n[with_any]
    y = (np.bincount(cell, power)[with_any]) / n[with_any]
    top = float(y.max())
    decibels = 10 * np.log10(np.maximum(y / top, 1e-12)) if top > 0 else np.full_like(y, np.nan)
    return x, np.where(decibels >= FLOOR_DB, decibels, np.nan)


def _median_frequency(hz: np.ndarray, power: np.ndarray) -> float:
    total = np.cumsum(power)
    return float(np.interp(0.5 * total[-1], total, hz)) if total[-1] > 0 else float("nan")
