"""How far simulated activity of the leg can be refined, on unseen trials whose true activation is known.

python benchmarks/truth_leg.py --seeds 1000 1001 --methods ridge-fir stdr-net --json FILE

Beside the estimators stands a linear filter that is told each trial's delay and co-contraction: what could be reached.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from myodrive.estimator import estimators, versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.metrics import lag_s, r2
from myodrive.learning.linear import fit_ridge_by_folds, lagged
from myodrive.recording import Recording, Study
from myodrive.truth.musculoskeletal import FULL_VOLTS, RATE_HZ, simulate_trials

N_TRIAL, N_TRAIN = 40, 30
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
MAX_LAG_S = 0.2


def score(estimate: list[np.ndarray], truth: list[np.ndarray]) -> dict[str, list[float]]:
    """R² and lag of each muscle over all trials."""
    together, known = np.concatenate(estimate), np.concatenate(truth)
    late = lag_s(together, known, RATE_HZ, MAX_LAG_S)
    return {"r2": np.round(r2(together, known), 4).tolist(), "lag_ms": np.round(1e3 * late, 1).tolist()}


def as_emg(recording: Recording) -> Recording:
    """The recording with EMG that shows the true activation and nothing else."""
    clean = (recording["activation"] * FULL_VOLTS).assign_attrs(units="V", stage="envelope")
    return recording.with_signal("emg", clean)


def by_estimator(method: str, study: Study) -> dict[str, list[float]]:
    estimator = estimators("from_simulation")[method]().fit(Study(study.recordings[:N_TRAIN]))
    test = Study([as_emg(r) for r in study.recordings[N_TRAIN:]])
    estimates = [a.activation.values for a in estimator.estimate(test)]
    return score(estimates, [t.values for t in estimator.measured(test)])


def told(study: Study, window_s: float = 0.05) -> dict[str, list[float]]:
    """A ridge on the simulated activity at the right instant, alone and times the trial's share of co-contraction."""
    features = []
    for recording in study:
        said, signal = recording.info["truth"], recording["simulated"]
        clock = np.clip(signal.time.values + said["delay_s"], None, signal.time.values[-1])
        reach = round(window_s * RATE_HZ)
        taps = lagged(signal.interp(time=clock).values, range(-reach, reach + 1))
        features.append(np.concatenate([taps, said["cocontraction"] * taps, said["cocontraction"] ** 2 * taps], axis=1))
    trial = np.repeat(np.arange(N_TRAIN), len(features[0]))
    folds = [(trial % 5 != k, trial % 5 == k) for k in range(5)]
    target = np.concatenate([r["emg"].values / FULL_VOLTS for r in study.recordings[:N_TRAIN]])
    fitted, _ = fit_ridge_by_folds(np.concatenate(features[:N_TRAIN]), target, folds, PENALTIES)
    estimates = [fitted.predict(f) for f in features[N_TRAIN:]]
    return score(estimates, [r["activation"].values for r in study.recordings[N_TRAIN:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000])
    parser.add_argument("--methods", nargs="*", default=["simulated-as-is", "gain-offset", "gain-lag", "ridge-fir"])
    parser.add_argument("--movement", default="cyclic")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        study = simulate_trials(seed, N_TRIAL, movement=options.movement)
        for method in [*options.methods, "told"]:
            start = time.process_time()
            row = told(study) if method == "told" else by_estimator(method, study)
            rows.append({"seed": seed, "method": method, "cpu_s": round(time.process_time() - start, 1), **row})
            mean, least = np.mean(row["r2"]), min(row["r2"])
            late = max(map(abs, row["lag_ms"]))
            print(f"{seed} {method:<16} R2 mean {mean:.3f}, least {least:.3f}; largest lag {late:.1f} ms", flush=True)
    if options.json:
        about = {"movement": options.movement, "machine": describe_machine(), "versions": versions()}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
