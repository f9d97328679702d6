"""Static optimisation against exact solvers of another make, and against pencil and paper."""

from __future__ import annotations

import dataclasses

import daqp
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize

from musculoskeletal import made_problem
from myodrive import MuscleProblem, solve_static_optimization


def balance(problem: MuscleProblem, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrix over activations and controls of the reserves, and right-hand side."""
    muscles = problem.moment_arms[frame] * problem.active_force[frame]
    passive = problem.moment_arms[frame] @ problem.passive_force[frame]
    return np.hstack([muscles, np.diag(problem.reserves)]), problem.torques[frame] - passive


def by_daqp(
    problem: MuscleProblem, frame: int, hessian: np.ndarray, linear: np.ndarray, bounds: tuple[float, float]
) -> np.ndarray:
    n, m = len(problem.muscles), len(problem.coordinates)
    matrix, right = balance(problem, frame)
    upper = np.r_[np.full(n, bounds[1]), np.full(m, 1e30), right]
    lower = np.r_[np.full(n, bounds[0]), np.full(m, -1e30), right]
    equalities = np.r_[np.zeros(n + m), np.full(m, 5)].astype(np.int32)
    x, _, flag, _ = daqp.solve(hessian, linear, matrix, upper, lower, equalities, primal_tol=1e-9, dual_tol=1e-11)
    assert flag == 1
    return x


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.01, 1.0)])
@pytest.mark.parametrize("reserve", [1.0, 30.0])
@pytest.mark.parametrize("load", [0.5, 1.0, 3.0, 10.0])
def test_squares_agree_with_daqp_also_where_muscles_saturate(
    load: float, reserve: float, bounds: tuple[float, float]
) -> None:
    problem = made_problem(1001, load=load, reserve=reserve)
    solution = solve_static_optimization(problem, bounds=bounds)
    n, m = len(problem.muscles), len(problem.coordinates)
    assert solution.converged.all()
    assert load < 3 or solution.saturated.values.any()
    for frame in range(0, problem.time.size, 5):
        x = by_daqp(problem, frame, 2 * np.eye(n + m), np.zeros(n + m), bounds)
        np.testing.assert_allclose(solution.activations[frame], x[:n], atol=1e-6)
        np.testing.assert_allclose(solution.reserves[frame], x[n:] * reserve, atol=1e-4, rtol=1e-6)


def test_tracking_agrees_with_daqp() -> None:
    problem = made_problem(1002, load=2.0)
    n, m = len(problem.muscles), len(problem.coordinates)
    names, weights = ["muscle_3", "muscle_0"], {"muscle_3": 5.0, "muscle_0": 0.3}
    known = np.random.default_rng(1003).uniform(0, 1, (problem.time.size, 2))
    known[2, 0] = np.nan
    solution = solve_static_optimization(
        problem,
        tracking=xr.DataArray(known, dims=("time", "muscle"), coords={"time": problem.time, "muscle": names}),
        tracking_weight=weights,
    )
    for frame in (0, 2, 7):
        hessian, linear = 2 * np.eye(n + m), np.zeros(n + m)
        for name, value in zip(names, known[frame]):
            if np.isfinite(value):
                i = problem.muscles.index(name)
                hessian[i, i] += 2 * weights[name]
                linear[i] = -2 * weights[name] * value
        x = by_daqp(problem, frame, hessian, linear, (0.0, 1.0))
        np.testing.assert_allclose(solution.activations[frame], x[:n], atol=1e-6)


@pytest.mark.parametrize("load", [1.0, 3.0])
def test_cubes_agree_with_scipy(load: float) -> None:
    problem = made_problem(1004, load=load, reserve=20.0, n_coordinate=4, n_muscle=9, n_time=6)
    solution = solve_static_optimization(problem, exponent=3)
    assert solution.converged.all()
    n, m = len(problem.muscles), len(problem.coordinates)
    for frame in range(0, problem.time.size, 2):
        matrix, right = balance(problem, frame)
        found = minimize(
            lambda x: np.sum(np.abs(x) ** 3),
            np.full(n + m, 0.3),
            jac=lambda x: 3 * x * np.abs(x),
            bounds=[(0, 1)] * n + [(None, None)] * m,
            constraints={"type": "eq", "fun": lambda x, a=matrix, b=right: a @ x - b, "jac": lambda x, a=matrix: a},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 2000},
        )
        ours = np.r_[solution.activations[frame], solution.reserves[frame] / problem.reserves]
        np.testing.assert_allclose(ours, found.x, atol=2e-4)
        assert np.sum(np.abs(ours) ** 3) <= found.fun * (1 + 1e-6)  # and ours is no dearer


def test_two_muscles_by_hand() -> None:
    """Force f and arms r, 2r: a1 = λ f r / 2 and a2 = 2 a1; x = λ d / 2 = a1 d / (f r); f r (a1 + 2 a2) + d x = torque.

    Beyond a2 = 1: f r a1 + d x = torque - 2 f r.
    """
    force, arm, reserve = 1000.0, 0.02, 4.0
    pull = force * arm
    torques = np.array([40.0, 55.0, 90.0])
    problem = MuscleProblem(
        muscles=("near", "far"),
        coordinates=("knee",),
        time=np.arange(3.0),
        torques=torques[:, None],
        moment_arms=np.broadcast_to([[[arm, 2 * arm]]], (3, 1, 2)),
        active_force=np.full((3, 2), force),
        passive_force=np.zeros((3, 2)),
        reserves=np.array([reserve]),
    )
    solution = solve_static_optimization(problem)
    unbounded = torques / (5 * pull + reserve**2 / pull)
    second = (torques - 2 * pull) / (pull + reserve**2 / pull)  # once `far` is at 1
    third = torques - 3 * pull  # once both are: the reserve's alone
    near = np.array([unbounded[0], second[1], 1.0])
    np.testing.assert_allclose(solution.activations[:, 0], near, rtol=1e-9)
    np.testing.assert_allclose(solution.activations[:, 1], [2 * near[0], 1.0, 1.0], rtol=1e-9)
    np.testing.assert_allclose(
        solution.reserves[:, 0], [near[0] * reserve**2 / pull, near[1] * reserve**2 / pull, third[2]], rtol=1e-9
    )


@pytest.mark.parametrize("smoothness_s", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("load", [1.0, 3.0])
def test_smooth_activations_agree_with_daqp_over_all_frames_at_once(load: float, smoothness_s: float) -> None:
    problem = made_problem(1008, load=load, n_time=7, n_coordinate=3, n_muscle=6)
    problem = dataclasses.replace(problem, time=problem.time + np.r_[np.zeros(4), np.full(3, 0.005)])
    problem.torques[5, 1] = np.nan
    frames = [0, 1, 2, 3, 4, 6]
    solution = solve_static_optimization(problem, smoothness_s=smoothness_s)
    n, m, t = 6, 3, len(frames)
    hessian, matrix, right = 2 * np.eye(t * (n + m)), np.zeros((t * m, t * (n + m))), []
    for k, frame in enumerate(frames):
        block, torque = balance(problem, frame)
        matrix[k * m : (k + 1) * m, k * (n + m) : (k + 1) * (n + m)] = block
        right.extend(torque)
        if k and frames[k - 1] == frame - 1:
            tie = 2 * (smoothness_s / (problem.time[frame] - problem.time[frame - 1])) ** 2
            for i in range(n):
                here, before = k * (n + m) + i, (k - 1) * (n + m) + i
                hessian[[here, before], [here, before]] += tie
                hessian[[here, before], [before, here]] -= tie
    upper = np.r_[np.tile(np.r_[np.ones(n), np.full(m, 1e30)], t), right]
    lower = np.r_[np.tile(np.r_[np.zeros(n), np.full(m, -1e30)], t), right]
    equalities = np.r_[np.zeros(t * (n + m)), np.full(t * m, 5)].astype(np.int32)
    x, _, flag, _ = daqp.solve(hessian, np.zeros(t * (n + m)), matrix, upper, lower, equalities, primal_tol=1e-9)
    assert flag == 1
    assert solution.converged.tolist() == [frame in frames for frame in range(7)]
    np.testing.assert_allclose(solution.activations[frames], x.reshape(t, n + m)[:, :n], atol=2e-6)
