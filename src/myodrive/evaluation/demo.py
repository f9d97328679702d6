"""The recordings of `myodrive demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from myodrive.io import write
from myodrive.recording import Study
from myodrive.truth import simulate_recording
from myodrive.truth.musculoskeletal import simulate_trials

LOST_CONTACT_V = 4e-4  # what an electrode without contact reads: white noise, louder than a muscle at rest


def write_demo_recording(path: Path) -> Path:
    """Simulate a minute of walking with its activation: eight muscles of one leg, the last electrode without contact."""
    recording = simulate_recording("gait", seed=7, n_muscles=8, duration_s=60.0)
    emg = recording["emg"].copy(deep=True)
    emg[:, -1] = LOST_CONTACT_V * np.random.default_rng(7).normal(size=emg.sizes["time"])
    return write(recording.with_signal("emg", emg), path)


# A network that learns within seconds: it shows what a run looks like, not how good a refinement can be.
DEMO_REFINEMENT: dict[str, Any] = {
    "settings": {"stdr-net": {"n_unit": 8, "n_steps": 80, "batch_size": 8}, "refined": {"n_folds": 3}},
    "n_folds": 2,
}
N_DEMO_TRIAL, DEMO_TRIAL_S = 7, 4.0


def write_demo_study(path: Path) -> Path:
    """Simulate trials of a leg: simulated activity in all, EMG in all but the last, which is to be estimated."""
    trials = simulate_trials(1007, N_DEMO_TRIAL, duration_s=DEMO_TRIAL_S)
    hidden = ("activation", "markers", "forces", "angles")  # not needed for a refinement
    kept = [r.replace(signals={k: v for k, v in r.signals.items() if k not in hidden}) for r in trials]
    last = kept[-1].replace(signals={k: v for k, v in kept[-1].signals.items() if k != "emg"})
    return write(Study([*kept[:-1], last], trials.name), path)


# A network that learns within seconds: it shows what a run looks like, not how good an estimate from movement can be.
DEMO_TRAINING: dict[str, Any] = {
    "settings": {
        "lstm": {"n_unit": 16, "n_folds": 2, "n_steps": 300, "window_s": 0.8, "noise": 0.1},
        "motion": {"inputs": ["angles", "moments"]},
        "conditioning": {"relative_to": "mvc"},  # the EMG of simulated arms is a share of the maximum contraction
    },
    "n_folds": 2,
}
DEMO_MOVEMENTS = ("shoulder flexion", "elbow flexion", "reaching forward", "drinking")


def write_demo_movements(path: Path) -> Path:
    """Simulate arms of three people, four movements, four times each, with EMG and the activation behind it."""
    from myodrive.truth.arm import simulate_arm

    return write(
        simulate_arm(1007, n_known=3, n_new=0, n_repetition=4, n_repetition_new=1, movements=DEMO_MOVEMENTS), path
    )
