"""How well the trivial references do on the recordings at hand: the table in docs/scores.md.

python benchmarks/references.py ../shared/data
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

from myodrive.evaluation import metrics
from myodrive.evaluation.references import odd_even_r, others_mean, single_trial_r2


def measure(curves: np.ndarray, subjects: np.ndarray) -> dict[str, float]:
    """Curves (trial, point, muscle) with the subject of each; every figure is a mean over subjects and muscles."""
    names = list(dict.fromkeys(subjects.tolist()))
    groups = [curves[subjects == name] for name in names]
    means = np.stack([group.mean(axis=0) for group in groups])
    others = others_mean(means)
    by_others = np.concatenate([np.broadcast_to(o, g.shape) for o, g in zip(others, groups)])
    by_own = np.concatenate([others_mean(g) for g in groups])
    pooled = np.concatenate(groups)
    figures = {"others_mean_r": np.mean([metrics.pearson_r(o, m) for o, m in zip(others, means)])}
    if len(pooled) > len(names):
        figures["odd_even_r"] = np.nanmean([odd_even_r(g) for g in groups])
        figures["single_trial_r2_own_mean"] = np.mean(single_trial_r2(pooled, by_own))
        figures["single_trial_r2_others_mean"] = np.mean(single_trial_r2(pooled, by_others))
    return {name: round(float(value), 3) for name, value in figures.items()}


def main(folder: Path) -> None:
    with np.load(folder / "arm-lifting-envelopes" / "lifting_envelopes.npz") as lifting:
        rows = {"box lifting": measure(lifting["envelope"], lifting["subject"])}
    with np.load(folder / "gait-santuz-treadmill" / "SYNS_mean_envelopes_15subjects.npz") as walking:
        curves = walking["V"].transpose(0, 2, 1)
        rows["treadmill walking"] = measure(curves, np.arange(len(curves)))
    standing = np.load(folder / "sts-gait120-envelopes" / "V_cycles.npy")
    with (folder / "sts-gait120-envelopes" / "cycle_metadata.csv").open(encoding="utf-8", newline="") as file:
        subjects = np.array([row["subject_id"] for row in csv.DictReader(file)])
    rows["sit-to-stand"] = measure(standing, subjects)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
