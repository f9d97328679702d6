"""How long one sample takes on its way through a causal network from movement: the time of `Stream.step`.

python benchmarks/motion_streaming.py [--json FILE]

The network has its usual size and all members of its ensemble; what it has learned does not change the time, so it is trained
for a few steps only. Wall time of each step; on a busy machine the tail is that of the other programs, so the time of the
processor is given beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

import myodrive as md
from myodrive.evaluation.machine import describe_machine
from myodrive.recording import Recording, Study, make_signal
from myodrive.safe_write import safe_write_text

N_JOINT, N_MUSCLE, RATE_HZ, N_STEP, WARM_UP = 7, 8, 100.0, 20000, 200


def person(seed: int) -> Study:
    """A few trials of joints that move at random; their EMG means nothing."""
    random = np.random.default_rng(seed)
    joints, muscles = {"joint": [f"j{i}" for i in range(N_JOINT)]}, {"muscle": [f"m{i}" for i in range(N_MUSCLE)]}
    trials = []
    for k in range(3):
        angles = np.cumsum(random.normal(size=(300, N_JOINT)), axis=0)
        emg = random.random((300, N_MUSCLE))
        signals = {
            "angles": make_signal(angles, ("time", "joint"), joints, units="deg", rate_hz=RATE_HZ),
            "emg": make_signal(emg, ("time", "muscle"), muscles, units="V", rate_hz=RATE_HZ, stage="envelope"),
        }
        trials.append(Recording(signals, subject=str(seed), movement="random", repetition=str(k)))
    return Study(trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    options = parser.parse_args()
    study = Study([trial for seed in range(5) for trial in person(seed)])
    model = md.MotionLSTM(causal=True, n_steps=2).fit(study)
    samples = np.cumsum(np.random.default_rng(9).normal(size=(N_STEP, N_JOINT)), axis=0)
    found: dict[str, Any] = {"networks": len(model.networks_), "machine": describe_machine()}
    for whom, subject in (("a known person", "0"), ("somebody new", "")):
        stream = md.Stream(model, subject)
        wall_ms, cpu_ms = np.empty((2, N_STEP))
        for i, sample in enumerate(samples):
            begun, cpu = time.perf_counter(), time.thread_time()
            stream.step(sample)
            wall_ms[i], cpu_ms[i] = 1e3 * (time.perf_counter() - begun), 1e3 * (time.thread_time() - cpu)
        found[whom] = {
            f"{name} {share}": float(np.quantile(values[WARM_UP:], share))
            for name, values in (("wall ms", wall_ms), ("cpu ms", cpu_ms))
            for share in (0.5, 0.99, 0.999)
        } | {"delay_s": stream.delay_s}
    print(json.dumps(found, indent=1))
    if options.json:
        safe_write_text(options.json, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
