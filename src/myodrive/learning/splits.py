"""What is new in the test data, by name: a repetition, a movement, a subject, a subject of whom some seconds are known;
and blocks of time with a gap.

A split of a `Study` never has a recording, nor a copy of one, on both sides. Copies (one recording published under
two names) are found by the hash of their data and travel together, or are refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float

from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, Study, data_hash


@dataclasses.dataclass(frozen=True)
class Fold:
    """Which recordings of a study, by index, to learn from and which to score on."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    held_out: str  # what is new in the test data
    adapt: tuple[int, ...] = ()  # of the test subjects, in order: to adapt to, never tested

    def training(self, study: Study) -> Study:
        """The recordings to learn from; split it again for a nested choice of parameters."""
        return Study([study[i] for i in self.train], study.name)

    def testing(self, study: Study) -> Study:
        """The recordings to score on."""
        return Study([study[i] for i in self.test], study.name)

    def adapting(self, study: Study) -> Study:
        """The recordings of the test subjects that a model may be adapted to, in their order."""
        return Study([study[i] for i in self.adapt], study.name)


@dataclasses.dataclass(frozen=True)
class StudySplit:
    """Base of the named splits: which recordings belong together, and which are held out together.

    Parameters
    ----------
    n_folds : int, optional
        Groups are dealt out to that many folds; without it each is a fold of its own.
    copies : "group" or "refuse"
        What to do with recordings that hold the same data.
    """

    n_folds: int | None = None
    copies: Literal["group", "refuse"] = "group"
    what: ClassVar[str] = ""

    def split(self, study: Study) -> list[Fold]:
        """The folds.

        Raises
        ------
        SignalError
            If a recording lacks the label that decides, or there are copies and they are to be refused.
        OptionError
            If there are fewer than two groups, so that nothing could be held out.
        """
        groups = self._groups(study)
        if len(groups) < 2:
            raise OptionError(
                f"holding out a {self.what} needs at least two; this study has {len(groups)}.",
                remedy="Label the recordings (subject, movement, repetition) in study.toml.",
            )
        n_folds = min(self.n_folds or len(groups), len(groups))
        if n_folds < 2:
            raise OptionError(f"a split needs at least 2 folds, not {self.n_folds}.")
        names = list(groups)
        return [self._fold(study, [groups[n] for n in names[k::n_folds]], names[k::n_folds]) for k in range(n_folds)]

    def key(self, recording: Recording, index: int) -> str:
        """The name of the group that a recording is held out with."""
        raise NotImplementedError

    def _fold(self, study: Study, groups: list[list[int]], names: list[str]) -> Fold:
        test = sorted(i for group in groups for i in group)
        train = [i for i in range(len(study)) if i not in test]
        return Fold(tuple(train), tuple(test), ", ".join(names))

    def _groups(self, study: Study) -> dict[str, list[int]]:
        keys = [self.key(recording, i) for i, recording in enumerate(study)]
        parent: dict[str, str] = {k: k for k in keys}

        def root(name: str) -> str:
            while parent[name] != name:
                name = parent[name]
            return name

        for copies in find_copies(study):
            if self.copies == "refuse":
                names = " and ".join(study[i].label for i in copies)
                raise SignalError(f"{names} hold the same data.", remedy='Leave one out, or pass copies="group".')
            for other in copies[1:]:
                parent[root(keys[other])] = root(keys[copies[0]])
        groups: dict[str, list[int]] = {}
        for i, name in enumerate(keys):
            groups.setdefault(root(name), []).append(i)
        return {" = ".join(dict.fromkeys(keys[i] for i in members)): members for members in groups.values()}


