"""The scenario "reference" against floors that were measured on an independent prototype of the same set-up."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, lfilter, resample_poly, sosfiltfilt
from sklearn.decomposition import NMF

from myodrive.evaluation.truth_scoring import score_arrays
from myodrive.truth import simulate_recording

RATE_HZ = 200.0


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, np.ndarray]:
    recording = simulate_recording("reference", seed=1000)
    return recording["emg"].values, recording["activation"].values[::5]


def envelope(emg: np.ndarray, cutoff_hz: float) -> np.ndarray:
    rectified = resample_poly(np.abs(emg), 1, 10)
    return np.maximum(sosfiltfilt(butter(2, cutoff_hz, fs=RATE_HZ, output="sos"), rectified, axis=0), 0)


def r2(estimate: np.ndarray, truth: np.ndarray) -> float:
    nothing = np.full(truth.shape, np.nan)
    return score_arrays(estimate[::2], truth, nothing, nothing).r2


def whitened(emg: np.ndarray, order: int = 6) -> np.ndarray:
    columns = []
    for x in emg.T:
        covariance = np.array([x[: x.size - lag] @ x[lag:] for lag in range(order + 1)])
        columns.append(lfilter(np.r_[1, -solve_toeplitz(covariance[:-1], covariance[1:])], 1, x))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("cutoff_hz", "measured"), [(3.0, 0.926), (6.0, 0.881), (10.0, 0.818), (20.0, 0.707)])
def test_low_pass_filters_score_as_measured(reference: tuple, cutoff_hz: float, measured: float) -> None:
    emg, truth = reference
    assert r2(envelope(emg, cutoff_hz), truth) == pytest.approx(measured, abs=0.04)


def test_whitening_scores_as_measured(reference: tuple) -> None:
    emg, truth = reference
    assert r2(envelope(whitened(emg), 3.0), truth) == pytest.approx(0.939, abs=0.04)


def test_synergies_at_the_true_rank_score_as_measured_and_above_every_filter(reference: tuple) -> None:
    emg, truth = reference
    filtered = envelope(emg, 4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(4, init="nndsvda", max_iter=200)
        shared = model.fit_transform(filtered / filtered.max(axis=0)) @ model.components_
    score = r2(shared, truth)
    assert score == pytest.approx(0.950, abs=0.04)
    assert score > r2(envelope(emg, 3.0), truth)
