"""Derivatives, clocks and repetitions: nothing crosses a gap, nothing moves unasked, what repeats is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.conditioning.kinematics import condition_motion, differentiate, low_pass, resample_to
from myodrive.conditioning.movements import (
    cycles_from_events,
    cycles_from_periodicity,
    find_cycles,
    movements_from_speed,
    segment_movements,
    time_normalise,
)
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, make_events, make_signal
from myodrive.reporting.figures import movement_elements


def signal(values: np.ndarray, rate_hz: float = 100.0) -> xr.DataArray:
    columns = values[:, None] if values.ndim == 1 else values
    names = [f"j{i}" for i in range(columns.shape[1])]
    return make_signal(columns, ("time", "joint"), {"joint": names}, units="deg", rate_hz=rate_hz)


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(3, 30))
@settings(max_examples=15, deadline=None)
def test_derivatives_of_a_cubic_are_exact(coefficients: list[float], cutoff_hz: float) -> None:
    t = np.arange(0, 1, 0.01)
    cubic = np.polynomial.Polynomial(coefficients)
    for order in (0, 1, 2):
        exact = cubic.deriv(order)(t) if order else cubic(t)
        np.testing.assert_allclose(differentiate(signal(cubic(t)), order, cutoff_hz).values[:, 0], exact, atol=1e-6)


def test_the_smoothing_passes_half_the_power_at_the_stated_cut_off_and_no_delay() -> None:
    t = np.arange(0, 20, 0.001)
    for hz, share in ((0.5, 1.0), (6.0, np.sqrt(0.5))):
        wave = np.sin(2 * np.pi * hz * t)
        smoothed = differentiate(signal(wave, 1000.0), 0, 6.0).values[2000:-2000, 0]
        assert smoothed @ wave[2000:-2000] / 8000 == pytest.approx(share, abs=0.01)


@given(st.integers(30, 120), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_what_lies_beyond_a_gap_changes_nothing(start: int, length: int) -> None:
    values = np.random.default_rng(start).normal(size=200)
    values[start : start + length] = np.nan
    other = values.copy()
    other[start + length :] += 100.0
    clock = np.arange(0, 1.99, 0.013)
    for function in (
        lambda s: differentiate(s, 1, 10.0),
        lambda s: low_pass(s, 10.0),
        lambda s: resample_to(s, clock),
    ):
        before, after = function(signal(values)), function(signal(other))
        inside = before.time.values < start / 100.0
        np.testing.assert_array_equal(before.values[inside], after.values[inside])
        missing = (before.time.values > (start - 1) / 100 + 1e-9) & (before.time.values < (start + length) / 100 - 1e-9)
        assert np.isnan(before.values[missing]).all()


def test_a_jump_of_the_clock_is_a_gap_and_an_uneven_clock_is_refused() -> None:
    t = np.r_[np.arange(50) / 100, 3 + np.arange(50) / 100]
    jumped = make_signal(t[:, None], ("time", "joint"), {"joint": ["knee"]}, units="deg", time=t)
    assert np.nanmax(np.abs(differentiate(jumped, 1, 20.0).values - 1.0)) < 1e-6
    assert np.isnan(resample_to(jumped, np.array([1.0, 2.0])).values).all()
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.0145, 100))
    rough = make_signal(uneven[:, None], ("time", "joint"), {"joint": ["knee"]}, units="deg", time=uneven)
    with pytest.raises(SignalError, match="unevenly"):
        differentiate(rough, 1, 6.0)
    clock = np.arange(0.1, 1.0, 0.05)
    np.testing.assert_allclose(resample_to(rough, clock).values[:, 0], clock, atol=2e-3)
    with pytest.raises(OptionError, match="half the sampling rate"):
        low_pass(signal(np.zeros(100)), 60.0)


def test_resampling_keeps_slow_signals_removes_fast_ones_and_states_its_lag() -> None:
    t = np.arange(0, 10, 0.001)
    slow, fast = np.sin(2 * np.pi * 2 * t), np.sin(2 * np.pi * 97 * t)
    clock = np.arange(1, 9, 0.02)
    placed = resample_to(signal(slow + fast, 1000.0), clock, lag_s=0.1)
    np.testing.assert_allclose(placed.values[:, 0], np.sin(2 * np.pi * 2 * (clock + 0.1)), atol=5e-3)
    assert placed.attrs["lag_s"] == 0.1


def test_motion_has_angle_velocity_and_acceleration_with_units() -> None:
    t = np.arange(0, 2, 0.01)
    motion = condition_motion(Recording({"angles": signal(t**2)}))
    np.testing.assert_allclose(motion["velocity"].values[:, 0], 2 * t, atol=1e-6)
    np.testing.assert_allclose(motion["acceleration"].values[:, 0], 2.0, atol=1e-6)
    assert motion["acceleration"].attrs["units"] == "deg/s²"


def test_cycles_run_from_strike_to_strike_of_one_side_and_skip_a_missing_event() -> None:
    rows = [(t, "Foot Strike", "right") for t in (0.0, 1.0, 2.1, 4.3, 5.3)] + [(0.5, "Foot Strike", "left")]
    rows += [(0.6, "Foot Off", "right"), (1.5, "Foot Strike", "left"), (1.505, "Foot Strike", "left")]
    found = cycles_from_events(make_events(rows))
    right = [(c.start_s, c.stop_s) for c in found if c.label == "right"]
    assert right == [(0.0, 1.0), (1.0, 2.1), (4.3, 5.3)]
    assert all(c.label in ("left", "right") for c in found)
    pairs = cycles_from_events(
        make_events([(1, "reach start", ""), (2, "reach end", ""), (4, "reach start", ""), (6, "reach end", "")])
    )
    assert pairs == [(1.0, 2.0, "reach"), (4.0, 6.0, "reach")]
    onsets = cycles_from_events(make_events([(t, "movement onset", "") for t in (1.0, 3.0, 5.5, 7.5, 7.6)]))
    assert [c.start_s for c in onsets] == [1.0, 3.0, 5.5, 7.6]
    assert len({round(c.stop_s - c.start_s, 9) for c in onsets}) == 1 and onsets[0].label == "movement"
    assert cycles_from_events(make_events([])) == []


def test_movements_are_found_by_hand_speed_with_hysteresis() -> None:
    t = np.arange(0, 10, 0.01)
    bell = lambda centre, height: height * np.exp(-(((t - centre) / 0.3) ** 2))  # noqa: E731
    speed = bell(2, 1.0) + bell(5, 0.8) + bell(8, 0.1)  # the last never reaches the upper threshold
    speed += 0.07 * (np.sin(40 * t) > 0) * (abs(t - 5) < 0.5)  # and a ripple does not cut a movement in two
    found = movements_from_speed(xr.DataArray(speed, dims="time", coords={"time": t}))
    assert [round(0.5 * (c.start_s + c.stop_s)) for c in found] == [2, 5]


@given(st.floats(0.6, 3.0), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_period_of_what_repeats_is_found_and_noise_repeats_nothing(period_s: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(0, 8 * period_s, 0.01)
    phase = 2 * np.pi * t / period_s
    bursts = np.stack([np.exp(3 * np.cos(phase)), np.exp(3 * np.cos(phase - 2))], axis=1)
    noisy = bursts / bursts.max() + 0.05 * rng.normal(size=bursts.shape)
    noisy[-5:] = np.nan
    found = cycles_from_periodicity(signal(noisy))
    assert len(found) >= 5
    np.testing.assert_allclose([c.stop_s - c.start_s for c in found], period_s, rtol=0.12)
    noise = low_pass(signal(rng.normal(size=(2000, 4))), 5.0)
    assert cycles_from_periodicity(noise) == []


def test_normalised_cycles_lie_on_each_other_and_incomplete_ones_are_marked() -> None:
    t = np.arange(0, 10, 0.001)
    wave = signal(np.sin(2 * np.pi * t), 1000.0)
    matrix = time_normalise(wave, [(0.0, 1.0, "right"), (2.0, 4.0, ""), (9.5, 10.5, "")], 51)
    assert matrix.dims == ("cycle", "phase", "joint")
    phase = matrix.phase.values / 100
    np.testing.assert_allclose(matrix.values[0, :, 0], np.sin(2 * np.pi * phase), atol=1e-4)
    np.testing.assert_allclose(matrix.values[1, :, 0], np.sin(4 * np.pi * phase), atol=1e-4)
    assert np.isnan(matrix.values[2, -1, 0]) and np.isfinite(matrix.values[2, 0, 0])
    assert list(matrix.label.values) == ["right", "", ""]
    assert time_normalise(wave, []).sizes["cycle"] == 0


def test_touchdowns_of_a_treadmill_walk_are_found_without_events(shared_data) -> None:
    folder = shared_data / "gait-santuz-treadmill"
    table = pd.read_csv(folder / "ID0012_TW_01_raw_emg.csv.gz")
    emg = make_signal(
        table.iloc[:, 1:].to_numpy(),
        ("time", "muscle"),
        {"muscle": list(table.columns[1:])},
        units="µV",
        time=table.iloc[:, 0].to_numpy(),
    )
    truth = np.diff(pd.read_csv(folder / "ID0012_TW_01_cycles.csv")["touchdown_s"])
    found = [c.stop_s - c.start_s for c in find_cycles(Recording({"emg": emg}))]
    assert len(found) >= len(truth)
    assert np.mean(found) == pytest.approx(truth.mean(), rel=0.02)


def reaching(rest_s: float = 0.5, tremor: float = 0.0) -> Recording:
    """Three reaches of .8 s with rests between them, of a hand marker and of an elbow."""
    t = np.arange(0, 4.4, 0.01)
    onsets = rest_s + np.arange(3) * (0.8 + rest_s)
    share = np.clip((t[:, None] - onsets) / 0.8, 0, 1)
    travelled = (10 * share**3 - 15 * share**4 + 6 * share**5).sum(axis=1)  # of least jerk
    hand = 300 * travelled[:, None] * [1.0, 0.0, 0.0] + tremor * np.sin(2 * np.pi * 4 * t)[:, None]
    markers = make_signal(
        hand[:, None, :],
        ("time", "marker", "axis"),
        {"marker": ["RHand"], "axis": list("xyz")},
        units="mm",
        rate_hz=100,
    )
    angles = make_signal(40 * travelled[:, None], ("time", "joint"), {"joint": ["elbow"]}, units="deg", rate_hz=100)
    return Recording({"markers": markers, "angles": angles})


@pytest.mark.parametrize("signals", [("markers",), ("angles",), ("markers", "angles")])
def test_a_movement_is_cut_where_it_rests(signals: tuple[str, ...]) -> None:
    recording = reaching(tremor=0.5 if "markers" in signals else 0.0)
    found = segment_movements(Recording({name: recording[name] for name in signals}))
    assert [e.start_s for e in found] == pytest.approx([0.57, 1.87, 3.17], abs=0.05)
    assert all(0.5 < e.stop_s - e.start_s < 0.85 for e in found)


def test_a_movement_that_never_rests_is_one_element() -> None:
    t = np.arange(0, 3, 0.01)
    circle = np.stack([np.cos(3 * t), np.sin(3 * t), 0 * t], axis=1)[:, None, :]
    labels = {"marker": ["hand"], "axis": list("xyz")}
    markers = make_signal(circle, ("time", "marker", "axis"), labels, units="m", rate_hz=100)
    (element,) = segment_movements(Recording({"markers": markers}))
    assert element.stop_s - element.start_s > 2.9


def test_a_recording_without_a_movement_has_no_elements_to_find() -> None:
    with pytest.raises(SignalError, match="neither markers of a hand"):
        segment_movements(Recording({}))


def test_the_report_shades_the_elements_of_a_movement() -> None:
    (chart,) = movement_elements(reaching())
    assert chart.count('class="span"') == 3
    assert "3 elements" in chart
    assert movement_elements(Recording({})) == []
