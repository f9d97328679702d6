"""The arm scenario with truth: make its file, and what can be known of it without any network.

python benchmarks/arm_scenario.py make FOLDER [--seed 0]                simulate all trials once, and keep them there
python benchmarks/arm_scenario.py muscles FOLDER                        which muscle works in which movement
python benchmarks/arm_scenario.py ceilings FOLDER                       what nobody can know who is not told the load
python benchmarks/arm_scenario.py baselines FOLDER [--json F]           mean curve and ridge with lags on every split

Scores are R² to the true activation, pooled over all test trials of a muscle and averaged over the eight muscles, after one
rising curve a muscle from estimate to activation, fitted on the training trials.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from myodrive.conditioning.options import EmgConditioning
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.metrics import MonotoneCalibration, r2
from myodrive.from_motion.base import MotionEstimator
from myodrive.from_motion.mean_curve import MeanCurve
from myodrive.from_motion.ridge import RidgeFIR
from myodrive.recording import Recording, Study
from myodrive.truth import arm
from myodrive.truth.arm import simulate_arm
from myodrive.truth.arm_movements import MOVEMENTS
from myodrive.truth.arm_people import ARM, ArmSetting, Person, draw_person

NAMES = [m.name for m in MOVEMENTS]
SECONDS = (10.0, 30.0, 60.0)
UNKNOWN = {"load_spread": 0.0, "cocontraction_trial": 0.0, "resistance_trial": 0.0}  # of a trial
AVERAGE = {  # what is not known of a person, at its middle
    "strength_spread": 0.0,
    "muscle_spread": 0.0,
    "delay_s": (0.055, 0.055),
    "cocontraction": (0.2, 0.2),
    "cocontraction_muscle": 0.0,
    "cocontraction_movement": 0.0,
    "tone": (0.006, 0.006),
}
Trials = Sequence[Recording]


def truth(trials: Trials) -> np.ndarray:
    return np.concatenate([r["activation"].values for r in trials])


def estimates(fitted: MotionEstimator, trials: Trials) -> np.ndarray:
    return np.concatenate([a.activation.values for a in fitted.estimate(Study(trials))])


def learn(method: str, train: Trials, held_out: str) -> tuple[MotionEstimator, MonotoneCalibration]:
    """Fitted, with all that is chosen chosen on trials that are as new as those of the test; and the rising curves."""
    conditioning = EmgConditioning(
        relative_to="mvc"
    )  # what the EMG is already a share of: the same unit for all people
    if method == "mean-curve":
        fitted: MotionEstimator = MeanCurve(conditioning=conditioning)
    else:
        fitted = RidgeFIR(conditioning=conditioning, choose_on=held_out)
    fitted.fit(Study(train))
    return fitted, MonotoneCalibration.fit(estimates(fitted, train[::3]), truth(train[::3]))


def first_repetition(trials: Trials) -> list[Recording]:
    """In a fixed order, every seventh movement in turn."""
    first = [r for r in trials if r.repetition == "1"]
    return sorted(first, key=lambda r: NAMES.index(r.movement) * 10 % len(NAMES))


def baselines(study: Study, methods: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """R² of each muscle, by method and split."""
    found: dict[str, dict[str, list[float]]] = {}
    study = MeanCurve()._all_inputs(study)  # the features once, for all methods and splits
    for method in methods:
        start, found[method] = time.time(), {}
        for split, values in splits(study, method):
            found[method][split] = values.tolist()
            print(f"| {method} | {split} | {np.mean(values):.3f} | " + " ".join(f"{v:.2f}" for v in values), flush=True)
        print(f"{method}: {time.time() - start:.0f} s", flush=True)
    return found


def splits(study: Study, method: str) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each split, and the R² of each muscle."""
    known = [r for r in study if r.info["truth"]["known"]]
    new = [r for r in study if not r.info["truth"]["known"]]
    train, test = ([r for r in known if (r.repetition in ("7", "8")) is late] for late in (False, True))
    fitted, curve = learn(method, train, "repetition")
    yield "new repetition", r2(curve.apply(estimates(fitted, test)), truth(test))

    found, tested = [], []
    for k in range(6):
        train, test = ([r for r in known if (r.movement in NAMES[k::6]) is held_out] for held_out in (False, True))
        fitted, curve = learn(method, train, "movement")
        found.append(curve.apply(estimates(fitted, test)))
        tested += test
    yield "unseen movement", r2(np.concatenate(found), truth(tested))

    fitted, curve = learn(method, known, "group")
    test = [r for r in new if r.repetition != "1"]
    yield "new person", r2(curve.apply(estimates(fitted, test)), truth(test))
    people = list(dict.fromkeys(r.subject for r in new))
    for seconds in SECONDS:
        found = []
        for subject in people:
            own = fitted.adapt(Study(first_repetition([r for r in new if r.subject == subject])), seconds=seconds)
            found.append(estimates(own, [r for r in test if r.subject == subject]))
        yield f"new person + {seconds:g} s", r2(curve.apply(np.concatenate(found)), truth(test))


