"""Refined activity back through the muscle model."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from musculoskeletal import made_problem
from myodrive.activation import Activation
from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.from_simulation.torque_check import check_torques, refine_within_torques


@pytest.fixture(scope="module")
def problem() -> MuscleProblem:
    return made_problem(1000, n_time=12, n_coordinate=3, n_muscle=8)


def as_activation(values: xr.DataArray, gain: float = 1.0) -> Activation:
    return Activation(values * gain, method="refined", relative_to="q95")


def test_simulated_activity_of_any_size_makes_the_torques_that_were_needed(problem: MuscleProblem) -> None:
    solved = solve_static_optimization(problem)
    check = check_torques(problem, as_activation(solved.activations[:, :4], 7.0))
    np.testing.assert_allclose(check.activations, solved.activations, atol=1e-9)
    np.testing.assert_allclose(check.error, -solved.reserves, atol=1e-6)


def test_a_wrong_course_costs_torque_and_a_bound_is_kept(problem: MuscleProblem) -> None:
    solved = solve_static_optimization(problem)
    turned = solved.activations.copy(data=solved.activations.values[::-1])
    free = check_torques(problem, as_activation(turned))
    plain = check_torques(problem, as_activation(solved.activations)).relative.max()
    bound = 0.5 * (plain + free.relative.max())
    assert plain < bound < free.relative.max()
    kept = refine_within_torques(problem, as_activation(turned), bound)
    assert kept.relative.max() <= bound and 0 < kept.tracking_weight < np.inf
    tighter = refine_within_torques(problem, as_activation(turned), 0.5 * (plain + bound))
    assert tighter.tracking_weight < kept.tracking_weight


def test_a_bound_that_static_optimisation_exceeds_itself_is_refused(problem: MuscleProblem) -> None:
    with pytest.raises(OptionError, match="off already, above the bound"):
        refine_within_torques(problem, as_activation(solve_static_optimization(problem).activations), 1e-9)
    with pytest.raises(OptionError, match="a share above 0"):
        refine_within_torques(problem, as_activation(solve_static_optimization(problem).activations), 0.0)


def test_muscles_are_paired_and_none_in_common_is_refused(problem: MuscleProblem) -> None:
    solved = solve_static_optimization(problem)
    first, second = problem.muscles[:2]
    electrode = solved.activations[:, :1].assign_coords(muscle=["electrode"])
    check = check_torques(problem, as_activation(electrode), solved, {"electrode": (first, second)})
    course = check.activations.sel(muscle=[first, second]).values
    np.testing.assert_allclose(course.mean(axis=0), solved.activations.values[:, :2].mean(axis=0), atol=0.02)
    with pytest.raises(SignalError, match="none of the refined muscles electrode"):
        check_torques(problem, as_activation(electrode), solved)
