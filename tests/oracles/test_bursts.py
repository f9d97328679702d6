"""Bursts against recordings whose onsets are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import signal as sps

from myodrive.errors import MyodriveError
from myodrive.evaluation.bursts import double_threshold_bursts, energy_operator_bursts, teager_kaiser
from myodrive.recording import make_signal

RATE = 2000.0
ONSETS = np.arange(0.6, 9.0, 1.0)
OFFSETS = ONSETS + 0.35


def emg_with_bursts(snr_db: float, seed: int = 0, stage: str = "raw") -> xr.DataArray:
    """Ten seconds of noise in the band of EMG, loud between `ONSETS` and `OFFSETS`."""
    random = np.random.default_rng(seed)
    time = np.arange(10 * RATE) / RATE
    active = ((time[:, None] >= ONSETS) & (time[:, None] < OFFSETS)).any(axis=1)
    band = sps.butter(2, (30, 250), "bandpass", fs=RATE, output="sos")
    carrier, noise = (sps.sosfilt(band, random.normal(size=time.size)) for _ in range(2))
    values = active * carrier / carrier.std() + noise / noise.std() * 10 ** (-snr_db / 20)
    return make_signal(
        1e-4 * values[:, None], ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=RATE, stage=stage
    )


@pytest.mark.parametrize("snr_db", [20.0, 10.0])
@pytest.mark.parametrize("detect", [lambda e: double_threshold_bursts(e, smooth_hz=50.0), energy_operator_bursts])
def test_both_detectors_find_every_burst_to_ten_milliseconds(detect: Any, snr_db: float) -> None:
    bursts = detect(emg_with_bursts(snr_db))
    errors_s = np.abs(bursts["onset_s"].to_numpy()[:, None] - ONSETS).min(axis=0)
    assert len(bursts) == len(ONSETS)
    assert np.median(errors_s) < 0.010
    assert np.median(np.abs(bursts["offset_s"].to_numpy() - OFFSETS)) < 0.010


def test_the_bursts_do_not_depend_on_the_gain() -> None:
    emg = emg_with_bursts(20.0)
    louder = emg.copy(data=1000 * emg.values)
    assert energy_operator_bursts(emg).equals(energy_operator_bursts(louder))
    assert double_threshold_bursts(emg, smooth_hz=50.0).equals(double_threshold_bursts(louder, smooth_hz=50.0))


def test_short_pauses_are_closed_and_short_bursts_are_dropped() -> None:
    values = np.zeros((1000, 1))
    values[100:200] = values[220:300] = values[600:620] = values[800:900] = 1.0
    envelope = make_signal(values, ("time", "muscle"), {"muscle": ["soleus"]}, units="1", rate_hz=1000)
    bursts = double_threshold_bursts(envelope, minimum_s=0.03, gap_s=0.025, baseline_s=0.05)
    assert bursts[["onset_s", "offset_s"]].to_numpy() == pytest.approx(np.array([[0.1, 0.3], [0.8, 0.9]]))


def test_a_burst_never_crosses_a_gap() -> None:
    values = np.zeros((1000, 1))
    values[400:600] = 1.0
    values[495:500] = np.nan
    envelope = make_signal(values, ("time", "muscle"), {"muscle": ["soleus"]}, units="1", rate_hz=1000)
    bursts = double_threshold_bursts(envelope)
    assert bursts[["onset_s", "offset_s"]].to_numpy() == pytest.approx(np.array([[0.4, 0.495], [0.5, 0.6]]))


def test_silence_and_missing_data_have_no_bursts() -> None:
    for values in (np.zeros((500, 1)), np.full((500, 1), np.nan)):
        envelope = make_signal(values, ("time", "muscle"), {"muscle": ["soleus"]}, units="1", rate_hz=100)
        assert double_threshold_bursts(envelope).empty


def test_the_energy_of_a_sinusoid_is_constant() -> None:
    energy = teager_kaiser(3.0 * np.sin(0.3 * np.arange(200.0) + 0.1))
    assert energy == pytest.approx(9.0 * np.sin(0.3) ** 2)


def test_the_energy_operator_refuses_an_envelope() -> None:
    with pytest.raises(MyodriveError, match="raw EMG"):
        energy_operator_bursts(emg_with_bursts(20.0, stage="envelope"))
