"""The quality check finds each simulated fault, and only that one, and never touches the signal itself."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as sps

from myodrive.conditioning.quality import Finding, check_emg, mask_emg
from myodrive.recording import make_signal

RATE = 2000.0


def simulated(seconds: float = 6.0, n: int = 3, *, stage: str = "raw", units: str = "V", seed: int = 0) -> xr.DataArray:
    """Bursts of band-limited noise, 100 µV, with the noise of an electrode, 3 µV, as a model of sound EMG."""
    key = np.random.default_rng(seed)
    n_time = int(seconds * RATE)
    time = np.arange(n_time) / RATE
    tissue = sps.butter(2, [30, 130], "bandpass", fs=RATE, output="sos")
    noise = sps.sosfilt(tissue, key.normal(size=(n_time, n)), axis=0)
    noise /= noise.std()
    bursts = np.clip(np.sin(2 * np.pi * (0.7 * time[:, None] + np.arange(n) / n)), 0, None) ** 2
    skin = sps.lfilter([1.0], [1.0, -0.55], key.normal(size=(n_time, n)), axis=0)
    values = 100e-6 * bursts * noise + 3e-6 * skin / skin.std()
    labels = {"muscle": [f"m{i}" for i in range(n)]}
    return make_signal(values, ("time", "muscle"), labels, units=units, rate_hz=RATE, stage=stage)


def spoiled(fault: str) -> xr.DataArray:
    """The same with one fault in channel m1."""
    emg = simulated()
    x, time = emg.values, emg.time.values
    key = np.random.default_rng(1)
    if fault == "unplugged":
        x[:, 1] = 100e-6 * key.normal(size=time.size)
    elif fault == "silent":
        skin = sps.lfilter([1.0], [1.0, -0.55], key.normal(size=time.size))
        x[:, 1] = 3e-6 * skin
    elif fault == "saturated":
        x[:, 1] = np.clip(x[:, 1], -60e-6, 60e-6)
    elif fault == "mains":
        x[:, 1] += 40e-6 * np.sin(2 * np.pi * 60 * time)
    elif fault == "drift":
        x[:, 1] += 300e-6 * np.sin(2 * np.pi * 0.3 * time)
    elif fault == "unfiltered":
        slow = sps.sosfilt(sps.butter(2, [5, 15], "bandpass", fs=RATE, output="sos"), key.normal(size=time.size))
        x[:, 1] += 60e-6 * slow / slow.std()
    elif fault == "artefact":
        x[:, 1] += 5e-3 * np.exp(-(time - 3.0) / 0.05) * (time >= 3.0)
    elif fault == "duplicate":
        x[:, 1] = -0.4 * x[:, 0]
    elif fault == "constant":
        x[:, 1] = 1e-3
    elif fault == "empty":
        x[:, 1] = np.nan
    elif fault == "missing":
        x[2000:2100, 1] = np.nan
    elif fault == "stage":
        x[:, 1] = np.abs(x[:, 1])
    return emg


def kinds(emg: xr.DataArray) -> set[tuple[str, str]]:
    return {(f.muscle, f.kind) for f in check_emg(emg)}


@pytest.mark.parametrize(
    "fault",
    [
        "unplugged",
        "silent",
        "saturated",
        "mains",
        "drift",
        "unfiltered",
        "artefact",
        "duplicate",
        "constant",
        "empty",
        "missing",
        "stage",
    ],
)
def test_each_simulated_fault_is_found_in_its_channel_and_nowhere_else(fault: str) -> None:
    found = kinds(spoiled(fault))
    assert ("m1", fault) in found
    assert {muscle for muscle, _ in found} == {"m1"}


@pytest.mark.parametrize("seed", range(4))
def test_sound_emg_has_no_finding(seed: int) -> None:
    assert check_emg(simulated(seed=seed)) == ()


def test_an_empty_tuple_of_findings_changes_nothing_and_a_mask_hides_only_its_stretch() -> None:
    emg = simulated()
    assert mask_emg(emg, ()).identical(emg)
    found = (Finding("m1", "artefact", True, "", 1.0, 2.0), Finding("m0", "drift", False, ""))
    hidden = np.isnan(mask_emg(emg, found).values)
    assert hidden[:, [0, 2]].sum() == 0
    assert hidden[:, 1].sum() == pytest.approx(RATE, abs=1)


@given(
    n_time=st.integers(1, 900),
    rate=st.sampled_from([20.0, 110.0, 500.0, 1000.0, 2000.0]),
    kind=st.sampled_from(["noise", "steps", "whole numbers", "huge"]),
    stage=st.sampled_from(["raw", "filtered", "rectified", "envelope"]),
    missing=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_no_input_makes_it_fail_and_what_is_kept_is_kept_as_it_was(
    n_time: int, rate: float, kind: str, stage: str, missing: float, seed: int
) -> None:
    key = np.random.default_rng(seed)
    values = key.normal(size=(n_time, 3))
    values = {"noise": values, "steps": np.sign(values), "whole numbers": np.round(values), "huge": values * 1e30}[kind]
    values[key.uniform(size=n_time) < missing, 0] = np.nan
    values[: n_time // 3, 1] = np.inf
    labels = {"muscle": ["a", "b", "c"]}
    emg = make_signal(values, ("time", "muscle"), labels, units="count", rate_hz=rate, stage=stage)
    masked = mask_emg(emg, check_emg(emg))
    kept = np.isfinite(masked.values)
    np.testing.assert_array_equal(masked.values[kept], emg.values[kept])


@given(exponent=st.integers(-12, 12), order=st.permutations(range(3)))
@settings(max_examples=10, deadline=None)
def test_gain_and_order_change_nothing_where_the_unit_says_nothing(exponent: int, order: list[int]) -> None:
    emg = spoiled("artefact").assign_attrs(units="count")
    changed = (emg * 2.0**exponent).assign_attrs(emg.attrs).isel(muscle=order)
    assert kinds(changed) == kinds(emg)


@pytest.mark.parametrize("change, kind", [("values", "unit"), ("rate", "rate")])
def test_a_wrong_unit_or_rate_is_told_of_the_recording(change: str, kind: str) -> None:
    emg = simulated()
    changed = {"values": (emg * 1e3).assign_attrs(emg.attrs), "rate": emg.assign_coords(time=emg.time.values / 3)}
    wrong = changed[change]
    assert ("", kind) in kinds(wrong)


def test_a_jolt_in_one_envelope_is_masked_and_one_that_every_muscle_shares_is_not() -> None:
    key = np.random.default_rng(2)
    envelope = 0.05 + 0.01 * key.uniform(size=(1000, 3))
    envelope[400:430, 1] += 2.0
    labels = {"muscle": ["a", "b", "c"]}
    emg = make_signal(envelope, ("time", "muscle"), labels, units="1", rate_hz=100.0, stage="envelope")
    assert {(f.muscle, f.kind, f.masked) for f in check_emg(emg)} == {("b", "artefact", True)}
    emg.values[400:430, :] += 2.0
    assert check_emg(emg) == ()


def test_an_envelope_with_negative_samples_and_a_silent_one_are_told() -> None:
    envelope = simulated().copy()
    envelope.values[:] = np.abs(envelope.values)
    envelope.attrs["stage"] = "envelope"
    envelope.values[:, 0] *= 0.01
    envelope.values[:, 1] *= np.sign(np.random.default_rng(0).normal(size=envelope.sizes["time"]))
    assert {("m0", "silent"), ("m1", "stage")} == kinds(envelope)


def test_gaps_that_all_channels_share_are_told_once_for_the_recording() -> None:
    emg = simulated()
    emg.values[2000:2100] = np.nan
    assert kinds(emg) == {("", "missing")}


def test_a_clock_in_milliseconds_is_told_and_nothing_else_is_judged_by_it() -> None:
    emg = simulated()
    assert {kind for _, kind in kinds(emg.assign_coords(time=1000 * emg.time.values))} == {"rate"}
