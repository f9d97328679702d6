"""How far simulated activity of the leg can be refined, on unseen trials whose true activation is known.

python benchmarks/truth_leg.py --seeds 1000 1001 --methods ridge-fir stdr-net --json FILE

Beside the estimators stand linear filters that change with delay and co-contraction: one is told both, the others read
them off the simulated activity itself, in stretches of 1, 2 and 4 s. That is what could be reached, and with what context.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.cli import method_settings
from myodrive.estimator import estimators, versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.metrics import lag_s, r2
from myodrive.learning.linear import fit_ridge, fit_ridge_by_folds, lagged
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


def by_estimator(method: str, settings: dict[str, Any], study: Study) -> dict[str, list[float]]:
    estimator = estimators("from_simulation")[method](**settings).fit(Study(study.recordings[:N_TRAIN]))
    test = Study([as_emg(r) for r in study.recordings[N_TRAIN:]])
    estimates = [a.activation.values for a in estimator.estimate(test)]
    return score(estimates, [t.values for t in estimator.measured(test)])


def told(study: Study) -> np.ndarray:
    """Delay and co-contraction of each trial, (trial, 1, 2)."""
    return np.array([[[r.info["truth"][k] for k in ("delay_s", "cocontraction")]] for r in study])


def read_off(study: Study, stretch_s: float) -> np.ndarray:
    """Both as far as the simulated activity of a stretch tells, (trial, stretch, 2)."""
    n = round(stretch_s * RATE_HZ)
    signals = [r["simulated"].values for r in study]
    traits = np.array([[_traits(x[i : i + n]) for i in range(0, len(x) - n + 1, n)] for x in signals])
    known = np.broadcast_to(told(study), (*traits.shape[:2], 2))
    fitted = fit_ridge(*(a[:N_TRAIN].reshape(-1, a.shape[2]) for a in (traits, known)), [0.01])[0]
    return fitted.predict(traits.reshape(-1, traits.shape[2])).reshape(known.shape)


def _traits(x: np.ndarray) -> np.ndarray:
    """How active each muscle is, and how fast it all goes: relative slope, peak and mean of the spectrum."""
    varying = x - x.mean(axis=0)
    slope = np.sqrt(np.sum((np.diff(x, axis=0) * RATE_HZ) ** 2) / np.sum(varying**2))
    power = np.sum(np.abs(np.fft.rfft(varying * np.hanning(len(x))[:, None], n=4096, axis=0)) ** 2, axis=1)
    hz = np.fft.rfftfreq(4096, 1 / RATE_HZ)
    band = (hz > 0.4) & (hz < 1.4)
    pace = [np.log(slope), hz[band][np.argmax(power[band])], np.sum((power * hz)[band]) / np.sum(power[band])]
    traits = np.r_[np.sqrt(x.mean(axis=0)), pace]
    return np.r_[traits, traits**2]


def changing_filter(study: Study, said: np.ndarray) -> dict[str, list[float]]:
    """A ridge over ±200 ms of all muscles whose weights follow what is said of delay and co-contraction."""
    said = (said - said.mean(axis=(0, 1))) / said.std(axis=(0, 1))
    features = []
    for recording, stretches in zip(study, said):
        taps = lagged(recording["simulated"].values, range(-20, 21, 2))
        delay, share = np.repeat(stretches, len(taps) // len(stretches), axis=0).T[:, :, None]
        missing = len(taps) - len(delay)  # the end that fills no stretch is taken as the last one that is full
        delay, share = (np.r_[v, np.repeat(v[-1:], missing, axis=0)] for v in (delay, share))
        features.append(np.concatenate([taps, delay * taps, share * taps, delay**2 * taps], axis=1))
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
    parser.add_argument("--body", default="leg", help="whose muscles: leg or myo-sim")
    parser.add_argument("--set", nargs="*", default=[], help="options of methods: stdr-net.window_s=4")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = method_settings(options.set)
    rows = []
    for seed in options.seeds:
        study = simulate_trials(seed, N_TRIAL, movement=options.movement, body=options.body)
        filters = {"told": told(study), **{f"read off {s:g} s": read_off(study, s) for s in (1.0, 2.0, 4.0)}}
        for method in [*options.methods, *filters]:
            start = time.process_time()
            if method in filters:
                row = changing_filter(study, filters[method])
            else:
                row = by_estimator(method, settings.get(method, {}), study)
            rows.append({"seed": seed, "method": method, "cpu_s": round(time.process_time() - start, 1), **row})
            mean, least = np.mean(row["r2"]), min(row["r2"])
            late = max(map(abs, row["lag_ms"]))
            print(f"{seed} {method:<16} R2 mean {mean:.3f}, least {least:.3f}; largest lag {late:.1f} ms", flush=True)
    if options.json:
        about = {
            "movement": options.movement,
            "body": options.body,
            "settings": settings,
            "machine": describe_machine(),
            "versions": versions(),
        }
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
