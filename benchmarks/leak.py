"""What LFADS lets through of noise that all channels share, and of crosstalk, with each remedy.

    python benchmarks/leak.py --seeds 1001 1002 1003 1004 1005 --json leak.json

Leak: partial correlation of the estimate with the strength of what is foreign, given the true activation, mean over eight
muscles, 60 s, 20 dB. Remedies change one thing against "single samples", the published coordinated dropout: blocks of all
muscles hidden at once, or input and target shifted by independent random steps (a patent application exists on the
latter). One network each, plain rectified EMG but for the last rows, which add whitening and unmixing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

import numpy as np

from myodrive.estimator import Estimator, versions
from myodrive.evaluation.leak import leak
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.bayes import BayesFilter
from myodrive.from_emg.lfads import LFADS
from myodrive.from_emg.lowpass import LowPass
from myodrive.safe_write import safe_write_text
from myodrive.truth.leaks import LEAKS, simulate_leak

PLAIN = {"whiten": False, "unmix": False, "block_rate": 0.0}
BLOCKS = {"block_rate": 0.3}


def contenders(epochs: int) -> dict[str, Estimator]:
    lfads = {
        "single samples": PLAIN,
        "and blocks": {**PLAIN, **BLOCKS},
        "shifted": {**PLAIN, "shift_bins": 4},
        "whitened, unmixed": {"whiten": True, "unmix": True, "block_rate": 0.0},
    }
    filters = {"low-pass": LowPass(cutoff_hz=4.0), "bayes": BayesFilter()}
    return {**filters, **{f"lfads, {name}": LFADS(max_epochs=epochs, **options) for name, options in lfads.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description="What LFADS lets through of shared noise and of crosstalk")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1001, 1006)))
    parser.add_argument("--kinds", nargs="+", choices=tuple(LEAKS), default=list(LEAKS))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for kind in arguments.kinds:
        for seed in arguments.seeds:
            recording = simulate_leak(kind, seed=seed)
            blind = recording.replace(signals={"emg": recording["emg"]})
            for name, estimator in contenders(arguments.epochs).items():
                estimate = estimator.fit(blind).estimate(blind)
                found = {
                    "leak": float(np.nanmean(leak(estimate, recording))),
                    "r2": score_against_truth(estimate, recording).r2,
                }
                rows.append({"kind": kind, "seed": seed, "estimator": name, **found})
                print(f"{kind:10s}{seed:6d}  {name:26s} leak {found['leak']:7.3f}  R2 {found['r2']:.4f}", flush=True)
    for kind in arguments.kinds:
        for name in contenders(1):
            own = [row for row in rows if (row["kind"], row["estimator"]) == (kind, name)]
            base = [row for row in rows if (row["kind"], row["estimator"]) == (kind, "lfads, single samples")]
            gain = [a["leak"] - b["leak"] for a, b in zip(own, base)]
            print(
                f"{kind:10s} mean {name:26s} leak {np.mean([r['leak'] for r in own]):7.3f}  R2 {np.mean([r['r2'] for r in own]):.4f}"
                f"  against single samples {np.mean(gain):+.3f}, from {min(gain):+.3f} to {max(gain):+.3f}"
            )
    if arguments.json:
        environment = {"machine": platform.machine(), "cores": os.cpu_count(), **versions()}
        safe_write_text(arguments.json, json.dumps({"environment": environment, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
