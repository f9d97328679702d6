"""Attention, time warping, gain and lag, and the filter, each beside a plain reading of its definition."""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import Ridge

from myodrive.from_simulation.time_warping import _sums, warp
from myodrive.learning.attention import AdditiveAttention, local, look
from myodrive.learning.linear import fit_gain_lag, fit_ridge_by_folds, hold_at_lag, lagged


def test_attention_is_what_loops_over_its_definition_give() -> None:
    rng = np.random.default_rng(1000)
    n_time, n_batch, n_state, n_annotation, n_unit, reach = 7, 3, 4, 5, 6, 2
    net = AdditiveAttention.create(n_state, n_annotation, 2 * reach + 1, n_unit, jax.random.PRNGKey(1000))
    net = AdditiveAttention(net.w_query, net.w_key, jnp.asarray(rng.normal(size=(5, n_unit))), net.v)
    h = rng.normal(size=(n_time, n_batch, n_annotation)).astype(np.float32)
    s = rng.normal(size=(n_batch, n_state)).astype(np.float32)
    present = np.ones((n_time, n_batch), dtype=bool)
    present[5:, 1] = False
    keys, values, here = (local(jnp.asarray(a), reach) for a in (net.keys(jnp.asarray(h)), h, present))
    w_query, w_key, bias, v = (np.asarray(a, np.float64) for a in (net.w_query, net.w_key, net.bias, net.v))
    for t in range(n_time):
        weights = np.asarray(net.weights(jnp.asarray(s), keys[t], here[t] | ~here[t].any(axis=0)))
        context = np.asarray(look(jnp.asarray(weights), values[t]))
        for b in range(n_batch):
            places = [(k, t - reach + k) for k in range(2 * reach + 1)]
            places = [(k, j) for k, j in places if 0 <= j < n_time and present[j, b]]
            if not places:
                continue
            energy = np.array([v @ np.tanh(s[b] @ w_query + h[j, b] @ w_key + bias[k]) for k, j in places])
            alpha = np.exp(energy - energy.max()) / np.exp(energy - energy.max()).sum()
            expected = sum(a * h[j, b] for a, (_, j) in zip(alpha, places))
            np.testing.assert_allclose(context[b], expected, atol=1e-5)
            np.testing.assert_allclose(weights[[k for k, _ in places], b], alpha, atol=1e-5)
            np.testing.assert_allclose(weights[:, b].sum(), 1, atol=1e-5)


def cheapest(distance: np.ndarray, open_start: bool, open_end: bool) -> float:
    """The least cost of any path, by recursion over all of them."""
    n_time, n_phase = distance.shape

    def best(t: int, p: int) -> float:
        start = distance[0, p] if t == 0 and (p == 0 or open_start) else np.inf
        options = [start]
        if t:
            options.append(best(t - 1, p) + distance[t, p])
        if p:
            options.append(best(t, p - 1) + distance[t, p])
        if t and p:
            options.append(best(t - 1, p - 1) + 2 * distance[t, p])
        return min(options)

    ends = range(n_phase) if open_end else [n_phase - 1]
    return min(best(n_time - 1, p) for p in ends)


def test_time_warping_finds_the_least_cost_of_all_paths() -> None:
    rng = np.random.default_rng(1001)
    for open_start, open_end in product((False, True), repeat=2):
        template, signal = rng.normal(size=(4, 2)), rng.normal(size=(5, 2))
        distance = ((signal[:, None] - template[None]) ** 2).sum(axis=2)
        phase = warp(template, signal, open_start=open_start, open_end=open_end)
        assert (np.diff(phase) >= 0).all() and phase.min() >= 0 and phase.max() <= 3
        total = _sums(distance, open_start)
        found = total[-1].min() if open_end else total[-1, -1]
        np.testing.assert_allclose(found, cheapest(distance, open_start, open_end))


def test_time_warping_of_a_template_on_itself_is_the_identity_and_on_a_part_of_it_that_part() -> None:
    template = np.cumsum(np.random.default_rng(1002).random((30, 2)), axis=0)
    np.testing.assert_allclose(warp(template, template), np.arange(30))
    np.testing.assert_allclose(warp(template, template[10:], open_start=True), np.arange(10, 30))
    np.testing.assert_allclose(warp(template, template[:20], open_end=True), np.arange(20))


def test_gain_offset_and_lag_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(1003)
    x = [rng.normal(size=80), rng.normal(size=50)]
    y = [0.3 + 0.7 * hold_at_lag(one, 4) + 0.05 * rng.normal(size=one.size) for one in x]
    y[0][10:20] = np.nan
    fitted = fit_gain_lag(x, y, range(-8, 9))
    rows = [(hold_at_lag(a, 4), b) for a, b in zip(x, y)]
    a, b = (np.concatenate(side) for side in zip(*rows))
    known = np.isfinite(b)
    slope, level = np.polyfit(a[known], b[known], 1)
    assert fitted.lag == 4
    np.testing.assert_allclose([fitted.gain, fitted.offset], [slope, level])
    assert fit_gain_lag([x[0]], [-x[0]]).gain == 0


def test_the_filter_is_scikit_learns_ridge_at_the_penalty_of_the_least_held_out_error() -> None:
    rng = np.random.default_rng(1004)
    features = lagged(rng.normal(size=(120, 2)), [-1, 0, 3])
    assert features.shape == (120, 6)
    np.testing.assert_array_equal(features[3:, 4:], features[:-3, 2:4])
    target = features @ rng.normal(size=(6, 2)) + rng.normal(size=(120, 2))
    fold = np.arange(120) // 30
    folds = [(fold != k, fold == k) for k in range(4)]
    penalties = [1e-3, 1e-1, 10.0]
    fitted, chosen = fit_ridge_by_folds(features, target, folds, penalties)

    def ridge(rows: np.ndarray, penalty: float, column: int) -> tuple[Ridge, np.ndarray, np.ndarray]:
        mean, scale = features[rows].mean(axis=0), features[rows].std(axis=0)
        model = Ridge(alpha=penalty * rows.sum()).fit((features[rows] - mean) / scale, target[rows, column])
        return model, mean, scale

    for column in range(2):
        errors = []
        for penalty in penalties:
            error = 0.0
            for train, test in folds:
                model, mean, scale = ridge(train, penalty, column)
                error += np.sum((model.predict((features[test] - mean) / scale) - target[test, column]) ** 2)
            errors.append(error)
        assert chosen[column] == penalties[int(np.argmin(errors))]
        model, mean, scale = ridge(np.ones(120, dtype=bool), chosen[column], column)
        np.testing.assert_allclose(fitted.predict(features)[:, column], model.predict((features - mean) / scale))
