"""Muscle activity from movement on real recordings: every method beside the mean curve and the ceiling, person by person.

python benchmarks/motion_real.py hand --data ../shared/data --methods mean-curve ridge-fir --json hand.json

The recordings are not part of the project (motion_sets.py says which they are). What is in `--folder` already is not
computed again. `--question` takes some of the questions alone: new-repetition, unseen-movement, new-person.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from motion_sets import children, hand, lifting, shoulder, strides_of_running, strides_of_walking

from myodrive.cli import method_settings
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.metrics import pearson_r
from myodrive.evaluation.motion.comparison import Fit, Test, compare_methods
from myodrive.evaluation.motion.scoring import muscle_measures
from myodrive.evaluation.statistics import compare_subjects
from myodrive.learning.curves import stretched
from myodrive.learning.linear import mean_curve
from myodrive.learning.splits import NewMovement, NewRepetition, NewSubject, StudySplit, first_seconds, in_order
from myodrive.recording import Recording, Study
from myodrive.safe_write import safe_write_text

LAST = ("8", "9", "10")  # repetitions of the hand that are tested
SECONDS = (10.0, 30.0, 60.0)  # of a new person
RING = 8  # electrodes of the hand's set about the forearm; the two others are on muscles
MEASURES = ("r", "r2", "residual_r2", "coverage", "peak_error")


# -- questions: (study, fits) ----------------------------------------------------------------------------------------


Work = Iterator[tuple[Study, list[Fit]]]


def new_repetition_of_hand(study: Study) -> Work:
    """Of each person alone: repetitions 1 to 7 to learn from, 8 to 10 to test."""
    for person in study.subjects:
        own = study.where(subject=person)
        yield own, [_fit("new repetition", own, lambda r: r.repetition not in LAST, "repetition")]


def unseen_movement_of_hand(study: Study) -> Work:
    """Of each person alone: each of twelve movements is left out in turn; tested are its repetitions 8 to 10."""
    for person in study.subjects:
        own = study.where(subject=person)
        fits = []
        for fold in NewMovement().split(own):
            train = tuple(i for i in fold.train if own[i].repetition not in LAST)
            test = tuple(i for i in fold.test if own[i].repetition in LAST)
            fits.append(Fit(f"{person}: {fold.held_out}", train, (Test("unseen movement", test),), "movement"))
        yield own, fits


def new_person_of_hand(study: Study) -> Work:
    """Repetitions 1 to 5 of the other eight people to learn from; tested are repetitions 8 to 10 of the ninth.

    The electrodes sit on the forearm as they were put on: the ring of every person learned from is turned so that people
    agree best. That of the new person stays as it is ("ring as it is"), is turned by what the first k seconds of EMG say,
    or, as an oracle, by all of it.
    """
    for person in study.subjects:
        known, pattern = align_people([r for r in study if r.subject != person and int(r.repetition) <= 5])
        own = study.where(subject=person)
        last = [r for r in own if r.repetition in LAST]
        conditions = [("ring as it is", 0, []), ("ring by an oracle", best_turn(list(own), pattern), [])]
        for seconds in SECONDS:
            early = in_order(own, [i for i, r in enumerate(own) if r.repetition not in LAST])
            some = [own[i] for i in first_seconds(own, early, seconds)]
            conditions.append((f"{seconds:g} s", best_turn(some, pattern), some))
        recordings, tests = list(known), []
        for (condition, turn, some), seconds in zip(conditions, (0.0, 0.0, *SECONDS)):
            # A subject of its own for each condition, for its EMG is turned another way.
            place = range(len(recordings), len(recordings) + len(last) + len(some))
            recordings += [turned(r, turn).replace(subject=f"{person}|{condition}") for r in [*last, *some]]
            test, adapt = tuple(place[: len(last)]), tuple(place[len(last) :])
            tests.append(Test(f"new person, {condition}", test, adapt, seconds))
            print(f"{person}, {condition}: the ring is turned by {turn}", flush=True)
        yield Study(recordings), [Fit(f"without {person}", tuple(range(len(known))), tuple(tests), "group")]


def by_split(condition: str, split: StudySplit, choose_on: str) -> Callable[[Study], Work]:
    """All people together, by a split of the package."""

    def work(study: Study) -> Work:
        for fold in split.split(study):
            yield study, [Fit(f"{condition}: {fold.held_out}", fold.train, (Test(condition, fold.test),), choose_on)]

    return work


def new_lifter(study: Study) -> Work:
    """Every sixth person left out in turn. (A split would take lifts under the same conditions for copies of each other.)"""
    people = study.subjects
    for k in range(6):
        place = [i for i, r in enumerate(study) if r.subject in people[k::6]]
        train = tuple(i for i in range(len(study)) if i not in place)
        yield study, [Fit(f"without {', '.join(people[k::6])}", train, (Test("new person", tuple(place)),), "group")]


def _fit(condition: str, study: Study, learns: Callable[[Recording], bool], choose_on: str) -> Fit:
    train = tuple(i for i, r in enumerate(study) if learns(r))
    test = tuple(i for i, r in enumerate(study) if not learns(r))
    return Fit(f"{condition}: {study[0].subject}", train, (Test(condition, test),), choose_on)


# -- the ring of electrodes ------------------------------------------------------------------------------------------


Pattern = dict[str, np.ndarray]  # movement → logarithm of the mean activity of each electrode of the ring


def ring_pattern(recordings: Sequence[Recording]) -> Pattern:
    movements = dict.fromkeys(r.movement for r in recordings)
    means = {m: [r["emg"].values[:, :RING].mean(axis=0) for r in recordings if r.movement == m] for m in movements}
    return {m: np.log(np.mean(values, axis=0)) for m, values in means.items()}


def best_turn(recordings: Sequence[Recording], pattern: Pattern) -> int:
    """By how many places the ring has to be turned so that it agrees best with a pattern, in the movements that both have."""
    own = ring_pattern(recordings)
    shared = [m for m in own if m in pattern]
    wanted = np.concatenate([pattern[m] for m in shared])
    return int(np.argmax([_r(np.concatenate([np.roll(own[m], k) for m in shared]), wanted) for k in range(RING)]))


def align_people(recordings: Sequence[Recording]) -> tuple[list[Recording], Pattern]:
    """Each person's ring turned towards the mean of all, the first person's staying as it is; and the mean pattern."""
    people = list(dict.fromkeys(r.subject for r in recordings))
    own = {p: [r for r in recordings if r.subject == p] for p in people}
    turns = dict.fromkeys(people, 0)
    for _ in range(4):
        patterns = [ring_pattern([turned(r, turns[p]) for r in own[p]]) for p in people]
        mean = {m: mean_curve(np.stack([p[m] for p in patterns])) for m in patterns[0]}
        turns = {p: best_turn(own[p], mean) for p in people}
    back = turns[people[0]]
    mean = {m: np.roll(v, -back) for m, v in mean.items()}
    return [turned(r, (turns[r.subject] - back) % RING) for r in recordings], mean


def turned(recording: Recording, turn: int) -> Recording:
    emg = recording["emg"]
    values = np.concatenate([np.roll(emg.values[:, :RING], turn, axis=1), emg.values[:, RING:]], axis=1)
    return recording.with_signal("emg", emg.copy(data=values))


def _r(a: np.ndarray, b: np.ndarray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[known], b[known])[0, 1])


# -- sets ------------------------------------------------------------------------------------------------------------


QUESTIONS = {
    "hand": {
        "new-repetition": new_repetition_of_hand,
        "unseen-movement": unseen_movement_of_hand,
        "new-person": new_person_of_hand,
    },
    "hand-any-cut": {"new-repetition": new_repetition_of_hand},
    "shoulder": {
        "new-repetition": by_split("new third of a trial", NewRepetition(n_folds=3), "repetition"),
        "unseen-movement": by_split("unseen movement", NewMovement(), "movement"),
    },
    "children": {
        "unseen-movement": by_split("unseen movement", NewMovement(), "group"),
        "new-person": by_split("new person", NewSubject(), "group"),
    },
    "running": {"new-repetition": by_split("new stride", NewRepetition(), "repetition")},
    "walking": {"new-repetition": by_split("new stride", NewRepetition(), "repetition")},
    "lifting": {"new-person": new_lifter},
}
SETS = {
    "hand": (hand, {}),
    "hand-any-cut": (functools.partial(hand, any_cut=True), {}),
    "shoulder": (shoulder, {"motion": {"inputs": ["pose", "swivel"]}}),
    "children": (children, {}),
    "running": (strides_of_running, {"motion": {"cutoff_hz": 12.0}}),  # running is faster
    "walking": (strides_of_walking, {}),
    "lifting": (lifting, {"motion": {"derivatives": 0}}),
}


def ceiling(study: Study, cutoff_hz: float) -> dict[str, float]:
    """For each person the agreement (r) of the mean curves of odd and even repetitions, all movements behind each other.

    The median over muscles. What nothing can exceed that does not know how one repetition differs from another.
    """
    from myodrive.from_motion.mean_curve import MeanCurve

    reader = MeanCurve(cutoff_hz=cutoff_hz)
    found = {}
    for person in study.subjects:
        curves: dict[str, list[np.ndarray]] = {}
        for r in study.where(subject=person):
            curves.setdefault(r.movement, []).append(stretched(reader._envelope(r).values))
        halves = [[mean_curve(np.stack(c[k::2])) for c in curves.values() if len(c) > 1] for k in (0, 1)]
        if halves[0]:
            found[person] = float(np.nanmedian(pearson_r(*(np.concatenate(h) for h in halves))))
    return found


def person_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """For each condition, method and person the median over muscles of each measure.

    R² is against the mean of what is tested: against that of the training, people would seem well told who only have
    another mean, and `adapt` gives each method a unit of its own.
    """
    rows = rows.assign(subject=rows["subject"].str.split("|").str[0])
    keys = ["condition", "method", "subject"]
    totals = rows.groupby([*keys, "muscle"], sort=False)[["n", "t"]].transform("sum")
    rows = rows.assign(spread=rows["tt"] - rows["t"] * totals["t"] / totals["n"])
    return muscle_measures(rows, keys).groupby(keys, sort=False)[list(MEASURES)].median().reset_index()


def tested_people(study: Study, fits: Sequence[Fit]) -> set[str]:
    return {study[i].subject.split("|")[0] for fit in fits for test in fit.tests for i in test.recordings}


def show(scores: pd.DataFrame) -> None:
    for condition, own in scores.groupby("condition", sort=False):
        for measure in ("r", "r2", "residual_r2"):
            wide = own.pivot(index="subject", columns="method", values=measure)
            wide = wide.loc[list(dict.fromkeys(own["subject"])), list(dict.fromkeys(own["method"]))]
            print(f"\n{condition}: {measure}\n{wide.round(3).to_string()}\nmedian {wide.median().round(3).to_dict()}")
            show_differences(wide.dropna(axis=1, how="all"))


def show_differences(wide: pd.DataFrame) -> None:
    """Every method against the mean curve, every network against the ridge, and every other against the LSTM, paired over people."""
    references = ("mean-curve", "ridge-fir", "lstm")
    for k, reference in enumerate(references):
        columns = [c for c in wide if c not in references[:k]]
        if reference not in columns or len(columns) < 2:
            continue
        for row in compare_subjects(wide[columns], reference).to_dict(orient="records"):
            above = sum(d > 0 for d in row["differences"].values())
            print(
                f"  {row['method']} − {reference}: {row['mean_difference']:+.3f} "
                f"[{row['lower']:+.3f}, {row['upper']:+.3f}], above in {above} of {row['n']}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", choices=SETS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--methods", nargs="+", default=["mean-curve", "ridge-fir"])
    parser.add_argument("--question", nargs="*", default=[])
    parser.add_argument("--people", nargs="*", default=[], help="only what is tested on these")
    parser.add_argument("--set", nargs="*", default=[], help="options of methods: lstm.n_steps=400")
    parser.add_argument("--folder", type=Path, default=Path("myodrive-results/motion-real"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"there is no folder {given.data}: give that of the recordings with --data")
    read, settings = SETS[given.recordings]
    settings = {**settings, **method_settings(given.set)}
    study = read(given.data)
    agreement = ceiling(study, 6.0)
    print("ceiling, r of odd with even repetitions:", {p: round(v, 3) for p, v in agreement.items()}, flush=True)
    rows = []
    for name, question in QUESTIONS[given.recordings].items():
        if given.question and name not in given.question:
            continue
        for part, fits in question(study):
            if given.people and not tested_people(part, fits) & set(given.people):
                continue
            step = lambda what, done, total: print(what, flush=True)  # noqa: E731
            folder = given.folder / given.recordings
            rows.append(compare_methods(part, fits, given.methods, settings, folder=folder, progress=step).rows)
    scores = person_scores(pd.concat(rows, ignore_index=True))
    show(scores)
    if given.json:
        content = {
            "command": given.recordings,
            "settings": settings,
            "ceiling": agreement,
            "machine": describe_machine(),
        }
        content["scores"] = json.loads(scores.to_json(orient="records"))
        safe_write_text(given.json, json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
