"""Decoding learns nothing from what it scores, and finds what is there: lag, relation, and what no average knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.errors import MyodriveError
from myodrive.evaluation.decoding import decode
from myodrive.evaluation.references import event_mean, odd_even_r, one_label, others_mean, single_trial_r2
from myodrive.learning.linear import at_lag, fit_ridge
from myodrive.learning.time_blocks import TimeBlocks

RATE = 50.0
TIME = np.arange(0, 60, 1 / RATE)
CYCLES = [(float(t), t + 2.0, "right") for t in np.arange(0, 59, 2.0)]


def smooth(seed: int, n_column: int, width_s: float = 0.3) -> np.ndarray:
    kernel = np.hanning(round(width_s * RATE) * 2 + 1)
    noise = np.random.default_rng(seed).normal(size=(TIME.size, n_column))
    return np.stack([np.convolve(c, kernel / np.linalg.norm(kernel), "same") for c in noise.T], axis=1)


@given(st.integers(0, 1000), st.integers(0, 4))
@settings(max_examples=3, deadline=None)
def test_what_is_in_a_test_block_changes_no_parameter_learned_for_it(seed: int, block: int) -> None:
    features, target = smooth(seed, 3), smooth(seed + 1, 1)
    _, test = TimeBlocks(5, 0.8).split(TIME)[block]
    rng = np.random.default_rng(seed)
    shuffled, moved = target.copy(), features.copy()
    shuffled[test] = 100 * rng.permutation(target[test])
    moved[test] = 0.0
    found = [decode(features, y, TIME, cycles=CYCLES) for y in (target, shuffled)]
    np.testing.assert_array_equal(found[0].lag_s[block], found[1].lag_s[block])
    np.testing.assert_array_equal(found[0].penalty[block], found[1].penalty[block])
    np.testing.assert_array_equal(found[0].prediction[test], found[1].prediction[test])
    other = decode(moved, target, TIME)
    np.testing.assert_array_equal(found[0].penalty[block], other.penalty[block])
    np.testing.assert_array_equal(found[0].lag_s[block], other.lag_s[block])


@given(st.sampled_from([-0.06, 0.0, 0.1, 0.24]), st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_delayed_linear_relation_is_found_with_its_lag(lag_s: float, seed: int) -> None:
    features = smooth(seed, 3)
    target = at_lag(features, round(lag_s * RATE)) @ np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]]) + 5.0
    found = decode(features, target, TIME)
    assert (found.r2 > 0.999).all()
    np.testing.assert_allclose(found.lag_s, lag_s, atol=1e-9)
    assert found.lags_s[found.lag_curve[:, 0].argmax()] == pytest.approx(lag_s)


def test_unrelated_features_score_nothing() -> None:
    found = decode(smooth(1, 4), smooth(2, 2), TIME)
    assert (found.r2 < 0.05).all()


def test_the_event_mean_gets_what_repeats_and_the_residual_what_does_not() -> None:
    template = np.exp(2 * np.cos(np.pi * TIME))[:, None]
    single = smooth(3, 1)
    both = template / template.std() + single / single.std()
    knows_all = decode(both, both, TIME, cycles=CYCLES)
    knows_phase = decode(template + 0.01 * smooth(4, 1), both, TIME, cycles=CYCLES)
    assert knows_all.event_mean_r2[0] == pytest.approx(0.5, abs=0.12)
    assert knows_all.residual_r2[0] > 0.95
    assert knows_phase.r2[0] == pytest.approx(0.5, abs=0.12)  # it looks as good as the event mean, and is no better
    assert knows_phase.residual_r2[0] < 0.05


def test_missing_samples_are_neither_learned_from_nor_scored_and_a_short_recording_is_refused() -> None:
    features = smooth(5, 2)
    target = features @ np.array([[1.0], [1.0]])
    features[100:200], target[700:800] = np.nan, np.nan
    found = decode(features, target, TIME)
    assert found.r2[0] > 0.999 and found.n_scored == TIME.size - 200
    with pytest.raises(MyodriveError):
        decode(features[:60], target[:60], TIME[:60])
    with pytest.raises(MyodriveError, match="too little"):
        decode(np.full_like(features, np.nan), target, TIME)


def test_the_event_mean_of_a_cycle_never_contains_that_cycle() -> None:
    values = smooth(6, 1)
    other = values.copy()
    third = (TIME >= 4.0) & (TIME < 6.0)
    other[third] = 9.0
    before, after = event_mean(values, TIME, CYCLES), event_mean(other, TIME, CYCLES)
    np.testing.assert_allclose(before[third], after[third], atol=1e-9)
    later = (TIME > 8.0) & (TIME < 58.0)
    assert not np.allclose(before[later], after[later])
    train = TIME < 20
    np.testing.assert_array_equal(
        event_mean(values, TIME, CYCLES, train)[~train],
        event_mean(np.where(train[:, None], values, 7.0), TIME, CYCLES, train)[~train],
    )


def test_references_of_trials_that_are_all_alike_are_perfect_and_of_noise_are_nothing() -> None:
    curve = np.sin(np.linspace(0, 6, 101))[None, :, None]
    alike = np.repeat(curve, 6, axis=0)
    np.testing.assert_allclose(odd_even_r(alike), 1.0)
    np.testing.assert_allclose(single_trial_r2(alike), 1.0)
    np.testing.assert_allclose(others_mean(alike), alike)
    noise = np.random.default_rng(0).normal(size=(40, 101, 3))
    assert (np.abs(odd_even_r(noise)) < 0.4).all() and (single_trial_r2(noise) < 0.05).all()
    holed = noise.copy()
    holed[0, 5, 1] = np.nan
    np.testing.assert_array_equal(odd_even_r(holed)[[0, 2]], odd_even_r(noise)[[0, 2]])
    assert np.isnan(odd_even_r(noise[:3])).all()


def test_cycles_of_one_side_are_taken_without_overlap() -> None:
    cycles = [(0.0, 1.0, "right"), (0.5, 1.5, "left"), (1.0, 2.0, "right"), (1.4, 2.2, "right")]
    assert one_label(cycles) == [(0.0, 1.0, "right"), (1.0, 2.0, "right")]
    assert one_label([]) == []


def test_ridge_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = smooth(7, 4) * np.array([1.0, 10.0, 0.1, 0.0]) + np.array([5.0, 0.0, 0.0, 3.0])  # the last never varies
    y = smooth(8, 2)
    for penalty, mine in zip((1e-3, 0.1, 10.0), fit_ridge(x, y, (1e-3, 0.1, 10.0))):
        oracle = make_pipeline(StandardScaler(), Ridge(alpha=penalty * len(x))).fit(x, y)
        np.testing.assert_allclose(mine.predict(x), oracle.predict(x), atol=1e-9)
