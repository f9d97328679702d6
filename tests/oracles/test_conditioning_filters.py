"""The filters against SciPy run by hand, and the notch, resampling and ECG removal against what must come out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import signal as sps

from myodrive.conditioning.ecg import find_heartbeats, subtract_heartbeats
from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.options import EmgConditioning, mains_notch
from myodrive.recording import make_signal

RATE = 1000.0


def noise(seconds: float = 4.0, n: int = 2, rate: float = RATE) -> xr.DataArray:
    values = np.random.default_rng(3).normal(size=(int(seconds * rate), n))
    labels = {"muscle": [f"m{i}" for i in range(n)]}
    return make_signal(values, ("time", "muscle"), labels, units="V", rate_hz=rate)


def test_the_chain_is_scipys_butterworth_run_both_ways() -> None:
    emg = noise()
    ours = filter_emg(emg, EmgConditioning(highpass_hz=20, lowpass_hz=400)).values
    high = sps.butter(4, 20, "highpass", fs=RATE, output="sos")
    low = sps.butter(4, 400, "lowpass", fs=RATE, output="sos")
    theirs = sps.sosfiltfilt(np.concatenate([high, low]), emg.values, axis=0, padlen=50)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_notch_list_removes_the_mains_and_leaves_the_neighbours() -> None:
    emg = noise(20.0, 1)
    time = emg.time.values[:, None]
    hum = sum(np.sin(2 * np.pi * f * time) for f in (50, 150))
    options = EmgConditioning(highpass_hz=20, notch_hz=mains_notch(RATE))
    clean, cleaned = (filter_emg(e, options).values[:, 0] for e in (emg, emg + hum))
    middle = slice(3000, -3000)  # a notch of 2 Hz rings for a second at the ends
    assert np.std(cleaned[middle] - clean[middle]) < 1e-3
    frequency, density = sps.welch(clean, RATE, nperseg=1000)
    assert density[np.isin(frequency, (46, 54, 146, 154))].mean() > 0.8 * np.median(density[40:400])
    assert [f for f, _ in mains_notch(RATE, 60)] == [60, 120, 180, 240, 300, 360, 420]


def test_resampling_a_rectified_sine_keeps_its_shape_and_its_clock() -> None:
    time = np.arange(4000) / 2000.0
    slow = 1.0 + 0.5 * np.sin(2 * np.pi * 3 * time)
    emg = make_signal(
        slow[:, None], ("time", "muscle"), {"muscle": ["m"]}, units="V", rate_hz=2000.0, stage="rectified"
    )
    half = rectify_emg(emg, EmgConditioning(resample_hz=500))
    expected = 1.0 + 0.5 * np.sin(2 * np.pi * 3 * half.time.values)
    np.testing.assert_allclose(half.time.values, np.arange(1000) / 500.0, atol=1e-12)
    np.testing.assert_allclose(half.values[20:-20, 0], expected[20:-20], atol=2e-3)


def heart(seconds: float = 30.0, jitter: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """A P, QRS and T wave of 0.2 mV at 70 beats a minute, and the times of the beats."""
    key = np.random.default_rng(5)
    beats = np.cumsum(60 / 70 * (1 + jitter * key.normal(size=int(seconds * 1.1)))) + 0.3
    beats = beats[beats < seconds - 0.5]
    time = np.arange(int(seconds * RATE)) / RATE
    waves = ((1.0, 0.0, 0.012), (-0.25, 0.03, 0.012), (0.2, 0.25, 0.04), (0.1, -0.16, 0.025))
    trace = sum(a * np.exp(-0.5 * ((time - b - d) / w) ** 2) for b in beats for a, d, w in waves)
    return 200e-6 * np.asarray(trace), beats


def trunk_emg(n_time: int) -> np.ndarray:
    key = np.random.default_rng(6)
    bursts = np.clip(np.sin(2 * np.pi * 0.3 * np.arange(n_time) / RATE), 0, 1) ** 2
    band = sps.butter(2, [30, 130], "bandpass", fs=RATE, output="sos")
    carrier = sps.sosfilt(band, key.normal(size=n_time))
    return 50e-6 * bursts * carrier / carrier.std() + 3e-6 * key.normal(size=n_time)


def test_the_beats_of_a_simulated_heart_are_found_and_most_of_it_is_subtracted() -> None:
    trace, beats = heart()
    emg = trunk_emg(trace.size)
    clearest, found = find_heartbeats(np.column_stack([emg, emg[::-1] + trace]), RATE)
    assert clearest == 1
    distance = np.abs(found[:, None] / RATE - beats).min(axis=1)
    assert found.size >= 0.9 * beats.size and distance.max() < 0.02
    rest = subtract_heartbeats(emg + trace, found, RATE) - emg
    assert np.std(rest) < 0.35 * np.std(trace)


def test_ecg_removal_touches_only_the_muscles_that_are_named_and_says_what_it_did() -> None:
    trace, _ = heart()
    values = np.column_stack([trunk_emg(trace.size) + trace, trunk_emg(trace.size)[::-1] + trace])
    emg = make_signal(values, ("time", "muscle"), {"muscle": ["erector", "biceps"]}, units="V", rate_hz=RATE)
    plain = filter_emg(emg, EmgConditioning(highpass_hz=20))
    cleaned = filter_emg(emg, EmgConditioning(highpass_hz=20, ecg="template", ecg_muscles=("erector",)))
    np.testing.assert_array_equal(cleaned.sel(muscle="biceps"), plain.sel(muscle="biceps"))
    assert cleaned.sel(muscle="erector").std() < plain.sel(muscle="erector").std()
    assert "heartbeats" in cleaned.attrs["ecg"]
    higher = filter_emg(emg, EmgConditioning(highpass_hz=20, ecg="high-pass", ecg_muscles=("erector",)))
    by_hand = filter_emg(emg, EmgConditioning(highpass_hz=30))
    np.testing.assert_allclose(higher.sel(muscle="erector"), by_hand.sel(muscle="erector"), atol=1e-12)


def test_without_a_heart_nothing_is_subtracted() -> None:
    emg = noise(10.0)
    plain = filter_emg(emg, EmgConditioning())
    same = filter_emg(emg, EmgConditioning(ecg="template"))
    np.testing.assert_array_equal(plain, same)
    assert same.attrs["ecg"].startswith("no heartbeats")


@pytest.mark.parametrize("n", [1, 2, 10, 16, 17, 60])
def test_a_stretch_too_short_to_filter_is_nan_and_a_longer_one_is_filtered(n: int) -> None:
    emg = noise(1.0, 1)
    emg.values[n:500] = np.nan
    filtered = filter_emg(emg, EmgConditioning())
    period = round(RATE / 65)
    assert np.isfinite(filtered.values[:n]).all() == (n > period)
    assert np.isnan(filtered.values[:n]).all() == (n <= period)
    assert np.isfinite(filtered.values[500:]).all()
    assert rectify_emg(filtered, EmgConditioning()).sizes["time"] == 500
