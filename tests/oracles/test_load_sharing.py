"""Moments that are shared out: against non-negative least squares, and its slopes against differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from myodrive.from_motion.load_sharing import STIFF, share_out

N_JOINT, N_INSTANT, N_MUSCLE = 4, 200, 24


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.normal(size=(N_JOINT, N_INSTANT, N_MUSCLE)), rng.normal(size=(N_JOINT, N_INSTANT))


def by_least_squares(arms: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """One instant."""
    matrix = np.concatenate([np.eye(arms.shape[1]), np.sqrt(STIFF) * arms])
    return nnls(matrix, np.concatenate([np.zeros(arms.shape[1]), np.sqrt(STIFF) * moments]))[0]


def test_efforts_are_those_of_non_negative_least_squares(problem: tuple[np.ndarray, np.ndarray]) -> None:
    arms, moments = problem
    found = np.asarray(share_out(jnp.asarray(arms, jnp.float32), jnp.asarray(moments, jnp.float32)))
    wanted = np.array([by_least_squares(arms[:, k], moments[:, k]) for k in range(N_INSTANT)])
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert (found >= 0).all() and 0.2 < (found > 0).mean() < 0.8


def test_twice_the_moments_are_shared_out_in_the_same_way(problem: tuple[np.ndarray, np.ndarray]) -> None:
    arms, moments = (jnp.asarray(v, jnp.float32) for v in problem)
    np.testing.assert_allclose(share_out(arms, 2 * moments), 2 * share_out(arms, moments), atol=1e-4)


def test_slopes_are_those_of_the_solution(problem: tuple[np.ndarray, np.ndarray]) -> None:
    arms, moments = problem[0][:, :20], problem[1][:, :20]
    weight = np.random.default_rng(1).normal(size=arms.shape[1:])

    def total(arms: np.ndarray) -> float:
        return float(sum(weight[k] @ by_least_squares(arms[:, k], moments[:, k]) for k in range(arms.shape[1])))

    def told(arms: jax.Array) -> jax.Array:
        return (jnp.asarray(weight, jnp.float32) * share_out(arms, jnp.asarray(moments, jnp.float32))).sum()

    slope = np.asarray(jax.grad(told)(jnp.asarray(arms, jnp.float32)))
    for way in np.random.default_rng(2).normal(size=(3, *arms.shape)):
        by_difference = (total(arms + 1e-6 * way) - total(arms - 1e-6 * way)) / 2e-6
        assert (slope * way).sum() == pytest.approx(by_difference, rel=2e-3, abs=2e-3)
