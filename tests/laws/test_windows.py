"""Cutting into windows and putting them together again loses nothing, and validation never sees training samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myodrive.conditioning.windows import chop, merge, partition, stretches, window_starts
from myodrive.errors import OptionError

cuts = st.integers(1, 40).flatmap(
    lambda window: st.tuples(st.integers(1, 150), st.just(window), st.integers(0, window - 1))
)


@given(cuts, st.integers(0, 2**32 - 1))
def test_merging_what_was_chopped_gives_the_recording_back_for_any_length_window_and_overlap(cut, seed):
    n_time, window, overlap = cut
    values = np.random.default_rng(seed).normal(size=(n_time, 3))
    values[np.random.default_rng(seed + 1).random(values.shape) < 0.2] = np.nan
    windows, starts = chop(values, window, overlap)
    np.testing.assert_allclose(merge(windows, starts, n_time, overlap), values, rtol=1e-12)


@given(cuts)
def test_windows_that_disagree_are_mixed_with_weights_that_sum_to_one(cut):
    n_time, window, overlap = cut
    starts = window_starts(n_time, window, overlap)
    values = np.random.default_rng(0).normal(size=(len(starts), window, 1))
    merged = merge(values, starts, n_time, overlap)
    assert np.all((merged >= values.min() - 1e-12) & (merged <= values.max() + 1e-12))
    np.testing.assert_allclose(merge(np.ones_like(values), starts, n_time, overlap), 1.0, rtol=1e-12)


def test_an_estimate_passes_from_one_window_to_the_next_in_equal_steps():
    windows = np.stack([np.zeros((8, 1)), np.ones((8, 1))])
    merged = merge(windows, np.array([0, 5]), 13, overlap=3)
    np.testing.assert_allclose(merged[4:9, 0], [0, 0.25, 0.5, 0.75, 1])


def test_a_stretch_ends_where_the_clock_jumps_and_where_no_muscle_is_recorded():
    time = np.r_[np.arange(5.0), 10 + np.arange(6.0)]
    values = np.ones((11, 2))
    values[2, 0] = np.nan  # the other muscle is still there
    values[7] = np.nan
    assert stretches(time, values) == [slice(0, 5), slice(5, 7), slice(8, 11)]


@given(
    lengths=st.lists(st.integers(20, 200), min_size=1, max_size=8),
    window=st.integers(3, 10),
    gap=st.integers(0, 15),
    first=st.integers(0, 9),
)
def test_no_training_window_shares_a_sample_with_a_validation_window_or_crosses_a_border(lengths, window, gap, first):
    try:
        parts = partition(lengths, window, fraction=0.2, gap=gap, first=first)
    except OptionError:
        return  # too short to set anything aside
    trial = np.repeat(np.arange(len(lengths)), lengths)
    trained, validated = (
        (starts[:, None] + np.arange(window)).astype(int) for starts in (parts.training, parts.validation)
    )
    for windows in (trained, validated):
        assert np.all(trial[windows] == trial[windows[:, :1]])
    assert validated.size and trained.size
    used = np.unique(trained)
    distance = np.abs(used[:, None] - np.unique(validated)[None, :])
    same_trial = trial[used][:, None] == trial[np.unique(validated)][None, :]
    assert np.min(distance[same_trial], initial=10**6) > gap


def test_an_overlap_as_long_as_the_window_is_refused_in_words():
    with pytest.raises(OptionError, match="cannot overlap by 10"):
        chop(np.zeros((50, 1)), 10, 10)
