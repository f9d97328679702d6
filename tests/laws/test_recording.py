"""Signals keep their own clocks, and nothing crosses a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.activation import Activation
from myodrive.errors import SignalError
from myodrive.recording import (
    Recording,
    Study,
    data_hash,
    gap_free_runs,
    is_uniform,
    make_events,
    make_signal,
    sampling_rate,
)

DIMS = ("time", "muscle")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=60), st.sets(st.integers(1, 59), max_size=4))
def test_gap_free_runs_cover_every_finite_sample_once_and_cross_no_jump(finite: list[bool], jumps: set[int]) -> None:
    mask = np.array(finite)
    steps = np.full(mask.size - 1, 0.01)
    # A jump every so often: the median step stays what it is.
    for j in jumps:
        if j < mask.size and len(jumps) * 2 < mask.size - 1:
            steps[j - 1] = 0.5
    time = np.concatenate([[0.0], np.cumsum(steps)])
    runs = gap_free_runs(time, mask)
    covered = np.zeros(mask.size, dtype=int)
    for run in runs:
        covered[run] += 1
        assert np.all(np.diff(time[run]) < 0.1)
    assert np.array_equal(covered, mask.astype(int))


@pytest.mark.parametrize("rate", [148.148148, 500.0, 2000.0, 2148.1481, 1925.925925, 12500.0])
def test_the_sampling_rate_is_not_rounded(rate: float) -> None:
    signal = make_signal(np.zeros((4000, 1)), DIMS, {"muscle": ["a"]}, units="V", rate_hz=rate, start_s=12.34)
    assert sampling_rate(signal) == pytest.approx(rate, rel=1e-7)
    assert is_uniform(signal)


def test_a_gap_does_not_change_the_sampling_rate() -> None:
    time = np.r_[np.arange(100) / 1000, 5 + np.arange(100) / 1000]
    signal = make_signal(np.zeros((200, 1)), DIMS, {"muscle": ["a"]}, units="V", time=time)
    assert sampling_rate(signal) == pytest.approx(1000)


@pytest.mark.parametrize("time", [[0.0, 0.2, 0.1], [0.0, 0.1, 0.1], [0.0, np.nan, 0.2]])
def test_a_clock_that_runs_backwards_is_refused(time: list[float]) -> None:
    signal = make_signal(np.zeros((3, 1)), DIMS, {"muscle": ["a"]}, units="V", time=np.array(time))
    with pytest.raises(SignalError, match="time"):
        Recording({"emg": signal})


def test_a_missing_signal_is_named_with_those_that_are_there() -> None:
    signal = make_signal(np.zeros((3, 1)), ("time", "channel"), {"channel": ["Fx"]}, units="N", rate_hz=10)
    with pytest.raises(SignalError, match=r"no signal 'emg'.*forces.*--emg"):
        Recording({"forces": signal})["emg"]


def test_the_hash_sees_values_labels_and_clock() -> None:
    base = make_signal(np.ones((3, 1)), DIMS, {"muscle": ["a"]}, units="V", rate_hz=10)
    others = [
        make_signal(np.ones((3, 1)) * 2, DIMS, {"muscle": ["a"]}, units="V", rate_hz=10),
        make_signal(np.ones((3, 1)), DIMS, {"muscle": ["b"]}, units="V", rate_hz=10),
        make_signal(np.ones((3, 1)), DIMS, {"muscle": ["a"]}, units="V", rate_hz=11),
    ]
    assert data_hash(base) == data_hash(base.copy())
    assert len({data_hash(s) for s in [base, *others]}) == 4


def test_a_study_is_selected_by_labels() -> None:
    study = Study([Recording({}, subject=s, movement=m) for s in "AB" for m in ("walk", "run")])
    assert study.subjects == ["A", "B"]
    assert [r.subject for r in study.where(movement="run")] == ["A", "B"]


def test_events_are_sorted_by_time() -> None:
    assert list(make_events([(2.0, "foot off", "left"), (1.0, "foot strike", "left")]).label) == [
        "foot strike",
        "foot off",
    ]


def test_an_activation_that_is_not_finite_is_never_valid() -> None:
    values = make_signal(np.array([[0.1, np.nan], [0.2, 0.3]]), DIMS, {"muscle": ["a", "b"]}, units="1", rate_hz=10)
    activation = Activation(values, method="x", relative_to="q95", valid=values.isnull() | True)
    assert activation.valid.values.tolist() == [[True, False], [True, True]]
    assert not activation.has_interval


def test_an_activation_relative_to_nothing_known_is_refused() -> None:
    values = make_signal(np.zeros((2, 1)), DIMS, {"muscle": ["a"]}, units="1", rate_hz=10)
    with pytest.raises(SignalError, match="relative to one of mvc"):
        Activation(values, method="x", relative_to="own maximum")
