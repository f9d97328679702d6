"""The scans against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from myodrive.learning.recurrent import GRU, LSTM, run, run_both_ways


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(cell, h, x):
    r, z, n = np.split(x @ np.array(cell.w_input) + np.array(cell.bias), 3, axis=-1)
    hr, hz, hn = np.split(h @ np.array(cell.w_state), 3, axis=-1)
    r, z = sigmoid(r + hr), sigmoid(z + hz)
    n = np.tanh(n + r * (hn + np.array(cell.bias_state)))
    return (1 - z) * n + z * h


def lstm_step(cell, state, x):
    h, c = np.split(state, 2, axis=-1)
    i, f, o, g = np.split(x @ np.array(cell.w_input) + h @ np.array(cell.w_state) + np.array(cell.bias), 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.concatenate([sigmoid(o) * np.tanh(c), c], axis=-1)


@pytest.mark.parametrize(("kind", "step", "width"), [(GRU, gru_step, 4), (LSTM, lstm_step, 8)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_with_missing_steps_and_clipping_equals_a_loop(kind, step, width, reverse):
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    cell = kind.create(3, 4, keys[0])
    x = np.array(3 * jax.random.normal(keys[1], (6, 2, 3)))
    present = np.array([[1, 1], [1, 0], [1, 1], [0, 1], [1, 1], [1, 0]], dtype=bool)
    state, expected = np.zeros((2, width)), np.zeros((6, 2, 4))
    for t in reversed(range(6)) if reverse else range(6):
        new = step(cell, state, x[t])
        clipped = new if kind is LSTM else np.clip(new, -0.4, 0.4)
        state = np.where(present[t][:, None], clipped, state)
        expected[t] = state[:, :4]
    clip = jnp.inf if kind is LSTM else 0.4
    found = run(cell, jnp.asarray(x), present=jnp.asarray(present), reverse=reverse, clip=float(clip))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_cell_of_the_future_reads_the_window_backwards():
    keys = jax.random.split(jax.random.PRNGKey(1), 2)
    cell = GRU.create(3, 4, keys[0])
    x = jax.random.normal(keys[1], (7, 2, 3))
    past, future = run_both_ways(cell, cell, x)
    np.testing.assert_allclose(future, run(cell, x[::-1])[::-1], atol=1e-6)
    np.testing.assert_allclose(past, run(cell, x), atol=1e-6)
