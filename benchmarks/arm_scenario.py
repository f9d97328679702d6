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
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from myodrive.conditioning.kinematics import differentiate
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.metrics import MonotoneCalibration, r2
from myodrive.learning.linear import fit_ridge, fit_ridge_by_folds, lagged
from myodrive.recording import Recording, Study
from myodrive.truth.arm import ARM, simulate_arm
from myodrive.truth.arm_movements import MOVEMENTS

NAMES = [m.name for m in MOVEMENTS]
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
REACHES_S = (0.0, 0.1, 0.2)  # before and after; the one of least error inside the training trials is taken
STEP = 2  # samples between lags, and between training samples
CUTOFF_HZ = 6.0
N_CURVE = 101
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
Estimates = list[np.ndarray]


def features(recording: Recording) -> np.ndarray:
    """Angles, velocities and accelerations (time, 21)."""
    return np.concatenate([differentiate(recording["angles"], k, CUTOFF_HZ).values for k in range(3)], axis=1)


def held(x: np.ndarray) -> np.ndarray:
    """The value of the nearest known sample where a derivative is not known."""
    known = np.flatnonzero(np.isfinite(x).all(axis=1))
    return x[np.clip(np.arange(len(x)), known[0], known[-1])]


class Ridge:
    """A ridge over lagged features; reach and penalties chosen on trials held out inside the training trials."""

    def __init__(self, train: Trials, groups: Sequence[str]) -> None:
        names = sorted(set(groups))
        fold_of = np.array([names.index(g) % 3 for g in groups])
        inputs, targets = [held(features(r)) for r in train], [r["emg"].values for r in train]
        of_sample = np.concatenate([np.full(len(t[::STEP]), f) for t, f in zip(targets, fold_of)])
        y = np.concatenate([t[::STEP] for t in targets])
        best = np.inf
        for reach in REACHES_S:
            taps = range(-round(100 * reach), round(100 * reach) + 1, 2)
            x = np.concatenate([lagged(i, taps)[::STEP] for i in inputs])
            folds = [(of_sample != k, of_sample == k) for k in range(3)]
            error = self._error(x, y, folds)
            if error < best:
                best, self.taps = error, taps
                self.map, self.penalties = fit_ridge_by_folds(x, y, folds, PENALTIES)

    @staticmethod
    def _error(x: np.ndarray, y: np.ndarray, folds: list) -> float:
        total = np.zeros(len(PENALTIES))
        for train, test in folds:
            for i, fitted in enumerate(fit_ridge(x[train], y[train], PENALTIES)):
                total[i] += np.sum(np.mean((fitted.predict(x[test]) - y[test]) ** 2, axis=0) / y.var(axis=0))
        return float(total.min())

    def __call__(self, trials: Trials) -> Estimates:
        return [self.map.predict(lagged(held(features(r)), self.taps)) for r in trials]


class MeanCurve:
    """The mean training curve of the movement over its normalised time, of the same person if known; else the mean."""

    def __init__(self, train: Trials, groups: Sequence[str] = ()) -> None:
        share = np.linspace(0, 1, N_CURVE)
        curves: dict[tuple[str, ...], list[np.ndarray]] = {}
        for r in train:
            e = r["emg"].values
            curve = np.stack([np.interp(share, np.linspace(0, 1, len(e)), c) for c in e.T], axis=1)
            for key in ((r.subject, r.movement), (r.movement,), ()):
                curves.setdefault(key, []).append(curve)
        self.curves = {key: np.mean(c, axis=0) if key else np.mean(c, axis=(0, 1)) for key, c in curves.items()}

    def __call__(self, trials: Trials) -> Estimates:
        return [self._one(r) for r in trials]

    def _one(self, r: Recording) -> np.ndarray:
        n_time = r["activation"].sizes["time"]
        for key in ((r.subject, r.movement), (r.movement,)):
            if key in self.curves:
                own = self.curves[key]
                where = np.linspace(0, 1, n_time)
                return np.stack([np.interp(where, np.linspace(0, 1, N_CURVE), c) for c in own.T], axis=1)
        return np.tile(self.curves[()], (n_time, 1))


def truth(trials: Trials) -> np.ndarray:
    return np.concatenate([r["activation"].values for r in trials])


def score(estimates: Estimates, trials: Trials, curve: MonotoneCalibration) -> np.ndarray:
    return r2(curve.apply(np.concatenate(estimates)), truth(trials))


