"""The terms of the objective against SciPy, closed forms and draws."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from myodrive.from_emg.lfads.decoder import Decoded
from myodrive.from_emg.lfads.densities import FLOOR, log_gamma_density
from myodrive.from_emg.lfads.model import PRIOR_VARIANCE, Encoded, Network, Sizes
from myodrive.from_emg.lfads.objective import kl_of_initial, kl_of_inputs

SIZES = Sizes(n_muscle=2, ic_encoder=3, ci_encoder=3, controller=4, generator=5, n_initial=3, n_input=2, n_factor=2)


def network():
    return jax.jit(Network.create, static_argnums=0)(SIZES, jnp.zeros((2, 2)), jax.random.PRNGKey(0))


def test_above_the_floor_the_density_is_the_gamma_density_of_scipy():
    y, shape, rate = np.meshgrid([0.002, 0.3, 1.0, 4.0], [0.1, 0.8, 2.0, 90.0], [0.05, 1.0, 30.0])
    found = log_gamma_density(jnp.asarray(y), jnp.log(shape), jnp.log(rate))
    np.testing.assert_allclose(found, stats.gamma.logpdf(y, shape, scale=1 / rate), rtol=2e-4, atol=2e-4)


def test_at_the_floor_it_is_the_probability_of_a_sample_at_or_below_it():
    shape, rate = np.meshgrid([0.1, 0.8, 2.0, 20.0], [0.05, 1.0, 50.0, 4900.0])
    found = log_gamma_density(jnp.full(shape.shape, FLOOR), jnp.log(shape), jnp.log(rate))
    np.testing.assert_allclose(found, stats.gamma.logcdf(FLOOR, shape, scale=1 / rate), rtol=1e-3, atol=1e-3)


def test_an_exact_zero_has_a_finite_gradient():
    def loss(p):
        return log_gamma_density(jnp.full(3, FLOOR), p, jnp.array([-4.0, 0.0, 8.5])).sum()

    assert np.all(np.isfinite(jax.grad(loss)(jnp.array([-2.5, 0.0, 6.0]))))


def test_the_divergence_of_the_initial_condition_equals_the_mean_log_ratio_of_draws():
    net, rng = network(), np.random.default_rng(0)
    mean, variance = rng.normal(size=(1, 3)), rng.uniform(0.02, 0.3, (1, 3))
    code = Encoded(jnp.asarray(mean), jnp.asarray(variance), jnp.zeros((1, 1, 6)))
    z = rng.normal(mean, np.sqrt(variance), (200_000, 3))
    ratio = stats.norm.logpdf(z, mean, np.sqrt(variance)) - stats.norm.logpdf(z, 0, np.sqrt(PRIOR_VARIANCE))
    np.testing.assert_allclose(kl_of_initial(net, code)[0], ratio.sum(axis=1).mean(), rtol=0.01)


def test_the_divergence_of_the_inputs_equals_that_of_the_whole_sequence_under_its_autoregressive_prior():
    net, rng, n_time = network(), np.random.default_rng(1), 4
    phi, noise = np.exp(-1 / 10.0), 0.1
    time = np.arange(n_time)
    covariance = noise / (1 - phi**2) * phi ** np.abs(time[:, None] - time)
    mean, variance = rng.normal(size=(n_time, 2)), rng.uniform(0.02, 0.3, (n_time, 2))
    prior = stats.multivariate_normal(np.zeros(n_time), covariance)
    u = rng.normal(mean, np.sqrt(variance), (50_000, n_time, 2))
    log_q = stats.norm.logpdf(u, mean, np.sqrt(variance)).sum(axis=(1, 2))
    expected = np.mean(log_q - prior.logpdf(u[:, :, 0]) - prior.logpdf(u[:, :, 1]))
    draws = jnp.asarray(u.transpose(1, 0, 2))  # each draw is one of a batch
    alike = [jnp.broadcast_to(jnp.asarray(a)[:, None], draws.shape) for a in (mean, np.log(variance))]
    nothing = jnp.zeros((n_time, len(u), 2))
    found = kl_of_inputs(net, Decoded({}, nothing, draws, *alike))
    np.testing.assert_allclose(np.mean(found), expected, rtol=0.01)
