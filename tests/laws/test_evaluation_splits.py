"""Splits are leak-proof: no recording, no copy of one and no window is on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from myodrive.errors import OptionError, SignalError
from myodrive.learning.splits import (
    NewMovement,
    NewRepetition,
    NewSubject,
    StudySplit,
    TimeBlocks,
    find_copies,
    nested,
)
from myodrive.recording import Recording, Study, make_signal

rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.integers(0, 12)), min_size=4, max_size=14
)


def study_of(table: list[tuple[int, int, int, int]]) -> Study:
    """(subject, movement, repetition, seed of the data): the same seed is the same data."""
    recordings = []
    for subject, movement, repetition, seed in table:
        values = np.random.default_rng(seed).normal(size=(8, 1))
        emg = make_signal(values, ("time", "muscle"), {"muscle": ["m"]}, units="V", rate_hz=100)
        names = {"subject": f"S{subject}", "movement": f"M{movement}", "repetition": str(repetition)}
        recordings.append(Recording({"emg": emg}, **names))
    return Study(recordings)


@pytest.mark.parametrize("split", [NewSubject(), NewMovement(), NewRepetition(), NewSubject(2), NewRepetition(3)])
@given(table=rows)
@settings(max_examples=40, deadline=None)
def test_no_recording_and_no_copy_is_on_both_sides(split: StudySplit, table: list[tuple[int, int, int, int]]) -> None:
    study = study_of(table)
    try:
        folds = split.split(study)
    except OptionError:
        assume(False)
    for fold in folds:
        assert fold.train and fold.test
        assert not set(fold.train) & set(fold.test)
        seeds = [{table[i][3] for i in side} for side in (fold.train, fold.test)]
        assert not seeds[0] & seeds[1]
        if isinstance(split, NewSubject):
            assert not {table[i][0] for i in fold.train} & {table[i][0] for i in fold.test}
        if isinstance(split, NewMovement):
            assert not {table[i][1] for i in fold.train} & {table[i][1] for i in fold.test}
        if isinstance(split, NewRepetition):
            assert {table[i][:2] for i in fold.test} <= {table[i][:2] for i in fold.train}
    tested = [i for fold in folds for i in fold.test]
    assert len(tested) == len(set(tested))
    if not isinstance(split, NewRepetition):
        assert sorted(tested) == list(range(len(study)))


def test_inner_folds_never_see_the_outer_test_side() -> None:
    study = study_of([(s, m, r, 100 * s + 10 * m + r) for s in range(3) for m in range(2) for r in range(3)])
    pairs = list(nested(NewSubject(), NewRepetition(), study))
    assert len(pairs) == 3
    for outer, inner in pairs:
        assert len(inner) == 3
        for fold in inner:
            assert set(fold.train) | set(fold.test) <= set(outer.train)
            assert not set(fold.train) & set(fold.test)


def test_copies_are_found_and_refused_on_request_and_subjects_that_share_one_are_one() -> None:
    study = study_of([(0, 0, 0, 1), (0, 0, 1, 2), (1, 0, 0, 1), (2, 0, 0, 3)])
    assert find_copies(study) == [[0, 2]]
    folds = NewSubject().split(study)
    assert [(f.test, f.held_out) for f in folds] == [((0, 1, 2), "S0 = S1"), ((3,), "S2")]
    with pytest.raises(SignalError, match="the same data"):
        NewSubject(copies="refuse").split(study)


def test_what_cannot_be_held_out_is_refused_in_a_sentence() -> None:
    with pytest.raises(OptionError, match="at least two"):
        NewSubject().split(study_of([(0, 0, 0, 1), (0, 1, 0, 2)]))
    with pytest.raises(SignalError, match="has no movement"):
        NewMovement().split(Study([r.replace(movement="") for r in study_of([(0, 0, 0, 1), (0, 1, 0, 2)])]))
    with pytest.raises(OptionError, match="two repetitions"):
        NewRepetition().split(study_of([(0, 0, 0, 1), (0, 1, 0, 2)]))


@given(st.integers(40, 300), st.integers(2, 6), st.floats(0, 0.5), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_no_window_as_long_as_the_gap_touches_both_sides_of_a_time_split(
    n_time: int, n_folds: int, gap_s: float, seed: int
) -> None:
    time = np.cumsum(np.random.default_rng(seed).uniform(0.005, 0.05, n_time))
    try:
        folds = TimeBlocks(n_folds, gap_s).split(time)
    except OptionError:
        assume(False)
    for train, test in folds:
        assert np.abs(time[train][:, None] - time[test][None]).min() > gap_s
        assert np.ptp(np.flatnonzero(test)) == test.sum() - 1
    np.testing.assert_array_equal(sum(test.astype(int) for _, test in folds), 1)


def test_the_knee_recordings_published_twice_are_recognised(shared_data) -> None:
    import lzma

    def read(name: str) -> Recording:
        with lzma.open(shared_data / "leg-uci-knee" / "N_TXT" / f"{name}.txt.xz", "rt", errors="replace") as file:
            rows = [line.split("\t") for line in file if line[:1] in "-0123456789" and line.count("\t") == 4]
        values = np.array([r[:4] for r in rows], dtype=float)
        emg = make_signal(values, ("time", "muscle"), {"muscle": list("abcd")}, units="mV", rate_hz=1000)
        return Recording({"emg": emg}, subject=name[:2])

    study = Study([read(n) for n in ("1Npie", "2Npie", "3Npie")])
    assert find_copies(study) == [[0, 1]]