def learn(method: Callable, train: Trials, groups: Sequence[str]) -> tuple[Callable, MonotoneCalibration]:
    fitted = method(train, groups)
    some = train[::3]
    return fitted, MonotoneCalibration.fit(np.concatenate(fitted(some)), truth(some))


def first_seconds(trials: Trials, seconds: float) -> list[Recording]:
    """The first repetition, every seventh movement in turn, until so many seconds are there."""
    order = sorted((r for r in trials if r.repetition == "1"), key=lambda r: NAMES.index(r.movement) * 7 % len(NAMES))
    chosen: list[Recording] = []
    for r in order:
        if sum(c.duration_s for c in chosen) >= seconds:
            break
        chosen.append(r)
    return chosen


def adapted(method: Callable, own: Trials, test: Trials) -> Estimates:
    """A gain for each muscle, drawn towards 1, by the EMG of the new person's first seconds."""
    e, y = np.concatenate(method(own)), np.concatenate([r["emg"].values for r in own])
    weight = 0.1 * len(e) * np.mean(y**2, axis=0)
    gain = (np.sum(e * y, axis=0) + weight) / (np.sum(e * e, axis=0) + weight)
    return [gain * x for x in method(test)]


def baselines(study: Study, methods: dict[str, Callable]) -> dict[str, dict[str, list[float]]]:
    """R² of each muscle, by method and split."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, method in methods.items():
        start = time.time()
        found[name] = {split: values.tolist() for split, values in splits(study, method)}
        for split, values in found[name].items():
            print(f"{name:<12}{split:<22}{np.mean(values):.3f}   " + " ".join(f"{v:.2f}" for v in values))
        print(f"{name}: {time.time() - start:.0f} s", flush=True)
    return found


def splits(study: Study, method: Callable) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each split, and the R² of each muscle."""
    known = [r for r in study if r.info["truth"]["known"]]
    new = [r for r in study if not r.info["truth"]["known"]]
    train, test = ([r for r in known if (r.repetition in ("7", "8")) is late] for late in (False, True))
    fitted, curve = learn(method, train, [r.repetition for r in train])
    yield "new repetition", score(fitted(test), test, curve)

    estimates, tested = [], []
    for k in range(6):
        train, test = ([r for r in known if (r.movement in NAMES[k::6]) is held_out] for held_out in (False, True))
        fitted, curve = learn(method, train, [r.movement for r in train])
        estimates += [curve.apply(e) for e in fitted(test)]
        tested += test
    yield "unseen movement", r2(np.concatenate(estimates), truth(tested))

    fitted, curve = learn(method, known, [r.subject for r in known])
    test = [r for r in new if r.repetition != "1"]
    yield "new person", score(fitted(test), test, curve)
    people = list(dict.fromkeys(r.subject for r in new))
    for seconds in SECONDS:
        estimates = []
        for subject in people:
            own = first_seconds([r for r in new if r.subject == subject], seconds)
            estimates += adapted(fitted, own, [r for r in test if r.subject == subject])
        yield f"new person + {seconds:g} s", score(estimates, test, curve)


def ceilings(study: Study, told: Study, average: Study) -> dict[str, list[float]]:
    """R² of who knows the model, the person and the movement, but not what is drawn anew in each trial; and of less."""
    found = {}

    def keep(what: str, values: np.ndarray) -> None:
        found[what] = values.tolist()
        print(f"{what:<46}{np.mean(values):.3f}   " + " ".join(f"{v:.2f}" for v in values), flush=True)

    for kind, flag in (("known people", True), ("new people", False)):
        chosen = [i for i, r in enumerate(study) if r.info["truth"]["known"] is flag]
        true, known, mean = (truth([s[i] for i in chosen]) for s in (study, told, average))
        keep(f"{kind}, told all but load and co-contraction", r2(known, true))
        keep(f"{kind}, taken for an average person", r2(mean, true))
        emg = np.concatenate([study[i]["emg"].values for i in chosen])
        keep(f"{kind}, the measured envelope itself", r2(MonotoneCalibration.fit(emg, true).apply(emg), true))
    return found


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
        found = ceilings(study, told, simulate_arm(setting=setting.model_copy(update=UNKNOWN | AVERAGE), **ask))
    if options.what == "baselines":
        found = baselines(study, {"mean-curve": MeanCurve, "ridge-fir": Ridge})
    if options.json:
        about = {"seed": options.seed, "setting": setting.model_dump(mode="json"), "machine": describe_machine()}
        options.json.write_text(json.dumps({**about, options.what: found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
