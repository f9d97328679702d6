"""What every simulated recording promises."""

from __future__ import annotations

import numpy as np
import pytest

from myodrive.errors import OptionError
from myodrive.muscles import recognise
from myodrive.recording import sampling_rate
from myodrive.truth import SCENARIOS, electrodes, simulate_recording

SHORT = {"n_muscles": 4, "duration_s": 6.0}
ALL = ("force", "angles", "spikes")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_gives_volts_an_activation_within_0_and_1_and_labels_that_are_recognised(scenario: str) -> None:
    recording = simulate_recording(scenario, seed=1000, with_=ALL, **SHORT)
    emg, activation = recording["emg"], recording["activation"]
    assert emg.attrs["units"] == "V" and emg.attrs["stage"] == "raw"
    assert 1e-5 < float(emg.std()) < 1e-3
    assert float(activation.min()) >= 0 and 0.05 < float(activation.max()) <= 1
    assert all(np.isfinite(signal.values).all() for signal in recording.signals.values())
    for muscle in SCENARIOS[scenario].muscles:
        assert recognise(muscle.label) == (muscle.name, muscle.side)


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_recording() -> None:
    first, again, other = (simulate_recording("gait", seed=s, with_=ALL, **SHORT) for s in (5, 5, 6))
    for name, signal in first.signals.items():
        assert np.array_equal(signal.values, again[name].values), name
    assert not np.array_equal(first["emg"].values, other["emg"].values)


def test_noise_and_extras_leave_the_drives_and_the_muscles_that_were_there_unchanged() -> None:
    plain = simulate_recording("reach", seed=5, **SHORT)
    other = simulate_recording("reach", seed=5, snr_db=0.0, with_=ALL, **SHORT)
    assert np.array_equal(plain["activation"].values, other["activation"].values)
    quiet = simulate_recording("reference", seed=5, snr_db=200.0, **SHORT)["emg"].values
    loud = simulate_recording("reference", seed=5, snr_db=6.0, **SHORT)["emg"].values
    ratio_db = 10 * np.log10(np.mean(quiet**2, axis=0) / np.mean((loud - quiet) ** 2, axis=0))
    assert np.allclose(ratio_db, 6.0, atol=0.3)


def test_the_rank_of_the_activation_is_the_number_of_latents() -> None:
    for n_latents in (2, 5):
        activation = simulate_recording("gait", seed=5, n_muscles=12, n_latents=n_latents, duration_s=6)["activation"]
        assert np.linalg.matrix_rank(activation.values, tol=1e-8) == n_latents


def test_a_walk_has_a_heel_strike_of_each_side_in_every_stride() -> None:
    events = simulate_recording("gait", seed=5, duration_s=30, n_muscles=1).events
    for side in ("left", "right"):
        strides_s = np.diff(events.time[events.side == side])
        assert len(strides_s) >= 25 and np.all((strides_s > 0.9) & (strides_s < 1.3))


def test_force_and_emg_of_the_tremor_oscillate_at_the_known_frequency() -> None:
    recording = simulate_recording("tremor", seed=5, duration_s=30, with_=("force",), n_muscles=4)
    force = recording["forces"].values[:, 0]
    rate_hz = sampling_rate(recording["forces"])
    power = np.abs(np.fft.rfft((force - force.mean()) * np.hanning(force.size))) ** 2
    frequency = np.fft.rfftfreq(force.size, 1 / rate_hz)
    band = (frequency > 7) & (frequency < 20)
    assert frequency[band][np.argmax(power[band])] == pytest.approx(SCENARIOS["tremor"].oscillation_hz, abs=0.2)


def test_angles_follow_the_activation_and_spikes_carry_the_latents() -> None:
    recording = simulate_recording("reach", seed=5, duration_s=60, with_=("angles", "spikes"))
    latents = recording["latents"].values.reshape(-1, 5, 4).mean(axis=1)
    counts = recording["spikes"].values
    smooth = np.apply_along_axis(lambda x: np.convolve(x, np.hanning(30) / 15, "same"), 0, counts)
    half = len(latents) // 2
    design = np.c_[smooth, np.ones(len(smooth))]
    weights = np.linalg.lstsq(design[:half], latents[:half], rcond=None)[0]
    error = np.mean((latents[half:] - design[half:] @ weights) ** 2, axis=0)
    assert np.mean(error / latents[half:].var(axis=0)) < 0.5
    elbow = recording["angles"].sel(joint="elbow_flexion_r").values
    pull = recording["activation"].sel(muscle="R BIC").values - recording["activation"].sel(muscle="R TRI LAT").values
    assert np.corrcoef(np.roll(pull, 80), elbow)[0, 1] > 0.5


def test_crosstalk_mains_artefacts_and_bursts_are_as_large_as_asked() -> None:
    rng = np.random.default_rng(0)
    emg = rng.standard_normal((40_000, 3))
    mixed = electrodes.add_crosstalk(emg, 0.2)
    assert np.corrcoef(mixed[:, 0], emg[:, 1])[0, 1] == pytest.approx(0.2, abs=0.02)
    mains = electrodes.disturb(emg, np.empty(0), electrodes.Disturbance(mains=0.1), 2000.0, rng)
    assert np.allclose(mains.std(axis=0), 0.1 * emg.std(axis=0), rtol=0.02)
    bursts = electrodes.disturb(
        emg, np.empty(0), electrodes.Disturbance(bursts_per_minute=60.0, burst=2.0), 2000.0, rng
    )
    within = np.abs(bursts[:, 0]) > 0
    assert 0.02 < within.mean() < 0.6
    assert np.corrcoef(bursts[within, 0], bursts[within, 2])[0, 1] > 0.999
    step = electrodes.disturb(emg, np.array([10.0]), electrodes.Disturbance(motion=1.0), 2000.0, rng)
    assert np.all(step[:20_000] == 0) and np.any(np.abs(step[20_000:]) > 0.1)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"scenario": "dance"}, "dance"),
        ({"n_muscles": 40}, "n_muscles"),
        ({"rate_hz": 100}, "rate_hz"),
        ({"with_": ("sound",)}, "sound"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_its_name(wrong: dict, place: str) -> None:
    with pytest.raises(OptionError, match=place):
        simulate_recording(**wrong)
