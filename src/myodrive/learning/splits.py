"""What is new in the test data, by name: a repetition, a movement, a subject; and blocks of time with a gap.

A split of a `Study` never has a recording, nor a copy of one, on both sides. Copies (one recording published under
two names) are found by the hash of their data and travel together, or are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from typing import ClassVar, Literal

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

    def training(self, study: Study) -> Study:
        """The recordings to learn from; split it again for a nested choice of parameters."""
        return Study([study[i] for i in self.train], study.name)

    def testing(self, study: Study) -> Study:
        """The recordings to score on."""
        return Study([study[i] for i in self.test], study.name)


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


class NewSubject(StudySplit):
    """Leave one subject out (or the subjects of a fold): nothing of a test subject is learned from."""

    what: ClassVar[str] = "subject"

    def key(self, recording: Recording, index: int) -> str:
        return _label(recording, "subject")


class NewMovement(StudySplit):
    """Leave one movement out, for all subjects: the test subjects are known, what they do is not."""

    what: ClassVar[str] = "movement"

    def key(self, recording: Recording, index: int) -> str:
        return _label(recording, "movement")


class NewRepetition(StudySplit):
    """Hold out repetitions of movements of which other repetitions, by the same subject, are learned from.

    A recording without a repetition label is a repetition of its own. What has no sibling left to learn from is not
    tested; it stays on the training side.
    """

    what: ClassVar[str] = "repetition"

    def key(self, recording: Recording, index: int) -> str:
        repetition = recording.repetition or f"#{index}"
        return " ".join([*map(str, self._kind(recording)), recording.session, repetition]).strip()

    def split(self, study: Study) -> list[Fold]:
        """As of every split; by default as many folds as the movement with most repetitions has of them."""
        groups = self._groups(study)
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
