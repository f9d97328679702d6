"""What is new in the test data, by name: a repetition, a movement, a subject, a subject of whom some seconds are known."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from myodrive.errors import OptionError
from myodrive.learning.study_split import Fold, StudySplit, find_copies, label_of
from myodrive.recording import Recording, Study


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
        return label_of(recording, "subject")

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
        return label_of(recording, "movement")


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
