"""LFADS beside plain low-pass filters on one development recording, by the rule of the bench.

    python benchmarks/lfads_development.py reference 1001 --epochs 30 --json result.json
    python benchmarks/lfads_development.py tremor 1001 --epochs 30 --both --option n_input=4 --option whiten=false

Development seeds are 1000 and above: those from 0 to 9 are the bench's, and nothing is chosen on them. One line for each
method: R² against the true activation, lag, coverage of the 90 % interval, CPU seconds; for LFADS also the score that
training selects by, the mean negative log-likelihood of hidden samples in windows that were never trained on. With
`--both` two more: a network that learned from the EMG run backwards, and the geometric mean of the two estimates.
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

import numpy as np

from myodrive.activation import Activation
from myodrive.estimator import Estimator, versions
from myodrive.evaluation.truth_bench import Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.lfads import LFADS
from myodrive.from_emg.lowpass import LowPass
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text
from myodrive.truth import SCENARIOS

CUTOFFS_HZ = (3.0, 6.0, 10.0)


def turned(recording: Recording) -> Recording:
    """The EMG alone, run backwards."""
    emg = recording["emg"]
    return recording.replace(signals={"emg": emg.copy(data=emg.values[::-1].copy())})


def estimated(estimator: Estimator, recording: Recording, backwards: bool = False) -> tuple[Activation, float]:
    """Fit and estimate without the truth; CPU seconds."""
    blind = turned(recording) if backwards else recording.replace(signals={"emg": recording["emg"]})
    start = time.process_time()
    estimate = estimator.fit(blind).estimate(blind)
    seconds = time.process_time() - start
    if backwards:
        dataset = estimate.dataset.copy()
        for part in ("activation", "lower", "upper"):
            dataset[part] = dataset[part].copy(data=dataset[part].values[::-1])
        estimate = Activation.from_dataset(dataset)
    return estimate, seconds


def mean_of(one: Activation, other: Activation) -> Activation:
    """The geometric mean, without an interval."""
    mean = np.sqrt(one.activation * other.activation.values)
    return Activation(mean, method="lfads", relative_to=one.dataset.attrs["relative_to"])


def scored(
    name: str, estimate: Activation, recording: Recording, seconds: float, estimator: Estimator
) -> dict[str, Any]:
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
    parser.add_argument("scenario", choices=tuple(SCENARIOS))
    parser.add_argument("seed", type=int)
    parser.add_argument("--snr-db", type=float, default=20.0)
    parser.add_argument("--muscles", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=LFADS().config.max_epochs)
    parser.add_argument("--both", action="store_true", help="a network that runs backwards too, and the mean of both")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of LFADS")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    recording = Case(arguments.scenario, arguments.seed, arguments.snr_db, arguments.muscles, 60.0).simulate()
    options = {name: json.loads(value) for name, value in (o.split("=", 1) for o in arguments.option)}
    print(f"{'':16s}{'R2':>8s}{'lag ms':>8s}{'cover':>8s}{'held out':>10s}{'CPU s':>8s}")
    rows: list[dict[str, Any]] = []

    def told(*finding: Any) -> None:
        rows.append(scored(*finding))
        print(as_line(rows[-1]), flush=True)

    for cutoff in CUTOFFS_HZ:
        lowpass = LowPass(cutoff_hz=cutoff)
        found = estimated(lowpass, recording)
        told(f"low-pass {cutoff:g} Hz", found[0], recording, found[1], lowpass)
    lfads = LFADS(**{"max_epochs": arguments.epochs, **options})
    forward, seconds = estimated(lfads, recording)
    told("lfads", forward, recording, seconds, lfads)
    if arguments.both:
        other = LFADS(**{"max_epochs": arguments.epochs, "seed": 1, **options})
        backward, more = estimated(other, recording, backwards=True)
        told("lfads backwards", backward, recording, more, other)
        told("both", mean_of(forward, backward), recording, seconds + more, lowpass)
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), **versions()}
        about = {k: v for k, v in vars(arguments).items() if k != "json"}
        safe_write_text(arguments.json, json.dumps({"options": about, "environment": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
