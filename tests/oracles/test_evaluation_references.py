"""The references on real recordings give the figures that were measured independently."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from myodrive.conditioning.kinematics import differentiate
from myodrive.evaluation import metrics
from myodrive.evaluation.references import odd_even_r, others_mean
from myodrive.recording import make_signal


def by_subject(curves: np.ndarray, subjects: np.ndarray) -> list[np.ndarray]:
    return [curves[subjects == name] for name in dict.fromkeys(subjects.tolist())]


def new_subject_r(means: np.ndarray) -> float:
    return float(np.mean([metrics.pearson_r(o, m) for o, m in zip(others_mean(means), means)]))


def test_box_lifting(shared_data: Path) -> None:
    with np.load(shared_data / "arm-lifting-envelopes" / "lifting_envelopes.npz") as data:
        groups = by_subject(data["envelope"], data["subject"])
    assert new_subject_r(np.stack([g.mean(axis=0) for g in groups])) == pytest.approx(0.886, abs=0.001)
    assert np.mean([odd_even_r(g) for g in groups]) == pytest.approx(0.942, abs=0.001)


def test_treadmill_walking(shared_data: Path) -> None:
    with np.load(shared_data / "gait-santuz-treadmill" / "SYNS_mean_envelopes_15subjects.npz") as data:
        assert new_subject_r(data["V"].transpose(0, 2, 1)) == pytest.approx(0.783, abs=0.001)


def test_sit_to_stand(shared_data: Path) -> None:
    folder = shared_data / "sts-gait120-envelopes"
    with (folder / "cycle_metadata.csv").open(encoding="utf-8", newline="") as file:
        subjects = np.array([row["subject_id"] for row in csv.DictReader(file)])
    groups = by_subject(np.load(folder / "V_cycles.npy"), subjects)
    assert new_subject_r(np.stack([g.mean(axis=0) for g in groups])) == pytest.approx(0.432, abs=0.001)
    assert np.mean([odd_even_r(g) for g in groups]) == pytest.approx(0.619, abs=0.001)


def test_derivatives_of_a_slow_oscillation_agree_with_the_closed_form() -> None:
    t = np.arange(0, 5, 0.005)
    turn = 2 * np.pi * 1.0
    angle = make_signal(np.sin(turn * t)[:, None], ("time", "joint"), {"joint": ["knee"]}, units="rad", rate_hz=200)
    inner = slice(100, -100)
    velocity, acceleration = (differentiate(angle, order, 6.0).values[inner, 0] for order in (1, 2))
    np.testing.assert_allclose(velocity, turn * np.cos(turn * t[inner]), atol=0.01 * turn)
    np.testing.assert_allclose(acceleration, -(turn**2) * np.sin(turn * t[inner]), atol=0.03 * turn**2)
