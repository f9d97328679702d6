"""Static optimisation against OpenSim's own tool, with the same model, motion and reserves."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import myodrive as md
import tiny_arm as arm

pytestmark = pytest.mark.skipif(
    find_spec("opensim") is None, reason="the package opensim, of the extra of that name, is not installed"
)


def test_activations_and_reserves_are_those_of_opensims_tool(tmp_path: Path) -> None:
    folder = arm.write_all(tmp_path)
    recording = md.simulate(folder / "arm.osim", folder / "moving.trc", start_s=0.4, end_s=0.6)
    ours = md.solve_static_optimization(md.muscle_problem(recording), bounds=(0.01, 1.0))
    theirs = recording["simulated"].sel(muscle=ours.activations.muscle)
    assert float(theirs.max() - theirs.min()) > 0.03
    np.testing.assert_allclose(ours.activations, theirs, atol=3e-3)  # its optimiser stops at 1e-4 of the cost
    np.testing.assert_allclose(
        ours.reserves, recording["reserves"].sel(joint=ours.reserves.coordinate.values), atol=1e-3
    )