def ceilings(study: Study, told: Study, unseen: Study, average: Study, as_known: np.ndarray) -> dict[str, list[float]]:
    """R² of who knows the model, the person and the movement, but not what is drawn anew in each trial; and of less."""
    found = {}

    def keep(what: str, values: np.ndarray) -> None:
        found[what] = values.tolist()
        print(f"{what:<52}{np.mean(values):.3f}   " + " ".join(f"{v:.2f}" for v in values), flush=True)

    for kind, flag in (("known people", True), ("new people", False)):
        chosen = [i for i, r in enumerate(study) if r.info["truth"]["known"] is flag]
        true, known, mean = (truth([s[i] for i in chosen]) for s in (study, told, average))
        keep(f"{kind}, told all but load and co-contraction", r2(known, true))
        if flag:
            keep(f"{kind}, nor what the hand does in the movement", r2(truth(unseen.recordings), true))
        keep(f"{kind}, taken for an average person", r2(mean, true))
        if not flag:
            keep(f"{kind}, as the five known people would do it", r2(as_known, true))
        emg = np.concatenate([study[i]["emg"].values for i in chosen])
        keep(f"{kind}, the measured envelope itself", r2(MonotoneCalibration.fit(emg, true).apply(emg), true))
    return found


def with_empty_purpose(setting: ArmSetting, seed: int) -> Study:
    """The known people, as who has never seen a movement would take it: no handle, and the load of most movements."""
    plain = tuple(dataclasses.replace(m, resistance_n=0.0, load_kg=(0.0, 1.0)) for m in MOVEMENTS)
    blind = setting.model_copy(update=UNKNOWN | {"cocontraction_movement": 0.0})
    with patch.object(arm, "MOVEMENTS", plain):
        return simulate_arm(seed, n_new=0, emg="none", setting=blind)


def as_known_people(study: Study, setting: ArmSetting, seed: int) -> np.ndarray:
    """The new people's trials as the known ones would do them, their mean: what is best said of somebody new who is not average.

    Whoever learned everything of five people, and nothing of others, knows no better (but for load and co-contraction of the trial).
    """
    blind = setting.model_copy(update=UNKNOWN)
    n_known = sum(who.startswith("known") for who in study.subjects)
    known = [draw_person(seed, i, True, blind, with_emg=False) for i in range(n_known)]
    own = ("strength", "delay_s", "cocontraction", "of_movement", "tone", "resistance")
    done = []
    for one in known:
        theirs = {name: getattr(one, name) for name in own}

        def body_of_the_new(*who: Any, theirs: dict[str, Any] = theirs, **how: Any) -> Person:
            return dataclasses.replace(draw_person(*who, **how), **theirs)

        with patch.object(arm, "draw_person", body_of_the_new):
            done.append(truth(simulate_arm(seed, n_known=0, emg="none", setting=blind).recordings))
    return np.mean(done, axis=0)


def muscles(study: Study) -> None:
    """Mean over trials of the largest activity in a trial, per movement and muscle; and that as a share of the muscle's own largest."""
    labels = [str(m) for m in study[0]["activation"].muscle.values]
    table = np.array([
        np.mean([r["activation"].values.max(axis=0) for r in study if r.movement == m], axis=0) for m in NAMES
    ])  # fmt: skip
    spread = np.std(truth(study.recordings), axis=0)
    print("| movement | " + " | ".join(labels) + " |")
    print("| --- |" + " --- |" * len(labels))
    for name, row in zip(NAMES, table):
        print(f"| {name} | " + " | ".join(f"{v:.2f}".lstrip("0") for v in row) + " |")
    print("| standard deviation | " + " | ".join(f"{v:.3f}".lstrip("0") for v in spread) + " |")
    print("at the largest of all:", {m: NAMES[int(i)] for m, i in zip(labels, table.argmax(axis=0))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "muscles", "ceilings", "baselines"])
    parser.add_argument("folder", type=Path, help="where the simulated trials are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", default="{}", help="other values of the setting, as JSON")
    parser.add_argument("--methods", nargs="+", default=["mean-curve", "ridge-fir"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    setting = ARM.model_copy(update=json.loads(options.set))
    start = time.time()
    study = simulate_arm(options.seed, setting=setting, n_workers=options.workers, cache=options.folder)
    seconds = sum(r.duration_s for r in study)
    print(f"{len(study)} trials, {seconds:.0f} s of movement, after {time.time() - start:.1f} s", flush=True)
    found: dict = {}
    if options.what == "muscles":
        muscles(study)
    if options.what == "ceilings":
        ask = {"seed": options.seed, "emg": "none", "n_workers": options.workers, "cache": options.folder}
        told = simulate_arm(setting=setting.model_copy(update=UNKNOWN), **ask)
        average = simulate_arm(setting=setting.model_copy(update=UNKNOWN | AVERAGE), **ask)
        unseen = with_empty_purpose(setting, options.seed)
        found = ceilings(study, told, unseen, average, as_known_people(study, setting, options.seed))
    if options.what == "baselines":
        found = baselines(study, options.methods)
    if options.json:
        about = {"seed": options.seed, "setting": setting.model_dump(mode="json"), "machine": describe_machine()}
        options.json.write_text(json.dumps({**about, options.what: found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
