"""The quality check on real channels whose state is known from their README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from myodrive.conditioning.quality import check_emg
from myodrive.recording import make_signal

ezc3d = pytest.importorskip("ezc3d")


def biomechzoo(folder: Path, file: str) -> xr.DataArray:
    content = ezc3d.c3d(str(folder / "gait-biomechzoo" / file))
    labels = content["parameters"]["ANALOG"]["LABELS"]["value"]
    muscles = ("Rect", "Hams", "Gast", "Tib Ant")
    names = [f"Voltage.{side} {m}" for side in "LR" for m in muscles]
    values = content["data"]["analogs"][0][[labels.index(n) for n in names]].T
    short = [n.removeprefix("Voltage.") for n in names]
    return make_signal(values, ("time", "muscle"), {"muscle": short}, units="V", rate_hz=1000.0, stage="raw")


def masked(emg: xr.DataArray) -> set[str]:
    return {f.muscle for f in check_emg(emg) if f.masked and np.isnan(f.start_s)}


LEFT, RIGHT = ({f"{s} {m}" for m in ("Rect", "Hams", "Gast", "Tib Ant")} for s in "LR")


@pytest.mark.parametrize(
    "file, dead",
    [
        ("HC002D/Straight/HC002D06.c3d", LEFT),
        ("HC031A/Straight/HC031A06.c3d", LEFT),
        ("HC032A/Turn/HC032A18.c3d", RIGHT),
        ("HC036A/Straight/HC036A10.c3d", RIGHT),
        ("HC040A/Straight/HC040A14.c3d", LEFT | RIGHT),
        ("HC050A/Straight/HC050A11.c3d", LEFT | {"R Hams"}),
        ("HC055A/Turn/HC055A34.c3d", LEFT | RIGHT),
    ],
)
def test_the_sides_without_electrodes_are_masked_and_no_other(shared_data: Path, file: str, dead: set[str]) -> None:
    assert masked(biomechzoo(shared_data, file)) == dead


def test_the_drifting_baseline_and_the_unit_with_a_gain_are_reported(shared_data: Path) -> None:
    kinds = {(f.muscle, f.kind) for f in check_emg(biomechzoo(shared_data, "HC030A/Static/HC030A01.c3d"))}
    assert ("R Rect", "drift") in kinds and ("", "unit") in kinds


def test_the_jolts_of_the_shoulder_recordings_are_masked_and_nothing_else(shared_data: Path) -> None:
    folder = shared_data / "arm-shoulder-mhe"
    for file, key, rate, stage, jolted in (
        ("subject_1/abd.npz", "emg", 100.0, "envelope", "trapezius_medial"),
        ("subject_1/mvt_random.npz", "emg", 100.0, "envelope", "trapezius_medial"),
        ("subject_3_biosiglive/abd_raw.npz", "emg_raw", 2000.0, "raw", "deltoid_posterior"),
    ):
        content = np.load(folder / file)
        labels = {"muscle": [str(n) for n in content["emg_names"]]}
        emg = make_signal(content[key].T, ("time", "muscle"), labels, units="V", rate_hz=rate, stage=stage)
        found = [f for f in check_emg(emg) if f.masked]
        assert {f.muscle for f in found} == {jolted} and all(np.isfinite(f.start_s) for f in found)


def test_clipping_legs_are_masked_arms_are_kept_and_unfiltered_channels_are_named(shared_data: Path) -> None:
    muscles = ["R-Bic", "R-Tri", "L-Bic", "L-Tri", "R-Thi", "R-Ham", "L-Thi", "L-Ham"]
    found = {}
    for file in ("sub01", "sub02"):
        values = np.load(shared_data / f"emg-physical-actions/{file}.npz")["normal_running"].astype(float)
        emg = make_signal(values, ("time", "muscle"), {"muscle": muscles}, units="uV", rate_hz=1000.0, stage="raw")
        found[file] = check_emg(emg)
    whole = {f.muscle for f in found["sub01"] if f.masked and f.kind == "saturated"}
    assert whole == {"R-Thi", "R-Ham", "L-Thi", "L-Ham"}
    assert sum(f.kind == "unfiltered" for f in found["sub02"]) >= 6
    assert not any(f.kind == "unfiltered" and f.muscle.endswith(("Bic", "Tri")) for f in found["sub01"])


def test_a_clean_treadmill_recording_has_no_finding(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "gait-santuz-treadmill/ID0012_TW_01_raw_emg.csv.gz").iloc[:, 1:]
    emg = make_signal(
        table.to_numpy(), ("time", "muscle"), {"muscle": list(table)}, units="uV", rate_hz=1000.0, stage="raw"
    )
    assert check_emg(emg) == ()
