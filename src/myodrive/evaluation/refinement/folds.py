"""What a refinement is scored on: people, trials, or blocks of strides whose EMG it has not learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from myodrive.conditioning.movements import find_cycles
from myodrive.errors import SignalError
from myodrive.evaluation.references import one_label
from myodrive.recording import Recording, Study

LEAST = 3  # people or trials, to hold one out
GAP_S = 0.2  # of EMG on either side of a block that is not learned from: as far as the envelope at 6 Hz reaches

Span = tuple[float, float]
ALWAYS: Span = (-np.inf, np.inf)


@dataclasses.dataclass(frozen=True)
class HeldOutFold:
    """What to learn from, and which spans of which recordings to score on."""

    name: str
    train: Study
    test: Study
    spans: tuple[Span, ...]  # of each test recording
    units: tuple[str, ...]  # what each test recording counts as in statistics


def new_people(study: Study) -> list[HeldOutFold]:
    """One person after the other held out.

    Raises
    ------
    SignalError
        If there are fewer than three.
    """
    if len(study.subjects) < LEAST:
        raise SignalError(
            f"holding out a person needs at least {LEAST}; this study has {len(study.subjects)}"
            f" ({', '.join(s or 'without a name' for s in study.subjects)}).",
            remedy="Give each recording its subject in study.toml, or use `myodrive experiment running`.",
        )
    return [_fold(who, study, [r for r in study if r.subject == who], [who]) for who in study.subjects]


def new_parts(study: Study, n_folds: int) -> list[HeldOutFold]:
    """Within each person: trials held out, dealt to `n_folds`; with fewer than three trials blocks of strides.

    Of several people only what is their own is learned from.
    """
    folds = []
    for who in study.subjects:
        own = study.where(subject=who)
        folds += _new_trials(own, n_folds) if len(own) >= LEAST else _new_blocks(own, n_folds)
    return folds


def by_what_there_is(study: Study, n_folds: int) -> list[HeldOutFold]:
    """People, dealt to `n_folds`, where there are three; else trials or blocks of strides."""
    people = study.subjects
    if len(people) < LEAST:
        return new_parts(study, n_folds)
    n = min(n_folds, len(people))
    dealt = [people[k::n] for k in range(n)]
    return [_fold(", ".join(some), study, [r for r in study if r.subject in some]) for some in dealt]


def blocks_of_strides(recording: Recording, n_blocks: int) -> list[Span]:
    """Contiguous blocks that begin and end where a stride does; of equal length where there are fewer than three strides.

    What is left over before the first and after the last stride counts with its neighbour if it is less than half a
    stride. There are fewer than `n_blocks` where there are fewer strides.
    """
    signals = [recording[name].time.values for name in ("simulated", "emg")]
    start, stop = max(float(t[0]) for t in signals), min(float(t[-1]) for t in signals)
    cycles = one_label(find_cycles(recording))
    marks = np.unique([t for a, b, _ in cycles for t in (a, b) if start < t < stop])
    least = 0.5 * float(np.median([b - a for a, b, _ in cycles])) if cycles else 0.0
    edges = [start, *marks[(marks - start > least) & (stop - marks > least)].tolist(), stop]
    n = min(n_blocks, len(edges) - 1)
    if n < LEAST:
        n, edges = n_blocks, np.linspace(start, stop, n_blocks + 1).tolist()
    chosen = np.round(np.linspace(0, len(edges) - 1, n + 1)).astype(int)
    return [(edges[a], edges[b]) for a, b in pairwise(chosen)]


# -- inside ----------------------------------------------------------------------------------------------------------


def _fold(name: str, study: Study, test: Sequence[Recording], units: Sequence[str] = ()) -> HeldOutFold:
    chosen = {id(r) for r in test}
    train = Study([r for r in study if id(r) not in chosen], study.name)
    named = tuple(units) * len(test) if units else tuple(r.subject for r in test)
    return HeldOutFold(name, train, Study(test), (ALWAYS,) * len(test), named)


def _new_trials(own: Study, n_folds: int) -> list[HeldOutFold]:
    who = own[0].subject
    names = [f"{who} trial {r.repetition or k + 1}".strip() for k, r in enumerate(own)]
    n = min(n_folds, len(own))
    folds = []
    for k in range(n):
        fold = _fold(", ".join(names[k::n]), own, own.recordings[k::n])
        folds.append(dataclasses.replace(fold, units=tuple(names[k::n])))
    return folds


def _new_blocks(own: Study, n_folds: int) -> list[HeldOutFold]:
    spans = [blocks_of_strides(recording, n_folds) for recording in own]
    folds = []
    for k, now in enumerate(zip(*spans)):
        name = f"{own[0].subject} block {k + 1}".strip()
        train = Study([_without_emg(r, span) for r, span in zip(own, now)], own.name)
        folds.append(HeldOutFold(name, train, own, tuple(now), (name,) * len(own)))
    return folds


def _without_emg(recording: Recording, span: Span) -> Recording:
    """With NaN where EMG is held out, and `GAP_S` to either side."""
    emg = recording["emg"]
    outside = (emg.time < span[0] - GAP_S) | (emg.time > span[1] + GAP_S)
    return recording.with_signal("emg", emg.where(outside))