@dataclasses.dataclass(frozen=True)
class NewSubject(StudySplit):
    """Leave one subject out (or the subjects of a fold): nothing of a test subject is learned from.

    Parameters
    ----------
    known : sequence of str
        Subjects who are never tested. Then there is one fold: learn from them alone, test on all others.
    """

    known: tuple[str, ...] = ()
    what: ClassVar[str] = "subject"

    def key(self, recording: Recording, index: int) -> str:
        return _label(recording, "subject")

    def split(self, study: Study) -> list[Fold]:
        """As of every split; one fold where some subjects are known.

        Raises
        ------
        OptionError
            If a known subject is not in the study, or there is no other.
        """
        if not self.known:
            return super().split(study)
        missing = [who for who in self.known if who not in study.subjects]
        if missing:
            raise OptionError(f"no recording is of {', '.join(missing)}. There are: {', '.join(study.subjects)}.")
        groups = self._groups(study)
        new = [n for n, members in groups.items() if not {study[i].subject for i in members} & set(self.known)]
        if not new:
            raise OptionError("every subject is known, so none is new.")
        return [self._fold(study, [groups[n] for n in new], new)]


@dataclasses.dataclass(frozen=True)
class NewSubjectPlus(NewSubject):
    """Leave a subject out but for their first seconds, which a model is adapted to and never tested on.

    A subject's recordings come in a fixed order: by repetition, those of one repetition by movement.

    Parameters
    ----------
    seconds : float
        What a model is adapted to: as many recordings as are needed for it. The last one may be longer than needed, so
        pass `seconds` to ``adapt`` as well.
    reserve_s : float
        As much is not tested, whatever `seconds` is: so that scores with different `seconds` are of the same recordings.
    order : sequence of str
        Movements in their order; without it, and what it does not name, as in the study.
    tested : sequence of str
        Repetitions that alone are tested, in place of all that is not reserved; the others alone can be adapted to.
    """

    seconds: float = 30.0
    reserve_s: float = 60.0
    order: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()

    def split(self, study: Study) -> list[Fold]:
        """As of `NewSubject`, with the recordings to adapt to.

        Raises
        ------
        OptionError
            If nothing of a subject is left to test on.
        """
        copies = find_copies(study)
        return [self._divided(fold, study, copies) for fold in super().split(study)]

    def _divided(self, fold: Fold, study: Study, copies: Sequence[Sequence[int]]) -> Fold:
        people = list(dict.fromkeys(study[i].subject for i in fold.test))
        own = {who: in_order(study, [i for i in fold.test if study[i].subject == who], self.order) for who in people}
        reserved = {who: self._reserved(study, indices) for who, indices in own.items()}
        set_aside = {i for indices in reserved.values() for i in indices}
        set_aside |= {i for group in copies if set_aside & set(group) for i in group}
        for who, indices in own.items():
            if set(indices) <= set_aside:
                raise OptionError(
                    f"nothing of {who} is left to test on once the recordings to adapt to are set aside.",
                    remedy="Lower reserve_s.",
                )
        adapt = [i for indices in reserved.values() for i in first_seconds(study, indices, self.seconds)]
        test = [i for i in fold.test if i not in set_aside]
        return dataclasses.replace(fold, test=tuple(test), adapt=tuple(adapt))

    def _reserved(self, study: Study, ordered: list[int]) -> list[int]:
        if self.tested:
            return [i for i in ordered if study[i].repetition not in self.tested]
        return first_seconds(study, ordered, max(self.reserve_s, self.seconds))


class NewMovement(StudySplit):
    """Leave one movement out, for all subjects: the test subjects are known, what they do is not."""

    what: ClassVar[str] = "movement"

    def key(self, recording: Recording, index: int) -> str:
        return _label(recording, "movement")


