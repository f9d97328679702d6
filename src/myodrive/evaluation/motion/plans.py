"""What each published question asks to be learned and tested: fits and tests, from a study.

Schmidt, Glasmachers, Iossifidis 2026 (10.1038/s41598-025-33696-y) and 2023 (10.1186/s12938-023-01116-9) asked them of five
people and 23 movements of the arm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np

from myodrive.conditioning.arm_moments import has_arm
from myodrive.conditioning.movements import segment_movements
from myodrive.errors import OptionError, SignalError
from myodrive.evaluation.motion.comparison import Fit, Spans, Test, kind_of
from myodrive.learning.splits import (
    Crossed,
    NewMovement,
    NewRepetition,
    NewSubject,
    NewSubjectPlus,
    Split,
    first_seconds,
    in_order,
)
from myodrive.learning.study_split import Fold
from myodrive.recording import Recording, Study

Texts = tuple[str, ...]
SINGLE, MULTI = "single-joint", "multi-joint"
LEAST_ELEMENT_S = 0.6  # what is shorter has too little EMG for an envelope
CHOOSE_ON = {"new-repetition": "repetition", "new-movement": "movement", "new-subject": "group"}  # see `Fit`


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two conditions whose difference answers something: a claim that a higher R² of the first supports."""

    condition: str
    reference: str
    claim: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done for an experiment."""

    study: Study
    fits: list[Fit]
    contrasts: tuple[Contrast, ...]
    spans: Spans | None = None


@dataclasses.dataclass(frozen=True)
class InFolds:
    """Base of the experiments that hold out repetitions, movements or people.

    Parameters
    ----------
    n_folds : int
        The movements or people are dealt to that many folds.
    tested : sequence of str
        Repetitions that are scored; without it the last quarter.
    """

    n_folds: int = 3
    tested: Texts = ()

    def _fits(self, study: Study, split: str, condition: str) -> list[Fit]:
        return fits_of(study, split, self.tested, self.n_folds, condition)


@dataclasses.dataclass(frozen=True)
class BySplit(InFolds):
    """Base of those that can be asked of any split.

    Parameters
    ----------
    split : str
        "new-repetition", "new-movement" or "new-subject".
    """

    split: str = "new-repetition"


@dataclasses.dataclass(frozen=True)
class UnseenMovement(InFolds):
    """Movements that were learned from against movements that nobody did in training, on the same trials."""

    n_folds: int = 6
    name: ClassVar[str] = "unseen-movement"
    question: ClassVar[str] = "How much worse is the estimate for a movement that nobody did in training?"
    needs: ClassVar[str] = "EMG and joint angles or markers of several movements, each repeated"
    limits: ClassVar[str] = (
        "The movements held out are as those learned from in kind, people and place; a movement of another kind may be worse."
    )

    def plan(self, study: Study) -> Plan:
        study = known_people(study)
        fits = [
            *self._fits(study, "new-repetition", "new repetition"),
            *self._fits(study, "new-movement", "unseen movement"),
        ]
        claim = "the estimate is better for a movement that was learned from"
        return Plan(study, fits, (Contrast("new repetition", "unseen movement", claim),))


@dataclasses.dataclass(frozen=True)
class Segmentation(BySplit):
    """Movements learned and estimated whole, or cut into their elements by the speed of the hand."""

    name: ClassVar[str] = "segmentation"
    question: ClassVar[str] = "Does it help to cut movements into elements?"
    needs: ClassVar[str] = "EMG and joint angles or markers, movements that begin and end at rest"
    limits: ClassVar[str] = (
        "Scored are the samples within elements alone; elements are what the speed of the hand says."
    )

    def plan(self, study: Study) -> Plan:
        study = known_people(study)
        spans = {i: elements(recording) for i, recording in enumerate(study)}
        fits = []
        for condition, pieces in (("whole movements", False), ("elements", True)):
            fits += [dataclasses.replace(fit, pieces=pieces) for fit in self._fits(study, self.split, condition)]
        contrast = Contrast("elements", "whole movements", "cutting movements into elements helps")
        return Plan(study, fits, (contrast,), spans)


@dataclasses.dataclass(frozen=True)
class Inputs(BySplit):
    """What the methods read: the hand's pose with the swivel angle or without, or joint angles; with derivatives or without.

    Moments of the arm beside its angles, where these have the names of `ArmJoints`.
    """

    name: ClassVar[str] = "inputs"
    question: ClassVar[str] = "What of a movement has to be known: hand or joints, swivel angle, derivatives, moments?"
    needs: ClassVar[str] = "EMG with joint angles, markers of shoulder, elbow, wrist and hand, or both"
    limits: ClassVar[str] = "A derivative is computed from the position, so it adds no data, only help."
    sets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "hand": {"inputs": ("pose",)},
        "hand, positions only": {"inputs": ("pose",), "derivatives": 0},
        "hand and swivel angle": {"inputs": ("pose", "swivel")},
        "joint angles": {"inputs": ("angles",)},
        "joint angles, positions only": {"inputs": ("angles",), "derivatives": 0},
        "joint angles and moments": {"inputs": ("angles", "moments")},
    }
    contrasts: ClassVar[tuple[Contrast, ...]] = (
        Contrast("hand and swivel angle", "hand", "the swivel angle adds to the pose of the hand"),
        Contrast("joint angles", "hand", "joint angles tell more than the pose of the hand"),
        Contrast("hand", "hand, positions only", "velocity and acceleration of the hand help"),
        Contrast("joint angles", "joint angles, positions only", "velocity and acceleration of the joints help"),
        Contrast("joint angles and moments", "joint angles", "the moments of the arm add to its angles"),
    )

    def plan(self, study: Study) -> Plan:
        study = known_people(study)
        markers, angles = (all(name in r for r in study) for name in ("markers", "angles"))
        there = {"angles": angles, "moments": angles and all(map(has_arm, study)), "pose": markers, "swivel": markers}
        chosen = {n: o for n, o in self.sets.items() if all(there[name] for name in o["inputs"])}
        if not chosen:
            raise SignalError(f"not all recordings have joint angles, nor all markers: {study[0].label}.")
        fits = [
            dataclasses.replace(fit, motion=dict(options))
            for name, options in chosen.items()
            for fit in self._fits(study, self.split, name)
        ]
        contrasts = tuple(c for c in self.contrasts if {c.condition, c.reference} <= set(chosen))
        return Plan(study, fits, contrasts)


@dataclasses.dataclass(frozen=True)
class Diversity(InFolds):
    """Trained on single-joint movements, on multi-joint ones or on both, at the same amount of data.

    Parameters
    ----------
    single_joint : sequence of str
        The names of the movements of one joint; all others are of several. Not needed where recordings say their kind.
    """

    single_joint: Texts = ()
    name: ClassVar[str] = "diversity"
    question: ClassVar[str] = "Is a diverse training set better than only single-joint or only multi-joint movements?"
    needs: ClassVar[str] = "EMG and joint angles or markers of single-joint and of multi-joint movements"
    limits: ClassVar[str] = (
        "The tested movements are unseen in all three. Equal is the duration of the training data; diverse data have fewer "
        "repetitions of each movement."
    )

    def plan(self, study: Study) -> Plan:
        study = known_people(study)
        kinds = [self._kind(recording) for recording in study]
        if set(kinds) != {SINGLE, MULTI}:
            raise OptionError(
                "single-joint and multi-joint movements are not told apart, or there are only such of one kind.",
                where=f"{self.name}.single_joint",
                remedy=f"Name those of one joint: --set '{self.name}.single_joint=[\"elbow flexion\"]'.",
            )
        study = Study([r.replace(info={**r.info, "kind": kind}) for r, kind in zip(study, kinds)], study.name)
        fits = []
        for k, fold in enumerate(folds_of(study, "new-movement", self.tested, self.n_folds)):
            pools = {
                f"{SINGLE} only": [i for i in fold.train if kinds[i] == SINGLE],
                f"{MULTI} only": [i for i in fold.train if kinds[i] == MULTI],
                "diverse": list(fold.train),
            }
            amount = min(sum(study[i].duration_s for i in pool) for pool in pools.values())
            for name, pool in pools.items():
                train = tuple(sorted(first_seconds(study, in_order(study, pool), amount)))
                if not train:
                    raise OptionError(f"fold {k + 1} leaves no {name} movement to learn from.", where=self.name)
                fits.append(Fit(f"{name} {k + 1}", train, (Test(name, fold.test),), "movement", yardstick=fold.train))
        claim = "a diverse training set is better than one of {} movements only"
        contrasts = tuple(Contrast("diverse", f"{kind} only", claim.format(kind)) for kind in (SINGLE, MULTI))
        return Plan(study, fits, contrasts)

    def _kind(self, recording: Recording) -> str:
        if self.single_joint:
            return SINGLE if recording.movement in self.single_joint else MULTI
        return kind_of(recording)


@dataclasses.dataclass(frozen=True)
class NewPerson:
    """A person nobody has learned from: the general model, the same adapted to some seconds, and one of that person alone.

    Parameters
    ----------
    seconds : sequence of float
        Of the new person's first trials, in a fixed order, that the general model is adapted to; 0 for none.
    known : sequence of str
        People to learn from; all others are new. Without it each person is new in turn.
    order : sequence of str
        Of movements, for the adaptation; without it kinds of movements take turns, in the order of the study.
    tested : sequence of str
        Repetitions of a new person that are scored; without it the last quarter. All others may be adapted to.
    """

    seconds: tuple[float, ...] = (0.0, 10.0, 30.0, 60.0)
    known: Texts = ()
    order: Texts = ()
    tested: Texts = ()
    name: ClassVar[str] = "new-person"
    question: ClassVar[str] = "How good is a general model for a new person, adapted or not, beside one of their own?"
    needs: ClassVar[str] = "EMG and joint angles or markers of two people or more, movements repeated"
    limits: ClassVar[str] = (
        "The seconds adapted to are of the same day and place as the tested ones, and are never tested. The model of the "
        "person's own learns from all their other repetitions, which is more data than the seconds."
    )

    def plan(self, study: Study) -> Plan:
        known = self.known or tuple(r.subject for r in known_people(study))
        known = () if set(known) == set(study.subjects) else tuple(dict.fromkeys(known))
        new = Study([r for r in study if r.subject not in known])
        tested, order = self.tested or last_quarter(new), self.order or taking_turns(new)
        fits = []
        for seconds in self.seconds:
            split = NewSubjectPlus(known=known, seconds=seconds, order=order, tested=tested)
            for k, fold in enumerate(split.split(study)):
                train = fold.train
                if known:  # the same training data as of a new repetition, so that it is learned once
                    old = known_people(study)
                    train = tuple(i for i in train if study[i].repetition not in last_quarter(old))
                tests = []
                for who in dict.fromkeys(study[i].subject for i in fold.test):
                    own, adapt = (tuple(i for i in side if study[i].subject == who) for side in (fold.test, fold.adapt))
                    tests.append(Test(f"general + {seconds:g} s" if adapt else "general", own, adapt, seconds))
                name = f"without {fold.held_out}" if len(fold.held_out) < 30 else f"without fold {k + 1}"
                fits.append(Fit(name, train, tuple(tests)))
        # Of each general model all that is tested stands together, so that it is learned once.
        fits.sort(key=lambda fit: fit.train)
        alone = [self._alone(study, fit.train, test) for fit in fits for test in fit.tests if not test.seconds]
        conditions = [f"general + {s:g} s" for s in self.seconds if s]
        contrasts = [Contrast(c, "general", f"{c.split('+ ')[1]} of the person's own data help") for c in conditions]
        contrasts += [
            Contrast("subject-specific", c, f"a model of the person's own is better than {c}")
            for c in dict.fromkeys(["general", *conditions[-1:]])
        ]
        return Plan(study, [*fits, *alone], tuple(contrasts))

    @staticmethod
    def _alone(study: Study, general: tuple[int, ...], test: Test) -> Fit:
        who = study[test.recordings[0]].subject
        own = tuple(i for i, r in enumerate(study) if r.subject == who and i not in test.recordings)
        tests = (Test("subject-specific", test.recordings),)
        return Fit(f"{who} alone", own, tests, "repetition", yardstick=general)


PLANS = {p.name: p for p in (UnseenMovement, Segmentation, Inputs, Diversity, NewPerson)}


# -- what they share -------------------------------------------------------------------------------------------------


def known_people(study: Study) -> Study:
    """Those to learn from, where a scenario says who; else all."""
    known = [r for r in study if r.info.get("truth", {}).get("known", True)]
    return Study(known, study.name)


def numbered(study: Study) -> Study:
    """With a number where the repetition has no label: the how-manieth of that person, session and movement it is."""
    seen: dict[tuple[str, str, str], int] = {}
    recordings = []
    for r in study:
        kind = r.subject, r.session, r.movement
        seen[kind] = seen.get(kind, 0) + 1
        recordings.append(r if r.repetition else r.replace(repetition=str(seen[kind])))
    return Study(recordings, study.name)


def last_quarter(study: Study) -> Texts:
    """The last quarter of the repetitions, by their labels, rounded up."""
    labels = list(dict.fromkeys(study[i].repetition for i in in_order(study, range(len(study)))))
    return tuple(labels[-int(np.ceil(len(labels) / 4)) :])


def taking_turns(study: Study) -> Texts:
    """The movements, kind after kind taking turns, so that few seconds hold some of each."""
    kinds: dict[str, list[str]] = {}
    for r in study:
        kinds.setdefault(kind_of(r), []).append(r.movement)
    dealt = zip_longest(*(dict.fromkeys(names) for names in kinds.values()))
    return tuple(name for turn in dealt for name in turn if name is not None)


def elements(recording: Recording) -> list[tuple[float, float]]:
    """From when to when each element of a movement lasts; the whole recording where none is found."""
    found = [(e.start_s, e.stop_s) for e in segment_movements(recording)]
    time = recording["angles" if "angles" in recording else "markers"].time.values
    long = [(a, b) for a, b in found if b - a >= LEAST_ELEMENT_S]
    return long or [(float(time[0]), float(time[-1]))]


def folds_of(study: Study, split: str, tested: Texts, n_folds: int) -> list[Fold]:
    """The folds of a split by its name; of unseen movements tested are the repetitions that a new repetition is tested on."""
    repetition, movement = NewRepetition(tested=tested or last_quarter(study)), NewMovement(n_folds)
    repeated = len({r.repetition for r in study}) > 1
    splits: dict[str, Split] = {
        "new-repetition": repetition,
        "new-movement": Crossed(repetition, movement) if repeated else movement,
        "new-subject": NewSubject(n_folds),
    }
    if split not in splits:
        raise OptionError(f"no split '{split}' here. There are: {', '.join(splits)}.", where="split")
    return splits[split].split(study)


def fits_of(study: Study, split: str, tested: Texts, n_folds: int, condition: str) -> list[Fit]:
    """One fit for each fold of a split, with its test."""
    folds = folds_of(study, split, tested, n_folds)
    return [
        Fit(
            condition if len(folds) == 1 else f"{condition} {k + 1}",
            fold.train,
            (Test(condition, fold.test),),
            CHOOSE_ON[split],
        )
        for k, fold in enumerate(folds)
    ]
