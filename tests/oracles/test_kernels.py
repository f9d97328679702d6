"""Machine code against the plain scans: values and every gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from myodrive.from_emg.lfads import decoder, model
from myodrive.learning import kernels, recurrent
from myodrive.learning.recurrent import GRU, LSTM, run

pytestmark = pytest.mark.skipif(not kernels.available(), reason="there are no kernels for this machine")


def close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * (1 + float(jnp.abs(b).max())))


def by_both(monkeypatch, module, function, *arguments):
    found = jax.jit(function)(*arguments)
    monkeypatch.setattr(module, "usable", lambda *arrays: False)
    return found, jax.jit(lambda *a: function(*a))(*arguments)


@pytest.mark.parametrize("kind", [GRU, LSTM])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("n_time", "some_missing", "clip"), [(13, True, 0.4), (3, False, 5.0)])
def test_a_sequence_and_its_gradients_are_those_of_the_scan(monkeypatch, kind, reverse, n_time, some_missing, clip):
    keys = jax.random.split(jax.random.PRNGKey(0), 6)
    cell = jax.tree.map(lambda a: a + 0.1 * jax.random.normal(keys[5], a.shape), kind.create(7, 12, keys[0]))
    x, start = 2 * jax.random.normal(keys[1], (n_time, 5, 7)), 0.3 * jax.random.normal(keys[2], cell.initial(5).shape)
    present = jax.random.uniform(keys[3], (n_time, 5)) > 0.3 if some_missing else None
    weight = jax.random.normal(keys[4], (n_time, 5, 12))

    def loss(cell, x, start):
        states = run(cell, x, initial=start, present=present, reverse=reverse, clip=clip)
        return (weight * states).sum(), states

    close(*by_both(monkeypatch, recurrent, jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True), cell, x, start))


@pytest.mark.parametrize("over_members", [jax.vmap, lambda f: lambda *a: jax.lax.map(lambda x: f(*x), a)])
def test_members_of_a_population_are_run_one_by_one(monkeypatch, over_members):
    keys = jax.random.split(jax.random.PRNGKey(1), 3)
    cells = jax.vmap(lambda key: GRU.create(2, 4, key))(keys)
    x = jax.random.normal(keys[0], (3, 5, 2, 2))
    slopes = jax.value_and_grad(lambda cell, x: (run(cell, x, clip=0.5) ** 2).sum())
    close(*by_both(monkeypatch, recurrent, over_members(slopes), cells, x))


@pytest.mark.parametrize(("n_time", "n_external", "n_input"), [(9, 0, 2), (3, 2, 1)])
def test_the_decoder_and_its_gradients_are_those_of_the_scan(monkeypatch, n_time, n_external, n_input):
    net, code, keys = network_and_code(n_time, n_external, n_input)
    drop = model.Dropout.draw(net, 4, 0.3, keys[4])

    def loss(net, code):
        drawn = decoder.decode(net, code, keys[5], drop)
        return sum(((i + 1) * jnp.sin(a + i)).sum() for i, a in enumerate(jax.tree.leaves(drawn))), drawn

    close(*by_both(monkeypatch, decoder, jax.value_and_grad(loss, argnums=(0, 1), has_aux=True), net, code))


def test_many_draws_share_one_context(monkeypatch):
    net, code, keys = network_and_code(6, 0)
    three = jax.tree.map(lambda a: jnp.tile(a, (3, 1)), code[:2])
    shared = code._replace(initial_mean=three[0], initial_variance=three[1])

    def draws(net, shared):
        return decoder.decode(net, shared, keys[5], model.NO_DROPOUT)

    found, by_scan = by_both(monkeypatch, decoder, draws, net, shared)
    close(found, by_scan)
    close(found, draws(net, shared._replace(context=jnp.tile(code.context, (1, 3, 1)))))


def network_and_code(n_time, n_external, n_input=2):
    keys = jax.random.split(jax.random.PRNGKey(2), 8)
    sizes = model.Sizes(3, 8, 6, 5, 7, 4, n_input, 3, n_external=n_external)
    net = model.Network.create(sizes, jnp.zeros((2, 3)), keys[0])
    net = jax.tree.map(lambda a: a + 0.2 * jax.random.normal(keys[1], a.shape), net)
    code = model.Encoded(
        jax.random.normal(keys[2], (4, 4)),
        jnp.exp(jax.random.normal(keys[3], (4, 4))),
        jax.random.normal(keys[6], (n_time, 4, 12)),
        jax.random.normal(keys[7], (n_time, 4, n_external)) if n_external else None,
    )
    return net, code, keys
