"""Networks that run backwards in time: the same as forwards on EMG that is turned round, and never otherwise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from myodrive.from_emg.lfads.decoder import decode
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, Sizes, directed, encode

SIZES = Sizes(n_muscle=2, ic_encoder=3, ci_encoder=3, controller=3, generator=4, n_initial=2, n_input=2, n_factor=2)
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def traced(net, x, seen):
    code = encode(net, x, seen, NO_DROPOUT)
    return decode(net, code, jax.random.PRNGKey(5), NO_DROPOUT).parameters["log_rate"]


log_rate = quick_jit(traced)


def parts(n_time=7, n_batch=3):
    net = Network.create(SIZES, jnp.zeros((2, 2)), jax.random.PRNGKey(0))
    x = jax.random.normal(jax.random.PRNGKey(1), (n_time, n_batch, 4))
    seen = (jax.random.uniform(jax.random.PRNGKey(2), (n_time, n_batch, 2)) < 0.8).astype(jnp.float32)
    return net, x, seen


def test_a_backward_network_does_on_emg_what_a_forward_one_does_on_emg_turned_round():
    net, x, seen = parts()
    backwards = log_rate(directed(net, backward=True), x, seen)
    np.testing.assert_allclose(backwards, log_rate(net, x[::-1], seen[::-1])[::-1], rtol=1e-5, atol=1e-6)
    assert np.abs(backwards - log_rate(net, x, seen)).max() > 1e-3


def test_a_population_holds_both_directions_and_learning_changes_neither():
    net, x, seen = parts()
    both = [directed(net, backward=b) for b in (False, True)]
    together = quick_jit(jax.vmap(traced, (0, None, None)))(jax.tree.map(lambda *a: jnp.stack(a), *both), x, seen)
    for one, alone in zip(together, both):
        np.testing.assert_allclose(one, log_rate(alone, x, seen), rtol=1e-4, atol=1e-5)
    slope = quick_jit(jax.grad(lambda n: jnp.sum(traced(n, x, seen) ** 2)))(both[1])
    assert slope.backward == 0 and np.any(slope.to_factor != 0)
