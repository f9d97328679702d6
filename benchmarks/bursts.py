"""How exact the burst detectors are: noise in the band of EMG, switched on and off at known times.

Run: python benchmarks/bursts.py [--json FILE]. Prints, for each signal-to-noise ratio and detector, the bursts found for
each true one, and the bias and the median error of onset and offset; mean over seeds. About 10 s on one core.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import signal as sps

from myodrive.evaluation.bursts import double_threshold_bursts, energy_operator_bursts
from myodrive.from_emg.lowpass import LowPass
from myodrive.recording import make_signal

RATE, SECONDS, SEEDS = 2000.0, 20, range(6)

DETECTORS: dict[str, Callable[[xr.DataArray], pd.DataFrame]] = {
    "double threshold, EMG smoothed at 50 Hz": lambda emg: double_threshold_bursts(emg, smooth_hz=50.0),
    "double threshold, 6 Hz activation": lambda emg: double_threshold_bursts(
        LowPass().fit(emg).estimate(emg).activation
    ),
    "energy operator, raw EMG": energy_operator_bursts,
}


def simulate(snr_db: float, seed: int) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """EMG (time, muscle) with bursts of .25 to .5 s about once a second, and their onsets and offsets in seconds."""
    random = np.random.default_rng(seed)
    time = np.arange(int(RATE * SECONDS)) / RATE
    onsets = np.arange(0.6, SECONDS - 1, 1.0)
    onsets = onsets + random.uniform(-0.1, 0.1, onsets.size)
    offsets = onsets + random.uniform(0.25, 0.5, onsets.size)
    active = ((time[:, None] >= onsets) & (time[:, None] < offsets)).any(axis=1)
    band = sps.butter(2, (30, 250), "bandpass", fs=RATE, output="sos")
    carrier, noise = (sps.sosfilt(band, random.normal(size=time.size)) for _ in range(2))
    values = active * carrier / carrier.std() + noise / noise.std() * 10 ** (-snr_db / 20)
    emg = make_signal(values[:, None], ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=RATE, stage="raw")
    return emg, onsets, offsets


def measure(detect: Callable[[xr.DataArray], pd.DataFrame], snr_db: float) -> dict[str, float]:
    """Means over seeds; times in ms."""
    rows = []
    for seed in SEEDS:
        emg, onsets, offsets = simulate(snr_db, seed)
        found = detect(emg)
        row = {"found_per_true": len(found) / len(onsets)}
        for name, true in (("onset", onsets), ("offset", offsets)):
            away = found[f"{name}_s"].to_numpy()[:, None] - true
            nearest = 1000 * away[np.abs(away).argmin(axis=0), np.arange(true.size)]
            row |= {f"{name}_bias_ms": float(np.median(nearest)), f"{name}_error_ms": float(np.median(np.abs(nearest)))}
        rows.append(row)
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    path = parser.parse_args().json
    rows = [
        {"snr_db": snr_db, "detector": name, **measure(detect, snr_db)}
        for snr_db in (30.0, 20.0, 10.0, 6.0)
        for name, detect in DETECTORS.items()
    ]
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    if path:
        path.write_text(json.dumps({"machine": platform.platform(), "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
