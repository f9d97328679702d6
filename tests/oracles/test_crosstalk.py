"""Crosstalk against mixtures that are known."""

import numpy as np
import pytest

import myodrive as md
from myodrive.errors import SignalError
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.crosstalk import diagonalise, fit_unmixing, unmix
from myodrive.from_emg.lfads import LFADS
from myodrive.recording import make_signal

MIXTURE = np.array([[1.0, 0.3, 0.05], [0.1, 1.0, -0.2], [0.0, 0.15, 1.0]])
RATE_HZ = 1000


def emg(mixture, seconds=40, seed=0):
    """Muscles of different strength that come and go at their own times, seen through a mixture."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * RATE_HZ) / RATE_HZ
    n = len(mixture)
    strength = 1.2 + np.sin(2 * np.pi * np.array([0.3, 0.41, 0.57, 0.23])[:n] * time[:, None])
    sources = strength * rng.normal(size=(time.size, n)) * np.array([1.0, 3.0, 0.5, 1.0])[:n]
    muscles = {"muscle": [f"m{i}" for i in range(n)]}
    return make_signal(
        sources @ mixture.T, ("time", "muscle"), muscles, units="V", rate_hz=RATE_HZ, stage="filtered"
    ), sources


def test_matrices_that_one_mixture_made_become_diagonal():
    strengths = np.random.default_rng(1).gamma(1.0, size=(30, 3))
    covariances = np.einsum("ij,kj,lj->kil", MIXTURE, strengths, MIXTURE)
    found = diagonalise(covariances, symmetry=0.0) @ MIXTURE
    assert np.abs(found - np.diag(np.diag(found))).max() < 1e-6


def test_a_known_mixture_of_muscles_is_taken_back():
    mixed, sources = emg(MIXTURE)
    found = fit_unmixing([mixed])
    assert (
        np.abs(np.linalg.inv(found) - MIXTURE).max() < 0.05
    )  # in the unit of the weakest muscle: a sixth of the strongest
    left = np.corrcoef(unmix(mixed, found).values.T) - np.eye(3)
    assert np.abs(left).max() < 0.1 * np.abs(np.corrcoef(mixed.values.T) - np.eye(3)).max()
    np.testing.assert_allclose(unmix(mixed, np.linalg.inv(MIXTURE)).values, sources, atol=1e-9)


def test_muscles_that_are_active_together_are_no_crosstalk():
    rng = np.random.default_rng(3)
    drive = 1.2 + np.sin(2 * np.pi * 0.5 * np.arange(40_000) / RATE_HZ)[:, None]
    together = make_signal(
        drive * rng.normal(size=(40_000, 2)),
        ("time", "muscle"),
        {"muscle": ["TA", "EDL"]},
        units="V",
        rate_hz=RATE_HZ,
        stage="filtered",
    )
    assert np.abs(fit_unmixing([together]) - np.eye(2)).max() < 0.05


def test_two_electrodes_on_one_muscle_are_left_as_they_are():
    mixed, _ = emg(np.array([[1.0, 0.0], [0.0, 1.0]]))
    twin = mixed.copy(data=np.stack([mixed.values[:, 0], mixed.values[:, 0] + 1e-3 * mixed.values[:, 1]], axis=1))
    np.testing.assert_array_equal(fit_unmixing([twin]), np.eye(2))


def test_a_dead_channel_and_missing_samples_take_nothing_from_the_others():
    mixed, _ = emg(np.eye(3))
    mixed.values[:, 1] = 0.0
    mixed.values[100:200, 2] = np.nan
    found = fit_unmixing([mixed])
    np.testing.assert_array_equal(found[1], [0, 1, 0])
    clean = unmix(mixed, found).values
    np.testing.assert_array_equal(np.isnan(clean), np.isnan(mixed.values))
    np.testing.assert_allclose(clean[100:200, 0], mixed.values[100:200, 0], rtol=1e-3)


TINY = {
    "window_s": 0.2, "overlap_s": 0.1, "ic_encoder": 3, "ci_encoder": 3, "controller": 3, "generator": 4, "n_initial": 2,
    "n_input": 1, "n_factor": 2, "batch_size": 8, "max_epochs": 1, "n_samples": 2,
}  # fmt: skip


def test_a_network_that_learned_from_raw_emg_refuses_rectified_and_one_that_learned_from_rectified_takes_both():
    recording = md.simulate_recording("gait", n_muscles=3, duration_s=4, rate_hz=1000)
    raw = recording["emg"]
    rectified = np.abs(raw).assign_attrs(raw.attrs, stage="rectified")
    with pytest.raises(SignalError, match="raw EMG"):
        LFADS(**TINY).fit(raw).estimate(rectified)
    plain = LFADS(**TINY).fit(rectified)
    assert plain.estimate(raw).activation.sizes == plain.estimate(rectified).activation.sizes


def test_whitening_without_crosstalk_is_nearer_to_each_muscles_own_strength():
    mixed, sources = emg(MIXTURE)
    own = mixed.copy(data=sources)
    truth = md.WhitenedEnvelope(cutoff_hz=2).fit(own).estimate(own).activation

    def error(**options):
        found = md.WhitenedEnvelope(cutoff_hz=2, **options).fit(mixed).estimate(mixed).activation
        return float(np.sqrt(np.mean((found - truth) ** 2)))

    assert error(unmix=True) < 0.6 * error()


def test_synergies_of_whitened_emg_without_crosstalk_are_nearer_to_the_truth():
    recording = md.simulate_recording("gait", seed=1001, duration_s=20.0, n_muscles=6)
    blind = recording.replace(signals={"emg": recording["emg"]})

    def r2(**options):
        estimate = md.Synergies(rank=4, cutoff_hz=6.0, **options).fit(blind).estimate(blind)
        return score_against_truth(estimate, recording).r2

    assert r2() > r2(whiten=False, unmix=False) + 0.01


def test_an_electrode_without_contact_leaves_the_crosstalk_of_the_others_as_it_is_found_without_it():
    mixed, _ = emg(MIXTURE)
    dead = mixed.copy(deep=True)
    dead[:, 2] = np.nan
    found = fit_unmixing([dead])
    np.testing.assert_allclose(found[:2, :2], fit_unmixing([mixed[:, :2]]))
    np.testing.assert_array_equal(found[2], [0, 0, 1])
    unmixed = unmix(dead, found)
    assert np.isnan(unmixed[:, 2]).all() and np.isfinite(unmixed[:, :2]).all()


def test_a_muscle_that_is_missing_in_one_trial_is_learned_from_in_the_others():
    mixed, _ = emg(MIXTURE)
    gone = mixed.copy(deep=True)
    gone[:, 1] = np.nan
    np.testing.assert_array_equal(fit_unmixing([mixed, gone]), fit_unmixing([mixed]))
    np.testing.assert_array_equal(fit_unmixing([gone[:, 1:2]]), np.eye(1))
