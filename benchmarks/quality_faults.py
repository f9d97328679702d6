"""How often the quality check finds a fault that was put into a sound real channel, by severity of the fault.

    python benchmarks/quality_faults.py ../shared/data [--json FILE]

This is the check on the check: its thresholds were chosen while looking at the faults that the recordings came with, and
at none of these. Found means: a finding of the right kind in that channel (or for the recording, with unit and rate). The
last column is the share of the untouched channels in which that kind is found.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from quality_recordings import load_all

from myodrive.conditioning.quality import check_emg
from myodrive.recording import sampling_rate

SOUND = {
    "gait-santuz-treadmill": ("ID0012_TW_01",),
    "arm-lifting-c3d": ("markers_analogs",),
    "arm-shoulder-mhe": ("abd_raw",),
    "gait-rajagopal2016": ("walk", "run"),
    "gait-biomechzoo": ("HC002D06", "HC032A18", "HC050A33"),
    "leg-uci-knee": ("10Npie", "10Nsen", "3Npie", "11Asen", "7Nsen", "9Apie"),
}
Spoil = Callable[[np.ndarray, float, np.random.Generator, float], np.ndarray]


def level(x: np.ndarray) -> float:
    """RMS of the louder tenth: the EMG's own level in bursts."""
    finite = np.abs(x[np.isfinite(x)] - np.nanmedian(x))
    return float(np.sqrt(np.mean(finite[finite >= np.quantile(finite, 0.9)] ** 2)))


def clipped(x: np.ndarray, share: float, key: np.random.Generator, rate: float) -> np.ndarray:
    centre = np.nanmedian(x)
    rail = np.nanquantile(np.abs(x - centre), 1 - share)
    return centre + np.clip(x - centre, -rail, rail)


def mains(x: np.ndarray, share: float, key: np.random.Generator, rate: float) -> np.ndarray:
    power = np.nanvar(x) * share / (1 - share)
    return x + np.sqrt(2 * power) * np.sin(2 * np.pi * 50 * np.arange(x.size) / rate + key.uniform(0, 6))


def drifting(x: np.ndarray, times: float, key: np.random.Generator, rate: float) -> np.ndarray:
    return x + times * np.sqrt(2) * np.nanstd(x) * np.sin(
        2 * np.pi * 0.5 * np.arange(x.size) / rate + key.uniform(0, 6)
    )


def popped(x: np.ndarray, times: float, key: np.random.Generator, rate: float) -> np.ndarray:
    after = np.arange(x.size) / rate - key.uniform(0.3, 0.7) * x.size / rate
    return x + times * level(x) * np.where(after >= 0, np.exp(-np.maximum(after, 0) / 0.08), 0.0)


def open_input(x: np.ndarray, times: float, key: np.random.Generator, rate: float) -> np.ndarray:
    return times * np.nanstd(x) * key.normal(size=x.size)


FAULTS: list[tuple[str, str, Spoil, tuple[float, ...]]] = [
    ("saturated", "share of samples at the rail", clipped, (0.003, 0.01, 0.05, 0.2)),
    ("mains", "share of the power at 50 Hz", mains, (0.1, 0.2, 0.5, 0.9)),
    ("drift", "0.5 Hz, RMS to that of the channel", drifting, (0.3, 0.6, 1.0, 3.0)),
    ("artefact", "one pop, to the level of the bursts", popped, (3.0, 6.0, 12.0, 30.0)),
    ("unplugged|silent", "white noise, RMS to that of the channel", open_input, (0.03, 1.0)),
    ("unplugged", "white noise, RMS to that of the channel", open_input, (0.03, 1.0)),
]


def found(emg: xr.DataArray, kind: str, muscle: str) -> bool:
    return any(f.kind in kind.split("|") and f.muscle == muscle for f in check_emg(emg))


def with_unit(emg: xr.DataArray, factor: float) -> xr.DataArray:
    return (emg * factor).assign_attrs(emg.attrs)


def with_rate(emg: xr.DataArray, factor: float) -> xr.DataArray:
    return emg.assign_coords(time=emg.time.values / factor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the real recordings")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    sound = [(file, emg) for where, file, emg in load_all(options.data) if file in SOUND.get(where, ())]
    untouched = {file: check_emg(emg) for file, emg in sound}
    usable = {
        f: [m for m in map(str, e.muscle.values) if not any(g.muscle == m for g in untouched[f])] for f, e in sound
    }
    key = np.random.default_rng(0)
    rows = []
    for kind, what, spoil, severities in FAULTS:
        for severity in severities:
            hits = []
            for file, emg in sound:
                for muscle in usable[file]:
                    spoiled = emg.copy(deep=True)
                    column = spoiled.sel(muscle=muscle).values
                    spoiled.loc[{"muscle": muscle}] = spoil(column, severity, key, sampling_rate(emg))
                    hits.append(found(spoiled, kind, muscle))
            rows.append((kind, what, severity, len(hits), float(np.mean(hits)), rate_untouched(sound, untouched, kind)))
    in_volts = [(f, e) for f, e in sound if f not in ("walk", "run") and not f.startswith("HC")]  # others hold a gain
    for kind, what, change, severities, recordings in (
        ("unit", "values times", with_unit, (1e-6, 1e-3, 1e3, 1e6), in_volts),
        ("rate", "declared rate times", with_rate, (0.25, 0.5, 2.0, 4.0), sound),
    ):
        for factor in severities:
            hits = [found(change(emg, factor), kind, "") for _, emg in recordings]
            wrong = float(np.mean([any(f.kind == kind for f in untouched[file]) for file, _ in recordings]))
            rows.append((kind, what, factor, len(hits), float(np.mean(hits)), wrong))
    rows = [(kind.replace("|", " or "), *rest) for kind, *rest in rows]
    print("| kind | fault | severity | channels or recordings | found | found without the fault |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, what, severity, n, share, wrong in rows:
        print(f"| {kind} | {what} | {severity:g} | {n} | {share:.0%} | {wrong:.0%} |")
    if options.json:
        machine = {"machine": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({**machine, "rows": rows}, indent=1), encoding="utf-8")


def rate_untouched(sound: list, untouched: dict, kind: str) -> float:
    """Share of all channels of the untouched recordings in which that kind is found."""
    channels = sum(emg.sizes["muscle"] for _, emg in sound)
    return sum(f.kind in kind.split("|") and f.muscle != "" for found in untouched.values() for f in found) / channels


if __name__ == "__main__":
    main()
