"""What the named splits have in common: folds of recordings that never have one, nor a copy of one, on both sides.

Copies (one recording published under two names) are found by the hash of their data and travel together, or are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

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


def label_of(recording: Recording, name: str) -> str:
    """Its subject, movement or other label that decides what is new.

    Raises
    ------
    SignalError
        If it has none.
    """
    value = str(getattr(recording, name))
    if not value:
        raise SignalError(
            f"the recording has no {name}, so it cannot be told what is new.",
            where=recording.label,
            remedy=f"Give its {name} in study.toml.",
        )
    return value
