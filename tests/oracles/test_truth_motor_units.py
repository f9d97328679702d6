"""The simulated pool against the published equations and curves (Fuglevand, Winter & Patla 1993)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from myodrive.truth import SCENARIOS, electrodes, motor_units, simulate_recording
from myodrive.truth.electrodes import Electrode
from myodrive.truth.motor_units import MotorUnitPool

POOL = MotorUnitPool()
LEVELS = np.linspace(0.05, 1.0, 20)


def contraction(level: float, pool: MotorUnitPool, seconds: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Discharges of a steady contraction."""
    rates_hz = motor_units.discharge_rates_hz(np.full(round(seconds * 500), level), pool)
    return motor_units.discharges(rates_hz, 500.0, pool.interval_cv, np.random.default_rng(seed))


def test_units_are_recruited_in_order_of_size_and_as_many_as_the_closed_form_says() -> None:
    excitation = LEVELS * motor_units.maximal_excitation(POOL)
    expected = np.floor(POOL.n_units * np.log(excitation) / np.log(POOL.recruitment_range) + 1e-9)
    active = motor_units.discharge_rates_hz(LEVELS, POOL) > 0
    assert np.array_equal(active.sum(axis=0), np.clip(expected, 0, POOL.n_units))
    assert np.all(np.diff(active.astype(int), axis=0) <= 0), "a later unit is active before an earlier one"


def test_rates_start_at_8_hz_rise_with_the_drive_and_end_at_35_to_25_hz() -> None:
    rates_hz = motor_units.discharge_rates_hz(np.linspace(0, 1, 2001), POOL)
    assert np.all(np.diff(rates_hz, axis=1) >= 0)
    first = np.array([row[row > 0][0] for row in rates_hz])
    assert np.allclose(first, 8.0, atol=0.05)
    assert rates_hz[0, -1] == pytest.approx(35.0, abs=0.4)
    assert rates_hz[-1, -1] == pytest.approx(25.0, abs=1e-9)


def test_intervals_have_the_rate_and_the_variability_that_were_asked_for() -> None:
    times_s, units = contraction(0.5, POOL, 120.0)
    rates_hz = motor_units.discharge_rates_hz(np.array([0.5]), POOL)[:, 0]
    for unit in (0, 40, 80):
        intervals = np.diff(times_s[units == unit])
        assert 1 / intervals.mean() == pytest.approx(rates_hz[unit], rel=0.02)
        assert intervals.std() / intervals.mean() == pytest.approx(POOL.interval_cv, rel=0.1)


def test_expected_discharges_follow_the_rate_at_every_instant_of_a_burst() -> None:
    drive = 0.4 * np.sin(np.pi * np.arange(500) / 500) ** 2
    rates_hz = motor_units.discharge_rates_hz(np.tile(drive, 200), POOL)
    times_s, _ = motor_units.discharges(rates_hz, 500.0, POOL.interval_cv, np.random.default_rng(0))
    counted = np.histogram(times_s % 1.0, bins=20, range=(0, 1))[0] / 200
    expected = motor_units.discharge_rates_hz(drive, POOL).sum(axis=0).reshape(20, 25).sum(axis=1) / 500
    assert np.max(np.abs(counted - expected)) < 0.03 * expected.max()


def test_action_potentials_are_ordered_by_size_and_carry_no_offset() -> None:
    potentials = electrodes.action_potentials(POOL, Electrode(), 2000.0, np.random.default_rng(0))
    sizes = np.ptp(potentials, axis=1)
    assert np.all(np.diff(sizes) > 0)
    assert sizes[-1] / sizes[0] == pytest.approx(POOL.amplitude_range ** (1 - 1 / POOL.n_units))
    assert np.max(np.abs(potentials.mean(axis=1))) < 1e-3


def test_emg_amplitude_rises_with_activation_as_campbells_theorem_says() -> None:
    potentials = electrodes.action_potentials(POOL, Electrode(), 2000.0, np.random.default_rng(0))
    expected = electrodes.expected_rms(LEVELS, potentials, POOL, 2000.0)
    assert np.all(np.diff(expected) > 0)
    for level in (0.1, 0.4, 0.8):
        times_s, units = contraction(level, POOL, 20.0)
        emg = electrodes.sum_potentials(times_s, units, potentials, 40_000, 2000.0)
        assert emg.std() == pytest.approx(float(np.interp(level, LEVELS, expected)), rel=0.06)


def test_force_is_sigmoid_in_the_drive_and_reaches_its_maximum() -> None:
    force = np.array([steady_force(level, POOL) for level in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)])
    assert np.all(np.diff(force) > 0)
    assert force[-1] == pytest.approx(1.0, abs=0.05)
    slopes = np.diff(force) / np.diff([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    assert slopes[0] < slopes[2] > slopes[-1]


def test_emg_rises_almost_in_proportion_to_force_when_potentials_grow_as_the_twitches_do() -> None:
    pool = MotorUnitPool(amplitude_range=100.0)
    potentials = electrodes.action_potentials(pool, Electrode(), 2000.0, np.random.default_rng(0))
    levels = np.linspace(0.1, 1.0, 10)
    emg = electrodes.expected_rms(levels, potentials, pool, 2000.0)
    force = np.array([steady_force(level, pool) for level in levels])
    assert np.corrcoef(emg, force)[0, 1] > 0.99


def steady_force(level: float, pool: MotorUnitPool) -> float:
    times_s, units = contraction(level, pool, 6.0)
    return float(motor_units.twitch_force(times_s, units, pool, 600, 100.0)[200:].mean())


def test_the_spectrum_is_that_of_surface_emg() -> None:
    emg = simulate_recording("reference", seed=1000, n_muscles=2, duration_s=20, snr_db=40)["emg"].values
    frequency, power = welch(emg, 2000.0, nperseg=1024, axis=0)
    share = np.cumsum(power, axis=0) / power.sum(axis=0)
    median = [np.interp(0.5, column, frequency) for column in share.T]
    assert all(60 < m < 150 for m in median)
    assert np.all(share[np.searchsorted(frequency, 15.0)] < 0.05)
    assert np.all(share[np.searchsorted(frequency, 400.0)] > 0.95)


def test_the_scenarios_stay_as_they_were_frozen() -> None:
    """Scores of different days can be compared only on the same recordings."""
    import hashlib
    import json

    frozen = json.dumps([s.model_dump(mode="json") for s in SCENARIOS.values()], sort_keys=True)
    assert hashlib.sha256(frozen.encode()).hexdigest()[:16] == "7ead6d1b6f7764a2"
