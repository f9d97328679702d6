"""The censored densities of the EMG against SciPy: above the floor, at it, and their means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from myodrive.from_emg.lfads.densities import DENSITIES, FLOOR

# Parameters of each density as the network gives them, and what SciPy makes of them.
CASES = {
    "gamma": {"log_shape": np.log([0.1, 0.8, 2.0, 90.0]), "log_rate": np.log([0.05, 1.0, 30.0, 60.0])},
    "lognormal": {"log_median": np.array([-7.0, -2.0, 0.0, 1.0]), "log_spread": np.log([0.1, 0.5, 1.0, 1.8])},
    "zero_inflated_gamma": {
        "log_shape": np.log([0.1, 0.8, 2.0, 90.0]),
        "log_rate": np.log([0.05, 1.0, 30.0, 60.0]),
        "logit_zero": np.array([-4.0, -1.0, 0.5, 3.0]),
    },
}


def of_scipy(name, p):
    """The density without what lies at zero, and the share that lies there."""
    if name == "lognormal":
        return stats.lognorm(np.exp(p["log_spread"]), scale=np.exp(p["log_median"])), 0.0
    share = 1 / (1 + np.exp(-p["logit_zero"])) if "logit_zero" in p else 0.0
    return stats.gamma(np.exp(p["log_shape"]), scale=np.exp(-p["log_rate"])), share


def as_jax(p):
    return {name: jnp.asarray(v, jnp.float32) for name, v in p.items()}


@pytest.mark.parametrize("name", CASES)
def test_above_the_floor_it_is_the_density_of_scipy(name):
    y = np.array([0.002, 0.3, 1.0, 4.0])[:, None]
    density, share = of_scipy(name, CASES[name])
    found = DENSITIES[name].log_likelihood(
        jnp.broadcast_to(jnp.asarray(y, jnp.float32), (4, 4)),
        {k: jnp.broadcast_to(v, (4, 4)) for k, v in as_jax(CASES[name]).items()},
    )
    np.testing.assert_allclose(found, np.log1p(-share) + density.logpdf(y), rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize("name", CASES)
def test_at_the_floor_it_is_the_probability_of_a_sample_at_or_below_it(name):
    density, share = of_scipy(name, CASES[name])
    found = DENSITIES[name].log_likelihood(jnp.full(4, FLOOR), as_jax(CASES[name]))
    expected = np.logaddexp(np.log(np.maximum(share, 1e-300)), np.log1p(-share) + density.logcdf(FLOOR))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_all_that_can_happen_has_probability_one_so_that_likelihoods_of_two_densities_compare(name):
    """With the point mass of a zero beside a density of the rest it would be infinite, or depend on the unit."""
    p = {k: v[1:3] for k, v in CASES[name].items()}
    grid = np.exp(np.linspace(np.log(FLOOR * 1.0001), np.log(200.0), 4000))
    shape = (len(grid), 2)
    density = np.exp(
        DENSITIES[name].log_likelihood(
            jnp.broadcast_to(jnp.asarray(grid, jnp.float32)[:, None], shape),
            {k: jnp.broadcast_to(v, shape) for k, v in as_jax(p).items()},
        )
    )
    above = integrate.trapezoid(np.asarray(density), grid, axis=0)
    below = np.exp(DENSITIES[name].log_likelihood(jnp.full(2, FLOOR), as_jax(p)))
    np.testing.assert_allclose(above + below, 1.0, rtol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_the_mean_of_the_density(name):
    density, share = of_scipy(name, CASES[name])
    found = np.exp(DENSITIES[name].log_mean(as_jax(CASES[name])))
    np.testing.assert_allclose(found, (1 - share) * density.mean(), rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_an_exact_zero_has_a_finite_gradient_at_the_ends_of_all_bounds(name):
    """The published gamma density of a zero is infinite, and so is its gradient."""
    bounds = DENSITIES[name].bounds
    corners = np.array(np.meshgrid(*bounds.values())).reshape(len(bounds), -1)
    p = {k: jnp.asarray(v, jnp.float32) for k, v in zip(bounds, corners)}

    def loss(p):
        return DENSITIES[name].log_likelihood(jnp.full(corners.shape[1], FLOOR), p).sum()

    value, slopes = jax.value_and_grad(loss)(p)
    assert np.isfinite(value) and all(np.all(np.isfinite(s)) for s in slopes.values())
    published = stats.gamma.logpdf(0.0, [0.5, 2.0])
    assert np.all(np.isinf(published))  # what is mended here


@pytest.mark.parametrize("name", CASES)
def test_the_fit_that_ignores_time_finds_the_density_that_data_were_drawn_from(name):
    rng, n = np.random.default_rng(0), 20_000
    if name == "lognormal":
        data, wanted = np.exp(rng.normal(-0.5, 0.4, (n, 1))), [-0.5, np.log(0.4)]
    else:
        data, wanted = rng.gamma(2.0, 0.25, (n, 1)), [np.log(2.0), np.log(4.0)]
    if name == "zero_inflated_gamma":
        data, wanted = np.where(rng.random((n, 1)) < 0.2, 0.0, data), [*wanted, np.log(0.25)]
    data[::10] = np.nan
    np.testing.assert_allclose(DENSITIES[name].fit(data)[:, 0], wanted, atol=0.05)


@pytest.mark.parametrize("name", CASES)
def test_a_muscle_without_a_sample_gets_finite_parameters(name):
    assert np.all(np.isfinite(DENSITIES[name].fit(np.full((50, 2), np.nan))))