@dataclasses.dataclass(frozen=True)
class NewRepetition(StudySplit):
    """Hold out repetitions of movements of which other repetitions, by the same subject, are learned from.

    A recording without a repetition label is a repetition of its own. What has no sibling left to learn from is not
    tested; it stays on the training side.

    Parameters
    ----------
    tested : sequence of str
        The repetitions that are held out, in one fold: ``("7", "8")``. Without it each is held out in turn.
    """

    tested: tuple[str, ...] = ()
    what: ClassVar[str] = "repetition"

    def key(self, recording: Recording, index: int) -> str:
        repetition = recording.repetition or f"#{index}"
        return " ".join([*map(str, self._kind(recording)), recording.session, repetition]).strip()

    def split(self, study: Study) -> list[Fold]:
        """As of every split; by default as many folds as the movement with most repetitions has of them."""
        groups = self._groups(study)
        if self.tested:
            return self._of_tested(study, groups)
        dealt: dict[Hashable, list[str]] = {}
        for name, members in groups.items():
            dealt.setdefault(self._kind(study[members[0]]), []).append(name)
        most = max(map(len, dealt.values()), default=0)
        n_folds = min(self.n_folds or most, most)
        if n_folds < 2:
            raise OptionError(
                "no movement of any subject has two repetitions.",
                remedy="Label subject and movement in study.toml.",
            )
        folds = []
        for k in range(n_folds):
            # The deal starts one fold later for each kind, so that the folds come out equally large.
            names = [n for j, kind in enumerate(dealt.values()) for i, n in enumerate(kind) if (i + j) % n_folds == k]
            fold = self._only_known(study, names, groups)
            if fold.test:
                folds.append(fold)
        return folds

    def _of_tested(self, study: Study, groups: dict[str, list[int]]) -> list[Fold]:
        names = [n for n, members in groups.items() if any(study[i].repetition in self.tested for i in members)]
        fold = self._only_known(study, names, groups)
        if not fold.test:
            found = ", ".join(dict.fromkeys(r.repetition for r in study if r.repetition)) or "none"
            raise OptionError(
                f"no movement has the repetition {' or '.join(self.tested)} and another to learn from. Found: {found}."
            )
        return [dataclasses.replace(fold, held_out=f"repetition {', '.join(self.tested)}")]

    def _only_known(self, study: Study, names: list[str], groups: dict[str, list[int]]) -> Fold:
        """The fold of these groups, less those of whose kind nothing would be left to learn from."""
        while True:
            fold = self._fold(study, [groups[n] for n in names], names)
            known = {self._kind(study[i]) for i in fold.train}
            kept = [n for n in names if all(self._kind(study[i]) in known for i in groups[n])]
            if kept == names:
                return fold
            names = kept

    @staticmethod
    def _kind(recording: Recording) -> tuple[str, str]:
        return recording.subject, recording.movement


@dataclasses.dataclass(frozen=True)
class Crossed:
    """Two things new at once: tested is what both splits hold out, learned from is what both learn from.

    ``Crossed(NewRepetition(tested=("7", "8")), NewMovement(n_folds=6))`` tests unseen movements on the very recordings
    that ``NewRepetition(tested=("7", "8"))`` tests new repetitions on.
    """

    first: StudySplit
    second: StudySplit

    def split(self, study: Study) -> list[Fold]:
        """Every fold of the one with every fold of the other; those without a test or a training side are left out."""
        folds = []
        for a in self.first.split(study):
            for b in self.second.split(study):
                train, test = (tuple(sorted({*x} & {*y})) for x, y in ((a.train, b.train), (a.test, b.test)))
                if train and test:
                    folds.append(Fold(train, test, f"{a.held_out}; {b.held_out}"))
        return folds


Split = StudySplit | Crossed  # whatever gives folds of a study

SPLITS: dict[str, type[StudySplit]] = {
    "new-repetition": NewRepetition,
    "new-movement": NewMovement,
    "new-subject": NewSubject,
}


def split_by_name(name: str, **options: Any) -> StudySplit:
    """A split by its name, with its options: "new-repetition", "new-movement", "new-subject" or "new-subject+30s".

    Raises
    ------
    OptionError
        If there is no such split, or it has no such option.

    Examples
    --------
    >>> split_by_name("new-subject+10s").seconds
    10.0
    >>> split_by_name("new-movement", n_folds=6)
    NewMovement(n_folds=6, copies='group')
    """
    plus = re.fullmatch(r"new-subject\+(\d+(?:\.\d+)?)s", name)
    if plus:
        cls: type[StudySplit] = NewSubjectPlus
        options = {"seconds": float(plus[1]), **options}
    elif name in SPLITS:
        cls = SPLITS[name]
    else:
        raise OptionError(f"no split '{name}'. There are: {', '.join(SPLITS)}, new-subject+30s (or other seconds).")
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise OptionError(f"no option '{unknown[0]}'. There are: {', '.join(known)}.", where=name)
    return cls(**options)


