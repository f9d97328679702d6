"""Splits are leak-proof: no recording, no copy of one and no window is on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from myodrive.errors import OptionError, SignalError
from myodrive.learning.splits import (
    Crossed,
    NewMovement,
    NewRepetition,
    NewSubject,
    NewSubjectPlus,
    in_order,
    split_by_name,
)
from myodrive.learning.study_split import StudySplit, find_copies, nested
from myodrive.learning.time_blocks import TimeBlocks
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


SPLITS = [
    NewSubject(),
    NewMovement(),
    NewRepetition(),
    NewSubject(2),
    NewRepetition(3),
    NewRepetition(tested=("1", "2")),
    NewSubject(known=("S0", "S1")),
]


@pytest.mark.parametrize("split", SPLITS)
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
    if split in (NewSubject(), NewMovement(), NewSubject(2)):
        assert sorted(tested) == list(range(len(study)))


GRID = [(s, m, r) for s in range(3) for m in range(2) for r in range(4)]
copies = st.lists(st.tuples(st.integers(0, len(GRID) - 1), st.integers(0, len(GRID) - 1)), max_size=2)


@pytest.mark.parametrize("tested", [(), ("1", "2")])
@given(copied=copies, seconds=st.floats(0, 0.2))
@settings(max_examples=30, deadline=None)
def test_what_is_adapted_to_is_never_tested_is_the_test_subjects_and_grows_with_the_seconds(
    tested: tuple[str, ...], copied: list[tuple[int, int]], seconds: float
) -> None:
    data = list(range(len(GRID)))
    for source, target in copied:
        data[target] = data[source]
    study = study_of([(*place, seed) for place, seed in zip(GRID, data)])
    try:
        folds, more = (
            NewSubjectPlus(seconds=s, reserve_s=0.3, tested=tested).split(study) for s in (seconds, seconds + 0.1)
        )
    except OptionError:
        assume(False)
    for fold, longer in zip(folds, more, strict=True):
        sides = [{data[i] for i in side} for side in (fold.train, fold.test, fold.adapt)]
        assert not sides[0] & (sides[1] | sides[2]) and not sides[1] & sides[2]
        assert {study[i].subject for i in fold.adapt} <= {study[i].subject for i in fold.test}
        assert fold.test == longer.test
        for who in {study[i].subject for i in fold.test}:
            own, own_longer = ([i for i in f.adapt if study[i].subject == who] for f in (fold, longer))
            assert own_longer[: len(own)] == own == in_order(study, own)
            assert not own or sum(study[i].duration_s for i in own[:-1]) < seconds
        if tested:
            assert {study[i].repetition for i in fold.test} <= set(tested)


def test_recordings_are_ordered_by_repetition_then_by_movement_numbers_as_numbers() -> None:
    study = study_of([(0, m, r, 10 * m + r) for m in range(3) for r in (10, 2, 1)])
    named = [(study[i].repetition, study[i].movement) for i in in_order(study, range(9), ("M2",))]
    assert named == [(r, m) for r in ("1", "2", "10") for m in ("M2", "M0", "M1")]


def test_two_things_can_be_new_at_once() -> None:
    study = study_of([(s, m, r, 100 * s + 10 * m + r) for s in range(2) for m in range(4) for r in range(3)])
    known, both = NewRepetition(tested=("2",)), Crossed(NewRepetition(tested=("2",)), NewMovement(n_folds=2))
    folds = both.split(study)
    assert len(folds) == 2
    assert sorted(i for f in folds for i in f.test) == sorted(known.split(study)[0].test)
    for fold in folds:
        assert {study[i].repetition for i in fold.train} == {"0", "1"}
        assert not {study[i].movement for i in fold.train} & {study[i].movement for i in fold.test}


def test_known_subjects_are_learned_from_and_all_others_tested_in_one_fold() -> None:
    study = study_of([(s, 0, r, 10 * s + r) for s in range(4) for r in range(2)])
    (fold,) = NewSubject(known=("S0", "S2")).split(study)
    assert fold.train == (0, 1, 4, 5) and fold.test == (2, 3, 6, 7)


def test_splits_have_names_and_what_is_misspelt_is_said() -> None:
    assert split_by_name("new-repetition", tested=("7", "8")) == NewRepetition(tested=("7", "8"))
    assert split_by_name("new-subject+30s", reserve_s=40.0) == NewSubjectPlus(seconds=30.0, reserve_s=40.0)
    assert isinstance(split_by_name("new-movement", n_folds=6), NewMovement)
    with pytest.raises(OptionError, match="no split 'new-person'"):
        split_by_name("new-person")
    with pytest.raises(OptionError, match="no option 'tested'"):
        split_by_name("new-movement", tested=("1",))


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
    with pytest.raises(OptionError, match="nothing of S0 is left to test"):
        NewSubjectPlus().split(study_of([(0, 0, 0, 1), (1, 0, 0, 2)]))
    with pytest.raises(OptionError, match="no recording is of S7"):
        NewSubject(known=("S7",)).split(study_of([(0, 0, 0, 1), (1, 0, 0, 2)]))
    with pytest.raises(OptionError, match="none is new"):
        NewSubject(known=("S0",)).split(study_of([(0, 0, 0, 1), (0, 0, 1, 2)]))
    with pytest.raises(OptionError, match="repetition 7"):
        NewRepetition(tested=("7",)).split(study_of([(0, 0, 0, 1), (0, 0, 1, 2)]))
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
