"""Hill muscles against OpenSim's own, and against a right triangle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import millard_muscle
from myodrive.from_simulation.hill_muscles import Curve, HillMuscles


def one(value: float) -> np.ndarray:
    return np.array([value])


@pytest.fixture(scope="module")
def opensim_says(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("opensim")
    done = subprocess.run(
        [sys.executable, Path(millard_muscle.__file__)],
        cwd=tmp_path_factory.mktemp("opensim"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_forces_are_opensims_own(opensim_says: dict[str, Any]) -> None:
    m = millard_muscle
    curves = {
        f"{name}_curve": Curve(*range_[:2], np.array([opensim_says[name]]))
        for name, range_ in (("active", m.ACTIVE), ("passive", m.PASSIVE), ("velocity", m.VELOCITY))
    }
    muscle = HillMuscles(
        *map(one, (m.FORCE_N, m.FIBER_M, m.TENDON_M, m.PENNATION_RAD, 10.0, opensim_says["shortest"])), **curves
    )
    rows = np.array(opensim_says["rows"])
    active, passive = muscle.forces(rows[:, :1], rows[:, 1:2], opensim_pennation=True)
    assert rows[:, 2].min() == 0 and rows[:, 2].max() > m.FORCE_N
    np.testing.assert_allclose(active[:, 0], rows[:, 2], atol=0.01)
    np.testing.assert_allclose(passive[:, 0], rows[:, 3], atol=0.01)
    right = muscle.forces(rows[:, :1], rows[:, 1:2])[0]
    assert 1.05 < (active[right > 1] / right[right > 1]).mean() < 1.5  # what OpenSim's pennation is off by


def test_a_pennate_fibre_pulls_by_its_cosine_and_shortens_by_it() -> None:
    """Fibre of .1 m at 30 degrees: .05 m thick; at .12 m along the tendon it is .13 m long, and its cosine is 12/13."""
    flat = Curve(0.0, 2.0, np.ones((1, 3)))
    slope = Curve(-1.0, 1.0, np.array([[0.0, 1.0, 2.0]]))
    muscle = HillMuscles(*map(one, (500.0, 0.1, 0.2, np.pi / 6, 8.0, 0.05)), flat, flat, slope)
    active, passive = muscle.forces(np.array([[0.32]]), np.array([[-0.26]]))
    shortening = 0.26 * 12 / 13 / (0.1 * 8)
    np.testing.assert_allclose(active, 500 * 12 / 13 * (1 - shortening))
    np.testing.assert_allclose(passive, 500 * 12 / 13)


def test_a_slack_muscle_pulls_nothing_and_an_unknown_one_is_not_known() -> None:
    flat = Curve(0.0, 2.0, np.ones((1, 2)))
    muscle = HillMuscles(*map(one, (500.0, 0.1, 0.2, 0.0, 8.0, 0.05)), flat, flat, flat)
    active, passive = muscle.forces(
        np.array([[0.1], [0.3], [np.nan], [0.3]]), np.array([[0.0], [0.0], [0.0], [np.nan]])
    )
    np.testing.assert_array_equal(active[:, 0], [0, 500, np.nan, np.nan])
    np.testing.assert_array_equal(passive[:, 0], [0, 500, np.nan, 500])


def test_curves_are_straight_between_samples_and_beyond_their_ends() -> None:
    curve = Curve(0.0, 1.0, np.array([[0.0, 2.0, 3.0], [1.0, 1.0, 0.0]]))
    x = np.array([[0.25, 0.75], [-0.5, 1.5], [1.0, 0.5]])
    np.testing.assert_allclose(curve(x), [[1.0, 0.5], [-2.0, -1.0], [3.0, 1.0]])
