"""How long the networks from movement train on a study of the size of the arm scenario: seconds of CPU, and of wall time on all cores.

python benchmarks/motion_training_speed.py [--methods lstm tcn transformer] [--json FILE]

Five people, 23 movements, six repetitions of 3 s, seven joints and their derivatives, eight muscles. All members of the ensemble,
the calibration and the compilation of programs that are not kept yet are included; the signals mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import time

from myodrive.learning.processes import worker_environment

os.environ.update({k: v for k, v in worker_environment().items() if k != "GLIBC_TUNABLES"})

import numpy as np

from myodrive.estimator import estimators
from myodrive.evaluation.machine import cpu_seconds, describe_machine
from myodrive.recording import Recording, Study, make_signal
from myodrive.safe_write import safe_write_text

PEOPLE, MOVEMENTS, REPETITIONS, SECONDS, RATE_HZ, N_JOINT, N_MUSCLE = 5, 23, 6, 3.0, 100.0, 7, 8


def trial(who: int, kind: int, repetition: int) -> Recording:
    random = np.random.default_rng([who, kind, repetition])
    n = round(SECONDS * RATE_HZ)
    angles = np.cumsum(np.cumsum(random.normal(size=(n, N_JOINT)), axis=0), axis=0) / 10
    emg = np.abs(np.cumsum(random.normal(size=(n, N_MUSCLE)), axis=0)) / 100
    joints, muscles = {"joint": [f"j{i}" for i in range(N_JOINT)]}, {"muscle": [f"m{i}" for i in range(N_MUSCLE)]}
    signals = {
        "angles": make_signal(angles, ("time", "joint"), joints, units="deg", rate_hz=RATE_HZ),
        "emg": make_signal(emg, ("time", "muscle"), muscles, units="1", rate_hz=RATE_HZ, stage="envelope"),
    }
    return Recording(signals, subject=str(who), movement=str(kind), repetition=str(repetition))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["lstm"])
    parser.add_argument("--json")
    options = parser.parse_args()
    every = [(w, m, r) for w in range(PEOPLE) for m in range(MOVEMENTS) for r in range(REPETITIONS)]
    study = Study([trial(*which) for which in every])
    found: dict[str, object] = {"machine": describe_machine()}
    for name in options.methods:
        begun, cpu = time.perf_counter(), cpu_seconds()
        model = estimators("from_motion")[name]().fit(study)
        steps = getattr(model, "n_steps_", 0) * len(getattr(model, "networks_", []))
        found[name] = {"cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - begun, "steps": steps}
        print(name, found[name], flush=True)
    if options.json:
        safe_write_text(options.json, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
