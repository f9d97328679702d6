"""A known offset and drift is recovered within the error that the alignment states, and nothing moves silently."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as sps

from myodrive.clocks import align, align_by_shared_signal, align_by_trigger, pulse_times
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Alignment, Recording, make_signal


def channel(values: np.ndarray, rate_hz: float) -> xr.DataArray:
    return make_signal(values, ("time",), {}, units="V", rate_hz=rate_hz)


@given(st.integers(0, 10_000), st.floats(-20, 20), st.floats(-5e-4, 5e-4))
@settings(max_examples=25, deadline=None)
def test_irregular_pulses_give_offset_and_drift_though_some_are_missing_and_some_invented(
    seed: int, offset: float, drift: float
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.cumsum(rng.uniform(0.5, 4.0, 60))
    device = (reference - offset) / (1 + drift) + 0.001 * rng.normal(size=60)
    device = np.r_[device[rng.random(60) > 0.15], rng.uniform(device[0], device[-1], 5)]
    reference = reference[rng.random(60) > 0.15]
    found = align_by_trigger(device, reference)
    ends = np.array([device.min(), device.max()])
    moved = found.offset_s + (1 + found.drift) * ends
    assert np.abs(moved - offset - (1 + drift) * ends).max() < 5 * found.error_s
    assert 0.0004 < found.error_s < 0.002
    assert found.n_points >= 25


def test_evenly_spaced_pulses_are_refused_until_the_offset_is_roughly_stated() -> None:
    reference = np.arange(1.0, 30.0)
    device = reference[3:] - 0.2
    with pytest.raises(SignalError, match="fit as well"):
        align_by_trigger(device, reference)
    assert align_by_trigger(device, reference, near_s=0.1).offset_s == pytest.approx(0.2)


def test_one_pulse_gives_an_offset_without_drift_or_error_and_none_is_refused() -> None:
    found = align_by_trigger(np.array([2.0]), np.array([5.5]))
    assert (found.offset_s, found.drift, found.n_points) == (pytest.approx(3.5), 0.0, 1)
    assert np.isnan(found.error_s)
    with pytest.raises(SignalError, match="no pulse"):
        align_by_trigger(np.empty(0), np.array([1.0]))


def test_rising_edges_are_found_between_samples() -> None:
    t = np.arange(0, 4, 0.001)
    ramp = np.clip((t % 1.0 - 0.3004) / 0.004, 0, 1) * (t % 1.0 < 0.5)
    np.testing.assert_allclose(pulse_times(channel(5 * ramp, 1000.0)), [0.3024, 1.3024, 2.3024, 3.3024], atol=1e-6)
    with pytest.raises(SignalError, match="never rises"):
        pulse_times(channel(np.zeros(10), 1000.0))


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-3e-4, 3e-4))
@settings(max_examples=10, deadline=None)
def test_a_shared_signal_gives_offset_and_drift_within_the_stated_error(seed: int, offset: float, drift: float) -> None:
    rng = np.random.default_rng(seed)
    fine = np.arange(-10, 80, 0.001)
    truth = sps.sosfiltfilt(sps.butter(4, 20.0, fs=1000, output="sos"), rng.normal(size=fine.size))
    truth /= truth.std()
    own = np.arange(0, 60, 1 / 500)
    device = 3.0 * np.interp(offset + (1 + drift) * own, fine, truth) + 1.0
    clock = np.arange(0, 65, 1 / 200)
    reference = np.interp(clock, fine, truth) + 0.3 * rng.normal(size=clock.size)
    reference[3000:3300] = np.nan
    found = align_by_shared_signal(channel(device, 500.0), channel(reference, 200.0), window_s=4.0)
    ends = np.array([0.0, 60.0])
    moved = found.offset_s + (1 + found.drift) * ends
    assert found.n_points >= 10
    assert np.abs(moved - offset - (1 + drift) * ends).max() < 5 * found.error_s
    assert found.error_s < 2e-3


def test_signals_that_share_nothing_are_not_aligned() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SignalError, match="not recognised"):
        align_by_shared_signal(channel(rng.normal(size=5000), 100.0), channel(rng.normal(size=5000), 100.0))


def test_aligning_moves_the_clock_alone_and_keeps_the_alignment() -> None:
    recording = Recording({"emg": channel(np.arange(5.0), 10.0), "force": channel(np.arange(5.0), 10.0)})
    given_ = Alignment("stated", offset_s=0.5, drift=1e-3)
    moved = align(recording, "emg", given_)
    np.testing.assert_allclose(moved["emg"].time.values, 0.5 + 1.001 * recording["emg"].time.values)
    np.testing.assert_array_equal(moved["emg"].values, recording["emg"].values)
    np.testing.assert_array_equal(moved["force"].time.values, recording["force"].time.values)
    assert moved.alignments == {"emg": given_} and recording.alignments == {}
    with pytest.raises(OptionError, match="aligned before"):
        align(moved, "emg", given_)
    with pytest.raises(OptionError, match="moves no clock"):
        align(recording, "emg", Alignment("stated", offset_s=float("nan")))


def test_the_trigger_of_a_long_recording_gives_its_drift() -> None:
    rng = np.random.default_rng(1)
    reference = np.cumsum(rng.uniform(0.5, 4.0, 600))
    found = align_by_trigger((reference - 7.0) / 1.0001, reference)
    assert found.drift == pytest.approx(1e-4, rel=1e-6)
