"""Write the files of this version that later versions must go on reading:  python tests/past/make.py

A new version adds a folder; the old ones stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import myodrive as md

if __name__ == "__main__":
    folder = Path(__file__).parent / "v0.1"
    recording = md.simulate_recording("gait", seed=3, n_muscles=2, n_latents=2, duration_s=4.0, rate_hz=1000.0)
    recording = recording.with_signal("emg", recording["emg"].astype(np.float32))
    md.write(recording, folder / "recording.nc")
    md.write(md.Study([recording], name="one"), folder / "study.nc")
    estimator = md.LowPass(cutoff_hz=5.0).fit(recording)
    estimator.save(folder / "low-pass")
    md.BayesFilter().fit(recording).save(folder / "bayes")
    tiny = {
        "ic_encoder": 3,
        "ci_encoder": 3,
        "controller": 3,
        "generator": 4,
        "n_initial": 2,
        "n_input": 1,
        "n_factor": 2,
    }
    short = {
        "window_s": 0.2,
        "overlap_s": 0.1,
        "validation_gap_s": 0.0,
        "batch_size": 8,
        "max_epochs": 2,
        "n_samples": 20,
    }
    network = md.LFADS(**tiny, **short).fit(recording)
    network.save(folder / "lfads")
    activation = estimator.estimate(recording)
    md.write(activation, folder / "activation.nc")
    numbers = {
        "mean": activation.activation.mean("time").values.tolist(),
        "lfads_mean": network.estimate(recording).activation.mean("time").values.tolist(),
        "n_time": activation.activation.sizes["time"],
    }
    (folder / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")
