"""Every raw or enveloped EMG file of the real recordings, loaded plainly, for the table of the quality check."""

from __future__ import annotations

import io
import lzma
from collections.abc import Iterator
from pathlib import Path

import ezc3d
import h5py
import numpy as np
import pandas as pd
import xarray as xr

from myodrive.recording import make_signal


def load_all(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    """Set, file and EMG (time, muscle) of every recording in the folder of shared data."""
    for load in (_biomechzoo, _mhe, _physical_actions, _lifting, _rajagopal, _santuz, _knee, _mouse, _ninapro):
        yield from load(folder)


def _emg(values: np.ndarray, names: list[str], units: str, rate_hz: float, stage: str = "raw") -> xr.DataArray:
    values = np.asarray(values, dtype=np.float64)
    return make_signal(values, ("time", "muscle"), {"muscle": names}, units=units, rate_hz=rate_hz, stage=stage)


def _c3d(path: Path, wanted: str) -> xr.DataArray:
    content = ezc3d.c3d(str(path))
    analog = content["parameters"]["ANALOG"]
    labels = list(analog["LABELS"]["value"])
    keep = [i for i, label in enumerate(labels) if wanted in label]
    names = [labels[i].removeprefix("Voltage.") for i in keep]
    units = analog["UNITS"]["value"][keep[0]]
    return _emg(content["data"]["analogs"][0][keep].T, names, units, float(analog["RATE"]["value"][0]))


def _biomechzoo(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    for path in sorted((folder / "gait-biomechzoo").glob("*/*/*.c3d")):
        emg = _c3d(path, "Voltage.")
        placed = [m for m in emg.muscle.values if any(k in m for k in ("Rect", "Hams", "Gast", "Tib Ant"))]
        yield "gait-biomechzoo", path.stem, emg.sel(muscle=placed)


def _mhe(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    for path in sorted((folder / "arm-shoulder-mhe/subject_1").glob("*.npz")):
        if "estimate" not in path.stem:
            content = np.load(path)
            names = [str(n) for n in content["emg_names"]]
            yield "arm-shoulder-mhe", path.stem, _emg(content["emg"].T, names, "V", 100.0, "envelope")
    content = np.load(folder / "arm-shoulder-mhe/subject_3_biosiglive/abd_raw.npz")
    names = [str(n) for n in content["emg_names"]]
    yield "arm-shoulder-mhe", "abd_raw", _emg(content["emg_raw"].T, names, "V", float(content["emg_raw_rate_hz"]))


def _physical_actions(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    names = ["R-Bic", "R-Tri", "L-Bic", "L-Tri", "R-Thi", "R-Ham", "L-Thi", "L-Ham"]
    for path in sorted((folder / "emg-physical-actions").glob("*.npz")):
        content = np.load(path)
        for action in content.files:
            yield "emg-physical-actions", f"{path.stem}/{action}", _emg(content[action], names, "uV", 1000.0)


def _lifting(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    emg = _c3d(folder / "arm-lifting-c3d/markers_analogs.c3d", "EMG")
    yield "arm-lifting-c3d", "markers_analogs", emg


def _rajagopal(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    for kind, rate in (("walk", 2000.0), ("run", 1000.0)):
        table = pd.read_csv(folder / f"gait-rajagopal2016/{kind}/emg_raw_{kind}.csv.gz").iloc[:, 1:]
        units = "count" if kind == "walk" else "V"
        yield "gait-rajagopal2016", kind, _emg(table.to_numpy(), list(table), units, rate)


def _santuz(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    table = pd.read_csv(folder / "gait-santuz-treadmill/ID0012_TW_01_raw_emg.csv.gz").iloc[:, 1:]
    yield "gait-santuz-treadmill", "ID0012_TW_01", _emg(table.to_numpy(), list(table), "uV", 1000.0)


def _knee(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    for path in sorted((folder / "leg-uci-knee").glob("*/*.xz")):
        with lzma.open(path, "rt", errors="replace") as file:
            lines = [line.split("\t") for line in file]
        rows = [row[:4] for row in lines if len(row) >= 5 and all(c.strip() for c in row[:5])]
        values = np.array([[float(c) for c in row] for row in rows])
        yield "leg-uci-knee", path.name.split(".")[0], _emg(values, ["RF", "BF", "VM", "ST"], "mV", 1000.0)


def _mouse(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    with h5py.File(folder / "mouse-locomotion-emg/17465_data_ctl.mat") as file:
        values = np.column_stack([file[name]["values"][0] for name in ("flexor", "extensor")])
        rate = 1.0 / float(file["flexor"]["interval"][0, 0])
    yield "mouse-locomotion-emg", "17465_data_ctl", _emg(values, ["flexor", "extensor"], "mV", rate, "envelope")


def _ninapro(folder: Path) -> Iterator[tuple[str, str, xr.DataArray]]:
    for path in sorted((folder / "hand-ninapro-db1").glob("*.xz")):
        values = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))["emg"]
        names = [f"electrode {i}" for i in range(values.shape[1])]
        yield "hand-ninapro-db1", path.name.split("_")[0], _emg(values, names, "V", 100.0, "envelope")