@dataclasses.dataclass(frozen=True)
class TimeBlocks:
    """Contiguous blocks of time, each held out once, with a gap on both sides that neither side uses.

    Parameters
    ----------
    n_folds : int
    gap_s : float
        At least the length of a window or a filter's context, so that none reaches into both sides.
    """

    n_folds: int = 5
    gap_s: float = 0.5

    def split(
        self, time: Float[np.ndarray, " time"]
    ) -> list[tuple[Bool[np.ndarray, " time"], Bool[np.ndarray, " time"]]]:
        """For each fold, which samples to learn from and which to score on.

        Raises
        ------
        OptionError
            If a fold would leave nothing to learn from.
        """
        if self.n_folds < 2 or time.size < 2 * self.n_folds:
            raise OptionError(f"{time.size} samples cannot be cut into {self.n_folds} blocks to score on.")
        folds = []
        for block in np.array_split(np.arange(time.size), self.n_folds):
            test = np.zeros(time.size, dtype=bool)
            test[block] = True
            first, last = time[block[0]], time[block[-1]]
            train = (time < first - self.gap_s) | (time > last + self.gap_s)
            if not train.any():
                raise OptionError(
                    f"{time[-1] - time[0]:.3g} s are too short for {self.n_folds} blocks with gaps of {self.gap_s:g} s."
                )
            folds.append((train, test))
        return folds


def nested(outer: StudySplit, inner: StudySplit, study: Study) -> Iterator[tuple[Fold, list[Fold]]]:
    """Each outer fold with the inner folds of its training side, in indices of the whole study.

    Choose parameters on the inner folds, learn once more from the outer training side, score on the outer test side.
    """
    for fold in outer.split(study):
        place = fold.train
        yield (
            fold,
            [
                Fold(tuple(place[i] for i in f.train), tuple(place[i] for i in f.test), f.held_out)
                for f in inner.split(fold.training(study))
            ],
        )


def in_order(study: Study, indices: Sequence[int], movements: Sequence[str] = ()) -> list[int]:
    """Recordings by repetition, those of one repetition by movement: in the order given, else as in the study."""
    place = {name: k for k, name in enumerate(dict.fromkeys([*movements, *(r.movement for r in study)]))}

    def key(i: int) -> tuple[bool, int, str, int, int]:
        repetition = study[i].repetition
        number = int(repetition) if repetition.isdecimal() else 0
        return not repetition.isdecimal(), number, repetition, place[study[i].movement], i

    return sorted(indices, key=key)


def first_seconds(study: Study, indices: Sequence[int], seconds: float) -> list[int]:
    """The first of these recordings, as many as last for `seconds`; all of them where they do not."""
    chosen: list[int] = []
    total = 0.0
    for i in indices:
        if total >= seconds:
            break
        chosen.append(i)
        total += study[i].duration_s
    return chosen


def find_copies(study: Study) -> list[list[int]]:
    """Recordings that share a signal to the last bit, as groups of indices. A signal that never varies says nothing."""
    holders: dict[str, list[int]] = {}
    for i, recording in enumerate(study):
        for signal in recording.signals.values():
            values = signal.values.astype(np.float64)
            if values.size > 1 and np.nanmax(values, initial=-np.inf) > np.nanmin(values, initial=np.inf):
                holders.setdefault(data_hash(signal), []).append(i)
    groups = dict.fromkeys(tuple(dict.fromkeys(indices)) for indices in holders.values())
    return [list(group) for group in groups if len(group) > 1]


def _label(recording: Recording, name: str) -> str:
    value = str(getattr(recording, name))
    if not value:
        raise SignalError(
            f"the recording has no {name}, so it cannot be told what is new.",
            where=recording.label,
            remedy=f"Give its {name} in study.toml.",
        )
    return value
