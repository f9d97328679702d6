"""How long the Bayesian filter takes: `python benchmarks/bayes_speed.py`. Goal: 8 muscles × 60 s at 2 kHz under 1 s on 2 cores.

CPU time counts, over all threads, so that the figures hold on a machine that does other things too.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable

from myodrive.estimator import versions
from myodrive.from_emg import bayes, whitening
from myodrive.from_emg.bayes import jump_diffusion
from myodrive.truth import simulate_recording


def main() -> None:
    emg = simulate_recording("reference", seed=1)["emg"]
    kept: list[object] = []

    class Watched(bayes.BayesFilter):
        method = ""

        def _estimate(self, trial):  # the normalised trial, for the parts below
            kept[:] = [trial]
            return super()._estimate(trial)

    start = time.process_time()
    fitted = Watched().fit(emg)
    fit_s = time.process_time() - start
    fitted.estimate(emg)  # compiles
    trial = kept[0]
    amplitude = fitted._amplitude(trial)
    parameters = {name: getattr(fitted, f"{name}_") for name in jump_diffusion.PARAMETERS}

    def filter_alone() -> None:
        blocks = jump_diffusion.Blocks.cut([trial], [amplitude], fitted._step, 1)
        model = jump_diffusion.Model.of(parameters, fitted.log_levels_, 1, jump_diffusion.STEP_S)
        past, future = model.messages(blocks)
        model.smoothed(past, future, blocks)

    result = {
        "setting": "8 muscles, 60 s, 2 kHz, 64 levels, forward and backward",
        "filter_s": cpu_s(filter_alone),
        "whitening_s": cpu_s(lambda: whitening.whiten(trial, fitted.autocovariance_, fitted.noise_)),
        "estimate_s": cpu_s(lambda: fitted.estimate(emg)),
        "fit_with_compilation_s": fit_s,
        "cores": os.cpu_count(),
        "versions": versions(),
    }
    print(json.dumps(result, indent=1))


def cpu_s(work: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return round(statistics.median(seconds), 3)


if __name__ == "__main__":
    main()
