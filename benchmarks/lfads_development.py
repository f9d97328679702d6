"""LFADS beside plain low-pass filters on one development recording, by the rule of the bench.

    python benchmarks/lfads_development.py reference 1001 --epochs 30 --json result.json

Development seeds are 1000 and above: those from 0 to 9 are the bench's, and nothing is chosen on them. One line for each
method: R² against the true activation, lag, coverage of the 90 % interval, CPU seconds; for LFADS also the score that
training selects by, the mean negative log-likelihood of hidden samples in windows that were never trained on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from myodrive.estimator import Estimator, versions
from myodrive.evaluation.truth_bench import Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.lfads import LFADS
from myodrive.from_emg.lowpass import LowPass
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text

CUTOFFS_HZ = (3.0, 6.0, 10.0)


def score(name: str, estimator: Estimator, recording: Recording) -> dict[str, Any]:
    """Fit and estimate without the truth, then score with it."""
    blind = recording.replace(signals={"emg": recording["emg"]})
    start = time.process_time()
    estimate = estimator.fit(blind).estimate(blind)
    seconds = time.process_time() - start
    row = {"estimator": name, **dataclasses.asdict(score_against_truth(estimate, recording)), "cpu_s": seconds}
    if isinstance(estimator, LFADS):
        row["held_out"] = estimator.history_[estimator.best_epoch_]["validation"]
    return row


def as_line(row: dict[str, Any]) -> str:
    held_out = f"{row['held_out']:10.4f}" if "held_out" in row else " " * 10
    return (
        f"{row['estimator']:16s}{row['r2']:8.4f}{1000 * row['lag_s']:8.1f}{row['coverage']:8.3f}{held_out}"
        f"{row['cpu_s']:8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="LFADS on one development recording")
    parser.add_argument("scenario", choices=("reference", "gait", "reach"))
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int, default=LFADS().config.max_epochs)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    recording = Case(arguments.scenario, arguments.seed, 20.0, 8, 60.0).simulate()
    print(f"{'':16s}{'R2':>8s}{'lag ms':>8s}{'cover':>8s}{'held out':>10s}{'CPU s':>8s}")
    contenders = {f"low-pass {c:g} Hz": LowPass(cutoff_hz=c) for c in CUTOFFS_HZ}
    rows = []
    for name, estimator in {**contenders, "lfads": LFADS(max_epochs=arguments.epochs)}.items():
        rows.append(score(name, estimator, recording))
        print(as_line(rows[-1]), flush=True)
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), **versions()}
        options = {"scenario": arguments.scenario, "seed": arguments.seed, "epochs": arguments.epochs}
        safe_write_text(
            arguments.json, json.dumps({"options": options, "environment": machine, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
